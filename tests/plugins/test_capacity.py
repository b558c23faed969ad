"""The limiter of capacity: so much in a second, charged what was consumed, without ever blocking an event loop."""

import asyncio
import contextlib
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from dynamorm import AsyncDB, Presets, deadline
from dynamorm.errors import AlreadyExists, Backpressure, ConfigError, DynamORMError, InvalidUse, Outcome
from dynamorm.plugins import capacity
from dynamorm.plugins.capacity import CapacityLimiter, _Limited
from dynamorm.testing import FakeClock, FaultServer, answers, reply
from tests.plugins.scripts import BROKEN, FOUND, STORED, Order, Payment, Scripted, note_gaps
from tests.support.faces import Face


def consuming(units, table="payments"):
    return reply({**STORED, "ConsumedCapacity": {"TableName": table, "CapacityUnits": units}})


def test_requests_in_a_second(face_kind):
    clock = FakeClock()
    limiter = CapacityLimiter(requests=10, clock=clock.monotonic)
    here = Scripted(face_kind, limiter, clock=clock)
    begun = clock.monotonic()
    for _ in range(50):
        here.db.get(Payment, "p1")
    assert clock.monotonic() - begun == pytest.approx(4.0)  # the worth of a second was there
    assert b"ReturnConsumedCapacity" not in here.driver.requests[0].body
    before = clock.monotonic()
    here.answer = reply({})
    here.db.get(Order, "c", 1)
    assert clock.monotonic() == before  # each table has its own


def test_units_are_those_that_were_consumed(face_kind):
    clock = FakeClock()
    here = Scripted(face_kind, CapacityLimiter(read_units=10, clock=clock.monotonic), answer=consuming(5), clock=clock)
    begun = clock.monotonic()
    for _ in range(22):
        here.db.get(Payment, "p1")
    # 110 units at 10 in a second, of which 10 were there, and the last ones are a debt.
    assert 9.0 < clock.monotonic() - begun < 10.5
    assert b'"ReturnConsumedCapacity":"TOTAL"' in here.driver.requests[0].body


def test_reads_and_writes_apart(face_kind):
    clock = FakeClock()
    limiter = CapacityLimiter(write_units=1, clock=clock.monotonic)
    here = Scripted(face_kind, limiter, answer=consuming(1), clock=clock)
    begun = clock.monotonic()
    for _ in range(100):
        here.db.get(Payment, "p1")
    assert clock.monotonic() == begun
    here.answer = reply({"ConsumedCapacity": {"TableName": "payments", "CapacityUnits": 1}})
    here.db.put(Payment(id="p1"))
    here.db.put(Payment(id="p1"))
    assert clock.monotonic() - begun == pytest.approx(1.0)


def test_attempts_that_fail_are_charged_as_expected(face_kind):
    clock = FakeClock()
    limiter = CapacityLimiter(requests=1, burst=4, clock=clock.monotonic)
    here = Scripted(face_kind, limiter, answer=BROKEN, clock=clock)
    with pytest.raises(DynamORMError):
        here.db.get(Payment, "p1")  # four attempts
    here.answer = FOUND
    begun = clock.monotonic()
    here.db.get(Payment, "p1")
    assert 0 < clock.monotonic() - begun <= 1.0


def test_one_item_may_cost_more_than_is_ever_there(face_kind):
    clock = FakeClock()
    here = Scripted(
        face_kind, CapacityLimiter(read_units=10, clock=clock.monotonic), answer=consuming(100), clock=clock
    )
    for _ in range(3):
        try:
            here.db.get(Payment, "p1")
        except Backpressure:
            clock.advance(10)
    begun = clock.monotonic()
    clock.advance(30)
    here.db.get(Payment, "p1")
    assert clock.monotonic() - begun == 30


