"""Whole tables as functions: what ``dynamorm export``, ``import``, ``copy``, ``backfill``, ``keys reencrypt`` and ``audit verify`` do.

``on`` is an executor, as `dynamorm.spread` has it: one of `concurrent.futures`, a Dask ``Client``; or ``"threads"``, ``"processes"``,
``"dask:ADDRESS"``. Each call may be killed, and goes on when it is made with the same arguments again. It returns its counts, and
raises `Stop` where a command would end with another exit code than 0: that is its ``code``, and the ``message`` says what to do, by the
names of the command's options: ``--restart`` is ``restart=True`` here, which begins anew; ``rate`` bounds items per second, ``patience``
is for how many seconds throttled requests are tried again, and ``checkpoint`` is the file that holds how far the work is.

Example::

    from concurrent.futures import ProcessPoolExecutor

    from dynamorm.adapters import whole_tables

    with ProcessPoolExecutor(8) as executor:
        done = whole_tables.export("orders", "orders.jsonl", segments=64, on=executor)
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dynamorm import Config
from dynamorm.models.schema.overriding import override
from dynamorm.models.schema.schema import schema_of

from .cli.ends import Code, Stop
from .cli.formats.known import format_of
from .cli.out import Out
from .cli.program import Program, database
from .cli.settings import Options, Settings
from .cli.transfer import backfilling, copying, exporting, importing, protecting
from .cli.transfer.executors import Workers, checked
from .cli.transfer.pace import Pace

__all__ = ["Stop", "backfill", "copy", "export", "import_", "reencrypt", "verify"]


class _Kept(Out):
    """Keeps results, and says nothing."""

    def __init__(self) -> None:
        super().__init__(json=True)
        self.rows: list[dict[str, Any]] = []

    @override
    def row(self, **members: Any) -> None:
        self.rows.append(members)

    @override
    def note(self, text: str) -> None:
        """It is for people."""


@contextmanager
def _opened(config: Config | None) -> Generator[tuple[Settings, list[dict[str, Any]]], None, None]:
    """The settings of one call, and its results."""
    settings, kept = Settings(Options(), config), _Kept()
    settings.out = kept
    try:
        yield settings, kept.rows
    finally:
        settings.close()


def _pace(rate: float | None, patience: float) -> Pace:
    if rate is not None and not rate > 0:
        raise Stop(Code.USAGE, f"rate={rate!r}: give items per second, more than 0, or None for as many as can be")
    if not patience >= 0:
        raise Stop(Code.USAGE, f"patience={patience!r}: give seconds, 0 or more")
    return Pace(patience=patience, rate=rate)


def _path(given: str | os.PathLike[str] | None) -> Path | None:
    return None if given is None else Path(given)


def _workers(on: Any, count: int | None) -> Workers:
    return checked(on, count) if isinstance(on, str) else Workers(on, count)


def export(
    table: str,
    path: str | os.PathLike[str],
    *,
    format: str | None = None,
    segments: int = 4,
    consistent: bool = False,
    index: str | None = None,
    on: Any = "threads",
    workers: int | None = None,
    rate: float | None = None,
    patience: float = 60.0,
    restart: bool = False,
    config: Config | None = None,
) -> dict[str, Any]:
    """Write all items of a table to a file, or a folder, which all workers see.

    Example: ``whole_tables.export("orders", "orders.parquet", segments=64, on=client)["items"]``
    """
    with _opened(config) as (settings, rows):
        kind, spread = format_of(Path(path), format), _workers(on, workers)
        wanted = exporting.Export(
            table, Path(path), kind, segments, consistent, index, safe_spreadsheet=False, workers=spread
        )
        exporting.export(settings, wanted, pace=_pace(rate, patience), restart=restart)
    return rows[-1]


def import_(
    table: str,
    path: str | os.PathLike[str],
    *,
    format: str | None = None,
    if_absent: bool = False,
    on: Any = "threads",
    workers: int | None = None,
    rate: float | None = None,
    patience: float = 60.0,
    restart: bool = False,
    checkpoint: str | os.PathLike[str] | None = None,
    config: Config | None = None,
) -> dict[str, Any]:
    """Store all items of a file in a table, in place of those with the same keys. The file is read here, and sent to the workers.

    Example: ``whole_tables.import_("orders", "orders.parquet", on="processes")["written"]``
    """
    with _opened(config) as (settings, rows):
        kind = format_of(Path(path), format)
        wanted = importing.Import(table, Path(path), kind, _workers(on, workers), if_absent, {}, _path(checkpoint))
        importing.import_(settings, wanted, pace=_pace(rate, patience), restart=restart)
    return rows[-1]


def copy(
    source: str,
    target: str,
    *,
    segments: int = 4,
    consistent: bool = False,
    on: Any = "threads",
    workers: int | None = None,
    rate: float | None = None,
    patience: float = 60.0,
    restart: bool = False,
    checkpoint: str | os.PathLike[str] | None = None,
    config: Config | None = None,
) -> dict[str, Any]:
    """Store all items of a table in another one, in place of those with the same keys.

    Example: ``whole_tables.copy("orders", "orders-2", segments=64, on=client)["written"]``
    """
    with _opened(config) as (settings, rows):
        wanted = copying.Copy(source, target, Options(), segments, consistent, _path(checkpoint), _workers(on, workers))
        copying.copy(settings, wanted, pace=_pace(rate, patience), restart=restart)
    return rows[-1]


def backfill(
    table: str,
    function: Callable[[dict[str, Any]], dict[str, Any] | None],
    *,
    segments: int = 4,
    dry_run: bool = False,
    on: Any = "threads",
    workers: int | None = None,
    rate: float | None = None,
    patience: float = 60.0,
    restart: bool = False,
    checkpoint: str | os.PathLike[str] | None = None,
    config: Config | None = None,
) -> dict[str, Any]:
    """Let a function change all items of a table, each on condition that nobody has changed it meanwhile. Workers import it.

    Example: ``whole_tables.backfill("orders", with_currency, segments=64, on=client)["changed"]``
    """
    name = f"{getattr(function, '__module__', '')}:{getattr(function, '__qualname__', 'function')}"
    with _opened(config) as (settings, rows):
        wanted = backfilling.Backfill(table, name, segments, dry_run, _path(checkpoint), _workers(on, workers))
        backfilling.backfill(settings, wanted, function, pace=_pace(rate, patience), restart=restart)
    return rows[-1]


def reencrypt(
    model: type[Any],
    db: str,
    *,
    tenant: str | None = None,
    segments: int = 4,
    on: Any = "threads",
    workers: int | None = None,
    rate: float | None = None,
    patience: float = 60.0,
    restart: bool = False,
) -> dict[str, Any]:
    """Store every item of a model under the key in use. ``db`` is ``"module:name"``, by which workers open it.

    Example: ``whole_tables.reencrypt(Card, "shop:open_db", segments=64, on=client)["complete"]``
    """
    with _opened(None) as (settings, rows):
        wanted = _whole(settings, model, db, segments, _workers(on, workers))
        protecting.reencrypt(settings, wanted, tenant, pace=_pace(rate, patience), restart=restart)
    return rows[-1]


def verify(
    model: type[Any],
    db: str,
    *,
    segments: int = 4,
    on: Any = "threads",
    workers: int | None = None,
    rate: float | None = None,
    patience: float = 60.0,
    restart: bool = False,
) -> None:
    """Verify the audit records of all items of a model; `Stop` where some do not hold. ``db`` is as in `reencrypt`.

    Example: ``whole_tables.verify(Payment, "shop:open_db", segments=64, on=client)``
    """
    with _opened(None) as (settings, _):
        wanted = _whole(settings, model, db, segments, _workers(on, workers))
        protecting.verify(settings, wanted, pace=_pace(rate, patience), restart=restart)


def _whole(settings: Settings, model: type[Any], db: str, segments: int, workers: Workers) -> protecting.Whole:
    schema = schema_of(model)
    opened = database(settings, db)
    return protecting.Whole(Program(db, opened), model, f"{model.__module__}:{schema.name}", segments, workers)
