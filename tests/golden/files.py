"""What stays outside of tables: the spool of a batcher, and answers that are kept in Redis."""

from __future__ import annotations

from base64 import b64decode, b64encode
from pathlib import Path
from typing import NamedTuple

import pytest

from dynamorm import Attr, BatchConfig, Model, attr, partition_key, version
from dynamorm.errors import DynamORMError
from dynamorm.plugins.cache.entry import Entry, Sealer

from .kit import World, story


class _Sealer(NamedTuple):
    """What an answer in Redis is sealed with, and where it lies."""

    sealer: Sealer
    name: bytes


def _sealer() -> _Sealer:
    sealer = Sealer(b"m" * 32, ("aws", "eu-west-1", "account 123456789012"))
    return _Sealer(sealer, sealer.name("item", ("payments", '{"id":{"S":"p1"}}')))


def _cached_read(here: World, kept):
    sealer, name = _sealer()
    tampered: list[str] = []
    entry = sealer.open(name, b64decode(kept["value"]), 1_700_000_000_500, lambda: tampered.append("yes"))
    return {"name": name.decode() == kept["name"], "entry": entry, "tampered": tampered}


@story(lambda db, folder, kept: None, _cached_read)
def an_answer_in_redis(here: World):
    sealer, name = _sealer()
    entry = Entry(1_700_000_000_000, 1_700_000_001_000, b"12345678", b'{"Item":{"id":{"S":"p1"}}}')
    return {"name": name.decode(), "value": b64encode(sealer.seal(name, entry)).decode()}


class Event(Model, table="golden-spooled"):
    id: Attr[str] = partition_key()
    kind: Attr[str] = attr(default="")


class Payment(Model, table="golden-spooled-payments"):
    id: Attr[str] = partition_key()
    amount: Attr[int] = attr(default=0)
    version: Attr[int] = version()


def _spooled(db, folder, kept):
    db.tables.ensure(Event, Payment)


def _spool(folder: Path) -> BatchConfig:
    return BatchConfig(spool_dir=folder / "spool", max_wait=0.01, parallelism=1)


def _spool_read(here: World, kept):
    (here.folder / "spool").mkdir(mode=0o700)
    for name, text in kept.items():
        path = here.folder / "spool" / name
        path.write_bytes(b64decode(text) if name == "secret" else text.encode())
        path.chmod(0o600)
    with here.db.new_batcher(_spool(here.folder)) as batcher:
        replayed = batcher.replayed
        found = {"kept": len(replayed.kept), "superseded": len(replayed.superseded)}
    return {**found, "items": [here.db.get(Event, "e1"), here.db.get(Payment, "p1"), here.db.get(Payment, "p2")]}


@story(_spooled, _spool_read, operation_timeout=0.3)
def spool_of_a_batcher(here: World):
    payment = here.db.create(Payment(id="p1", amount=1))
    payment.amount = 5
    with here.engine.faults.throttle():
        batcher = here.db.new_batcher(_spool(here.folder))
        for one in (Event(id="e1", kind="refund"), payment, Payment(id="p2", amount=2)):
            with pytest.raises(DynamORMError):
                batcher.add(one).result(timeout=20)
        batcher.close()
    files = {path.name: path.read_bytes() for path in (here.folder / "spool").iterdir() if path.name != "lock"}
    return {name: b64encode(raw).decode() if name == "secret" else raw.decode() for name, raw in sorted(files.items())}
