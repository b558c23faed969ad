"""A save writes the defaults that its object shows of what was missing when it was read, along with its changes."""

from decimal import Decimal
from uuid import UUID, uuid4

import pytest

from dynamorm import Attr, Model, attr, composite, gsi, partition_key, version
from dynamorm.models.schema.schema import AppendOnly

from .kit import change, store, stored

pytestmark = pytest.mark.engine


class Inner(Model):
    zone: Attr[int] = attr(default=7)


class Card(Model, table="cards"):
    id: Attr[str] = partition_key()
    note: Attr[str | None] = attr(default=None)
    credit: Attr[int] = attr(default=100)
    nothing: Attr[int] = attr(default=0, name="z")
    label: Attr[str] = attr(default="new", also_read=("Label",))
    rate: Attr[Decimal] = attr(default=Decimal("1.50"))
    tags: Attr[list[str]] = attr(default_factory=lambda: ["a"])
    flags: Attr[set[str]] = attr(default_factory=set)
    inner: Attr[Inner] = attr(default_factory=Inner)
    limit: Attr[int | None] = attr(default=10)
    left: Attr[int] = attr(default=0, omit_empty=True)
    pin: Attr[str] = attr(default="0000", secret=True)
    owner: Attr[str] = attr(default="none", immutable=True)
    receipt: Attr[str] = attr(default="none", write_once=True)
    status: Attr[str] = attr(default="open", protected=True)
    log: Attr[list[str]] = attr(AppendOnly(), default_factory=list)


class Versioned(Card, table="versioned-cards"):
    version: Attr[int] = version()


class Ticket(Model, table="tickets"):
    id: Attr[str] = partition_key()
    owner: Attr[str] = attr(default="ada")
    level: Attr[int] = attr(default=1)
    note: Attr[str | None] = attr(default=None)
    by_owner: Attr[str] = attr(composite("{owner}#{level:03d}"))
    owners = gsi("owners", partition="by_owner")


class VersionedTicket(Ticket, table="versioned-tickets"):
    version: Attr[int] = version()


class Tagged(Model, table="tagged"):
    id: Attr[str] = partition_key()
    note: Attr[str | None] = attr(default=None)
    token: Attr[UUID] = attr(default_factory=uuid4)


MODELS = [Card, Versioned, Tagged, Ticket, VersionedTicket]

SHOWN = {
    "credit": {"N": "100"},
    "z": {"N": "0"},
    "label": {"S": "new"},
    "rate": {"N": "1.5"},
    "tags": {"L": [{"S": "a"}]},
    "inner": {"M": {"zone": {"N": "7"}}},
    "limit": {"N": "10"},
    "log": {"L": []},
}


def without_tokens(item):
    item.pop("_wt", None)
    return item


@pytest.mark.parametrize("way", ["alone", "transaction"])
@pytest.mark.parametrize("model", [Card, Versioned])
def test_a_save_with_a_change_stores_the_defaults_that_were_missing(db, key, model, way):
    start = {"id": {"S": key}} | ({} if model is Card else {"version": {"N": "0"}})
    store(db, model, start)
    obj = db.require(model, key, consistent=True)
    obj.note = "x"
    if way == "alone":
        db.save(obj)
    else:
        with db.transaction() as tx:
            tx.save(obj)
    wanted = start | SHOWN | {"note": {"S": "x"}} | ({} if model is Card else {"version": {"N": "1"}})
    assert without_tokens(stored(db, model, key)) == wanted
    assert db.get(model, key, consistent=True) == obj


@pytest.mark.parametrize("model", [Card, Versioned])
def test_a_save_without_a_change_sends_nothing(db, key, wire, model):
    store(db, model, {"id": {"S": key}})
    obj = db.require(model, key, consistent=True)
    wire.clear()
    db.save(obj)
    assert wire.names == []


def test_a_second_save_has_nothing_left_to_store(db, key, wire):
    store(db, Card, {"id": {"S": key}})
    card = db.require(Card, key, consistent=True)
    card.note = "x"
    db.save(card)
    wire.clear()
    db.save(card)
    assert wire.names == []
    card.note = "y"
    db.save(card)
    assert "if_not_exists" not in wire.last["UpdateExpression"]


def test_a_changed_value_wins_over_the_default(db, key):
    store(db, Card, {"id": {"S": key}})
    card = db.require(Card, key, consistent=True)
    card.credit = 5
    card.tags.append("b")
    db.save(card)
    found = stored(db, Card, key)
    assert (found["credit"], found["tags"], found["limit"]) == (
        {"N": "5"}, {"L": [{"S": "a"}, {"S": "b"}]}, {"N": "10"},
    )  # fmt: skip


def test_what_another_program_has_stored_meanwhile_is_kept(db, key):
    store(db, Card, {"id": {"S": key}})
    card = db.require(Card, key, consistent=True)
    change(db, Card, (key,), "SET credit = :c", c={"N": "3"})
    card.note = "x"
    db.save(card)
    assert stored(db, Card, key)["credit"] == {"N": "3"}


def test_null_and_other_names_are_no_missing_attributes(db, key):
    store(db, Card, {"id": {"S": key}, "limit": {"NULL": True}, "Label": {"S": "old"}, "flags": {"NULL": True}})
    card = db.require(Card, key, consistent=True)
    assert (card.limit, card.label) == (None, "old")
    card.note = "x"
    db.save(card)
    found = stored(db, Card, key)
    assert (found["limit"], found.get("label"), found["Label"]) == ({"NULL": True}, None, {"S": "old"})


def test_a_condition_sees_the_default_after_the_save(db, key):
    store(db, Card, {"id": {"S": key}})
    query = db.model(Card).where(Card.id == key).filter(Card.credit == 100)
    assert query.all() == []
    card = db.require(Card, key, consistent=True)
    card.note = "x"
    db.save(card)
    assert [one.id for one in query.all()] == [key]


def test_a_value_that_varies_is_stored_as_it_was_shown(db, key):
    store(db, Tagged, {"id": {"S": key}})
    obj = db.require(Tagged, key, consistent=True)
    shown, obj.note = obj.token, "x"
    db.save(obj)
    assert db.require(Tagged, key, consistent=True).token == shown


def test_the_key_of_an_index_is_made_of_the_defaults_that_are_stored(db, key):
    store(db, VersionedTicket, {"id": {"S": key}})
    ticket = db.require(VersionedTicket, key, consistent=True)
    ticket.note = "x"
    db.save(ticket)
    found = stored(db, VersionedTicket, key)
    assert (found["owner"], found["level"], found["by_owner"]) == ({"S": "ada"}, {"N": "1"}, {"S": "ada#001"})


def test_without_a_version_no_key_of_an_index_is_made_of_what_may_have_changed(db, key):
    store(db, Ticket, {"id": {"S": key}})
    ticket = db.require(Ticket, key, consistent=True)
    ticket.note = "x"
    db.save(ticket)
    assert without_tokens(stored(db, Ticket, key)) == {"id": {"S": key}, "note": {"S": "x"}}
