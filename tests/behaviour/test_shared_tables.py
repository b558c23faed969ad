"""Tables that boto3, PynamoDB and the Go library write too: what they stored is read, and only what was changed is written."""

import dataclasses
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any

import boto3
import pytest
from boto3.dynamodb.types import Binary
from pynamodb import attributes as pynamo
from pynamodb.models import Model as PynamoModel

from dynamorm import Attr, Json, Model, attr, created_at, partition_key, ttl, updated_at, version

from .kit import change, store, stored, table_of

pytestmark = [pytest.mark.engine, pytest.mark.wide]


class Address(Model):
    street: Attr[str] = attr(also_read=("Street",))
    city: Attr[str] = attr(default="", also_read=("City",))


@dataclasses.dataclass
class Line:
    sku: Annotated[str, attr(also_read=("Sku",))]
    count: Annotated[int, attr(also_read=("Count",))] = 1


class Account(Model, table="accounts"):
    id: Attr[str] = partition_key()
    name: Attr[str] = attr(also_read=("Name",))
    balance: Attr[int]
    rate: Attr[float] = attr(default=0.0)
    price: Attr[Decimal] = attr(default=Decimal(0))
    active: Attr[bool] = attr(default=False)
    blob: Attr[bytes]
    note: Attr[str | None] = attr(default=None)
    tags: Attr[set[str]]
    ids: Attr[frozenset[int]]
    names: Attr[list[str]]
    limits: Attr[dict[str, int]]
    profile: Attr[dict[str, Any]] = attr(Json())
    at: Attr[datetime]
    opened: Attr[datetime]
    expires: Attr[datetime | None] = ttl(default=None)
    address: Attr[Address | None] = attr(default=None)
    lines: Attr[list[Line]]
    version: Attr[int] = version()


class Stamped(Model, table="stamped"):
    id: Attr[str] = partition_key()
    amount: Attr[int] = attr(default=0)
    created_at: Attr[datetime] = created_at(name="CreatedAt")
    updated_at: Attr[datetime] = updated_at(name="UpdatedAt")
    version: Attr[int] = version(name="Version")


MODELS = [Account, Stamped]

# ---------------------------------------------------------------------------------------------------------- the writers


def numbers(*values):
    return {"L": [{"N": f"{one}"} for one in values]}


def texts(*values):
    return {"L": [{"S": one} for one in values]}


NULL = {"NULL": True}
GO = {
    "name": {"S": "Ann"},
    "balance": {"N": "500"},
    "rate": {"N": "0.5"},
    "price": {"N": "12.5"},
    "active": {"BOOL": True},
    "note": NULL,
    "limits": {"M": {"day": {"N": "10"}}},
    "profile": {"M": {"plan": {"S": "pro"}, "seats": {"N": "3"}}},
    "at": {"S": "2024-05-06T14:00:00.12+02:00"},
    "opened": {"S": "0001-01-01T00:00:00Z"},
    "expires": {"N": "4102444800"},
    "address": {"M": {"Street": {"S": "Main"}, "City": {"S": "Rome"}}},
    "lines": {"L": [{"M": {"Sku": {"S": "a"}, "Count": {"N": "2"}}}]},
    "version": {"N": "0"},
    "tenant": {"S": "t1"},
    "weights": numbers("1.5", 2),
}
GO_FORMS = {
    "create": {"blob": numbers(1, 255), "tags": {"SS": ["x", "y"]}, "ids": numbers(1, 2), "names": NULL},
    "update": {"blob": {"B": "Af8="}, "tags": texts("x", "y"), "ids": numbers(1, 2), "names": {"L": []}},
    "transaction": {"blob": {"B": "Af8="}, "tags": texts("y", "x"), "ids": numbers(2, 1), "names": {"L": []}},
    "second version": {"blob": {"B": "Af8="}, "tags": {"SS": ["x", "y"]}, "ids": {"NS": ["1", "2"]}, "names": NULL},
}


def go(form):
    def write(db, key):
        store(db, Account, {"id": {"S": key}, **GO, **GO_FORMS[form]})

    return write


def boto(db, key):
    resource = boto3.resource(
        "dynamodb", endpoint_url=db.inner._session.config.endpoint, region_name="us-east-1",
        aws_access_key_id="x", aws_secret_access_key="x",
    )  # fmt: skip
    item = {
        "id": key, "name": "Ann", "balance": 500, "rate": Decimal("0.5"), "price": Decimal("12.50"), "active": True,
        "blob": Binary(b"\x01\xff"), "note": None, "tags": {"x", "y"}, "ids": {1, 2}, "names": [],
        "limits": {"day": 10}, "profile": {"plan": "pro", "seats": 3}, "at": "2024-05-06T12:00:00.120000+00:00",
        "opened": "0001-01-01T00:00:00Z", "expires": 4102444800, "address": {"street": "Main", "city": "Rome"},
        "lines": [{"sku": "a", "count": 2}], "version": 0, "tenant": "t1", "weights": [Decimal("1.5"), 2],
    }  # fmt: skip
    resource.Table(table_of(db, Account)).put_item(Item=item)