def test_who_would_wait_too_long_is_turned_away(face_kind):
    clock = FakeClock()
    limiter = CapacityLimiter(requests=1, timeout=0.5, clock=clock.monotonic)
    here = Scripted(face_kind, limiter, clock=clock)
    here.db.get(Payment, "p1")
    with pytest.raises(Backpressure, match="would have to wait 1 s") as caught:
        here.db.get(Payment, "p1")
    assert (caught.value.outcome, caught.value.retryable, here.sent) == (Outcome.NOT_APPLIED, True, 1)
    clock.advance(0.6)
    here.db.get(Payment, "p1")  # nothing was reserved by who was turned away


def test_a_deadline_bounds_the_waiting():
    clock = FakeClock()
    here = Scripted("blocking", CapacityLimiter(requests=1, clock=clock.monotonic), clock=clock)
    here.db.get(Payment, "p1")
    with deadline(0.5), pytest.raises(Backpressure):
        here.db.get(Payment, "p1")


def test_tables_that_are_not_named_are_not_limited(face_kind):
    clock = FakeClock()
    limiter = CapacityLimiter(requests=1, tables=("orders",), clock=clock.monotonic)
    here = Scripted(face_kind, limiter, clock=clock)
    begun = clock.monotonic()
    for _ in range(10):
        here.db.get(Payment, "p1")
    assert clock.monotonic() == begun


@pytest.mark.parametrize("tables", [(Payment,), ["payments"], {"dev-payments"}, (Order, Payment), ("nope", "payments")])
def test_tables_are_models_or_names_with_or_without_the_prefix(face_kind, tables):
    clock = FakeClock()
    limiter = CapacityLimiter(requests=1, tables=tables, clock=clock.monotonic)
    here = Scripted(face_kind, limiter, clock=clock, table_prefix="dev-")
    begun = clock.monotonic()
    for _ in range(10):
        here.db.get(Payment, "p1")
    assert clock.monotonic() - begun == pytest.approx(9.0)


def test_a_limiter_of_two_databases_knows_the_tables_of_both(face_kind):
    clock = FakeClock()
    limiter = CapacityLimiter(requests=1, tables=(Payment,), clock=clock.monotonic)
    here, there = (Scripted(face_kind, limiter, clock=clock, table_prefix=prefix) for prefix in ("a-", "b-"))
    begun = clock.monotonic()
    for one in (here, there):
        for _ in range(3):
            one.db.get(Payment, "p1")
    assert clock.monotonic() - begun == pytest.approx(4.0)  # each table has its own


def test_the_first_requests_may_come_from_several_threads():
    """Each of them asks the database what its tables are called, which takes a while."""
    asked = threading.Barrier(2)

    class Tables:
        def name_of(self, model):
            with contextlib.suppress(threading.BrokenBarrierError):
                asked.wait(0.2)  # the other one waits for this one
            return "payments"

    database = SimpleNamespace(config=SimpleNamespace(table_prefix=""), tables=Tables())
    limited = _Limited((Payment,), "limiter")
    limited.databases.append(lambda: database)
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(limited.holds, ["payments", "payments"])) == [True, True]
    assert not limited.databases


def test_a_class_that_is_no_model_limits_nothing_and_lets_nothing_through(face_kind):
    here = Scripted(face_kind, CapacityLimiter(requests=1, tables=(int,)), clock=FakeClock())
    with pytest.raises(InvalidUse, match="int is not a model"):
        here.db.get(Payment, "p1")
    assert here.sent == 0


def test_a_table_that_no_request_is_for_is_told_once(face_kind, caplog, monkeypatch):
    monkeypatch.setattr(capacity, "LET_THROUGH", 20)
    clock = FakeClock()
    limiter = CapacityLimiter(requests=1000, tables=("orders", "paymnets"), clock=clock.monotonic)
    here = Scripted(face_kind, limiter, clock=clock)
    here.answer = reply({})
    here.db.get(Order, "c", 1)
    for _ in range(19):
        here.db.get(Payment, "p1")
    assert not caplog.records
    for _ in range(30):
        here.db.get(Payment, "p1")
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 1
    assert "limits paymnets, and of 20 requests that it let through none was for that" in told[0]


