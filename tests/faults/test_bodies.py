"""W11: whatever stands in the body of a 200, it is an answer of DynamoDB's or no answer at all."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable

import pytest

from dynamorm.errors import MalformedResponse, Outcome, OutcomeUnknown
from dynamorm.testing import Answer, answers
from dynamorm.wire.largest import LARGEST
from tests.faults.stage import Stage
from tests.faults.verbs import AGAIN, CLASS_C, READS, VERBS, WRITES, Verb, some

pytestmark = pytest.mark.wide

Make = Callable[..., Stage]
GOOD = b'{"id":{"S":"p1"},"amount":{"N":"100"},"version":{"N":"2"}}'
DEEP = 100_000


def item(inner: bytes) -> bytes:
    """A GetItem reply around this item."""
    return b'{"Item":' + inner + b"}"


def everywhere(inner: bytes) -> bytes:
    """A reply with this item wherever one may stand."""
    return b'{"Item":%b,"Attributes":%b,"Items":[%b],"Count":1}' % (inner, inner, inner)


BODIES = {
    "empty": b"",
    "white_space": b" \r\n",
    "list": b"[]",
    "null": b"null",
    "true": b"true",
    "number": b"0",
    "text": b'"ok"',
    "html": b"<html><body>Please log in</body></html>",
    "byte_order_mark": b"\xef\xbb\xbf" + item(GOOD),
    "utf_16": item(GOOD).decode().encode("utf-16"),
    "invalid_utf_8": item(GOOD.replace(b"p1", b"p\xff")),
    "lone_surrogate": item(GOOD.replace(b"p1", b"p\xed\xa0\x80")),
    "nan": item(GOOD.replace(b'"100"', b"NaN")),
    "infinity": b'{"Count":Infinity}',
    "duplicate_member": b'{"Item":{},' + item(GOOD)[1:],
    "duplicate_attribute": item(GOOD.replace(b'"amount":{"N":"100"}', b'"amount":{"N":"100"},"amount":{"N":"900"}')),
    "duplicate_tag": item(GOOD.replace(b'{"N":"100"}', b'{"N":"100","N":"900"}')),
    "duplicate_escaped": item(GOOD.replace(b'"amount":{"N":"100"}', b'"amount":{"N":"1"},"\\u0061mount":{"N":"9"}')),
    "two_documents": b"{}{}",
    "trailing_comma": b"{},",
    "trailing_nul": b"{}\0",
    "cut": item(GOOD)[:-1],
    "unclosed_text": b'{"Item',
    "nested_lists": b"[" * DEEP,
    "nested_closed": b"[" * DEEP + b"]" * DEEP,
    "nested_in_object": b'{"Items":' + b"[" * DEEP + b"]" * DEEP + b"}",
    "nested_objects": b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    "nested_in_item": item(b'{"id":{"S":"p1"},"x":' + b'{"L":[' * DEEP + b"]}" * DEEP + b"}"),
    "item_is_null": b'{"Item":null,"Items":null,"Attributes":null}',
    "item_is_a_list": b'{"Item":[],"Items":{},"Attributes":[]}',
    "bare_values": b'{"Item":{"id":"p1"},"Items":["p1"],"Attributes":{"id":"p1"}}',
    "no_tag": b'{"Item":{"id":{}},"Items":[{"id":{}}],"Attributes":{"id":{}}}',
    "two_tags": everywhere(GOOD.replace(b'{"S":"p1"}', b'{"S":"p1","N":"1"}')),
    "unknown_tag": everywhere(GOOD.replace(b'{"S":"p1"}', b'{"Q":"p1"}')),
    "number_as_number": everywhere(GOOD.replace(b'"100"', b"100")),
}


def _for_ever(here: Stage, answer: Answer, verbs: tuple[Verb, ...] = VERBS) -> None:
    for verb in verbs:
        run = here.run(verb, forever=answer.applied(verb.safety != "read"))
        if verb.safety == "read":
            run.failed(MalformedResponse, Outcome.NOT_APPLIED, attempts=4, retryable=True)
        else:
            run.failed(OutcomeUnknown, Outcome.UNKNOWN, attempts=1 if verb.safety == "once" else 4)
        assert run.elapsed < 1.0 * len(run.requests)


@pytest.mark.parametrize("name", BODIES)
def test_w11_a_body_that_is_no_answer_is_never_believed(stage: Make, name: str) -> None:
    """The checksum is right; reads fail, writes are unknown."""
    _for_ever(stage(), answers.json(BODIES[name]), (READS[0], *some(name)))


@pytest.mark.parametrize("name", BODIES)
def test_w11_one_body_that_is_no_answer_costs_an_attempt_only(stage: Make, name: str) -> None:
    """Applied or not, the next answer settles it."""
    here = stage()
    for verb in some(name, among=(*READS, *AGAIN)):
        here.run(verb, answers.json(BODIES[name])).succeeded(2)
        here.run(verb, answers.json(BODIES[name]).applied()).succeeded(2)


@pytest.mark.parametrize("answer", [answers.html(), answers.empty()], ids=["html", "empty"])
def test_w11_a_page_of_a_captive_portal_is_never_believed(stage: Make, answer: Answer) -> None:
    """As it comes: without a checksum."""
    _for_ever(stage(), answer)


PAGES = {
    "nothing": b"{}",
    "no_items": b'{"Count":0}',
    "no_count": b'{"Items":[]}',
    "count_too_high": b'{"Items":[],"Count":1}',
    "count_too_low": b'{"Items":[{"customer":{"S":"c1"},"number":{"N":"1"},"total":{"N":"10"}}],"Count":0}',
    "negative_count": b'{"Items":[],"Count":-1}',
    "count_as_text": b'{"Items":[],"Count":"0"}',
    "key_is_a_list": b'{"Items":[],"Count":0,"LastEvaluatedKey":[]}',
    "key_without_tags": b'{"Items":[],"Count":0,"LastEvaluatedKey":{"customer":"c1"}}',
}


@pytest.mark.parametrize("body", PAGES.values(), ids=list(PAGES))
def test_w11_a_page_of_the_wrong_shape_is_never_an_empty_result(stage: Make, body: bytes) -> None:
    """A query that finds nothing says so with Items and Count."""
    _for_ever(stage(), answers.json(body), (READS[1],))


def test_w11_an_update_answered_without_the_attributes_it_asked_for_is_not_believed(stage: Make) -> None:
    """``{}`` is the answer to a write that asks for nothing; this one asked for ALL_NEW."""
    update = next(verb for verb in CLASS_C if verb.name == "update")
    here = stage()
    here.run(update, answers.json({})).succeeded(2)
    here.run(update, answers.json({}).applied()).succeeded(2)
    here.run(update, forever=answers.json({})).failed(OutcomeUnknown, Outcome.UNKNOWN, attempts=4)


@pytest.mark.parametrize("body", [b'{"status":"ok"}', b'{"message":"Forbidden"}', b'{"Attributes":{}}'])
def test_w11_an_object_of_somebody_elses_is_never_not_found(stage: Make, body: bytes) -> None:
    """A gateway's JSON has no Item either."""
    _for_ever(stage(), answers.json(body), READS)


