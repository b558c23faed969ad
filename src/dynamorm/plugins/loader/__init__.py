"""A loader: the gets of one moment are read together, each item once."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .aio import AsyncLoader
    from .blocking import Later, Loader

__all__ = ["AsyncLoader", "Later", "Loader"]


_HOMES = {"AsyncLoader": ".aio", "Later": ".blocking", "Loader": ".blocking"}


def __getattr__(name: str) -> Any:
    if name in _HOMES:  # a program has one of the two
        return getattr(import_module(_HOMES[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
