"""The ledger behind a lossy proxy: each posting is there once or not at all, sums stay zero, and no bound is broken."""

import inspect
import os
import random
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from dynamorm import HighThroughput
from dynamorm.errors import DynamORMError, InsufficientFunds, KeyReused, Outcome, OutcomeUnknown
from dynamorm.payments import Ledger, Money, Posting, ensure_tables
from dynamorm.payments.ledger import LedgerEntry
from dynamorm.testing.proxy import QUICK_FAULTS, LossyProxy

pytestmark = pytest.mark.engine
WRITERS = 4
TURNS = 1_000 if os.environ.get("DYNAMORM_TEST_WIDE") == "1" else 120
ACCOUNTS = [f"a{at}" for at in range(6)]
BOUNDED = ACCOUNTS[:3]


class History:
    """Random postings, repetitions and reversals by several writers, and what each of them was told."""

    def __init__(self, db):
        self._db = db
        self.call(ensure_tables, db.inner)
        self.ledger = Ledger(db.inner)
        self.posted, self.refused = {}, set()
        for account in BOUNDED:
            self.call(self.ledger.open, account, "EUR", at_least=Money("0", "EUR"))
            self.posted[f"start-{account}"] = {account: 500, "capital": -500}
            self.post(f"start-{account}", self.posted[f"start-{account}"])

    def call(self, function, *args, **named):
        result = function(*args, **named)
        return self._db._loop.run(result) if inspect.isawaitable(result) else result

    def post(self, id, legs):
        return self.call(
            self.ledger.post, [Posting(name, Money.minor(cents, "EUR")) for name, cents in legs.items()], id=id
        )

    def settled(self, id, legs, write):
        """Write until it is known what became of it; whether it was applied. The caller tries again, with the same id."""
        for _ in range(40):
            try:
                write()
            except (InsufficientFunds, KeyReused):
                self.refused.add(id)
                return False
            except OutcomeUnknown as error:
                # What the next try is told says nothing of this one, which may still be under way.
                if self.call(error.resolve, 20) is not Outcome.APPLIED:
                    continue
            except DynamORMError:
                continue
            self.posted[id] = legs
            return True
        raise AssertionError(f"nobody can tell what became of {id}")

    def work(self, writer, turns):
        dice = random.Random(writer)
        mine = []
        for turn in range(turns):
            id, odds = f"{writer}-{turn}", dice.random()
            if odds < 0.1 and mine:
                of = dice.choice(mine)
                legs = {name: -cents for name, cents in self.posted[of].items()}
                self.settled(id, legs, lambda of=of, by=id: self.call(self.ledger.reverse, of, by=by))
                continue
            source, target = dice.sample(ACCOUNTS, 2)
            cents = dice.randint(1, 200)
            legs = {target: cents, source: -cents}
            if self.settled(id, legs, lambda given=id, legs=legs: self.post(given, legs)):
                mine.append(id)
                if odds > 0.8:
                    assert self.post(id, legs).replayed


def run(open_db, engine, face_kind, figure, *, turns, loss):
    prefix = f"lossy-{uuid.uuid4().hex[:8]}-"
    with LossyProxy(engine.endpoint, seed=11, loss=0.0, faults=QUICK_FAULTS) as proxy:
        performance = HighThroughput(request_timeout=20)
        db = open_db(
            proxy.endpoint,
            max_attempts=12,
            operation_timeout=60,
            throttle_base=0.05,
            table_prefix=prefix,
            performance=performance,
        )
        history, begun = History(db), time.monotonic()
        proxy.set_loss(loss)
        with ThreadPoolExecutor(WRITERS) as pool:
            for one in [pool.submit(history.work, writer, turns // WRITERS) for writer in range(WRITERS)]:
                one.result()
        proxy.set_loss(0.0)
        took, lost = time.monotonic() - begun, proxy.faulted
        posted, refused = history.posted, history.refused
        asked = {f"{writer}-{turn}" for writer in range(WRITERS) for turn in range(turns // WRITERS)}
        assert posted.keys() | refused == asked | {f"start-{account}" for account in BOUNDED}
        assert not posted.keys() & refused
        entries = db.model(LedgerEntry).allow_scan().all()
        stored = [entry.pk for entry in entries if entry.kind == "posting"]
        assert sorted(stored) == sorted(posted)
        expected = dict.fromkeys([*ACCOUNTS, "capital"], 0)
        for legs in posted.values():
            for account, cents in legs.items():
                expected[account] += cents
        for account, cents in expected.items():
            assert history.call(history.ledger.balance, account).cents == cents
        assert all(expected[account] >= 0 for account in BOUNDED)
        found = history.call(history.ledger.trial_balance)
        assert found.ok
        assert found.postings == len(posted)
        assert history.call(history.ledger.verify).ok
        reversals = sum(entry.kind == "reversal" for entry in entries)
        figure(
            f"ledger {face_kind}: {len(asked)} postings asked for by {WRITERS} writers, {lost} messages lost ({loss:.0%}): {len(posted)} posted,"
            f" {reversals} of them reversals, {len(refused)} refused; 0 lost, 0 doubled, trial balance zero; {took:.0f} s"
        )


@pytest.mark.timeout(600)
def test_no_posting_is_lost_or_doubled(open_db, engine, face_kind, figure):
    run(open_db, engine, face_kind, figure, turns=TURNS, loss=0.2)


@pytest.mark.soak
def test_no_posting_of_twenty_thousand_is_lost_or_doubled(open_db, engine, face_kind, figure):
    run(open_db, engine, face_kind, figure, turns=20_000, loss=0.02)
