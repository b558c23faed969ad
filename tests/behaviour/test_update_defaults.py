"""Updates begin from what a reader is shown: the stored value, the default of what is missing, nothing for NULL."""

from decimal import Decimal
from itertools import count
from typing import Any

import pytest

from dynamorm import Attr, ConditionFailed, Model, ValidationError, attr, partition_key, version
from dynamorm.errors import TransactionCancelled
from tests.conftest import ENGINE

from .kit import change, store, stored, updated

pytestmark = [pytest.mark.engine, pytest.mark.wide]

referee = pytest.mark.skipif(ENGINE == "ministack", reason="ministack computes with NULL, which DynamoDB refuses")

_numbers = count(1)


class Geo(Model):
    zone: Attr[int] = attr(default=7)


class Address(Model):
    city: Attr[str] = attr(default="Riga")
    visits: Attr[int] = attr(default=100)
    geo: Attr[Geo] = attr(default_factory=Geo)
    flags: Attr[set[str]] = attr(default_factory=lambda: {"new"})


class Account(Model, table="accounts"):
    id: Attr[str] = partition_key()
    note: Attr[str | None] = attr(default=None)
    label: Attr[str] = attr(default="none")
    other: Attr[str] = attr(default="other", name="o")
    credit: Attr[int] = attr(default=100)
    plain: Attr[int] = attr(default=0)
    rate: Attr[Decimal] = attr(default=Decimal("1.5"), name="r")
    factor: Attr[float] = attr(default=0.5)
    limit: Attr[int | None] = attr(default=10)
    maybe: Attr[int | None] = attr(default=None)
    tags: Attr[list[str]] = attr(default_factory=lambda: ["a"])
    log: Attr[list[str]] = attr(default_factory=list)
    texts: Attr[list[str] | None] = attr(default=None)
    flags: Attr[set[str]] = attr(default_factory=lambda: {"x", "y"})
    marks: Attr[set[str]] = attr(default_factory=set)
    sizes: Attr[frozenset[int]] = attr(default=frozenset({1, 2}))
    blobs: Attr[set[bytes]] = attr(default_factory=lambda: {b"\0"})
    counts: Attr[dict[str, int]] = attr(default_factory=lambda: {"a": 5})
    empty: Attr[dict[str, int]] = attr(default_factory=dict)
    address: Attr[Address] = attr(default_factory=Address)
    work: Attr[Address | None] = attr(default=None)
    sums: Attr[dict[str, int] | None] = attr(default=None)
    homes: Attr[list[Address]] = attr(default_factory=list)
    random: Attr[int] = attr(default_factory=lambda: next(_numbers))
    extra: Attr[Any] = attr(default=None)


class Versioned(Account, table="versioned"):
    version: Attr[int] = version()


MODELS = [Account, Versioned]
A = Account

