"""Updates of the fields that index keys are made of: the keys change in the same request, or nothing is sent."""

from datetime import datetime

import pytest

from dynamorm import (
    Attr,
    ConditionFailed,
    Model,
    ValidationError,
    VersionConflict,
    attr,
    composite,
    created_at,
    gsi,
    partition_key,
    updated_at,
    version,
)
from dynamorm.errors import MissingItem

from .kit import change, stored

pytestmark = pytest.mark.engine


class Ticket(Model, table="tickets"):
    pk: Attr[str] = partition_key(composite("TICKET#{number}"))
    number: Attr[str]
    status: Attr[str | None] = attr(default="open")
    level: Attr[int] = attr(default=1)
    owner: Attr[str] = attr(default="nobody")
    opened: Attr[datetime] = created_at()
    version: Attr[int] = version()
    status_key: Attr[str] = attr(composite("{status}#{level:03d}"))
    owner_key: Attr[str] = attr(composite("owner", "number"))
    by_status = gsi("by-status", partition="owner", sort="status_key")
    by_owner = gsi("by-owner", partition="owner_key")


class Plain(Model, table="plain"):
    id: Attr[str] = partition_key()
    a: Attr[str | None] = attr(default=None)
    b: Attr[str | None] = attr(default=None)
    n: Attr[int] = attr(default=0)
    key_ab: Attr[str] = attr(composite("a", "b"))
    by_ab = gsi("by-ab", partition="key_ab")


class Touched(Model, table="touched"):
    id: Attr[str] = partition_key()
    status: Attr[str]
    note: Attr[str | None] = attr(default=None)
    changed: Attr[datetime] = updated_at()
    recent: Attr[str] = attr(composite("status", "changed"))
    by_recent = gsi("by-recent", partition="status", sort="recent")


class Counter(Model, table="counters"):
    pk: Attr[str] = partition_key(composite("scope", "name"))
    scope: Attr[str]
    name: Attr[str]
    count: Attr[int] = attr(default=0)
    made: Attr[datetime] = created_at()
    inverted: Attr[str] = attr(composite("name", "scope"))
    by_name = gsi("by-name", partition="inverted")


MODELS = [Ticket, Plain, Touched, Counter]


def refused(wire, call, *words):
    """One clear error before the wire."""
    wire.clear()
    with pytest.raises(ValidationError) as caught:
        call()
    assert wire.names == []
    for word in words:
        assert word in str(caught.value)


def test_an_update_of_an_object_changes_every_index_key_that_it_touches(db, wire, key):
    ticket = db.create(Ticket(number=key))
    db.update(ticket, Ticket.status.set("held"), Ticket.owner.set("ada"))
    assert wire.names == ["PutItem", "UpdateItem"]
    item = stored(db, Ticket, ticket.pk)
    assert item["status_key"] == {"S": "held#001"}
    assert item["owner_key"] == {"S": f"ada#{key}"}
    assert ticket.status_key == "held#001"


def test_an_update_that_touches_no_part_leaves_the_keys_alone(db, wire, key):
    ticket = db.create(Ticket(number=key, level=2))
    db.update(ticket, Ticket.owner.set("eve"))
    assert "status_key" not in wire.last["ExpressionAttributeNames"].values()
    assert stored(db, Ticket, ticket.pk)["status_key"] == {"S": "open#002"}


def test_parts_of_the_primary_key_are_known_in_an_update_by_key(db, key):
    ticket = db.create(Ticket(number=key))
    db.update(Ticket, ticket.pk, Ticket.owner.set("bob"))
    assert stored(db, Ticket, ticket.pk)["owner_key"] == {"S": f"bob#{key}"}
    db.update(Ticket, Ticket.owner.set("eve"), number=key)
    assert stored(db, Ticket, ticket.pk)["owner_key"] == {"S": f"eve#{key}"}


def test_an_update_by_key_may_set_all_parts_together(db, key):
    ticket = db.create(Ticket(number=key))
    db.update(Ticket, ticket.pk, Ticket.status.set("done"), Ticket.level.set(12))
    assert stored(db, Ticket, ticket.pk)["status_key"] == {"S": "done#012"}


def test_an_unknown_part_is_refused_with_the_fix(db, wire, key):
    ticket = db.create(Ticket(number=key))
    call = lambda: db.update(Ticket, ticket.pk, Ticket.status.set("done"))  # noqa: E731 - what is expected to fail
    refused(wire, call, "status_key", "level is not known", "load the object", "set level in the same update")
    assert stored(db, Ticket, ticket.pk)["status_key"] == {"S": "open#001"}


@pytest.mark.parametrize(
    "change_of",
    [lambda: Ticket.level.add(1), lambda: Ticket.level.if_not_exists(4), lambda: Ticket.status.set(Ticket.owner)],
    ids=["add", "if_not_exists", "another attribute"],
)
def test_a_part_that_the_database_computes_is_refused_with_the_fix(db, wire, key, change_of):
    ticket = db.create(Ticket(number=key))
    refused(wire, lambda: db.update(ticket, change_of()), "status_key", ".set(value)")


def test_a_part_that_is_removed_takes_the_index_key_away(db, key):
    ticket = db.create(Ticket(number=key))
    db.update(ticket, Ticket.status.set(None))
    assert "status_key" not in stored(db, Ticket, ticket.pk)
    db.update(ticket, Ticket.status.set("open"))
    assert stored(db, Ticket, ticket.pk)["status_key"] == {"S": "open#001"}


