"""What an upsert makes can be read: defaults and what an object holds go along, what must be there is asked for."""

from datetime import datetime
from typing import Any

import pytest

from dynamorm import (
    Attr,
    ConditionFailed,
    Model,
    TransactionCancelled,
    Unique,
    ValidationError,
    attr,
    composite,
    created_at,
    gsi,
    partition_key,
    sort_key,
    updated_at,
    version,
)
from dynamorm.errors import DuplicateKey, Outcome, OutOfBounds

from .kit import store, stored

pytestmark = pytest.mark.engine


class Wallet(Model, table="wallets"):
    id: Attr[str] = partition_key()
    owner: Attr[str]
    credit: Attr[int] = attr(default=100, name="c")
    limit: Attr[int] = attr(default=0)
    tags: Attr[list[str]] = attr(default_factory=list)
    note: Attr[str | None] = attr(default=None)
    plan: Attr[str | None] = attr(default="basic")
    marks: Attr[set[str]] = attr(default_factory=set)
    label: Attr[str] = attr(default="", omit_empty=True)
    secret: Attr[str] = attr(default="s", secret=True)


class Odd(Model, table="odd"):
    id: Attr[str] = partition_key()
    n: Attr[int] = attr(default=0)
    code: Attr[str] = attr(default="", min_length=3)


class Versioned(Model, table="versioned"):
    shop: Attr[str] = partition_key()
    item: Attr[str] = sort_key()
    owner: Attr[str]
    kind: Attr[str]
    count: Attr[int] = attr(default=1)
    made: Attr[datetime] = created_at()
    changed: Attr[datetime] = updated_at()
    version: Attr[int] = version()


class Party(Model, table="parties", discriminator="kind"):
    id: Attr[str] = partition_key()
    n: Attr[int] = attr(default=0)
    note: Attr[str] = attr(default="n")


class Customer(Party):
    email: Attr[str]
    rank: Attr[int] = attr(default=3)


class Kept(Model, table="kept"):
    id: Attr[str] = partition_key()
    n: Attr[int] = attr(default=0)
    owner: Attr[str] = attr(immutable=True)
    status: Attr[str] = attr(default="open", protected=True)
    receipt: Attr[str | None] = attr(default=None, write_once=True)
    source: Attr[str] = attr(default="web", write_once=True)


class Indexed(Model, table="indexed"):
    pk: Attr[str] = partition_key(composite("tenant", "number"))
    tenant: Attr[str]
    number: Attr[str]
    n: Attr[int] = attr(default=0)
    status: Attr[str] = attr(default="open")
    level: Attr[int] = attr(default=1)
    due: Attr[str | None] = attr(default=None)
    plain: Attr[str] = attr(default="p")
    by_level_key: Attr[str] = attr(composite("{status}#{level:03d}"))
    due_key: Attr[str] = attr(composite("due", "number"))
    by_level = gsi("by-level", partition="plain", sort="by_level_key")
    by_due = gsi("by-due", partition="due_key")


class User(Model, table="users"):
    id: Attr[str] = partition_key()
    email: Attr[str] = attr(Unique())
    nick: Attr[str | None] = attr(Unique(), default=None)
    n: Attr[int] = attr(default=0)


class Named(Model, table="named"):
    id: Attr[str] = partition_key()
    n: Attr[int] = attr(default=0)
    title: Attr[str] = attr(default="none", also_read=("Title", "TITLE"))


class Size(Model):
    width: Attr[int]
    height: Attr[int] = attr(default=1)


class Basket(Model, table="baskets"):
    id: Attr[str] = partition_key()
    tags: Attr[list[str]] = attr(default_factory=list, max_length=3)
    marks: Attr[set[str]] = attr(default_factory=set)
    counts: Attr[dict[str, int]] = attr(default_factory=dict)
    size: Attr[Size]


MODELS = [Basket, Wallet, Odd, Versioned, Party, Kept, Indexed, User, Named]


def in_transaction(db, model, *args, **how):
    """An upsert in a transaction, and the item as it is afterwards."""
    with db.transaction() as tx:
        tx.update(model, *args, upsert=True, **how)


WAYS: dict[str, Any] = {
    "upsert": lambda db, *args, **how: db.upsert(*args, **how),
    "update": lambda db, *args, **how: db.update(*args, upsert=True, **how),
    "transaction": in_transaction,
}


@pytest.fixture(params=WAYS)
def upsert(request, db):
    """Every verb that makes an item by updates."""
    return lambda *args, **how: WAYS[request.param](db, *args, **how)