CASES = {
    "add": (lambda: [A.credit.add(5)], {"credit": 105}),
    "add to nothing": (lambda: [A.plain.add(5)], {"plain": 5}),
    "add a decimal": (lambda: [A.rate.add(Decimal("0.25"))], {"rate": Decimal("1.75")}),
    "add a float": (lambda: [A.factor.add(0.25)], {"factor": 0.75}),
    "add where none is allowed": (lambda: [A.limit.add(1)], {"limit": 11}),
    "add where none is the default": (lambda: [A.maybe.add(1)], {"maybe": 1}),
    "append": (lambda: [A.tags.append("b")], {"tags": ["a", "b"]}),
    "append to the empty": (lambda: [A.log.append("b")], {"log": ["b"]}),
    "prepend": (lambda: [A.tags.prepend("b")], {"tags": ["b", "a"]}),
    "append or create": (lambda: [A.tags.append_or_create("b")], {"tags": ["a", "b"]}),
    "several": (lambda: [A.tags.extend(["b", "c"])], {"tags": ["a", "b", "c"]}),
    "several of several": (
        lambda: [A.tags.append("b"), A.log.append("c"), A.tags.append("d")],
        {"tags": ["a", "b", "d"], "log": ["c"]},
    ),
    "several or create": (lambda: [A.texts.extend_or_create(["b", "c"])], {"texts": ["b", "c"]}),
    "add to a set": (lambda: [A.flags.add({"y", "z"})], {"flags": {"x", "y", "z"}}),
    "add to the empty set": (lambda: [A.marks.add({"z"})], {"marks": {"z"}}),
    "add to a set of numbers": (lambda: [A.sizes.add({2, 3})], {"sizes": frozenset({1, 2, 3})}),
    "add to a set of bytes": (lambda: [A.blobs.add({b"\1"})], {"blobs": {b"\0", b"\1"}}),
    "delete from a set": (lambda: [A.flags.delete({"x", "q"})], {"flags": {"y"}}),
    "delete all of a set": (lambda: [A.flags.delete({"x", "y"})], {"flags": set()}),
    "an entry": (lambda: [A.counts["b"].set(1)], {"counts": {"a": 5, "b": 1}}),
    "an entry is added to": (lambda: [A.counts["a"].add(1)], {"counts": {"a": 6}}),
    "an entry is removed": (lambda: [A.counts["a"].remove()], {"counts": {}}),
    "an entry that is there": (lambda: [A.counts["a"].if_not_exists(1)], {"counts": {"a": 5}}),
    "two entries": (lambda: [A.counts["b"].set(1), A.counts["a"].add(1)], {"counts": {"a": 6, "b": 1}}),
    "an entry of the empty": (lambda: [A.empty["b"].add(2)], {"empty": {"b": 2}}),
    "an element": (lambda: [A.tags[0].set("z")], {"tags": ["z"]}),
    "an element beyond": (lambda: [A.log[3].set("z")], {"log": ["z"]}),
    "elements removed": (lambda: [A.tags[0].remove(), A.tags[1].remove()], {"tags": []}),
    "a nested field": (lambda: [A.address[Address.city].set("Oslo")], {"address": Address(city="Oslo")}),
    "a nested number": (lambda: [A.address[Address.visits].add(1)], {"address": Address(visits=101)}),
    "a nested set": (lambda: [A.address[Address.flags].add({"old"})], {"address": Address(flags={"new", "old"})}),
    "a field deep inside": (
        lambda: [A.address[Address.geo][Geo.zone].add(1), A.address[Address.visits].add(-1)],
        {"address": Address(visits=99, geo=Geo(zone=8))},
    ),
    "taken over": (lambda: [A.label.set(A.other)], {"label": "other"}),
    "taken over if missing": (lambda: [A.note.if_not_exists(A.other)], {"note": "other"}),
    "set if missing": (lambda: [A.credit.if_not_exists(3)], {"credit": 3}),
    "all kinds": (
        lambda: [A.note.set("n"), A.credit.add(1), A.tags.append("b"), A.flags.add({"z"}), A.counts["b"].set(2)],
        {"note": "n", "credit": 101, "tags": ["a", "b"], "flags": {"x", "y", "z"}, "counts": {"a": 5, "b": 2}},
    ),
}


def expected(key, values):
    found = Account(id=key, **values)
    found.random = 0
    return found


def same(found, wanted):
    found.random = wanted.random = 0
    assert found == wanted


def of(model, updates):
    """The updates, of the same attributes of another model."""
    return updates if model is Account else [type(one)(one.kind, one.path, one.value) for one in updates]


@pytest.mark.parametrize("way", ["key", "object", "transaction", "transaction of an object", "upsert", "new"])
@pytest.mark.parametrize("case", CASES)
def test_an_update_of_an_item_that_lacks_the_attribute_begins_from_its_default(db, key, case, way):
    make, values = CASES[case]
    if way != "new":
        store(db, Account, {"id": {"S": key}})
    found = updated(db, Account, key, make(), "upsert" if way == "new" else way)
    wanted = Account(id=key, **values)
    if found is not None:
        same(found, wanted)
    same(db.require(Account, key, consistent=True), wanted)