@pytest.mark.parametrize("what", [lambda: Ticket.pk.set("x"), lambda: Ticket.status_key.set("x")], ids=["key", "index"])
def test_a_composite_itself_is_never_updated(db, wire, key, what):
    ticket = db.create(Ticket(number=key))
    refused(wire, lambda: db.update(ticket, what()), "key")


def test_a_part_of_the_primary_key_is_never_updated(db, wire, key):
    ticket = db.create(Ticket(number=key))
    refused(wire, lambda: db.update(ticket, Ticket.number.set("x")), "Ticket.number is part of the key (pk)")


def test_unsaved_changes_of_the_object_do_not_reach_the_index_key(db, key):
    ticket = db.create(Ticket(number=key))
    ticket.level = 99
    db.update(ticket, Ticket.status.set("held"))
    assert stored(db, Ticket, ticket.pk)["status_key"] == {"S": "held#001"}


def test_a_value_that_does_not_fit_the_padding_is_refused(db, wire, key):
    ticket = db.create(Ticket(number=key))
    refused(wire, lambda: db.update(ticket, Ticket.level.set(1000)), "level has 4 digits")


def test_the_version_protects_the_parts_that_were_known(db, key):
    ticket = db.create(Ticket(number=key))
    db.update(db.get(Ticket, ticket.pk), Ticket.level.set(7))
    with pytest.raises(VersionConflict):
        db.update(ticket, Ticket.status.set("done"))


def test_without_a_version_a_part_that_changed_since_is_noticed_by_update(db, key):
    plain = db.create(Plain(id=key, a="1", b="2"))
    change(db, Plain, (key,), "SET b = :b, key_ab = :k", b={"S": "3"}, k={"S": "1#3"})
    with pytest.raises(VersionConflict) as caught:
        db.update(plain, Plain.a.set("9"))
    assert caught.value.item.b == "3"
    assert stored(db, Plain, key)["key_ab"] == {"S": "1#3"}
    db.update(plain, Plain.n.add(1))
    assert stored(db, Plain, key)["n"] == {"N": "1"}


def test_without_a_version_a_part_that_changed_since_is_noticed_by_save(db, key):
    plain = db.create(Plain(id=key, a="1", b="2"))
    change(db, Plain, (key,), "SET b = :b, key_ab = :k", b={"S": "3"}, k={"S": "1#3"})
    plain.a = "9"
    with pytest.raises(VersionConflict):
        db.save(plain)
    assert stored(db, Plain, key)["key_ab"] == {"S": "1#3"}


def test_without_a_version_what_was_known_is_a_condition_in_a_transaction(db, wire, key):
    plain = db.create(Plain(id=key, a="1", b="2"))
    wire.clear()
    db.update(plain, Plain.a.set("9"))
    plain.a = "8"
    db.save(plain)
    assert wire.names == ["TransactWriteItems", "GetItem", "TransactWriteItems"]
    assert stored(db, Plain, key)["key_ab"] == {"S": "8#2"}


def test_a_users_condition_that_fails_is_still_reported_as_such(db, key):
    plain = db.create(Plain(id=key, a="1", b="2"))
    with pytest.raises(ConditionFailed) as caught:
        db.update(plain, Plain.a.set("9"), condition=Plain.n == 5)
    assert not isinstance(caught.value, VersionConflict)


def test_an_item_that_is_gone_is_missing_not_changed(db, key):
    plain = db.create(Plain(id=key, a="1", b="2"))
    db.delete(Plain, key)
    with pytest.raises(MissingItem):
        db.update(plain, Plain.a.set("9"))


def test_all_parts_set_at_once_need_no_condition(db, wire, key):
    plain = db.create(Plain(id=key, a="1", b="2"))
    wire.clear()
    db.update(plain, Plain.a.set("x"), Plain.b.set("y"))
    assert wire.names == ["UpdateItem"]
    assert stored(db, Plain, key)["key_ab"] == {"S": "x#y"}


def test_a_time_that_every_write_sets_is_in_the_key_of_every_write(db, wire, key):
    touched = db.create(Touched(id=key, status="open"))
    db.update(touched, Touched.note.set("n"))
    item = stored(db, Touched, key)
    assert item["recent"] == {"S": f"open#{item['changed']['S']}"}
    touched.note = "m"
    db.save(touched)
    item = stored(db, Touched, key)
    assert item["recent"] == {"S": f"open#{item['changed']['S']}"}
    refused(wire, lambda: db.update(Touched, key, Touched.note.set("x")), "recent", "status is not known")


def test_an_upsert_by_key_stores_the_parts_of_the_key(db, key):
    made = db.upsert(Counter, f"s#{key}%23", Counter.count.add(2))
    assert (made.scope, made.name, made.count) == ("s", key + "#", 2)
    item = stored(db, Counter, made.pk)
    assert item["inverted"] == {"S": f"{key}%23#s"}
    again = db.upsert(Counter, Counter.count.add(3), scope="s", name=key + "#")
    assert again.count == 5
    assert again.made == made.made


def test_an_update_of_a_new_object_goes_by_its_key(db, key):
    db.upsert(Counter(scope="s", name=key), Counter.count.add(1))
    assert db.get(Counter, scope="s", name=key).count == 1
