"""The outbox: an event leaves with its transaction or not at all, is delivered at least once, and in order. On both faces."""

import random
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from zlib import crc32

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dynamorm import Attr, Model, partition_key
from dynamorm.errors import ConfigError, NotFound, TransactionCancelled, ValidationError
from dynamorm.payments import Outbox, verify_webhook
from dynamorm.payments.outbox.items import SCHEDULE, SHARDS, OutboxEvent, OutboxQueue, answer_of
from dynamorm.payments.outbox.outbox import PAGE
from tests.payments.test_webhooks import SECRET


class Order(Model, table="orders"):
    id: Attr[str] = partition_key()


MODELS = (OutboxEvent, OutboxQueue, Order)
pytestmark = pytest.mark.engine


class Clock:
    def __init__(self):
        self.now = 1_700_000_000.0

    def __call__(self):
        return self.now


class Called:
    """An outbox in the blocking way, on either face, that looks at the events of one test alone.

    ``ahead`` is by how much the service's clock is ahead of this one, as ``dates`` of its answers have told.
    """

    def __init__(self, db, call, prefix, *, ahead=0.0, dates=1, **options):
        self.clock, self.prefix, self._db, self._call = Clock(), prefix, db, call
        self.inner = Outbox(db.inner, now=self.clock, **options)
        self.inner._monotonic = self.clock
        self.inner._clock.gauges = lambda: {"clock_skew_seconds": ahead, "clock_samples": dates}
        self.inner._clock.is_here = False
        self.got = []

    def add(self, body, key="k"):
        with self._db.transaction() as tx:
            return self.inner.add(getattr(tx, "_subject", tx), "order.made", body, key=self.prefix + key)

    def run(self, *answers, **named):
        """Deliver; the answers are given in turn, and then 200."""
        answers = list(answers)

        def deliver(event):
            if not event.key.startswith(self.prefix):
                return 200  # left over from another test
            answer = answers.pop(0) if answers else 200
            if isinstance(answer, BaseException):
                raise answer
            if callable(answer):
                answer = answer(event)
            self.got.append((event.key.removeprefix(self.prefix), event.seq, event.body.decode(), event.id))
            return answer

        return self._call(self.inner.run, deliver, **named)

    def bodies(self, key="k"):
        return [body for of, _, body, _ in self.got if of == key]

    def dead(self):
        return [event for event in self._call(self.inner.dead) if event.key.startswith(self.prefix)]

    def redrive(self, id):
        return self._call(self.inner.redrive, id)


@pytest.fixture
def outbox(db, call, key):
    for model in (OutboxEvent, OutboxQueue):  # each test has an empty index of what is due
        db.model(model).allow_scan().delete_all(confirm=True)
    return Called(db, call, key)


def test_events_of_a_key_are_delivered_once_and_in_order(outbox, db):
    ids = [outbox.add(f"{number}") for number in range(4)]
    assert outbox.run().delivered == 4
    assert [(seq, body, id) for _, seq, body, id in outbox.got] == [(at + 1, str(at), id) for at, id in enumerate(ids)]
    assert outbox.run() == (0, 0, 0)
    assert db.model(OutboxEvent).allow_scan().count() == 0
    outbox.add("4")
    outbox.run()
    assert outbox.got[-1][1:3] == (5, "4")


def test_an_event_leaves_with_its_transaction_or_not_at_all(outbox, db, key):
    db.create(Order(id=key))

    def lost(fails):
        with db.transaction() as tx:
            tx.create(Order(id=key))
            outbox.inner.add(getattr(tx, "_subject", tx), "t", "lost", key=key)
            if fails:
                raise LookupError

    with pytest.raises(TransactionCancelled):
        lost(fails=False)
    with pytest.raises(LookupError):
        lost(fails=True)
    assert outbox.run() == (0, 0, 0)


def test_a_failure_is_tried_again_with_the_same_id_and_body(outbox):
    id = outbox.add('{"a": 1}')
    outbox.add("behind")
    assert outbox.run(500) == (0, 1, 0)
    assert outbox.run() == (0, 0, 0)  # it is not due
    for number, seconds in enumerate(SCHEDULE[:3]):
        outbox.clock.now += seconds * 0.89
        assert outbox.run() == (0, 0, 0)
        outbox.clock.now += seconds * 0.22
        if number < 2:
            assert outbox.run(RuntimeError("no line")) == (0, 1, 0)
    assert outbox.run().delivered == 2
    assert outbox.bodies() == ['{"a": 1}', '{"a": 1}', "behind"]
    assert {one[3] for one in outbox.got[:2]} == {id}


