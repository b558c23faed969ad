"""A bank behind a lossy proxy: money is neither made nor lost, and every transfer is what the library said of it.

Each transfer is a transaction that changes two accounts and makes a receipt, so the receipts tell what was applied.
"""

from __future__ import annotations

import random
import uuid
from collections import Counter
from typing import Any

import pytest

from dynamorm import Attr, Model, Outcome, OutcomeUnknown, attr, partition_key, version
from dynamorm.errors import DynamORMError, TransactionCancelled, VersionConflict
from dynamorm.testing.proxy import QUICK_FAULTS, LossyProxy

pytestmark = pytest.mark.engine

WRITERS, TURNS, ACCOUNTS, START = 6, 25, 4, 1_000


class Account(Model, table="accounts"):
    """A hot item."""

    id: Attr[str] = partition_key()
    balance: Attr[int] = attr(default=START)
    version: Attr[int] = version()


class Receipt(Model, table="receipts"):
    """One transfer."""

    id: Attr[str] = partition_key()
    giver: Attr[str]
    taker: Attr[str]
    cents: Attr[int]


def _transfer(db: Any, receipt: Receipt, *, loaded: bool) -> None:
    """Move money, by key or between loaded accounts, as often as somebody else was first."""
    while True:
        if loaded:
            giver, taker = db.transact_get([(Account, receipt.giver), (Account, receipt.taker)])
        try:
            with db.transaction() as tx:
                if loaded:
                    tx.update(giver, Account.balance.add(-receipt.cents))
                    tx.update(taker, Account.balance.add(receipt.cents))
                else:
                    tx.update(Account, receipt.giver, Account.balance.add(-receipt.cents))
                    tx.update(Account, receipt.taker, Account.balance.add(receipt.cents))
                tx.create(receipt)
        except TransactionCancelled as error:
            if all(one is None or isinstance(one.error, VersionConflict) for one in error.reasons):
                continue
            raise
        return


def _work(db: Any, seen: dict[str, Outcome], writer: int, seed: int) -> None:
    dice = random.Random(seed * 100 + writer)
    for turn in range(TURNS):
        giver, taker = dice.sample([f"a{number}" for number in range(ACCOUNTS)], 2)
        receipt = Receipt(id=f"{writer}.{turn}", giver=giver, taker=taker, cents=dice.randrange(1, 20))
        try:
            _transfer(db, receipt, loaded=turn % 2 == 0)
        except OutcomeUnknown as error:
            seen[receipt.id] = error.resolve(10)
        except DynamORMError as error:
            seen[receipt.id] = error.outcome
        else:
            seen[receipt.id] = Outcome.APPLIED


@pytest.mark.timeout(300)
def test_no_money_is_made_or_lost(open_db: Any, engine: Any, face_kind: str) -> None:
    seed = len(face_kind)
    with LossyProxy(engine.endpoint, seed=seed, loss=0.0, faults=QUICK_FAULTS) as proxy:
        prefix = f"bank-{uuid.uuid4().hex[:8]}-"  # a try that comes again begins with nothing
        db = open_db(proxy.endpoint, max_attempts=12, operation_timeout=30, throttle_base=0.05, table_prefix=prefix)
        db.tables.ensure(Account)
        db.tables.ensure(Receipt)
        names = [f"a{number}" for number in range(ACCOUNTS)]
        with db.transaction() as tx:
            for name in names:
                tx.create(Account(id=name))
        proxy.set_loss(0.25)
        seen: dict[str, Outcome] = {}
        db.concurrently(lambda writer: _work(db, seen, writer, seed), WRITERS)
        proxy.set_loss(0.0)
        proxy.settle()
        accounts = db.transact_get([(Account, name) for name in names])
        keys = sorted(seen)
        found = [
            one
            for at in range(0, len(keys), 100)
            for one in db.transact_get([(Receipt, key) for key in keys[at : at + 100]])
            if one is not None
        ]
    counts = Counter(seen.values())
    print(f"\nbank {face_kind}: {dict(counts)}, faults {proxy.faulted}")  # noqa: T201 - the proof
    assert sum(one.balance for one in accounts) == ACCOUNTS * START
    moved: Counter[str] = Counter()
    for one in found:
        moved[one.giver] -= one.cents
        moved[one.taker] += one.cents
    assert {one.id: one.balance for one in accounts} == {name: START + moved[name] for name in names}
    assert sum(one.version for one in accounts) == 2 * len(found)
    applied = {one.id for one in found}
    assert {key for key in keys if seen[key] is Outcome.APPLIED} <= applied
    assert not {key for key in keys if seen[key] is Outcome.NOT_APPLIED} & applied
    assert len(seen) == WRITERS * TURNS
    assert counts[Outcome.APPLIED] >= len(seen) * 9 // 10
    assert proxy.faulted >= len(seen) * 0.1