@pytest.mark.parametrize("case", CASES)
def test_an_update_of_a_versioned_object_begins_from_the_default(db, key, case):
    make, values = CASES[case]
    store(db, Versioned, {"id": {"S": key}, "version": {"N": "3"}})
    found = db.update(db.require(Versioned, key, consistent=True), *make())
    same(found, Versioned(id=key, version=4, **values))
    same(db.require(Versioned, key, consistent=True), Versioned(id=key, version=4, **values))


@pytest.mark.parametrize("case", CASES)
def test_an_update_of_what_is_stored_begins_from_it(db, key, case):
    make, _ = CASES[case]
    start = {
        "note": "n0", "label": "l0", "other": "o0", "credit": 1, "plain": 2, "rate": Decimal(3), "factor": 4.0, "limit": 5,
        "maybe": 6, "tags": ["s"], "log": ["t"], "flags": {"s"}, "marks": {"t"}, "sizes": frozenset({9}),
        "blobs": {b"s"}, "counts": {"s": 1}, "empty": {"t": 1},
        "address": Address(city="C", visits=1, geo=Geo(zone=1), flags={"s"}),
    }  # fmt: skip
    db.create(Account(id=key, **start))
    before = db.require(Account, key, consistent=True)
    found = db.update(Account, key, *make())
    touched = {one.path.field.name for one in make()}
    for name in start:
        if name not in touched:
            assert getattr(found, name) == getattr(before, name), name
    for name in touched & {"credit", "plain", "rate", "factor", "limit", "maybe"}:
        step = next(one.value for one in make() if one.path.field.name == name)
        kept = next(one.kind for one in make() if one.path.field.name == name) == "if_not_exists"
        assert getattr(found, name) == start[name] + (0 if kept else step)
    for name in touched & {"tags", "log", "flags", "marks", "sizes", "blobs", "counts", "empty"}:
        assert not set(getattr(found, name)) & {"a", "x", b"\0"} or name in {"counts", "tags"}


def test_an_attribute_inside_a_stored_object_begins_from_its_default(db, key):
    store(db, Account, {"id": {"S": key}, "address": {"M": {"city": {"S": "Oslo"}}}, "homes": {"L": [{"M": {}}]}})
    found = db.update(
        Account, key, A.address[Address.visits].add(1), A.address[Address.geo][Geo.zone].add(1),
        A.address[Address.flags].add({"old"}), A.homes[0][Address.visits].add(2),
    )  # fmt: skip
    assert found.address == Address(city="Oslo", visits=101, geo=Geo(zone=8), flags={"new", "old"})
    assert found.homes[0].visits == 102


def test_what_became_stored_since_the_object_was_loaded_is_what_the_update_begins_from(db, key):
    store(db, Account, {"id": {"S": key}})
    obj = db.require(Account, key, consistent=True)
    change(db, Account, (key,), "SET flags = :f, counts = :c", f={"SS": ["now"]}, c={"M": {"n": {"N": "1"}}})
    found = db.update(obj, A.flags.add({"z"}), A.counts["b"].set(2))
    assert (found.flags, found.counts) == ({"now", "z"}, {"n": 1, "b": 2})


def test_what_is_gone_since_the_object_was_loaded_begins_from_the_default(db, key):
    db.create(Account(id=key, flags={"s"}))
    obj = db.require(Account, key, consistent=True)
    change(db, Account, (key,), "REMOVE flags")
    assert db.update(obj, A.flags.delete({"x"})).flags == {"y"}


def test_a_condition_is_still_the_callers(db, key, wire):
    store(db, Account, {"id": {"S": key}})
    with pytest.raises(ConditionFailed):
        db.update(Account, key, A.flags.add({"z"}), condition=A.note == "x")
    assert "flags" not in stored(db, Account, key)
    with pytest.raises(ConditionFailed):  # the default is not stored, so a condition does not see it
        db.update(Account, key, A.credit.add(1), condition=A.credit == 100)
    wire.clear()
    with pytest.raises(ConditionFailed):
        db.update(Account, key, A.plain.add(1), condition=A.note == "x")
    assert "GetItem" not in wire.names  # of a form that has no condition of its own
    found = db.update(Account, key, A.flags.add({"z"}), condition=A.note == None)  # noqa: E711
    assert found.flags == {"x", "y", "z"}


