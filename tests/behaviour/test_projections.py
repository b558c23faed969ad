"""Partial objects: what select() asked for can be read, nothing else, and nothing can be written back by mistake."""

import copy
import dataclasses
import pickle
from enum import Enum
from typing import Any

import pytest

from dynamorm import Attr, Mixin, Model, ValidationError, attr, composite, gsi, partition_key, sort_key, version
from dynamorm.adapters import fields, register
from dynamorm.errors import NotFound, PartialItem
from dynamorm.models.schema.schema import SCHEMAS

from .kit import change, store

pytestmark = pytest.mark.engine


class Status(Enum):
    OPEN = "open"
    DONE = "done"


class Geo(Model):
    lat: Attr[int | None] = attr(default=None)
    lon: Attr[int | None] = attr(default=None)


class Address(Model):
    city: Attr[str]
    street: Attr[str | None] = attr(default=None, name="st")
    geo: Attr[Geo | None] = attr(default=None)


@dataclasses.dataclass
class Box:
    width: int
    height: int


class Line(Model):
    price: Attr[int]
    tags: Attr[list[str]] = attr(default_factory=list)


class Payment(Model, table="payments"):
    id: Attr[str] = partition_key()
    amount: Attr[int]
    note: Attr[str | None] = attr(default=None, name="n")
    pin: Attr[str | None] = attr(default=None, secret=True)
    status: Attr[Status] = attr(default=Status.OPEN)
    address: Attr[Address | None] = attr(default=None)
    box: Attr[Box | None] = attr(default=None)
    tags: Attr[list[str]] = attr(default_factory=list)
    lines: Attr[list[Line]] = attr(default_factory=list)
    counts: Attr[dict[str, int]] = attr(default_factory=dict)
    document: Attr[Any] = attr(default=None)
    version: Attr[int] = version()

    @property
    def shout(self):
        return self.note.upper()


class Entry(Model, table="entries"):
    folder: Attr[str] = partition_key()
    number: Attr[int] = sort_key()
    kind: Attr[str] = attr(default="a")
    text: Attr[str] = attr(default="")
    by_kind = gsi("by-kind", partition="kind", sort="number", projection=("text",))
    by_text = gsi("by-text", partition="text", projection="KEYS_ONLY")


class Named(Mixin):
    name: Attr[str] = attr(default="nobody")


class Event(Model, Named, table="events", discriminator="what"):
    stream: Attr[str] = partition_key()
    number: Attr[int] = sort_key()
    by_name = gsi("by-name", partition="name", projection="KEYS_ONLY")


class Paid(Event, tag="paid"):
    amount: Attr[int]


class Transfer(Model, table="transfers"):
    pk: Attr[str] = partition_key(composite("tenant", "number"))
    tenant: Attr[str]
    number: Attr[int]
    kind: Attr[str] = attr(default="plain")
    day: Attr[str]
    by_kind: Attr[str] = attr(composite("kind", "day"))
    kinds = gsi("kinds", partition="by_kind", projection="KEYS_ONLY")


@register(table="orders", partition="id", version="version")
@dataclasses.dataclass
class Order:
    id: str
    total: int
    note: str = ""
    version: int = 0


MODELS = [Payment, Entry, Event, Order, Transfer]


@pytest.fixture
def paid(db, key):
    """A payment with everything filled in."""
    return db.create(
        Payment(
            id=key, amount=5, note="hey", pin="1234", address=Address(city="Riga", street="Brivibas", geo=Geo(lat=56)),
            box=Box(1, 2), tags=["a", "b", "c"], lines=[Line(price=1), Line(price=2, tags=["x"])],
            counts={"one": 1, "two": 2}, document={"deep": [1, {"x": "y"}], "other": 1},
        )
    )  # fmt: skip


def test_only_what_is_selected_is_fetched_and_can_be_read(db, paid, wire):
    found = db.get(Payment, paid.id, select=["amount", Payment.note], consistent=True)
    assert (found.id, found.amount, found.note) == (paid.id, 5, "hey")
    assert sorted(wire.last["ExpressionAttributeNames"].values()) == ["amount", "id", "n"]
    assert wire.last["ConsistentRead"] is True
    with pytest.raises(PartialItem, match=r"Payment\.pin was not selected"):
        found.pin
    assert isinstance(found, Payment)
    assert not hasattr(found, "status")


