"""What the library ships over the moments of `dynamorm.plugin`: each part is independent of the others, and is loaded when it is used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .batcher import AsyncBatcher, BatchConfig, Batcher

    __all__ = ["AsyncBatcher", "BatchConfig", "Batcher"]
else:
    _HOMES = {
        "AsyncBatcher": "batcher",
        "BatchConfig": "batcher",
        "Batcher": "batcher",
    }
    __all__ = list(_HOMES)

    def __getattr__(name: str) -> Any:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module  # costs nothing more: it is loaded by then

        found = globals()[name] = getattr(import_module(f".{_HOMES[name]}", __name__), name)
        return found
