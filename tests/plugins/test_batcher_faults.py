"""B01, W14 and P03 for a batcher: whatever the service leaves undone, refuses or never answers, every item is accounted for."""

import asyncio
import random
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from dynamorm import BatchConfig, Outcome, OutcomeUnknown
from dynamorm.errors import AccessDenied, Backpressure, TableNotFound, Throttled, Unavailable, ValidationError
from dynamorm.faces.batch_items import BatchItems
from dynamorm.testing import FaultServer, answers, failure
from tests.plugins.batcher_kit import Event, Payment, error_of, one, opened, outcome, scripted
from tests.support.held import PATIENT

BUDGET = 20
"""Requests of one worker in the first three seconds, whatever happens."""


def events(count):
    return [Event(id=f"e{number:05d}", amount=number) for number in range(count)]


def run(here, some, **settings):
    """Write all, and the futures with the result."""
    batcher = here.db.new_batcher(one(max_wait=30, **settings))
    futures = [batcher.add(event) for event in some]
    return futures, batcher.close()


def check(here, some, futures, result, service):
    """Every item is in just one list, in order; lists and futures are true."""
    lists = [result.written, *([one.item for one in part] for part in (result.failed, result.unknown))]
    assert Counter(id(one) for part in lists for one in part) == Counter(map(id, some))
    for part in lists:
        assert [one.id for one in part] == sorted(one.id for one in part)
    assert result.count == len(result.written)
    stored = set(service.stored())
    assert {one.id for one in result.written} <= stored
    assert not {one.item.id for one in result.failed} & stored
    assert all(one.error.outcome is Outcome.NOT_APPLIED for one in result.failed)
    assert all(one.error.outcome is Outcome.UNKNOWN for one in result.unknown)
    ends = {id(one.item): one.error for part in (result.failed, result.unknown) for one in part}
    for obj, future in zip(some, futures, strict=True):
        if id(obj) in ends:
            assert error_of(here.db, future) is ends[id(obj)]
        else:
            assert outcome(here.db, future) is obj


@pytest.mark.parametrize("count", [1, 12, 24, 25])
def test_b01_items_that_are_never_processed_fail_and_the_others_are_written(here, service, count):
    some = events(25)
    names = {event.id for event in some[:count]}
    service.undone = names.__contains__
    futures, result = run(here, some)
    check(here, some, futures, result, service)
    assert [one.item for one in result.failed] == some[:count]
    assert {type(one.error) for one in result.failed} == {Throttled}
    early = [one for one in here.driver.requests if one.time - 1_000.0 <= 3.0]
    assert 3 <= len(early) <= BUDGET
    assert all(0 <= slept <= 20 for slept in here.driver.sleeps)


def test_b01_what_is_left_undone_for_a_while_is_written_in_the_end(here, service):
    some = events(25)
    service.undone = lambda name: int(name[1:]) > len(service.sent)
    futures, result = run(here, some)
    check(here, some, futures, result, service)
    assert result.written == some
    assert all(0 <= slept <= 0.025 for slept in here.driver.sleeps)  # each made progress


@pytest.mark.parametrize("places", [[0], [24], [12], [3, 4], [0, 11, 12, 24], list(range(25))])
def test_b01_poison_items_are_isolated(here, service, places):
    some = events(25)
    names = {some[place].id for place in places}
    service.poison = names.__contains__
    futures, result = run(here, some)
    check(here, some, futures, result, service)
    assert [one.item for one in result.failed] == [some[place] for place in places]
    assert all(type(one.error) is ValidationError and "schema" in str(one.error) for one in result.failed)
    assert len(service.sent) <= 1 + 10 * len(places)


def test_b01_items_of_400_kb_are_packed_into_smaller_requests(here, service):
    some = [Event(id=f"e{number}", note="x" * 400_000) for number in range(9)]
    futures, result = run(here, some)
    check(here, some, futures, result, service)
    assert result.ok
    assert [len(names) for names in service.sent] == [5, 4]
    assert all(len(request.body) < 3_000_000 for request in here.driver.requests)


def test_b01_duplicates_are_never_in_one_request(here, service):
    dice = random.Random(7)
    batcher = here.db.new_batcher(one(max_wait=30))
    last = {}
    for turn in range(300):
        name = f"e{dice.randrange(20)}"
        if dice.random() < 0.3:
            batcher.delete(Event, name)
            last[name] = None
        else:
            batcher.add(Event(id=name, amount=turn))
            last[name] = turn
        if dice.random() < 0.05:
            batcher.flush()
    assert batcher.close().count == 300
    for names in service.sent:
        assert len({name for _, name in names}) == len(names)
    stored = {name: int(item["amount"]["N"]) for name, item in service.stored().items()}
    assert stored == {name: turn for name, turn in last.items() if turn is not None}


