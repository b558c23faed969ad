"""The plugins that come with the library. Each is a module of its own, loaded when one of its names is asked for."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .batcher import AsyncBatcher as AsyncBatcher
    from .batcher import BatchConfig as BatchConfig
    from .batcher import Batcher as Batcher
    from .cache import Cache as Cache
    from .cache import CacheConfig as CacheConfig
    from .cache import CachingPlugin as CachingPlugin
    from .cost import CostPlugin as CostPlugin

_HOMES = {
    "AsyncBatcher": "batcher",
    "BatchConfig": "batcher",
    "Batcher": "batcher",
    "Cache": "cache",
    "CacheConfig": "cache",
    "CachingPlugin": "cache",
    "CostPlugin": "cost",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    found = globals()[name] = getattr(import_module(f".{_HOMES[name]}", __name__), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
