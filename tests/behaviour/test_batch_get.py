"""batch_get: any number of keys, in their order, None where there is none."""

from decimal import Decimal

import pytest

from dynamorm import Attr, Model, attr, partition_key, sort_key, version

from .kit import store

pytestmark = pytest.mark.engine


class Payment(Model, table="payments"):
    id: Attr[str] = partition_key()
    amount: Attr[int]
    note: Attr[str | None] = attr(default=None)
    version: Attr[int] = version()


class Line(Model, table="lines"):
    order: Attr[str] = partition_key(name="o")
    number: Attr[Decimal] = sort_key(name="n")
    text: Attr[str] = attr(default="")


class Blob(Model, table="blobs"):
    digest: Attr[bytes] = partition_key()
    size: Attr[int]


class Event(Model, table="events", discriminator="kind"):
    id: Attr[str] = partition_key()


class Paid(Event, tag="paid"):
    amount: Attr[int]


class Sent(Event, tag="sent"):
    to: Attr[str]


MODELS = [Payment, Line, Blob, Event]


def test_the_objects_come_in_the_order_of_the_keys_and_none_where_there_is_none(db, key):
    for number in range(3):
        db.create(Payment(id=f"{key}-{number}", amount=number))
    found = db.batch_get(Payment, [f"{key}-2", f"{key}-missing", f"{key}-0"])
    assert [one and one.amount for one in found] == [2, None, 0]


def test_any_number_of_keys_is_read_in_chunks_of_a_hundred(db, wire, key):
    ids = [f"{key}-{number:03d}" for number in range(250)]
    assert db.batch_write(puts=[Payment(id=one, amount=at) for at, one in enumerate(ids) if at % 3]).ok
    wire.clear()
    found = db.batch_get(Payment, iter(reversed(ids)))
    assert [one and one.amount for one in found] == [at if at % 3 else None for at in reversed(range(250))]
    sizes = [len(keys["Keys"]) for _, body in wire.calls for keys in body["RequestItems"].values()]
    assert sorted(sizes) == [50, 100, 100]


def test_a_key_given_twice_is_asked_once_and_each_place_has_its_own_object(db, wire, key):
    db.create(Payment(id=key, amount=5))
    wire.clear()
    first, none, second, again = db.batch_get(Payment, [key, f"{key}-x", key, f"{key}-x"])
    assert (first.amount, second.amount, none, again) == (5, 5, None, None)
    ((_, body),) = wire.calls
    (asked,) = body["RequestItems"].values()
    assert len(asked["Keys"]) == 2
    assert first is not second
    first.amount = 6
    assert second.amount == 5
    db.save(second)  # unchanged: nothing is sent
    db.save(first)
    assert db.get(Payment, key).amount == 6


def test_what_was_read_is_loaded_and_can_be_saved_under_its_version(db, key):
    db.create(Payment(id=key, amount=5))
    (one,) = db.batch_get(Payment, [key], consistent=True)
    one.note = "seen"
    db.save(one)
    assert db.get(Payment, key).version == 1


def test_a_key_may_be_a_tuple_or_a_dict_of_its_parts(db, key):
    db.put(Line(order=key, number=Decimal("1.5"), text="a"))
    db.put(Line(order=key, number=Decimal(100), text="b"))
    found = db.batch_get(
        Line,
        [
            (key, Decimal("1.50")),
            {"number": Decimal("1E2"), "order": key},
            (key, Decimal("100.0")),
            {"order": key, "number": Decimal(7)},
        ],
    )
    assert [one and one.text for one in found] == ["a", "b", "b", None]


def test_binary_keys_and_unicode_keys_are_found_again(db, key):
    db.put(Blob(digest=b"\x00\xff" + key.encode(), size=1))
    assert [one and one.size for one in db.batch_get(Blob, [b"no", b"\x00\xff" + key.encode()])] == [None, 1]
    odd = f'{key} "\\ é 😀 \u2028 \x01'
    db.put(Payment(id=odd, amount=7))
    assert db.batch_get(Payment, [odd])[0].amount == 7


def test_each_item_of_a_family_is_of_its_own_class(db, key):
    db.put(Paid(id=f"{key}-1", amount=5))
    db.put(Sent(id=f"{key}-2", to="x"))
    paid, sent = db.batch_get(Event, [f"{key}-1", f"{key}-2"])
    assert (type(paid), paid.amount, type(sent), sent.to) == (Paid, 5, Sent, "x")


def test_attributes_the_model_does_not_know_survive_a_save(db, key):
    store(db, Payment, {"id": {"S": key}, "amount": {"N": "1"}, "version": {"N": "0"}, "extra": {"S": "kept"}})
    (one,) = db.batch_get(Payment, [key])
    one.amount = 2
    db.put(one)
    assert "kept" in str(db.inner._session.plan(Payment).codec.loaded(db.get(Payment, key)))


def test_no_keys_ask_for_nothing(db, wire):
    assert db.batch_get(Payment, []) == []
    assert wire.calls == []


def test_consistent_is_asked_for(db, wire, key):
    db.batch_get(Payment, [key], consistent=True)
    db.batch_get(Payment, [key])
    asked = [next(iter(body["RequestItems"].values())) for _, body in wire.calls]
    assert [one.get("ConsistentRead") for one in asked] == [True, None]