def test_b01_answers_that_are_lost_for_ever_leave_the_items_unknown(here, service):
    some = events(5)
    service.fault = lambda _: "lost"
    futures, result = run(here, some)
    check(here, some, futures, result, service)
    assert [one.item for one in result.unknown] == some
    assert len(service.operations) == 4


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (lambda: failure("ResourceNotFoundException"), TableNotFound),
        (lambda: failure("AccessDeniedException"), AccessDenied),
        (lambda: failure("InternalServerError", 500), OutcomeUnknown),
    ],
)
def test_b01_a_service_that_refuses_everything(here, service, fault, kind):
    some = events(60)
    service.fault = lambda _: fault()
    futures, result = run(here, some)
    check(here, some, futures, result, service)
    assert {type(one.error) for one in (*result.failed, *result.unknown)} <= {kind, Unavailable}
    assert len(service.operations) <= 200


CODES = ["ThrottlingException", "ProvisionedThroughputExceededException", "RequestLimitExceeded"]


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("header", [None, b"0", b"3000", b"-1", b"x"])
def test_w14_a_request_that_is_throttled_is_sent_again(here, service, code, header):
    def fault(turn):
        if turn >= 2:
            return None
        answer = failure(code)
        answer.retry_after = header
        return answer

    service.fault = fault
    some = events(25)
    futures, result = run(here, some)
    check(here, some, futures, result, service)
    assert result.written == some
    asked = 3.0 if header == b"3000" else 0.0
    assert len(here.driver.sleeps) == 2
    for step, slept in enumerate(here.driver.sleeps):
        own = min(1.0 * 2**step, 20.0)
        assert asked <= slept <= max(own, asked)  # full jitter, or what the service asks for: at most 5 s more


def test_w14_a_service_that_throttles_for_ever_gets_few_requests(here, service):
    service.fault = lambda _: failure("ThrottlingException")
    some = events(500)
    futures, result = run(here, some)
    check(here, some, futures, result, service)
    assert len(result.failed) == 500
    assert {type(one.error) for one in result.failed} == {Throttled}
    assert len(here.driver.requests) <= 180  # 20 batches, and the retry budget of the endpoint


# --------------------------------------------------------------------------------------------------------- late copies


@pytest.mark.parametrize("then", ["put", "delete"])
def test_the_next_write_of_a_key_waits_until_no_copy_may_come(here, service, ahead, then):
    """The answer was lost, and the write was sent again: the first copy may still be on its way."""
    service.fault = lambda turn: "lost" if turn == 0 else None
    with here.db.new_batcher(one()) as batcher:
        outcome(here.db, batcher.add(Event(id="e1", amount=1)))
        next_one = batcher.add(Event(id="e1", amount=2)) if then == "put" else batcher.delete(Event, "e1")
        free = batcher.add(Event(id="e2"))
        assert outcome(here.db, free).id == "e2"  # another key does not wait
        assert not next_one.done()
        assert not batcher.flush(timeout=0.05)
        ahead.by = BatchItems.latest - 60
        outcome(here.db, batcher.add(Event(id="e3")))
        assert not next_one.done()
        ahead.by = BatchItems.latest
        batcher.add(Event(id="e4"))
        outcome(here.db, next_one)
        outcome(here.db, batcher.add(Event(id="e1", amount=3)))  # of the one that was answered there is no copy


def test_puts_that_wait_for_late_copies_are_joined(here, service, ahead):
    service.fault = lambda turn: "lost" if turn == 0 else None
    with here.db.new_batcher(one()) as batcher:
        outcome(here.db, batcher.add(Event(id="e1", amount=1)))
        futures = [batcher.add(Event(id="e1", amount=number)) for number in range(2, 9)]
        ahead.by = BatchItems.latest
        batcher.add(Event(id="e2"))
        assert {outcome(here.db, future).amount for future in futures} == {8}
    assert [name for names in service.sent for _, name in names].count("e1") == 3


def test_resend_does_not_wait(here, service):
    service.fault = lambda turn: "lost" if turn == 0 else None
    with here.db.new_batcher(one(on_ambiguous="resend")) as batcher:
        outcome(here.db, batcher.add(Event(id="e1", amount=1)))
        assert outcome(here.db, batcher.add(Event(id="e1", amount=2))).amount == 2


def test_a_held_key_fails_in_the_end_and_never_is_written(here, service):
    service.fault = lambda turn: "lost" if turn == 0 else None
    batcher = here.db.new_batcher(one())
    outcome(here.db, batcher.add(Event(id="e1", amount=1)))
    batcher.add(Event(id="e1", amount=2))
    result = batcher.close(timeout=0.1)
    assert (result.count, len(result.failed)) == (1, 1)
    assert service.stored()["e1"]["amount"] == {"N": "1"}


