"""Checkpoints of long commands: a process ends amid each of them, and the next one goes on."""

from __future__ import annotations

import json
import os
from base64 import b64decode, b64encode
from pathlib import Path
from typing import Any

import pytest

import dynamorm
from dynamorm import DB, Attr, ChangeTrackingConfig, Encrypted, LocalKeyProvider, Model, Presets, attr, partition_key
from dynamorm.__main__ import main
from dynamorm.adapters.cli.transfer import pages, protecting
from dynamorm.adapters.cli.transfer.checkpoint import Checkpoint
from dynamorm.adapters.cli.transfer.pace import Pace
from dynamorm.adapters.cli.transfer.parts import Part

from .kit import World, asked, story


class Filled(Model, table="golden-filled"):
    id: Attr[str] = partition_key()
    number: Attr[int]
    done: Attr[bool] = attr(default=False)


class Other(Model, table="golden-filled-other"):
    id: Attr[str] = partition_key()


class Card(Model, table="golden-command-cards"):
    token: Attr[str] = partition_key()
    number: Attr[str] = attr(Encrypted("pii"))


class Payment(Model, table="golden-command-payments"):
    id: Attr[str] = partition_key()
    amount: Attr[int]


MODELS = (Filled, Other, Card, Payment)
COUNT = 12
COMMANDS = {
    "export": ("export", "golden-filled", "out.jsonl"),
    "import": ("import", "golden-filled-other", "in.jsonl", "--yes"),
    "copy": ("copy", "golden-filled", "golden-filled-other", "--yes"),
    "backfill": ("backfill", "golden-filled", f"{__name__}:marked"),
    "audit verify": ("audit", "verify", f"{__name__}:Payment", "--db", f"{__name__}:open_db"),
    "keys reencrypt": ("keys", "reencrypt", f"{__name__}:Card", "--db", f"{__name__}:open_db", "--yes"),
}
MODIFIED = 1_700_000_000_000_000_000
"""When the file of the import was written, in nanoseconds: a file that has changed since is another one."""


def marked(item: dict[str, Any]) -> dict[str, Any] | None:
    """What the backfill does."""
    return None if item["done"] else {**item, "done": True}


def open_db() -> DB:
    """The database of a program, as the command line opens it."""
    db = DB(Presets.local_development())
    _protect(db, Path(os.environ["GOLDEN_KEYS"]))
    return db


def _protect(db: DB, keys: Path) -> None:
    db.enable_audit_log(audit_key=b"k" * 32)
    db.enable_change_tracking(Payment, ChangeTrackingConfig(fields=["amount"], store="golden-command-log"))
    db.set_encryption_provider(LocalKeyProvider(keys))


def _tables(db, folder, kept):
    if kept:
        (folder / "keys").write_bytes(b64decode(kept["keys"]))
        (folder / "keys").chmod(0o600)
    _protect(db, folder / "keys")
    db.tables.ensure(*MODELS)


class Killed(BaseException):
    """The end of a process."""


def _command(here: World, *arguments: str, killed: bool = False) -> tuple[int | None, str, str]:
    """Run a command in the folder of the world: its code, what it prints, and what it tells beside. It may be killed behind its first part."""
    out, err = here.folder / "out.txt", here.folder / "err.txt"
    add, lines = Checkpoint.add, []

    def added(self: Checkpoint, line: dict[str, Any]) -> None:
        add(self, line)
        lines.append(line)
        if killed and len(lines) == 2:  # the first one says what was asked for
            raise Killed

    with pytest.MonkeyPatch.context() as patch, out.open("w+") as to, err.open("w+") as beside:
        patch.chdir(here.folder)
        patch.setenv("DYNAMODB_ENDPOINT", here.engine.address)
        patch.setenv("GOLDEN_KEYS", str(here.folder / "keys"))
        patch.setattr("sys.stdout", to)
        patch.setattr("sys.stderr", beside)
        if killed:  # each part is one page of five items, so that a key is noted behind which the next process goes on
            patch.setattr(Checkpoint, "add", added)
            patch.setattr(Pace, "page_limit", lambda self, segments: {"Limit": 5})
            patch.setattr(Part, "is_full", True)
            patch.setattr(pages, "_LONGEST", -1.0)
            patch.setattr(protecting, "_LONGEST", -1.0)
            patch.setattr(protecting, "_PAGE", 2)
        try:
            code = main([*arguments, "--json", *(() if arguments[0] == "import" else ("--segments", "1"))])
        except Killed:
            code = None
    return code, out.read_text(), err.read_text()


def _places(here: World) -> dict[str, str]:
    """What tells the tables and the folder of this world from those of another one."""
    ids = {
        f"{{id of {name}}}": asked(here.engine, "DescribeTable", TableName=name)["Table"]["TableId"]
        for name in ("golden-filled", "golden-filled-other", "golden-command-cards", "golden-command-payments")
    }
    return {**ids, "{folder}": str(here.folder.resolve())}


def _files(folder: Path) -> list[Path]:
    found = [path for path in folder.rglob("*") if path.is_file()]
    return sorted(path for path in found if "checkpoint" in path.name or ".parts" in str(path))


def _read(here: World, kept):
    (here.folder / "in.jsonl").write_text(kept["in.jsonl"])
    os.utime(here.folder / "in.jsonl", ns=(MODIFIED, MODIFIED))
    for name, text in kept.items():
        if name in {"keys", "in.jsonl"}:
            continue
        for place, value in _places(here).items():
            text = text.replace(place, value)  # noqa: PLW2901 - of the other world
        path = here.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    found = {}
    for name, arguments in COMMANDS.items():
        code, out, err = _command(here, *arguments)
        found[name] = [code, "going on behind" in err, [json.loads(line) for line in out.splitlines()]]
    return {
        **found,
        "exported": sorted((here.folder / "out.jsonl").read_text().splitlines()),
        "left": _files(here.folder),
    }


@story(_tables, _read)
def checkpoints_of_commands(here: World):
    db = here.db
    db.batch_write(puts=[Filled(id=f"i{number:02d}", number=number) for number in range(COUNT)])
    with dynamorm.actor("user:1"):
        for number in range(6):
            db.create(Payment(id=f"p{number}", amount=number))
    for number in range(6):
        db.create(Card(token=f"c{number}", number="4111111111111111"))
    db.keys.rotate("pii")
    code, _, err = _command(here, "export", "golden-filled", "in.jsonl")
    assert code == 0, err
    os.utime(here.folder / "in.jsonl", ns=(MODIFIED, MODIFIED))
    for name, arguments in COMMANDS.items():
        code, _, err = _command(here, *arguments, killed=True)
        assert code is None, (name, err)
    kept = {
        "keys": b64encode((here.folder / "keys").read_bytes()).decode(),
        "in.jsonl": (here.folder / "in.jsonl").read_text(),
    }
    for path in _files(here.folder):
        text = path.read_text()
        for place, value in _places(here).items():
            text = text.replace(value, place)
        kept[path.relative_to(here.folder).as_posix()] = text
    return kept
