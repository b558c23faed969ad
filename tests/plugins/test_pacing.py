"""Pacing behind throttles: few requests in a total throttle, quick recovery, and nobody else is held up (W14)."""

import asyncio
import sys
import threading
import time
from contextlib import suppress

import pytest

from dynamorm import AsyncDB, Presets, deadline
from dynamorm.errors import ConfigError, DynamORMError, Outcome, Throttled
from dynamorm.plugins import pacing as module
from dynamorm.plugins.pacing import FIRST, SLOWEST, ThrottlePacing
from dynamorm.testing import FakeClock, FaultServer, answers, failure
from dynamorm.wire import retry
from tests.plugins.scripts import DONE, FOUND, THROTTLED, Order, Payment, Scripted, note_gaps
from tests.support.faces import Face

CODES = {
    "ProvisionedThroughputExceededException": "ThrottlingReasons",
    "ThrottlingException": "throttlingReasons",
    "RequestLimitExceeded": "ThrottlingReasons",
}
REASONS = (
    "ProvisionedThroughputExceeded",
    "AccountLimitExceeded",
    "KeyRangeThroughputExceeded",
    "MaxOnDemandThroughputExceeded",
)
TABLE = "arn:aws:dynamodb:us-east-1:123456789012:table/payments"


@pytest.fixture(autouse=True)
def _full_retry_budget():
    retry._buckets.clear()


def throttle(reason, resource=TABLE, code="ThrottlingException"):
    return failure(code, message="too much", **{CODES[code]: [{"reason": reason, "resource": resource}]})


def on_the_wire(reason, resource=TABLE, code="ThrottlingException"):
    return answers.error(code, 400, message="too much", **{CODES[code]: [{"reason": reason, "resource": resource}]})


@pytest.mark.once
@pytest.mark.parametrize("workers", [1, 8])
def test_a_total_throttle_is_asked_at_most_20_times_in_3_s_by_a_worker(face_kind, workers, figure):
    """Workers that try again as soon as they have failed, with the retry budget spent."""
    pacing = ThrottlePacing()
    with FaultServer(lambda _: on_the_wire("TableReadProvisionedThroughputExceeded")) as server:
        face = Face(face_kind, Presets.local_development(endpoint=server.endpoint), extensions=(pacing,))
        retry.bucket_for(server.endpoint).tokens = 0
        end = time.monotonic() + 3.0
        slowest = {("payments", None, "read"): SLOWEST}

        def goes_on():  # behind the end until it is as slow as it gets, for a busy machine takes longer to get there
            now = time.monotonic()
            return now < end or (pacing.rates() != slowest and now < end + 30)

        def worker(_):
            while goes_on():
                with suppress(DynamORMError):
                    face.get(Payment, "p1")

        face.concurrently(worker, workers)
        face.close()
        sent = len([request for request in server.requests if request.time < end])
    figure(f"total throttle, {face_kind}, {workers} workers: {sent} requests in 3 s")
    assert sent <= 20 + workers  # those of the first moment went before any answer
    assert sent / workers <= 20
    assert pacing.rates() == slowest


@pytest.mark.parametrize("reason", ["TableReadProvisionedThroughputExceeded", "TableReadKeyRangeThroughputExceeded"])
def test_throttles_that_come_in_many_threads_at_once_keep_one_pace(reason, monkeypatch):
    class Asked:
        name, table, body, writes = "GetItem", "payments", b'{"TableName":"payments","Key":{"id":{"S":"p1"}}}', False

    made = []
    pace = module._Pace
    monkeypatch.setattr(module, "_Pace", lambda *args, **named: made.append(args) or pace(*args, **named))
    clock = FakeClock()
    pacing = ThrottlePacing(clock=clock.monotonic)
    refused = throttle(reason)
    for _ in range(9):
        pacing.observed(Asked(), refused, None)
        clock.advance(1.0)
    assert pacing.rates() == {("payments", None, "read"): SLOWEST}

    def asked():
        for _ in range(1_000):
            pacing.observed(Asked(), refused, None)

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=asked) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)
    assert pacing.rates() == {("payments", None, "read"): SLOWEST}
    assert len(made) == 1


