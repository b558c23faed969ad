"""What an update computes of other attributes, and additions that fail, or begin elsewhere, where nothing is stored."""

import operator
import uuid
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import given as hypothesis_given
from hypothesis import strategies as st

from dynamorm import (
    Attr,
    Codec,
    ConditionFailed,
    Json,
    Mixin,
    Model,
    Outcome,
    TransactionCancelled,
    Unique,
    ValidationError,
    attr,
    composite,
    partition_key,
    version,
)
from dynamorm.errors import MissingItem, OutOfBounds
from tests.conftest import ENGINE

from .kit import store, stored

pytestmark = [pytest.mark.engine, pytest.mark.wide]
EXAMPLES = 40 if ENGINE == "local" else 15


class Size(Model):
    width: Attr[int] = attr(default=3)
    height: Attr[int | None] = attr(default=None)


class Sums(Mixin):
    id: Attr[str] = partition_key()
    a: Attr[int] = attr(default=0)
    b: Attr[int] = attr(default=10)
    needed: Attr[int] = attr(default=0, name="n")
    maybe: Attr[int | None] = attr(default=None)
    wish: Attr[int | None] = attr(default=5)
    exact: Attr[Decimal] = attr(default=Decimal(0))
    ratio: Attr[float] = attr(default=0.5)
    bound: Attr[int] = attr(default=1, ge=0, le=10)
    text: Attr[str] = attr(default="t")
    size: Attr[Size] = attr(default_factory=Size)
    tags: Attr[list[str]] = attr(default_factory=list)
    more: Attr[list[str]] = attr(default_factory=lambda: ["m"])
    none: Attr[list[str] | None] = attr(default=None)
    numbers: Attr[list[int]] = attr(default_factory=list)
    anything: Attr[Any] = attr(default=None)
    json: Attr[list[str]] = attr(Json(), default_factory=list)
    coded: Attr[int] = attr(Codec(str, int), default=0)
    former: Attr[int] = attr(default=0, also_read=("Former",))
    short: Attr[list[str]] = attr(default_factory=list, max_length=2)


class Card(Sums, Model, table="cards"):
    pass


class Kept(Sums, Model, table="kept"):
    version: Attr[int] = version()


class Ticket(Model, table="tickets"):
    id: Attr[str] = partition_key()
    number: Attr[int] = attr(Unique(), default=0)
    other: Attr[int] = attr(default=1)


class Made(Model, table="made"):
    pk: Attr[str] = partition_key(composite("id", "year"))
    id: Attr[str]
    year: Attr[int]
    next: Attr[int] = attr(default=0)


MODELS = [Card, Kept, Ticket, Made]
NULL = {"NULL": True}


def in_transaction(db, obj, *updates):
    try:
        with db.transaction() as tx:
            tx.update(obj, *updates)
    except TransactionCancelled as error:
        raise error.reasons[0].error from None


WAYS = {
    "object": lambda db, obj, *updates: db.update(obj, *updates),
    "key": lambda db, obj, *updates: db.update(type(obj), obj.id, *updates),
    "upsert": lambda db, obj, *updates: db.upsert(type(obj), obj.id, *updates),
    "transaction": in_transaction,
}


@pytest.fixture(params=WAYS)
def update(request, db):
    return lambda obj, *updates: WAYS[request.param](db, obj, *updates)


