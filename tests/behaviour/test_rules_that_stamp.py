"""What rules of plugins can do besides: attributes of their own, what a write leaves, the last item of a partition, tables."""

import pytest

from dynamorm import DB, Attr, Model, Presets, attr, partition_key, raw, sort_key, version
from dynamorm.errors import ConfigError, InvalidUse, ValidationError
from dynamorm.plugin import WriteRule

pytestmark = pytest.mark.engine


class Note(Model, table="stamped-notes"):
    id: Attr[str] = partition_key()
    text: Attr[str | None] = attr(default=None)
    count: Attr[int] = attr(default=0)
    tags: Attr[set[str]] = attr(default_factory=set)
    lines: Attr[list[str]] = attr(default_factory=list)
    more: Attr[dict[str, int]] = attr(default_factory=dict)
    log: Attr[list[str]] = attr(default_factory=list)
    version: Attr[int] = version()


class Event(Model, table="stamped-events"):
    note: Attr[str] = partition_key()
    number: Attr[int] = sort_key()


MODELS = (Note, Event)
NAMES = ("text", "count", "tags", "lines", "more", "log")


class Seen(WriteRule):
    verbs = ("create", "put", "save", "update", "delete")
    needs_stored = True

    def __init__(self):
        self.after = []

    def contribute(self, draft):
        before = None if draft.verb == "create" else draft.stored_item()
        self.after.append(draft.after(*NAMES))
        if draft.verb != "delete":
            draft.stamp("_seen", (0 if before is None else int(before.get("_seen", {"N": "0"})["N"])) + 1)


class Seeing:
    name = "seeing"

    def __init__(self, rule):
        self.rule = rule

    def write_rule(self, schema):
        return self.rule if schema.model is Note else None


def attributes(face, key):
    with DB(face.inner.config) as plain:
        obj = plain.get(Note, key)
        return None if obj is None else plain._session.plan(Note).codec.loaded(obj)


UPDATES = [
    (Note.text.set("b"),),
    (Note.text.remove(),),
    (Note.text.if_not_exists("c"),),
    (Note.count.add(5), Note.text.set("x")),
    (Note.count.set(Note.count),),
    (Note.tags.add({"b", "c"}),),
    (Note.tags.delete({"a"}),),
    (Note.tags.delete({"zzz"}),),
    (Note.lines.append("z"),),
    (Note.lines.prepend("z"),),
    (Note.lines.append_or_create("z"),),
    (Note.lines[0].set("q"), Note.lines[1].remove()),
    (Note.more["k"].set(7),),
    (Note.more["k"].add(7), Note.more["n"].set(1)),
    (Note.more["k"].remove(),),
    (Note.log.append("l"),),
    (Note.lines.extend(["y", "z"]),),
    (Note.lines.append("y"), Note.lines.append("z")),
    (Note.lines.prepend("y"), Note.lines.prepend("z")),
    (Note.lines.extend_or_create([]), Note.lines.append("z")),
    (Note.count.set(Note.count + 2), Note.lines.set(Note.lines.concat(["q"]))),
    (Note.count.set(5 - Note.count), Note.lines.set(Note.lines.concat(Note.lines))),
    (Note.count.add(1, start=100),),
    (Note.count.add(1, strict=True),),
    (Note.more["k"].add(7, start=9),),
    (raw("SET #c = #c - :n", names={"#c": Note.count}, values={":n": 2}),),
]


@pytest.mark.parametrize("updates", UPDATES, ids=lambda updates: " ".join(repr(one) for one in updates))
@pytest.mark.parametrize("is_filled", [True, False], ids=["filled", "empty"])
def test_what_an_update_leaves_is_what_is_stored_then(plugged, key, updates, is_filled):
    db = plugged(Seeing(rule := Seen()))
    filled = {"text": "a", "count": 3, "tags": {"a"}, "lines": ["a", "b"], "more": {"k": 1}} if is_filled else {}
    db.create(Note(id=key, **filled))
    try:
        db.update(Note, key, *updates)
    except ValidationError:
        assert not is_filled
        return  # refused, and nothing was written
    _same(db, key, rule)
    try:
        db.update(db.get(Note, key), *updates)
    except ValidationError:
        return
    _same(db, key, rule)


def _same(db, key, rule):
    from msgspec.json import decode

    from dynamorm.plugins.audit.values import bytes_of

    item = decode(attributes(db, key))
    assert {name: bytes_of(wire) for name, wire in rule.after[-1].items()} == {
        name: bytes_of(item.get(name)) for name in NAMES
    }


def test_what_the_other_verbs_leave(plugged, key):
    db = plugged(Seeing(rule := Seen()))
    note = db.create(Note(id=key, text="a", lines=["a"], more={"k": 1}))
    _same(db, key, rule)
    note.text, note.count, note.lines, note.more = None, 4, ["a", "b"], {"k": 2, "l": 3}
    note.log.append("first")
    db.save(note)
    _same(db, key, rule)
    db.put(Note(id=f"{key}2", text="b"))
    _same(db, f"{key}2", rule)
    db.upsert(Note, f"{key}3", Note.count.add(2))
    _same(db, f"{key}3", rule)
    db.upsert(Note(id=f"{key}4", count=5), Note.count.add(2))
    _same(db, f"{key}4", rule)
    assert db.increment(Note, f"{key}3", Note.count, by=5) == 7
    _same(db, f"{key}3", rule)
    db.delete(Note, f"{key}3")
    assert set(rule.after[-1].values()) == {None}