class PynamoAddress(pynamo.MapAttribute):
    street = pynamo.UnicodeAttribute()
    city = pynamo.UnicodeAttribute()


class PynamoLine(pynamo.MapAttribute):
    sku = pynamo.UnicodeAttribute()
    count = pynamo.NumberAttribute()


def pynamodb(db, key):
    class Stored(PynamoModel):
        class Meta:
            table_name = table_of(db, Account)
            host = db.inner._session.config.endpoint
            region = "us-east-1"
            aws_access_key_id = aws_secret_access_key = "x"

        id = pynamo.UnicodeAttribute(hash_key=True)
        name = pynamo.UnicodeAttribute()
        balance = pynamo.NumberAttribute()
        rate = pynamo.NumberAttribute()
        price = pynamo.NumberAttribute()
        active = pynamo.BooleanAttribute()
        blob = pynamo.BinaryAttribute(legacy_encoding=False)
        note = pynamo.UnicodeAttribute(null=True)
        tags = pynamo.UnicodeSetAttribute()
        ids = pynamo.NumberSetAttribute()
        names = pynamo.ListAttribute()
        limits = pynamo.MapAttribute()
        profile = pynamo.JSONAttribute()
        at = pynamo.UTCDateTimeAttribute()
        opened = pynamo.UTCDateTimeAttribute()
        expires = pynamo.TTLAttribute()
        address = PynamoAddress()
        lines = pynamo.ListAttribute(of=PynamoLine)
        tenant = pynamo.UnicodeAttribute()
        weights = pynamo.ListAttribute()
        version = pynamo.VersionAttribute()

    Stored(
        id=key, name="Ann", balance=500, rate=0.5, price=12.5, active=True, blob=b"\x01\xff", tags={"x", "y"}, ids={1, 2},
        names=[], limits={"day": 10}, profile={"seats": 3, "plan": "pro"}, at=NOON, opened=ZERO,
        expires=datetime(2100, 1, 1, tzinfo=UTC), address=PynamoAddress(street="Main", city="Rome"),
        lines=[PynamoLine(sku="a", count=2)], tenant="t1", weights=[1.5, 2],
    ).save()  # fmt: skip


NOON = datetime(2024, 5, 6, 12, 0, 0, 120_000, tzinfo=UTC)
ZERO = datetime(1, 1, 1, tzinfo=UTC)
WRITERS = {"boto3": boto, "pynamodb": pynamodb, **{f"go, {form}": go(form) for form in GO_FORMS}}


def ours(key, found):
    return Account(
        id=key, name="Ann", balance=500, rate=0.5, price=Decimal("12.5"), active=True, blob=b"\x01\xff", note=None,
        tags={"x", "y"}, ids=frozenset({1, 2}), names=[], limits={"day": 10}, profile={"plan": "pro", "seats": 3},
        at=NOON, opened=ZERO, expires=datetime(2100, 1, 1, tzinfo=UTC), address=Address(street="Main", city="Rome"),
        lines=[Line("a", 2)], version=found.version,
    )  # fmt: skip


# ------------------------------------------------------------------------------------------------------- the difference


def flat(wire, path=()):
    """Every leaf of a stored item by its path; the elements of a set have no order."""
    if isinstance(wire, dict) and len(wire) == 1 and path:
        ((tag, payload),) = wire.items()
        if tag == "M":
            return {path: "M"} | {
                key: one for name in payload for key, one in flat(payload[name], (*path, name)).items()
            }
        if tag == "L":
            found = {path: "L"}
            for at, one in enumerate(payload):
                found |= flat(one, (*path, at))
            return found
        return {path: (tag, sorted(payload) if isinstance(payload, list) else payload)}
    return {key: one for name in wire for key, one in flat(wire[name], (name,)).items()}


def difference(before, after):
    """The places of an item that differ, joined with dots."""
    old, new = flat(before), flat(after)
    return {".".join(map(str, path)) for path in old.keys() | new.keys() if old.get(path) != new.get(path)}


