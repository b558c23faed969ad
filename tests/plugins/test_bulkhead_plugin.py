"""The bulkhead that comes with the library: places by table or tenant, a bounded queue, and P03."""

import asyncio
import os
import threading
import time
from collections import Counter
from itertools import count
from pathlib import Path

import pytest

from dynamorm import AsyncDB, Presets
from dynamorm.errors import Backpressure, ConfigError, Outcome, PoolTimeout
from dynamorm.plugins.bulkhead import Bulkhead
from dynamorm.testing import EngineBackend, FakeClock, FaultServer, answers
from dynamorm.wire import retry
from tests.plugins.batcher_kit import wait_until
from tests.plugins.scripts import Order, Payment, Scripted, note_gaps
from tests.support.faces import Face
from tests.support.held import PATIENT, HeldAnswers

pytestmark = pytest.mark.engine


@pytest.fixture(autouse=True)
def _full_retry_budget():
    retry._buckets.clear()


class Inside:
    """Counts the requests that a server answers at once."""

    def __init__(self, seconds=0.02):
        self.seconds = seconds

    def __call__(self, _):
        return answers.json({}).delayed(self.seconds)


def nothing(operation, body):
    """A backend that has no items."""
    return 200, {}


def most_at_once(server, seconds):
    """How many requests the server had at once, each for so many seconds."""
    times = sorted(request.time for request in server.requests)
    return max((sum(begun <= other < begun + seconds * 0.8 for other in times) for begun in times), default=0)


@pytest.mark.parametrize("places", [1, 4])
def test_so_many_at_once_for_each_table(face_kind, places):
    with FaultServer(Inside()) as server:
        bulkhead = Bulkhead(places)
        face = Face(face_kind, Presets.local_development(endpoint=server.endpoint), extensions=(bulkhead,))
        face.concurrently(lambda n: face.get(Payment, f"p{n}"), 20)
        assert most_at_once(server, 0.02) <= places
        assert len(server.requests) == 20
        assert bulkhead.gauges() == {"bulkhead_held": 0, "bulkhead_waiting": 0}
        assert list(bulkhead.limiters) == ["payments"]
        face.close()


def test_one_tenant_takes_no_other_along(face_kind):
    """All places of the one are taken for as long as the server hangs; the other goes on."""
    held = HeldAnswers(nothing, only=lambda request: b"slow" in request.body)
    held.hold()
    with FaultServer(backend=held) as server:
        bulkhead = Bulkhead(2, per="tenant", timeout=0.05)
        face = Face(face_kind, Presets.local_development(endpoint=server.endpoint, **PATIENT), extensions=(bulkhead,))
        slow, fast = face.scoped(tenant="slow"), face.scoped(tenant="fast")
        refused, done = [], []

        def work(number):
            if number < 4:
                try:
                    slow.get(Payment, "slow")
                except PoolTimeout as error:
                    refused.append(error)
                return
            wait_until(lambda: len(held.held) == 2)
            fast.get(Payment, "p")
            done.append(number)
            wait_until(lambda: len(refused) == len(done) == 2)
            held.let_go()

        face.concurrently(work, 6)  # two of them for the places of the fast one
        assert len(refused) == 2
        assert set(bulkhead.limiters) == {"slow", "fast"}
        face.close()


def test_a_full_queue_turns_away_at_once(face_kind):
    """The one that has the place is answered when three were turned away, and they did not wait for that."""
    held = HeldAnswers(nothing)
    held.hold()
    with FaultServer(backend=held) as server:
        bulkhead = Bulkhead(1, queue=2)
        face = Face(face_kind, Presets.local_development(endpoint=server.endpoint, **PATIENT), extensions=(bulkhead,))
        done, refusals, turns = [], [], count(1)

        def work(number):
            try:
                face.get(Payment, "p")
                done.append(number)
            except Backpressure as error:
                refusals.append(error)
                if next(turns) == 3:
                    wait_until(lambda: held.held)
                    assert not done
                    held.let_go()

        face.concurrently(work, 6)
        for error in refusals:
            assert (error.outcome, error.retryable) == (Outcome.NOT_APPLIED, True)
            assert (error.operation, error.table) == ("GetItem", "payments")
            assert "queue=2 of bulkhead" in str(error)
        assert (len(done), len(refusals), len(server.requests)) == (3, 3, 3)
        face.close()


