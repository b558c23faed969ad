"""Answers that cannot belong to the request are not believed, whatever status they have: a write stays unknown."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from dynamorm import Attr, Model, Outcome, OutcomeUnknown, partition_key, sort_key
from dynamorm.errors import MalformedResponse
from dynamorm.testing import Answer, answers
from tests.faults.stage import Stage
from tests.faults.verbs import CLASS_C, CLASS_I, CLASS_N, READS, Payment, Verb

Make = Callable[..., Stage]
OTHER = {"id": {"S": "p2"}, "amount": {"N": "7"}, "version": {"N": "9"}}
REFUSED = answers.error("ConditionalCheckFailedException")


def refused(item: dict[str, Any] | None) -> Answer:
    return REFUSED if item is None else answers.error("ConditionalCheckFailedException", Item=item)


STRANGE: dict[str, tuple[Verb, Answer]] = {
    "a condition, of a put without one": (CLASS_I[0], REFUSED),
    "a condition, of a delete without one": (CLASS_I[1], REFUSED),
    "a condition, of a transaction": (CLASS_N[1], REFUSED),
    "reasons, of a single write": (CLASS_C[1], answers.error("TransactionCanceledException", CancellationReasons=[{"Code": "ConditionalCheckFailed"}])),
    "no item, though one must be there": (CLASS_C[0], REFUSED),
    "an item with another key": (CLASS_C[1], refused(OTHER)),
    "an item with another key, of a create": (CLASS_C[0], refused(OTHER)),
    "the item just as it was demanded": (CLASS_C[1], refused({"id": {"S": "p1"}, "amount": {"N": "100"}, "version": {"N": "2"}, "_wt": {"B": "c2VlZDAwMDJzZWVkMDAwMXNlZWQwMDAw"}})),
    "a token that there is none of": (CLASS_C[2], answers.error("IdempotentParameterMismatchException")),
    "a transaction that there is none of": (CLASS_C[2], answers.error("TransactionInProgressException")),
    "the new attributes of another item": (CLASS_C[2], answers.json({"Attributes": OTHER})),
    "an item of a reason with another key": (CLASS_N[0], answers.error("TransactionCanceledException", CancellationReasons=[{"Code": "ConditionalCheckFailed", "Item": OTHER}])),
}  # fmt: skip


@pytest.mark.parametrize(("verb", "answer"), STRANGE.values(), ids=list(STRANGE))
def test_a_write_is_asked_again_and_its_connection_is_dropped(stage: Make, verb: Verb, answer: Answer) -> None:
    here = stage()
    run = here.run(verb, answer).succeeded()
    writes = [one for one in run.requests if one.operation != "GetItem"]
    assert len(writes) == 2
    assert writes[0].connection != writes[1].connection


@pytest.mark.parametrize(("verb", "answer"), STRANGE.values(), ids=list(STRANGE))
@pytest.mark.parametrize("applied", [True, False])
def test_answered_so_for_ever_a_write_is_unknown(stage: Make, verb: Verb, answer: Answer, applied: bool) -> None:
    here = stage(operation_timeout=0.25)
    run = here.run(verb, answer.applied(applied), forever=answer)
    assert isinstance(run.error, OutcomeUnknown) or run.error is None, run.error
    assert run.changes == applied or run.error is None
    if run.error is not None:
        assert isinstance(run.error.earlier[0], MalformedResponse)


def test_an_item_of_another_key_is_never_given(stage: Make) -> None:
    here = stage()
    here.run(READS[0], answers.json({"Item": OTHER})).succeeded(2)
    run = here.run(READS[0], forever=answers.json({"Item": OTHER}))
    run.failed(MalformedResponse, Outcome.NOT_APPLIED, attempts=4, retryable=True)
    nested = OTHER | {"more": {"M": {"id": {"S": "p1"}}}}
    here.run(READS[0], answers.json({"Item": nested})).succeeded(2)
    before = here.db.require(Payment, "p1")
    assert before.id == "p1"


def test_an_object_never_becomes_another_item(stage: Make) -> None:
    here = stage()
    run = here.run(CLASS_C[2], answers.json({"Attributes": OTHER})).succeeded()
    assert run.subject.id == "p1"


class Line(Model, table="orders"):
    """Two keys, one of which is a number."""

    customer: Attr[str] = partition_key()
    number: Attr[int] = sort_key()
    total: Attr[int]


def test_both_keys_are_compared_in_any_order_and_spelling(stage: Make) -> None:
    here = stage()
    right = {"total": {"N": "5"}, "number": {"N": "1.0"}, "customer": {"S": "c1"}}
    for number, fine in (("1.0", True), ("1E0", True), ("01", True), ("2", False), ("x", False)):
        here.prepare(READS[0])
        here._steps, here._forever = [], answers.json({"Item": right | {"number": {"N": number}}})
        if fine:
            assert here.db.require(Line, "c1", 1).total == 5
        else:
            with pytest.raises(MalformedResponse):
                here.db.get(Line, "c1", 1)
    here._forever = answers.json({"Item": right | {"customer": {"S": "c2"}}})
    with pytest.raises(MalformedResponse):
        here.db.get(Line, "c1", 1)
    here._forever = None


@pytest.mark.parametrize("read", ["exists", "transact_get", "increment"])
def test_every_read_by_key_compares_it(stage: Make, read: str) -> None:
    here = stage(operation_timeout=0.25)
    here.prepare(READS[0])
    responses = {"Responses": [{"Item": OTHER}]}
    here._forever = answers.json(responses if read == "transact_get" else {"Item": OTHER})
    act: dict[str, Callable[[], Any]] = {
        "exists": lambda: here.db.exists(Payment, "p1"),
        "transact_get": lambda: here.db.transact_get([(Payment, "p1")]),
        "increment": lambda: here.db.increment(Payment, "p1", Payment.amount),
    }
    with pytest.raises(MalformedResponse) as caught:
        act[read]()
    here._forever = None
    assert caught.value.outcome is Outcome.NOT_APPLIED