def test_retry_after_is_obeyed(outbox):
    outbox.add("a")
    outbox.run((503, {"retry-after": "100"}))
    outbox.clock.now += 99
    assert outbox.run() == (0, 0, 0)
    outbox.clock.now += 2
    assert outbox.run().delivered == 1


def test_the_last_failure_makes_a_dead_letter_that_stops_its_key(outbox):
    id = outbox.add("a")
    outbox.add("b")
    outbox.add("c", key="other")
    for seconds in (0, *SCHEDULE):
        outbox.clock.now += seconds * 1.11
        outbox.run(*[lambda event: 500 if event.body == b"a" else 200] * 9)
    assert [event.id for event in outbox.dead()] == [id]
    assert outbox.bodies("other") == ["c"]
    assert outbox.bodies() == ["a"] * (len(SCHEDULE) + 1)
    outbox.add("d")
    outbox.clock.now += 10**6
    assert outbox.run() == (0, 0, 0)
    outbox.redrive(id)
    outbox.got.clear()
    assert outbox.run().delivered == 3
    assert outbox.bodies() == ["a", "b", "d"]
    assert outbox.dead() == []
    with pytest.raises(NotFound):
        outbox.redrive(id)


def test_gone_is_for_good(outbox):
    outbox.add("a")
    assert outbox.run(410) == (0, 1, 1)
    assert len(outbox.dead()) == 1


def test_a_dead_letter_may_be_passed_over(outbox, db, call, key):
    skipping = Called(db, call, key, on_dead="skip")
    id = skipping.add("a")
    skipping.add("b")
    assert skipping.run(410) == (1, 1, 1)
    assert skipping.bodies() == ["a", "b"]
    skipping.redrive(id)
    assert skipping.run().delivered == 1
    assert skipping.bodies() == ["a", "b", "a"]
    assert skipping.dead() == []


def test_who_dies_while_it_delivers_holds_the_key_only_for_its_lease(outbox):
    class Killed(BaseException):
        pass

    outbox.add("a")
    with pytest.raises(Killed):
        outbox.run(Killed())
    assert outbox.run() == (0, 0, 0)
    outbox.clock.now += 61
    assert outbox.run().delivered == 1


def test_who_has_lost_its_lease_takes_nothing_away(outbox, db, call, key, face_kind):
    """The first deliverer hangs, a second one delivers, and both acknowledge: nothing behind is lost."""
    if face_kind == "asyncio":
        pytest.skip("a deliverer that calls the other one in the blocking way would hold up the loop that both run on")
    other = Called(db, call, key)
    outbox.add("a")
    outbox.add("b")

    def hangs(event):
        assert other.run() == (0, 0, 0)
        other.clock.now += 61
        other.run(limit=1)
        return 200

    outbox.run(hangs)
    outbox.clock.now += 200
    outbox.run()
    assert other.bodies() == ["a"]
    assert outbox.bodies()[0] == "a"
    assert outbox.bodies()[-1] == "b"


def test_the_clocks_of_who_adds_and_who_delivers_decide_nothing(outbox, db, call, key):
    """Each of them may be far away from the time: an event is due at once, and a lease is kept by who has it."""
    ahead, behind = (Called(db, call, key) for _ in range(2))
    ahead.clock.now += 365 * 86_400
    behind.clock.now -= 365 * 86_400
    ahead.add("a")
    behind.add("b")
    outbox.add("c")
    seen = []

    def deliver(event):
        if event.key == outbox.prefix + "k":
            seen.append(event.body)
        return 200

    assert call(behind.inner.run, deliver).delivered == 3
    assert seen == [b"a", b"b", b"c"]


@pytest.mark.parametrize("minutes", [-9, 2, 9])
def test_a_deliverer_whose_clock_is_wrong_takes_no_lease(outbox, db, call, key, minutes):
    """A lease ends when who looks at it has seen it unchanged for as long as it lasts, also that of a clock far ahead."""

    class Killed(BaseException):
        pass

    holder, other = (Called(db, call, key, dates=0) for _ in range(2))
    outbox.inner._clock.gauges = dict
    holder.clock.now += 7_200
    other.clock.now += minutes * 60
    outbox.add("a")
    with pytest.raises(Killed):
        (holder if minutes > 0 else outbox).run(Killed())
    for _ in range(3):
        assert other.run() == (0, 0, 0)
        other.clock.now += 20
    other.clock.now += 2
    assert other.run().delivered == 1


