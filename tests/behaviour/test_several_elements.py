"""Several elements go into one list in one update, in the order in which they are given."""

import uuid

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import given as hypothesis_given
from hypothesis import strategies as st

from dynamorm import (
    AppendOnly,
    Attr,
    Mixin,
    Model,
    TransactionCancelled,
    ValidationError,
    attr,
    partition_key,
    version,
)
from dynamorm.errors import MissingItem, OutOfBounds
from tests.conftest import ENGINE

from .kit import store, stored

pytestmark = [pytest.mark.engine, pytest.mark.wide]
EXAMPLES = 40 if ENGINE == "local" else 15


class Line(Model):
    sku: Attr[str]
    notes: Attr[list[str]] = attr(default_factory=list)


class Lists(Mixin):
    id: Attr[str] = partition_key()
    tags: Attr[list[str]] = attr(default_factory=list)
    begun: Attr[list[str]] = attr(default_factory=lambda: ["a"])
    maybe: Attr[list[str] | None] = attr(default=None)
    short: Attr[list[str]] = attr(default_factory=list, max_length=3)
    least: Attr[list[str] | None] = attr(default=None, min_length=2)
    lines: Attr[list[Line]] = attr(default_factory=list)
    log: Attr[list[str]] = attr(AppendOnly(), default_factory=list)
    line: Attr[Line] = attr(default_factory=lambda: Line(sku="s"))


class Card(Lists, Model, table="cards"):
    pass


class Kept(Lists, Model, table="kept"):
    version: Attr[int] = version()


MODELS = [Card, Kept]


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


@pytest.mark.parametrize("model", MODELS)
def test_elements_come_in_the_order_of_the_updates(db, key, update, model):
    card = db.create(model(id=key, tags=["m"]))
    update(
        card,
        model.tags.append("n"),
        model.begun.prepend("z"),
        model.tags.extend(["o", "p"]),
        model.tags.append_or_create("q"),
        model.begun.prepend("y"),
        model.lines.extend([Line(sku="1"), Line(sku="2", notes=["x"])]),
        model.line[Line.notes].append("x"),
        model.line[Line.notes].append("y"),
    )
    found = db.require(model, key, consistent=True)
    assert found.tags == ["m", "n", "o", "p", "q"]
    assert found.begun == ["y", "z", "a"]
    assert found.lines == [Line(sku="1"), Line(sku="2", notes=["x"])]
    assert found.line.notes == ["x", "y"]


@pytest.mark.parametrize("model", MODELS)
def test_what_is_missing_begins_from_its_default(db, key, update, model):
    card = model(id=key)
    store(db, model, {"id": {"S": key}})
    update(card, model.begun.extend(["b", "c"]), model.maybe.append_or_create("x"), model.maybe.append("y"))
    found = db.require(model, key, consistent=True)
    assert (found.begun, found.maybe) == (["a", "b", "c"], ["x", "y"])


def test_the_first_says_whether_a_missing_list_is_made(db, key):
    store(db, Card, {"id": {"S": key}})
    with pytest.raises(ValidationError, match="maybe is not stored"):
        db.update(Card, key, Card.maybe.append("x"), Card.maybe.append_or_create("y"))
    assert db.update(Card, key, Card.maybe.extend_or_create([])).maybe == []
    assert db.update(Card, key, Card.maybe.extend([])).maybe == []


def test_an_append_only_list_takes_several_at_its_end(db, key):
    card = db.create(Card(id=key, log=["a"]))
    assert db.update(card, Card.log.extend(["b", "c"]), Card.log.append("d")).log == ["a", "b", "c", "d"]
    with pytest.raises(ValidationError, match=r"append-only: .*extend"):
        db.update(card, Card.log.append("e"), Card.log.prepend("z"))