def test_an_item_that_is_not_there_is_none_or_an_error(db, key):
    assert db.get(Payment, key, select=["amount"]) is None
    with pytest.raises(NotFound):
        db.require(Payment, key, select=["amount"])


def test_require_takes_a_selection(db, paid):
    assert db.require(Payment, paid.id, select=["amount"], consistent=True).amount == 5


def test_a_method_of_the_model_works_on_what_there_is(db, paid):
    assert db.get(Payment, paid.id, select=["note"], consistent=True).shout == "HEY"
    with pytest.raises(PartialItem, match=r"Payment\.note was not selected"):
        db.get(Payment, paid.id, select=["amount"], consistent=True).shout


def test_queries_give_partial_objects_too(db, key):
    for number in range(3):
        db.create(Entry(folder=key, number=number, text=f"t{number}"))
    found = db.model(Entry).where(Entry.folder == key).select("text").consistent().all()
    assert [(one.folder, one.number, one.text) for one in found] == [(key, n, f"t{n}") for n in range(3)]
    assert not any(hasattr(one, "kind") for one in found)
    first = db.model(Entry).where(Entry.folder == key).select(Entry.number).first()
    assert (first.number, hasattr(first, "text")) == (0, False)
    limited = (
        db.model(Entry).where(Entry.folder == key).filter(Entry.text != "t0").select("number").limit(1).consistent()
    )
    assert [one.number for one in limited.all()] == [1]


def test_the_text_of_a_partial_object_shows_what_it_holds(db, paid):
    found = db.get(Payment, paid.id, select=["amount", "pin"], consistent=True)
    assert repr(found) == f"PartialPayment(id={paid.id!r}, amount=5, pin=***)"


def test_equality_is_of_what_is_selected(db, paid, key):
    def read(*names):
        return db.get(Payment, key, select=names, consistent=True)

    first = read("amount")
    assert first == read("amount")
    assert first != read("amount", "note")
    assert first != paid
    assert paid != first
    change(db, Payment, (key,), "SET n = :v", v={"S": "other"})
    assert first == read(Payment.amount)
    change(db, Payment, (key,), "SET amount = :v", v={"N": "6"})
    assert first != read("amount")
    with pytest.raises(TypeError):
        hash(first)


def test_a_partial_object_travels_by_pickle_and_copy(db, paid):
    found = db.get(Payment, paid.id, select=["amount", Payment.address[Address.city], "box"], consistent=True)
    for one in (pickle.loads(pickle.dumps(found)), copy.copy(found), copy.deepcopy(found)):
        assert one == found
        assert type(one) is type(found)
        with pytest.raises(PartialItem):
            one.note
    assert dataclasses.asdict(db.get(Payment, paid.id, select=["amount"], consistent=True)) == {
        "id": paid.id,
        "amount": 5,
    }


def test_a_partial_object_cannot_be_changed(db, paid):
    found = db.get(Payment, paid.id, select=["amount"], consistent=True)
    with pytest.raises(PartialItem, match="load the whole item"):
        found.amount = 6
    with pytest.raises(PartialItem):
        found.note = "x"
    with pytest.raises(PartialItem):
        del found.amount
    assert found.amount == 5


def test_its_class_is_no_model(db, paid):
    found = db.get(Payment, paid.id, select=["amount"], consistent=True)
    cls = type(found)
    assert cls not in SCHEMAS
    for wrong in (
        lambda: cls(id="x", amount=5),
        lambda: db.get(cls, "x"),
        lambda: db.model(cls).where(Payment.id == "x").all(),
    ):
        with pytest.raises(PartialItem):
            wrong()


def _transaction(db, act):
    with db.transaction() as tx:
        act(tx)


@pytest.mark.parametrize(
    "write",
    [
        lambda db, obj: db.save(obj),
        lambda db, obj: db.create(obj),
        lambda db, obj: db.put(obj),
        lambda db, obj: db.update(obj, Payment.amount.add(1)),
        lambda db, obj: db.upsert(obj, Payment.amount.add(1)),
        lambda db, obj: db.delete(obj),
        lambda db, obj: db.batch_write(puts=[obj]),
        lambda db, obj: db.batch_write(deletes=[obj]),
        lambda db, obj: _transaction(db, lambda tx: tx.put(obj)),
        lambda db, obj: _transaction(db, lambda tx: tx.update(obj, Payment.amount.add(1))),
        lambda db, obj: _transaction(db, lambda tx: tx.delete(obj)),
    ],
    ids=["save", "create", "put", "update", "upsert", "delete", "batch put", "batch delete", "tx put", "tx update", "tx delete"],
)  # fmt: skip
def test_no_verb_takes_a_partial_object(db, paid, wire, write):
    found = db.get(Payment, paid.id, select=["amount", "version"], consistent=True)
    wire.clear()
    with pytest.raises(PartialItem, match="load the whole item"):
        write(db, found)
    assert wire.names == []
    assert db.get(Payment, paid.id, consistent=True) == paid


