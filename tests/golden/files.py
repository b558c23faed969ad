"""What stays in files: checkpoints of long commands, and the spool of a batcher."""

from __future__ import annotations

import json
import time
from base64 import b64decode, b64encode
from pathlib import Path
from typing import Any

import pytest

from dynamorm import Attr, BatchConfig, Model, attr, partition_key, version
from dynamorm.__main__ import main
from dynamorm.errors import DynamORMError

from .kit import World, asked, story


class Filled(Model, table="golden-filled"):
    id: Attr[str] = partition_key()
    number: Attr[int]
    filler: Attr[str] = attr(default="")
    done: Attr[bool] = attr(default=False)


COUNT = 8
FIRST = 3
"""So many items are done before the process ends; two are a page."""
_LEFT: list[int] = []


def marks(item: dict[str, Any]) -> dict[str, Any] | None:
    """What the backfill does, until the process ends."""
    if _LEFT:
        if _LEFT[0] == FIRST:
            time.sleep(0.6)  # for as long as a part of the work may take: after its page it is noted
        _LEFT[0] -= 1
        if _LEFT[0] < 0:
            raise KeyboardInterrupt
    return None if item["done"] else {**item, "done": True}


def _filled(db, folder, kept):
    db.tables.ensure(Filled)
    # They are no part of what is kept: only the checkpoint is.
    db.batch_write(puts=[Filled(id=f"i{number:02d}", number=number, filler="x" * 350_000) for number in range(COUNT)])


def _command(here: World, *arguments: str) -> tuple[int, str, str]:
    """Run a command in the folder of the world. Returns its code, what it prints, and what it tells beside it."""
    out, err = here.folder / "out.txt", here.folder / "err.txt"
    with pytest.MonkeyPatch.context() as patch, out.open("w+") as to, err.open("w+") as beside:
        patch.chdir(here.folder)
        patch.setenv("DYNAMODB_ENDPOINT", here.engine.address)
        patch.setattr("sys.stdout", to)
        patch.setattr("sys.stderr", beside)
        code = main(list(arguments))
    return code, out.read_text(), err.read_text()


def _place(here: World) -> dict[str, str]:
    """What tells the table and the folder of this world from others."""
    table = asked(here.engine, "DescribeTable", TableName="golden-filled")["Table"]
    return {"{id}": table["TableId"], "{folder}": str(here.folder.resolve())}


def _kept(here: World, path: Path) -> str:
    text = path.read_text()
    for name, value in _place(here).items():
        text = text.replace(value, name)
    return text


def _put_back(here: World, path: Path, text: str) -> None:
    for name, value in _place(here).items():
        text = text.replace(name, value)
    path.write_text(text)


def _emptied(here: World) -> None:
    for number in range(COUNT):
        asked(here.engine, "DeleteItem", TableName="golden-filled", Key={"id": {"S": f"i{number:02d}"}})


BACKFILL = (
    "backfill",
    "golden-filled",
    f"{__name__}:marks",
    "--segments",
    "1",
    "--checkpoint",
    "backfill.checkpoint",
    "--json",
)


def _backfill_read(here: World, kept):
    _put_back(here, here.folder / "backfill.checkpoint", kept["backfill.checkpoint"])
    _LEFT[:] = []
    code, out, err = _command(here, *BACKFILL)
    told = json.loads(out)
    return {
        "code": code,
        "went on": "going on behind" in err,
        "items": told["items"],
        "done now": here.db.model(Filled).filter(Filled.done == True).allow_scan().count(),  # noqa: E712
    }


@story(_filled, _backfill_read)
def checkpoint_of_a_backfill(here: World):
    _LEFT[:] = [FIRST]
    code, _, err = _command(here, *BACKFILL)
    assert code == 130, err
    kept = {"backfill.checkpoint": _kept(here, here.folder / "backfill.checkpoint")}
    _emptied(here)
    return kept


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