CASES = {
    "a number more": (lambda M: [M.a.set(M.b + 1)], {"a": 8}),
    "a number less": (lambda M: [M.a.set(M.b - 1)], {"a": 6}),
    "from a number": (lambda M: [M.a.set(5 - M.b)], {"a": -2}),
    "onto a number": (lambda M: [M.a.set(5 + M.b)], {"a": 12}),
    "two attributes": (lambda M: [M.a.set(M.b + M.needed)], {"a": 9}),
    "their difference": (lambda M: [M.a.set(M.needed - M.b)], {"a": -5}),
    "of itself": (lambda M: [M.b.set(M.b + M.b)], {"b": 14}),
    "what was there before": (lambda M: [M.b.set(M.a + 1), M.a.set(M.b + 1)], {"b": 2, "a": 8}),
    "exact": (lambda M: [M.exact.set(M.exact + Decimal("0.1"))], {"exact": Decimal("1.6")}),
    "exact of a whole number": (lambda M: [M.exact.set(M.b - M.exact)], {"exact": Decimal("5.5")}),
    "a float": (lambda M: [M.ratio.set(M.ratio + 0.25)], {"ratio": 0.75}),
    "where None may be": (lambda M: [M.maybe.set(M.b + 1)], {"maybe": 8}),
    "into anything": (lambda M: [M.anything.set(M.b + 1)], {"anything": 8}),
    "of what lies inside": (lambda M: [M.a.set(M.size[Size.width] + 1)], {"a": 5}),
    "into what lies inside": (lambda M: [M.size[Size.height].set(M.b + 1)], {"size": Size(width=4, height=8)}),
    "an element": (lambda M: [M.numbers[1].set(M.numbers[0] - M.b)], {"numbers": [1, -6]}),
    "two lists": (lambda M: [M.tags.set(M.tags.concat(M.more))], {"tags": ["x", "y"]}),
    "two other lists": (lambda M: [M.none.set(M.more.concat(M.tags))], {"none": ["y", "x"]}),
    "a list and elements": (lambda M: [M.tags.set(M.more.concat(["z"]))], {"tags": ["y", "z"]}),
    "strict": (lambda M: [M.b.add(1, strict=True)], {"b": 8}),
    "what is there, whatever the start": (lambda M: [M.b.add(1, start=100)], {"b": 8}),
    "strict within bounds": (lambda M: [M.bound.add(8, strict=True)], {"bound": 10}),
}


@pytest.mark.parametrize("model", [Card, Kept])
@pytest.mark.parametrize("case", CASES)
def test_what_is_computed_of_what_is_stored(db, key, update, model, case):
    make, change = CASES[case]
    values = {
        "a": 1, "b": 7, "needed": 2, "bound": 2, "exact": Decimal("1.5"), "size": Size(width=4), "numbers": [1, 0], "tags": ["x"],
        "more": ["y"],
    }  # fmt: skip
    card = db.create(model(id=key, **values))
    update(card, *make(model))
    wanted = model(id=key, **values | change)
    found = db.require(model, key, consistent=True)
    if model is Kept:
        assert found.version == 1
        wanted.version = found.version
    assert found == wanted


@pytest.mark.parametrize(
    "change", [Card.a.set(Card.b + 1), Card.tags.set(Card.tags.concat(["x"])), Card.b.add(1, start=5)], ids=range(3)
)
def test_what_cannot_be_repeated_goes_under_a_token(db, key, wire, change):
    """A copy that comes late would compute with what others have stored since."""
    db.create(Card(id=key))
    wire.clear()
    db.update(Card, key, change)
    assert wire.names == ["TransactWriteItems", "GetItem"]
    assert wire.calls[0][1]["ClientRequestToken"]


def test_the_object_is_brought_up_to_date_by_one_request(db, key, wire):
    card = db.create(Kept(id=key))
    wire.clear()
    assert db.update(card, Kept.a.set(Kept.b + 1), Kept.tags.set(Kept.more.concat(["z"]))) is card
    assert (card.a, card.tags) == (11, ["m", "z"])
    assert wire.names == ["UpdateItem"]


@pytest.mark.parametrize("model", [Card, Kept])
def test_a_missing_attribute_counts_as_its_default(db, key, update, model):
    store(db, model, {"id": {"S": key}})
    update(
        model(id=key),
        model.a.set(model.b + 1),
        model.maybe.set(model.wish - model.b),
        model.none.set(model.more.concat(model.tags)),
        model.wish.add(1),
    )
    found = db.require(model, key, consistent=True)
    assert (found.a, found.maybe, found.none, found.wish) == (11, -5, ["m"], 6)


def test_an_upsert_of_an_object_computes_with_what_it_holds(db, key):
    db.upsert(Card(id=key, b=2, more=["q"]), Card.a.set(Card.b + 1), Card.tags.set(Card.more.concat(Card.tags)))
    found = db.require(Card, key, consistent=True)
    assert (found.a, found.b, found.tags) == (3, 2, ["q"])