@pytest.mark.parametrize(
    ("holds", "looks", "waits"),
    [
        (1, 1, (61, 3, 2)),  # one Date each, which the clocks agree with: 5 seconds after the end
        (1, 0, (61, 590, 20)),  # who looks knows no Date: its clock may be 5 minutes off
        (0, 1, (61, 590, 20)),  # so may have been that of who took the lease
    ],
)
def test_a_process_that_looks_once_takes_a_lease_that_has_ended(outbox, db, call, key, holds, looks, waits):
    class Killed(BaseException):
        pass

    outbox.add("a")
    with pytest.raises(Killed):
        Called(db, call, key, dates=holds).run(Killed())
    for seconds, delivered in zip(waits, (0, 0, 1), strict=True):
        other = Called(db, call, key, dates=looks)  # as a job that is started by a timer
        other.clock.now = outbox.clock.now = outbox.clock.now + seconds
        assert other.run().delivered == delivered


@pytest.mark.parametrize("hours", [-2, 0, 2])
def test_the_end_of_a_lease_is_judged_by_the_time_of_the_service(outbox, db, call, key, hours):
    """Clocks that are hours off, and are known to be: nobody takes a lease early, and its end is seen at once."""

    class Killed(BaseException):
        pass

    holder = Called(db, call, key, ahead=-hours * 3_600, dates=3)
    holder.clock.now += hours * 3_600
    outbox.add("a")
    with pytest.raises(Killed):
        holder.run(Killed())
    for seconds, delivered in ((30, 0), (34, 0), (3, 1)):
        outbox.clock.now += seconds
        other = Called(db, call, key, ahead=hours * 3_600, dates=5)
        other.clock.now = outbox.clock.now - hours * 3_600
        assert other.run().delivered == delivered


def test_one_wrong_date_ends_no_lease(outbox, db, call, key):
    class Killed(BaseException):
        pass

    outbox.add("a")
    with pytest.raises(Killed):
        outbox.run(Killed())
    for dates, delivered in ((1, 0), (2, 0), (3, 1)):
        other = Called(db, call, key, ahead=500.0, dates=dates)
        assert other.run().delivered == delivered


def test_who_stood_still_behind_taking_its_lease_delivers_nothing(outbox):
    """A process that sleeps between the two: its delivery would outlast the lease."""
    outbox.add("a")
    head = outbox.inner._head

    def slow(queue):
        outbox.clock.now += 31
        return (yield from head(queue))

    outbox.inner._head = slow
    assert outbox.run() == (0, 0, 0)
    outbox.inner._head = head
    assert outbox.run().delivered == 1


def test_who_was_slow_to_begin_takes_its_lease_anew_and_delivers(outbox):
    """Such as a process that has just begun, of which the first requests take long: each would leave the key to the next one."""
    outbox.add("a")
    outbox.add("b")
    head, waits = outbox.inner._head, [31, 0, 31, 0]

    def slow(queue):
        outbox.clock.now += waits.pop(0)
        return (yield from head(queue))

    outbox.inner._head = slow
    assert outbox.run().delivered == 2
    assert [body for _, _, body, _ in outbox.got] == ["a", "b"]


def test_who_lost_its_lease_while_it_stood_still_delivers_nothing(outbox, db, call, key, face_kind):
    if face_kind == "asyncio":
        pytest.skip("a deliverer that calls the other one in the blocking way would hold up the loop that both run on")
    outbox.add("a")
    other, head = Called(db, call, key), outbox.inner._head

    def slow(queue):
        found = yield from head(queue)
        outbox.clock.now = other.clock.now = outbox.clock.now + 200
        assert other.run().delivered == 1
        return found

    outbox.inner._head = slow
    assert outbox.run() == (0, 0, 0)
    assert outbox.got == []


def test_webhooks_are_signed_with_the_time_of_the_service(outbox):
    outbox.inner._clock.gauges = lambda: {"clock_skew_seconds": -3_600.0, "clock_samples": 3}
    outbox.add("a")
    taken = []
    outbox.run(lambda event: taken.append(event.headers(SECRET)))
    assert abs(int(taken[0]["webhook-timestamp"]) - (time.time() - 3_600)) < 60


def test_keys_that_are_blocked_hold_up_no_other(outbox, db):
    """Keys of one shard, more than a page of them: of the first ones the next event is not there, or cannot be read."""
    names = [name for number in range(400) if crc32((name := f"{outbox.prefix}{number}").encode()) % SHARDS == 0]
    blocked, free = names[: PAGE + 5], names[PAGE + 5]
    for name in blocked:
        db.delete(OutboxEvent, outbox.add("x", key=name.removeprefix(outbox.prefix)))
    broken = outbox.add("y", key=names[-1].removeprefix(outbox.prefix))
    db.partiql("UPDATE {table} SET attempts = 'x' WHERE id = ?", broken, model=OutboxEvent)
    outbox.add("good", key=free.removeprefix(outbox.prefix))
    assert outbox.run().delivered == 1
    assert outbox.got[0][2] == "good"


