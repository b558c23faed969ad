"""Eight writers through a lossy proxy: nothing lost, nothing applied twice, no outcome misreported.

Every run counts what the library says was applied, and compares it with what the engine holds in the end.
"""

from __future__ import annotations

import random
import threading
import uuid
from collections import Counter
from typing import Any

import pytest

from dynamorm import Attr, Model, Outcome, OutcomeUnknown, VersionConflict, attr, partition_key, version
from dynamorm.errors import DynamORMError, NotFound
from dynamorm.testing.proxy import QUICK_FAULTS, Fault, LossyProxy
from tests.conftest import ENGINE

pytestmark = pytest.mark.engine

WRITERS = 8
OPERATIONS = 2_000 if ENGINE == "local" else 1_000
HOT = 4
FACES = ("blocking", "asyncio")

ROWS: dict[str, tuple[Fault, ...]] = {
    "w02": (Fault.RESET_APPLIED, Fault.RESET_MID_REPLY, Fault.CUT_REPLY),
    "w03": (Fault.RESET_NOT_APPLIED,),
    "w12": (Fault.ERROR_APPLIED, Fault.ERROR_NOT_APPLIED, Fault.HTML),
    "w13": (Fault.ERROR_APPLIED, Fault.ERROR_APPLIED, Fault.RESET_APPLIED),
    "w20": (Fault.DUPLICATE, Fault.DUPLICATE, Fault.RESET_APPLIED),
    "w21": (Fault.LATE_DUPLICATE, Fault.LATE_DUPLICATE, Fault.RESET_NOT_APPLIED),
    "every": QUICK_FAULTS,
}
"""Rows of the fault catalogue, as the faults that make them."""

VERSIONED = ("raise", "save")
MIXED = ("raise", "save", "add", "plain add", "create", "create and delete")


class Account(Model, table="accounts"):
    """A hot item that several writers change under its version."""

    id: Attr[str] = partition_key()
    amount: Attr[int] = attr(default=0)
    version: Attr[int] = version()


class Counter_(Model, table="counters"):
    """An item without a version: only the token of a transaction can tell whether an addition was applied."""

    id: Attr[str] = partition_key()
    amount: Attr[int] = attr(default=0)


class Ledger:
    """What the library said became of every operation, by the item it changes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.applied: Counter[tuple[type, str]] = Counter()
        self.unknown: Counter[tuple[type, str]] = Counter()
        self.seen: Counter[str] = Counter()

    def note(self, key: tuple[type, str], outcome: Outcome, by: int = 1) -> None:
        with self._lock:
            self.seen[outcome] += 1
            if outcome is Outcome.APPLIED:
                self.applied[key] += by
            elif outcome is Outcome.UNKNOWN:
                self.unknown[key] += 1


def _under_version(db: Any, key: str, *, save: bool) -> None:
    """Raise the amount by one under the version, as often as somebody else was first."""
    while True:
        account = db.require(Account, key, consistent=True)
        try:
            if save:
                account.amount += 1
                db.save(account)
            else:
                db.update(account, Account.amount.add(1))
        except VersionConflict:
            continue
        return


def _operate(db: Any, what: str, name: str, hot: int) -> tuple[tuple[type, str], int]:
    """Do one operation; returns the item it changes and by how much."""
    if what in VERSIONED:
        _under_version(db, f"hot{hot}", save=what == "save")
        return (Account, f"hot{hot}"), 1
    if what == "add":
        db.update(Account, f"hot{hot}", Account.amount.add(1))
        return (Account, f"hot{hot}"), 1
    if what == "plain add":
        db.update(Counter_, f"hot{hot}", Counter_.amount.add(1))
        return (Counter_, f"hot{hot}"), 1
    made = db.create(Account(id=name, amount=1))
    if what == "create":
        return (Account, name), 1
    db.delete(made)
    return (Account, name), 0


def _target(what: str, name: str, hot: int) -> tuple[type, str]:
    if what in {"create", "create and delete"}:
        return Account, name
    return (Counter_ if what == "plain add" else Account), f"hot{hot}"


def _one(db: Any, ledger: Ledger, what: str, name: str, hot: int) -> None:
    """One operation, entered in the ledger by what the library says of it, after asking again where it cannot tell."""
    try:
        key, by = _operate(db, what, name, hot)
    except OutcomeUnknown as error:
        outcome = Outcome.UNKNOWN
        for _ in range(4):
            outcome = error.resolve(10)
            if outcome is not Outcome.UNKNOWN:
                break
        by = 0 if what == "create and delete" and error.operation == "DeleteItem" else 1
        ledger.note(_target(what, name, hot), outcome, by)
    except DynamORMError as error:
        ledger.note(_target(what, name, hot), error.outcome)
        ledger.seen[type(error).__name__] += 1
    else:
        ledger.note(key, Outcome.APPLIED, by)


def _run(db: Any, kinds: tuple[str, ...], seed: int) -> Ledger:
    ledger = Ledger()

    def write(writer: int) -> None:
        dice = random.Random(seed * 100 + writer)
        for turn in range(OPERATIONS // WRITERS):
            _one(db, ledger, dice.choice(kinds), f"{writer}.{turn}", dice.randrange(HOT))

    db.concurrently(write, WRITERS)
    return ledger


def _stored(db: Any, kind: type, key: str) -> int:
    try:
        return int(db.require(kind, key, consistent=True).amount)
    except NotFound:
        return 0


@pytest.mark.timeout(300)
@pytest.mark.parametrize("loss", [0.15, 0.40], ids=["15%", "40%"])
@pytest.mark.parametrize("row", ROWS)
def test_nothing_is_lost_and_nothing_applied_twice(
    row: str, loss: float, open_db: Any, engine: Any, face_kind: str
) -> None:
    if ENGINE != "local" and (row != "every" or loss > 0.2):
        pytest.skip("the heavier loss, and row by row, on DynamoDB Local; ministack runs all faults together")
    seed = sorted(ROWS).index(row) * 10 + FACES.index(face_kind) + int(loss * 1000)
    with LossyProxy(engine.endpoint, seed=seed, loss=0.0, faults=ROWS[row]) as proxy:
        # More attempts and time than the defaults: with 40 % lost, four attempts fail together in every 40th operation.
        db = open_db(
            proxy.endpoint,
            max_attempts=12,
            operation_timeout=30,
            throttle_base=0.05,
            table_prefix=f"{row}{seed}{uuid.uuid4().hex[:6]}-",
        )
        db.tables.ensure(Account)
        db.tables.ensure(Counter_)
        for at in range(HOT):
            db.create(Account(id=f"hot{at}"))
            db.create(Counter_(id=f"hot{at}"))
        proxy.set_loss(loss)
        ledger = _run(db, VERSIONED if row in {"w13", "w21"} else MIXED, seed)
        proxy.set_loss(0.0)
        proxy.settle()
        drift = {}
        for kind, key in ledger.applied | ledger.unknown:
            low = ledger.applied[kind, key]
            found = _stored(db, kind, key)
            if not low <= found <= low + ledger.unknown[kind, key]:
                drift[kind.__name__, key] = (low, found)
    print(f"\n{row} {loss:.0%} {face_kind}: {dict(ledger.seen)}, faults {proxy.faulted}")  # noqa: T201 - the proof
    assert drift == {}, f"said to be applied, and found: {drift}"
    assert sum(ledger.unknown.values()) <= OPERATIONS // 100, "too many outcomes that nobody could tell"
    assert ledger.seen[Outcome.APPLIED] >= OPERATIONS * 9 // 10
    assert proxy.faulted >= OPERATIONS * loss / 2
