"""What is not stored as its type says - compressed, encrypted, offloaded, in a plugin's form - is asked for as a whole alone.

DynamoDB sees the stored form. So every condition but ``exists()`` and ``not_exists()`` of the whole attribute is refused before a
request is sent, wherever it stands, and so is every change, projection or aggregate of a part: none of them could be true to the value.
"""

import time
from dataclasses import dataclass
from dataclasses import field as default_of
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dynamorm import Attr, Compressed, Encrypted, Json, Model, attr, partition_key, version
from dynamorm.adapters import fields, register
from dynamorm.errors import ConditionFailed, DynamORMError, ModelError, ValidationError
from dynamorm.plugins import EncryptionPlugin, Offload, Offloaded
from tests.behaviour.kit import Recorder

LONG = "x" * 2000


class Turned:
    """An option whose field is stored by a pair of functions."""


class Turning:
    name = "turning"
    options = (Turned,)

    def field(self, schema, field):
        if not any(isinstance(option, Turned) for option in field.options):
            return None
        return (lambda wire: {"L": [wire]}), (lambda wire: wire["L"][0])


class Shelf:
    """An object store in memory."""

    def __init__(self):
        self.objects = {}

    def put(self, bucket, key, data):
        self.objects[bucket, key] = data

    def get(self, bucket, key, largest):
        found = self.objects.get((bucket, key))
        return None if found is None else found[:largest]

    def delete(self, bucket, key):
        self.objects.pop((bucket, key), None)

    def list(self, bucket, prefix):
        return [(key, time.time()) for (of, key) in self.objects if of == bucket and key.startswith(prefix)]


OPTIONS = {
    "compressed": (Compressed(above=100),),
    "encrypted": (Encrypted("ring"),),
    "both": (Encrypted("ring"), Compressed(above=100)),
    "offloaded": (Offloaded("bucket", above=100),),
    "offloaded_small": (Offloaded("bucket", above=100), Compressed(above=50)),
}


class Note(Model, table="stored-otherwise"):
    id: Attr[str] = partition_key()
    compressed: Attr[dict[str, Any]] = attr(*OPTIONS["compressed"], default_factory=dict)
    encrypted: Attr[dict[str, Any]] = attr(*OPTIONS["encrypted"], default_factory=dict)
    both: Attr[dict[str, Any]] = attr(*OPTIONS["both"], default_factory=dict)
    offloaded: Attr[dict[str, Any]] = attr(*OPTIONS["offloaded"], default_factory=dict)
    offloaded_small: Attr[dict[str, Any]] = attr(*OPTIONS["offloaded_small"], default_factory=dict)
    turned: Attr[dict[str, Any]] = attr(Turned(), default_factory=dict)
    anything: Attr[Any] = attr(Encrypted("ring"), default=None)
    words: Attr[set[str]] = attr(Encrypted("ring"), default_factory=set)
    as_json: Attr[Any] = attr(Json(), Compressed(above=100), default=None)
    text: Attr[str | None] = attr(Encrypted("ring"), default=None)
    short: Attr[str | None] = attr(Compressed(above=100), default=None)
    kept: Attr[str | None] = attr(Offloaded("bucket", above=100), default="not None")
    number: Attr[int] = attr(Encrypted("ring"), default=5)
    few: Attr[int] = attr(Compressed(above=0), default=5)
    plain: Attr[str] = attr(default="")
    other: Attr[str | None] = attr(default=None)
    texts: Attr[list[str]] = attr(default_factory=list)
    entries: Attr[dict[str, str]] = attr(default_factory=dict)
    count: Attr[int] = attr(default=0)
    version: Attr[int] = version()


@register(table="stored-otherwise", partition="id", options={name: list(given) for name, given in OPTIONS.items()})
@dataclass
class Card:
    id: str
    compressed: dict[str, Any] = default_of(default_factory=dict)
    encrypted: dict[str, Any] = default_of(default_factory=dict)
    both: dict[str, Any] = default_of(default_factory=dict)
    offloaded: dict[str, Any] = default_of(default_factory=dict)
    offloaded_small: dict[str, Any] = default_of(default_factory=dict)
    plain: str = ""
    count: int = 0


NAMES = tuple(OPTIONS)
OPERATORS = {
    "==": lambda p: p == "x",
    "!=": lambda p: p != "x",
    "== None": lambda p: p == None,  # noqa: E711
    "!= None": lambda p: p != None,  # noqa: E711
    "<": lambda p: p < "x",
    "<=": lambda p: p <= "x",
    ">": lambda p: p > "x",
    ">=": lambda p: p >= "x",
    "between": lambda p: p.between("a", "b"),
    "in_": lambda p: p.in_(["a", None]),
    "in_ of None": lambda p: p.in_([None]),
    "equals": lambda p: p.equals("x"),
    "begins_with": lambda p: p.begins_with("x"),
    "contains": lambda p: p.contains("x"),
    "attribute_type": lambda p: p.attribute_type("S"),
    "attribute_type NULL": lambda p: p.attribute_type("NULL"),
    "exists": lambda p: p.exists(),
    "not_exists": lambda p: p.not_exists(),
    "size": lambda p: p.size() >= 0,
    "size between": lambda p: p.size().between(0, 9),
    "of another": lambda p: Note.plain == p,
    "between others": lambda p: Note.plain.between("a", p),
    "size of another": lambda p: p.size() == Note.count,
}
OF_THE_WHOLE = frozenset({"exists", "not_exists"})
"""What is known of the stored form too."""
SOUND_OF_NONE = frozenset({"== None", "!= None", "in_ of None"})
"""What is known of a field whose None is not stored in a form of its own."""
JOINED = {
    "alone": lambda c: c,
    "not": lambda c: ~c,
    "or": lambda c: (Note.plain == "y") | c,
    "and": lambda c: c & (Note.plain == ""),
}


