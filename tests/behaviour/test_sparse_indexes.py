"""Indexes that hold the items alone for which a condition holds: by every write, and never by a write that cannot know."""

from decimal import Decimal
from enum import Enum

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dynamorm import (
    Attr,
    ConditionFailed,
    Model,
    ValidationError,
    VersionConflict,
    attr,
    composite,
    gsi,
    partition_key,
    version,
)

from .kit import stored

pytestmark = pytest.mark.engine


class State(Enum):
    OPEN = "open"
    HELD = "held"
    DONE = "done"


class Order(Model, table="orders"):
    id: Attr[str] = partition_key()
    shop: Attr[str] = attr(default="s")
    state: Attr[State] = attr(default=State.OPEN)
    total: Attr[Decimal] = attr(default=Decimal(10))
    note: Attr[str | None] = attr(default=None)
    version: Attr[int] = version()
    open_pk: Attr[str | None] = attr(composite("OPEN#{shop}"), init=False)
    open_sk: Attr[str | None] = attr(composite("{total:number}"), init=False)
    large_pk: Attr[str | None] = attr(composite("LARGE#{shop}"), init=False)
    open_orders = gsi("open-orders", partition="open_pk", sort="open_sk", only_if={"state": (State.OPEN, State.HELD)})
    large = gsi("large", partition="large_pk", sort="id", only_if={"total": lambda total: total > 100, "note": None})


class Loose(Model, table="loose"):
    """Without a version."""

    id: Attr[str] = partition_key()
    group: Attr[str] = attr(default="g")
    live: Attr[bool] = attr(default=True)
    live_pk: Attr[str | None] = attr(composite("group"), init=False)
    by_live = gsi("by-live", partition="live_pk", only_if={"live": True})


MODELS = [Order, Loose]


def keys(db, key):
    item = stored(db, Order, key)
    return {name for name in ("open_pk", "open_sk", "large_pk") if name in item}


def is_right(db, key):
    """Whether what is stored of the keys is what the stored item says, by a rule written once more."""
    item = stored(db, Order, key)
    wanted = set()
    if item.get("state", {"S": "open"})["S"] in {"open", "held"}:
        wanted |= {"open_pk", "open_sk"}
    if Decimal(item.get("total", {"N": "10"})["N"]) > 100 and "note" not in item:
        wanted.add("large_pk")
    return keys(db, key) == wanted


def test_a_new_item_is_in_the_indexes_whose_condition_holds(db, key):
    db.create(Order(id=f"{key}a", shop=key))
    db.put(Order(id=f"{key}b", shop=key, state=State.DONE, total=Decimal(500)))
    assert not db.batch_write(puts=[Order(id=f"{key}c", shop=key, total=Decimal(101), note="x")]).failed
    with db.transaction() as tx:
        tx.create(Order(id=f"{key}d", shop=key, state=State.HELD, total=Decimal(-5)))
    assert [one.id for one in db.model(Order).where(Order.shop == key).index("open-orders").all()] == [
        f"{key}d",
        f"{key}a",
        f"{key}c",
    ]
    assert [one.id for one in db.model(Order).where(Order.shop == key).index("large").all()] == [f"{key}b"]
    assert all(is_right(db, f"{key}{one}") for one in "abcd")


def test_saves_move_items_in_and_out(db, key):
    order = db.create(Order(id=key))
    assert keys(db, key) == {"open_pk", "open_sk"}
    order.state = State.DONE
    db.save(order)
    assert keys(db, key) == set()
    order.total = Decimal(200)
    db.save(order)
    assert keys(db, key) == {"large_pk"}
    order.state, order.note = State.HELD, "x"
    db.save(order)
    assert keys(db, key) == {"open_pk", "open_sk"}
    order.shop = "t"
    db.put(order)
    assert stored(db, Order, key)["open_pk"] == {"S": "OPEN#t"}


def test_updates_of_loaded_objects_keep_the_keys_right(db, key):
    order = db.create(Order(id=key))
    db.update(order, Order.state.set(State.DONE))
    assert keys(db, key) == set()
    db.update(order, Order.state.set(State.OPEN), Order.total.set(Decimal(300)))
    assert keys(db, key) == {"open_pk", "open_sk", "large_pk"}
    db.update(order, Order.note.set("x"))
    assert keys(db, key) == {"open_pk", "open_sk"}
    db.update(order, Order.note.remove())
    assert keys(db, key) == {"open_pk", "open_sk", "large_pk"}
    with db.transaction() as tx:
        tx.update(order, Order.state.set(State.DONE))
    assert is_right(db, key)


