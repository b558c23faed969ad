"""The retry budget of an endpoint: what a retry takes, who gives it back, and what waits when it is used up."""

from __future__ import annotations

from typing import Any

import pytest

from dynamorm import Outcome, OutcomeUnknown
from dynamorm.effects import TransportError
from dynamorm.errors import (
    AccessDenied,
    AlreadyExists,
    ConnectFailed,
    DynamORMError,
    ServerError,
    Throttled,
    TransactionConflict,
    Unavailable,
)
from dynamorm.testing import failure
from dynamorm.wire.retry import CAPACITY
from tests.faults.desk import Desk, Make, applied, five, gaps, lost, throttled, unreached
from tests.faults.verbs import CLASS_C, CLASS_I, CLASS_N, READS, Verb

CREATE, SAVE, UPDATE, DELETE = CLASS_C
PUT, DELETE_KEY = CLASS_I
PUT_IF, UPDATE_KEY, DELETE_STRICT, *_ = CLASS_N
GET = READS[0]
AGAIN = (*CLASS_C, *CLASS_I, *CLASS_N)
again = pytest.mark.parametrize("verb", AGAIN, ids=lambda verb: verb.name)
SAFE = (GET, CREATE, SAVE, PUT, DELETE_KEY, UPDATE_KEY)


def idle(_: Desk, __: Any) -> TransportError:
    """The connection had been kept, and the other side had closed it."""
    return TransportError("receive", "closed", sent=True, fresh=False)


def conflict(_: Desk, request: Any) -> Any:
    """Another transaction holds the item."""
    if request.operation == "TransactWriteItems":
        return failure("TransactionCanceledException", CancellationReasons=[{"Code": "TransactionConflict"}])
    return failure("TransactionConflictException")


def denied(_: Desk, __: Any) -> Any:
    """It may not."""
    return failure("AccessDeniedException")


def run(desk: Desk) -> DynamORMError | None:
    """Run the verb; its error."""
    try:
        desk.run()
    except DynamORMError as error:
        return error
    return None


# ------------------------------------------------------------------------------------ what a retry takes, and gets back


@pytest.mark.parametrize("verb", SAFE, ids=lambda verb: verb.name)
@pytest.mark.parametrize(
    ("fault", "cost"), [(five, 14), (lost, 14), (unreached, 14), (throttled, 5), (conflict, 5)], ids=range(5)
)
def test_a_retry_takes_its_price_and_an_answer_gives_all_of_it_back(
    scripted: Make, verb: Verb, fault: Any, cost: int
) -> None:
    """14 where it may be an outage, 5 where the service is well; no more than was taken."""
    desk = Desk(scripted, verb)
    (desk.reads if verb is GET else desk.writes)[:] = [fault, fault]
    desk.bucket.tokens = 400
    assert run(desk) is None
    assert desk.tokens[:3] == [400, 400 - cost, 400 - 2 * cost]
    assert desk.bucket.tokens == 400 + (len(desk.sent) - 3)  # a call that needed no retry gives one


@pytest.mark.parametrize("verb", SAFE, ids=lambda verb: verb.name)
def test_a_clear_refusal_gives_it_back_too(scripted: Make, verb: Verb) -> None:
    """The service is well: it has answered."""
    desk = Desk(scripted, verb)
    (desk.reads if verb is GET else desk.writes)[:] = [throttled, unreached, denied]
    desk.bucket.tokens = 400
    desk.fails(AccessDenied, Outcome.NOT_APPLIED)
    assert desk.tokens == [400, 395, 381]
    assert desk.bucket.tokens == 400


def test_so_does_a_condition_that_does_not_hold(scripted: Make) -> None:
    """Whether it refuses the write, or shows that an earlier attempt was applied."""
    desk = Desk(scripted, CREATE._replace(exists=True), throttled, throttled)
    desk.fails(AlreadyExists, Outcome.NOT_APPLIED)
    assert desk.tokens[-1] == CAPACITY - 10
    assert desk.bucket.tokens == CAPACITY
    desk = Desk(scripted, CREATE, applied, five)
    desk.succeeds()
    assert desk.tokens[-1] == CAPACITY - 28
    assert desk.bucket.tokens == CAPACITY


@pytest.mark.parametrize("fault", [five, throttled, unreached])
def test_what_is_given_up_gets_nothing_back(scripted: Make, fault: Any) -> None:
    """Nothing has shown that the endpoint is well."""
    desk = Desk(scripted, GET, every_read=fault)
    assert run(desk) is not None
    assert desk.bucket.tokens == CAPACITY - 3 * (5 if fault is throttled else 14)


