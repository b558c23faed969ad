"""``audit`` and ``keys``: on the database of a program, which alone knows its keys: ``--db module:name``, a `DB` or what gives one."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from dynamorm.errors import ConfigError, CredentialsError, EncryptionNotConfigured
from dynamorm.models.schema.schema import schema_of
from dynamorm.plugins.audit import Digest, Sealed

from ..command import command
from ..ends import Code, Stop, end_of
from ..program import Program, database
from ..settings import Settings, models_of
from ..transfer import protecting
from ..transfer.executors import checked
from ..transfer.pace import Pace
from ..typed import HIDDEN, Typed
from .transfers import CHECKPOINT, ON, PATIENCE, RATE, RESTART, SEGMENTS, WORKERS

DATABASE = Annotated[
    str, typer.Option("--db", metavar="MODULE:NAME", help="the program's database, or a function that opens it")
]
MODEL = Annotated[str, typer.Argument(metavar="MODULE:MODEL", help="a model", show_default=False)]
YES = Annotated[bool, typer.Option("--yes", help="do it without asking")]
TENANT = Annotated[str | None, typer.Option("--tenant", help="whose keys", show_default=False)]


def add(app: typer.Typer) -> None:
    """Add the commands."""
    audit = typer.Typer(help="The audit trail: history, verify, export.", rich_markup_mode=None)
    app.add_typer(audit, name="audit")
    command(audit, "history")(history)
    command(audit, "verify")(verify)
    command(audit, "export")(export)
    keys = typer.Typer(help="Keys of encrypted fields: rotate, reencrypt.", rich_markup_mode=None)
    app.add_typer(keys, name="keys")
    command(keys, "rotate")(rotate)
    command(keys, "reencrypt")(reencrypt)


def history(
    settings: Settings,
    *,
    model: MODEL,
    pk: Annotated[str, typer.Argument(metavar="PK", help="the partition key")],
    sk: Annotated[str | None, typer.Argument(metavar="[SK]", help="the sort key")] = None,
    db: DATABASE,
) -> None:
    """Show every record of an item, the oldest first. Protected values stay hidden. Exit code 3 where there is none."""
    found = one_model(model)
    opened = database(settings, db)
    with _of_program(db):
        records = opened.audit.history(found, *Typed(opened, found).key(pk, sk))
    if not records:
        raise Stop(Code.NOT_FOUND, f"nothing is recorded of this item of {schema_of(found).name}")
    for record in records:
        changes = [{"field": one.field, "old": _shown(one.old), "new": _shown(one.new)} for one in record.changes]
        at = record.at.isoformat()
        settings.out.row(version=record.version, op=record.op, at=at, by=record.by, ip=record.ip, changes=changes)


def _shown(value: Any) -> Any:
    """A recorded value as JSON has it: nothing of one that is protected."""
    if isinstance(value, (Sealed, Digest)):
        return HIDDEN
    return msgspec.to_builtins(value, enc_hook=str)


def verify(
    settings: Settings,
    *,
    model: MODEL,
    pk: Annotated[str | None, typer.Argument(metavar="[PK]", help="one item; without it all of them")] = None,
    sk: Annotated[str | None, typer.Argument(metavar="[SK]", help="the sort key")] = None,
    db: DATABASE,
    segments: SEGMENTS = 4,
    on: ON = "threads",
    workers: WORKERS = None,
    rate: RATE = None,
    patience: PATIENCE = 60.0,
    checkpoint: CHECKPOINT = None,
    restart: RESTART = False,
) -> None:
    """Look whether the records of an item hold, and the item with them; or of all items. Exit code 1 where one does not."""
    found = one_model(model)
    opened = database(settings, db)
    if pk is not None:
        with _of_program(db):
            row = protecting.verified(opened, found, Typed(opened, found).key(pk, sk))
        settings.out.row(**row)
        if not row["ok"]:
            raise Stop(Code.REFUSED, "the records of the item do not hold")
    else:
        wanted = protecting.Whole(Program(db, opened), found, model, segments, checked(on, workers), checkpoint)
        with _of_program(db):
            protecting.verify(settings, wanted, pace=Pace(patience=patience, rate=rate), restart=restart)
    settings.out.note("all records that were looked at hold")


def export(
    settings: Settings,
    *,
    model: MODEL,
    path: Annotated[Path, typer.Argument(metavar="PATH", help="a new file")],
    db: DATABASE,
) -> None:
    """Write the records of a model's store to a new file, as lines of JSON; they are not checked."""
    found = one_model(model)
    opened = database(settings, db)
    try:
        with _of_program(db):
            count = opened.audit.export(path, found)
    except FileExistsError:
        raise Stop(Code.USAGE, f"{path} is there already: give another path") from None
    settings.out.row(path=str(path), records=count)


def rotate(
    settings: Settings,
    *,
    ring: Annotated[str, typer.Argument(metavar="RING", help="the ring of keys", show_default=False)],
    models: Annotated[list[str], typer.Argument(metavar="MODULE:MODEL...", help="the models that have it")],
    db: DATABASE,
    tenant: TENANT = None,
    yes: YES = False,
) -> None:
    """Make a new key for what is written from now on, in the tables of the models. What is there is read with its own key."""
    if not yes:
        raise Stop(Code.USAGE, "give --yes: from now on the ring has another key")
    opened = database(settings, db)
    with _of_program(db):
        for model in models_of(models):
            opened._session.plan(model)  # noqa: SLF001 - a ring is rotated in the tables of the models that were used
        report = opened.keys.rotate(ring, tenant=tenant)
    for table, version in report.versions.items():
        until = report.old_writers_until.isoformat()
        settings.out.row(table=table, version=version, former=report.former.get(table), old_writers_until=until)
    settings.out.note("behind that time: dynamorm keys reencrypt, once for each model")


def reencrypt(
    settings: Settings,
    *,
    model: MODEL,
    db: DATABASE,
    tenant: TENANT = None,
    yes: YES = False,
    segments: SEGMENTS = 4,
    on: ON = "threads",
    workers: WORKERS = None,
    rate: RATE = None,
    patience: PATIENCE = 60.0,
    checkpoint: CHECKPOINT = None,
    restart: RESTART = False,
) -> None:
    """Store every item of a model under the key in use. It may be interrupted: the same command goes on."""
    if not yes:
        raise Stop(Code.USAGE, "give --yes: items are written anew")
    found = one_model(model)
    opened = database(settings, db)
    wanted = protecting.Whole(Program(db, opened), found, model, segments, checked(on, workers), checkpoint)
    with _of_program(db):
        protecting.reencrypt(settings, wanted, tenant, pace=Pace(patience=patience, rate=rate), restart=restart)


@contextmanager
def _of_program(name: str) -> Generator[None, None, None]:
    """What the program's database was not told is wrong usage of the command, which reaches a DynamoDB all the same."""
    try:
        yield
    except CredentialsError:
        raise
    except (ConfigError, EncryptionNotConfigured) as error:
        raise Stop(Code.USAGE, f"{end_of(error).message}; look at what --db {name[:60]} opens") from error


def one_model(name: str) -> type[Any]:
    """The one model that an argument names. Raises: Stop."""
    found = models_of([name])
    if len(found) != 1:
        raise Stop(Code.USAGE, f"{name!r} has {len(found)} models: name one, module:Model")
    return found[0]
