"""A lost reply to a write by key of one class of a family: it is sent again as before, and no sibling pays for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from dynamorm import Attr, Model, Outcome, OutcomeUnknown, attr, partition_key
from dynamorm.errors import MissingItem
from dynamorm.testing import FaultServer, answers
from tests.support.faces import Face
from tests.support.faults import Store


class Party(Model, table="parties", discriminator="kind"):
    id: Attr[str] = partition_key()
    note: Attr[str] = attr(default="")


class Customer(Party):
    pass


class Visitor(Party, tag="visitor"):
    pass


class Scene:
    """A table with one item, and what the next requests meet."""

    def __init__(self, open_db: Callable[..., Face]) -> None:
        self.store = Store({"parties": ("id",)})
        self.steps: list[Any] = []
        self.server = FaultServer(self._script, backend=self.store)
        self.db = open_db(self.server.endpoint)

    def _script(self, _: Any) -> Any:
        step = self.steps.pop(0) if self.steps else None
        return step() if callable(step) else step

    def item(self) -> Any:
        """What is stored."""
        return self.store.item("parties", "7")

    def seed(self, kind: str) -> None:
        """Somebody stores an item of this class."""
        self.store.tables["parties"].clear()
        self.store.seed("parties", id="7", kind=kind, note="")


@pytest.fixture
def scene(open_db: Callable[..., Face]) -> Iterator[Scene]:
    made = Scene(open_db)
    yield made
    made.server.stop()


LOST = {
    "applied": answers.reset().applied(),
    "not applied": answers.reset(),
    "500 after it was applied": answers.error("InternalServerError", 500).applied(),
}
lost = pytest.mark.parametrize("how", LOST)


@lost
def test_a_delete_by_key_is_sent_again_and_succeeds(scene: Scene, how: str) -> None:
    scene.seed("visitor")
    scene.steps = [LOST[how]]
    scene.db.delete(Visitor, "7")
    assert scene.item() is None
    assert [one.operation for one in scene.server.requests] == ["DeleteItem", "DeleteItem"]


@lost
def test_an_upsert_by_key_is_sent_again_and_succeeds(scene: Scene, how: str) -> None:
    scene.steps = [LOST[how]]
    assert scene.db.upsert(Visitor, "7", Visitor.note.set("new")).note == "new"
    assert scene.item()["kind"] == {"S": "visitor"}
    assert [one.operation for one in scene.server.requests] == ["UpdateItem", "UpdateItem"]


@pytest.mark.parametrize("verb", ["delete", "upsert"])
def test_a_sibling_that_came_between_two_attempts_is_left_alone_and_the_outcome_is_open(
    scene: Scene, verb: str
) -> None:
    scene.seed("visitor")

    def customer() -> None:
        scene.seed("Customer")

    scene.steps = [LOST["applied"], customer]
    changes = [] if verb == "delete" else [Visitor.note.set("new")]
    with pytest.raises(OutcomeUnknown):
        getattr(scene.db, verb)(Visitor, "7", *changes)
    assert scene.item()["kind"] == {"S": "Customer"}
    assert scene.item()["note"] == {"S": ""}


@lost
def test_a_checked_delete_of_a_batch_is_settled_alone(scene: Scene, how: str) -> None:
    scene.seed("visitor")
    scene.steps = [LOST[how]]
    result = scene.db.batch_write(deletes=[(Visitor, "7")])
    assert result.ok
    assert result.count == 1
    assert scene.item() is None


def test_an_open_delete_of_a_batch_is_unknown_and_deletes_nothing_newer(scene: Scene) -> None:
    scene.seed("visitor")

    def customer() -> None:
        scene.seed("Customer")

    scene.steps = [LOST["applied"], customer]
    result = scene.db.batch_write(deletes=[(Visitor, "7")])
    (failure,) = result.unknown
    assert isinstance(failure.error, OutcomeUnknown)
    scene.seed("visitor")
    outcome = failure.error.resolve()
    assert (outcome if scene.db._loop is None else scene.db._loop.run(outcome)) is Outcome.UNKNOWN
    assert scene.item() is not None


def test_a_refusal_without_a_lost_reply_is_certain(scene: Scene) -> None:
    scene.seed("Customer")
    with pytest.raises(MissingItem) as caught:
        scene.db.delete(Visitor, "7")
    assert caught.value.outcome is Outcome.NOT_APPLIED