def test_defaults_go_along(db, key, upsert):
    upsert(Wallet, key, Wallet.owner.set("ann"), Wallet.limit.set(7))
    assert db.get(Wallet, key, consistent=True) == Wallet(id=key, owner="ann", limit=7)
    created = db.create(Wallet(id=f"{key}-2", owner="ann", limit=7))
    made, other = stored(db, Wallet, key), stored(db, Wallet, created.id)
    del made["id"], other["id"], other["_wt"]
    assert made == other


def test_an_item_that_is_there_keeps_what_it_has(db, key, upsert):
    db.create(Wallet(id=key, owner="bob", credit=5, tags=["a"], note="x", plan=None, label="l", marks={"m"}))
    before = stored(db, Wallet, key)
    upsert(Wallet, key, Wallet.owner.set("ann"))
    assert stored(db, Wallet, key) == {**before, "owner": {"S": "ann"}}


def test_what_must_be_there_is_asked_for_before_anything_is_sent(wire, db, key, upsert):
    with pytest.raises(ValidationError) as caught:
        upsert(Wallet, key, Wallet.credit.add(1))
    assert caught.value.field == "owner"
    assert caught.value.outcome is Outcome.NOT_APPLIED
    for words in ("Wallet.owner", "Wallet.owner.set(", "db.upsert(Wallet(", "default"):
        assert words in str(caught.value)
    with pytest.raises(ValidationError) as caught:
        upsert(Versioned, key, "a", Versioned.count.add(1))
    assert "Versioned.owner and Versioned.kind" in str(caught.value)
    assert wire.names == []


def test_what_must_be_there_may_be_named_by_any_change_that_leaves_a_value(db, key, upsert):
    upsert(Wallet, key, Wallet.owner.if_not_exists("ann"))
    assert db.require(Wallet, key, consistent=True).owner == "ann"


def test_an_object_gives_what_it_holds(db, key, upsert):
    upsert(Wallet(id=key, owner="ann", limit=3, tags=["t"], note="n", secret="hidden"), Wallet.credit.set(9))
    found = db.require(Wallet, key, consistent=True)
    assert found == Wallet(id=key, owner="ann", credit=9, limit=3, tags=["t"], note="n", secret="hidden")
    upsert(Wallet(id=key, owner="eve", limit=4, tags=["u"], note="o"), Wallet.credit.set(8))
    found.credit = 8
    assert db.require(Wallet, key, consistent=True) == found


def test_a_number_is_added_to_what_the_object_holds(db, key, upsert):
    upsert(Wallet(id=key, owner="ann", credit=50), Wallet.credit.add(5))
    assert db.require(Wallet, key, consistent=True).credit == 55
    upsert(Wallet(id=key, owner="ann", credit=1000), Wallet.credit.add(5))
    assert db.require(Wallet, key, consistent=True).credit == 60


GROWING = {
    "append": (Basket.tags.append("b"), {"tags": ["a", "b"]}),
    "prepend": (Basket.tags.prepend("b"), {"tags": ["b", "a"]}),
    "append or create": (Basket.tags.append_or_create("b"), {"tags": ["a", "b"]}),
    "add to a set": (Basket.marks.add({"n"}), {"marks": {"m", "n"}}),
    "delete from a set": (Basket.marks.delete({"m"}), {"marks": set()}),
    "entry": (Basket.counts["y"].set(2), {"counts": {"x": 1, "y": 2}}),
    "entry added to": (Basket.counts["x"].add(2), {"counts": {"x": 3}}),
    "inside": (Basket.size[Size.width].set(7), {"size": Size(width=7, height=6)}),
    "inside, added to": (Basket.size[Size.width].add(1), {"size": Size(width=6, height=6)}),
}


@pytest.mark.parametrize("case", GROWING)
def test_what_grows_begins_from_what_the_object_holds(db, key, upsert, case):
    update, after = GROWING[case]
    held = {"tags": ["a"], "marks": {"m"}, "counts": {"x": 1}, "size": Size(width=5, height=6)}
    upsert(Basket(id=key, **held), update)
    assert db.require(Basket, key, consistent=True) == Basket(id=key, **(held | after))
    upsert(Basket(id=key, tags=["z"], marks={"z"}, counts={"z": 1}, size=Size(width=50, height=60)), update)
    again = db.require(Basket, key, consistent=True)
    assert "z" not in (*again.tags, *again.marks, *again.counts)
    assert again.size.height == 6


