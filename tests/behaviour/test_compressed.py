"""Fields with the option `Compressed`: stored compressed above a size, read in every form, compared with nothing."""

import json
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dynamorm import DB, Attr, Compressed, Encrypted, Json, Model, actor, attr, partition_key, version
from dynamorm.codec.registry import Registry
from dynamorm.codec.types.document import to_wire
from dynamorm.codec.values.compressed import MAGIC
from dynamorm.engine import Engine
from dynamorm.errors import ConditionFailed, ModelError, ValidationError
from dynamorm.plugins import ChangeTrackingConfig, LocalKeyProvider

try:
    import zstandard
except ImportError:
    zstandard = None
ALGORITHMS = ["gzip", pytest.param("zstd", marks=pytest.mark.skipif(zstandard is None, reason="no zstandard here"))]
LONG = "a sentence that is said again and again. " * 100


@dataclass
class Line:
    text: str
    numbers: list[int]


class Note(Model, table="compressed-notes"):
    id: Attr[str] = partition_key()
    text: Attr[str | None] = attr(Compressed("gzip", above=100), default=None)
    data: Attr[bytes] = attr(Compressed(above=100), default=b"")
    document: Attr[dict[str, Any]] = attr(Compressed(above=100), default_factory=dict)
    lines: Attr[list[Line]] = attr(Compressed(above=100), default_factory=list)
    as_json: Attr[dict[str, Any]] = attr(Json(), Compressed(above=100), default_factory=dict)
    plain: Attr[str] = attr(default="")
    version: Attr[int] = version()


class Raw(Model, table="compressed-notes"):
    """The same items, as they are stored."""

    id: Attr[str] = partition_key()
    text: Attr[Any] = attr(default=None)
    data: Attr[Any] = attr(default=None)
    document: Attr[Any] = attr(default=None)
    lines: Attr[Any] = attr(default=None)
    as_json: Attr[Any] = attr(default=None)
    version: Attr[int] = version()


MODELS = [Note]


def full(key):
    return Note(
        id=key,
        text=LONG,
        data=LONG.encode(),
        document={"words": LONG.split(), "inner": {"n": 5, "b": b"\x00\xff"}},
        lines=[Line("x" * 50, [1, 2, 3])] * 20,
        as_json={"text": LONG},
    )


def values(note):
    return note.text, note.data, note.document, note.lines, note.as_json


def test_long_values_are_stored_compressed_and_read_back(db, key):
    db.create(full(key))
    stored = db.get(Raw, key)
    for value in (stored.text, stored.data, stored.document, stored.lines, stored.as_json):
        assert isinstance(value, bytes)
        assert value.startswith(MAGIC)
        assert len(value) < 1000
    assert values(db.get(Note, key)) == values(full(key))
    assert values(db.model(Note).where(Note.id == key).one()) == values(full(key))


def test_short_values_stay_as_they_are(db, key):
    db.create(Note(id=key, text="short", document={"n": 1}))
    stored = db.get(Raw, key)
    assert (stored.text, stored.document) == ("short", {"n": 1})
    assert db.get(Note, key).document == {"n": 1}


def test_what_was_stored_plain_before_is_read(db, key):
    db.put(Raw(id=key, text=LONG, data=LONG.encode(), document={"a": LONG}, lines=[], as_json=json.dumps({"a": LONG})))
    note = db.get(Note, key)
    assert (note.text, note.data, note.document, note.as_json) == (LONG, LONG.encode(), {"a": LONG}, {"a": LONG})
    note.plain = "changed"
    db.save(note)
    assert db.get(Raw, key).text == LONG  # a save writes what changed


@pytest.mark.parametrize("data", [MAGIC, MAGIC + b"more", MAGIC + b"g" + b"S" + bytes(4)])
def test_bytes_that_look_compressed_are_read_as_they_were(db, key, data):
    db.create(Note(id=key, data=data))
    assert db.get(Note, key).data == data


def test_bytes_that_do_not_shrink_stay_plain(db, key):
    data = bytes(range(256))
    db.create(Note(id=key, data=data))
    assert db.get(Raw, key).data == data
    assert db.get(Note, key).data == data


