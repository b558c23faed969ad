"""Audited writes through a proxy that loses 30 % of the exchanges: each has one record, or none where it was not applied."""

import random
import threading
from collections import Counter

import pytest

from dynamorm import Attr, Model, Outcome, Presets, actor, attr, partition_key, version
from dynamorm.errors import DynamORMError, NotFound
from dynamorm.testing.proxy import QUICK_FAULTS, Fault, LossyProxy
from tests.support.faces import Face

from .audit_kit import tracking

pytestmark = pytest.mark.engine

WRITERS, TURNS, HOT = 6, 12, 3


class Account(Model, table="lossy-accounts"):
    id: Attr[str] = partition_key()
    amount: Attr[int] = attr(default=0)
    version: Attr[int] = version()


class Count(Model, table="lossy-counts"):
    """Without a version."""

    id: Attr[str] = partition_key()
    amount: Attr[int] = attr(default=0)


class Ledger:
    """What the library said became of each write, by the id of its request."""

    def __init__(self):
        self.outcomes = {}
        self.lock = threading.Lock()

    def run(self, name, call):
        """Make one audited write."""
        with actor("writer", request_id=name):
            try:
                call()
            except DynamORMError as error:
                outcome = error.outcome
                if outcome is Outcome.UNKNOWN and hasattr(error, "resolve"):
                    try:
                        error.resolve()
                        outcome = Outcome.APPLIED
                    except DynamORMError as other:
                        outcome = other.outcome
            else:
                outcome = Outcome.APPLIED
        with self.lock:
            self.outcomes[name] = outcome


def save(db, key):
    obj = db.require(Account, key, consistent=True)
    obj.amount += 1
    db.save(obj)


def both(db, key):
    with db.transaction() as tx:
        tx.update(Account, key, Account.amount.add(1))
        tx.update(Count, key, Count.amount.add(1))


def again(db, key):
    """Delete an item of one's own, and make it again."""
    obj = db.get(Account, f"{key}-own", consistent=True)
    if obj is None:
        db.create(Account(id=f"{key}-own"))
    else:
        db.delete(obj)


WRITES = {
    "save": save,
    "update": lambda db, key: db.update(Account, key, Account.amount.add(1)),
    "increment": lambda db, key: db.increment(Account, key, Account.amount),
    "count": lambda db, key: db.update(Count, key, Count.amount.add(1)),
    "transaction": both,
    "again": again,
}


@pytest.mark.parametrize(
    "faults",
    [(Fault.RESET_APPLIED, Fault.RESET_MID_REPLY, Fault.CUT_REPLY), QUICK_FAULTS],
    ids=["lost replies", "every"],
)
def test_each_applied_write_has_one_record(engine, face_kind, faults, key, figure):
    prefix = f"{key[:8]}-"
    settings = {"table_prefix": prefix, "operation_timeout": 20.0}
    direct = Face(face_kind, Presets.local_development(endpoint=engine.endpoint, **settings))
    ledger = Ledger()
    with LossyProxy(engine.endpoint, seed=17, loss=0.3, faults=faults, late=0.05) as proxy:
        through = Face(face_kind, Presets.local_development(endpoint=proxy.endpoint, **settings))
        try:
            for face in (direct, through):
                face.enable_change_tracking(Account, tracking(["amount"]))
                face.enable_change_tracking(Count, tracking(["amount"]))
            direct.tables.ensure(Account, Count)
            names = [f"hot{number}" for number in range(HOT)]
            with actor("setup", request_id="setup"):
                for name in names:
                    direct.create(Account(id=name))
                    direct.create(Count(id=name))

            def work(number):
                dice = random.Random(number)
                for turn in range(TURNS):
                    kind, name = dice.choice(list(WRITES)), dice.choice(names)
                    target = f"w{number}" if kind == "again" else name
                    ledger.run(
                        f"{number}-{turn}-{kind}",
                        lambda kind=kind, target=target: _quietly(WRITES[kind], through, target),
                    )

            through.concurrently(work, WRITERS)
            proxy.settle()
            faulted = proxy.faulted
        finally:
            through.close()
    try:
        _agree(direct, ledger, names)
    finally:
        direct.close()
    seen = Counter(outcome.name for outcome in ledger.outcomes.values())
    figure(f"audit, {face_kind}, {len(faults)} faults: {sum(seen.values())} writes, {faulted} faults, {dict(seen)}")
    assert seen["APPLIED"] > len(ledger.outcomes) / 2
    assert faulted > 20


def _quietly(write, db, target):
    try:
        write(db, target)
    except NotFound:
        raise AssertionError("nobody deletes these") from None


def _agree(db, ledger, names):
    """The chain and the item agree, and both with what the library has said."""
    records = Counter()
    for model, keys in ((Account, [*names, *(f"w{number}-own" for number in range(WRITERS))]), (Count, names)):
        for name in keys:
            verdict = db.audit.verify(model, name)
            assert verdict.ok, (model, name, verdict)
            assert verdict.external == ()
            history = db.audit.history(model, name)
            records.update((record.request_id, model) for record in history)
            obj = db.get(model, name, consistent=True)
            if name in names:
                told = [change.new for record in history for change in record.changes]
                assert told == list(range(obj.amount + 1))
            else:
                assert [record.op for record in history] == [
                    "create" if at % 2 == 0 else "delete" for at in range(len(history))
                ]
    assert not [name for (name, _), count in records.items() if count > 1 and name != "setup"]
    for name, outcome in ledger.outcomes.items():
        found = {model for (by, model) in records if by == name}
        kind = name.rpartition("-")[2]
        wanted = {Account, Count} if kind == "transaction" else {Count} if kind == "count" else {Account}
        if outcome is Outcome.APPLIED:
            assert found == wanted, (name, outcome)
        elif outcome is Outcome.NOT_APPLIED:
            assert not found, (name, outcome)
        else:
            assert found in (set(), wanted), (name, outcome)
