"""A batcher: items are added one by one, and written in requests of many, by threads or by tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .config import BatchConfig

if TYPE_CHECKING:
    from .aio import AsyncBatcher
    from .blocking import Batcher

__all__ = ["AsyncBatcher", "BatchConfig", "Batcher"]


def __getattr__(name: str) -> Any:
    if name == "Batcher":
        from .blocking import Batcher  # a program has one of the two

        return Batcher
    if name == "AsyncBatcher":
        from .aio import AsyncBatcher  # a program has one of the two

        return AsyncBatcher
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
