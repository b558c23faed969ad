"""B01: whatever the service leaves undone, refuses or never answers, every item of a batch is accounted for."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from dynamorm import Attr, BatchResult, Model, Outcome, OutcomeUnknown, Throttled, partition_key, version
from dynamorm.effects import TransportError
from dynamorm.errors import TableNotFound, Unavailable, ValidationError
from dynamorm.testing import Late, SentRequest, failure, reply
from dynamorm.wire.retry import CAPACITY
from tests.faults.scripted import Scripted
from tests.support.faults import Store

BUDGET = 20
"""Requests of one worker in the first three seconds, whatever happens."""


class Payment(Model, table="payments"):
    """What is written."""

    id: Attr[str] = partition_key()
    amount: Attr[int]
    version: Attr[int] = version()


class Service:
    """Applies what it is sent, less what a test makes it leave undone, refuse or lose."""

    def __init__(self) -> None:
        self.store = Store({"payments": ("id",)})
        self.sent: list[list[str]] = []
        self.texts: dict[str, set[str]] = {}
        self.undone: Callable[[str], bool] = lambda _: False
        self.poison: Callable[[str], bool] = lambda _: False
        self.fault: Callable[[int], Any] = lambda _: None

    def __call__(self, request: SentRequest) -> Any:
        """Serve a BatchWriteItem, or a look at one item."""
        if request.operation == "GetItem":
            if self.fault(len(self.sent)) == "lost":
                return TransportError("receive", "reset", sent=True)
            return reply(self.store("GetItem", json.loads(request.body))[1])
        asked = json.loads(request.body)["RequestItems"]["payments"]
        ids = [one["PutRequest"]["Item"]["id"]["S"] for one in asked]
        for name, one in zip(ids, asked, strict=True):
            self.texts.setdefault(name, set()).add(json.dumps(one))
        self.sent.append(ids)
        fault = self.fault(len(self.sent) - 1)
        if fault is not None and fault != "lost":
            return fault
        if any(map(self.poison, ids)):
            return failure("ValidationException", message="The provided key element does not match the schema")
        left = [one for name, one in zip(ids, asked, strict=True) if self.undone(name)]
        done = [one for name, one in zip(ids, asked, strict=True) if not self.undone(name)]
        self.store("BatchWriteItem", {"RequestItems": {"payments": done}})
        if fault == "lost":
            return TransportError("receive", "reset", sent=True)
        return reply({"UnprocessedItems": {"payments": left} if left else {}})

    @property
    def ids(self) -> set[str]:
        """What is stored."""
        return {item["id"]["S"] for item in self.store.tables["payments"].values()}


@pytest.fixture
def service() -> Service:
    """One that does as it is told."""
    return Service()


def payments(count: int) -> list[Payment]:
    """New objects."""
    return [Payment(id=f"p{number:04d}", amount=number) for number in range(count)]


def check(result: BatchResult, some: list[Payment], service: Service) -> None:
    """Every item is in just one list, in order, and the lists are true."""
    lists = [result.written, *([one.item for one in part] for part in (result.failed, result.unknown))]
    assert Counter(id(one) for part in lists for one in part) == Counter(map(id, some))
    place = {id(one): at for at, one in enumerate(some)}
    for part in lists:
        assert [place[id(one)] for one in part] == sorted(place[id(one)] for one in part)
    assert {one.id for one in result.written} <= service.ids
    assert not {one.item.id for one in result.failed} & service.ids
    assert all(one.__loaded__ is not None for one in result.written)  # type: ignore[attr-defined] # the state of a Model
    assert all(one.__loaded__ is None for part in lists[1:] for one in part)
    assert all(one.error.outcome is Outcome.NOT_APPLIED for one in result.failed)
    assert all(one.error.outcome is Outcome.UNKNOWN for one in result.unknown)
    assert result.count == len(result.written)
    assert all(len(texts) == 1 for texts in service.texts.values())  # sent again byte for byte


@pytest.mark.parametrize("count", [1, 12, 24, 25])
def test_b01_items_that_are_never_processed_fail_and_the_others_are_written(
    scripted: Callable[..., Scripted], service: Service, count: int
) -> None:
    """Within the budget of requests, and of the operation's time."""
    some = payments(25)
    service.undone = lambda name: name in {one.id for one in some[:count]}
    here = scripted(service)
    result = here.db.batch_write(some)
    check(result, some, service)
    assert [one.item for one in result.failed] == some[:count]
    assert all(type(one.error) is Throttled and one.error.attempts == len(service.sent) for one in result.failed)
    early = [one for one in here.driver.requests if one.time - 1_000.0 <= 3.0]
    assert 3 <= len(early) <= BUDGET
    assert here.elapsed <= 8.0
    assert all(0 <= slept <= 20 for slept in here.driver.sleeps)