def test_the_event_loop_goes_on_while_fifty_wait(figure):
    async def main(server):
        gaps, stop = [], asyncio.Event()
        limiter = CapacityLimiter(requests=100, burst=0.1)
        async with AsyncDB(Presets.local_development(endpoint=server.endpoint), extensions=(limiter,)) as db:
            await db.get(Payment, "p1")
            watching = asyncio.create_task(note_gaps(gaps, stop))
            begun = time.monotonic()
            await asyncio.gather(*(db.get(Payment, f"p{n}") for n in range(50)))
            took = time.monotonic() - begun
            stop.set()
            await watching
        return max(gaps), took

    with FaultServer(lambda _: answers.json({})) as server:
        for _ in range(20):  # a shared machine keeps a process from its turn for longer than that
            gap, took = asyncio.run(main(server))
            if gap < 0.05:
                break
    figure(f"the longest gap of the event loop while 50 requests wait for capacity: {gap * 1e3:.0f} ms")
    assert gap < 0.05
    assert took > 0.3


def test_a_task_that_is_cancelled_while_it_waits_gives_back_what_it_reserved():
    async def main(server):
        limiter = CapacityLimiter(requests=2, burst=0.5, timeout=120)
        async with AsyncDB(Presets.local_development(endpoint=server.endpoint), extensions=(limiter,)) as db:
            await db.get(Payment, "p1")
            tasks = [asyncio.create_task(db.get(Payment, "p1")) for _ in range(100)]  # of 50 s
            await asyncio.sleep(0.05)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            begun = time.monotonic()
            await db.get(Payment, "p1")
            return time.monotonic() - begun

    with FaultServer(lambda _: answers.json({})) as server:
        assert asyncio.run(main(server)) < 20


@pytest.mark.engine
def test_on_an_engine(engine, face_kind):
    limiter = CapacityLimiter(read_units=1_000, write_units=1_000)
    face = Face(
        face_kind,
        Presets.local_development(endpoint=engine.endpoint, table_prefix="capacity-plugin-"),
        extensions=(limiter,),
    )
    face.tables.ensure(Payment, Order)
    key = f"{face_kind}-{time.monotonic_ns()}"
    face.create(Payment(id=key))
    with pytest.raises(AlreadyExists):
        face.create(Payment(id=key))
    assert face.get(Payment, key).id == key
    with face.transaction() as tx:
        tx.put(Order(customer=key, number=1))
        tx.put(Payment(id=f"{key}-2"))
    assert face.batch_write(puts=[Order(customer=key, number=n) for n in range(30)]).ok
    assert face.model(Order).where(Order.customer == key).count() == 30
    face.close()


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({}, "limits read_units, write_units or requests"),
        ({"read_units": 0}, "read_units of a CapacityLimiter is a positive number"),
        ({"write_units": -5}, "write_units of a CapacityLimiter is a positive number"),
        ({"requests": "5"}, "requests of a CapacityLimiter is a positive number"),
        ({"requests": True}, "requests of a CapacityLimiter is a positive number"),
        ({"requests": float("nan")}, "requests of a CapacityLimiter is a positive number"),
        ({"requests": 5, "burst": 0}, "burst of a CapacityLimiter is a positive number"),
        ({"requests": 5, "timeout": -1}, "timeout of a CapacityLimiter is 0 or more"),
        ({"requests": 5, "tables": "payments"}, "a tuple"),
        ({"requests": 5, "tables": Payment}, "a tuple"),
        ({"requests": 5, "tables": 5}, "a tuple"),
        ({"requests": 5, "tables": ()}, "nothing would be limited"),
        ({"requests": 5, "tables": iter([])}, "nothing would be limited"),
        ({"requests": 5, "tables": (5,)}, "models or names of tables, not int"),
        ({"requests": 5, "tables": ("",)}, "models or names of tables, not str"),
        ({"requests": 5, "tables": (Payment(id="p1"),)}, "models or names of tables, not Payment"),
    ],
)
def test_bad_settings(settings, what):
    with pytest.raises(ConfigError, match=what):
        CapacityLimiter(**settings)
