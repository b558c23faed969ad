"""Index keys that are recomputed from what was known: exactly once, also when answers are lost and others write."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from dynamorm import Attr, Model, attr, composite, partition_key, version
from dynamorm.errors import VersionConflict
from dynamorm.testing import Answer, FaultServer, Request, answers
from tests.faults.stage import QUICK
from tests.support.faces import Face
from tests.support.faults import Store


class Plain(Model, table="plain"):
    """Without a version: a part that is only known is a condition."""

    pk: Attr[str] = partition_key(composite("id"))
    id: Attr[str]
    a: Attr[str] = attr(default="a")
    b: Attr[str] = attr(default="b")
    ab: Attr[str] = attr(composite("a", "b"))


class Versioned(Model, table="versioned"):
    """Its version protects what is known."""

    pk: Attr[str] = partition_key(composite("id"))
    id: Attr[str]
    a: Attr[str] = attr(default="a")
    b: Attr[str] = attr(default="b")
    ab: Attr[str] = attr(composite("a", "b"))
    version: Attr[int] = version()


class Lossy:
    """A database whose answers to the next writes are lost; before the repetition somebody else may write."""

    def __init__(self, open_db: Callable[..., Face]) -> None:
        self.store = Store({"plain": ("pk",), "versioned": ("pk",)})
        self.lose = 0
        self.meanwhile: Callable[[], None] = lambda: None
        self.server = FaultServer(self._answer, backend=self.store)
        self.db = open_db(self.server.endpoint, **QUICK)

    def _answer(self, request: Request) -> Answer | None:
        if not self.lose or request.operation == "GetItem":
            return None
        self.lose -= 1
        self.store(request.operation, json.loads(request.body))
        self.meanwhile()
        return answers.silence()


@pytest.fixture
def lossy(open_db: Callable[..., Face]) -> Iterator[Lossy]:
    made = Lossy(open_db)
    yield made
    made.server.stop()


def act(db: Face, verb: str, obj: Any) -> None:
    if verb == "save":
        obj.a = "new"
        db.save(obj)
    else:
        db.update(obj, type(obj).a.set("new"))


@pytest.mark.parametrize("verb", ["save", "update"])
@pytest.mark.parametrize("model", [Plain, Versioned])
def test_a_lost_answer_changes_the_index_key_once(lossy: Lossy, verb: str, model: Any) -> None:
    obj = lossy.db.create(model(id="x"))
    lossy.store.changes.clear()
    lossy.lose = 2
    act(lossy.db, verb, obj)
    item = lossy.store.item(model.__name__.lower(), "x")
    assert item is not None
    assert (item["a"], item["ab"]) == ({"S": "new"}, {"S": "new#b"})
    assert len(lossy.store.changes) == 1


@pytest.mark.parametrize("verb", ["save", "update"])
def test_who_writes_after_an_applied_update_does_not_make_it_fail(lossy: Lossy, verb: str) -> None:
    obj = lossy.db.create(Plain(id="x"))
    lossy.lose = 1
    lossy.meanwhile = lambda: lossy.store.seed("plain", pk="x", id="x", a="new", b="other", ab="new#other")
    act(lossy.db, verb, obj)
    item = lossy.store.item("plain", "x")
    assert item is not None
    assert item["ab"] == {"S": "new#other"}


@pytest.mark.parametrize("verb", ["save", "update"])
def test_who_wrote_before_makes_it_fail_and_nothing_is_changed(lossy: Lossy, verb: str) -> None:
    obj = lossy.db.create(Plain(id="x"))
    lossy.store.seed("plain", pk="x", id="x", a="a", b="other", ab="a#other")
    lossy.store.changes.clear()
    with pytest.raises(VersionConflict, match="index"):
        act(lossy.db, verb, obj)
    assert lossy.store.changes == []