def _both(db):
    with db.transaction() as tx:
        tx.put(Order(customer="c", number=1))
        tx.put(Payment(id="p1"))


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("reason", REASONS)
@pytest.mark.parametrize("index", [None, "by-state"])
def test_what_is_paced_is_what_the_reason_names(face_kind, code, reason, index):
    clock = FakeClock()
    pacing = ThrottlePacing(clock=clock.monotonic)
    resource = TABLE if index is None else f"{TABLE}/index/{index}"
    word = "Table" if index is None else "Index"
    here = Scripted(
        face_kind, pacing, answer=throttle(f"{word}Write{reason}", resource, code), clock=clock, max_attempts=1
    )
    with pytest.raises(Throttled):
        here.db.put(Payment(id="p1"))
    assert pacing.rates() == {("payments", index, "write"): FIRST}
    here.answer = DONE
    before = clock.monotonic()
    here.answer = FOUND
    here.db.get(Payment, "p1")  # reads go on
    assert clock.monotonic() == before
    here.answer = DONE
    here.db.put(Order(customer="c", number=1))  # and so do other tables
    assert clock.monotonic() == before
    here.db.put(Payment(id="p1"))
    assert clock.monotonic() - before == pytest.approx(1 / FIRST)


def test_a_throttle_without_reasons_is_that_of_the_request(face_kind):
    clock = FakeClock()
    pacing = ThrottlePacing(clock=clock.monotonic)
    here = Scripted(face_kind, pacing, answer=THROTTLED, clock=clock, max_attempts=1)
    with pytest.raises(Throttled):
        here.db.get(Payment, "p1")
    with pytest.raises(Throttled):
        _both(here.db)
    assert set(pacing.rates()) == {("payments", None, "read"), ("payments", None, "write"), ("orders", None, "write")}


def test_w14_one_tenants_hot_key_holds_up_no_other(face_kind):
    """The refusal names a key range: requests with this key are paced, the latency of the others is what it was."""
    clock = FakeClock()
    pacing = ThrottlePacing(clock=clock.monotonic)
    hot = throttle("TableReadKeyRangeThroughputExceeded")
    here = Scripted(
        face_kind, pacing, answer=lambda r: hot if b'"hot"' in r.body else DONE, clock=clock, max_attempts=1
    )
    for _ in range(20):
        with pytest.raises(Throttled):
            here.db.get(Payment, "hot")
        before = clock.monotonic()
        for number in range(20):
            here.db.get(Payment, f"tenant-{number}")
        assert clock.monotonic() == before
    assert set(pacing.rates()) == {("payments", None, "read")}


def test_reads_of_the_table_do_not_wait_for_an_index(face_kind):
    clock = FakeClock()
    pacing = ThrottlePacing(clock=clock.monotonic)
    here = Scripted(face_kind, pacing, clock=clock, max_attempts=1)
    here.answer = throttle("IndexReadProvisionedThroughputExceeded", f"{TABLE}/index/by-state")
    with pytest.raises(Throttled):
        here.db.get(Payment, "p1")
    here.answer = FOUND
    before = clock.monotonic()
    for _ in range(10):
        here.db.get(Payment, "p1")
    assert clock.monotonic() == before


def test_it_slows_down_by_half_and_doubles_with_each_second(face_kind):
    clock = FakeClock()
    pacing = ThrottlePacing(clock=clock.monotonic)
    here = Scripted(face_kind, pacing, answer=THROTTLED, clock=clock, max_attempts=1)
    rates = []
    for _ in range(8):
        with pytest.raises(Throttled):
            here.db.get(Payment, "p1")
        rates.append(pacing.rates()["payments", None, "read"])
        clock.advance(0.3)
    assert rates[0] == FIRST
    assert rates[-1] == SLOWEST
    assert rates == sorted(rates, reverse=True)
    here.answer = FOUND
    begun = clock.monotonic()
    while pacing.rates():
        here.db.get(Payment, "p1")
        clock.advance(0.01)
        assert clock.monotonic() - begun < 20
    assert clock.monotonic() - begun > 5


