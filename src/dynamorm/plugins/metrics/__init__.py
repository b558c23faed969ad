"""Figures of what a database does: `Metrics`, which needs nothing, and `MetricsPlugin` for Prometheus."""

from typing import TYPE_CHECKING, Any

from .metrics import Metrics as Metrics

if TYPE_CHECKING:
    from .prometheus import MetricsPlugin as MetricsPlugin

__all__ = ["Metrics", "MetricsPlugin"]


def __getattr__(name: str) -> Any:
    if name != "MetricsPlugin":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from . import prometheus  # who asks for figures alone does not need it

    return prometheus.MetricsPlugin


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__} - {"Any", "TYPE_CHECKING"})
