"""W12: 5xx once, twice and for ever, applied or not; and the refusals that are final."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dynamorm.errors import (
    AccessDenied,
    ClientError,
    DynamORMError,
    ItemTooLarge,
    Outcome,
    OutcomeUnknown,
    ServerError,
    TableNotFound,
    TransactionConflict,
    ValidationError,
)
from dynamorm.testing import Answer, answers
from tests.faults.stage import Stage
from tests.faults.verbs import AGAIN, ONCE, READS, VERBS, WRITES, Verb, some

pytestmark = pytest.mark.wide

Make = Callable[..., Stage]

FIVES = {
    "500": answers.error("InternalServerError", 500),
    "500_without_a_body": answers.empty(500),
    "502": answers.html(502),
    "503": answers.error("ServiceUnavailable", 503),
    "504": answers.html(504),
    "500_as_400": answers.error("InternalServerError", 400),
    "503_that_says_throttled": answers.error("ThrottlingException", 503),
    "500_that_says_condition": answers.error("ConditionalCheckFailedException", 500),
}
fives = pytest.mark.parametrize("five", FIVES.values(), ids=list(FIVES))


@pytest.mark.parametrize("name", FIVES)
@pytest.mark.parametrize("times", [1, 2])
def test_w12_a_few_server_errors_are_survived_once_only(stage: Make, name: str, times: int) -> None:
    """Whether they hide an applied write or a lost one."""
    here, five = stage(), FIVES[name]
    for verb in (*READS, *AGAIN) if name in {"500", "503"} else some(name, among=(*READS, *AGAIN)):
        here.run(verb, *[five] * times).succeeded(times + 1)
        here.run(verb, *[five.applied()] * times).succeeded(times + 1)
        here.run(verb, five, five.applied()).succeeded(3)


@pytest.mark.parametrize("name", FIVES)
def test_w12_server_errors_for_ever_say_what_is_known(stage: Make, name: str) -> None:
    """Reads: ServerError. Writes: nobody can tell."""
    here, five = stage(), FIVES[name]
    for verb in VERBS if name in {"500", "503"} else some(name):
        for applied in (False, True):
            run = here.run(verb, forever=five.applied(applied))
            assert run.elapsed < 1.0
            if verb.safety == "read":
                run.failed(ServerError, Outcome.NOT_APPLIED, attempts=4, retryable=True)
            else:
                run.failed(OutcomeUnknown, Outcome.UNKNOWN, attempts=1 if verb.safety == "once" else 4)
                assert bool(run.changes) is applied


@fives
def test_w12_a_write_that_may_not_be_repeated_is_sent_once(stage: Make, five: Answer) -> None:
    """And its outcome is unknown, not failed."""
    here = stage()
    for verb in ONCE:
        run = here.run(verb, five.applied()).failed(OutcomeUnknown, Outcome.UNKNOWN, attempts=1)
        assert run.changes == 1


def test_w12_the_error_tells_what_happened_before(stage: Make) -> None:
    """Each attempt's own error, in order; AWS's request id is the last one."""
    here = stage()
    error = here.run(READS[0], answers.reset(), forever=FIVES["503"]).error
    assert error is not None
    assert [type(one).__name__ for one in error.earlier] == ["TransportError", *["ServerError"] * 3]
    assert error.request_id == f"TEST-{here.server.requests[-1].index}"
    assert "4 attempts" in str(error)


REFUSALS: dict[str, tuple[Answer, type[DynamORMError]]] = {
    "validation": (answers.error("ValidationException", message="One or more values were invalid"), ValidationError),
    "item_size": (answers.error("ValidationException", message="Item size has exceeded the maximum"), ItemTooLarge),
    "no_table": (answers.error("ResourceNotFoundException", message="Requested resource not found"), TableNotFound),
    "denied": (answers.error("AccessDeniedException", message="not authorized"), AccessDenied),
    "collection_size": (answers.error("ItemCollectionSizeLimitExceededException"), ClientError),
    "never_heard_of": (answers.error("BrandNewException"), ClientError),
}


@pytest.mark.parametrize(("refusal", "kind"), REFUSALS.values(), ids=list(REFUSALS))
def test_w12_a_refusal_is_final_and_nothing_was_applied(
    stage: Make, refusal: Answer, kind: type[DynamORMError]
) -> None:
    """One request."""
    here = stage()
    for verb in VERBS:
        run = here.run(verb, forever=refusal).failed(kind, Outcome.NOT_APPLIED, attempts=1, retryable=False)
        assert run.changes == 0


@pytest.mark.parametrize(("refusal", "kind"), REFUSALS.values(), ids=list(REFUSALS))
@pytest.mark.parametrize("applied", [True, False], ids=["applied", "lost"])
def test_w12_a_refusal_says_nothing_about_the_attempt_before_it(
    stage: Make, refusal: Answer, kind: type[DynamORMError], applied: bool
) -> None:
    """The first attempt may have been applied: its outcome stays unknown."""
    here = stage()
    for verb in AGAIN:
        run = here.run(verb, answers.reset().applied(applied), forever=refusal)
        # The token of a transaction cannot be spent either.
        run.failed(OutcomeUnknown, Outcome.UNKNOWN, attempts=2, requests=3 if verb.safety == "N" else None)
        assert run.error is not None
        assert type(run.error.__cause__) is kind
        assert run.changes == applied


@pytest.mark.parametrize("code", ["TransactionConflictException", "ReplicatedWriteConflictException"])
def test_w12_a_conflict_is_retried_with_patience_and_then_nothing_was_applied(stage: Make, code: str) -> None:
    """Eight tries; the service promises that nothing was applied."""
    here = stage()
    conflict = answers.error(code, 400 if code.startswith("T") else 409)
    for verb in WRITES:
        here.run(verb, *[conflict] * 7).succeeded(8)
        run = here.run(verb, forever=conflict)
        run.failed(TransactionConflict, Outcome.NOT_APPLIED, attempts=8, retryable=True)


def test_w12_the_retry_budget_ends_an_outage(stage: Make) -> None:
    """The bucket of 500 pays for 35 retries of failed calls, then every call is one request."""
    here = stage()
    read: Verb = READS[0]
    here.run(read)
    sent = []
    for _ in range(20):
        run = here.act(read, None, forever=FIVES["500"])
        assert type(run.error) is ServerError
        sent.append(len(run.requests))
    assert sent[:11] == [4] * 11
    assert sent[12:] == [1] * 8
    assert sum(sent) - 20 == 500 // 14