NOTHING = {
    "missing": ({}, lambda M: M.a.set(M.maybe + 1), "maybe"),
    "None": ({"maybe": NULL}, lambda M: M.a.set(M.maybe + 1), "maybe"),
    "None that has a default": ({"wish": NULL}, lambda M: M.a.set(M.b - M.wish), "wish"),
    "a missing list": ({}, lambda M: M.tags.set(M.none.concat(["x"])), "none"),
    "a list that is None": ({"more": NULL}, lambda M: M.tags.set(M.tags.concat(M.more)), "more"),
    "inside what is missing": ({}, lambda M: M.a.set(M.size[Size.width] + 1), "size.width"),
    "strict": ({}, lambda M: M.b.add(1, strict=True), "b"),
    "strict of None": ({"wish": NULL}, lambda M: M.wish.add(1, strict=True), "wish"),
}


@pytest.mark.parametrize("model", [Card, Kept])
@pytest.mark.parametrize("case", NOTHING)
def test_what_is_not_there_and_must_be_is_named(db, key, update, model, case):
    attributes, make, place = NOTHING[case]
    item = {"id": {"S": key}, **attributes}
    store(db, model, item)
    with pytest.raises(ConditionFailed, match=rf"{model.__name__}\.{place} is not stored, or None") as caught:
        update(model(id=key), make(model))
    assert caught.value.outcome is Outcome.NOT_APPLIED
    assert caught.value.item.id == key
    assert stored(db, model, key) == item


def test_a_missing_item_stays_missing(db, key):
    for change in (Card.a.set(Card.b + 1), Card.b.add(1, strict=True), Card.b.add(1, start=5)):
        with pytest.raises(MissingItem):
            db.update(Card, key, change)
    with pytest.raises(ConditionFailed):
        db.upsert(Card, key, Card.b.add(1, strict=True))
    assert stored(db, Card, key) is None


@pytest.mark.parametrize("model", [Card, Kept])
@pytest.mark.parametrize("null", [False, True])
def test_a_counter_begins_elsewhere(db, key, update, model, null):
    store(db, model, {"id": {"S": key}} | ({"maybe": NULL} if null else {}))
    for _ in range(2):
        update(model(id=key), model.maybe.add(1, start=100), model.exact.add(1, start=Decimal("0.5")))
    found = db.require(model, key, consistent=True)
    assert (found.maybe, found.exact) == (102, Decimal("2.5"))


def test_a_counter_inside_begins_elsewhere(db, key):
    store(db, Card, {"id": {"S": key}, "size": {"M": {"height": NULL}}})
    assert db.update(Card, key, Card.size[Size.height].add(1, start=9)).size.height == 10
    store(db, Card, {"id": {"S": key}})
    assert db.update(Card, key, Card.size[Size.height].add(1, start=9)).size == Size(width=3, height=10)


def test_a_start_is_within_the_bounds(db, key):
    store(db, Card, {"id": {"S": key}})
    with pytest.raises(OutOfBounds, match="bound must be <= 10"):
        db.update(Card, key, Card.bound.add(1, start=10))
    assert db.update(Card, key, Card.bound.add(1, start=9)).bound == 10
    assert db.upsert(Card(id=f"{key}-2"), Card.bound.add(1, start=4)).bound == 5