def test_who_would_wait_too_long_is_refused_at_once(face_kind):
    clock = FakeClock()
    pacing = ThrottlePacing(longest=0.5, clock=clock.monotonic)
    here = Scripted(face_kind, pacing, answer=THROTTLED, clock=clock, max_attempts=1)
    for _ in range(6):
        with suppress(Throttled):
            here.db.get(Payment, "p1")
        clock.advance(0.25)
    sent = here.sent
    pacing._tables["payments", False].all[None]._next = clock.monotonic() + 3
    with pytest.raises(Throttled, match="its turn would come in 3 s: nothing was sent") as caught:
        here.db.get(Payment, "p1")
    assert here.sent == sent
    assert caught.value.outcome is Outcome.NOT_APPLIED
    assert caught.value.retryable


def test_a_deadline_bounds_the_waiting():
    clock = FakeClock()
    pacing = ThrottlePacing(clock=clock.monotonic)
    here = Scripted("blocking", pacing, answer=THROTTLED, clock=clock, max_attempts=1)
    with pytest.raises(Throttled):
        here.db.get(Payment, "p1")
    pacing._tables["payments", False].all[None]._next = clock.monotonic() + 3
    with deadline(1.0), pytest.raises(Throttled, match="nothing was sent"):
        here.db.get(Payment, "p1")


def test_what_nobody_needs_is_forgotten_and_nothing_piles_up(face_kind):
    clock = FakeClock()
    pacing = ThrottlePacing(clock=clock.monotonic)
    here = Scripted(face_kind, pacing, clock=clock, max_attempts=1)
    here.answer = throttle("TableReadKeyRangeThroughputExceeded")
    for number in range(1_500):
        with pytest.raises(Throttled):
            here.db.get(Payment, f"p{number}")
    assert sum(1 for paces in pacing._tables.values() for _ in paces.places()) <= 1_000
    clock.advance(61)
    here.answer = DONE
    here.db.get(Payment, "other")
    assert pacing.rates() == {}
    assert pacing._tables == {}


def test_the_event_loop_goes_on_while_thirty_wait(figure):
    """It turns many times for each of them; its longest gap is under 50 ms where nobody else is on the machine."""
    busy = threading.Event()

    def script(_):
        return on_the_wire("TableReadProvisionedThroughputExceeded") if busy.is_set() else answers.json({})

    async def main(server):
        gaps, stop = [], asyncio.Event()
        pacing = ThrottlePacing()
        config = Presets.local_development(endpoint=server.endpoint, max_attempts=1)
        async with AsyncDB(config, extensions=(pacing,)) as db:
            busy.set()
            with pytest.raises(Throttled):
                await db.get(Payment, "p1")
            busy.clear()
            watching = asyncio.create_task(note_gaps(gaps, stop))
            await asyncio.sleep(0.05)
            begun, before = time.monotonic(), len(gaps)
            await asyncio.gather(*(db.get(Payment, f"p{n}") for n in range(30)))
            assert time.monotonic() - begun > 1  # they have waited for their turns
            turns = len(gaps) - before
            stop.set()
            await watching
        return max(gaps), turns

    with FaultServer(script) as server:
        for _ in range(3):  # a shared machine keeps a process from its turn
            gap, turns = asyncio.run(main(server))
            if gap < 0.05:
                break
    figure(f"the longest gap of the event loop while 30 requests are paced: {gap * 1e3:.0f} ms")
    assert gap < 0.05 or turns > 4 * 30  # who waits in the loop's own thread lets it turn about once for each request


def test_nothing_waits_without_a_throttle(face_kind):
    clock = FakeClock()
    here = Scripted(face_kind, ThrottlePacing(), clock=clock)
    for _ in range(100):
        here.db.get(Payment, "p1")
    assert here.driver.sleeps == []


@pytest.mark.parametrize("longest", [0, -1, "5", None, True, float("nan")])
def test_bad_arguments(longest):
    with pytest.raises(ConfigError, match="longest of a pacing is a positive number"):
        ThrottlePacing(longest=longest)


HOT = "TableWriteKeyRangeThroughputExceeded"


