"""refresh, patch, save_all and populate: what is done with objects that a program has, on both faces."""

from decimal import Decimal

import pydantic
import pytest

from dynamorm import Attr, Compressed, Model, attr, composite, partition_key, sort_key, version
from dynamorm.adapters import register
from dynamorm.errors import (
    AlreadyExists,
    ConditionFailed,
    MissingItem,
    ModelError,
    NotFound,
    TransactionCancelled,
    ValidationError,
    VersionConflict,
)

from .kit import change, stored

pytestmark = pytest.mark.engine


class Address(Model):
    city: Attr[str]
    zip: Attr[str | None] = attr(default=None)


class Order(Model, table="orders"):
    id: Attr[str] = partition_key()
    customer_id: Attr[str | None] = attr(default=None)
    amount: Attr[Decimal] = attr(default=Decimal(0))
    note: Attr[str | None] = attr(default=None, name="n")
    tags: Attr[dict[str, int]] = attr(default_factory=dict)
    address: Attr[Address | None] = attr(default=None)
    version: Attr[int] = version()


class Customer(Model, table="customers"):
    id: Attr[str] = partition_key()
    name: Attr[str]


class Line(Model, table="lines"):
    order: Attr[str] = partition_key()
    number: Attr[int] = sort_key()
    text: Attr[str] = attr(default="")


class Use(Model, table="uses"):
    id: Attr[str] = partition_key()
    order: Attr[str]
    number: Attr[int]


class Entry(Model, table="entries"):
    pk: Attr[str] = partition_key(composite("shop", "day"))
    shop: Attr[str]
    day: Attr[str]
    total: Attr[int] = attr(default=0)


class Event(Model, table="events", discriminator="kind"):
    id: Attr[str] = partition_key()


class Paid(Event, tag="paid"):
    amount: Attr[int]


class Person(pydantic.BaseModel):
    id: str
    name: str
    points: int | None = None
    nick: str | None = None


register(Person, table="people", partition="id")


class PersonChange(pydantic.BaseModel):
    name: str = ""
    points: int | None = None
    nick: str | None = None


MODELS = [Order, Customer, Line, Use, Entry, Event, Person]


# refresh


def test_refresh_takes_over_what_is_stored_and_keeps_the_object(db, wire, key):
    order = db.create(Order(id=key, note="first"))
    db.update(Order, key, Order.note.set("second"), Order.amount.add(5))
    order.note = "lost"
    wire.clear()
    assert db.refresh(order) is order
    assert (order.note, order.amount, order.version) == ("second", 5, 1)
    ((name, request),) = wire.calls
    assert name == "GetItem"
    assert request["ConsistentRead"] is True
    order.note = "third"
    db.save(order)  # under the version that was read
    assert db.get(Order, key).note == "third"


def test_refresh_of_an_item_that_is_gone_is_not_found_and_leaves_the_object(db, key):
    order = db.create(Order(id=key, note="first"))
    db.delete(Order, key)
    order.note = "kept"
    with pytest.raises(NotFound):
        db.refresh(order)
    assert (order.note, order.version) == ("kept", 0)


def test_refresh_makes_a_loaded_object_of_a_new_one(db, key):
    db.create(Order(id=key, note="stored"))
    order = Order(id=key)
    db.refresh(order)
    order.amount = Decimal(3)
    db.save(order)
    assert (db.get(Order, key).amount, db.get(Order, key).note) == (3, "stored")


def test_refresh_keeps_what_the_model_does_not_know(db, key):
    order = db.create(Order(id=key))
    change(db, Order, (key,), "SET extra = :v", v={"S": "x"})
    db.refresh(order)
    order.note = "changed"
    db.put(order)
    assert stored(db, Order, key)["extra"] == {"S": "x"}


def test_refresh_goes_by_the_key_under_which_the_object_was_loaded(db, key):
    entry = db.create(Entry(shop=f"{key}#", day="1"))
    db.update(Entry, Entry.total.set(4), shop=f"{key}#", day="1")
    assert db.refresh(entry).total == 4
    entry.shop = "other"
    with pytest.raises(ValidationError, match="shop"):
        db.refresh(entry)


def test_refresh_of_a_class_of_a_family_and_of_another_library_s_class(db, key):
    paid = db.create(Paid(id=key, amount=1))
    db.update(Paid, key, Paid.amount.set(2))
    assert db.refresh(paid).amount == 2
    event = Event(id=key)
    with pytest.raises(ValidationError, match=r"is a Paid now: read it with db\.get"):
        db.refresh(event)
    person = db.create(Person(id=key, name="a"))
    db.patch(Person, key, {"name": "b"})
    assert db.refresh(person) is person
    assert person.name == "b"