def test_a_save_sends_nothing_where_nothing_changed(db, key, wire):
    db.create(full(key))
    note = db.get(Note, key)
    wire.clear()
    db.save(note)
    assert not wire.calls
    note.lines[0].text = "other"
    db.save(note)
    assert db.get(Note, key).lines[0].text == "other"


def test_updates_set_and_remove_it_whole(db, key):
    db.create(Note(id=key))
    assert db.update(Note, key, Note.text.set(LONG), Note.document.set({"a": LONG})).text == LONG
    assert db.get(Raw, key).text.startswith(MAGIC)
    assert db.update(Note, key, Note.text.remove()).text is None
    assert db.upsert(Note, key + "-new", Note.text.set(LONG)).text == LONG
    with pytest.raises(ConditionFailed):
        db.update(Note, key, Note.plain.set("x"), condition=Note.text.exists())
    db.update(Note, key, Note.plain.set("x"), condition=Note.text.not_exists())


def test_it_works_in_transactions_and_batches(db, key):
    with db.transaction() as tx:
        tx.create(full(key))
        tx.create(Note(id=key + "-2"))
    with db.transaction() as tx:
        tx.update(Note, key + "-2", Note.text.set(LONG))
    assert [note.text for note in db.transact_get([(Note, key), (Note, key + "-2")])] == [LONG, LONG]
    db.batch_write(puts=[full(f"{key}-{n}") for n in range(3, 6)])
    assert [note.text for note in db.batch_get(Note, [f"{key}-{n}" for n in range(3, 6)])] == [LONG] * 3
    assert db.get(Note, key, select=["text"]).text == LONG


@pytest.mark.parametrize(
    "condition",
    [
        Note.text == "a", Note.text != "a", Note.text < "a", Note.text.begins_with("a"), Note.text.contains("a"),
        Note.text.size() > 4, Note.text.in_(["a"]), Note.document["a"] == 1,
    ],
)  # fmt: skip
def test_what_compares_it_is_refused_with_the_reason(db, condition):
    with pytest.raises(ModelError, match=r"Note\.(text|document) is compressed, so that no expression"):
        db.model(Note).where(condition).allow_scan().all()


@pytest.mark.parametrize(
    "update",
    [
        Note.document["a"].set(1), Note.lines.append(Line("", [])), Note.lines[0].remove(),
        Note.text.if_not_exists("a"), Note.text.set(Note.plain), Note.plain.set(Note.text),
    ],
)  # fmt: skip
def test_an_update_of_a_part_or_from_another_attribute_is_refused(db, key, update):
    with pytest.raises((ModelError, ValidationError), match="compressed"):
        db.update(Note, key, update)


class Small(Model, table="compressed-notes"):
    id: Attr[str] = partition_key()
    text: Attr[str] = attr(Compressed("gzip", above=100, limit=1000))


def test_a_value_over_the_limit_is_refused_before_the_wire(db, key, wire):
    with pytest.raises(
        ValidationError, match=r"Small\.text has 1001 bytes, and limit of its Compressed allows 1000"
    ) as told:
        db.create(Small(id=key, text="s" * 1001))
    assert told.value.field == "text"
    assert not wire.calls
    with pytest.raises(ValidationError, match="valid Unicode"):
        db.create(Note(id=key, text="\ud800" * 200))


def test_one_that_would_become_too_large_is_not_opened(db, key):
    db.create(full(key))  # of 4100 bytes, which Small does not take
    with pytest.raises(ValidationError, match=r"Small\.text: .* at most 1000 bytes .*, got one of 4100"):
        db.get(Small, key)