def with_all(db, key):
    """Every way in which a condition on a Note is sent."""

    def in_transaction(what):
        def send(condition):
            with db.transaction() as tx:
                getattr(tx, what)(*{"put": (Note(id=key),)}.get(what, (Note, key, *_change(what))), condition=condition)

        return send

    return {
        "delete": lambda c: db.delete(Note, key, condition=c),
        "update": lambda c: db.update(Note, key, Note.plain.set("z"), condition=c),
        "only_if": lambda c: db.update(Note, key, Note.plain.set("z").only_if(c)),
        "put": lambda c: db.put(Note(id=key), condition=c),
        "tx.delete": in_transaction("delete"),
        "tx.update": in_transaction("update"),
        "tx.put": in_transaction("put"),
        "tx.check": lambda c: _checked(db, key, c),
        "where": lambda c: db.model(Note).where(Note.id == key).where(c).all(),
        "filter": lambda c: db.model(Note).where(Note.id == key).filter(c).first(),
        "count": lambda c: db.model(Note).where(Note.id == key).filter(c).count(),
        "scan": lambda c: db.model(Note).filter(c).allow_scan().count(),
        "delete_all": lambda c: db.model(Note).where(Note.id == key).filter(c).delete_all(confirm=True),
    }


def _change(what):
    return (Note.plain.set("z"),) if what == "update" else ()


def _checked(db, key, condition):
    with db.transaction() as tx:
        tx.check(Note, key, condition)
        tx.put(Note(id=f"{key}-other"))


def inside(name, steps):
    path = getattr(Note, name)
    for step in steps:
        path = path[step]
    return path


@pytest.fixture(scope="module")
def shelf():
    return Shelf()


@pytest.fixture
def recorder():
    return Recorder()


@pytest.fixture
def db(plugged, keys, shelf, recorder):
    db = plugged(EncryptionPlugin(keys), Offload(shelf), Turning(), recorder)
    db.tables.ensure(Note)
    return db


def full(key):
    value = {"paid": LONG, "l": [1, {"n": 2}]}
    return Note(id=key, **dict.fromkeys((*NAMES, "turned"), value))


def refused(recorder, send, condition, *kinds):
    """It is refused, and nothing was sent."""
    recorder.clear()
    with pytest.raises(kinds or ModelError):
        send(condition)
    assert recorder.names == []


@pytest.mark.parametrize("name", [*NAMES, "turned"])
def test_no_condition_looks_inside(db, key, recorder, name):
    """Once for each operator and each way to send one: none may pass by the check."""
    stored = db.create(full(key))
    ways = with_all(db, key)
    for steps in (("paid",), ("l", 0), ("l", 1, "n"), ("missing",)):
        for operator in OPERATORS.values():
            refused(recorder, ways["delete"], operator(inside(name, steps)))
    for operator in ("not_exists", "== None", "attribute_type"):
        for way, send in ways.items():
            condition = OPERATORS[operator](inside(name, ("paid",)))
            refused(recorder, send, condition, ModelError, *((ValidationError,) if way.startswith("tx.") else ()))
    assert db.get(Note, key) == stored


