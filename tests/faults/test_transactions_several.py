"""W02, W03, W12, W15-W18 for transactions of several items: all or nothing, once, and every operation's own reason."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from dynamorm import HighThroughput
from dynamorm.effects import TransportError
from dynamorm.errors import (
    AlreadyExists,
    ClientError,
    ConditionFailed,
    DynamORMError,
    ItemTooLarge,
    MalformedResponse,
    MissingItem,
    Outcome,
    OutcomeUnknown,
    TableNotFound,
    Throttled,
    TokenUsed,
    TransactionCancelled,
    TransactionConflict,
    ValidationError,
    VersionConflict,
)
from dynamorm.ops.verbs.delete import delete_write
from dynamorm.ops.verbs.put import create_write
from dynamorm.ops.writes.send import perform
from dynamorm.testing import FakeClock, Late, failure, reply
from tests.faults.bank import Bank, applied, lost
from tests.faults.scripted import Scripted
from tests.faults.verbs import Counter, Payment

Make = Callable[..., Scripted]

LOST: dict[str, Any] = {
    "reset": TransportError("receive", "reset", sent=True),
    "timeout": TransportError("timeout", "late", sent=True),
    "error_500": failure("InternalServerError", 500),
    "error_503": failure("ServiceUnavailable", 503),
    "web_page": reply(b"<html>"),
    "empty": reply(b""),
    "truncated": reply(b'{"x'),
    "list": reply(b"[]"),
    "checksum": reply({}, crc="bad"),
}
OLD = {"id": {"S": "p2"}, "amount": {"N": "7"}, "version": {"N": "9"}}
CONDITION = {"Code": "ConditionalCheckFailed", "Message": "The conditional request failed"}
NONE = {"Code": "None"}
CONFLICT = {"Code": "TransactionConflict", "Message": "Transaction is ongoing for the item"}
THROTTLE = {"Code": "ThrottlingError", "Message": "slow down"}
LOST_ROWS = pytest.mark.parametrize("answer", LOST.values(), ids=list(LOST))


def cancelled(*reasons: Any) -> Any:
    """A TransactionCanceledException with these reasons."""
    return lost(failure("TransactionCanceledException", message="cancelled", CancellationReasons=list(reasons)))


class Interrupt(BaseException):
    """Stops a call from outside, as a cancellation or Ctrl-C does."""


@pytest.fixture
def bank(scripted: Make) -> Bank:
    return Bank(scripted)


@LOST_ROWS
@pytest.mark.parametrize("times", [1, 3])
def test_w02_a_lost_reply_does_not_apply_it_again(bank: Bank, answer: Any, times: int) -> None:
    bank.faults = [applied(answer)] * times
    bank.transfer()
    bank.settled()
    assert len(bank.sent) == times + 1
    assert len(bank.tokens) == 1


@LOST_ROWS
@pytest.mark.parametrize("times", [1, 3])
def test_w03_a_lost_request_is_not_lost(bank: Bank, answer: Any, times: int) -> None:
    bank.faults = [lost(answer)] * times
    bank.transfer()
    bank.settled()
    assert len(bank.tokens) == 1


@LOST_ROWS
@pytest.mark.parametrize("at", [None, 0, 2], ids=["never", "first", "third"])
def test_w12_lost_for_ever_is_unknown_and_resolve_finishes_it(bank: Bank, answer: Any, at: int | None) -> None:
    """Whether it was applied or not: afterwards it is, once, and the objects are as they are stored."""
    bank.faults = [applied(answer) if number == at else lost(answer) for number in range(4)]
    bank.forever = lost(answer)
    error = bank.failed(OutcomeUnknown)
    assert error.outcome is Outcome.UNKNOWN
    assert error.attempts >= 4
    assert bytes.fromhex(error.token)
    assert error.resolve(5) is Outcome.UNKNOWN
    bank.honest(error)
    bank.forever = None
    assert error.resolve() is Outcome.APPLIED
    bank.settled()
    assert len(bank.tokens) == 1
    bank.mine.amount = 1  # the object is the caller's again
    requests = len(bank.here.driver.requests)
    assert error.resolve() is Outcome.APPLIED
    assert bank.mine.amount == 1
    assert len(bank.here.driver.requests) == requests


def test_w12_resolve_finds_that_it_cannot_be_applied_any_more(bank: Bank) -> None:
    bank.forever = lost(LOST["reset"])
    error = bank.failed(OutcomeUnknown)
    bank.forever = None
    bank.store.stranger_writes("payments", "p1")
    bank.store.changes.clear()
    assert error.resolve() is Outcome.NOT_APPLIED
    bank.honest(error)
    assert bank.store.changes == []


def test_w12_a_reason_list_that_does_not_fit_proves_nothing_to_resolve(bank: Bank) -> None:
    bank.forever = lost(LOST["reset"])
    error = bank.failed(OutcomeUnknown)
    for answer in (
        cancelled(CONDITION),
        cancelled(*[NONE] * 5),
        cancelled(*[CONFLICT] * 5),
        lost(failure("ValidationException")),
    ):
        bank.forever = answer
        assert error.resolve() is Outcome.UNKNOWN
    bank.honest(error)


def test_w12_an_object_that_cannot_be_read_back_by_resolve_leaves_the_outcome(bank: Bank) -> None:
    bank.faults = [applied(LOST["error_500"])] * 4
    bank.forever = applied(LOST["error_500"])
    error = bank.failed(OutcomeUnknown)
    bank.forever, bank.reads = None, lost(LOST["error_500"])
    assert error.resolve() is Outcome.APPLIED
    assert bank.new.__loaded__ is not None
    assert bank.mine.amount == 100


def test_w12_an_object_that_cannot_be_read_back_is_an_error_that_says_applied(bank: Bank) -> None:
    """Every other object is up to date."""
    other = bank._loaded("p2")

    def reads(here: Bank, request: Any) -> Any:
        return failure("AccessDeniedException") if "p1" in str(request.json["Key"]) else None

    bank.reads = reads

    def work() -> None:
        with bank.db.transaction() as tx:
            tx.update(bank.mine, Payment.amount.add(-5))
            tx.update(other, Payment.amount.add(5))
            tx.create(bank.new)

    with pytest.raises(DynamORMError) as caught:
        work()
    assert caught.value.outcome is Outcome.APPLIED
    assert "applied" in caught.value.__notes__[0]
    assert (other.amount, other.version) == (205, 3)
    assert bank.new.__loaded__ is not None
    assert (bank.mine.amount, bank.mine.version) == (100, 2)
    assert len(bank.store.changes) == 3


def test_w12_an_object_that_is_gone_when_it_is_read_back_was_updated(bank: Bank) -> None:
    bank.reads = lost(reply({}))
    with pytest.raises(DynamORMError, match="gone when it was read back") as caught:
        bank.transfer()
    assert caught.value.outcome is Outcome.APPLIED
    bank.honest(caught.value)


def test_p02_an_interruption_in_flight_is_unknown_and_while_reading_back_applied(scripted: Make) -> None:
    for fault, outcome in ((applied(Interrupt()), Outcome.UNKNOWN), (lost(Interrupt()), Outcome.UNKNOWN)):
        bank = Bank(scripted)
        bank.faults = [fault]
        with pytest.raises(Interrupt) as caught:
            bank.transfer()
        assert caught.value.outcome is outcome  # type: ignore[attr-defined] # a note for the caller
        assert (bank.mine.amount, bank.new.__loaded__) == (100, None)
    bank = Bank(scripted)
    bank.reads = lost(Interrupt())
    with pytest.raises(Interrupt) as caught:
        bank.transfer()
    assert caught.value.outcome is Outcome.APPLIED  # type: ignore[attr-defined] # a note for the caller
    bank.honest()
    assert bank.new.__loaded__ is not None


@pytest.mark.parametrize("copies", [1, 3])
@pytest.mark.parametrize("last", [False, True])
def test_w20_copies_of_a_request_are_applied_once(bank: Bank, copies: int, last: bool) -> None:
    bank.store.copies, bank.store.answers_last = copies, last
    bank.transfer()
    bank.settled()


def test_w18_a_reply_that_comes_too_late_is_asked_for_again(bank: Bank) -> None:
    bank.faults = [applied(Late(reply(), 60.0)), lost(Late(reply(), 60.0))]
    bank.transfer()
    bank.settled()
    assert len(bank.sent) == 3
    assert bank.here.elapsed < 8.0


LASTING: dict[str, tuple[dict[str, Any], type[DynamORMError]]] = {
    "validation": ({"Code": "ValidationError", "Message": "Type mismatch for Index Key"}, ValidationError),
    "item_size": ({"Code": "ValidationError", "Message": "Item size to update has exceeded"}, ItemTooLarge),
    "collection": ({"Code": "ItemCollectionSizeLimitExceeded", "Message": "full"}, ClientError),
    "new": ({"Code": "BrandNewReason"}, ClientError),
    "unreadable": ({}, ClientError),
    "number": (7, ClientError),  # type: ignore[dict-item] # no reason at all
}  # fmt: skip
TYPED = (VersionConflict, MissingItem, AlreadyExists, VersionConflict, MissingItem)
"""What the conditions of the five operations stand for, when a stored item comes for the guarded ones."""


@pytest.mark.parametrize("position", range(5))
def test_w15_a_failed_condition_is_the_error_of_the_operation_at_its_place(bank: Bank, position: int) -> None:
    keys = {0: "p1", 2: "p3", 3: "p9"}
    item = {"Item": OLD | {"id": {"S": keys[position]}}} if position in keys else {}
    reasons = [CONDITION | item if number == position else NONE for number in range(5)]
    bank.forever = cancelled(*reasons)
    error = bank.failed(TransactionCancelled)
    assert error.attempts == 1
    assert [one is not None for one in error.reasons] == [number == position for number in range(5)]
    reason = error.reasons[position]
    names = [("update", "debit"), ("update", "credit"), ("create", None), ("delete", None), ("check", "open")]
    verb, label = names[position]
    assert (reason.position, reason.label, reason.operation.split()[0]) == (position, label, verb)
    assert type(reason.error) is TYPED[position]
    assert (reason.item and reason.item.amount) == (7 if item else None)
    assert reason.error.table == ("counters" if position == 4 else "payments")
    assert f"operation {position} ({verb}" in error.message


@pytest.mark.parametrize(("reason", "kind"), LASTING.values(), ids=list(LASTING))
@pytest.mark.parametrize("position", [0, 4])
def test_w15_every_other_reason_is_told_of_its_operation_only(
    bank: Bank, reason: Any, kind: type[DynamORMError], position: int
) -> None:
    bank.forever = cancelled(*[reason if number == position else NONE for number in range(5)])
    error = bank.failed(TransactionCancelled)
    assert error.attempts == 1
    assert [one and one.position for one in error.reasons] == [n if n == position else None for n in range(5)]
    told = error.reasons[position]
    assert type(told.error) is kind
    assert told.error.outcome is Outcome.NOT_APPLIED


@pytest.mark.parametrize(
    ("reasons", "kind", "tries"),
    [
        ([CONFLICT, *[NONE] * 4], TransactionConflict, 8),
        ([CONFLICT] * 5, TransactionConflict, 8),
        ([NONE, THROTTLE, NONE, NONE, CONFLICT], Throttled, 4),
        ([*[NONE] * 4, {"Code": "ProvisionedThroughputExceeded"}], Throttled, 4),
    ],
    ids=["conflict", "five_conflicts", "throttle_and_conflict", "provisioned"],
)
def test_w15_reasons_that_pass_are_retried_with_the_same_token(
    scripted: Make, reasons: list[Any], kind: type[DynamORMError], tries: int
) -> None:
    bank = Bank(scripted)
    bank.faults = [cancelled(*reasons)] * (tries - 1)
    bank.transfer()
    bank.settled()
    assert len(bank.sent) == tries
    assert len({one.body for one in bank.sent}) == 1
    bank = Bank(scripted)
    bank.forever = cancelled(*reasons)
    error = bank.failed(kind)
    assert (error.attempts, error.retryable, error.outcome) == (tries, True, Outcome.NOT_APPLIED)


def test_w15_mixed_with_one_that_lasts_it_is_the_end(bank: Bank) -> None:
    bank.forever = cancelled(CONFLICT, CONDITION, NONE, THROTTLE, {"Code": "ValidationError", "Message": "x"})
    error = bank.failed(TransactionCancelled)
    assert error.attempts == 1
    assert [one and one.code for one in error.reasons] == [
        "TransactionConflict", "ConditionalCheckFailed", None, "ThrottlingError", "ValidationError",
    ]  # fmt: skip
    kinds = [type(one.error) for one in error.reasons if one]
    assert kinds == [TransactionConflict, MissingItem, Throttled, ValidationError]
    for position in (0, 1, 3, 4):
        assert f"operation {position}" in str(error)


UNFIT: dict[str, list[Any]] = {
    "too_short": [NONE, CONDITION],
    "too_long": [*[NONE] * 5, CONDITION],
    "a_hundred": [*[NONE] * 99, CONDITION],
    "nobody": [],
    "all_innocent": [NONE] * 5,
    "one": [CONDITION],
}


@pytest.mark.parametrize("reasons", UNFIT.values(), ids=list(UNFIT))
def test_w15_a_list_that_does_not_fit_is_not_believed(bank: Bank, reasons: list[Any]) -> None:
    """It is asked again; and whoever answers only so says nothing of the transaction."""
    bank.forever = cancelled(*reasons)
    error = bank.failed(OutcomeUnknown)
    assert isinstance(error.earlier[0], MalformedResponse)
    bank.forever = None
    assert error.resolve() is Outcome.APPLIED
    bank.settled()


def test_w15_a_hundred_reasons_are_a_hundred_operations(bank: Bank) -> None:
    def work() -> None:
        with bank.db.transaction() as tx:
            for number in range(100):
                tx.update(Payment, f"x{number}", Payment.amount.add(1), label=f"line {number}")

    for blamed in ({99}, {0}, {17, 63, 98}, set(range(100))):
        bank.forever = cancelled(*[CONDITION if number in blamed else NONE for number in range(100)])
        with pytest.raises(TransactionCancelled) as caught:
            work()
        error = caught.value
        assert {one.label for one in error.reasons if one} == {f"line {number}" for number in blamed}
        assert [one and one.position for one in error.reasons] == [n if n in blamed else None for n in range(100)]
        assert all(f"operation {number}" in error.message for number in blamed)


def test_w15_the_whole_request_may_be_refused(bank: Bank) -> None:
    for code, kind in (("ValidationException", ValidationError), ("ResourceNotFoundException", TableNotFound)):
        bank.forever = lost(failure(code, message="no"))
        error = bank.failed(kind)
        assert error.attempts == 1
    assert "one of the tables 'counters', 'payments'" in error.message


def test_w16_a_transaction_in_progress_is_waited_for_with_one_token(bank: Bank) -> None:
    bank.faults = [lost(failure("TransactionInProgressException"))] * 3
    bank.transfer()
    bank.settled()
    assert len(bank.sent) == 4
    assert len(bank.tokens) == 1
    assert 5.0 < bank.here.elapsed < 8.0


def test_w16_a_transaction_that_stays_in_progress_is_unknown(bank: Bank) -> None:
    bank.forever = lost(failure("TransactionInProgressException"))
    assert bank.failed(OutcomeUnknown).attempts >= 4


def test_w17_a_token_of_another_request_is_told_and_never_retried(bank: Bank) -> None:
    bank.forever = lost(failure("IdempotentParameterMismatchException"))
    error = bank.failed(TokenUsed, token="mine")
    assert (error.attempts, error.code) == (1, "IdempotentParameterMismatchException")
    assert isinstance(error, ClientError)
    assert error.applied is True  # the spending of the token is refused with the same words
    assert "token" in error.message
    assert "ten minutes" in error.message


def test_a_token_of_the_callers_own_is_sent_and_named(bank: Bank) -> None:
    bank.forever = lost(LOST["reset"])
    error = bank.failed(OutcomeUnknown, token="mine-1")
    bank.forever = None
    assert (error.token, bank.tokens) == ("mine-1", {"mine-1"})
    assert error.resolve() is Outcome.APPLIED
    bank.settled()


def test_a_token_of_the_callers_own_is_named_where_it_could_not_be_spent(bank: Bank) -> None:
    bank.session.channel.bucket.tokens = 500
    bank.faults, bank.forever = [lost(LOST["reset"]), lost(failure("ValidationException"))], lost(LOST["reset"])
    assert bank.failed(OutcomeUnknown, token="mine-1").token == "mine-1"


def test_w17_a_token_that_is_another_requests_tells_nothing_and_is_not_spent(bank: Bank) -> None:
    bank.forever = lost(LOST["reset"])
    error = bank.failed(OutcomeUnknown, token="mine-1")
    bank.forever = lost(failure("IdempotentParameterMismatchException"))
    sent = len(bank.sent)
    assert error.resolve() is Outcome.UNKNOWN
    assert len(bank.sent) == sent + 1


def test_w12_whoever_has_no_time_to_resolve_sends_nothing(bank: Bank) -> None:
    bank.forever = lost(LOST["reset"])
    error = bank.failed(OutcomeUnknown)
    bank.forever = None
    sent = len(bank.sent)
    assert error.resolve(0) is Outcome.UNKNOWN
    assert len(bank.sent) == sent
    assert error.resolve(1) is Outcome.APPLIED


def test_w12_a_refusal_that_does_not_say_of_which_request_it_is_spends_the_token(bank: Bank) -> None:
    """It came after attempts that were lost, so one of those may still be under way."""
    bank.forever = lost(LOST["reset"])
    error = bank.failed(OutcomeUnknown)
    bank.session.channel.bucket.tokens = 500
    refusal = reply({"__type": "ValidationException", "message": "no"}, 400, request_id=None)
    bank.faults, bank.forever = [lost(LOST["reset"]), lost(refusal)], None
    assert error.resolve(60) is Outcome.NOT_APPLIED
    assert bank.store.changes == []


def test_w20_a_token_that_dynamodb_may_have_forgotten_is_not_sent_again(scripted: Make) -> None:
    clock = FakeClock()
    bank = Bank(scripted, clock=clock)
    bank.forever = lost(LOST["reset"])
    error = bank.failed(OutcomeUnknown)
    bank.forever = None
    sent = len(bank.sent)
    clock.advance(541)
    assert error.resolve() is Outcome.UNKNOWN
    assert len(bank.sent) == sent
    bank.honest(error)


def test_w20_a_long_time_limit_does_not_outlast_the_token(scripted: Make) -> None:
    """Neither of the call nor of the question afterwards."""
    slow = HighThroughput(request_timeout=200.0)
    for alone in (False, True):
        bank = Bank(scripted, max_attempts=20, operation_timeout=900.0, performance=slow)
        bank.forever = lost(Late(reply(), 1e6))
        if alone:
            with pytest.raises(OutcomeUnknown) as caught:
                bank.db.update(Payment, "p1", Payment.amount.add(1))
            error = caught.value
        else:
            error = bank.failed(OutcomeUnknown)
        error.resolve(900)
        assert max(one.time - bank.sent[0].time for one in bank.sent) < 540
        assert bank.here.elapsed <= 541


# What must be applied with a single write


class Taken(ConditionFailed):
    """What a guard stands for."""


def guarded(bank: Bank) -> Any:
    """A create with a guard beside it."""
    write = create_write(bank.session, bank.new)
    guard = create_write(bank.session, Counter(id="guard", count=1))
    guard.refused_as = lambda raw, info: Taken("the value is taken", old=lambda: raw, **info)
    write.together_with = (guard,)
    return write


def perform_on(bank: Bank, write: Any) -> Any:
    return bank.db.run(perform(bank.session, write))


@pytest.mark.parametrize("fault", [None, applied(LOST["reset"]), lost(LOST["reset"])], ids=["quiet", "applied", "lost"])
def test_a_write_with_others_beside_it_is_one_transaction_and_has_the_verbs_result(bank: Bank, fault: Any) -> None:
    bank.faults = [] if fault is None else [fault]
    assert perform_on(bank, guarded(bank)) is bank.new
    assert (bank.new.version, bank.stored("p3")) == (0, 3)
    assert bank.store.item("counters", "guard") is not None
    assert len(bank.store.changes) == 2
    assert len(bank.tokens) == 1


def test_a_refused_guard_is_its_own_error_and_a_refused_verb_the_verbs(bank: Bank) -> None:
    bank.store.seed("counters", id="guard", count=7)
    with pytest.raises(Taken) as taken:
        perform_on(bank, guarded(bank))
    assert b'"7"' in taken.value.item.replace(b" ", b"")
    assert (taken.value.operation, taken.value.table) == ("TransactWriteItems", "counters")
    bank.store.seed("payments", id="p3", amount=1, version=0)
    with pytest.raises(AlreadyExists) as caught:  # both are refused: the verb's own comes first
        perform_on(bank, guarded(bank))
    assert caught.value.item.amount == 1
    assert bank.new.__loaded__ is None
    assert bank.store.changes == []


def test_a_lasting_reason_of_a_guard_comes_before_a_passing_one_of_the_verb(bank: Bank) -> None:
    bank.forever = cancelled(CONFLICT, CONDITION | {"Item": {"id": {"S": "guard"}}})
    with pytest.raises(Taken):
        perform_on(bank, guarded(bank))


def test_reasons_that_do_not_fit_a_guarded_write_are_not_believed(bank: Bank) -> None:
    for reasons in ([CONDITION], [NONE, NONE], [NONE, CONDITION, NONE]):
        bank.forever = cancelled(*reasons)
        with pytest.raises(OutcomeUnknown):
            perform_on(bank, guarded(bank))


def test_a_guarded_write_whose_replies_are_lost_can_be_resolved(bank: Bank) -> None:
    bank.faults, bank.forever = [applied(LOST["reset"])], lost(LOST["reset"])
    with pytest.raises(OutcomeUnknown) as caught:
        perform_on(bank, guarded(bank))
    bank.forever = None
    assert caught.value.resolve() is Outcome.APPLIED
    assert bank.new.__loaded__ is not None
    assert len(bank.store.changes) == 2


def test_the_old_item_is_not_to_be_had_of_a_write_with_others_beside_it(bank: Bank) -> None:
    write = delete_write(bank.session, Payment, ("p1",), {}, condition=None, must_exist=False, returning="old")
    write.together_with = (create_write(bank.session, Counter(id="guard", count=1)),)
    with pytest.raises(ValidationError, match="read the item first"):
        perform_on(bank, write)
    assert bank.sent == []


def test_guards_in_a_transaction_belong_to_the_operation_they_came_with(bank: Bank) -> None:
    from dynamorm.ops.writes.transaction import commit

    def run() -> Any:
        first = create_write(bank.session, Counter(id="first", count=1))
        last = create_write(bank.session, Counter(id="last", count=1))
        middle = guarded(bank)
        middle.label = "the middle"
        return bank.db.run(commit(bank.session, [first, None, middle, last]))

    bank.store.seed("counters", id="guard", count=7)
    with pytest.raises(TransactionCancelled) as caught:
        run()
    assert [one and one.position for one in caught.value.reasons] == [None, None, 2, None]
    reason = caught.value.reasons[2]
    assert reason is not None
    assert (type(reason.error), reason.operation, reason.label) == (Taken, "create Payment", "the middle")
    assert bank.store.changes == []
    bank.store.tables["counters"].clear()
    run()
    assert len(bank.store.changes) == 4


def test_two_guards_on_one_item_are_refused_before_anything_is_sent(bank: Bank) -> None:
    from dynamorm.ops.writes.transaction import commit

    one, two = guarded(bank), create_write(bank.session, Payment(id="p4", amount=4))
    two.together_with = (create_write(bank.session, Counter(id="guard", count=2)),)
    with pytest.raises(ValidationError, match=r"operation 0 \(create Payment\) and operation 1 .* unique attribute"):
        bank.db.run(commit(bank.session, [one, two]))
    assert bank.sent == []


def test_guards_count_among_the_hundred(bank: Bank) -> None:
    from dynamorm.ops.writes.transaction import commit

    writes = []
    for number in range(51):
        write = create_write(bank.session, Payment(id=f"x{number}", amount=1))
        write.together_with = (create_write(bank.session, Counter(id=f"g{number}", count=1)),)
        writes.append(write)
    with pytest.raises(ValidationError, match="has 102, 51 of which come with others"):
        bank.db.run(commit(bank.session, writes))
    assert bank.sent == []


# Snapshots


def test_a_snapshot_waits_for_other_transactions(bank: Bank) -> None:
    answers = [cancelled(CONFLICT, NONE), cancelled(NONE, CONFLICT), lost(LOST["reset"]), lost(LOST["web_page"])]
    bank.reads = lambda here, request: answers.pop(0)(here, request) if answers else None
    one, two = bank.db.transact_get([(Payment, "p1"), (Payment, "nobody")])
    assert (one.amount, two) == (100, None)
    assert len(bank.here.driver.requests) == 5


def test_a_snapshot_that_stays_busy_changed_nothing(bank: Bank) -> None:
    bank.reads = cancelled(CONFLICT, NONE)
    with pytest.raises(TransactionConflict) as caught:
        bank.db.transact_get([(Payment, "p1"), (Payment, "p2")])
    assert (caught.value.outcome, caught.value.attempts) == (Outcome.NOT_APPLIED, 8)


def test_a_snapshot_that_is_refused_says_which_request(bank: Bank) -> None:
    bank.reads = cancelled(NONE, {"Code": "ValidationError", "Message": "the key does not fit"})
    with pytest.raises(TransactionCancelled, match=r"request 1 \(get Counter\): ValidationError") as caught:
        bank.db.transact_get([(Payment, "p1"), (Counter, "c1"), (Payment, "p1"), (Counter, "c1")])
    assert [one and one.position for one in caught.value.reasons] == [None, 1, None, 3]
    bank.reads = cancelled({"Code": "ValidationError"})
    with pytest.raises(MalformedResponse) as wrong:
        bank.db.transact_get([(Payment, "p1"), (Counter, "c1")])
    assert wrong.value.outcome is Outcome.NOT_APPLIED


ITEM = {"id": {"S": "p1"}, "amount": {"N": "1"}, "version": {"N": "0"}}
MALFORMED: dict[str, Any] = {
    "no_list": {},
    "too_short": {"Responses": [{"Item": ITEM}]},
    "too_long": {"Responses": [{}, {}, {}]},
    "other_members": {"Responses": [{}, {}], "Item": ITEM},
    "another_shape": {"Responses": [{"Items": ITEM}, {}]},
    "no_object": {"Responses": [1, {}]},
    "no_item": {"Responses": [{"Item": 5}, {}]},
    "no_values": {"Responses": [{"Item": {"id": "p1"}}, {}]},
    "a_map": {"Responses": {}},
    "items_twice": b'{"Responses":[{"Item":{"id":{"S":"p1"},"id":{"S":"p2"}}},{}]}',
    "list_twice": b'{"Responses":[{},{}],"Responses":[{},{}]}',
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=list(MALFORMED))
def test_a_snapshot_is_never_nothing_by_mistake(bank: Bank, body: Any) -> None:
    bank.reads = lost(reply(body))
    with pytest.raises(MalformedResponse) as caught:
        bank.db.transact_get([(Payment, "p1"), (Payment, "p2")])
    assert caught.value.attempts == 4


@pytest.mark.parametrize("missing", [{}, None, {"Item": None}, {"Item": {}}], ids=repr)
def test_every_way_to_say_that_there_is_no_item_is_none(bank: Bank, missing: Any) -> None:
    bank.reads = lost(reply({"Responses": [missing, {"Item": ITEM}], "ConsumedCapacity": []}))
    one, two = bank.db.transact_get([(Payment, "p0"), (Payment, "p1")])
    assert one is None
    assert two.amount == 1