def test_a_stamp_is_kept_by_every_write_and_shown_by_no_object(plugged, key):
    db = plugged(Seeing(Seen()))
    note = db.create(Note(id=key))
    note.text = "b"
    db.save(note)
    db.update(Note, key, Note.count.add(1))
    loaded = db.get(Note, key)
    db.put(loaded)
    assert b'"_seen":{"N":"4"}' in attributes(db, key).replace(b" ", b"")
    assert not hasattr(loaded, "_seen")
    with DB(db.inner.config) as plain:  # without the rule it stays
        other = plain.get(Note, key)
        other.text = "c"
        plain.save(other)
    assert b'"_seen":{"N":"4"}' in attributes(db, key).replace(b" ", b"")


@pytest.mark.parametrize(
    ("name", "value"), [("text", "x"), ("seal", 1), ("_wt", b"x"), ("_seal", 1.5), ("_seal", [1]), (7, 1)]
)
def test_what_is_no_stamp_is_refused(plugged, key, name, value):
    class Wrong(WriteRule):
        def contribute(self, draft):
            draft.stamp(name, value)

    with pytest.raises(InvalidUse):
        plugged(Seeing(Wrong())).create(Note(id=key))


def test_a_delete_has_no_stamp(plugged, key):
    class Wrong(WriteRule):
        verbs = ("delete",)

        def contribute(self, draft):
            draft.stamp("_seal", 1)

    with pytest.raises(ValidationError):
        plugged(Seeing(Wrong())).delete(Note, key)


class Numbering(WriteRule):
    verbs = ("create", "update")

    def contribute(self, draft):
        last = draft.last(Event, "all")
        draft.add("create", Event(note="all", number=1 + (last.number if last else 0)))


def test_the_last_item_of_a_partition_is_read_and_two_writers_get_two_numbers(plugged, key):
    db = plugged(Seeing(Numbering()))
    before = len(db.model(Event).where(Event.note == "all").all())
    db.concurrently(lambda number: db.create(Note(id=f"{key}{number}")), 6)
    db.update(Note, f"{key}0", Note.count.add(1))
    with db.transaction() as tx:
        tx.update(Note, f"{key}1", Note.count.add(1))
    numbers = [event.number for event in db.model(Event).where(Event.note == "all").all()]
    assert numbers == list(range(1, before + 9))


def test_the_last_item_of_what_has_no_order_is_refused(plugged, key):
    class Wrong(WriteRule):
        def contribute(self, draft):
            draft.last(Note, "x")

    with pytest.raises(ValidationError, match="no sort key"):
        plugged(Seeing(Wrong())).create(Note(id=key))


def test_a_last_rule_sees_what_all_others_have_set(plugged, key):
    class Last(Seen):
        last = True

    class Setting(WriteRule):
        verbs = ("create",)

        def contribute(self, draft):
            draft.set("text", "set")

    rule = Last()
    setting = Seeing(Setting())
    setting.name = "setting"
    plugged(Seeing(rule), setting).create(Note(id=key))
    assert rule.after[-1]["text"] == {"S": "set"}


def test_companions_of_a_model_get_their_tables(engine, face_kind, key):
    from tests.support.faces import Face

    class Mate(Model, table="mates"):
        id: Attr[str] = partition_key()

    class Kept(Model, table="kept"):
        id: Attr[str] = partition_key()

    class Mates:
        name = "mates"

        def companions(self, schema):
            return (Mate,) if schema.model is Kept else None

    db = Face(
        face_kind,
        Presets.local_development(endpoint=engine.endpoint, table_prefix=f"{key[:8]}-"),
        extensions=(Mates(),),
    )
    try:
        plan = db.tables.plan(Kept)
        assert f"{key[:8]}-mates" in plan.tables
        assert db.tables.ensure(Kept).name == f"{key[:8]}-kept"
        assert db.tables.describe(Mate).status == "ACTIVE"
        assert not db.tables.plan(Kept)
        db.tables.ensure(Mate)
    finally:
        db.close()


def test_companions_that_are_no_models_are_refused(plugged):
    class Wrong:
        name = "wrong"

        def companions(self, schema):
            return Event  # a class, and no tuple

    with pytest.raises(ConfigError, match="companions of the plugin wrong"):
        plugged(Wrong()).tables.ensure(Note)


class Telling(WriteRule):
    """Tells, in another item, whether a write leaves tags; and nothing of one that changes none."""

    verbs = ("update",)
    needs_stored = True

    def contribute(self, draft):
        before, after = draft.stored_item() or {}, draft.after("tags")
        draft.pin({"tags": before.get("tags")})
        if before.get("tags") != after["tags"]:
            draft.last(Event, "tags")
            draft.add("create", Event(note=f"{draft.key.decode()}", number=len(str(after["tags"]))))


def test_what_a_rule_adds_in_a_transaction_is_of_the_form_that_is_sent(plugged, key):
    db = plugged(Seeing(Telling()))
    with DB(db.inner.config) as plain:
        plain.put(Note(id=key))  # an empty set is stored as NULL, of which a deletion has another form
    with db.transaction() as tx:
        tx.update(Note, key, Note.tags.delete({"a"}), Note.count.add(1))
    assert db.require(Note, key).count == 1
    assert db.model(Event).where(Event.note == f'{{"id":{{"S":"{key}"}}}}').all() == []
