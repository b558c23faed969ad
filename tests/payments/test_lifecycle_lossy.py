"""Payments behind a lossy proxy: each change is made once or not at all, and what is said of it is true."""

import inspect
import os
import random
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from dynamorm import Attr, Model, partition_key
from dynamorm.errors import DynamORMError, Outcome
from dynamorm.payments import Money, PaymentMixin, refund, transition
from dynamorm.testing.proxy import QUICK_FAULTS, LossyProxy

pytestmark = pytest.mark.engine
WRITERS = 4
TURNS = 100 if os.environ.get("DYNAMORM_TEST_WIDE") == "1" else 12


class Payment(Model, PaymentMixin, table="lossy-payments"):
    id: Attr[str] = partition_key()


@pytest.mark.timeout(600)
def test_no_change_is_lost_or_doubled(open_db, engine, face_kind, figure):
    """Two writers make each change, with one id: all of them are told the same, whatever is lost on the way."""
    prefix = f"lossy-{uuid.uuid4().hex[:8]}-"
    with LossyProxy(engine.endpoint, seed=23, loss=0.0, faults=QUICK_FAULTS) as proxy:
        db = open_db(proxy.endpoint, max_attempts=12, operation_timeout=30, throttle_base=0.05, table_prefix=prefix)
        db.tables.ensure(Payment)

        def make(verb, payment, *args, **named):
            """Make a change until it is said to be made."""
            for _ in range(30):
                try:
                    result = verb(db.inner, payment, *args, **named)
                    return db._loop.run(result) if inspect.isawaitable(result) else result
                except DynamORMError as error:
                    doubts.append(error.outcome is Outcome.UNKNOWN)
            raise AssertionError("it was never said to be made")

        def work(writer):
            dice = random.Random(writer // 2)  # two writers make the same changes
            for turn in range(TURNS):
                name = f"p{writer // 2}-{turn}"
                known = Payment(id=name, amount=10000, currency="EUR")
                make(transition, known, "captured", id=f"{name} c", amount=Money("60", "EUR"))
                for part in "ab"[: dice.randint(0, 2)]:
                    cents = dice.randint(100, 3000)
                    refunded.add((name, part, cents))
                    make(refund, known, Money.minor(cents, "EUR"), id=f"{name} {part}")
                if dice.random() < 0.5:
                    make(transition, known, "disputed", id=f"{name} d")

        doubts, refunded = [], set()
        for pair in range(WRITERS // 2):
            for turn in range(TURNS):
                db.create(Payment(id=f"p{pair}-{turn}", amount=10000, currency="EUR"))
        proxy.set_loss(0.2)
        with ThreadPoolExecutor(WRITERS) as pool:
            for one in [pool.submit(work, writer) for writer in range(WRITERS)]:
                one.result()
        proxy.set_loss(0.0)
        for stored in db.model(Payment).allow_scan().all():
            mine = {f"{name} {part}": cents for name, part, cents in refunded if name == stored.id}
            assert (stored.captured, stored.refunds, stored.refunded) == (6000, mine, sum(mine.values()))
            assert stored.version == len(stored.transitions) + len(mine)
        figure(
            f"{TURNS * WRITERS // 2} payments, each changed by two over a wire that loses a fifth ({face_kind}):"
            f" {sum(doubts)} doubts, none doubled"
        )