# patch


def test_patch_sets_what_the_mapping_names_and_nothing_else(db, wire, key):
    db.create(Order(id=key, note="first", customer_id="c1"))
    wire.clear()
    order = db.patch(Order, key, {"amount": Decimal(7), "note": "second"})
    assert (order.amount, order.note, order.customer_id, order.version) == (7, "second", "c1", 1)
    sent = list(wire.names)
    wire.clear()
    db.update(Order, key, Order.amount.set(Decimal(8)), Order.note.set("third"))
    assert sent == wire.names  # the requests are those of an update


def test_patch_to_none_stores_what_create_stores_for_none(db, key):
    db.create(Order(id=key, note="first"))
    assert db.patch(Order, key, {"note": None}).note is None
    assert "n" not in stored(db, Order, key)


def test_patch_of_a_loaded_object_checks_its_version_and_refreshes_it(db, key):
    order = db.create(Order(id=key))
    late = db.get(Order, key)
    assert db.patch(order, {"note": "mine"}) is order
    assert (order.note, order.version) == ("mine", 1)
    with pytest.raises(VersionConflict):
        db.patch(late, {"note": "theirs"})
    assert db.get(Order, key).note == "mine"


def test_patch_of_a_missing_item_makes_none(db, key):
    with pytest.raises(MissingItem):
        db.patch(Order, key, {"note": "x"})
    assert db.get(Order, key) is None


def test_a_mapping_for_an_object_changes_inside_it_and_one_for_a_dict_replaces_it(db, key):
    db.create(Order(id=key, address=Address(city="Riga", zip="1"), tags={"a": 1, "b": 2}))
    order = db.patch(Order, key, {"address": {"zip": "2"}, "tags": {"c": 3}})
    assert (order.address.city, order.address.zip, order.tags) == ("Riga", "2", {"c": 3})
    order = db.patch(Order, key, {"address": Address(city="Oslo")})
    assert (order.address.city, order.address.zip) == ("Oslo", None)
    assert db.patch(Order, key, {"address": None}).address is None


def test_patch_by_the_parts_of_a_key_and_by_both_of_its_attributes(db, key):
    db.create(Entry(shop=key, day="1"))
    assert db.patch(Entry, {"total": 3}, shop=key, day="1").total == 3
    db.create(Line(order=key, number=2))
    assert db.patch(Line, key, 2, {"text": "x"}).text == "x"


def test_patch_takes_a_condition(db, key):
    db.create(Order(id=key, amount=Decimal(1)))
    with pytest.raises(ConditionFailed):
        db.patch(Order, key, {"note": "x"}, condition=Order.amount > 5)
    assert db.patch(Order, key, {"note": "x"}, condition=Order.amount < 5).note == "x"


def test_patch_takes_what_pydantic_says_was_set(db, key):
    db.create(Person(id=key, name="Ann", points=3, nick="a"))
    body = PersonChange.model_validate({"points": 4, "nick": None})
    person = db.patch(Person, key, body.model_dump(exclude_unset=True))
    assert (person.name, person.points, person.nick) == ("Ann", 4, None)


def test_patch_in_a_transaction(db, key):
    order = db.create(Order(id=key))
    db.create(Line(order=key, number=1))
    with db.transaction() as tx:
        tx.patch(order, {"note": "both"})
        tx.patch(Line, key, 1, {"text": "both"})
    assert (order.note, order.version) == ("both", 1)
    assert db.get(Line, key, 1).text == "both"

    def two():
        with db.transaction() as tx:
            tx.patch(Line, key, 1, {"text": "none"})
            tx.patch(Line, key, 9, {"text": "none"}, label="missing")

    with pytest.raises(TransactionCancelled):
        two()
    assert db.get(Line, key, 1).text == "both"


# save_all


def test_save_all_creates_new_objects_and_writes_what_changed_of_loaded_ones(db, wire, key):
    loaded = [db.create(Order(id=f"{key}-{at}")) for at in range(3)]
    loaded[0].note, loaded[1].amount = "changed", Decimal(4)
    new = Customer(id=key, name="Ann")
    wire.clear()
    result = db.save_all([*loaded, new], concurrency=2)
    assert result.ok
    assert (result.count, result.written) == (4, [*loaded, new])
    assert sorted(wire.names) == ["PutItem", "UpdateItem", "UpdateItem"]  # nothing for what was not changed
    assert [one.version for one in loaded] == [1, 1, 0]
    assert (db.get(Order, f"{key}-0").note, db.get(Customer, key).name) == ("changed", "Ann")