def damaged(stored):
    yield stored[: len(MAGIC)]
    yield stored[: len(MAGIC) + 3]
    yield stored[:-1]
    yield stored + b"x"
    yield stored[: len(MAGIC)] + b"?" + stored[len(MAGIC) + 1 :]
    yield stored[: len(MAGIC) + 1] + b"?" + stored[len(MAGIC) + 2 :]
    yield (
        stored[: len(MAGIC) + 2] + (5).to_bytes(4, "big") + stored[len(MAGIC) + 6 :]
    )  # says that it is shorter: a bomb
    yield stored[: len(MAGIC) + 2] + (9999).to_bytes(4, "big") + stored[len(MAGIC) + 6 :]
    yield stored[:30] + bytes([stored[30] ^ 1]) + stored[31:]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_damaged_value_is_one_typed_error(algorithm):
    class Page(Model, table="compressed-notes"):
        id: Attr[str] = partition_key()
        text: Attr[str] = attr(Compressed(algorithm, above=100))

    with DB(Engine()) as db:
        db.tables.ensure(Page)
        db.create(Page(id="1", text=LONG))
        stored = db.get(Raw, "1").text
        for number, broken in enumerate(damaged(stored)):
            db.put(Raw(id=str(number), text=broken))
            with pytest.raises(ValidationError, match=r"Page\.text: the stored B must be a") as told:
                db.get(Page, str(number))
            assert told.value.field == "text"


def test_misfits_are_collected(db, key):
    db.put(Raw(id=key, text=MAGIC + b"nonsense"))
    page = db.model(Note).where(Note.id == key).on_misfit("collect").page()
    assert (page.items, len(page.misfits)) == ([], 1)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_model_reads_what_the_other_algorithm_has_written(algorithm):
    class Page(Model, table="compressed-notes"):
        id: Attr[str] = partition_key()
        text: Attr[str] = attr(Compressed(algorithm, above=100))

    with DB(Engine()) as db:
        db.tables.ensure(Page)
        db.create(Page(id="1", text=LONG))
        assert db.get(Raw, "1").text[len(MAGIC) : len(MAGIC) + 1] == (b"g" if algorithm == "gzip" else b"z")
        assert db.get(Note, "1").text == LONG


def test_it_is_compressed_before_it_is_encrypted(tmp_path):
    class Secret(Model, table="compressed-secrets"):
        id: Attr[str] = partition_key()
        text: Attr[str | None] = attr(Encrypted("pii"), Compressed(above=100), default=None)
        sealed: Attr[dict[str, Any]] = attr(Compressed(above=100), Encrypted("pci"), default_factory=dict)
        version: Attr[int] = version()

    with DB(Engine()) as db:
        db.set_encryption_provider(LocalKeyProvider(tmp_path / "keys"))
        db.tables.ensure(Secret)
        made = db.create(Secret(id="1", text=LONG, sealed={"a": LONG}))
        found = db.get(Secret, "1")
        assert (found.text, found.sealed) == (LONG, {"a": LONG})
        db.update(made, Secret.text.set(LONG * 2))
        assert db.get(Secret, "1").text == LONG * 2
        db.keys.rotate("pii")
        db.keys.reencrypt(Secret)
        assert db.get(Secret, "1").text == LONG * 2
        assert db.get(Secret, "1").sealed == {"a": LONG}


def test_the_audit_trail_shows_it_to_who_asks():
    class Filed(Model, table="compressed-filed"):
        id: Attr[str] = partition_key()
        text: Attr[str | None] = attr(Compressed(above=100), default=None)
        version: Attr[int] = version()

    with DB(Engine()) as db:
        db.enable_change_tracking(Filed, ChangeTrackingConfig(fields=["text"], store="compressed-audit"))
        db.tables.ensure(Filed)
        with actor("user:1"):
            filed = db.create(Filed(id="1", text="short"))
            filed.text = LONG
            db.save(filed)
            first, second = db.audit.history(Filed, "1", reveal=True)
        assert [change.new for change in (*first.changes, *second.changes)] == ["short", LONG]
        assert db.audit.verify(Filed, "1").ok


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
DOCUMENTS = st.dictionaries(
    st.sampled_from("abc"), st.none() | st.integers(-(10**30), 10**30) | TEXTS | st.lists(TEXTS, max_size=3)
)
CODEC = Registry().codec(Note)


@settings(max_examples=60, deadline=None)
@given(text=TEXTS, repeated=st.integers(1, 20), data=st.binary(max_size=300), document=DOCUMENTS)
def test_every_value_is_read_back(text, repeated, data, document):
    field = CODEC.plans["document"].hook
    for value in ({"S": text * repeated}, {"B": data * repeated}, {"B": MAGIC + data}, to_wire(document)):
        assert field.unpacked(field.packed(value)) == value
