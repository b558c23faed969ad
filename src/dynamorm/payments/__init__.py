"""What payments need beside items: operations that are run once, and their tables. Names are loaded when they are asked for."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .tables import ensure_tables as ensure_tables

__all__ = [
    "ensure_tables",
]

_HOMES = {
    "ensure_tables": "tables",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    found = globals()[name] = getattr(import_module(f".{_HOMES[name]}", __name__), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__} - {"Any", "TYPE_CHECKING"})