def test_an_update_by_key_takes_an_item_out_and_puts_none_in_that_it_does_not_know(db, key):
    db.create(Order(id=key))
    db.update(Order, key, Order.state.set(State.DONE))
    assert keys(db, key) == set()
    for change in (Order.state.set(State.OPEN), Order.total.set(Decimal(500)), Order.shop.set("t")):
        with pytest.raises(ValidationError, match="load the object") as caught:
            db.update(Order, key, change)
        assert "open" not in str(caught.value).replace("open_", "")
    with pytest.raises(ValidationError, match=r"\.set\(value\)"):
        db.update(Order, key, Order.total.add(5))
    db.update(
        Order, key, Order.state.set(State.OPEN), Order.shop.set("t"), Order.total.set(Decimal(500)), Order.note.set("x")
    )
    assert stored(db, Order, key)["open_pk"] == {"S": "OPEN#t"}
    assert is_right(db, key)


def test_an_upsert_makes_what_a_create_makes_and_is_refused_where_it_cannot_know(db, key):

    db.upsert(Order(id=key), Order.note.set("x"))
    assert keys(db, key) == {"open_pk", "open_sk"}
    db.upsert(Order(id=key), Order.note.set("y"))
    assert is_right(db, key)
    db.update(Order, key, Order.state.set(State.DONE))
    with pytest.raises(ConditionFailed, match="load the object"):
        db.upsert(Order(id=key), Order.note.set("z"))
    assert is_right(db, key)


def test_without_a_version_what_is_relied_on_is_a_condition(db, key):

    first = db.put(Loose(id=key))
    stale = db.get(Loose, key)
    db.update(first, Loose.live.set(False))
    assert "live_pk" not in stored(db, Loose, key)
    with pytest.raises(VersionConflict):
        db.update(stale, Loose.group.set("h"))
    assert "live_pk" not in stored(db, Loose, key)
    db.update(Loose, key, Loose.live.set(True), Loose.group.set("h"))
    assert stored(db, Loose, key)["live_pk"] == {"S": "h"}


def test_a_sparse_index_answers_only_who_names_it(db, key):
    db.create(Order(id=key, shop=key))
    with pytest.raises(ValidationError, match=r"only_if says.*\.index\('open-orders'\)"):
        db.model(Order).where(Order.shop == key).all()
    assert len(db.model(Order).where(Order.shop == key).index(Order.open_orders).all()) == 1


def test_an_object_tells_its_keys(db, key):
    order = Order(id=key)
    assert (order.open_pk, order.large_pk) == ("OPEN#s", None)
    order.state, order.total = State.DONE, Decimal(101)
    assert (order.open_pk, order.open_sk, order.large_pk) == (None, None, "LARGE#s")


CHANGES = st.lists(
    st.tuples(
        st.sampled_from(["save", "update", "key", "put"]),
        st.dictionaries(st.sampled_from(["state", "total", "note", "shop"]), st.integers(0, 2), min_size=1),
    ),
    max_size=6,
)
VALUES = {
    "state": list(State), "total": [Decimal(1), Decimal(101), Decimal("-7.5")], "note": [None, "x", "y"], "shop": ["a", "b", "a"],
}  # fmt: skip


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(CHANGES)
def test_whatever_is_written_the_keys_are_those_of_what_is_stored(db, key, changes):
    order = db.put(Order(id=key))
    for how, values in changes:
        wanted = {name: VALUES[name][number] for name, number in values.items()}
        if how in {"save", "put"}:
            for name, value in wanted.items():
                setattr(order, name, value)
            getattr(db, how)(order)
        else:
            sets = [getattr(Order, name).set(value) for name, value in wanted.items()]
            try:
                db.update(*((order,) if how == "update" else (Order, key)), *sets)
            except ValidationError:
                assert how == "key"
            order = db.require(Order, key)
        assert is_right(db, key)
        assert db.require(Order, key) == order