def load(db, key, how="get"):
    if how == "get":
        return db.get(Account, key, consistent=True)
    return {
        "query": lambda: db.model(Account).where(Account.id == key).consistent().one(),
        "batch": lambda: db.batch_get(Account, [key], consistent=True)[0],
        "transaction": lambda: db.transact_get([(Account, key)])[0],
        "scan": lambda: next(one for one in db.model(Account).allow_scan().consistent() if one.id == key),
    }[how]()


OWN = {"version", "_wt"}
"""What every write of a versioned object changes besides."""


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("how", ["get", "query", "scan", "batch", "transaction"])
def test_what_other_programs_stored_is_read(db, key, writer, how):
    WRITERS[writer](db, key)
    found = load(db, key, how)
    assert found == ours(key, found)


CHANGES = {
    "name": "Bob",
    "balance": 501,
    "rate": 1e21,
    "price": Decimal("0.01"),
    "active": False,
    "blob": b"\x02",
    "note": "hello",
    "tags": {"x", "z"},
    "ids": frozenset({3}),
    "names": ["a"],
    "limits": {"day": 11},
    "profile": {"plan": "free", "seats": 3},
    "at": datetime(2024, 5, 6, 13, tzinfo=UTC),
    "opened": datetime(2024, 5, 6, 13, tzinfo=UTC),
    "expires": datetime(2100, 1, 2, tzinfo=UTC),
}


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("field", CHANGES)
def test_the_stored_difference_is_the_changed_field_version_and_token(db, key, writer, field):
    WRITERS[writer](db, key)
    before = stored(db, Account, key)
    found = load(db, key)
    setattr(found, field, CHANGES[field])
    db.save(found)
    after = stored(db, Account, key)
    told = {path.partition(".")[0] for path in difference(before, after)}
    assert told == OWN | {field}
    assert getattr(load(db, key), field) == CHANGES[field]
    assert {name: after[name] for name in ("tenant", "weights")} == {
        name: before[name] for name in ("tenant", "weights")
    }


@pytest.mark.parametrize("writer", WRITERS)
def test_nothing_is_written_where_nothing_was_changed(db, key, wire, writer):
    WRITERS[writer](db, key)
    found = load(db, key)
    wire.clear()
    db.save(found)
    assert wire.names == []


@pytest.mark.parametrize("writer", WRITERS)
def test_a_change_in_a_transaction_is_written_alone_too(db, key, writer):
    WRITERS[writer](db, key)
    before = stored(db, Account, key)
    found = load(db, key)
    found.balance = 501
    with db.transaction() as tx:
        tx.save(found)
    assert difference(before, stored(db, Account, key)) == OWN | {"balance"}


@pytest.mark.parametrize("writer", WRITERS)
def test_an_update_of_one_field_by_key_changes_that_field_and_the_version(db, key, writer):
    WRITERS[writer](db, key)
    before = stored(db, Account, key)
    found = db.update(Account, key, Account.balance.add(1))
    assert (found.balance, found.tags, found.blob) == (501, {"x", "y"}, b"\x01\xff")
    assert difference(before, stored(db, Account, key)) == {"version", "balance"}


@pytest.mark.parametrize("writer", WRITERS)
def test_a_put_keeps_the_attributes_that_the_model_does_not_know(db, key, writer):
    WRITERS[writer](db, key)
    before = stored(db, Account, key)
    db.put(load(db, key))
    after = stored(db, Account, key)
    assert {name: after[name] for name in ("tenant", "weights")} == {
        name: before[name] for name in ("tenant", "weights")
    }
    assert (after["blob"], after["tags"], after["ids"]["NS"]) == ({"B": "Af8="}, {"SS": ["x", "y"]}, ["1", "2"])


# ------------------------------------------------------------------------------------------------------------- nested


def with_nested_unknown(db, key):
    """An item whose nested values have members that the model does not know."""
    item = {
        "id": {"S": key}, **GO, **GO_FORMS["second version"],
        "address": {"M": {"street": {"S": "Main"}, "city": {"S": "Rome"}, "zip": {"S": "00100"}}},
        "lines": {"L": [{"M": {"sku": {"S": "a"}, "count": {"N": "2"}, "tax": {"N": "0.2"}}}]},
    }  # fmt: skip
    store(db, Account, item)
    return item


def test_an_untouched_nested_value_is_left_as_it_is_stored(db, key):
    before = with_nested_unknown(db, key)
    found = load(db, key)
    found.balance = 501
    db.save(found)
    assert difference(before, stored(db, Account, key)) == OWN | {"balance"}


def test_the_stored_difference_of_a_change_inside_is_that_member(db, key):
    before = with_nested_unknown(db, key)
    found = load(db, key)
    found.address.city = "Oslo"
    db.save(found)
    assert difference(before, stored(db, Account, key)) == OWN | {"address.city"}


