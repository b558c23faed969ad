"""The ledger behind a lossy proxy: each posting is there once or not at all, sums stay zero, and no bound is broken."""

import inspect
import os
import random
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from dynamorm.errors import DynamORMError, InsufficientFunds, Outcome, OutcomeUnknown
from dynamorm.payments import Ledger, Money, Posting, ensure_tables
from dynamorm.payments.ledger.items import LedgerEntry
from dynamorm.testing.proxy import QUICK_FAULTS, LossyProxy

pytestmark = pytest.mark.engine
WRITERS = 4
TURNS = 250 if os.environ.get("DYNAMORM_TEST_WIDE") == "1" else 30


@pytest.mark.timeout(600)
def test_no_posting_is_lost_or_doubled(open_db, engine, face_kind, figure):
    prefix = f"lossy-{uuid.uuid4().hex[:8]}-"
    with LossyProxy(engine.endpoint, seed=11, loss=0.0, faults=QUICK_FAULTS) as proxy:
        db = open_db(proxy.endpoint, max_attempts=12, operation_timeout=30, throttle_base=0.05, table_prefix=prefix)

        def call(function, *args, **named):
            result = function(*args, **named)
            return db._loop.run(result) if inspect.isawaitable(result) else result

        call(ensure_tables, db.inner)
        ledger = Ledger(db.inner)
        accounts = [f"a{at}" for at in range(4)]
        for account in accounts[:2]:
            call(ledger.open, account, "EUR", at_least=Money("0", "EUR"))
        for account in accounts[:2]:
            call(
                ledger.post,
                [Posting(account, Money("5", "EUR")), Posting("capital", Money("-5", "EUR"))],
                id=f"start-{account}",
            )
        proxy.set_loss(0.2)
        posted, refused = {}, set()

        def work(writer):
            dice = random.Random(writer)
            for turn in range(TURNS):
                source, target = dice.sample(accounts, 2)
                cents, id = dice.randint(1, 200), f"{writer}-{turn}"
                legs = [Posting(target, Money.minor(cents, "EUR")), Posting(source, Money.minor(-cents, "EUR"))]
                for _ in range(20):  # the caller tries again, with the same id
                    try:
                        call(ledger.post, legs, id=id)
                    except InsufficientFunds:
                        refused.add(id)
                    except OutcomeUnknown as error:
                        # What the next try is told says nothing of this one, which may still be under way.
                        if call(error.resolve, 20) is not Outcome.APPLIED:
                            continue
                        posted[id] = (source, target, cents)
                    except DynamORMError:
                        continue
                    else:
                        posted[id] = (source, target, cents)
                    break
                if dice.random() < 0.2 and id in posted:
                    assert call(ledger.post, legs, id=id).replayed

        with ThreadPoolExecutor(WRITERS) as pool:
            for one in [pool.submit(work, writer) for writer in range(WRITERS)]:
                one.result()
        proxy.set_loss(0.0)
        assert posted.keys() | refused == {f"{writer}-{turn}" for writer in range(WRITERS) for turn in range(TURNS)}
        assert not posted.keys() & refused
        stored = {entry.pk for entry in db.model(LedgerEntry).allow_scan().all()}
        assert stored == {*posted, "start-a0", "start-a1"}
        expected = dict.fromkeys(accounts, 0)
        for account in accounts[:2]:
            expected[account] += 500
        for source, target, cents in posted.values():
            expected[source] -= cents
            expected[target] += cents
        for account in accounts:
            assert call(ledger.balance, account).cents == expected[account]
        assert all(expected[account] >= 0 for account in accounts[:2])
        found = call(ledger.trial_balance)
        assert found.ok
        assert found.postings == len(posted) + 2
        assert call(ledger.verify).ok
        figure(
            f"{len(posted)} postings over a wire that loses a fifth ({face_kind}): each once, {len(refused)} refused by a bound, trial balance zero"
        )
