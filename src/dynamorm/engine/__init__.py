"""DynamoDB inside the process: `Engine`, in memory or in one file, for tests and development. It must not know models.

Example::

    from dynamorm import DB, Config
    from dynamorm.engine import Engine

    db = DB(Config(engine=Engine()))
"""

from dynamorm.engine.engine import Engine as Engine
from dynamorm.engine.engine import Snapshot as Snapshot
from dynamorm.engine.engine import engine_at as engine_at

__all__ = ["Engine", "Snapshot", "engine_at"]
