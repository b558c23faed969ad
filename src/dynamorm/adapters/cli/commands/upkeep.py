"""``backfill``, ``cost`` and ``doctor``: what a table needs while it is in use."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Final

import typer

from dynamorm.features.tables import look
from dynamorm.plugins.cost import prices_of

from ..command import command
from ..doctor import examine
from ..ends import Code, Stop
from ..settings import Settings, function_of
from ..transfer import backfilling
from ..transfer.executors import checked
from ..transfer.pace import Pace
from ..watched import Watched
from .transfers import CHECKPOINT, ON, PATIENCE, RATE, RESTART, SEGMENTS, WORKERS

TABLE = Annotated[str, typer.Argument(metavar="TABLE", help="the name of a table", show_default=False)]
_GIGABYTE: Final = Decimal(2**30)
_OVERHEAD: Final = 100
"""Bytes that each item costs besides its own.
Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html"""
_HOURS: Final = Decimal(730)


def add(app: typer.Typer) -> None:
    """Add the commands."""
    command(app, "backfill")(backfill)
    command(app, "cost")(cost)
    command(app, "doctor")(doctor)


def backfill(
    settings: Settings,
    *,
    table: TABLE,
    function: Annotated[str, typer.Argument(metavar="MODULE:FUNCTION", help="of an item, gives the item or None")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="tell what would be changed, and change nothing")] = False,
    segments: SEGMENTS = 4,
    on: ON = "threads",
    workers: WORKERS = None,
    rate: RATE = None,
    patience: PATIENCE = 60.0,
    checkpoint: CHECKPOINT = None,
    restart: RESTART = False,
) -> None:
    """Let a function change all items of a table, each on condition that nobody has changed it meanwhile.

    The function takes an item as a dict of plain values, and gives it back changed, or None to leave it as it is. It may be
    given an item twice, so what it has changed already must stay.
    """
    if settings.options.models is not None:
        raise Stop(Code.USAGE, "backfill works on items as they are stored: leave --models out")
    work = Watched(function_of(function), function)
    wanted = backfilling.Backfill(table, function, segments, dry_run, checkpoint, checked(on, workers))
    backfilling.backfill(settings, wanted, work, pace=Pace(patience=patience, rate=rate), restart=restart)


def cost(
    settings: Settings,
    *,
    table: TABLE,
    reads: Annotated[int, typer.Option("--reads", min=0, help="read units a month (4 KB each)")] = 0,
    writes: Annotated[int, typer.Option("--writes", min=0, help="write units a month (1 KB each)")] = 0,
) -> None:
    """Show what a table costs a month in dollars: storage, backups, provisioned units, and requests where you say how many."""
    raw = settings.table(table)
    live = raw.run(look.describe(raw.db._session, raw.name))  # noqa: SLF001 - it belongs to the library
    region = settings.db.config.region
    prices = prices_of(region)
    rare = live.table_class != "STANDARD"
    size = live.size_bytes + _OVERHEAD * live.item_count
    size += sum(index.size_bytes + _OVERHEAD * index.item_count for index in live.indexes.values())
    parts = {"storage": _priced(Decimal(size) / _GIGABYTE, prices.of("storage", infrequent=rare))}
    if live.point_in_time_recovery:
        parts["recovery"] = _priced(Decimal(live.size_bytes) / _GIGABYTE, prices.of("pitr"))
    if live.billing_mode == "PROVISIONED":
        bought = [live.throughput, *(index.throughput for index in live.indexes.values())]
        for name in ("read", "write"):
            units = Decimal(sum(getattr(one, name) or 0 for one in bought if one is not None))
            parts[f"provisioned {name}s"] = _priced(units * _HOURS, prices.of(f"provisioned_{name}", infrequent=rare))
    else:
        parts["reads"] = _priced(Decimal(reads), prices.of("read", infrequent=rare))
        parts["writes"] = _priced(Decimal(writes), prices.of("write", infrequent=rare))
    total = sum((part for part in parts.values() if part is not None), Decimal(0))
    rows: list[tuple[str, Any]] = [(name, _dollars(part)) for name, part in parts.items()]
    settings.out.table(("part", "dollars_a_month"), [*rows, ("total", _dollars(total))])
    settings.out.note(
        f"prices of {region}, {prices.priced_on}; sizes are DynamoDB's own, up to six hours old; free tiers are not subtracted"
    )


def _priced(count: Decimal, price: Decimal | None) -> Decimal | None:
    return Decimal(0) if not count else None if price is None else count * price


def _dollars(amount: Decimal | None) -> str:
    return "not known" if amount is None else f"{amount:.4f}"


def doctor(
    settings: Settings,
    *,
    table: Annotated[str | None, typer.Argument(metavar="[TABLE]", help="look at this table, too")] = None,
    key: Annotated[
        str | None, typer.Option("--key", help="the partition key to ask with, for policies that allow some alone")
    ] = None,
) -> None:
    """Look at each step of the way to DynamoDB: settings, TLS, connection, credentials, clock; a table, its models, permissions.

    Nothing is changed. Exit code 4 where nothing is reached, 1 where something is refused.
    """
    if key is not None and table is None:
        raise Stop(Code.USAGE, "--key is for a table: name it")
    worst = Code.DONE
    for finding in examine(settings, table, key):
        settings.out.row(**finding.shown()) if settings.out.json else settings.out.line(str(finding))
        if finding.code is not Code.DONE and worst is Code.DONE:
            worst = finding.code
    if worst is not Code.DONE:
        raise Stop(worst, "see what is said of the steps that failed")
