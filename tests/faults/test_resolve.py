"""W12, W13: what ``OutcomeUnknown.resolve`` finds out, and that it never claims more than it knows."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from dynamorm.errors import Outcome, OutcomeUnknown
from dynamorm.testing import Answer, FakeClock, FakeReply, SentRequest, answers, failure, reply
from tests.faults.scripted import Scripted
from tests.faults.stage import Run, Stage
from tests.faults.verbs import CLASS_C, CLASS_I, CLASS_N, ONCE, SETTLED, Payment, Verb, amount, memory
from tests.support.faults import Store

Make = Callable[..., Stage]
FIVE = answers.error("InternalServerError", 500)
SOON = {"operation_timeout": 0.3}
settled = pytest.mark.parametrize("verb", SETTLED, ids=lambda verb: verb.name)


def unknown(here: Stage, verb: Verb, *, applied: bool) -> Run:
    """The verb's outcome is unknown, after everything it sent was answered with a 500; ``applied`` is the first attempt."""
    run = here.run(verb, FIVE.applied(applied), forever=FIVE).failed(OutcomeUnknown, Outcome.UNKNOWN)
    here.bucket.tokens = here.bucket.capacity
    return run


def resolve(run: Run, deadline: float | None = None) -> Any:
    """Ask what became of it."""
    assert isinstance(run.error, OutcomeUnknown)
    return run.error.resolve(deadline)


@settled
@pytest.mark.parametrize("applied", [True, False], ids=["applied", "lost"])
def test_w12_resolve_finishes_the_write_exactly_once(stage: Make, verb: Verb, applied: bool) -> None:
    """APPLIED, the object is as stored, and asking again changes nothing."""
    here = stage(**SOON)
    run = unknown(here, verb, applied=applied)
    assert run.changes == applied
    if verb.name == "create" and not applied:  # see the next test
        assert resolve(run) is Outcome.UNKNOWN
        assert run.changes == 0
        return
    assert resolve(run) is Outcome.APPLIED
    assert run.changes == 1
    assert amount(here.store) == verb.after
    if verb.mutates and verb.after is not None:
        item = here.store.item("payments", "p1")
        assert item is not None
        assert (run.subject.amount, run.subject.version) == (verb.after, int(item["version"]["N"]))
    assert resolve(run) is Outcome.APPLIED
    assert run.changes == 1


@pytest.mark.parametrize("verb", [CLASS_C[0], CLASS_I[0]], ids=lambda verb: verb.name)
@pytest.mark.parametrize("applied", [True, False], ids=["applied", "lost"])
def test_w12_resolve_brings_nothing_back_that_was_deleted(stage: Make, verb: Verb, applied: bool) -> None:
    """Where no item is, the write never arrived or its item was deleted since: only its writer knows what that calls for."""
    here = stage(**SOON)
    run = unknown(here, verb, applied=applied)
    here.store("DeleteItem", {"TableName": "payments", "Key": {"id": {"S": "p1"}}})
    assert resolve(run) is Outcome.UNKNOWN
    assert here.store.item("payments", "p1") is None


@pytest.mark.parametrize("verb", CLASS_I, ids=lambda verb: verb.name)
def test_w12_resolve_repeats_what_may_be_repeated(stage: Make, verb: Verb) -> None:
    """The same twice is the same as once."""
    here = stage(**SOON)
    assert resolve(unknown(here, verb, applied=True)) is Outcome.APPLIED
    assert amount(here.store) == verb.after


@pytest.mark.parametrize("verb", ONCE, ids=lambda verb: verb.name)
@pytest.mark.parametrize("applied", [True, False], ids=["applied", "lost"])
def test_w12_resolve_never_repeats_what_may_not_be(stage: Make, verb: Verb, applied: bool) -> None:
    """It looks at what is stored, which shows the token of a put, or that nothing is left to delete; an update by key leaves none."""
    here = stage(**SOON)
    run = here.run(verb, FIVE.applied(applied)).failed(OutcomeUnknown, Outcome.UNKNOWN, attempts=1)
    tells = verb.name != "update_old"
    assert resolve(run) is (Outcome.APPLIED if applied and tells else Outcome.UNKNOWN)
    assert run.changes == applied


@pytest.mark.parametrize("verb", CLASS_C, ids=lambda verb: verb.name)
def test_w13_resolve_sees_that_others_came_first(stage: Make, verb: Verb) -> None:
    """NOT_APPLIED, and nothing is changed any more; a create cannot tell, for the others may have deleted its item."""
    here = stage(**SOON)
    run = unknown(here, verb, applied=False)
    if verb.name == "create":
        here.store.seed("payments", id="p1", amount=7, version=0, _wt=b"otherone")
    else:
        here.store.stranger_writes("payments", "p1", times=2, amount=7)
    assert resolve(run) is (Outcome.UNKNOWN if verb.name == "create" else Outcome.NOT_APPLIED)
    assert amount(here.store) == 7
    assert memory(run.subject) == run.before


@settled
def test_w12_resolve_is_unknown_while_the_service_is_down(stage: Make, verb: Verb) -> None:
    """It does not raise, least of all an error that says NOT_APPLIED."""
    here = stage(**SOON)
    run = unknown(here, verb, applied=True)
    for fault in (FIVE, answers.reset(), answers.html(), answers.error("AccessDeniedException")):
        here.bucket.tokens = here.bucket.capacity
        here._forever = fault
        assert resolve(run) is Outcome.UNKNOWN
    here._forever = None
    assert resolve(run) is Outcome.APPLIED