OTHERS = {"item": item(GOOD), "page": b'{"Items":[],"Count":0}', "batch": b'{"UnprocessedItems":{}}'}


@pytest.mark.parametrize("body", OTHERS.values(), ids=list(OTHERS))
@pytest.mark.parametrize("verb", WRITES, ids=lambda verb: verb.name)
def test_w11_a_write_answered_with_another_operations_answer_is_not_believed(
    stage: Make, verb: Verb, body: bytes
) -> None:
    """An object, but not one that this operation answers with."""
    run = stage().run(verb, answers.json(body))
    if verb.safety == "once":
        run.failed(OutcomeUnknown, Outcome.UNKNOWN, attempts=1)
    else:
        run.succeeded(2)


CAP = LARGEST["GetItem"]
LARGE = {
    "length_over_the_cap": answers.json(b"{" + b" " * CAP + b"}"),
    "chunked_over_the_cap": answers.json(b"{" + b" " * CAP + b"}").chunked(65_536),
    "white_space_under_the_cap": answers.json(b" " * (CAP - 2)),
    "a_list_under_the_cap": answers.json(b"[" + b"0," * (CAP // 2 - 2) + b"0]"),
    "nested_under_the_cap": answers.json(b"[" * (CAP - 2)),
}


@pytest.mark.parametrize("answer", LARGE.values(), ids=list(LARGE))
def test_w11_more_than_the_largest_answer_is_refused_within_a_second(stage: Make, answer: Answer) -> None:
    """Counted for one attempt, in processor time; that of the server which sends it is in it."""
    here = stage(max_attempts=1, request_timeout=10.0, operation_timeout=20.0)
    began = time.process_time()
    here.run(READS[0], answer).failed(MalformedResponse, Outcome.NOT_APPLIED, attempts=1)
    assert time.process_time() - began < 1.0


@pytest.mark.parametrize("name", ["length_over_the_cap", "chunked_over_the_cap"])
def test_w11_memory_is_bounded(stage: Make, name: str) -> None:
    """The server's own copies are in the figure too: its body, the rendered answer and what waits to be sent."""
    here = stage(max_attempts=1, request_timeout=20.0, operation_timeout=30.0)
    here.run(READS[0]).succeeded(1)
    tracemalloc.start()
    try:
        here.run(READS[0], LARGE[name]).failed(MalformedResponse, Outcome.NOT_APPLIED, attempts=1)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 5.2 * CAP


ERRORS = {name: BODIES[name] for name in ("empty", "list", "null", "html", "invalid_utf_8", "nested_in_object", "nan")}


@pytest.mark.parametrize("name", ERRORS)
def test_w11_an_error_that_dynamodb_did_not_write_promises_nothing(stage: Make, name: str) -> None:
    """A 4xx without a DynamoDB error in it is a middlebox speaking."""
    here = stage()
    for status in (400, 403, 404, 413):
        _for_ever(here, answers.json(ERRORS[name], status), some(f"{name} {status}"))


def test_w11_nothing_of_the_body_is_quoted(stage: Make) -> None:
    """An error page, or an item, must not reach a log through the message."""
    here = stage()
    secret = b'{"Item":{"id":{"S":"4111-1111"},"amount":{"N":"x"}'
    error = here.run(READS[0], forever=answers.json(secret)).error
    assert error is not None
    shown = "".join(map(str, [error, error.safe, error.earlier, error.__cause__, error.__context__]))
    assert "4111-1111" not in shown