def test_a_write_under_a_version_waits_for_nothing(here, service):
    """A late copy of it is refused by the version."""
    payment = Payment(id="p1", amount=1)
    with here.db.new_batcher(one()) as batcher:
        outcome(here.db, batcher.add(payment))
        service.fault = lambda turn: "lost" if turn == 1 else None
        payment.amount = 2
        outcome(here.db, batcher.add(payment))
        payment.amount = 3
        assert outcome(here.db, batcher.add(payment)).amount == 3


def test_a_create_whose_answer_was_lost_holds_up_the_next_write(here, service, ahead):
    """A late copy of it would find that the item is gone, and make it anew."""
    service.fault = lambda turn: "lost" if turn == 0 else None
    payment = Payment(id="p1", amount=1)
    with here.db.new_batcher(one()) as batcher:
        outcome(here.db, batcher.add(payment))
        gone = batcher.delete(payment)
        outcome(here.db, batcher.add(Event(id="e1")))
        assert not gone.done()
        ahead.by = BatchItems.latest
        batcher.add(Event(id="e2"))
        outcome(here.db, gone)
    assert not service.stored("payments")


@pytest.mark.parametrize("seed", range(30))
def test_b01_everything_at_once(face_kind, service, seed):
    dice = random.Random(seed)
    here = scripted(face_kind, service)
    some = events(dice.choice([7, 60, 200]))
    bad = {one.id for one in some if dice.random() < 0.02}
    slow = {one.id for one in some if dice.random() < 0.05}
    service.poison = bad.__contains__
    service.undone = lambda name: name in slow and dice.random() < 0.7

    def fault(_):
        chance = dice.random()
        if chance < 0.1:
            return "lost"
        if chance < 0.15:
            return failure("ThrottlingException")
        return failure("InternalServerError", 500) if chance < 0.2 else None

    service.fault = fault
    futures, result = run(here, some, max_size=dice.choice([1, 5, 25]))
    check(here, some, futures, result, service)
    here.db.close()


# ---------------------------------------------------------------------------------------------------------------- P03


class Slow:
    """A table that takes every item, 20 ms for each request."""

    def __init__(self):
        self.stored = set()

    def __call__(self, operation, body):
        for asked in body["RequestItems"].values():
            self.stored |= {one["PutRequest"]["Item"]["id"]["S"] for one in asked}
        return 200, {"UnprocessedItems": {}}


class Added:
    """Counts what was added, refused, and what has ended: in the queue is what lies between."""

    def __init__(self):
        self.added, self.refused, self.ended, self.most = set(), 0, 0, 0
        self._lock = threading.Lock()

    def add(self, name, future):
        future.add_done_callback(self.end)  # first: else a thread that loses its turn here counts what has ended
        with self._lock:
            self.added.add(name)
            self.most = max(self.most, len(self.added) - self.ended)

    def refuse(self):
        with self._lock:
            self.refused += 1

    def end(self, future):
        with self._lock:
            self.ended += future.exception() is None


def ten_thousand_by_threads(db, config, seen):
    def work(part):
        for number in range(part, 10_000, 100):
            name = f"e{number}"
            try:
                seen.add(name, batcher.add(Event(id=name)))
            except Backpressure:
                seen.refuse()

    with db.new_batcher(config) as batcher, ThreadPoolExecutor(100) as pool:
        list(pool.map(work, range(100)))


async def ten_thousand_by_tasks(db, config, seen):
    async def work(name):
        try:
            seen.add(name, await batcher.add(Event(id=name)))
        except Backpressure:
            seen.refuse()

    async with db.new_batcher(config) as batcher:
        await asyncio.gather(*(work(f"e{number}") for number in range(10_000)))


@pytest.mark.once
@pytest.mark.parametrize("on_full", ["raise", "block"])
def test_p03_ten_thousand_adds_at_once_into_a_slow_service(face_kind, on_full, figure):
    """The queue has its bound. Who finds it full is told so, or waits; and what was taken is written, each of it."""
    config, seen, slow = BatchConfig(queue_size=500, on_full=on_full, keep=False), Added(), Slow()
    with FaultServer(lambda _: answers.honest().delayed(0.02), backend=slow) as server:
        face = opened(face_kind, server.endpoint, **PATIENT)
        if face_kind == "blocking":
            ten_thousand_by_threads(face.inner, config, seen)
        else:
            face._loop.run(ten_thousand_by_tasks(face.inner, config, seen))
        face.close()
    assert slow.stored == seen.added
    assert len(seen.added) + seen.refused == 10_000
    assert seen.most <= 500 + 4 * 25  # a place is free a moment before its future tells: of four requests at most
    assert len(seen.added) >= 500
    assert (seen.refused > 0) == (on_full == "raise")
    figure(f"P03, batcher, {face_kind}, on_full={on_full}: {len(seen.added)} of 10,000 adds taken, {seen.most} at once")
