"""What fails behind a write that was applied says so: an object whose own class refuses what was stored, a codec that does."""

import logging
from dataclasses import dataclass

import pytest

from dynamorm import Attr, Codec, Model, Unique, attr, deadline, partition_key, version
from dynamorm.adapters import fields, register
from dynamorm.errors import DynamORMError, Outcome, OutcomeUnknown
from dynamorm.testing import FaultServer, answers
from tests.support.faults import Store

from .kit import stored

pytestmark = pytest.mark.engine


@register(table="boxes", partition="id", version="version")
@dataclass
class Box:
    id: str
    count: int = 0
    version: int = 0

    def __setattr__(self, name, value):
        if "closed" in vars(self):
            raise ValueError("the box is closed")
        object.__setattr__(self, name, value)


@register(table="counters", partition="id")
@dataclass
class Counter:
    id: str
    count: int = 0

    __setattr__ = Box.__setattr__


def narrow(text):
    if text == "wide":
        raise ValueError("only narrow text")
    return text


class Note(Model, table="notes"):
    id: Attr[str] = partition_key()
    text: Attr[str] = attr(Codec(str, narrow), default="narrow")
    name: Attr[str | None] = attr(Unique(), default=None)
    version: Attr[int] = version()


MODELS = [Box, Counter, Note]
B, C = fields(Box), fields(Counter)


def close(obj):
    """From now on the object refuses every assignment."""
    obj.closed = True


def in_transaction(db, expression, *objects):
    with db.transaction() as tx:
        for obj in objects:
            tx.update(obj, expression)


VERBS = {
    "create": lambda db, box: db.create(box),
    "put": lambda db, box: db.put(box),
    "save": lambda db, box: db.save(box),
    "update": lambda db, box: db.update(box, B.count.set(1)),
    "add": lambda db, box: db.update(box, B.count.add(1)),
    "transaction": lambda db, box: in_transaction(db, B.count.set(1), box),
}


@pytest.mark.parametrize("verb", VERBS)
def test_an_object_that_refuses_what_was_stored_is_an_error_with_the_outcome_applied(db, key, verb):
    box = Box(id=key)
    if verb not in ("create", "put"):
        db.create(box)
    box.count = 1 if verb in ("create", "put", "save") else 0
    close(box)
    with pytest.raises(ValueError, match="the box is closed") as caught:
        VERBS[verb](db, box)
    assert caught.value.outcome is Outcome.APPLIED
    (note,) = caught.value.__notes__
    assert note.startswith("The write was applied")
    assert db.require(Box, key, consistent=True).count == 1


@pytest.mark.parametrize("expression", [C.count.set(1), C.count.add(1)], ids=["repeatable", "once"])
def test_an_update_without_a_version_says_so_too(db, key, expression):
    counter = db.create(Counter(id=key))
    close(counter)
    with pytest.raises(ValueError, match="the box is closed") as caught:
        db.update(counter, expression)
    assert caught.value.outcome is Outcome.APPLIED
    assert "in flight" not in str(caught.value.__notes__)
    assert db.require(Counter, key, consistent=True).count == 1


def test_the_other_objects_of_a_transaction_are_brought_up_to_date(db, key):
    boxes = [db.create(Box(id=f"{key}-{number}")) for number in range(3)]
    close(boxes[0])
    with pytest.raises(ValueError, match="the box is closed") as caught:
        in_transaction(db, B.count.add(1), *boxes)
    assert caught.value.outcome is Outcome.APPLIED
    assert [box.count for box in boxes] == [0, 1, 1]
    assert [box.version for box in boxes] == [0, 1, 1]


UPDATES = {
    "by object": lambda db, note: db.update(note, Note.text.set("wide")),
    "by key": lambda db, note: db.update(Note, note.id, Note.text.set("wide")),
    "with a guard": lambda db, note: db.update(note, Note.text.set("wide"), Note.name.set(note.id)),
}


@pytest.mark.parametrize("how", UPDATES)
def test_a_codec_that_refuses_what_was_stored_is_an_error_with_the_outcome_applied(db, key, how):
    note = db.create(Note(id=key))
    with pytest.raises(DynamORMError, match=r"Note\.text") as caught:
        UPDATES[how](db, note)
    assert caught.value.outcome is Outcome.APPLIED
    assert stored(db, Note, key)["text"] == {"S": "wide"}


def test_a_batch_accounts_for_every_item_although_an_object_refuses(db, key, caplog):
    boxes = [Box(id=f"{key}-{number}", count=1) for number in range(3)]
    close(boxes[1])
    with caplog.at_level(logging.ERROR, "dynamorm"):
        result = db.batch_write(boxes)
    assert (result.count, result.failed, result.unknown) == (3, [], [])
    assert result.written == boxes
    assert "Box" in caplog.text
    assert all(db.exists(Box, box.id, consistent=True) for box in boxes)


@pytest.mark.parametrize("first", [True, False], ids=["applied", "lost"])
def test_resolve_tells_what_became_of_the_write_although_the_object_refuses(open_db, first):
    """The object stays as it was."""
    store = Store({"boxes": ("id",)})
    store.seed("boxes", id="b", count=0, version=0, _wt=b"seed0000")
    failing, healed = answers.error("InternalServerError", 500), []
    script = [None, failing.applied(first)]

    def answer(request):
        return script.pop(0) if script else None if healed else failing

    with FaultServer(answer, backend=store) as server:
        db = open_db(server.endpoint)
        box = db.require(Box, "b")
        with pytest.raises(OutcomeUnknown) as caught, deadline(1):
            db.update(box, B.count.set(1))
        close(box)
        healed.append(True)
        assert caught.value.resolve() is Outcome.APPLIED
        assert (box.count, box.version) == (0, 0)
    assert store.item("boxes", "b")["count"] == {"N": "1"}