def test_a_partial_object_inside_a_whole_one_cannot_be_saved(db, paid, wire):
    found = db.get(Payment, paid.id, select=[Payment.address[Address.city]], consistent=True)
    wire.clear()
    paid.address = found.address
    with pytest.raises(PartialItem, match=r"Address\.street was not selected"):
        db.save(paid)
    assert wire.names == []


def test_the_key_of_a_partial_object_finds_the_whole_one(db, paid):
    found = db.get(Payment, paid.id, select=["amount"], consistent=True)
    whole = db.update(Payment, found.id, Payment.amount.add(found.amount))
    assert whole.amount == 10
    db.delete(Payment, found.id)
    assert db.get(Payment, paid.id, consistent=True) is None


def test_a_nested_model_is_partial_too(db, paid, wire):
    found = db.get(Payment, paid.id, select=[Payment.address[Address.city]], consistent=True)
    assert found.address.city == "Riga"
    assert isinstance(found.address, Address)
    assert sorted(wire.last["ExpressionAttributeNames"].values()) == ["address", "city", "id"]
    with pytest.raises(PartialItem, match=r"Address\.street was not selected"):
        found.address.street
    assert repr(found.address) == "PartialAddress(city='Riga')"
    both = db.get(Payment, paid.id, select=["address.city", Payment.address[Address.geo][Geo.lat]], consistent=True)
    assert (both.address.city, both.address.geo.lat) == ("Riga", 56)
    assert not hasattr(both.address.geo, "lon")


def test_a_whole_attribute_takes_in_its_parts(db, paid):
    found = db.get(Payment, paid.id, select=[Payment.address[Address.city], "address"], consistent=True)
    assert found.address == paid.address


def test_a_missing_part_is_not_taken_for_a_missing_whole(db, key):
    """DynamoDB answers neither with anything; an attribute that is always there is fetched to tell them apart."""
    selected = [Payment.address[Address.street], Payment.address[Address.geo][Geo.lat]]
    db.create(Payment(id=key, amount=1, address=Address(city="Riga")))
    found = db.get(Payment, key, select=selected, consistent=True)
    assert (found.address.street, found.address.geo) == (None, None)
    change(db, Payment, (key,), "REMOVE address")
    assert db.get(Payment, key, select=selected, consistent=True).address is None
    db.put(Payment(id=key, amount=1, address=Address(city="Riga", geo=Geo())))
    assert db.get(Payment, key, select=selected, consistent=True).address.geo.lat is None


def test_other_classes_inside_come_whole(db, paid):
    found = db.get(Payment, paid.id, select=["box.width", Payment.lines[0][Line.price]], consistent=True)
    assert found.box == Box(1, 2)
    assert found.lines == [Line(price=1)]


def test_elements_of_lists_and_maps(db, paid):
    """DynamoDB closes the gaps: of a list come the selected elements alone."""
    found = db.get(
        Payment,
        paid.id,
        select=[Payment.tags[2], Payment.tags[0], Payment.counts["two"], Payment.document["deep"][1]["x"]],
        consistent=True,
    )
    assert found.tags == ["a", "c"]
    assert found.counts == {"two": 2}
    assert found.document == {"deep": [{"x": "y"}]}
    none = db.get(Payment, paid.id, select=[Payment.tags[9], Payment.counts["ten"]], consistent=True)
    assert (none.tags, none.counts) == ([], {})


def test_reading_is_as_strict_as_ever(db, key):
    store(db, Payment, {"id": {"S": key}, "amount": {"S": "five"}})
    with pytest.raises(ValidationError, match=r"Payment\.amount: the stored item has S"):
        db.get(Payment, key, select=["amount"], consistent=True)
    store(db, Payment, {"id": {"S": key}, "n": {"S": "x"}})
    with pytest.raises(ValidationError, match=r"Payment\.amount: the stored item lacks"):
        db.get(Payment, key, select=["amount"], consistent=True)
    found = db.get(Payment, key, select=["note", "status"], consistent=True)
    assert (found.note, found.status) == ("x", Status.OPEN)