def paced_by_both(face_kind, longest=1.0, times=8):
    """A table that was throttled once, and a key of it that was throttled many times."""
    clock = FakeClock()
    pacing = ThrottlePacing(longest=longest, clock=clock.monotonic)
    here = Scripted(
        face_kind, pacing, clock=clock, max_attempts=1, answer=throttle("TableWriteProvisionedThroughputExceeded")
    )
    with suppress(Throttled):
        here.db.put(Payment(id="hot"))
    here.answer = throttle(HOT)
    for _ in range(times):
        clock.advance(5.0)
        with suppress(Throttled):
            here.db.put(Payment(id="hot"))
    here.answer = DONE
    return clock, pacing, here


def test_who_is_refused_for_a_hot_key_takes_no_turn_of_the_table(face_kind):
    clock, pacing, here = paced_by_both(face_kind, longest=0.2)
    assert pacing.rates() == {("payments", None, "write"): SLOWEST}  # of the hot key
    sent = here.sent
    for _ in range(60):
        with pytest.raises(Throttled, match="its turn would come in"):
            here.db.put(Payment(id="hot"))
    assert here.sent == sent
    begin = clock.monotonic()
    here.db.put(Payment(id="other"))
    assert clock.monotonic() - begin <= 1 / FIRST


def test_who_is_refused_for_the_table_takes_no_turn_of_the_hot_key():
    pacing = ThrottlePacing(longest=1.0, clock=FakeClock().monotonic)
    now = pacing._clock()
    hot = module._Pace(now, (), None, is_hot=True)
    wide = module._Pace(now, (), None, is_hot=False)
    wide._next = now + 5
    first = hot.turn(now)
    for _ in range(3):
        with pytest.raises(Throttled):
            pacing._turns(Asked(), [hot], [hot, wide], now + 1.0)
    assert hot.turn(now) == first


class Asked:
    name, table = "PutItem", "payments"


def test_who_waits_for_a_hot_key_holds_no_turn_of_the_table():
    """Callers of the hot key that wait for seconds leave the table to the others."""
    clock = FakeClock()
    pacing = ThrottlePacing(longest=10.0, clock=clock.monotonic)
    here = Scripted(
        "blocking", pacing, clock=clock, max_attempts=1, answer=throttle("TableWriteProvisionedThroughputExceeded")
    )
    with suppress(Throttled):
        here.db.put(Payment(id="hot"))
    here.answer = throttle(HOT)
    clock.advance(1.0)
    with suppress(Throttled):
        here.db.put(Payment(id="hot"))
    (wide,) = [pace for paces in pacing._tables.values() for pace in paces.all.values()]
    clock.advance(1.0)
    flows = [put_flow(here, "hot") for _ in range(20)]
    assert sum(isinstance(next(flow), module.Sleep) for flow in flows) >= 19
    assert wide.turn(clock.monotonic()) - clock.monotonic() <= 2 / FIRST
    for flow in flows:
        flow.close()


def test_a_turn_that_is_given_up_is_taken_by_the_next():
    clock = FakeClock()
    pace = module._Pace(clock.monotonic(), (), None, is_hot=True)
    turns = [pace.take(clock.monotonic()) for _ in range(5)]
    assert turns == sorted(turns)
    pace.give_back(turns[3])
    pace.give_back(turns[1])
    assert pace.turn(clock.monotonic()) == turns[1]
    assert [pace.take(clock.monotonic()) for _ in range(3)] == [turns[1], turns[3], pytest.approx(turns[4] + 1 / FIRST)]
    pace.give_back(turns[2])
    clock.advance(60)
    assert pace.take(clock.monotonic()) == clock.monotonic(), "what is over is over"


def test_who_is_cancelled_while_it_waits_gives_its_turn_back():
    clock, pacing, here = paced_by_both("blocking", longest=10.0, times=1)
    (hot,) = [pace for paces in pacing._tables.values() for among in paces.hot.values() for pace in among.values()]
    first = hot.turn(clock.monotonic())
    flow = put_flow(here, "hot")
    assert isinstance(next(flow), module.Sleep)
    assert hot.turn(clock.monotonic()) > first
    flow.close()
    assert hot.turn(clock.monotonic()) == first


def put_flow(here, key):
    """The flow of a put, which the test drives itself."""
    from dynamorm.faces import verbs

    return verbs.put.put(here.db.inner._session, Payment(id=key), condition=None, returning=None)