def test_by_a_function(face_kind):
    with FaultServer(Inside(0)) as server:
        bulkhead = Bulkhead(1, per=lambda call: "write" if call.writes else "read")
        face = Face(face_kind, Presets.local_development(endpoint=server.endpoint), extensions=(bulkhead,))
        face.get(Payment, "p")
        face.put(Order(customer="c", number=1))
        assert set(bulkhead.limiters) == {"read", "write"}
        face.close()


def test_several_of_them(face_kind):
    with FaultServer(Inside(0)) as server:
        config = Presets.local_development(endpoint=server.endpoint)
        face = Face(face_kind, config, extensions=(Bulkhead(5), Bulkhead(2, per="tenant", name="tenants")))
        face.scoped(tenant="t1").get(Payment, "p")
        face.close()
        with pytest.raises(ConfigError, match="two plugins are called bulkhead"):
            Face("blocking", config, extensions=(Bulkhead(5), Bulkhead(2)))


def test_compartments_do_not_pile_up(face_kind, monkeypatch):
    monkeypatch.setattr("dynamorm.plugins.bulkhead.MOST", 100)
    with FaultServer(Inside(0)) as server:
        bulkhead = Bulkhead(1, per=lambda call: call.body)
        face = Face(face_kind, Presets.local_development(endpoint=server.endpoint), extensions=(bulkhead,))
        for number in range(250):
            face.get(Payment, f"p{number}")
        assert len(bulkhead.limiters) <= 100
        face.close()


# ---------------------------------------------------------------------------------------------------------------- P03


def rss():
    """Bytes of memory of this process; 0 where nobody says."""
    try:
        return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def test_p03_ten_thousand_concurrent_adds_against_a_slow_server(engine, figure):
    """Memory is bounded by the queue, who is too many is told so at once, and each add that was taken is there once."""
    prefix = "bulkhead-plugin-"

    async def main(server):
        bulkhead = Bulkhead(20, queue=300)
        settings = {"table_prefix": prefix, "operation_timeout": 60, "connection_timeout": 30, "request_timeout": 30}
        config = Presets.local_development(endpoint=server.endpoint, **settings)
        async with AsyncDB(config, extensions=(bulkhead,)) as db:
            await db.tables.ensure(Payment)
            await db.create(Payment(id="p03"))
            found = Counter()

            async def add():
                try:
                    await db.update(Payment, "p03", Payment.amount.add(1), returning=None)
                    found["added"] += 1
                except Backpressure:
                    found["turned away"] += 1

            before, begun = rss(), time.monotonic()
            tasks = [asyncio.create_task(add()) for _ in range(10_000)]
            while found.total() < 9_600:  # noqa: ASYNC110 - it is no event of asyncio
                await asyncio.sleep(0.01)
            turned_away = time.monotonic() - begun
            waiting = sum(not task.done() for task in tasks)
            held = rss() - before
            await asyncio.gather(*tasks)
            stored = (await db.require(Payment, "p03", consistent=True)).amount
        return found, stored, turned_away, waiting, held

    slow = lambda request: answers.honest().delayed(0.02)  # noqa: E731 - a script
    with FaultServer(slow, backend=EngineBackend(engine.endpoint)) as server:
        found, stored, turned_away, waiting, held = asyncio.run(main(server))
    figure(
        f"P03: 10,000 adds at once: {found['added']} added, {found['turned away']} turned away in {turned_away:.1f} s,"
        f" {held / 1e6:.0f} MB more of memory while {waiting} wait"
    )
    assert found.total() == 10_000
    assert stored == found["added"] >= 320
    assert waiting <= 400
    assert turned_away < 60
    assert held < 200e6