def test_the_class_of_an_item_is_told_by_its_discriminator(db, key):
    db.create(Event(stream=key, number=0))
    db.create(Paid(stream=key, number=1, amount=5, name="ada"))
    plain = db.get(Event, key, 0, select=["name"], consistent=True)
    paid = db.get(Event, key, 1, select=["name"], consistent=True)
    assert (isinstance(plain, Paid), isinstance(paid, Paid)) == (False, True)
    assert paid.name == "ada"
    with pytest.raises(PartialItem, match=r"Paid\.amount was not selected"):
        paid.amount
    found = db.model(Event).where(Event.stream == key).select("name").consistent().all()
    assert [type(one) for one in found] == [type(plain), type(paid)]
    assert db.get(Paid, key, 1, select=[Paid.amount], consistent=True).amount == 5


def test_an_object_of_a_registered_class_is_a_plain_one_when_partial(db, key, wire):
    db.create(Order(id=key, total=5))
    found = db.get(Order, key, select=[fields(Order).total], consistent=True)
    assert (found.id, found.total) == (key, 5)
    assert repr(found) == f"PartialOrder(id={key!r}, total=5)"
    assert not isinstance(found, Order)
    assert pickle.loads(pickle.dumps(found)) == found
    with pytest.raises(PartialItem, match=r"Order\.note was not selected"):
        found.note
    wire.clear()
    for write in (db.save, db.put, db.create, db.delete):
        with pytest.raises(PartialItem):
            write(found)
    with pytest.raises(PartialItem):
        found.total = 6
    assert wire.names == []


def test_an_index_that_holds_part_of_each_item_gives_partial_objects(db, key):
    db.create(Entry(folder=key, number=1, kind=key, text="t"))
    found = db.model(Entry).index(Entry.by_kind).where(Entry.kind == key).one()
    assert (found.folder, found.number, found.kind, found.text) == (key, 1, key, "t")
    keys = db.model(Entry).index("by-text").where(Entry.text == "t").filter(Entry.folder != "nobody")
    mine = [one for one in keys.all() if one.folder == key]
    assert [(one.number, one.text, hasattr(one, "kind")) for one in mine] == [(1, "t", False)]
    with pytest.raises(PartialItem):
        db.save(found)
    narrow = db.model(Entry).index(Entry.by_kind).where(Entry.kind == key).select("folder").one()
    assert (narrow.folder, hasattr(narrow, "text")) == (key, False)


def test_an_index_of_a_family_does_not_say_the_class(db, key):
    """The discriminator is not in the index, and DynamoDB refuses to be asked for it."""
    db.create(Paid(stream=key, number=1, amount=5, name=key))
    named = db.model(Event).index(Event.by_name).where(Event.name == key)
    found = named.select("number").one()
    assert (type(found).__name__, found.number) == ("PartialEvent", 1)
    assert [type(one) for one in named.hydrate().all()] == [Paid]
    assert named.delete_all(confirm=True) == 1


def test_a_composite_key_comes_with_its_components(db, key):
    db.create(Transfer(tenant=key, number=7, day=key, kind="fast"))
    found = db.get(Transfer, tenant=key, number=7, select=["kind"], consistent=True)
    assert (found.tenant, found.number, found.kind) == (key, 7, "fast")
    assert found.pk == f"{key}#7"
    assert repr(found) == f"PartialTransfer(tenant={key!r}, number=7, kind='fast')"
    with pytest.raises(PartialItem, match="was not selected"):
        found.by_kind
    assert db.get(Transfer, tenant=key, number=7, select=[Transfer.by_kind], consistent=True).by_kind == f"fast#{key}"
    by_index = db.model(Transfer).index("kinds").where(Transfer.kind == "fast", Transfer.day == key)
    held = by_index.one()
    assert (held.tenant, held.number, held.kind, held.day) == (key, 7, "fast", key)  # read out of the keys
    assert by_index.select("pk").one().number == 7
    assert by_index.hydrate().one().number == 7
    assert by_index.delete_all(confirm=True) == 1
