"""Which face a database is of: the same for what it makes, for views, and for classes of a program's own, whatever their names."""

import asyncio

import pytest

from dynamorm import DB, AsyncDB, Attr, Config, Model, actor, partition_key
from dynamorm.engine import Engine
from dynamorm.payments.two_faces import is_async
from dynamorm.plugins.audit import AuditLog
from dynamorm.plugins.tenancy import Tenancy

from .audit_kit import KEY


class Note(Model, table="notes"):
    id: Attr[str] = partition_key()


class AsyncLooking(DB):
    """Of the blocking face, for all its name."""


class Looking(AsyncDB):
    """Of the asyncio face, for all its name."""


@pytest.mark.parametrize("kind", [DB, AsyncLooking, AsyncDB, Looking])
@pytest.mark.parametrize("plugins", [(), (AuditLog,), (AuditLog, Tenancy)])
def test_the_face_is_said_by_the_class_and_not_by_its_name(kind, plugins):
    wanted = issubclass(kind, AsyncDB)
    with Engine() as engine:
        db = kind(Config(engine=engine))
        db.use(*(AuditLog(audit_key=KEY) if plugin is AuditLog else plugin() for plugin in plugins))
        with actor("maker"):
            for made in (db, db.view(place="here"), db.model(Note), db.transaction()):
                assert made.is_async is wanted
            assert is_async(db) is wanted
            if plugins:
                assert db.audit.is_async is wanted
        if wanted:
            asyncio.run(db.close())
        else:
            db.close()
