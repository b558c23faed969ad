"""Bounds of fields hold for what only the database computes: what is added, appended, set inside, or taken over."""

from decimal import Decimal

import pytest

from dynamorm import Attr, Model, ValidationError, attr, partition_key, version
from dynamorm.errors import ConditionFailed, MissingItem, OutOfBounds, TransactionCancelled, VersionConflict

from .kit import change, store, stored

pytestmark = [pytest.mark.engine, pytest.mark.wide]


class Inner(Model):
    count: Attr[int] = attr(default=0, le=10)
    names: Attr[list[str]] = attr(default_factory=list, max_length=2)


class Loose(Model, table="loose"):
    id: Attr[str] = partition_key()
    n: Attr[int] = attr(default=0, ge=0, le=10)
    open_n: Attr[int] = attr(default=1, gt=0, lt=10)
    exact: Attr[Decimal] = attr(default=Decimal(0), le=Decimal("0.3"), ge=Decimal("-1E+30"))
    approx: Attr[float] = attr(default=0.0, lt=1.0)
    started: Attr[int] = attr(default=8, le=10)
    high: Attr[int | None] = attr(default=None, ge=5)
    free: Attr[int] = attr(default=0)
    maybe: Attr[int | None] = attr(default=None)
    text: Attr[str] = attr(default="ab", min_length=2, max_length=4)
    long: Attr[str] = attr(default="")
    code: Attr[str] = attr(default="abc", pattern="[a-z]+")
    code2: Attr[str] = attr(default="abc", pattern="[a-z]+")
    tags: Attr[list[str]] = attr(default_factory=list, max_length=2)
    least: Attr[list[str]] = attr(default_factory=lambda: ["a", "b"], min_length=2)
    marks: Attr[set[str]] = attr(default_factory=set, max_length=3)
    numbers: Attr[set[int]] = attr(default_factory=set, max_length=2)
    some: Attr[set[str]] = attr(default_factory=lambda: {"a"}, min_length=1)
    entries: Attr[dict[str, int]] = attr(default_factory=dict, max_length=2, min_length=0)
    few: Attr[dict[str, int]] = attr(default_factory=lambda: {"a": 1}, min_length=1)
    inner: Attr[Inner] = attr(default_factory=Inner)


class Strict(Loose, table="strict"):
    version: Attr[int] = version()


MODELS = [Loose, Strict]


def by_key(db, obj, *updates):
    return db.update(type(obj), obj.id, *updates)


def by_object(db, obj, *updates):
    return db.update(obj, *updates)


def in_transaction(db, obj, *updates):
    try:
        with db.transaction() as tx:
            tx.update(type(obj), obj.id, *updates)
    except TransactionCancelled as error:
        raise error.reasons[0].error from None
    return db.get(type(obj), obj.id, consistent=True)


@pytest.fixture(params=[by_key, by_object, in_transaction])
def update(request, db):
    return lambda obj, *updates: request.param(db, obj, *updates)


@pytest.fixture(params=[Loose, Strict])
def model(request):
    return request.param


def refused(db, obj, update, one, bound, name):
    """The error names the field and the bound, shows the item, and nothing was changed."""
    before = stored(db, type(obj), obj.id)
    with pytest.raises(OutOfBounds) as caught:
        update(obj, one)
    error = caught.value
    assert isinstance(error, ConditionFailed)
    assert (error.bound, error.field, error.code) == (bound, name, "ErrOutOfBounds")
    assert f"{type(obj).__name__}.{name} must" in str(error)
    assert error.item.id == obj.id
    assert stored(db, type(obj), obj.id) == before


PAST = {
    "le": ({"n": 9}, lambda M: M.n.add(5), "le", "n"),
    "ge": ({"n": 3}, lambda M: M.n.add(-4), "ge", "n"),
    "lt": ({"open_n": 8}, lambda M: M.open_n.add(2), "lt", "open_n"),
    "gt": ({"open_n": 2}, lambda M: M.open_n.add(-2), "gt", "open_n"),
    "exact": ({"exact": Decimal("0.1")}, lambda M: M.exact.add(Decimal("0.20000000000001")), "le", "exact"),
    "float": ({"approx": 0.5}, lambda M: M.approx.add(0.5), "lt", "approx"),
    "append": ({"tags": ["a", "b"]}, lambda M: M.tags.append("c"), "max_length", "tags"),
    "prepend": ({"tags": ["a", "b"]}, lambda M: M.tags.prepend("c"), "max_length", "tags"),
    "append_or_create": ({"tags": ["a", "b"]}, lambda M: M.tags.append_or_create("c"), "max_length", "tags"),
    "behind the end": ({"tags": ["a", "b"]}, lambda M: M.tags[7].set("c"), "max_length", "tags"),
    "remove an element": ({}, lambda M: M.least[0].remove(), "min_length", "least"),
    "add to a set": ({"marks": {"a", "b"}}, lambda M: M.marks.add({"b", "c", "d"}), "max_length", "marks"),
    "add to a set of numbers": ({"numbers": {1, 2}}, lambda M: M.numbers.add({3}), "max_length", "numbers"),
    "take out of a set": ({"some": {"a", "b"}}, lambda M: M.some.delete({"a", "b"}), "min_length", "some"),
    "entry": ({"entries": {"a": 1, "b": 2}}, lambda M: M.entries["c"].set(1), "max_length", "entries"),
    "entry added to": ({"entries": {"a": 1, "b": 2}}, lambda M: M.entries["c"].add(1), "max_length", "entries"),
    "remove an entry": ({"few": {"a": 1}}, lambda M: M.few["a"].remove(), "min_length", "few"),
    "inside": ({"inner": Inner(count=9)}, lambda M: M.inner[Inner.count].add(2), "le", "inner.count"),
    "inside a list": (
        {"inner": Inner(names=["a", "b"])}, lambda M: M.inner[Inner.names].append("c"), "max_length", "inner.names",
    ),
    "another": ({"free": 11}, lambda M: M.n.set(M.free), "le", "n"),
    "another, low": ({"free": -1}, lambda M: M.n.set(M.free), "ge", "n"),
    "another text": ({"long": "abcde"}, lambda M: M.text.set(M.long), "max_length", "text"),
    "another short text": ({"long": "a"}, lambda M: M.text.set(M.long), "min_length", "text"),
}  # fmt: skip