def test_an_idle_connection_that_was_closed_costs_neither_time_nor_budget(scripted: Make) -> None:
    """Of a read; it is still an attempt. A write may have arrived, so it is one like any other."""
    desk = Desk(scripted, GET)
    desk.reads = [idle, idle, idle]
    desk.bucket.tokens = 0
    assert run(desk) is None
    assert (desk.elapsed, desk.here.driver.sleeps, desk.bucket.tokens) == (0.0, [], 1)
    desk = Desk(scripted, GET, every_read=idle)
    error = run(desk)
    assert isinstance(error, Unavailable)
    assert (error.attempts, desk.bucket.tokens) == (4, CAPACITY)
    desk = Desk(scripted, PUT, idle)
    desk.succeeds()
    assert desk.tokens == [CAPACITY, CAPACITY - 14]
    assert desk.elapsed == pytest.approx(0.025)


# ---------------------------------------------------------------------------------------------- when it is used up


@pytest.mark.parametrize(
    ("verb", "fault", "price", "kind"),
    [
        (GET, five, 14, ServerError),
        (GET, lost, 14, Unavailable),
        (GET, throttled, 5, Throttled),
        (CREATE, throttled, 5, Throttled),
        (UPDATE_KEY, throttled, 5, Throttled),
        (SAVE, conflict, 5, TransactionConflict),
        (PUT, unreached, 14, ConnectFailed),
        (UPDATE_KEY, unreached, 14, ConnectFailed),
    ],
)
def test_what_certainly_was_not_applied_is_not_tried_again_without_it(
    scripted: Make, verb: Verb, fault: Any, price: int, kind: type[DynamORMError]
) -> None:
    """At once, also while the endpoint answers other calls."""

    def busy(desk: Desk, request: Any) -> Any:
        desk.other_call()
        desk.bucket.tokens -= 1  # what that call gave
        return fault(desk, request)

    for paid in (0, 1, 2):
        desk = Desk(scripted, verb, every_write=busy, every_read=busy)
        desk.bucket.tokens = (paid + 1) * price - 1
        error = desk.fails(kind, Outcome.NOT_APPLIED)
        assert "retry budget" in str(error)
        assert len(desk.sent) == paid + 1
        assert len(desk.here.driver.sleeps) == paid
        assert desk.bucket.tokens == price - 1


@again
def test_an_ambiguous_write_waits_while_the_endpoint_answers_nobody(scripted: Make, verb: Verb) -> None:
    """Nothing more is sent that is not paid for, and it ends in time."""
    desk = Desk(scripted, verb, every_write=lost, operation_timeout=6.0)
    desk.every_read = lost
    desk.bucket.tokens = 13
    error = desk.fails(OutcomeUnknown, Outcome.UNKNOWN)
    assert "answered no other call" in str(error)
    assert len(desk.times(reads=False)) == 1
    assert desk.times(reads=True)[1:] == []  # one look, which costs nothing, in the time that is left
    assert 6.0 - 0.05 - 0.81 <= desk.elapsed <= 6.0
    assert desk.bucket.tokens == 13


@again
def test_it_goes_on_soon_after_another_call_was_answered(scripted: Make, verb: Verb) -> None:
    """And takes nothing: that answer has shown that the endpoint is well."""
    desk = Desk(scripted, verb, lost)
    desk.bucket.tokens = 0
    desk.clock.at(3.0, desk.other_call)
    desk.succeeds()
    first, second = desk.times(reads=False)
    assert first == 0.0
    assert 3.0 < second < 3.81
    assert desk.tokens[:2] == [0, 1]


@again
def test_each_answer_of_another_call_lets_one_more_attempt_go(scripted: Make, verb: Verb) -> None:
    desk = Desk(scripted, verb, lost, lost, lost)
    desk.bucket.tokens = 0
    for when in (2.0, 4.0, 6.0):
        desk.clock.at(when, desk.other_call)
    desk.succeeds()
    times = desk.times(reads=False)
    assert times[0] == 0.0
    assert [int(when) for when in times[1:]] == [2, 4, 6]
    assert all(when % 1 < 0.81 for when in times)