def test_b01_what_is_left_undone_for_a_while_is_written_in_the_end(
    scripted: Callable[..., Scripted], service: Service
) -> None:
    """One more item with each request: progress costs nothing from the retry budget."""
    some = payments(25)
    service.undone = lambda name: int(name[1:]) > len(service.sent)
    here = scripted(service)
    result = here.db.batch_write(some)
    check(result, some, service)
    assert result.written == some
    assert here.session.channel.bucket.tokens == CAPACITY


@pytest.mark.parametrize("places", [[0], [24], [12], [3, 4], [0, 11, 12, 24], list(range(25))])
def test_b01_poison_items_are_isolated(scripted: Callable[..., Scripted], service: Service, places: list[int]) -> None:
    """Everything else is written; each poison item is named by the service's own words."""
    some = payments(25)
    service.poison = lambda name: int(name[1:]) in places
    result = scripted(service).db.batch_write(some)
    check(result, some, service)
    assert [one.item for one in result.failed] == [some[place] for place in places]
    assert all(type(one.error) is ValidationError and "schema" in str(one.error) for one in result.failed)
    assert len(service.sent) <= 1 + 10 * len(places)


def test_b01_a_request_whose_answer_is_lost_is_sent_again(scripted: Callable[..., Scripted], service: Service) -> None:
    """A batch is unconditional, so the same bytes may be applied twice."""
    some = payments(30)
    service.fault = lambda turn: "lost" if turn in {0, 1} else None
    result = scripted(service).db.batch_write(some)
    check(result, some, service)
    assert result.written == some


def test_b01_answers_that_are_lost_for_ever_leave_the_items_unknown(
    scripted: Callable[..., Scripted], service: Service
) -> None:
    """Each can be settled later, and then counts as loaded."""
    some = payments(5)
    service.fault = lambda _: "lost"
    here = scripted(service)
    result = here.db.batch_write(some)
    check(result, some, service)
    assert [one.item for one in result.unknown] == some
    assert len(service.sent) == 4
    error = result.unknown[2].error
    assert isinstance(error, OutcomeUnknown)
    assert error.key == ("id",)
    resolve = (lambda: error.resolve(5)) if here.db._loop is None else lambda: here.db._loop.run(error.resolve(5))
    assert resolve() is Outcome.UNKNOWN
    service.fault = lambda _: None
    assert resolve() is Outcome.APPLIED
    assert len(service.sent) == 4  # it is looked for, not sent again
    assert some[2].__loaded__ is not None  # type: ignore[attr-defined] # the state of a Model


@pytest.mark.parametrize("then", ["newer", "deleted"])
def test_b01_what_is_newer_is_left_alone_when_an_item_is_settled(
    scripted: Callable[..., Scripted], service: Service, then: str
) -> None:
    """Nobody can tell any more whether it was there in between."""
    some = payments(1)
    service.fault = lambda _: "lost"
    here = scripted(service)
    result = here.db.batch_write(some)
    service.fault = lambda _: None
    if then == "newer":
        service.store.seed("payments", id=some[0].id, amount=7, version=0, _wt=b"otherone" + bytes(8))
    else:
        service.store("DeleteItem", {"TableName": "payments", "Key": {"id": {"S": some[0].id}}})
    before = service.store.item("payments", some[0].id)
    error = result.unknown[0].error
    assert isinstance(error, OutcomeUnknown)
    found = error.resolve(5) if here.db._loop is None else here.db._loop.run(error.resolve(5))
    assert found is Outcome.UNKNOWN
    assert service.store.item("payments", some[0].id) == before


def test_b01_an_item_that_is_left_undone_after_a_lost_answer_is_unknown(
    scripted: Callable[..., Scripted], service: Service
) -> None:
    """The lost attempt may have written it."""
    some = payments(3)
    service.fault = lambda turn: "lost" if turn == 0 else None
    service.undone = lambda name: len(service.sent) > 1 and name == "p0001"
    result = scripted(service).db.batch_write(some)
    check(result, some, service)
    assert [one.item for one in result.unknown] == [some[1]]


def test_b01_a_refusal_after_a_lost_answer_leaves_only_its_item_unknown(
    scripted: Callable[..., Scripted], service: Service
) -> None:
    """The others of the request are written."""
    some = payments(8)
    service.fault = lambda turn: TransportError("receive", "reset", sent=True) if turn == 0 else None
    service.poison = lambda name: name == "p0005"
    result = scripted(service).db.batch_write(some)
    check(result, some, service)
    assert [one.item for one in result.unknown] == [some[5]]


