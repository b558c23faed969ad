"""A replaced object is stored like the one it was made of: nothing that was stored is lost by the way."""

import dataclasses

import pytest

from dynamorm import Attr, Model, attr, partition_key, version
from dynamorm.errors import VersionConflict

from .kit import ask, stored, table_of

pytestmark = pytest.mark.engine


class Guest(Model, table="guests"):
    id: Attr[str] = partition_key()
    amount: Attr[int] = attr(default=0)
    pin: Attr[str | None] = attr(default=None, secret=True)
    version: Attr[int] = version()


@pytest.fixture
def guests(db):
    db.tables.ensure(Guest)
    yield db
    db.tables.delete(Guest)


@pytest.fixture
def guest(guests):
    """A guest that another program gave an attribute more."""
    guests.create(Guest(id="g1", amount=1, pin="1234"))
    item = stored(guests, Guest, "g1") | {"colour": {"S": "red"}}
    ask(guests, "PutItem", {"TableName": table_of(guests, Guest), "Item": item})
    return guests.require(Guest, "g1")


@pytest.mark.parametrize("verb", ["put", "save"])
def test_a_replaced_object_keeps_what_was_stored(guests, guest, verb):
    getattr(guests, verb)(dataclasses.replace(guest, amount=2))
    item = stored(guests, Guest, "g1")
    assert item["amount"] == {"N": "2"}
    assert item["pin"] == {"S": "1234"}
    assert item["colour"] == {"S": "red"}


def test_a_replaced_object_is_written_under_the_version_that_was_read(guests, guest):
    guests.update(Guest, "g1", Guest.amount.add(5))
    with pytest.raises(VersionConflict):
        guests.save(dataclasses.replace(guest, amount=2))


def test_a_replaced_key_makes_a_new_item_and_leaves_the_old_one(guests, guest):
    guests.save(dataclasses.replace(guest, id="g2", amount=2))
    assert stored(guests, Guest, "g1")["amount"] == {"N": "1"}
    assert stored(guests, Guest, "g2")["pin"] == {"S": "1234"}
    assert guests.require(Guest, "g2").amount == 2
