"""Queries over a bad network: pages are asked for again, none is lost or doubled, and a search ends with its time."""

import random

import pytest

from dynamorm import Attr, Model, attr, partition_key, sort_key
from dynamorm.effects import TransportError
from dynamorm.errors import DynamORMError, MalformedResponse, Outcome
from dynamorm.testing import FakeClock, failure, reply
from tests.faults.scripted import Scripted


class Row(Model, table="rows"):
    part: Attr[str] = partition_key()
    number: Attr[int] = sort_key()
    word: Attr[str] = attr(default="")


SETTINGS = {"cursor_key": b"k" * 32}


class Service:
    """Answers queries of one partition; every third item passes a filter. ``fault`` may answer in its place."""

    def __init__(self, fault=lambda number: None, count=100):
        self.fault = fault
        self.count = count
        self.asked = 0
        self.starts = []

    def __call__(self, request):
        self.asked += 1
        fault = self.fault(self.asked)
        if fault is not None:
            return fault
        body = request.json
        start = int(body["ExclusiveStartKey"]["number"]["N"]) + 1 if "ExclusiveStartKey" in body else 0
        self.starts.append(start)
        end = min(start + body.get("Limit", 10), self.count)
        found = [number for number in range(start, end) if "FilterExpression" not in body or number % 3 == 0]
        items = [{"part": {"S": "p"}, "number": {"N": str(number)}, "word": {"S": "x"}} for number in found]
        answer = {"Items": items, "Count": len(items), "ScannedCount": end - start}
        if body.get("Select") == "COUNT":
            del answer["Items"]
        if end < self.count:
            answer["LastEvaluatedKey"] = {"part": {"S": "p"}, "number": {"N": str(end - 1)}}
        return reply(answer)


def query(here):
    return here.db.model(Row).where(Row.part == "p")


@pytest.mark.parametrize("seed", range(5))
def test_pages_that_are_asked_for_again_are_neither_lost_nor_doubled(face_kind, seed):
    dice = random.Random(seed)

    def fault(_):
        chance = dice.random()
        if chance < 0.15:
            return TransportError("receive", "reset", sent=True)
        if chance < 0.3:
            return failure("ProvisionedThroughputExceededException")
        return reply(b'{"Items":') if chance < 0.35 else None

    here = Scripted(face_kind, Service(fault), max_attempts=20, operation_timeout=500.0, **SETTINGS)
    wanted = list(range(100))
    assert [row.number for row in query(here).all()] == wanted
    assert [row.number for row in query(here).page_size(7)] == wanted
    assert [row.number for row in query(here).filter(Row.word == "x").limit(20).all()] == wanted[:60:3]
    assert query(here).count() == 100
    assert query(here).filter(Row.word == "x").limit(30).count() == 30


def test_after_a_page_that_failed_the_cursor_of_the_last_one_goes_on(face_kind):
    service = Service(lambda number: failure("AccessDeniedException") if number == 3 else None)
    here = Scripted(face_kind, service, **SETTINGS)
    found, cursor = [], None

    def read():
        nonlocal cursor
        for page in query(here).page_size(10).pages():
            found.extend(page)
            cursor = page.cursor

    with pytest.raises(DynamORMError):
        read()
    assert len(found) == 20
    found += query(here).cursor(cursor).all()
    assert [row.number for row in found] == list(range(100))


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b'{"Items":[],"Count":1}',
        b'{"Items":[],"Count":0,"LastEvaluatedKey":[]}',
        b'{"Items":[],"Count":0,"LastEvaluatedKey":{"part":{"S":"p"},"part":{"S":"q"}}}',
        b'{"Count":1}',
        b"<html>",
    ],
)
@pytest.mark.parametrize("end", ["all", "first", "one", "page"])
def test_an_answer_that_is_no_page_never_ends_a_query_quietly(face_kind, body, end):
    here = Scripted(face_kind, Service(lambda _: reply(body)), max_attempts=2)
    with pytest.raises(MalformedResponse) as caught:
        getattr(query(here), end)()
    assert caught.value.outcome is Outcome.NOT_APPLIED


@pytest.mark.parametrize("body", [b"{}", b'{"Items":[],"Count":0}', b'{"Count":-1}', b'{"Count":"1"}'])
def test_an_answer_that_is_no_count_is_not_counted(face_kind, body):
    here = Scripted(face_kind, Service(lambda _: reply(body)), max_attempts=2)
    with pytest.raises(MalformedResponse) as caught:
        query(here).count()
    assert caught.value.outcome is Outcome.NOT_APPLIED


def test_a_page_that_finds_nothing_for_long_ends_with_its_time_and_can_be_gone_on_from(face_kind):
    clock = FakeClock()
    service = Service()

    def slow(request):
        clock.advance(1.0)
        return service(request)

    here = Scripted(face_kind, slow, clock=clock, operation_timeout=5.0, **SETTINGS)
    service.fault = nothing
    page = query(here).filter(Row.word == "x").limit(5).page()
    assert len(page) == 0
    assert 5.0 <= here.elapsed <= 7.0
    assert page.cursor is not None
    assert not page.last


def nothing(number):
    key = {"part": {"S": "p"}, "number": {"N": str(number)}}
    return reply({"Items": [], "Count": 0, "ScannedCount": 1, "LastEvaluatedKey": key})