@pytest.mark.parametrize("model", MODELS)
def test_the_length_that_all_of_them_make_is_bounded(db, key, update, model):
    card = db.create(model(id=key, short=["a"], least=["a", "b"]))
    with pytest.raises(OutOfBounds, match=r"short must have a length of at most 3"):
        update(card, model.short.extend(["b", "c"]), model.short.append("d"))
    card = db.require(model, key, consistent=True)
    update(card, model.short.append("b"), model.short.append("c"), model.least.extend([]))
    assert db.require(model, key, consistent=True).short == ["a", "b", "c"]


def test_too_few_elements_for_a_list_that_is_missing_are_refused(db, key):
    store(db, Card, {"id": {"S": key}})
    with pytest.raises(OutOfBounds, match="least"):
        db.update(Card, key, Card.least.append_or_create("a"))
    assert db.update(Card, key, Card.least.append_or_create("a"), Card.least.append("b")).least == ["a", "b"]


def test_other_changes_of_the_same_list_are_refused_as_before(db, key, wire):
    card = db.create(Card(id=key, tags=["a"]))
    wire.clear()
    for other in (Card.tags.set(["x"]), Card.tags.remove(), Card.tags[0].set("x")):
        with pytest.raises(ValidationError, match=r"named twice|lies inside"):
            db.update(card, Card.tags.append("b"), Card.tags.append("c"), other)
    with pytest.raises(ValidationError, match=r"tags: .*both of its ends.*make two updates"):
        db.update(card, Card.tags.append("b"), Card.tags.prepend("c"))
    assert wire.calls == []


def test_an_item_that_is_not_there_is_not_made(db, key):
    with pytest.raises(MissingItem):
        db.update(Card, key, Card.tags.append("a"), Card.tags.append("b"))
    assert stored(db, Card, key) is None


def test_they_are_one_request(db, key, wire):
    card = db.create(Kept(id=key))
    wire.clear()
    db.update(card, Kept.tags.append("a"), Kept.tags.append("b"), Kept.begun.prepend("c"))
    assert wire.names == ["UpdateItem"]
    assert card.tags == ["a", "b"]
    assert card.version == 1


TEXTS = st.text(max_size=3)
BEHIND = st.one_of(
    st.tuples(st.sampled_from(["append", "append_or_create"]), TEXTS),
    st.tuples(st.sampled_from(["extend", "extend_or_create"]), st.lists(TEXTS, max_size=3)),
)
IN_FRONT = st.tuples(st.just("prepend"), TEXTS)
CHANGES = st.one_of(*(st.lists(changes, min_size=1, max_size=5) for changes in (BEHIND, IN_FRONT)))


def as_a_list(before, changes):
    """What Python's own list holds after the same changes, one after the other; None where there is no list to change."""
    found = before
    for verb, value in changes:
        if found is None and not verb.endswith("_or_create"):
            return None
        found = list(found or ())
        if verb == "prepend":
            found.insert(0, value)
        else:
            found += value if verb.startswith("extend") else [value]
    return found


@pytest.mark.parametrize("name", ["tags", "maybe"])
def test_any_changes_leave_what_they_leave_of_a_list(db, name):
    """The rule: one update with several changes is as one update for each, in order."""

    @settings(
        max_examples=EXAMPLES, deadline=None, phases=[Phase.explicit, Phase.generate],
        suppress_health_check=[HealthCheck.too_slow],
    )  # fmt: skip
    @hypothesis_given(st.none() | st.lists(TEXTS, max_size=3), CHANGES)
    def check(before, changes):
        key = uuid.uuid4().hex
        path = getattr(Card, name)
        item = {"id": {"S": key}}
        if before is not None:
            item[name] = {"L": [{"S": text} for text in before]}
        store(db, Card, item)
        start = [] if before is None and name == "tags" else before
        wanted = as_a_list(start, changes)
        updates = [getattr(path, verb)(value) for verb, value in changes]
        if wanted is None:
            with pytest.raises(ValidationError, match="is not stored"):
                db.update(Card, key, *updates)
            assert stored(db, Card, key) == item
        else:
            assert getattr(db.update(Card, key, *updates), name) == wanted

    check()