@settled
def test_w12_resolve_keeps_its_deadline(stage: Make, verb: Verb) -> None:
    """While the server says nothing at all."""
    here = stage(**SOON)
    run = unknown(here, verb, applied=True)
    here._forever = answers.silence("stall")
    start = time.monotonic()
    try:
        assert resolve(run, 0.3) is Outcome.UNKNOWN
    finally:
        here._forever = None
        assert time.monotonic() - start < 0.3 + 0.5


@pytest.mark.parametrize("verb", CLASS_C[1:3], ids=lambda verb: verb.name)
def test_w21_resolve_does_not_trust_a_refusal_of_its_own_resend(stage: Make, verb: Verb) -> None:
    """It reads "untouched"; then the held-up attempt arrives, somebody puts the item whole, and the resend is refused."""
    here = stage(**SOON)
    run = unknown(here, verb, applied=False)
    held = run.requests[0]

    def meanwhile(store: Store) -> None:
        store(held.operation, held.json)
        store.seed("payments", id="p1", amount=7, version=4, _wt=b"otherput" + bytes(8))

    here._steps = [None, meanwhile]
    assert resolve(run) is Outcome.UNKNOWN
    assert run.changes == 1


def test_w12_resolve_of_a_transaction_does_not_need_its_result(stage: Make) -> None:
    """The token says APPLIED; that the item cannot be read back takes nothing from it."""
    here = stage(**SOON)
    run = unknown(here, CLASS_N[1], applied=True)
    here._steps, here._forever = [None], FIVE
    try:
        assert resolve(run) is Outcome.APPLIED
    finally:
        here._forever = None
    assert run.changes == 1


def test_w12_a_result_that_cannot_be_read_back_is_an_error_that_says_applied(stage: Make) -> None:
    """The update by key was applied; only its result is missing."""
    here = stage(**SOON)
    for fault in (FIVE, answers.reset(), answers.html(), answers.error("ThrottlingException")):
        run = here.run(CLASS_N[1], None, forever=fault)
        assert run.error is not None
        assert run.error.outcome is Outcome.APPLIED
        assert run.changes == 1


def test_w20_a_token_that_dynamodb_may_have_forgotten_is_not_sent_again(scripted: Callable[..., Scripted]) -> None:
    """After nine minutes the answer is: unknown."""
    clock = FakeClock()
    item = {"id": {"S": "p1"}, "amount": {"N": "105"}, "version": {"N": "3"}}
    began = clock.monotonic()

    def service(request: SentRequest) -> FakeReply:
        if clock.monotonic() - began < 20:
            return failure("InternalServerError", 500)
        return reply({"Item": item} if request.operation == "GetItem" else {})

    here = scripted(service, clock=clock)
    with pytest.raises(OutcomeUnknown) as lost:
        here.db.update(Payment, "p1", Payment.amount.add(5))
    with pytest.raises(OutcomeUnknown) as forgotten:
        here.db.update(Payment, "p1", Payment.amount.add(5))
    clock.advance(500)
    assert lost.value.resolve() is Outcome.APPLIED
    clock.advance(60)
    sent = len(here.driver.requests)
    assert forgotten.value.resolve() is Outcome.UNKNOWN
    assert len(here.driver.requests) == sent


ODD: dict[str, Any] = {
    "no_map": [],
    "empty": {},
    "no_version": {"id": {"S": "p1"}},
    "version_of_another_type": {"id": {"S": "p1"}, "version": {"S": "x"}, "_wt": {"B": "AAAA"}},
    "version_that_is_no_number": {"id": {"S": "p1"}, "version": {"N": "x"}},
    "tokens_of_another_type": {"id": {"S": "p1"}, "version": {"N": "3"}, "_wt": {"S": "x"}},
    "tokens_that_are_not_base64": {"id": {"S": "p1"}, "version": {"N": "3"}, "_wt": {"B": "???"}},
    "half_a_token": {"id": {"S": "p1"}, "version": {"N": "3"}, "_wt": {"B": "AAAA"}},
}


@pytest.mark.parametrize("item", ODD.values(), ids=list(ODD))
@pytest.mark.parametrize("applied", [True, False], ids=["applied", "lost"])
def test_w13_an_odd_item_with_a_refusal_proves_nothing(stage: Make, item: Any, applied: bool) -> None:
    """After a lost reply: whatever is raised is one of the library's errors, and does not say NOT_APPLIED wrongly."""
    here = stage(**SOON)
    refusal = answers.error("ConditionalCheckFailedException", Item=item)
    for verb in CLASS_C:
        here.run(verb, answers.reset().applied(applied), forever=refusal).honest()


def test_w13_a_database_that_is_closed_meanwhile_leaves_it_unknown(stage: Make) -> None:
    """The second attempt cannot be made any more; the first may have been applied."""
    for verb in SETTLED:
        here = stage(**SOON)

        def close(_: Store, here: Stage = here) -> Answer:
            here.db.inner._io._pool.closed = True
            return answers.reset().applied()

        run = here.run(verb, close).failed(OutcomeUnknown, Outcome.UNKNOWN)
        assert run.changes == 1