@again
def test_a_waiting_write_goes_on_when_the_budget_can_pay_for_it(scripted: Make, verb: Verb) -> None:
    """Another call that needed retries gave back what they had taken: the answer lets it go, and the rest is there for more."""
    desk = Desk(scripted, verb, lost, lost)
    desk.bucket.tokens = 0

    def filled() -> None:
        desk.bucket.tokens = 30

    desk.clock.at(2.0, filled)
    desk.succeeds()
    times = desk.times(reads=False)
    assert 2.0 < times[1] < 2.81
    assert times[2] - times[1] <= 0.8  # it was paid for, so it does not wait
    assert desk.tokens[:3] == [0, 16, 2]
    assert desk.bucket.tokens >= 30


@again
def test_while_other_calls_are_answered_an_ambiguous_write_costs_nothing(scripted: Make, verb: Verb) -> None:
    def busy(desk: Desk, request: Any) -> Any:
        desk.other_call()
        return lost(desk, request)

    desk = Desk(scripted, verb, lost, busy, busy)
    desk.bucket.tokens = 14  # for the first one: what was answered before it failed shows nothing
    desk.succeeds()
    assert desk.tokens[:4] == [14, 0, 1, 2]
    assert desk.elapsed < 0.2


@again
def test_an_ambiguous_write_is_paid_for_while_none_is_answered(scripted: Make, verb: Verb) -> None:
    desk = Desk(scripted, verb, lost, lost, lost)
    desk.succeeds()
    assert desk.tokens[:4] == [500, 486, 472, 458]
    assert desk.bucket.tokens == CAPACITY


def test_a_look_at_what_is_stored_waits_as_its_write_does(scripted: Make) -> None:
    for answered in (True, False):
        desk = Desk(scripted, SAVE, applied, max_attempts=1)
        desk.reads = [five]
        desk.bucket.tokens = 0
        if answered:
            desk.clock.at(3.0, desk.other_call)
            desk.succeeds()
            assert 3.0 < desk.times(reads=True)[1] < 3.81
        else:
            desk.fails(OutcomeUnknown, Outcome.UNKNOWN)
            assert len(desk.times(reads=True)) == 1


def test_without_chance_it_does_not_ask_for_leave_without_a_pause(scripted: Make) -> None:
    """The delay may be drawn as zero: there is a millisecond between two looks at the budget."""
    desk = Desk(scripted, SAVE, lost, operation_timeout=1.0)
    desk.here.session.channel.random = lambda: 0.0
    desk.bucket.tokens = 0
    desk.clock.at(0.5, desk.other_call)
    desk.succeeds()
    assert all(slept == pytest.approx(0.001) for slept in desk.here.driver.sleeps[1:])
    assert 0.5 < desk.elapsed < 0.502


def test_it_does_not_wait_for_what_would_leave_no_time_to_send(scripted: Make) -> None:
    """It ends as soon as that is certain: 0.85 s before the end there is time for one more look at the budget, and 50 ms."""
    for over, waits in ((0.04, 2), (0.06, 3)):
        desk = Desk(scripted, PUT, every_write=lost, every_read=lost, operation_timeout=0.025 + 3 * 0.801 + over)
        desk.bucket.tokens = 0
        error = desk.fails(OutcomeUnknown, Outcome.UNKNOWN)
        assert "retry budget" in str(error)
        assert desk.times(reads=True)[0] == pytest.approx(0.025 + waits * 0.801)  # when it ended, and looked


# ------------------------------------------------------------------------------------- attempts that only find out


@pytest.mark.parametrize("verb", CLASS_N, ids=lambda verb: verb.name)
@pytest.mark.parametrize("fault", [lost, five, throttled, unreached, conflict])
def test_a_token_is_asked_with_as_long_as_there_is_time(scripted: Make, verb: Verb, fault: Any) -> None:
    """``max_attempts`` does not bound it, once an attempt may have been applied."""
    desk = Desk(scripted, verb, applied, *[fault] * 12, operation_timeout=60.0)
    desk.succeeds()
    assert len(desk.times(reads=False)) == 14


@pytest.mark.parametrize("verb", CLASS_N, ids=lambda verb: verb.name)
def test_a_token_that_certainly_did_nothing_is_bound_by_max_attempts(scripted: Make, verb: Verb) -> None:
    for fault, kind, tries in ((throttled, Throttled, 4), (conflict, TransactionConflict, 8)):
        desk = Desk(scripted, verb, every_write=fault)
        desk.fails(kind, Outcome.NOT_APPLIED)
        assert len(desk.sent) == tries