@pytest.mark.parametrize(
    ("update", "after"),
    [
        (Wallet.limit.set(Wallet.credit), {"limit": 50, "credit": 50}),
        (Wallet.note.if_not_exists(Wallet.owner), {"note": "ann", "owner": "ann"}),
        (Wallet.note.set(Wallet.owner), {"note": "ann", "owner": "ann"}),
    ],
    ids=["a default", "what is required, where there is nothing", "what is required"],
)
def test_what_is_taken_over_of_another_attribute_is_what_the_object_holds(db, key, upsert, update, after):
    upsert(Wallet(id=key, owner="ann", credit=50), update)
    wallet = db.require(Wallet, key)
    assert {name: getattr(wallet, name) for name in after} == after
    upsert(Wallet(id=key, owner="eve", credit=7), Wallet.limit.set(Wallet.credit))
    assert db.require(Wallet, key).limit == 50  # of the item that is there


def test_a_bound_is_one_of_what_the_object_holds(db, key, upsert):
    with pytest.raises((OutOfBounds, TransactionCancelled)):
        upsert(Basket(id=key, tags=["a", "b", "c"], size=Size(width=1)), Basket.tags.append("d"))
    assert db.get(Basket, key, consistent=True) is None
    upsert(Basket(id=key, tags=["a", "b"], size=Size(width=1)), Basket.tags.append("d"))
    assert db.require(Basket, key, consistent=True).tags == ["a", "b", "d"]


def test_an_object_that_cannot_be_stored_is_refused(wire, key, upsert):
    wallet = Wallet(id=key, owner="ann")
    wallet.owner = None
    with pytest.raises(ValidationError) as caught:
        upsert(wallet, Wallet.credit.set(9))
    assert caught.value.field == "owner"
    assert wire.names == []


def test_a_loaded_object_without_a_version_is_made_again_whole(db, key, upsert):
    wallet = db.create(Wallet(id=key, owner="ann", limit=4, note="n"))
    db.delete(Wallet, key)
    upsert(wallet, Wallet.credit.set(1))
    assert db.require(Wallet, key, consistent=True) == Wallet(id=key, owner="ann", limit=4, note="n", credit=1)


def test_version_and_times_are_those_of_a_new_item(db, key, upsert):
    upsert(Versioned(shop=key, item="a", owner="o", kind="k"), Versioned.count.set(2))
    first = db.require(Versioned, key, "a", consistent=True)
    assert (first.version, first.count, first.owner, first.kind) == (0, 2, "o", "k")
    assert first.made == first.changed
    upsert(Versioned, key, "a", Versioned.owner.set("p"), Versioned.kind.set("l"))
    second = db.require(Versioned, key, "a", consistent=True)
    assert (second.version, second.count, second.made, second.owner) == (1, 2, first.made, "p")


def test_a_loaded_object_with_a_version_still_needs_its_item(db, wire, key, upsert):
    one = db.create(Versioned(shop=key, item="a", owner="o", kind="k"))
    db.delete(Versioned, key, "a")
    with pytest.raises(Exception) as caught:
        upsert(one, Versioned.count.set(2))
    assert getattr(caught.value, "outcome", None) is Outcome.NOT_APPLIED
    assert stored(db, Versioned, key, "a") is None


def test_the_class_goes_along_with_the_defaults_of_the_class(db, key, upsert):
    upsert(Customer, key, Customer.email.set("e"))
    found = db.require(Party, key, consistent=True)
    assert type(found) is Customer
    assert (found.email, found.rank, found.note) == ("e", 3, "n")
    assert stored(db, Party, key)["rank"] == {"N": "3"}
    upsert(Party, key, Party.n.add(2))
    assert stored(db, Party, key)["kind"] == {"S": "Customer"}


def test_attributes_that_keep_their_value_go_along(db, key, upsert, wire):
    with pytest.raises(ValidationError) as caught:
        upsert(Kept, key, Kept.n.add(1))
    assert "db.upsert(Kept(" in str(caught.value)
    assert "Kept.owner.set" not in str(caught.value)  # which is refused too
    assert wire.names == []
    upsert(Kept(id=key, owner="ann", receipt="r"), Kept.n.set(1))
    item = stored(db, Kept, key)
    assert (item["owner"], item["status"], item["source"]) == ({"S": "ann"}, {"S": "open"}, {"S": "web"})
    upsert(Kept(id=key, owner="eve", status="paid", source="app", receipt="x"), Kept.n.set(2))
    assert stored(db, Kept, key) == {**item, "n": {"N": "2"}}


