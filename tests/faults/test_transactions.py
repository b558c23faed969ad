"""W15-W17: why a transaction was cancelled, transactions that are still under way, and tokens used twice."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

from dynamorm import Presets
from dynamorm.errors import (
    ClientError,
    ConditionFailed,
    DynamORMError,
    ItemTooLarge,
    MalformedResponse,
    MissingItem,
    Outcome,
    OutcomeUnknown,
    Throttled,
    TransactionConflict,
    ValidationError,
)
from dynamorm.testing import Answer, answers, failure, reply
from tests.faults.scripted import Scripted
from tests.faults.stage import Run, Stage
from tests.faults.verbs import AFTER, CLASS_N, Payment, Verb
from tests.support.faces import FACES, Face

Make = Callable[..., Stage]
OLD = {"id": {"S": "p1"}, "amount": {"N": "7"}, "version": {"N": "9"}}
CONDITION = {"Code": "ConditionalCheckFailed", "Message": "The conditional request failed"}
NONE = {"Code": "None"}
CONFLICT = {"Code": "TransactionConflict", "Message": "Transaction is ongoing for the item"}
UPDATE_KEY = CLASS_N[1]
SOON = {"operation_timeout": 0.25}


def _two(db: Face, _: Any) -> None:
    with db.transaction() as tx:
        tx.update(Payment, "p1", Payment.amount.add(5))
        tx.update(Payment, "p2", Payment.amount.set(5), upsert=True)


TWO = Verb("two", "TransactWriteItems", "both", _two, AFTER, mutates=False)


def cancelled(*reasons: dict[str, Any]) -> Answer:
    """A TransactionCanceledException with these reasons."""
    return answers.error("TransactionCanceledException", message="cancelled", CancellationReasons=list(reasons))


def test_w15_a_condition_that_fails_is_the_operations_own_error(stage: Make) -> None:
    """With the stored item when it came, without it when there is none."""
    here = stage()
    for verb in CLASS_N:
        missing = ConditionFailed if verb.name == "put_if" else MissingItem
        run = here.run(verb, cancelled(CONDITION)).failed(missing, Outcome.NOT_APPLIED, attempts=1, retryable=False)
        assert isinstance(run.error, ConditionFailed)
        assert run.error.item is None
        run = here.run(verb, cancelled(CONDITION | {"Item": OLD}))
        run.failed(ConditionFailed, Outcome.NOT_APPLIED, attempts=1, retryable=False)
        assert isinstance(run.error, ConditionFailed)
        assert run.error.item.amount == 7


@pytest.mark.parametrize(
    "message",
    [
        "Type mismatch for Index Key",
        "One or more parameter values were invalid: Size of hashkey has exceeded the maximum size limit",
        "An operand in the update expression has an incorrect data type",
        "Item size to update has exceeded the maximum allowed size",
        "Number overflow. Attempting to store a number with magnitude larger than supported range",
        "Type mismatch for attribute to update",
        "Nesting Levels have exceeded supported limits",
        "The document path provided in the update expression is invalid for update",
        "The provided expression refers to an attribute that does not exist in the item",
    ],
)
def test_w15_each_validation_message_is_a_validation_error(stage: Make, message: str) -> None:
    """The nine messages of DynamoDB's documentation."""
    here = stage()
    for verb in CLASS_N:
        run = here.run(verb, cancelled({"Code": "ValidationError", "Message": message}))
        kind = ItemTooLarge if message.startswith("Item size") else ValidationError  # as the single verb tells it
        run.failed(kind, Outcome.NOT_APPLIED, attempts=1, retryable=False)
        assert run.error is not None
        assert run.error.message == message


@pytest.mark.parametrize("code", ["ItemCollectionSizeLimitExceeded", "BrandNewReason"])
def test_w15_other_reasons_keep_their_name(stage: Make, code: str) -> None:
    """As the error's code."""
    here = stage()
    for verb in CLASS_N:
        run = here.run(verb, cancelled({"Code": code, "Message": "no"}))
        run.failed(ClientError, Outcome.NOT_APPLIED, attempts=1, retryable=False)
        assert run.error is not None
        assert run.error.code == code


@pytest.mark.parametrize(
    ("code", "kind", "tries"),
    [
        ("TransactionConflict", TransactionConflict, 8),
        ("ThrottlingError", Throttled, 4),
        ("ProvisionedThroughputExceeded", Throttled, 4),
    ],
)
def test_w15_reasons_that_pass_are_retried_with_the_same_token(
    stage: Make, code: str, kind: type[DynamORMError], tries: int
) -> None:
    """And are reported when they do not pass."""
    here = stage()
    answer = cancelled({"Code": code, "Message": "later"})
    for verb in CLASS_N:
        run = here.run(verb, *[answer] * (tries - 1)).succeeded(tries)
        assert len({request.body for request in run.requests[:tries]}) == 1
        here.run(verb, forever=answer).failed(kind, Outcome.NOT_APPLIED, attempts=tries, retryable=True)


UNFIT = {
    "none_to_blame": [NONE],
    "nobody_at_all": [],
    "the_second_of_two": [NONE, CONDITION | {"Item": OLD}],
    "the_last_of_a_hundred": [*[NONE] * 99, CONDITION | {"Item": OLD}],
    "a_hundred_mixed": [NONE, CONFLICT, CONDITION, {"Code": "ValidationError", "Message": "x"}, *[NONE] * 96],
    "not_readable": [NONE, {}, 7, None],
}