def test_an_update_in_a_transaction_that_is_refused_for_another_reason_changes_nothing(db, key):
    store(db, Account, {"id": {"S": key}})

    def refused():
        with db.transaction() as tx:
            tx.update(Account, key, A.flags.add({"z"}), label="flags")
            tx.check(Account, key + "2", A.note.exists(), label="check")

    with pytest.raises(TransactionCancelled) as caught:
        refused()
    assert [reason and reason.label for reason in caught.value.reasons] == [None, "check"]
    assert "flags" not in stored(db, Account, key)


def test_the_second_form_keeps_its_label(db, key):
    store(db, Account, {"id": {"S": key}})
    with db.transaction() as tx:
        tx.update(Account, key, A.flags.add({"z"}), label="flags")
        tx.update(Account, key + "2", A.flags.add({"z"}), upsert=True, label="more")
    assert db.require(Account, key, consistent=True).flags == {"x", "y", "z"}
    assert db.require(Account, key + "2", consistent=True).flags == {"x", "y", "z"}


def test_numbers_and_lists_begin_from_their_default_in_one_request(db, key, wire):
    store(db, Account, {"id": {"S": key}})
    wire.clear()
    db.update(Account, key, A.credit.add(5), A.tags.append("b"), A.log.append("c"), A.plain.add(1))
    assert wire.names == ["TransactWriteItems", "GetItem"]
    text = wire.calls[0][1]["TransactItems"][0]["Update"]["UpdateExpression"]
    assert text.count("if_not_exists") == 3
    assert "ADD" in text  # what begins from 0 is left to DynamoDB


def test_a_factory_that_varies_is_no_value_to_begin_from(db, key):
    store(db, Account, {"id": {"S": key}})
    assert db.update(Account, key, A.random.add(5)).random == 5


@pytest.mark.parametrize("by_object", [False, True])
def test_increment_begins_from_the_default(db, key, by_object):
    store(db, Account, {"id": {"S": key}})
    args = (db.require(Account, key, consistent=True),) if by_object else (Account, key)
    assert db.increment(*args, A.credit, by=5) == 105
    assert db.increment(*args, A.credit, by=-5) == 100
    assert stored(db, Account, key)["credit"] == {"N": "100"}


def test_increment_of_a_versioned_object_begins_from_the_default(db, key):
    store(db, Versioned, {"id": {"S": key}, "version": {"N": "0"}})
    assert db.increment(db.require(Versioned, key, consistent=True), Versioned.rate, by=1) == Decimal("2.5")


def test_increment_of_a_new_item_begins_from_the_default(db, key):
    assert db.increment(Account, key, A.credit, by=5, upsert=True) == 105


# -------------------------------------------------------------------------------------------------------------- NULL

NULL = {"NULL": True}
NULLS = {
    "add": (lambda: [A.maybe.add(1)], {"maybe": 1}),
    "add with a default": (lambda: [A.limit.add(1)], {"limit": 1}),
    "add to a set": (lambda: [A.flags.add({"z"})], {"flags": {"z"}}),
    "add to the empty set": (lambda: [A.marks.add({"z"})], {"marks": {"z"}}),
    "delete from a set": (lambda: [A.flags.delete({"x"})], {"flags": set()}),
    "set if missing": (lambda: [A.note.if_not_exists("n"), A.maybe.if_not_exists(3)], {"note": "n", "maybe": 3}),
    "set if missing, with a default": (lambda: [A.limit.if_not_exists(3)], {"limit": 3}),
    "set if missing, from elsewhere": (lambda: [A.note.if_not_exists(A.other)], {"note": "other"}),
    "inside a document": (lambda: [A.extra["k"].if_not_exists("n")], {"extra": {"k": "n"}}),
    "both": (lambda: [A.note.set("n"), A.limit.add(2), A.credit.add(1)], {"note": "n", "limit": 2, "credit": 101}),
}  # fmt: skip
BY_REFUSAL = {
    "append or create": (lambda: [A.texts.append_or_create("b")], {"texts": ["b"]}),
    "append": (lambda: [A.tags.append("b")], {"tags": ["b"]}),
    "several": (
        lambda: [A.tags.append("b"), A.tags.extend(["c", "d"])],
        {"tags": ["b", "c", "d"]},
    ),
    "several or create": (
        lambda: [A.texts.extend_or_create(["b", "c"]), A.texts.append("a")],
        {"texts": ["b", "c", "a"]},
    ),
    "prepend": (lambda: [A.log.prepend("b")], {"log": ["b"]}),
    "an entry": (lambda: [A.counts["b"].set(2)], {"counts": {"b": 2}}),
    "an entry is added to": (lambda: [A.empty["b"].add(2)], {"empty": {"b": 2}}),
    "a nested entry": (lambda: [A.extra["n"].add(2)], {"extra": {"k": None, "n": 2}}),
}
EVERY = [*NULLS, *(pytest.param(name, marks=referee) for name in BY_REFUSAL)]


