"""What worker processes run: it must be importable by name in a process that knows nothing of the tests."""

from __future__ import annotations

from typing import Any

from dynamorm import DB, Attr, Model, Presets, partition_key
from dynamorm.effects import TransportError
from dynamorm.faces import verbs
from dynamorm.session import Session
from dynamorm.testing import ScriptedDriver


class Payment(Model, table="payments"):
    """What is written."""

    id: Attr[str] = partition_key()


def _scripted(**failure: Any) -> DB:
    """A database whose every request fails in this way."""
    config = Presets.local_development(endpoint="http://127.0.0.1:9")
    driver = ScriptedDriver(lambda _: TransportError("receive", "reset", **failure))
    db = DB(config)
    db._session = Session(config, driver.clock)
    db._session.stand_in(verbs)
    db._io = driver
    db._session.run = driver.run
    return db


def fail(how: str) -> None:
    """Raise one of the errors that carry those of the earlier attempts."""
    if how == "ConnectFailed":
        with DB(Presets.local_development(endpoint="http://127.0.0.1:9", retry_base=0.001)) as db:
            db.get(Payment, "p1")
    elif how == "Unavailable":
        _scripted(sent=True).get(Payment, "p1")
    else:
        _scripted(sent=True).put(Payment(id="p1"))
