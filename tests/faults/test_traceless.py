"""A put without a version leaves no token: it is sent again while that is allowed, and then its outcome is unknown."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from dynamorm import Attr, Model, partition_key
from dynamorm.errors import ConditionFailed, Outcome, OutcomeUnknown
from dynamorm.testing import answers
from tests.faults.stage import QUICK, Stage
from tests.faults.verbs import AFTER, BEFORE, Verb, amount

Make = Callable[..., Stage]
FIVE = answers.error("InternalServerError", 500)


class Bare(Model, table="payments"):
    id: Attr[str] = partition_key()
    amount: Attr[int]


def _new(_: Any) -> Bare:
    return Bare(id="p1", amount=AFTER)


def _in_batch(db: Any, new: Bare) -> Any:
    found = db.batch_write(puts=[new])
    for one in (*found.failed, *found.unknown):
        raise one.error
    return new


PUT = Verb("put", "PutItem", "I", lambda db, new: db.put(new), AFTER, _new)
PUT_IF = Verb("put_if", "PutItem", "once", lambda db, new: db.put(new, condition=Bare.amount == BEFORE), AFTER, _new)
BATCH = Verb("batch", "BatchWriteItem", "I", _in_batch, AFTER, _new)
CREATE = Verb("create", "PutItem", "C", lambda db, new: db.create(new), AFTER, _new, exists=False)


@pytest.mark.parametrize("verb", [PUT, BATCH], ids=lambda verb: verb.name)
@pytest.mark.parametrize("how", [FIVE, answers.reset()], ids=["500", "reset"])
def test_it_is_sent_again_as_it_was(stage: Make, verb: Verb, how: Any) -> None:
    run = stage().run(verb, how.applied(), how)
    assert run.error is None
    sent = [one.json for one in run.requests]
    assert len(sent) == 3
    assert sent[0] == sent[1] == sent[2]
    assert "_wt" not in str(sent)
    assert amount(run.store) == AFTER


@pytest.mark.parametrize("applied", [True, False], ids=["applied", "lost"])
def test_its_outcome_is_unknown_when_no_attempt_was_answered(stage: Make, applied: bool) -> None:
    """Nothing is looked at, for what is stored may be anybody's, and asking does not repeat it over what is newer."""
    here = stage(**QUICK)
    run = here.run(PUT, *[FIVE.applied(applied)] * 4, forever=FIVE)
    assert type(run.error) is OutcomeUnknown
    assert run.error.outcome is Outcome.UNKNOWN
    assert {one.operation for one in run.requests} == {"PutItem"}
    before = len(run.requests)
    assert run.error.resolve() is Outcome.UNKNOWN
    assert len(here.server.requests) == before


def test_a_create_without_a_version_is_still_proven(stage: Make) -> None:
    run = stage().run(CREATE, FIVE.applied())
    assert run.error is None
    assert run.changes == 1


@pytest.mark.parametrize("applied", [True, False], ids=["applied", "lost"])
def test_so_is_a_conditional_put_that_is_sent_once(stage: Make, applied: bool) -> None:
    run = stage(on_ambiguous="raise").run(PUT_IF, FIVE.applied(applied))
    if applied:
        assert run.error is None
    else:
        assert type(run.error) is OutcomeUnknown
    assert run.changes == applied


def test_a_conditional_put_is_a_transaction_with_a_token_of_its_own(stage: Make) -> None:
    run = stage().run(PUT_IF, FIVE.applied())
    assert run.error is None
    assert {one.operation for one in run.requests} == {"TransactWriteItems"}
    assert "_wt" not in str([one.json for one in run.requests])
    assert run.changes == 1
    refused = stage().run(PUT_IF._replace(act=lambda db, new: db.put(new, condition=Bare.amount == 1)), FIVE)
    assert type(refused.error) is ConditionFailed
    assert refused.error.outcome is Outcome.NOT_APPLIED