def test_save_all_says_of_each_what_became_of_it(db, key):
    stale, good = db.create(Order(id=f"{key}-a")), db.create(Order(id=f"{key}-b"))
    db.patch(Order, f"{key}-a", {"note": "theirs"})
    stale.note = good.note = "mine"
    taken = Customer(id=key, name="new")
    db.create(Customer(id=key, name="old"))
    wrong = Order(id=f"{key}-c", note="x" * 500_000)
    result = db.save_all([stale, good, taken, wrong])
    assert not result
    assert result.written == [good]
    assert [failure.item for failure in result.failed] == [stale, taken, wrong]
    assert [type(failure.error) for failure in result.failed][:2] == [VersionConflict, AlreadyExists]
    assert result.failed[2].error.code
    assert db.get(Order, f"{key}-a").note == "theirs"
    assert db.get(Customer, key).name == "old"


def test_save_all_of_nothing_sends_nothing(db, wire):
    assert db.save_all([]).ok
    assert wire.calls == []


# populate


def test_populate_reads_each_reference_once_and_tells_what_is_missing(db, wire, key):
    for name in "ab":
        db.create(Customer(id=f"{key}-{name}", name=name))
    ends = ["a", "b", "a", "gone", None]
    orders = [Order(id=str(at), customer_id=end and f"{key}-{end}") for at, end in enumerate(ends)]
    wire.clear()
    customers = db.populate(iter(orders), Order.customer_id, Customer)
    assert [found and found.name for found in map(customers.get, orders)] == ["a", "b", "a", None, None]
    assert customers[orders[0]] is customers[orders[2]]
    assert customers.missing == [orders[3]]
    assert (len(customers), orders[1] in customers, orders[3] in customers) == (3, True, False)
    with pytest.raises(NotFound):
        customers[orders[3]]
    ((name, body),) = wire.calls
    assert name == "BatchGetItem"
    (asked,) = body["RequestItems"].values()
    assert len(asked["Keys"]) == 3


def test_populate_of_keys_of_two_attributes_and_by_the_parts_of_composite_keys(db, key):
    db.create(Line(order=key, number=1, text="one"))
    db.create(Entry(shop=key, day="1", total=7))
    uses = [Use(id="1", order=key, number=1), Use(id="2", order=key, number=2)]
    lines = db.populate(uses, (Use.order, Use.number), Line)
    assert (lines[uses[0]].text, lines.missing) == ("one", [uses[1]])
    orders = [Order(id=key, note="1")]
    assert db.populate(orders, {"shop": Order.id, "day": Order.note}, Entry)[orders[0]].total == 7


def test_populate_of_nothing_sends_nothing(db, wire):
    assert len(db.populate([Order(id="1")], Order.customer_id, Customer)) == 0
    assert wire.calls == []


def test_populate_reads_consistently_on_request(db, wire, key):
    db.create(Customer(id=key, name="a"))
    wire.clear()
    db.populate([Order(id="1", customer_id=key)], Order.customer_id, Customer, consistent=True)
    (body,) = (body for _, body in wire.calls)
    assert all(asked["ConsistentRead"] for asked in body["RequestItems"].values())


@pytest.mark.parametrize("changes", [{"address": {}}, {"address": {}, "note": "n"}, {"note": "n", "address": {}}])
def test_patch_refuses_an_empty_mapping_for_an_object_wherever_it_stands(db, wire, key, changes):
    stored = db.create(Order(id=key, address=Address(city="Riga")))
    wire.clear()
    with pytest.raises(ValidationError, match="no change"):
        db.patch(Order, key, changes)
    assert wire.names == []
    assert db.get(Order, key) == stored


class Packed(Model, table="orders"):
    id: Attr[str] = partition_key()
    address: Attr[Address | None] = attr(Compressed(above=1), default=None)


def test_patch_replaces_an_object_that_is_compressed_and_changes_nothing_inside(db, key):
    db.create(Packed(id=key, address=Address(city="R" * 200)))
    with pytest.raises(ModelError, match="compressed"):
        db.patch(Packed, key, {"address": {"city": "Ghent"}})
    assert db.patch(Packed, key, {"address": Address(city="Ghent")}).address == Address(city="Ghent")
