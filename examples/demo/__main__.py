"""``python -m examples.demo``: starts an engine, loads payments, and proves that a lossy network makes no money."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from dynamorm import DB, Config, Presets
from dynamorm.engine import Engine
from dynamorm.errors import ConfigError
from dynamorm.testing import Fault, LossyProxy
from dynamorm.testing.proxy import WRITES

from . import boto
from .load import create_all
from .model import Payment, shipped_payments
from .storm import WRITERS, Books, Change, Kind, plan, run_ours

if TYPE_CHECKING:  # rich is an extra: a clear message goes before a traceback
    from .screen import Run, Screen

CURRENCY = "EUR"
HOT = 4
STORM = 240
"""Writes of one run: enough that a client which repeats writes cannot be right by luck."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo. Returns 0 when the sums are exact, 1 when ours are not, 2 when something is missing.

    Example: ``main(["--payments", "100", "--plain"])``
    """
    options = _options(arguments)
    try:
        with Engine() as engine:
            return _show(options, engine.address)
    except ConfigError as error:
        sys.stderr.write(f"{error.message}\n")
        return 2
    except ModuleNotFoundError as error:
        sys.stderr.write(f"the demo needs {error.name}: pip install 'dynamorm-py[demo]'\n")
        return 2


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m examples.demo", description=__doc__)
    parser.add_argument("--payments", type=_count, default=2_000, help="how many to create (default: 2000)")
    parser.add_argument("--writes", type=_count, default=STORM, help=f"writes in each storm (default: {STORM})")
    parser.add_argument("--loss", type=_share, default=0.15, help="share of replies to lose, 0 to 0.5 (default: 0.15)")
    parser.add_argument("--seed", type=int, default=7, help="of the amounts and of the losses (default: 7)")
    parser.add_argument(
        "--plain", "--no-color", dest="plain", action="store_true", help="no colours and no moving bars (NO_COLOR too)"
    )
    return parser.parse_args(arguments)


def _count(text: str) -> int:
    if not text.isdecimal() or not 100 <= int(text) <= 100_000:
        raise argparse.ArgumentTypeError("a whole number from 100 to 100000")
    return int(text)


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 0.5:
        raise argparse.ArgumentTypeError("a share from 0 to 0.5, such as 0.15")
    return share


def _show(options: argparse.Namespace, endpoint: str) -> int:
    from .life import live
    from .screen import Screen

    started = time.monotonic()
    screen = Screen(plain=options.plain or bool(os.environ.get("NO_COLOR")))
    screen.title("DynamORM", "Every number below is measured in this run, on an engine in a child process.")
    config = Presets.local_development(endpoint=endpoint)
    with DB(config) as db:
        live_table = db.tables.ensure(Payment)
    screen.say(f"  engine at {endpoint}, table {live_table.name!r} with index {', '.join(live_table.indexes)}")

    screen.heading(f"1  Create {options.payments:,} payments through both faces")
    payments = shipped_payments(options.payments)
    half = options.payments // 2
    with screen.bars(blocking_DB=half, asyncio_AsyncDB=options.payments - half) as ticks:
        create_all(config, payments, ticks["blocking_DB"], ticks["asyncio_AsyncDB"])

    screen.heading("2  One payment's life")
    screen.steps(live(config, payments[0]))

    screen.heading(f"3  {WRITERS} writers, {HOT} hot payments, {options.loss:.0%} of the replies lost")
    screen.say("  A proxy between client and engine lets the write through and then cuts the connection.", "dim")
    hot = [payment.id for payment in payments if payment.currency == CURRENCY][:HOT]
    runs = _storms(options, config, hot, screen)

    screen.heading("4  The proof")
    screen.proof(runs, CURRENCY)
    ours = [run for run in runs if run.client == "DynamORM"]
    _conclude(runs, screen, exact=all(run.drift == 0 for run in ours), true=all(run.is_true for run in ours))
    screen.say(f"  {time.monotonic() - started:.0f} s in all", "dim")
    return 0 if all(run.is_true for run in ours) else 1


def _storms(options: argparse.Namespace, config: Config, hot: list[str], screen: Screen) -> list[Run]:
    """Each kind of write through each client: the same changes, against the same kind of losses."""
    from .screen import Run

    changes = plan(hot, options.writes, options.seed)
    total = sum(map(len, changes))
    kinds: tuple[Kind, ...] = ("add", "save")
    clients = ("DynamORM", "boto3") if boto.available() else ("DynamORM",)
    bars = {f"{client}_{kind}": total for kind in kinds for client in clients}
    runs = []
    with screen.bars(**bars) as ticks:
        for kind in kinds:
            for client in clients:
                before = _stored(config, hot)
                started = time.monotonic()
                books, lost = _storm(client, kind, options, config, changes, ticks[f"{client}_{kind}"])
                seconds = time.monotonic() - started
                runs.append(Run(client, kind, books, lost, before, _stored(config, hot), seconds))
    if len(clients) == 1:
        screen.say("  boto3 is not installed, so there is nothing to compare with: pip install 'dynamorm-py[demo]'")
    return runs


def _storm(
    client: str,
    kind: Kind,
    options: argparse.Namespace,
    config: Config,
    changes: Sequence[list[Change]],
    tick: Callable[[], None],
) -> tuple[Books, int]:
    """One run behind a proxy of its own. Returns the writers' books, and how many replies were lost."""
    assert config.endpoint is not None  # it is the engine's
    losses = (Fault.RESET_APPLIED,)
    with LossyProxy(config.endpoint, seed=options.seed, loss=options.loss, faults=losses, operations=WRITES) as proxy:
        if client == "boto3":
            table = config.table_prefix + "payments"
            books = boto.run_boto3(proxy.endpoint, table, kind, changes, tick)
        else:
            books = run_ours(config.replace(endpoint=proxy.endpoint), kind, changes, tick)
        return books, proxy.faulted


def _stored(config: Config, hot: Sequence[str]) -> int:
    """The sum of the hot payments as stored, read past the proxy."""
    with DB(config) as db:
        return sum(db.require(Payment, one, consistent=True).amount for one in hot)


def _conclude(runs: Sequence[Run], screen: Screen, *, exact: bool, true: bool) -> None:
    settled = sum(run.books.settled for run in runs if run.client == "DynamORM")
    unknown = sum(run.books.unknown for run in runs if run.client == "DynamORM")
    if exact:
        screen.say("  DynamORM: drift 0. What was confirmed is stored, once.", "bold green")
    elif true:
        said = "1 write stayed" if unknown == 1 else f"{unknown} writes stayed"
        screen.say(f"  DynamORM: {said} unknown, and said so; the drift is theirs, to the cent.", "yellow")
    else:
        screen.say("  DynamORM: the sum is wrong. This is a bug: please report it with the seed.", "bold red")
    if settled:
        screen.say(f"  Writes that came back as OutcomeUnknown and were settled by error.resolve(): {settled}.", "dim")
    if any(run.client == "boto3" and run.drift for run in runs):
        screen.say("  boto3 repeats a write whose reply was lost, without a way to tell that it was done already.")


if __name__ == "__main__":
    sys.exit(main())