@pytest.mark.parametrize("reasons", UNFIT.values(), ids=list(UNFIT))
def test_w15_reasons_that_do_not_fit_the_request_are_not_believed(stage: Make, reasons: list[Any]) -> None:
    """A list of another length, or that blames nobody, is no answer to the one operation there was: it is asked again."""
    here = stage(**SOON)
    for verb in CLASS_N:
        here.run(verb, cancelled(*reasons)).succeeded(2)
        run = here.run(verb, forever=cancelled(*reasons)).failed(OutcomeUnknown, Outcome.UNKNOWN, attempts=4)
        assert run.error is not None
        assert isinstance(run.error.earlier[0], MalformedResponse)


def test_w15_mixed_reasons_are_retried_only_when_all_may_pass(stage: Make) -> None:
    """Conflict and throttle: again. Conflict and a condition: the end."""
    here = stage()
    passing = cancelled(CONFLICT, {"Code": "ThrottlingError"})
    lasting = cancelled(CONDITION, CONFLICT)
    for lists, attempts in ((passing, 2), (lasting, 1)):
        run = here.run(TWO, lists)
        assert len(run.requests) == attempts
        assert run.changes == (2 if run.error is None else 0)
        if run.error is not None:
            assert (run.error.attempts, run.error.outcome) == (1, Outcome.NOT_APPLIED)


def test_w15_an_answer_without_reasons_is_not_believed(stage: Make) -> None:
    """Or with something else in their place."""
    here = stage()
    for fields in ({}, {"CancellationReasons": None}, {"CancellationReasons": "x"}):
        answer = answers.error("TransactionCanceledException", message="cancelled", **fields)
        for verb in CLASS_N:
            here.run(verb, answer).succeeded(2)


IN_PROGRESS = "TransactionInProgressException"


def test_w16_a_transaction_in_progress_is_waited_for(scripted: Callable[..., Scripted]) -> None:
    """Three times, then it is done: one token, less than eight seconds."""
    for chance in (0.0, 0.5, 1.0):
        here = scripted([failure(IN_PROGRESS)] * 3 + [reply(), reply({"Item": OLD})])
        here.session.channel.bucket.tokens = 500
        here.session.channel.random = partial(float, chance)
        assert here.db.update(Payment, "p1", Payment.amount.add(5)).amount == 7
        sent = here.driver.requests
        assert [request.operation for request in sent] == ["TransactWriteItems"] * 4 + ["GetItem"]
        assert len({json.loads(request.body)["ClientRequestToken"] for request in sent[:4]}) == 1
        assert 5.0 < here.elapsed < 8.0  # recovery starts five seconds after the first attempt
        assert here.driver.sleeps == pytest.approx([1.5, 2.0, 3.0], rel=0.101)


def test_w16_a_transaction_that_stays_in_progress_is_unknown(scripted: Callable[..., Scripted]) -> None:
    """Never "not applied"."""
    here = scripted(lambda _: failure(IN_PROGRESS))
    with pytest.raises(OutcomeUnknown) as caught:
        here.db.update(Payment, "p1", Payment.amount.add(5))
    assert caught.value.outcome is Outcome.UNKNOWN
    assert caught.value.attempts >= 4
    assert here.elapsed < 8.0


def test_w16_an_unknown_outcome_names_the_token_under_which_dynamodb_knows_the_request(
    scripted: Callable[..., Scripted],
) -> None:
    """Of one operation, and of a transaction written by hand."""
    for verb in (lambda db: db.update(Payment, "p1", Payment.amount.add(5)), lambda db: _two(db, None)):
        here = scripted(lambda _: failure(IN_PROGRESS))
        with pytest.raises(OutcomeUnknown) as caught:
            verb(here.db)
        assert {json.loads(one.body)["ClientRequestToken"] for one in here.driver.requests} == {caught.value.token}


def test_w16_in_real_time() -> None:
    """The same through sockets and the real clock, on both faces at once."""
    made: list[Face] = []

    def live(kind: str) -> Run:
        def opener(endpoint: str, **settings: Any) -> Face:
            made.append(Face(kind, Presets.local_development(endpoint=endpoint, **settings)))
            return made[-1]

        here = Stage(opener)
        try:
            return here.run(UPDATE_KEY, *[answers.error(IN_PROGRESS)] * 3)
        finally:
            here.close()

    with ThreadPoolExecutor(len(FACES)) as pool:
        for run in pool.map(live, FACES):
            run.succeeded(4)
            assert 5.5 < run.elapsed < 8.0
            assert run.changes == 1
    for face in made:
        face.close()


def test_w16_a_read_changes_nothing_so_it_is_never_unknown(scripted: Callable[..., Scripted]) -> None:
    """Even if somebody answers one in these words."""
    here = scripted(lambda _: failure(IN_PROGRESS))
    with pytest.raises(DynamORMError) as caught:
        here.db.get(Payment, "p1")
    assert not isinstance(caught.value, OutcomeUnknown)
    assert caught.value.outcome is Outcome.NOT_APPLIED


def test_w17_a_token_of_another_request_is_never_retried(stage: Make) -> None:
    """A bug or an attack: it is raised at once, under AWS's name."""
    here = stage()
    for verb in CLASS_N:
        run = here.run(verb, forever=answers.error("IdempotentParameterMismatchException"))
        run.failed(ClientError, Outcome.NOT_APPLIED, attempts=1, retryable=False)
        assert run.error is not None
        assert run.error.code == "IdempotentParameterMismatchException"


def test_w17_also_not_after_a_lost_reply(stage: Make) -> None:
    """Two requests, the second refused."""
    here = stage()
    for verb in CLASS_N:
        run = here.run(verb, answers.reset(), forever=answers.error("IdempotentParameterMismatchException"))
        assert run.honest().error is not None
        assert len(run.requests) == 2
