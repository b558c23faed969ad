"""A plugin that lets at most so many requests at once go to a table: it waits by `Acquire`, on both faces."""

import asyncio
import signal
import threading
import time
from collections import Counter, defaultdict
from contextlib import suppress
from functools import partial

import pytest

from dynamorm import (
    AsyncDB,
    Attr,
    Model,
    Outcome,
    Presets,
    attr,
    deadline,
    partition_key,
    sort_key,
    version,
)
from dynamorm.effects import Sleep
from dynamorm.errors import DeadlineExceeded, DynamORMError, PoolTimeout
from dynamorm.plugin import Acquire, Limiter
from dynamorm.testing import EngineBackend, FaultServer, answers
from tests.io.injecting import raising
from tests.support.faces import Face

pytestmark = pytest.mark.engine


class Payment(Model, table="payments"):
    id: Attr[str] = partition_key()
    amount: Attr[int] = attr(default=0)
    version: Attr[int] = version()


class Order(Model, table="orders"):
    customer: Attr[str] = partition_key()
    number: Attr[int] = sort_key()


MODELS = [Payment, Order]


class Bulkhead:
    """At most ``places`` requests at once to each table, which wait for it no longer than ``timeout``; each stays ``linger``."""

    name = "bulkhead"

    def __init__(self, places, timeout=None, linger=0.0):
        self.places, self.timeout, self.linger = places, timeout, linger
        self.limiters = {}
        self.inside, self.most, self.requests = defaultdict(set), Counter(), Counter()
        self._lock = threading.Lock()  # of the counts, and held by no one who waits

    def limiter(self, table):
        return self.limiters.setdefault(table, Limiter(self.places))

    def around(self, call):
        def limited(op):
            permit = yield Acquire(self.limiter(op.table), self.timeout)
            request = object()
            try:
                try:  # around the coming and the going, for an interrupt may come anywhere
                    self._enter(op.table, request)
                    if self.linger:  # so that the others come meanwhile, however busy the machine is
                        yield Sleep(self.linger)
                    return (yield from call(op))
                finally:
                    self.inside[op.table].discard(request)
            finally:
                permit.release()

        return limited

    def _enter(self, table, request):
        with self._lock:
            self.inside[table].add(request)
            self.most[table] = max(self.most[table], len(self.inside[table]))
            self.requests[table] += 1

    @property
    def free(self):
        return all((limiter.held, limiter.waiting) == (0, 0) for limiter in self.limiters.values())


def assert_all_places_are_there(bulkhead):
    """Nobody holds or waits for a place, and so many as there are can be taken at once, none more."""
    assert bulkhead.free
    for limiter in bulkhead.limiters.values():
        permits = [limiter.permit() for _ in range(bulkhead.places + 1)]
        assert [permit.take() for permit in permits] == [True] * bulkhead.places + [False]
        for permit in permits:
            permit.release()
    assert bulkhead.free


def table(db, model):
    return db.inner._session.plan(model).table


@pytest.mark.parametrize("places", [1, 3])
def test_twenty_verbs_at_once(plugged, key, places):
    bulkhead = Bulkhead(places, linger=0.002)
    db = plugged(bulkhead)

    def work(number):
        payment = Payment(id=f"{key}-{number}")
        db.create(payment)
        db.update(payment, Payment.amount.add(number))
        db.put(Order(customer=key, number=number))
        return db.require(Payment, payment.id).amount

    assert db.concurrently(work, 20) == list(range(20))
    payments, orders = table(db, Payment), table(db, Order)
    assert (bulkhead.requests[payments], bulkhead.requests[orders]) == (60, 20)
    assert bulkhead.most[payments] == places
    assert bulkhead.most[orders] <= places
    assert bulkhead.free


