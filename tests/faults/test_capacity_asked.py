"""Asking what a request costs changes nothing of how a lost or refused one is settled."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from dynamorm.errors import ConditionFailed, Outcome, OutcomeUnknown
from dynamorm.testing import answers
from tests.faults.stage import Stage
from tests.faults.test_spending import REFUSED
from tests.faults.verbs import AGAIN, CLASS_C, READS, SETTLED, Verb

Make = Callable[..., Stage]
LOST = answers.reset().applied()


class Asking:
    """Asks, and notes whose each attempt is."""

    name = "asking"
    return_consumed_capacity = "TOTAL"

    def __init__(self) -> None:
        self.attempts: list[tuple[str, str]] = []

    def operation(self, next: Any) -> Any:
        return next

    def observed(self, call: Any, reply: object, error: object) -> None:
        assert call.operation is not None
        self.attempts.append((call.name, call.purpose))


@pytest.mark.parametrize("verb", [*READS, *AGAIN], ids=lambda verb: verb.name)
def test_every_attempt_asks_and_is_the_same_request(stage: Make, verb: Verb) -> None:
    asking = Asking()
    run = stage(extensions=(asking,)).run(verb, LOST if verb.safety != "read" else answers.reset()).succeeded()
    bodies = [json.loads(request.body) for request in run.requests]
    assert {body["ReturnConsumedCapacity"] for body in bodies} == {"TOTAL"}
    assert run.requests[0].body == run.requests[1].body
    assert asking.attempts[:2] == [(verb.operation, "verb")] * 2


@pytest.mark.parametrize("verb", CLASS_C, ids=lambda verb: verb.name)
def test_a_look_at_what_became_of_a_write_is_no_part_of_the_verb(stage: Make, verb: Verb) -> None:
    asking = Asking()
    here = stage(extensions=(asking,), max_attempts=1)
    here.run(verb, LOST, answers.error("InternalServerError", 500)).succeeded()
    assert asking.attempts == [(verb.operation, "verb"), ("GetItem", "settle"), ("GetItem", "settle")]


@pytest.mark.parametrize("verb", SETTLED, ids=lambda verb: verb.name)
def test_to_resolve_is_no_part_of_the_verb(stage: Make, verb: Verb) -> None:
    asking = Asking()
    error = stage(extensions=(asking,)).run(verb, forever=LOST).error
    assert isinstance(error, OutcomeUnknown)
    asking.attempts.clear()
    assert error.resolve() is Outcome.APPLIED
    assert {purpose for _, purpose in asking.attempts} == {"settle"}


def test_spending_a_token_is_no_part_of_the_verb(stage: Make) -> None:
    asking = Asking()
    run = stage(extensions=(asking,)).run(REFUSED, answers.error("InternalServerError", 500), None)
    run.failed(ConditionFailed, Outcome.NOT_APPLIED, attempts=2, requests=3)
    assert asking.attempts == [("TransactWriteItems", "verb")] * 2 + [("TransactWriteItems", "settle")]
    assert all(b'"ReturnConsumedCapacity":"TOTAL"' in request.body for request in run.requests)
