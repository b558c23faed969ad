"""DynamoDB inside the process: `Engine`, in memory or in one file, for tests and development. It must not know models.

Example::

    from dynamorm import DB, Config
    from dynamorm.engine import Engine

    db = DB(Config(engine=Engine()))
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dynamorm.engine.engine import Engine as Engine
    from dynamorm.engine.engine import engine_at as engine_at
    from dynamorm.engine.http.server import Server as Server
    from dynamorm.engine.store.undo import Snapshot as Snapshot

__all__ = ["Engine", "Server", "Snapshot", "engine_at"]

_HOMES = {"Server": "dynamorm.engine.http.server", "Snapshot": "dynamorm.engine.store.undo"}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # The library itself needs `sizes` alone, and loads no engine for that.
    found = globals()[name] = getattr(import_module(_HOMES.get(name, "dynamorm.engine.engine")), name)
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