def test_the_stored_difference_of_an_appended_element_is_that_element(db, key):
    before = with_nested_unknown(db, key)
    found = load(db, key)
    found.lines.append(Line("b"))
    db.save(found)
    assert difference(before, stored(db, Account, key)) == OWN | {"lines.1", "lines.1.sku", "lines.1.count"}


def test_a_put_keeps_unknown_members_of_nested_values(db, key):
    before = with_nested_unknown(db, key)
    db.put(load(db, key))
    after = stored(db, Account, key)
    assert after["address"]["M"]["zip"] == before["address"]["M"]["zip"]
    assert after["lines"]["L"][0]["M"]["tax"] == before["lines"]["L"][0]["M"]["tax"]


# -------------------------------------------------------------------------------------------------------- other names


def test_a_field_that_was_read_under_another_name_is_written_under_its_own(db, key):
    item = {"id": {"S": key}, **GO, **GO_FORMS["create"]}
    item["Name"] = item.pop("name")
    store(db, Account, item)
    found = load(db, key)
    assert found.name == "Ann"
    found.balance = 501
    db.save(found)
    assert difference(item, stored(db, Account, key)) == OWN | {"balance"}
    found.name = "Bob"
    db.save(found)
    assert difference(item, stored(db, Account, key)) == OWN | {"balance", "name"}
    assert load(db, key).name == "Bob"
    assert db.get(Account, key, select=[Account.name], consistent=True).name == "Bob"


class Nicked(Model, table="stamped"):
    id: Attr[str] = partition_key()
    nick: Attr[str | None] = attr(default=None, also_read=("Nick",))
    address: Attr[Address | None] = attr(default=None, also_read=("Address",))


CLEARED = {
    "save": lambda db, found: setattr(found, "nick", None) or db.save(found),
    "update": lambda db, found: db.update(found, Nicked.nick.set(None)),
    "update by key": lambda db, found: db.update(Nicked, found.id, Nicked.nick.set(None)),
    "removed": lambda db, found: db.update(Nicked, found.id, Nicked.nick.remove()),
    "put": lambda db, found: setattr(found, "nick", None) or db.put(found),
    "upsert": lambda db, found: db.update(Nicked, found.id, Nicked.nick.set(None), upsert=True),
}


@pytest.mark.parametrize("verb", CLEARED)
def test_none_is_read_back_as_none_where_another_name_is_stored_too(db, key, verb):
    store(db, Nicked, {"id": {"S": key}, "Nick": {"S": "Annie"}, "other": {"S": "kept"}})
    found = db.get(Nicked, key, consistent=True)
    assert found.nick == "Annie"
    CLEARED[verb](db, found)
    assert db.get(Nicked, key, consistent=True).nick is None
    assert stored(db, Nicked, key)["other"] == {"S": "kept"}


def test_a_part_of_an_attribute_is_selected_under_every_name(db, key):
    store(db, Nicked, {"id": {"S": key}, "Address": {"M": {"Street": {"S": "Main"}, "City": {"S": "Rome"}}}})
    found = db.get(Nicked, key, select=[Nicked.address[Address.city]], consistent=True)
    assert found.address.city == "Rome"


# ----------------------------------------------------------------------------------------------------- the Go library


@pytest.mark.parametrize(
    "text",
    ["0001-01-01T00:00:00Z", "2024-05-06T14:00:00.123456789+02:00", "2024-05-06T12:00:00Z", "2024-05-06t12:00:00z"],
)
def test_the_times_of_the_library_are_read_and_kept_as_they_are(db, key, text):
    store(db, Stamped, {"id": {"S": key}, "CreatedAt": {"S": text}, "UpdatedAt": {"S": text}, "Version": {"N": "3"}})
    found = db.get(Stamped, key, consistent=True)
    assert found.created_at.tzinfo is UTC
    found.amount = 5
    db.save(found)
    db.put(found)
    after = stored(db, Stamped, key)
    assert (after["CreatedAt"], after["Version"]) == ({"S": text}, {"N": "5"})
    assert after["UpdatedAt"]["S"] > "2026"


def test_a_set_that_another_program_made_a_list_is_a_set_again_after_a_change(db, key):
    go("update")(db, key)
    found = load(db, key)
    found.tags.add("z")
    db.save(found)
    assert stored(db, Account, key)["tags"] == {"SS": ["x", "y", "z"]}
    change(db, Account, (key,), "SET tags = :l", l=texts("z", "a"))
    assert load(db, key).tags == {"z", "a"}