def test_the_event_loop_goes_on_while_a_hundred_wait_for_places(figure):
    """Its longest gap is under 50 ms."""

    async def main(server):
        gaps, stop = [], asyncio.Event()
        config = Presets.local_development(endpoint=server.endpoint)
        async with AsyncDB(config, extensions=(Bulkhead(5, queue=200),)) as db:
            await db.get(Payment, "p1")
            watching = asyncio.create_task(note_gaps(gaps, stop))
            begun = time.monotonic()
            await asyncio.gather(*(db.get(Payment, f"p{n}") for n in range(100)))
            took = time.monotonic() - begun
            stop.set()
            await watching
        return max(gaps), took

    with FaultServer(lambda _: answers.json({}).delayed(0.03)) as server:
        for _ in range(20):  # a shared machine keeps a process from its turn for longer than that
            gap, took = asyncio.run(main(server))
            if gap < 0.05:
                break
    figure(f"the longest gap of the event loop while 100 requests wait for places: {gap * 1e3:.0f} ms")
    assert gap < 0.05
    assert took > 0.5  # twenty turns of five


def test_p03_by_threads(engine):
    """A thousand threads would be too many for a machine; two hundred, each with adds one after the other."""
    prefix = "bulkhead-plugin-"
    with FaultServer(lambda _: answers.honest().delayed(0.01), backend=EngineBackend(engine.endpoint)) as server:
        bulkhead = Bulkhead(10, queue=30)
        face = Face(
            "blocking",
            Presets.local_development(endpoint=server.endpoint, table_prefix=prefix, operation_timeout=60),
            extensions=(bulkhead,),
        )
        face.tables.ensure(Payment)
        key = f"threads-{time.monotonic_ns()}"
        face.create(Payment(id=key))
        found = Counter()
        lock = threading.Lock()

        def work(_):
            for _ in range(10):
                try:
                    face.update(Payment, key, Payment.amount.add(1), returning=None)
                    what = "added"
                except Backpressure:
                    what = "turned away"
                with lock:
                    found[what] += 1

        face.concurrently(work, 200)
        assert found.total() == 2_000
        assert found["turned away"] > 0
        assert face.require(Payment, key, consistent=True).amount == found["added"]
        assert bulkhead.gauges() == {"bulkhead_held": 0, "bulkhead_waiting": 0}
        face.close()


@pytest.mark.parametrize(
    ("arguments", "settings", "what"),
    [
        ((0,), {}, "places of a Bulkhead is a whole number of 1 or more, not 0"),
        ((-1,), {}, "places of a Bulkhead is a whole number"),
        (("5",), {}, "places of a Bulkhead is a whole number"),
        ((5,), {"queue": -1}, "queue of a Bulkhead is a whole number of 0 or more"),
        ((5,), {"timeout": -1}, "timeout of a Bulkhead is 0 or more seconds"),
        ((5,), {"per": ""}, "per of a Bulkhead"),
        ((5,), {"per": 5}, "per of a Bulkhead"),
        ((5,), {"per": "tables"}, 'per="table"'),
        ((5,), {"per": "Model"}, "call.operation.model"),
        ((5,), {"per": "verb"}, "call.operation.verb"),
        ((5,), {"per": lambda: 1}, r"per of a Bulkhead is called with \(call\), and takes \(\)"),
    ],
)
def test_bad_settings(arguments, settings, what):
    with pytest.raises(ConfigError, match=what):
        Bulkhead(*arguments, **settings)


def test_a_function_that_fails_refuses_the_request_and_loses_nothing(face_kind):
    def failing(call):
        raise RuntimeError("no compartment")

    async def awaited(call):
        """Nobody would wait for it."""

    with pytest.raises(ConfigError, match="a coroutine function"):
        Bulkhead(5, per=awaited)
    with FaultServer(Inside(0)) as server:
        face = Face(
            face_kind, Presets.local_development(endpoint=server.endpoint), extensions=(Bulkhead(1, per=failing),)
        )
        with pytest.raises(RuntimeError, match="no compartment"):
            face.put(Order(customer="c", number=1))
        assert server.requests == []
        face.close()


def test_an_entry_that_a_view_lacks_is_told_once(face_kind, caplog):
    here = Scripted(face_kind, Bulkhead(1, per="tenat"), clock=FakeClock())
    here.db.get(Payment, "p1")
    assert caplog.records == []  # the database itself has no entries
    for tenant in ("t1", "t2"):
        here.db.view(tenant=tenant).get(Payment, "p1")
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 1
    assert "by the entry tenat of the scope, and a view has only tenant" in told[0]