@pytest.mark.parametrize("verb", CLASS_N, ids=lambda verb: verb.name)
def test_a_token_is_asked_with_ever_more_rarely_and_often_at_the_end(scripted: Make, verb: Verb) -> None:
    """Up to 0.8 s apart; a tenth of a second before the end once more, then each 5 ms while 50 ms are left to answer."""
    desk = Desk(scripted, verb, every_write=lost, operation_timeout=4.0)
    error = desk.fails(OutcomeUnknown, Outcome.UNKNOWN)
    times = desk.times(reads=False)
    assert gaps(times)[:8] == pytest.approx([0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 0.8, 0.8])
    late = [when for when in times if when > 3.85]
    assert late[0] == pytest.approx(3.9)
    assert gaps(late) == pytest.approx([0.005] * (len(late) - 1))
    assert 3.94 < late[-1] < 3.95
    assert error.attempts == len(times)


def test_a_versioned_write_is_asked_again_soon_each_time(scripted: Make) -> None:
    """The ring may move on while it waits, so the first look comes five times sooner; a create's cannot, so that one waits longer."""
    for verb, expected in (
        (SAVE, [0.005, 0.025, 0.025]),
        (UPDATE, [0.005, 0.025, 0.025]),
        (DELETE, [0.005, 0.025, 0.025]),
        (CREATE, [0.025, 0.05, 0.1]),
    ):
        desk = Desk(scripted, verb, applied, five, five)
        desk.succeeds()
        assert gaps(desk.times(reads=False)) == pytest.approx(expected)
    desk = Desk(scripted, SAVE, applied, throttled, throttled)  # a throttle is waited for as it asks
    desk.succeeds()
    assert gaps(desk.times(reads=False)) == pytest.approx([0.005, 1.0, 2.0])
    desk = Desk(scripted, SAVE, unreached, unreached, unreached)  # nothing was sent, so there is no hurry
    desk.succeeds()
    assert gaps(desk.times(reads=False)) == pytest.approx([0.025, 0.05, 0.1])


@pytest.mark.parametrize("verb", [GET, CREATE, SAVE, PUT], ids=lambda verb: verb.name)
def test_a_delay_is_not_waited_for_where_less_than_50_ms_would_be_left(scripted: Make, verb: Verb) -> None:
    """The answer is given at once instead."""
    for over, sent in ((0.04, 1), (0.06, 2)):
        desk = Desk(
            scripted, verb, every_write=unreached, every_read=unreached, retry_base=0.25, operation_timeout=0.25 + over
        )
        assert run(desk) is not None
        assert len(desk.sent) == sent
        assert desk.elapsed == pytest.approx(0.25 * (sent - 1))


@pytest.mark.parametrize("verb", [CREATE, SAVE, PUT, UPDATE_KEY], ids=lambda verb: verb.name)
def test_conflicts_are_counted_apart_from_the_other_attempts(scripted: Make, verb: Verb) -> None:
    """Eight tries that meet another transaction, and beside them four that meet anything else."""
    desk = Desk(scripted, verb, conflict, conflict, conflict, throttled, throttled, throttled, operation_timeout=60.0)
    desk.succeeds()
    assert len(desk.times(reads=False)) == 7
    desk = Desk(scripted, verb, conflict, conflict, conflict, every_write=throttled, operation_timeout=60.0)
    desk.fails(Throttled, Outcome.NOT_APPLIED)
    assert len(desk.sent) == 3 + 4
    desk = Desk(scripted, verb, throttled, throttled, every_write=conflict, operation_timeout=60.0)
    desk.fails(TransactionConflict, Outcome.NOT_APPLIED)
    assert len(desk.sent) == 2 + 8


@pytest.mark.parametrize("verb", [GET, PUT], ids=lambda verb: verb.name)
def test_connections_are_tried_for_connection_timeout_and_not_where_50_ms_of_it_are_left(
    scripted: Make, verb: Verb
) -> None:
    for took, sent in ((4.96, 1), (4.9, 2)):

        def slowly(desk: Desk, request: Any, took: float = took) -> Any:
            desk.clock.advance(took)
            return unreached(desk, request)

        desk = Desk(scripted, verb, every_write=slowly, every_read=slowly, operation_timeout=60.0)
        error = desk.fails(ConnectFailed, Outcome.NOT_APPLIED)
        assert "connection_timeout" in str(error)
        assert len(desk.sent) == sent