@pytest.mark.parametrize("name", [*NAMES, "anything", "words", "as_json"])
def test_of_the_whole_only_its_presence_is_asked(db, key, recorder, name):
    db.create(full(key))
    ways = with_all(db, key)
    for operator, condition in OPERATORS.items():
        if operator in OF_THE_WHOLE or (operator in SOUND_OF_NONE and name in NAMES):
            continue
        refused(recorder, ways["delete"], condition(getattr(Note, name)), ModelError, ValidationError)
        refused(recorder, ways["count"], condition(getattr(Note, name)), ModelError, ValidationError)
    assert db.model(Note).where(Note.id == key).filter(getattr(Note, name).exists()).count() == 1
    with pytest.raises(ConditionFailed):
        db.delete(Note, key, condition=getattr(Note, name).not_exists())


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(
    name=st.sampled_from([*NAMES, "turned"]),
    steps=st.lists(st.sampled_from(["paid", "l", "é", 0, 7]), min_size=1, max_size=5),
    operator=st.sampled_from(sorted(OPERATORS)),
    joined=st.sampled_from(sorted(JOINED)),
    way=st.sampled_from(sorted(with_all(None, ""))),
)
def test_every_operator_on_every_path_in_every_verb(db, recorder, name, steps, operator, joined, way):
    send = with_all(db, "no-such-item")[way]
    refused(recorder, send, JOINED[joined](OPERATORS[operator](inside(name, steps))), ModelError)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    value=st.none() | st.sampled_from(["", "short", LONG]),
    name=st.sampled_from(["text", "short", "kept", "anything", "words", "as_json", *NAMES]),
    operator=st.sampled_from(sorted(OPERATORS)),
)
def test_what_is_answered_is_true(db, value, name, operator):
    """Whatever the value: a condition is refused, or says of the stored item what is true of the value."""
    key = f"true-{name}"
    given_value = {"words": set() if not value else {value}}.get(name, value)
    if name in NAMES:
        given_value = {} if not value else {"a": value}
    db.put(Note(id=key, **{name: given_value}))
    condition = OPERATORS[operator](getattr(Note, name))
    try:
        found = db.model(Note).where(Note.id == key).filter(condition).count() == 1
    except DynamORMError:
        assert operator not in OF_THE_WHOLE
        return
    if operator in SOUND_OF_NONE:
        assert found is ((given_value is not None) if operator == "!= None" else (given_value is None))
    else:
        there = given_value is not None or name in {"kept", "anything", "as_json"}
        assert found is (there if operator == "exists" else not there)
        assert operator in OF_THE_WHOLE


@pytest.mark.parametrize("name", [*NAMES, "turned"])
def test_no_update_goes_inside(db, key, recorder, name):
    db.create(full(key))
    whole, part = getattr(Note, name), getattr(Note, name)["paid"]
    changes = [
        part.set("y"),
        part.remove(),
        part.if_not_exists("y"),
        part.add(1),
        getattr(Note, name)["l"].append("y"),
        getattr(Note, name)["l"].prepend("y"),
        getattr(Note, name)["l"][0].remove(),
        Note.plain.set(part),
        Note.plain.if_not_exists(part),
        Note.count.set(part + 1),
        part.set(Note.plain),
    ]
    if name != "turned":
        changes += [whole.if_not_exists({}), whole.set(getattr(Note, "both" if name != "both" else "encrypted"))]
    for change in changes:
        for upsert in (False, True):
            refused(
                recorder, lambda c, u=upsert: db.update(Note, key, c, upsert=u), change, ModelError, ValidationError
            )
    for names in ((f"{name}.paid",), (part,)):
        refused(recorder, lambda n: db.get(Note, key, select=list(n)), names)
        refused(recorder, lambda n: db.model(Note).where(Note.id == key).select(*n).all(), names)
        refused(recorder, lambda n: db.model(Note).where(Note.id == key).sum(*n), names, ModelError, ValidationError)
        refused(recorder, lambda n: db.model(Note).where(Note.id == key).max(*n), names, ModelError, ValidationError)
    assert getattr(db.get(Note, key, select=[name]), name)["paid"] == LONG


def test_parts_of_plain_values_are_taken_over(db, key):
    """None may not stand in the list, which says nothing of who reads a part of it."""
    db.create(Note(id=key, texts=["a"], entries={"b": "c"}))
    found = db.update(
        Note,
        key,
        Note.plain.set(Note.texts[0]),
        Note.other.if_not_exists(Note.entries["b"]),
        condition=Note.plain < Note.texts[0],
    )
    assert (found.plain, found.other) == ("a", "c")


@pytest.mark.parametrize("name", ["number", "few"])
def test_numbers_are_not_counted(db, key, recorder, name):
    number = getattr(Note, name)
    note = db.create(Note(id=key))
    for change in (number.add(1), number.set(number + 1), Note.count.set(number + 1)):
        refused(recorder, lambda c: db.update(Note, key, c), change, ModelError, ValidationError)
    for subject in ((Note, key), (note,), (Note(id=key),), (Note, f"{key}-new")):
        refused(recorder, lambda s: db.increment(*s, number, upsert=True), subject)
    assert getattr(db.get(Note, key), name) == 5


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "operator", ["NOT_EXISTS", "exists", "attribute_not_exists", ("=", None), ("attribute_type", "S")]
)
def test_conditions_as_text(db, key, recorder, name, operator):
    db.create(full(key))
    said = operator if isinstance(operator, tuple) else (operator,)
    for place in (f"{name}.paid", f"{name}.l[0]"):
        refused(recorder, lambda p: db.model(Note).where(Note.id == key).where(p, *said).all(), place)
        refused(recorder, lambda p: db.model(Note).where("id", "=", key).filter(p, *said).count(), place)


@pytest.mark.parametrize("name", NAMES)
def test_classes_that_are_registered(db, key, recorder, name):
    db.create(Card(id=key, **{name: {"paid": LONG}}))
    path = getattr(fields(Card), name)["paid"]
    for condition in (path.not_exists(), path.exists(), path == None, path.attribute_type("S")):  # noqa: E711
        refused(recorder, lambda c: db.delete(Card, key, condition=c), condition)
        refused(recorder, lambda c: db.update(Card, key, fields(Card).plain.set("y"), condition=c), condition)
    assert getattr(db.get(Card, key), name) == {"paid": LONG}
