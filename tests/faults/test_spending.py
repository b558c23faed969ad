"""A refused token is spent: how long that is tried, what it proves, and when a token is not sent any more."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from dynamorm import Outcome, OutcomeUnknown
from dynamorm.errors import ConditionFailed
from dynamorm.testing import Late, answers, failure
from tests.faults.desk import Desk, Make, applied, five, lost, throttled, unreached
from tests.faults.stage import Stage
from tests.faults.verbs import CLASS_N, Counter, Payment, Verb

PUT_IF, UPDATE_KEY, DELETE_STRICT, *_ = CLASS_N
REFUSED = Verb(
    "update_if",
    "TransactWriteItems",
    "N",
    lambda db, _: db.update(Payment, "p1", Payment.amount.add(5), condition=Payment.amount >= 500),
    100,
    mutates=False,
)
"""Its condition does not hold."""


def conflict(_: Desk, __: Any) -> Any:
    """Another transaction holds the item."""
    return failure("TransactionCanceledException", CancellationReasons=[{"Code": "TransactionConflict"}])


@pytest.mark.parametrize("fault", [five, lost, throttled, unreached, conflict])
def test_the_spending_is_tried_as_long_as_there_is_time(scripted: Make, fault: Any) -> None:
    """``max_attempts`` does not bound it: it only finds out what became of the write."""
    desk = Desk(scripted, REFUSED, lost, lambda *_: None, *[five] * 3, *[fault] * 12, operation_timeout=60.0)
    desk.fails(ConditionFailed, Outcome.NOT_APPLIED)
    assert len(desk.sent) == 2 + 3 + 12 + 1


def test_the_spending_ends_with_the_verb(scripted: Make) -> None:
    desk = Desk(scripted, REFUSED, lost, lambda *_: None, every_write=five, operation_timeout=2.0)
    error = desk.fails(OutcomeUnknown, Outcome.UNKNOWN)
    assert isinstance(error.__cause__, ConditionFailed)
    assert 1.9 < desk.elapsed < 2.0
    assert error.attempts == 2


def test_the_spending_ends_with_a_verb_that_sent_other_requests_before(scripted: Make) -> None:
    """An increment reads first, which takes most of its time."""

    def slow(desk: Desk, request: Any) -> Any:
        return Late(desk.serve(request), 1.5)

    def changed(desk: Desk, _: Any) -> None:
        desk.store.seed("counters", id="c1", count=7)

    verb = REFUSED._replace(act=lambda db, _: db.increment(Counter, "c1", Counter.count))
    desk = Desk(scripted, verb, lost, changed, every_write=five, operation_timeout=2.0)
    desk.store.seed("counters", id="c1", count=5)
    desk.reads = [slow]
    desk.fails(OutcomeUnknown, Outcome.UNKNOWN)
    assert len(desk.times(reads=False)) > 3
    assert 1.9 < desk.elapsed < 2.0


def test_a_spending_that_meets_a_conflict_was_answered(stage: Callable[..., Stage]) -> None:
    """It is tried again on the same connection, for nothing is wrong with that."""
    refusal = answers.error("TransactionCanceledException", CancellationReasons=[{"Code": "TransactionConflict"}])
    run = stage().run(REFUSED, answers.error("InternalServerError", 500), None, refusal)
    run.failed(ConditionFailed, Outcome.NOT_APPLIED, attempts=2, requests=4)
    assert len(set(run.connections)) == 1


@pytest.mark.parametrize("verb", [PUT_IF, REFUSED], ids=lambda verb: verb.name)
def test_resolve_takes_the_time_it_is_given_for_a_token_too(scripted: Make, verb: Verb) -> None:
    """More than ``operation_timeout``, for the write and for the spending; without any it takes that."""
    desk = Desk(scripted, verb, lost, every_write=five, operation_timeout=1.0)
    error = desk.fails(OutcomeUnknown, Outcome.UNKNOWN)
    desk.bucket.tokens = desk.bucket.capacity
    began = desk.elapsed
    assert error.resolve() is Outcome.UNKNOWN
    assert 0.9 <= desk.elapsed - began <= 1.0
    desk.bucket.tokens = desk.bucket.capacity
    began = desk.elapsed
    desk.clock.at(began + 5.0, lambda: setattr(desk, "every_write", None))
    assert error.resolve(10.0) is (Outcome.APPLIED if verb is PUT_IF else Outcome.NOT_APPLIED)
    assert 5.0 <= desk.elapsed - began <= 5.81
    sent = len(desk.sent)
    assert error.resolve() is (Outcome.APPLIED if verb is PUT_IF else Outcome.NOT_APPLIED)
    assert len(desk.sent) == sent  # what is known is not asked for again


def test_resolve_spends_a_token_for_as_long_as_it_was_given(scripted: Make) -> None:
    desk = Desk(scripted, REFUSED, every_write=lost, operation_timeout=1.0)
    error = desk.fails(OutcomeUnknown, Outcome.UNKNOWN)
    desk.bucket.tokens = desk.bucket.capacity
    began = desk.elapsed
    desk.writes, desk.every_write = [lambda *_: None], five
    desk.clock.at(began + 5.0, lambda: setattr(desk, "every_write", None))
    assert error.resolve(10.0) is Outcome.NOT_APPLIED
    assert 5.0 <= desk.elapsed - began <= 5.81


@pytest.mark.parametrize("verb", [PUT_IF, REFUSED], ids=lambda verb: verb.name)
def test_no_token_is_sent_later_than_nine_minutes_after_it_was_first_sent(scripted: Make, verb: Verb) -> None:
    """Not by an attempt, and not to spend it, however much time ``resolve`` is given."""
    desk = Desk(scripted, verb, every_write=lost, operation_timeout=1.0)
    error = desk.fails(OutcomeUnknown, Outcome.UNKNOWN)
    desk.bucket.tokens = desk.bucket.capacity
    desk.clock.advance(535.0 - desk.elapsed)
    desk.every_write = throttled
    if verb is REFUSED:
        desk.writes = [lambda *_: None]
    assert error.resolve(100.0) is Outcome.UNKNOWN
    times = desk.times(reads=False)
    assert 535.0 < times[-1] < 540.0
    desk.clock.advance(540.0 - desk.elapsed)
    desk.every_write = None
    assert error.resolve(100.0) is Outcome.UNKNOWN
    assert desk.times(reads=False) == times


def test_within_nine_minutes_it_still_is(scripted: Make) -> None:
    desk = Desk(scripted, PUT_IF, every_write=lost, operation_timeout=1.0)
    error = desk.fails(OutcomeUnknown, Outcome.UNKNOWN)
    desk.bucket.tokens = desk.bucket.capacity
    desk.clock.advance(539.0 - desk.elapsed)
    desk.every_write = None
    assert error.resolve(100.0) is Outcome.APPLIED
    assert len(desk.store.changes) == 1


def test_a_machine_that_slept_counts_the_time_it_slept(scripted: Make) -> None:
    """Its clock of seconds stood still meanwhile, the other one tells."""
    desk = Desk(scripted, PUT_IF, every_write=lost, operation_timeout=1.0)
    error = desk.fails(OutcomeUnknown, Outcome.UNKNOWN)
    desk.every_write = None
    sent = len(desk.sent)
    desk.clock.jump(540.0)
    assert error.resolve(5.0) is Outcome.UNKNOWN
    assert len(desk.sent) == sent


@pytest.mark.parametrize("slept", [540.0, 7_200.0])
def test_a_token_is_not_sent_again_after_the_machine_slept_in_the_middle_of_a_verb(
    scripted: Make, slept: float
) -> None:
    """A frozen function, a laptop: DynamoDB may have forgotten the token, and would apply the same request once more."""

    def applied_and_slept(desk: Desk, request: Any) -> Any:
        found = applied(desk, request)
        desk.clock.jump(slept)
        return found

    desk = Desk(scripted, PUT_IF, applied_and_slept)
    desk.fails(OutcomeUnknown, Outcome.UNKNOWN)
    assert len(desk.sent) == 1
    assert len(desk.store.changes) == 1


def test_a_token_is_sent_again_while_dynamodb_remembers_it(scripted: Make) -> None:
    def applied_and_slept(desk: Desk, request: Any) -> Any:
        found = applied(desk, request)
        desk.clock.jump(500.0)
        return found

    desk = Desk(scripted, PUT_IF, applied_and_slept)
    desk.succeeds()
    assert len(desk.sent) == 2


def test_a_clock_that_is_set_back_gives_a_token_no_longer_life(scripted: Make) -> None:
    desk = Desk(scripted, PUT_IF, every_write=lost, operation_timeout=1.0)
    error = desk.fails(OutcomeUnknown, Outcome.UNKNOWN)
    desk.every_write = None
    sent = len(desk.sent)
    desk.clock.jump(-600.0)
    desk.clock.advance(540.0)
    assert error.resolve(5.0) is Outcome.UNKNOWN
    assert len(desk.sent) == sent


def test_a_token_is_not_spent_after_the_machine_slept(scripted: Make) -> None:
    """DynamoDB may have forgotten it, and then the spending would prove nothing."""

    def slept(desk: Desk, _: Any) -> None:
        desk.clock.jump(540.0)

    desk = Desk(scripted, REFUSED, lost, slept)
    error = desk.fails(OutcomeUnknown, Outcome.UNKNOWN)
    assert isinstance(error.__cause__, ConditionFailed)
    assert len(desk.sent) == 2
    assert error.resolve() is Outcome.UNKNOWN
    assert len(desk.sent) == 2


def test_a_verb_may_not_take_longer_than_its_token_lives(scripted: Make) -> None:
    """Also with an ``operation_timeout`` above nine minutes."""
    desk = Desk(scripted, PUT_IF, lost, every_write=throttled, operation_timeout=900.0, retry_cap=100.0)
    desk.fails(OutcomeUnknown, Outcome.UNKNOWN)
    assert 500.0 < desk.times(reads=False)[-1] < 540.0


def test_the_refusal_of_a_spending_proves_that_the_write_was_applied(scripted: Make) -> None:
    """The late copy came first; the verb then reads its result."""
    desk = Desk(scripted, REFUSED, lost, lambda *_: None)

    def arrives(desk: Desk, _: Any) -> None:
        desk.store.seed("payments", id="p1", amount=600, version=2)
        desk.serve(desk.sent[0])

    desk.writes.append(arrives)
    assert desk.run().amount == 605
    assert len(desk.store.changes) == 1


@pytest.mark.parametrize("verb", CLASS_N, ids=lambda verb: verb.name)
def test_a_token_that_is_in_progress_may_have_been_applied(scripted: Make, verb: Verb) -> None:
    """So a throttle behind it does not end in "not applied"."""
    desk = Desk(
        scripted,
        verb,
        lambda *_: failure("TransactionInProgressException"),
        every_write=throttled,
        operation_timeout=9.0,
    )
    desk.fails(OutcomeUnknown, Outcome.UNKNOWN)
    assert desk.times(reads=False)[1] == pytest.approx(1.5)
    desk = Desk(scripted, verb, applied, lambda *_: failure("TransactionInProgressException"))
    desk.succeeds()
