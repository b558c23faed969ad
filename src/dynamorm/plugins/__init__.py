"""The plugins that come with the library, each in a module of its own: nothing of them is loaded before its first use."""

from __future__ import annotations

from typing import Any, Final

_HOMES: Final = {
    "CostPlugin": "cost",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