@pytest.mark.parametrize("case", PAST)
def test_a_change_that_leads_past_a_bound_is_refused(db, key, model, update, case):
    values, make, bound, name = PAST[case]
    obj = db.create(model(id=key, **values))
    refused(db, obj, update, make(model), bound, name)


UP_TO = {
    "le": ({"n": 9}, lambda M: M.n.add(1), {"n": 10}),
    "ge": ({"n": 3}, lambda M: M.n.add(-3), {"n": 0}),
    "lt": ({"open_n": 8}, lambda M: M.open_n.add(1), {"open_n": 9}),
    "exact": ({"exact": Decimal("0.1")}, lambda M: M.exact.add(Decimal("0.2")), {"exact": Decimal("0.3")}),
    "float": ({"approx": 0.5}, lambda M: M.approx.add(0.25), {"approx": 0.75}),
    "append": ({"tags": ["a"]}, lambda M: M.tags.append("c"), {"tags": ["a", "c"]}),
    "within the list": ({"tags": ["a", "b"]}, lambda M: M.tags[1].set("c"), {"tags": ["a", "c"]}),
    "behind the end": ({"tags": ["a"]}, lambda M: M.tags[7].set("c"), {"tags": ["a", "c"]}),
    "remove an element": ({"least": ["a", "b", "c"]}, lambda M: M.least[0].remove(), {"least": ["b", "c"]}),
    "remove what is not there": ({}, lambda M: M.least[5].remove(), {"least": ["a", "b"]}),
    "add to a set": ({"marks": {"a", "b"}}, lambda M: M.marks.add({"a", "b", "c"}), {"marks": {"a", "b", "c"}}),
    "add what is there": ({"marks": {"a", "b", "c"}}, lambda M: M.marks.add({"c"}), {"marks": {"a", "b", "c"}}),
    "add some": ({"marks": {"a", "b"}}, lambda M: M.marks.add({"b", "c"}), {"marks": {"a", "b", "c"}}),
    "add to an empty set": ({}, lambda M: M.marks.add({"b", "c"}), {"marks": {"b", "c"}}),
    "take out": ({"some": {"a", "b"}}, lambda M: M.some.delete({"a", "x"}), {"some": {"b"}}),
    "entry": ({"entries": {"a": 1}}, lambda M: M.entries["c"].set(1), {"entries": {"a": 1, "c": 1}}),
    "entry that is there": (
        {"entries": {"a": 1, "b": 1}}, lambda M: M.entries["b"].set(5), {"entries": {"a": 1, "b": 5}},
    ),
    "remove an entry": ({"few": {"a": 1, "b": 2}}, lambda M: M.few["a"].remove(), {"few": {"b": 2}}),
    "inside": ({"inner": Inner(count=9)}, lambda M: M.inner[Inner.count].add(1), {"inner": Inner(count=10)}),
    "another": ({"free": 10}, lambda M: M.n.set(M.free), {"n": 10}),
    "another pattern": ({"code2": "xyz"}, lambda M: M.code.set(M.code2), {"code": "xyz"}),
    "another, kept": ({"free": 99, "n": 1}, lambda M: M.n.if_not_exists(M.free), {"n": 1}),
}  # fmt: skip


@pytest.mark.parametrize("case", UP_TO)
def test_a_change_up_to_a_bound_is_made(db, key, model, update, case):
    values, make, after = UP_TO[case]
    obj = db.create(model(id=key, **values))
    fresh = update(obj, make(model))
    for name, value in after.items():
        assert getattr(fresh, name) == value


def test_the_way_back_is_never_barred(db, key, update):
    obj = db.create(Loose(id=key))
    change(db, Loose, (key,), "SET n = :n, tags = :t, marks = :m", n={"N": "14"}, t={"L": [{"S": "a"}] * 4},
           m={"SS": ["a", "b", "c", "d", "e"]})  # fmt: skip
    obj = db.get(Loose, key, consistent=True)
    assert update(obj, Loose.n.add(-1), Loose.tags[0].remove(), Loose.marks.delete({"a"})).n == 13
    refused(db, obj, update, Loose.n.add(1), "le", "n")