def test_verbs_of_many_requests_pass_one_place(plugged, key):
    """None of them waits for itself."""
    bulkhead = Bulkhead(1, timeout=20)
    db = plugged(bulkhead)
    assert db.batch_write(puts=[Order(customer=key, number=n) for n in range(60)]).ok
    assert len(db.batch_get(Order, [(key, n) for n in range(60)])) == 60
    with db.transaction() as tx:
        tx.create(Payment(id=key))
        tx.put(Order(customer=key, number=99))
    assert db.increment(Payment, key, Payment.amount) == 1
    query = db.model(Order).where(Order.customer == key)
    assert query.count() == 61
    assert len(list(query.page_size(10))) == 61
    for _ in query.page_size(10):
        break  # what is left early holds nothing
    assert db.model(Order).allow_scan().segments(4).count() >= 61
    assert query.delete_all(confirm=True) == 61
    assert set(bulkhead.most.values()) == {1}
    assert bulkhead.free


def test_a_full_table_holds_up_no_other(plugged, key):
    bulkhead = Bulkhead(1, timeout=0)
    db = plugged(bulkhead)
    held = bulkhead.limiter(table(db, Payment)).permit()
    assert held.take()
    db.put(Order(customer=key, number=1))
    with pytest.raises(PoolTimeout) as caught:
        db.create(Payment(id=key))
    assert (caught.value.outcome, caught.value.retryable) == (Outcome.NOT_APPLIED, True)
    held.release()
    assert not db.exists(Payment, key)
    db.create(Payment(id=key))
    assert bulkhead.free


def test_a_deadline_ends_the_waiting(engine, made, key):
    """The time of the caller, and not that of the limiter."""
    config = Presets.local_development(endpoint=engine.endpoint, table_prefix=made)
    bulkhead = Bulkhead(1, timeout=30)

    async def main():
        async with AsyncDB(config, extensions=(bulkhead,)) as db:
            with deadline(0.1):
                await db.create(Payment(id=key))

    held = bulkhead.limiter(f"{made}payments").permit()
    assert held.take()
    face = Face("blocking", config, extensions=(bulkhead,))
    begun = time.monotonic()
    with deadline(0.1), pytest.raises(DeadlineExceeded) as caught:
        face.create(Payment(id=key))
    assert caught.value.outcome is Outcome.NOT_APPLIED
    with pytest.raises(DeadlineExceeded):
        asyncio.run(main())
    assert time.monotonic() - begun < 2
    held.release()
    assert bulkhead.requests.total() == 0
    assert not face.exists(Payment, key)
    face.close()
    assert bulkhead.free


@pytest.mark.parametrize("operation", ["PutItem", "UpdateItem"])
def test_no_place_for_finding_out_what_became_of_a_write(engine, made, face_kind, key, operation):
    """The bulkhead refuses what would have told: the write may have been applied, and nothing says that it was not."""

    class Full(Bulkhead):
        def around(self, call):
            limited = super().around(call)

            def then_full(op):
                try:
                    return (yield from limited(op))
                finally:
                    with suppress(PoolTimeout):
                        self.hog = yield Acquire(self.limiter(op.table), 0)

            return then_full

    def script(request):
        return answers.reset().applied() if request.operation == operation else answers.honest()

    with FaultServer(script, backend=EngineBackend(engine.endpoint)) as server:
        settings = {"table_prefix": made, "operation_timeout": 1.0}
        bulkhead = Full(1, timeout=0)
        face = Face(face_kind, Presets.local_development(endpoint=server.endpoint, **settings), extensions=(bulkhead,))
        plain = Face(face_kind, Presets.local_development(endpoint=engine.endpoint, table_prefix=made))
        if operation == "UpdateItem":
            plain.create(Payment(id=key))
            write = partial(face.update, Payment, key, Payment.amount.add(5))
        else:
            write = partial(face.create, Payment(id=key, amount=5))
        with pytest.raises(DynamORMError) as caught:
            write()
        assert caught.value.outcome in {Outcome.UNKNOWN, Outcome.APPLIED}
        assert plain.require(Payment, key).amount == 5
        plain.close()
        face.close()


