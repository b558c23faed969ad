"""batch_get and transact_get with ``select``: partial objects of what was asked for, as get gives them."""

import pytest

from dynamorm import Attr, Model, ValidationError, attr, composite, partition_key, sort_key, version
from dynamorm.errors import PartialItem

pytestmark = [pytest.mark.engine, pytest.mark.wide]


class Address(Model):
    city: Attr[str]
    zip: Attr[str] = attr(default="")


class Payment(Model, table="payments"):
    id: Attr[str] = partition_key()
    amount: Attr[int] = attr(default=0)
    note: Attr[str | None] = attr(default=None, name="n")
    tags: Attr[list[str]] = attr(default_factory=list)
    address: Attr[Address | None] = attr(default=None)
    version: Attr[int] = version()


class Entry(Model, table="entries"):
    pk: Attr[str] = partition_key(composite("shop", "year"))
    sk: Attr[str] = sort_key(composite("number"))
    shop: Attr[str]
    year: Attr[int]
    number: Attr[int]
    text: Attr[str] = attr(default="")
    more: Attr[str] = attr(default="")


class Event(Model, table="events", discriminator="what"):
    id: Attr[str] = partition_key()
    who: Attr[str] = attr(default="")
    long: Attr[str] = attr(default="")


class Login(Event):
    place: Attr[str] = attr(default="")


MODELS = [Payment, Entry, Event]


def make(db, key, count=3):
    payments = [
        Payment(
            id=f"{key}-{number}", amount=number, note=f"n{number}", tags=["a"], address=Address(city="Riga", zip="1")
        )
        for number in range(count)
    ]
    db.batch_write(puts=payments)
    return [payment.id for payment in payments]


def batch(db, model, keys, select):
    return db.batch_get(model, keys, consistent=True, select=select)


def transaction(db, model, keys, select):
    return db.transact_get(
        [(model, key) if isinstance(key, (str, dict)) else (model, *key) for key in keys], select=select
    )


@pytest.fixture(params=[batch, transaction])
def read(request, db):
    return lambda model, keys, select: request.param(db, model, keys, select)


@pytest.mark.parametrize("named", [["amount", "n"], [Payment.amount, Payment.note], ("amount", Payment.note)])
def test_the_objects_hold_what_was_selected_and_the_key(db, key, wire, read, named):
    keys = make(db, key)
    wire.clear()
    found = read(Payment, [*keys, f"{key}-none"], named)
    assert [(one.id, one.amount, one.note) for one in found[:3]] == [
        (name, at, f"n{at}") for at, name in enumerate(keys)
    ]
    assert found[3] is None
    assert len(wire.calls) == 1
    for one in found[:3]:
        assert isinstance(one, Payment)
        with pytest.raises(PartialItem, match="tags"):
            one.tags
        with pytest.raises(PartialItem):
            db.save(one)


def test_a_part_of_an_attribute(db, key, read):
    (name,) = make(db, key, 1)
    (found,) = read(Payment, [name], [Payment.address[Address.city]])
    assert found.address.city == "Riga"
    with pytest.raises(PartialItem):
        found.address.zip


def test_a_key_of_parts(db, key, read):
    db.create(Entry(shop=key, year=2000, number=7, text="t", more="m"))
    (found,) = read(Entry, [{"shop": key, "year": 2000, "number": 7}], ["text"])
    assert (found.shop, found.year, found.number, found.text) == (key, 2000, 7, "t")
    with pytest.raises(PartialItem):
        found.more
    (found,) = read(Entry, [{"shop": key, "year": 2000, "number": 7}], ["pk"])
    assert found.pk == db.require(Entry, shop=key, year=2000, number=7, consistent=True).pk


def test_the_class_of_each_item(db, key, read):
    db.batch_write(puts=[Event(id=f"{key}-a", who="ann", long="x"), Login(id=f"{key}-b", who="bob", place="p")])
    found = read(Event, [f"{key}-a", f"{key}-b"], ["who"])
    assert [(isinstance(one, Login), one.who) for one in found] == [(False, "ann"), (True, "bob")]


def test_a_key_that_is_given_twice_has_an_object_for_each_place(db, key, read):
    (name,) = make(db, key, 1)
    first, second = read(Payment, [name, name], ["amount", Payment.address])
    assert first == second
    assert first is not second
    assert first.address is not second.address


def test_more_keys_than_one_request_has(db, key, wire):
    keys = make(db, key, 120)
    wire.clear()
    found = db.batch_get(Payment, keys, consistent=True, select=["amount"])
    assert [one.amount for one in found] == list(range(120))
    assert wire.names == ["BatchGetItem"] * 2
    for _, request in wire.calls:
        ((asked),) = request["RequestItems"].values()
        assert set(asked) == {"Keys", "ProjectionExpression", "ExpressionAttributeNames", "ConsistentRead"}


def test_a_selection_for_each_model(db, key):
    (name,) = make(db, key, 1)
    db.create(Entry(shop=key, year=1, number=1, text="t", more="m"))
    asked = [(Payment, name), (Entry, {"shop": key, "year": 1, "number": 1})]
    payment, entry = db.transact_get(asked, select={Payment: [Payment.amount]})
    assert payment.amount == 0
    with pytest.raises(PartialItem):
        payment.note
    assert entry == db.require(Entry, shop=key, year=1, number=1, consistent=True)
    payment, entry = db.transact_get(asked, select={Payment: ["note"], Entry: [Entry.text]})
    assert (payment.note, entry.text) == ("n0", "t")


REFUSED = {
    "nothing": ([], "nothing was selected"),
    "no field": (["amout"], "did you mean"),
    "another model's": ([Entry.text], ""),
    "no list": (5, "select takes a list"),
    "a number": ([5], "select takes attributes"),
    "an overlap": ([Payment.address, Payment.address[Address.city]], None),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_selection_that_does_not_fit_is_refused_before_the_wire(db, key, wire, read, case):
    select, said = REFUSED[case]
    wire.clear()
    if said is None:  # as of get: the whole attribute holds the part
        read(Payment, [key], select)
        return
    with pytest.raises(ValidationError, match=said or "Entry|text"):
        read(Payment, [key], select)
    assert wire.calls == []


def test_a_model_of_which_nothing_is_asked_and_an_item_of_two_classes_are_refused(db, key, wire):
    wire.clear()
    with pytest.raises(ValidationError, match="select names Entry, of which no item is asked for") as caught:
        db.transact_get([(Payment, key)], select={Entry: ["text"]})
    assert caught.value.field == "select"
    with pytest.raises(ValidationError, match="asked for as Login and as another class"):
        db.transact_get([(Event, key), (Login, key)], select=["who"])
    assert wire.calls == []
