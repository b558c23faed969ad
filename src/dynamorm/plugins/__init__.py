"""The plugins that come with the library. Each is a module of its own, loaded when one of its names is asked for."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .logging import LoggingPlugin as LoggingPlugin
    from .metrics import Metrics as Metrics
    from .metrics import MetricsPlugin as MetricsPlugin

_HOMES = {
    "LoggingPlugin": "logging",
    "Metrics": "metrics",
    "MetricsPlugin": "metrics",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    found = globals()[name] = getattr(import_module(f".{_HOMES[name]}", __name__), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
