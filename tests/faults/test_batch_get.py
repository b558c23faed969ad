"""Batches of reads: what was not read is never taken for missing, and no answer is believed that cannot be one."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from dynamorm import Attr, Model, Throttled, ValidationError, attr, partition_key, sort_key
from dynamorm.effects import TransportError
from dynamorm.errors import MalformedResponse, Outcome
from dynamorm.testing import Late, SentRequest, failure, reply
from tests.faults.scripted import Scripted


class Thing(Model, table="things"):
    """What is read."""

    id: Attr[str] = partition_key()
    size: Attr[int] = attr(default=0)


def item(name: str) -> dict[str, Any]:
    """As it is stored."""
    return {"id": {"S": name}, "size": {"N": "5"}}


class Service:
    """Has every item but those called ``no...``, and leaves undone what a test says."""

    def __init__(self) -> None:
        self.sent: list[list[str]] = []
        self.undone: Callable[[str], bool] = lambda _: False

    def __call__(self, request: SentRequest) -> Any:
        """Serve a BatchGetItem."""
        asked = json.loads(request.body)["RequestItems"]["things"]
        names = [key["id"]["S"] for key in asked["Keys"]]
        self.sent.append(names)
        left = [name for name in names if self.undone(name)]
        found = [item(name) for name in reversed(names) if name not in left and not name.startswith("no")]
        again = {"things": {"Keys": [{"id": {"S": name}} for name in left]}} if left else {}
        return reply({"Responses": {"things": found}, "UnprocessedKeys": again})


def test_keys_left_undone_are_asked_for_again(scripted: Callable[..., Scripted]) -> None:
    """Only those, until none is left; as long as it goes on, nothing is paid for."""
    service = Service()
    service.undone = lambda name: int(name[1:]) >= 10 * len(service.sent)
    here = scripted(service)
    names = [f"t{number}" for number in range(60)]
    assert [one.id for one in here.db.batch_get(Thing, names)] == names
    assert [len(sent) for sent in service.sent] == [60, 50, 40, 30, 20, 10]
    assert all(slept <= 0.025 for slept in here.driver.sleeps)


@pytest.mark.parametrize("count", [1, 99, 100])
def test_keys_left_undone_for_ever_are_one_error_that_says_how_many(
    scripted: Callable[..., Scripted], count: int
) -> None:
    """Never None for what was not read."""
    service = Service()
    names = [f"t{number}" for number in range(250)]
    service.undone = set(names[:count]).__contains__
    here = scripted(service)
    with pytest.raises(Throttled, match=rf"{count} of 250 keys of Thing were not read") as caught:
        here.db.batch_get(Thing, names)
    error = caught.value
    assert (error.operation, error.table, error.outcome) == ("BatchGetItem", "things", Outcome.NOT_APPLIED)
    assert error.attempts > 2
    early = [one for one in here.driver.requests if one.time - 1_000.0 <= 3.0]
    assert len(early) <= 20
    assert here.elapsed <= 8.0


def test_a_throttle_for_ever_says_how_many_keys_were_not_read(scripted: Callable[..., Scripted]) -> None:
    """The requests behind it are not started."""
    here = scripted(lambda _: failure("ProvisionedThroughputExceededException"))
    with pytest.raises(Throttled, match="1000 of 1000 keys"):
        here.db.batch_get(Thing, [f"t{number}" for number in range(1000)], concurrency=2)
    assert len(here.driver.requests) <= 8


def test_lost_answers_are_asked_for_again(scripted: Callable[..., Scripted]) -> None:
    """A read changes nothing."""
    service = Service()
    faults = [TransportError("receive", "reset", sent=True), failure("InternalServerError", 500)]
    here = scripted(lambda request: faults.pop() if faults else service(request))
    assert [one and one.size for one in here.db.batch_get(Thing, ["t1", "no", "t2"])] == [5, None, 5]


KEYS = {"Keys": [{"id": {"S": "t1"}}]}
T1, T2 = item("t1"), item("t2")
LIES = {
    "nothing": {},
    "no table": {"Responses": {}, "UnprocessedKeys": {}},
    "only some unprocessed, and no table": {"Responses": {}, "UnprocessedKeys": {"things": KEYS}},
    "another table": {"Responses": {"things": [], "others": []}, "UnprocessedKeys": {}},
    "no list": {"Responses": {"things": {}}, "UnprocessedKeys": {}},
    "no item": {"Responses": {"things": ["t1"]}, "UnprocessedKeys": {}},
    "a stranger": {"Responses": {"things": [T1, item("t3")]}, "UnprocessedKeys": {}},
    "an item without its key": {"Responses": {"things": [{"size": {"N": "5"}}]}, "UnprocessedKeys": {}},
    "a key of another type": {"Responses": {"things": [{"id": {"N": "1"}}]}, "UnprocessedKeys": {}},
    "twice": {"Responses": {"things": [T1, T2, T1]}, "UnprocessedKeys": {}},
    "read and unprocessed": {"Responses": {"things": [T1, T2]}, "UnprocessedKeys": {"things": KEYS}},
    "unprocessed of another table": {"Responses": {"things": []}, "UnprocessedKeys": {"others": KEYS}},
    "an unprocessed stranger": {
        "Responses": {"things": [T1]},
        "UnprocessedKeys": {"things": {"Keys": [{"id": {"S": "t3"}}]}},
    },
    "unprocessed without keys": {"Responses": {"things": [T1]}, "UnprocessedKeys": {"things": {}}},
    "unprocessed is no map": {"Responses": {"things": [T1]}, "UnprocessedKeys": []},
    "the answer to a query": {"Items": [T1], "Count": 1},
    "a key twice": b'{"Responses":{"things":[{"id":{"S":"t1"},"size":{"N":"5"},"size":{"N":"6"}}]},"UnprocessedKeys":{}}',
    "a member twice": b'{"Responses":{"things":[]},"Responses":{"things":[]},"UnprocessedKeys":{}}',
    "not JSON": b"<html>",
}


@pytest.mark.parametrize("lie", LIES)
def test_an_answer_that_cannot_be_believed_is_asked_for_again(scripted: Callable[..., Scripted], lie: str) -> None:
    """And never becomes "there is none"."""
    service = Service()
    lies = [reply(LIES[lie])]
    here = scripted(lambda request: lies.pop() if lies else service(request))
    assert [one.size for one in here.db.batch_get(Thing, ["t1", "t2"])] == [5, 5]
    assert len(here.driver.requests) == 2
    here = scripted(lambda _: reply(LIES[lie]))
    with pytest.raises(MalformedResponse):
        here.db.batch_get(Thing, ["t1", "t2"])


def test_an_item_that_does_not_fit_the_model_is_named(scripted: Callable[..., Scripted]) -> None:
    """As by get."""
    odd = {"id": {"S": "t1"}, "size": {"S": "large"}}
    here = scripted(lambda _: reply({"Responses": {"things": [odd]}, "UnprocessedKeys": {}}))
    with pytest.raises(ValidationError, match=r"Thing\.size"):
        here.db.batch_get(Thing, ["t1"])


def test_a_key_written_in_another_way_is_the_same_key(scripted: Callable[..., Scripted]) -> None:
    """Escapes, white space and members in another order."""
    body = b'{"UnprocessedKeys": {}, "Responses": {"things": [{"size": {"N":"5"}, "id" : {"S": "\\u0074\\u00e9"}}]}}'
    here = scripted(lambda _: reply(body))
    assert here.db.batch_get(Thing, ["té"])[0].size == 5


def test_so_many_requests_are_under_way_at_once_as_were_allowed(scripted: Callable[..., Scripted]) -> None:
    """Six requests of one second each."""
    service = Service()
    for concurrency, seconds in ((3, 2.0), (1, 6.0)):
        here = scripted(lambda request: Late(service(request), 1.0))
        here.db.batch_get(Thing, [f"t{number}" for number in range(600)], concurrency=concurrency)
        assert here.elapsed == pytest.approx(seconds)


class Sized(Model, table="sized"):
    """A key of a number and of bytes."""

    size: Attr[int] = partition_key()
    digest: Attr[bytes] = sort_key()


def test_keys_of_numbers_and_bytes_are_found_again_however_they_are_written(scripted: Callable[..., Scripted]) -> None:
    """Also in a reply that is otherwise as short as can be."""
    body = (
        b'{"Responses":{"sized":[{"digest":{"B":"YQ=="},"size":{"N":"20"}},{"digest":{"B":"YQ=="},"size":{"N":"%s"}}]},'
        b'"UnprocessedKeys":{}}'
    )
    for written in (b"10", b"1E1", b"10.0"):
        here = scripted(lambda _, written=written: reply(body % written))
        found = here.db.batch_get(Sized, [(10, b"a"), (20, b"a")])
        assert [(one.size, one.digest) for one in found] == [(10, b"a"), (20, b"a")]
    here = scripted(lambda _: reply(body % b"30"))
    with pytest.raises(MalformedResponse):
        here.db.batch_get(Sized, [(10, b"a"), (20, b"a")])