def test_what_is_missing_counts_as_the_default(db, key, update):
    store(db, Loose, {"id": {"S": key}, "maybe": {"NULL": True}})
    obj = db.get(Loose, key, consistent=True)
    refused(db, obj, update, Loose.started.add(3), "le", "started")
    refused(db, obj, update, Loose.n.add(-1), "ge", "n")
    refused(db, obj, update, Loose.high.add(4), "ge", "high")
    assert update(obj, Loose.high.add(5)).high == 5
    assert update(obj, Loose.tags.append_or_create("a"), Loose.marks.add({"a", "b", "c"})).tags == ["a"]


def test_an_upsert_of_nothing_keeps_the_bounds_too(db, key):
    with pytest.raises(OutOfBounds) as caught:
        db.upsert(Loose, key, Loose.n.add(11))
    assert caught.value.item is None
    assert stored(db, Loose, key) is None
    assert db.upsert(Loose, key, Loose.n.add(10)).n == 10
    with pytest.raises(OutOfBounds):
        db.upsert(Loose(id=f"{key}-2", n=9), Loose.n.add(2))


def test_a_set_that_is_stored_as_null_can_be_added_to(db, key, update):
    store(db, Loose, {"id": {"S": key}, "marks": {"NULL": True}})
    assert update(db.get(Loose, key, consistent=True), Loose.marks.add({"a", "b"})).marks == {"a", "b"}


def test_many_members_at_once(db, key):
    class_ = Loose
    db.create(Loose(id=key, marks={"a", "b", "c"}))
    assert db.update(class_, key, Loose.marks.add({"a", "b"})).marks == {"a", "b", "c"}
    with pytest.raises(OutOfBounds):
        db.update(class_, key, Loose.marks.add({"a", "b", "x", "y", "z"}))
    db.update(class_, key, Loose.marks.set({"a"}))
    with pytest.raises(OutOfBounds):
        db.update(class_, key, Loose.entries["a"].set(1), Loose.entries["b"].set(1), Loose.entries["c"].set(1))
    assert db.update(class_, key, Loose.entries["a"].set(1), Loose.entries["b"].set(1)).entries == {"a": 1, "b": 1}


def test_a_number_of_many_digits_is_compared_exactly(db, key):
    db.create(Loose(id=key, exact=Decimal("0.3")))
    with pytest.raises(OutOfBounds):
        db.update(Loose, key, Loose.exact.add(Decimal("1E-37")))
    db.update(Loose, key, Loose.exact.set(Decimal("-1E+30")))
    with pytest.raises(OutOfBounds):
        db.update(Loose, key, Loose.exact.add(Decimal("-1E-7")))


def test_a_whole_set_keeps_its_bounds(wire, db, key):
    for one in (Loose.marks.set({"a", "b", "c", "d"}), Loose.marks.if_not_exists({"a", "b", "c", "d"})):
        with pytest.raises(ValidationError, match=r"Loose\.marks"):
            db.update(Loose, key, one)
    assert wire.names == []


def test_a_pattern_of_another_attribute_cannot_be_checked(wire, db, key):
    with pytest.raises(ValidationError) as caught:
        db.update(Loose, key, Loose.code.set(Loose.long))
    assert "Loose.code has a pattern" in str(caught.value)
    assert wire.names == []


def test_other_refusals_come_first(db, key):
    with pytest.raises(MissingItem):
        db.update(Loose, key, Loose.n.add(11))
    obj = db.create(Strict(id=key))
    db.update(Strict, key, Strict.n.set(9))
    with pytest.raises(VersionConflict):
        db.update(obj, Strict.n.add(5))
    with pytest.raises(ConditionFailed) as caught:
        db.update(Strict, key, Strict.n.add(1), condition=Strict.free == 5)
    assert not isinstance(caught.value, OutOfBounds)


def test_an_update_without_bounds_has_no_condition_of_them(db, wire, key):
    db.create(Loose(id=key))
    wire.clear()
    db.update(Loose, key, Loose.free.set(3), Loose.n.set(4))
    assert wire.last["ConditionExpression"] == "attribute_exists(#n0)"


@pytest.mark.parametrize("how", ["key", "object"])
def test_an_increment_keeps_the_bounds_of_the_field(db, key, model, how):
    obj = db.create(model(id=key, n=9))
    subject = (model, key) if how == "key" else (obj,)
    with pytest.raises(OutOfBounds) as caught:
        db.increment(*subject, model.n, by=2)
    assert (caught.value.bound, caught.value.field) == ("le", "n")
    assert stored(db, model, key)["n"] == {"N": "9"}
    assert db.increment(*subject, model.n) == 10
    change(db, model, (key,), "SET n = :n", n={"N": "14"})
    assert db.increment(model, key, model.n, by=-1) == 13
    with pytest.raises(OutOfBounds):
        db.increment(model, key, model.n)