# -------------------------------------------------------------------------------------------- cancelled and interrupted


@pytest.mark.parametrize("steps", range(0, 24, 3))
def test_twenty_tasks_some_of_which_are_cancelled(engine, made, key, steps):
    """At any moment: while they wait, when their turn has come, under way."""
    config = Presets.local_development(endpoint=engine.endpoint, table_prefix=made)
    bulkhead = Bulkhead(2)

    async def main():
        async with AsyncDB(config, extensions=(bulkhead,)) as db:
            tasks = [asyncio.create_task(db.get(Payment, f"{key}-{n}")) for n in range(20)]
            for round_ in range(4):
                for _ in range(steps):
                    await asyncio.sleep(0)
                tasks[3 * round_].cancel()
                tasks[3 * round_ + 1].cancel()
            results = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 30)
            cancelled = [n for n, result in enumerate(results) if isinstance(result, asyncio.CancelledError)]
            assert set(cancelled) <= {0, 1, 3, 4, 6, 7, 9, 10}
            assert all(result is None for n, result in enumerate(results) if n not in cancelled)
            assert bulkhead.free
            assert await db.get(Payment, key) is None
            assert bulkhead.most.total() == 2
            assert_all_places_are_there(bulkhead)

    asyncio.run(main())


def test_a_task_that_is_cancelled_while_it_waits_has_sent_nothing(engine, made, key):
    config = Presets.local_development(endpoint=engine.endpoint, table_prefix=made)
    bulkhead = Bulkhead(1)

    async def main():
        async with AsyncDB(config, extensions=(bulkhead,)) as db:
            limiter = bulkhead.limiter(f"{made}payments")
            held = limiter.permit()
            assert held.take()
            task = asyncio.create_task(db.create(Payment(id=key)))
            while not limiter.waiting:  # noqa: ASYNC110 - it is no event of asyncio
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError) as caught:
                await task
            assert getattr(caught.value, "outcome", Outcome.NOT_APPLIED) is Outcome.NOT_APPLIED
            assert (limiter.waiting, bulkhead.requests.total()) == (0, 0)
            held.release()
            assert not await db.exists(Payment, key)

    asyncio.run(main())
    assert bulkhead.free


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # it may come while an object is freed
@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timers here")
def test_interrupts_of_a_thread_while_others_go_on(engine, made, key):
    """The main thread is interrupted again and again by a handler, while it waits or while it is under way."""
    config = Presets.local_development(endpoint=engine.endpoint, table_prefix=made)
    bulkhead = Bulkhead(2)
    face = Face("blocking", config, extensions=(bulkhead,))
    stop, failed, interrupts = threading.Event(), [], 0
    face.get(
        Payment, key
    )  # Python's lock of imports stays taken when one is interrupted: what is needed is imported before

    def others():
        try:
            while not stop.is_set():
                face.get(Payment, key)
        except BaseException as error:  # noqa: BLE001 - looked at below
            failed.append(error)

    threads = [threading.Thread(target=others) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        with raising(KeyboardInterrupt) as armed:
            for number in range(10_000):
                if interrupts > 20:  # as often as it takes: whether one comes in time is up to the machine
                    break
                try:
                    armed[0] = True
                    signal.setitimer(signal.ITIMER_REAL, 0.0001 + 0.0001 * (number % 40))
                    for _ in range(3):
                        face.get(Payment, key)
                    armed[0] = False
                except KeyboardInterrupt:
                    interrupts += 1
                armed[0] = False
    finally:
        stop.set()
        for thread in threads:
            thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    assert failed == []
    assert interrupts > 20
    assert bulkhead.most.total() <= 2  # whether two of the threads met inside is up to the machine
    assert face.get(Payment, key) is None
    assert_all_places_are_there(bulkhead)
    face.close()