def test_an_event_that_cannot_be_seen_yet_holds_back_those_behind_it(outbox, db):
    """The queue names an event whose item is not there yet: as a transaction that is being applied looks like."""
    first = outbox.add("a")
    outbox.add("b")
    event = db.get(OutboxEvent, first)
    db.delete(OutboxEvent, first)
    assert outbox.run() == (0, 0, 0)
    db.put(OutboxEvent(pk=first, key=event.key, topic=event.topic, body=event.body))
    assert outbox.run().delivered == 2
    assert outbox.bodies() == ["a", "b"]


def test_several_deliverers_keep_the_order_and_lose_nothing(outbox, db, call, key):
    seen, lock = [], threading.Lock()
    dice = random.Random(5)

    def deliver(event):
        with lock:
            if dice.random() < 0.15:
                return (503, {"Retry-After": "1"})
            seen.append((event.key, event.seq, int(event.body)))
            return 200

    def adding(name):
        for number in range(10):
            outbox.add(str(number), key=name)

    others = [Outbox(db.inner, now=outbox.clock) for _ in range(3)]
    with ThreadPoolExecutor(6) as pool:
        writers = [pool.submit(adding, name) for name in "xyz"]
        while not all(one.done() for one in writers):
            list(pool.map(lambda one: call(one.run, deliver), others))
            outbox.clock.now += 1.1
    for _ in range(60):
        outbox.clock.now += 1.1
        if not any(sum(call(one.run, deliver)) for one in others) and db.model(OutboxEvent).allow_scan().count() == 0:
            break
    for name in "xyz":
        mine = [(seq, number) for of, seq, number in seen if of == key + name]
        assert list(dict.fromkeys(mine)) == [(at + 1, at) for at in range(10)]


@given(st.lists(st.sampled_from(["add x", "add y", "run", "fail", "late"]), max_size=20))
@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_random_histories_deliver_everything_in_order(outbox, steps):
    outbox.prefix = uuid.uuid4().hex
    outbox.got.clear()
    added = {"x": [], "y": []}
    for step in steps:
        if step.startswith("add"):
            name = step[-1]
            outbox.add(str(len(added[name])), key=name)
            added[name].append(str(len(added[name])))
        elif step == "late":
            outbox.clock.now += 40
        else:
            outbox.run(*[(503, {"Retry-After": "30"})] * (step == "fail"))
    for _ in range(3):
        outbox.clock.now += 40
        outbox.run()
    for name, bodies in added.items():
        assert list(dict.fromkeys(outbox.bodies(name))) == bodies


def test_an_event_has_the_headers_of_a_webhook(outbox):
    outbox.add({"a": 1})
    taken = []
    outbox.run(lambda event: taken.append((event.headers(SECRET), event.body)))
    headers, body = taken[0]
    assert body == b'{"a": 1}'
    assert verify_webhook(SECRET, headers, body) == headers["webhook-id"]


@pytest.mark.parametrize(
    ("topic", "body", "key"),
    [
        ("", "x", "k"),
        ("t", "x", ""),
        ("t", "x", None),
        (5, "x", "k"),
        ("t\n", "x", "k"),
        ("t", {1: object()}, "k"),
        ("t", float("nan"), "k"),
        ("t", b"x" * 300_001, "k"),
    ],
)
def test_what_is_no_event_is_refused(outbox, topic, body, key):
    with pytest.raises(ValidationError):
        outbox.inner.add(None, topic, body, key=key)


def test_a_coroutine_function_delivers_nothing_of_a_blocking_database(db):
    async def deliver(event):
        """Nobody awaits it."""

    if db.kind == "asyncio":
        pytest.skip("there it is awaited")
    with pytest.raises(ConfigError, match="AsyncDB"):
        Outbox(db.inner).run(deliver)


def test_settings_that_are_none_are_refused(db):
    for named in ({"on_dead": "drop"}, {"lease": 0}, {"lease": 10**6}):
        with pytest.raises(ValidationError):
            Outbox(db.inner, **named)


def test_answers():
    class Response:
        status_code, headers = 429, {"Retry-After": "Thu, 01 Jan 1970 00:01:40 GMT"}

    assert answer_of(None, 0).ok
    assert answer_of(204, 0).ok
    assert not answer_of(False, 0).ok
    assert not answer_of(302, 0).ok
    assert answer_of(410, 0).gone
    assert answer_of(Response(), 40).retry_after == 60
    assert answer_of((503, {"Retry-After": "x"}), 0).retry_after is None
    assert answer_of((500, {"Retry-After": "9"}), 0).retry_after is None
    with pytest.raises(TypeError):
        answer_of("200", 0)