@pytest.mark.parametrize("code", ["ProvisionedThroughputExceededException", "ThrottlingException"])
def test_b01_a_service_that_refuses_everything_is_not_asked_for_ever(
    scripted: Callable[..., Scripted], service: Service, code: str
) -> None:
    """After a few requests in a row without any success the rest is not sent."""
    some = payments(2_500)
    service.fault = lambda _: failure(code)
    here = scripted(service, throttle_base=0.1, retry_cap=1.0)
    result = here.db.batch_write(some, concurrency=4)
    check(result, some, service)
    assert len(result.failed) == 2_500
    assert type(result.failed[-1].error) is Throttled
    assert "not sent" in str(result.failed[-1].error)
    early = [one for one in here.driver.requests if one.time - 1_000.0 <= 3.0]
    assert len(early) <= 4 * BUDGET
    assert len(service.sent) <= 4 * 3 * 4


def test_b01_a_stream_into_a_service_that_refuses_everything_is_not_read_to_its_end(
    scripted: Callable[..., Scripted], service: Service
) -> None:
    """What was read is accounted for, and the result says that there was more."""
    service.fault = lambda _: TransportError("receive", "reset", sent=True)
    taken: list[Payment] = []

    def endless() -> Any:
        while True:
            taken.append(Payment(id=f"p{len(taken):04d}", amount=1))
            yield taken[-1]

    result = scripted(service).db.batch_write(endless(), concurrency=1)
    check(result, taken, service)
    assert (result.unread, result.ok) == (True, False)
    assert type(result.failed[-1].error) is Unavailable


def test_b01_a_missing_table_ends_the_batch_soon(scripted: Callable[..., Scripted], service: Service) -> None:
    """Nothing is sent item by item."""
    some = payments(1_000)
    service.fault = lambda _: failure("ResourceNotFoundException")
    result = scripted(service).db.batch_write(some)
    check(result, some, service)
    assert {type(one.error) for one in result.failed} == {TableNotFound}
    assert len(service.sent) <= 12


LIES = {
    "nothing": {},
    "no map": {"UnprocessedItems": []},
    "a stranger": {"UnprocessedItems": {"payments": [{"PutRequest": {"Item": {"id": {"S": "x"}}}}]}},
    "no key": {"UnprocessedItems": {"payments": [{"PutRequest": {"Item": {"amount": {"N": "1"}}}}]}},
    "another table": {"UnprocessedItems": {"orders": [{"PutRequest": {"Item": {"id": {"S": "p0000"}}}}]}},
    "another kind": {"UnprocessedItems": {"payments": [{"DeleteRequest": {"Key": {"id": {"S": "p0000"}}}}]}},
    "twice": {"UnprocessedItems": {"payments": [{"PutRequest": {"Item": {"id": {"S": "p0000"}}}}] * 2}},
    "no request": {"UnprocessedItems": {"payments": [{"Item": {"id": {"S": "p0000"}}}]}},
    "something else": {"UnprocessedItems": {}, "Items": []},
    "not JSON": b"<html>",
}


@pytest.mark.parametrize("lie", LIES)
def test_b01_an_answer_that_cannot_be_believed_is_no_success(
    scripted: Callable[..., Scripted], service: Service, lie: str
) -> None:
    """Once: asked again. For ever: unknown."""
    some = payments(2)
    service.fault = lambda turn: reply(LIES[lie]) if turn == 0 else None
    assert scripted(service).db.batch_write(some).written == some
    assert len(service.sent) == 2
    service.fault = lambda _: reply(LIES[lie])
    more = payments(2)
    result = scripted(service).db.batch_write(more)
    assert [one.item for one in result.unknown] == more


def test_b01_so_many_requests_are_under_way_at_once_as_were_allowed(
    scripted: Callable[..., Scripted], service: Service
) -> None:
    """Eight requests of one second each."""
    for concurrency, seconds in ((4, 2.0), (1, 8.0), (100, 1.0)):
        here = scripted(lambda request: Late(service(request), 1.0))
        here.db.batch_write(payments(200), concurrency=concurrency)
        assert here.elapsed == pytest.approx(seconds)


@pytest.mark.parametrize("seed", range(12))
def test_b01_whatever_happens_every_item_is_accounted_for(
    scripted: Callable[..., Scripted], service: Service, seed: int
) -> None:
    """Random faults, undone items and poison over 300 items."""
    dice = random.Random(seed)
    some = payments(300)
    bad = {one.id for one in some if dice.random() < 0.02}
    service.poison = bad.__contains__
    faults = [
        "lost",
        TransportError("receive", "reset", sent=True),
        TransportError("connect", "refused", sent=False),
        failure("ThrottlingException"),
        failure("InternalServerError", 500),
        reply({}),
    ]
    rate = dice.choice([0.05, 0.3, 0.7])
    service.fault = lambda _: dice.choice(faults) if dice.random() < rate else None
    decided: dict[tuple[int, str], bool] = {}  # asked twice for each item of a request
    service.undone = lambda name: decided.setdefault((len(service.sent), name), dice.random() < 0.3)
    result = scripted(service, throttle_base=0.1).db.batch_write(some)
    check(result, some, service)
    assert not {one.id for one in result.written} & bad