REFUSED = {
    "a text": (lambda: Card.a.set(Card.text + 1), "a", "cannot be computed of text"),
    "an exact number for a whole one": (lambda: Card.a.set(Card.exact + 1), "a", "numbers that are int"),
    "a float for an exact one": (lambda: Card.exact.set(Card.ratio + 1), "exact", "int or Decimal"),
    "a broken step": (lambda: Card.a.set(Card.b + Decimal("0.5")), "a", "int"),
    "anything": (lambda: Card.a.set(Card.anything + 1), "a", "cannot be computed of anything"),
    "into a text": (lambda: Card.text.set(Card.b + 1), "text", "computed"),
    "into a list": (lambda: Card.tags.set(Card.b + 1), "tags", "computed"),
    "a list of others": (lambda: Card.tags.set(Card.numbers.concat(Card.tags)), "tags", "lists of its own type"),
    "another element": (lambda: Card.tags.set(Card.tags.concat([5])), "tags", "tags"),
    "bounds": (lambda: Card.bound.set(Card.b + 1), "bound", "has bounds"),
    "bounds of a list": (lambda: Card.short.set(Card.tags.concat(["x"])), "short", "has bounds"),
    "a list as JSON": (lambda: Card.json.set(Card.tags.concat(["x"])), "json", "computed"),
    "of a list as JSON": (lambda: Card.tags.set(Card.json.concat(["x"])), "tags", "computed"),
    "by a Codec": (lambda: Card.coded.set(Card.b + 1), "coded", "stored by a plugin or a Codec"),
    "of a Codec's": (lambda: Card.a.set(Card.coded + 1), "a", "stored by a plugin or a Codec"),
    "under several names": (lambda: Card.a.set(Card.former + 1), "a", "several names"),
    "another model's": (lambda: Card.a.set(Card.b + Ticket.other), "other", "of Ticket"),
    "a key": (lambda: Card.id.set(Card.b + 1), "id", "key"),
    "the version": (lambda: Kept.version.set(Kept.b + 1), "version", "version"),
    "unless there": (lambda: Card.a.if_not_exists(Card.b + 1), "a", "computed in updates only"),
    "strict and a start": (lambda: Card.a.add(1, strict=True, start=1), "a", "not both"),
    "strict of a set": (lambda: Card.a.add({"x"}, strict=True), "a", "is for numbers"),
    "a start that is none": (lambda: Card.a.add(1, start="x"), "a", "is for numbers"),
    "a broken start": (lambda: Card.a.add(1, start=0.5), "a", "int"),
    "no list": (lambda: Card.tags.set(Card.tags.concat("xy")), "tags", "concat.. needs"),
    "nowhere": (lambda: Card.b + 1, None, "say where it goes"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_computed_is_refused_before_the_wire(db, key, wire, case):
    make, field, said = REFUSED[case]
    wire.clear()
    with pytest.raises(ValidationError, match=said) as caught:
        db.update(Kept if case == "the version" else Card, key, make())
    assert caught.value.field == field
    assert wire.calls == []


def test_a_condition_computes_nothing(db, key, wire):
    card = db.create(Card(id=key))
    wire.clear()
    for condition in (Card.b + 1, Card.a.in_([Card.b + 1]), Card.a.between(1, Card.b + 1)):
        with pytest.raises(ValidationError, match=r"computes? in updates only|computed in updates only"):
            db.update(card, Card.a.set(1), condition=condition)
    assert wire.calls == []


def test_a_unique_attribute_and_a_part_of_a_key_are_not_computed(db, key):
    ticket = db.create(Ticket(id=key, number=uuid.uuid4().int % 10**12))
    with pytest.raises(ValidationError, match=r"number is Unique"):
        db.update(ticket, Ticket.number.set(Ticket.other + 1))
    made = db.create(Made(id=key, year=2000))
    with pytest.raises(ValidationError, match="key"):
        db.update(made, Made.year.set(Made.next + 1))
    assert db.update(made, Made.next.set(Made.year + 1)).next == 2001  # to read a part of a key is no change of it


WHOLE = st.integers(-(10**12), 10**12)
LISTS = st.lists(st.text(max_size=2), max_size=3)


def test_any_sum_is_the_one_of_python(db):
    """The rule: what is stored afterwards is what Python computes of what a reader saw before."""

    @settings(
        max_examples=EXAMPLES, deadline=None, phases=[Phase.explicit, Phase.generate],
        suppress_health_check=[HealthCheck.too_slow],
    )  # fmt: skip
    @hypothesis_given(
        st.fixed_dictionaries({}, optional={"a": WHOLE, "b": WHOLE, "needed": WHOLE, "tags": LISTS, "more": LISTS}),
        st.sampled_from([operator.add, operator.sub]),
        st.sampled_from(["a", "b", "needed"]),
        st.sampled_from(["a", "b", "needed"]) | WHOLE,
        st.booleans(),
        st.sampled_from(["tags", "more"]),
        st.sampled_from(["tags", "more"]) | LISTS,
    )
    def check(values, compute, left, right, turned, first, second):
        key = uuid.uuid4().hex
        item = {"id": {"S": key}}
        for name, value in values.items():
            stored_name = "n" if name == "needed" else name
            item[stored_name] = {"L": [{"S": text} for text in value]} if isinstance(value, list) else {"N": str(value)}
        store(db, Card, item)
        seen = db.require(Card, key, consistent=True)

        def path(name):
            return getattr(Card, name) if isinstance(name, str) else name

        def held(name):
            return getattr(seen, name) if isinstance(name, str) else name

        sides = (right, left) if turned else (left, right)
        found = db.update(
            Card, key, Card.maybe.set(compute(*map(path, sides))), Card.none.set(path(first).concat(path(second)))
        )
        assert found.maybe == compute(*map(held, sides))
        assert found.none == held(first) + held(second)

    check()