def test_a_new_item_is_in_its_indexes(db, key, upsert):
    upsert(Indexed, Indexed.n.add(1), tenant=key, number="7")
    item = stored(db, Indexed, f"{key}#7")
    assert item["by_level_key"] == {"S": "open#001"}
    assert item["plain"] == {"S": "p"}
    assert "due_key" not in item
    found = db.model(Indexed).where(Indexed.plain == "p").where(Indexed.status == "open").all()
    assert key in {one.tenant for one in found}
    upsert(Indexed(tenant=key, number="8", level=12, due="d"), Indexed.n.add(1))
    item = stored(db, Indexed, f"{key}#8")
    assert (item["by_level_key"], item["due_key"]) == ({"S": "open#012"}, {"S": "d#8"})


def test_the_index_keys_of_an_item_that_is_there_stay(db, key, upsert):
    db.create(Indexed(tenant=key, number="7", status="held", level=2))
    upsert(Indexed, Indexed.n.add(1), tenant=key, number="7")
    item = stored(db, Indexed, f"{key}#7")
    assert (item["by_level_key"], item["status"], item["n"]) == ({"S": "held#002"}, {"S": "held"}, {"N": "1"})


def test_an_index_key_is_never_made_of_what_is_not_stored(db, key):
    db.create(Indexed(tenant=key, number="7", status="held", level=2))
    db.update(Indexed, Indexed.status.set("held"), Indexed.level.set(2), tenant=key, number="7")
    item = stored(db, Indexed, f"{key}#7")
    del item["by_level_key"]  # as an item from before there was the index
    store(db, Indexed, item)
    with pytest.raises(ConditionFailed) as caught:
        db.upsert(Indexed, Indexed.n.add(1), tenant=key, number="7")
    for words in ("by_level_key", "load the object", "status and level"):
        assert words in str(caught.value)
    assert stored(db, Indexed, f"{key}#7") == item


def test_unique_attributes_go_along_with_their_guards(db, key):
    db.upsert(User(id=key, email=f"{key}@x", nick=key), User.n.add(1))
    assert db.find_by_unique(User, email=f"{key}@x").id == key
    assert db.find_by_unique(User, nick=key).n == 1
    with pytest.raises(DuplicateKey):
        db.upsert(User(id=f"{key}-2", email=f"{key}@x"), User.n.add(1))
    assert stored(db, User, f"{key}-2") is None
    assert db.upsert(User(id=key, email=f"{key}@y"), User.n.add(1)).email == f"{key}@x"
    assert db.find_by_unique(User, email=f"{key}@y") is None
    with pytest.raises(ValidationError):
        db.upsert(User, key, User.n.add(1))
    assert db.upsert(User, f"{key}-3", User.email.set(f"{key}@3")).n == 0


def test_a_value_under_another_name_stays_what_is_read(db, key, upsert):
    upsert(Named, f"{key}-2", Named.n.add(1))
    assert stored(db, Named, f"{key}-2")["title"] == {"S": "none"}
    store(db, Named, {"id": {"S": key}, "TITLE": {"S": "old"}})
    upsert(Named, key, Named.n.add(1))
    assert db.require(Named, key, consistent=True).title == "old"


def test_an_increment_makes_items_that_can_be_read(db, wire, key):
    with pytest.raises(ValidationError) as caught:
        db.increment(Wallet, key, Wallet.limit, upsert=True)
    assert caught.value.field == "owner"
    assert wire.names == []
    wallet = Wallet(id=key, owner="ann", limit=5, note="n")
    assert db.increment(wallet, Wallet.limit, by=2, upsert=True) == 7
    assert db.require(Wallet, key, consistent=True) == Wallet(id=key, owner="ann", limit=7, note="n")
    assert db.increment(Kept(id=key, owner="ann"), Kept.n, upsert=True) == 1
    assert stored(db, Kept, key)["status"] == {"S": "open"}
    user = User(id=f"{key}-i", email=f"{key}@i")
    assert db.increment(user, User.n, upsert=True) == 1
    assert db.find_by_unique(User, email=f"{key}@i").n == 1


def test_a_default_that_may_not_be_stored_is_left_out(db, key, upsert):
    upsert(Odd, key, Odd.n.add(1))
    assert set(stored(db, Odd, key)) == {"id", "n"}
    assert db.require(Odd, key, consistent=True).code == ""
