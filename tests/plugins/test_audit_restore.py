"""What is written back is what was recorded: None is not a default, and what no record tells is left as it is."""

from datetime import UTC, datetime, timedelta
from itertools import count

import pytest

from dynamorm import DB, Attr, Model, Outcome, actor, attr, partition_key
from dynamorm.errors import ConditionFailed
from dynamorm.ops.writes.reading import Reads
from dynamorm.plugins.audit import AuditLog
from dynamorm.plugins.audit.trail import Trail

from .audit_kit import tracking

pytestmark = pytest.mark.engine


class Note(Model, table="restore-notes"):
    id: Attr[str] = partition_key()
    text: Attr[str | None] = attr(default="empty")
    done: Attr[bool | None] = attr(default=True)
    title: Attr[str] = attr()
    free: Attr[str] = attr(default="")
    receipt: Attr[str | None] = attr(default=None, write_once=True, omit_empty=True)


MODELS = (Note,)
WHO = actor("user:1")


def made_with(db):
    db.enable_change_tracking(Note, tracking(["text"], store="restore-log"))
    row = next(one for one in db.plugins if isinstance(one, AuditLog)).of(Note).row
    db.tables.create(row, skip_unavailable=True)


@pytest.fixture
def opened(plugged):
    def make(*fields, **more):
        face = plugged()
        face.enable_change_tracking(Note, tracking(fields, store="restore-log", **more))
        return face

    with WHO:
        yield make


def test_none_is_restored_as_none(opened, key):
    db = opened("text", "done", "title")
    db.create(Note(id=key, text=None, done=None, title="a"))
    db.update(Note, key, Note.text.set("b"), Note.done.set(False))
    db.audit.restore(Note, key, version=1)
    found = db.get(Note, key)
    assert (found.text, found.done) == (None, None)
    assert db.audit.verify(Note, key).ok


def test_what_was_not_tracked_then_is_left_as_it_is(opened, key):
    opened("text").create(Note(id=key, text="a", title="first"))
    db = opened("text", "title")
    db.update(Note, key, Note.text.set("b"), Note.title.set("second"))
    restored = db.audit.restore(Note, key, version=1)
    assert (restored.fields, restored.left_out) == (("text",), ("title",))
    found = db.get(Note, key)
    assert (found.text, found.title) == ("a", "second")
    assert db.audit.verify(Note, key).ok


def test_what_is_written_once_is_not_taken_back(opened, key):
    db = opened("text", "receipt")
    db.create(Note(id=key, text="a", title="t"))
    db.update(Note, key, Note.text.set("b"), Note.receipt.set("r-1"))
    restored = db.audit.restore(Note, key, version=1)
    assert (restored.fields, restored.left_out) == (("text",), ("receipt",))
    assert (restored.item.text, restored.item.receipt) == ("a", "r-1")
    same = db.audit.restore(Note, key, version=2)  # there it was as it is now
    assert (same.fields, same.left_out) == (("text",), ())
    assert db.audit.verify(Note, key).ok


@pytest.mark.parametrize("refuse", [True, False])
def test_a_put_that_changes_no_tracked_field_keeps_the_chain(opened, key, refuse):
    db = opened("text", on_external="refuse" if refuse else "record")
    db.create(Note(id=key, text="a", title="t"))
    db.put(Note(id=key, text="a", title="u"))
    with db.transaction() as tx:
        tx.put(Note(id=key, text="a", title="v"))
    verdict = db.audit.verify(Note, key)
    assert (verdict.ok, verdict.checked, verdict.external) == (True, 1, ())
    db.update(Note, key, Note.text.set("b"))
    assert [record.op for record in db.audit.history(Note, key)] == ["create", "update"]


def test_a_batcher_that_writes_the_same_again_keeps_the_chain(opened, key):
    db = opened("text")
    db.create(Note(id=key, text="a", title="t"))
    with DB(db.inner.config) as other:
        other.enable_change_tracking(Note, tracking(["text"], store="restore-log"))
        with other.new_batcher() as batcher:
            batcher.add(Note(id=key, text="a", title="w"))
    verdict = db.audit.verify(Note, key)
    assert (verdict.ok, verdict.checked) == (True, 1)
    assert db.get(Note, key).title == "w"


@pytest.mark.parametrize("verb", ["history", "verify", "as_of"])
def test_who_reads_while_somebody_writes_is_told_no_lie(opened, key, monkeypatch, verb):
    """The item is read before its records: what is written between is no fault."""
    db = opened("text")
    db.create(Note(id=key, text="0", title="t"))
    reading, turns = Trail.rows_of, []

    with DB(db.inner.config) as other:
        other.enable_change_tracking(Note, tracking(["text"], store="restore-log"))

        def rows_of(self, query):
            if len(turns) < 6:
                turns.append(len(turns))
                with WHO:
                    other.update(Note, key, Note.text.set(f"{len(turns)}"))
            return (yield from reading(self, query))

        monkeypatch.setattr(Trail, "rows_of", rows_of)
        if verb == "verify":
            verdict = db.audit.verify(Note, key)
            assert (verdict.ok, verdict.checked) == (True, 7)
        elif verb == "history":
            assert len(db.audit.history(Note, key)) == 7
        else:
            tomorrow = datetime.now(UTC) + timedelta(days=1)
            assert db.audit.as_of(Note, key, when=tomorrow).values["text"] == "6"
    assert len(turns) == 6


class Faster:
    """Lets somebody write before each transaction, as long as there is somebody."""

    name = "faster"

    def __init__(self):
        self.write = None

    def around(self, call):
        def first(op):
            if op.name == "TransactWriteItems" and self.write is not None:
                self.write()
            return (yield from call(op))

        return first


def never(self, context):
    """What a rule has read has not changed, so that its verb is not begun again."""
    return False
    yield


def test_a_restore_that_others_are_faster_than_says_so(opened, plugged, key, monkeypatch):
    other = opened("text")
    other.create(Note(id=key, text="0", title="t"))
    faster = Faster()
    db = plugged(faster)
    db.enable_change_tracking(Note, tracking(["text"], store="restore-log"))
    with DB(other.inner.config) as writer, WHO:
        writer.enable_change_tracking(Note, tracking(["text"], store="restore-log"))
        texts = count(1)
        faster.write = lambda: writer.update(Note, key, Note.text.set(str(next(texts))))
        with monkeypatch.context() as patch:
            patch.setattr(Reads, "changed", never)
            with pytest.raises(ConditionFailed) as refused:
                db.audit.restore(Note, key, version=1)
        faster.write = None
    assert (type(refused.value), refused.value.outcome) == (ConditionFailed, Outcome.NOT_APPLIED)
    assert "AuditRow" not in str(refused.value)
    assert db.get(Note, key, consistent=True).text == str(next(texts) - 1)
    db.audit.restore(Note, key, version=1)
    assert db.get(Note, key, consistent=True).text == "0"