@pytest.mark.parametrize("way", ["key", "object", "transaction", "upsert"])
@pytest.mark.parametrize("case", EVERY)
def test_null_counts_as_missing(db, key, case, way):
    make, values = (NULLS | BY_REFUSAL)[case]
    nulls = dict.fromkeys(("note", "limit", "maybe", "tags", "log", "texts", "flags", "marks", "counts", "empty"), NULL)
    store(db, Account, {"id": {"S": key}, **nulls, "extra": {"M": {"k": NULL, "n": NULL}}})
    before = db.require(Account, key, consistent=True)
    if way == "key":
        db.update(Account, key, *make())
    elif way == "object":
        db.update(db.require(Account, key, consistent=True), *make())
    elif way == "upsert":
        db.upsert(Account, key, *make())
    else:
        with db.transaction() as tx:
            tx.update(Account, key, *make())
    for name, value in values.items():
        setattr(before, name, {"k": None, "n": None} | value if name == "extra" else value)
    same(db.require(Account, key, consistent=True), before)


def test_increment_counts_null_as_nothing(db, key):
    store(db, Account, {"id": {"S": key}, "limit": NULL, "maybe": NULL})
    assert db.increment(Account, key, A.limit, by=5) == 5
    assert db.increment(Account, key, A.maybe, by=5) == 5


def test_appending_where_there_is_neither_a_list_nor_a_default_is_refused(db, key):
    store(db, Account, {"id": {"S": key}})
    with pytest.raises(ValidationError, match=r"texts is not stored.*append_or_create") as caught:
        db.update(Account, key, A.texts.append("x"))
    assert caught.value.field == "texts"
    assert db.update(Account, key, A.texts.append_or_create("x")).texts == ["x"]


@pytest.mark.parametrize("model", [Account, Versioned])
@pytest.mark.parametrize("way", ["key", "object", "transaction"])
@pytest.mark.parametrize(
    ("build", "path"),
    [
        (lambda: A.work[Address.city].set("x"), "work.city"),
        (lambda: A.work[Address.geo][Geo.zone].add(1), "work.geo"),
        (lambda: A.sums["a"].set(5), "sums.a"),
    ],
    ids=["set", "add", "entry"],
)
def test_a_change_inside_what_is_not_there_names_the_place_and_the_remedy(db, key, model, way, build, path):
    store(db, model, {"id": {"S": key}})
    loaded = db.get(model, key, consistent=True)

    def change_in_a_transaction():
        with db.transaction() as tx:
            tx.update(model, key, build())
            tx.put(model(id=f"{key}-other"))

    calls = {
        "key": lambda: db.update(model, key, build()),
        "object": lambda: db.update(loaded, build()),
        "transaction": change_in_a_transaction,
    }
    with pytest.raises((ValidationError, TransactionCancelled)) as caught:
        calls[way]()
    error = caught.value
    if isinstance(error, TransactionCancelled):
        error = error.reasons[0].error
    root = path.split(".")[0]
    assert f"{path} cannot be changed" in str(error)
    assert f"set {root} whole first" in str(error)
    assert error.field == root
