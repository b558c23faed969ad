"""Composite keys: what is stored, and every verb by object and by the parts of the key."""

from datetime import UTC, datetime
from enum import Enum
from uuid import UUID

import pytest

from dynamorm import (
    AlreadyExists,
    Attr,
    DuplicateKey,
    Model,
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
from dynamorm.errors import ModelError, UnknownArgument

from .kit import change, store, stored

pytestmark = pytest.mark.engine


class Transaction(Model, table="ledger"):
    pk: Attr[str] = partition_key(composite("tenant_id", "transaction_id"))
    sk: Attr[str] = sort_key(composite("created_at"))
    status_key: Attr[str] = attr(composite("status", "created_at"), name="gsi1sk")
    tenant_id: Attr[str]
    transaction_id: Attr[str]
    amount: Attr[int] = attr(default=0)
    status: Attr[str | None] = attr(default=None)
    created_at: Attr[datetime] = created_at()
    version: Attr[int] = version()
    by_status = gsi("by-status", partition="tenant_id", sort="status_key")


class Kind(Enum):
    ORDER = "ORDER"


class Order(Model, table="orders"):
    pk: Attr[str] = partition_key(composite("CUSTOMER#{customer}#{kind}"))
    sk: Attr[str] = sort_key(composite("ORDER#{number:06d}#{uid}"))
    customer: Attr[str]
    kind: Attr[Kind] = attr(default=Kind.ORDER)
    number: Attr[int]
    uid: Attr[UUID] = attr(default=UUID(int=7))
    note: Attr[str | None] = attr(default=None)
    changed: Attr[datetime] = updated_at()


class Mixed(Model, table="mixed", naming="camelCase"):
    part_key: Attr[str] = partition_key(composite("a_field", "b_field"))
    number: Attr[int] = sort_key()
    a_field: Attr[str]
    b_field: Attr[str]
    text: Attr[str] = attr(default="")


class Profile(Model, table="profiles"):
    pk: Attr[str] = partition_key(composite("USER#{user}"))
    sk: Attr[str] = sort_key(composite("#PROFILE"))
    user: Attr[str]


MODELS = [Transaction, Order, Mixed, Profile]
WHEN = datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_a_key_is_stored_escaped_and_recomputed_from_its_fields(db, key):
    made = db.create(Transaction(tenant_id="acme #1", transaction_id=key, status="open"))
    item = stored(db, Transaction, made.pk, made.sk)
    assert item["pk"] == {"S": f"acme%20%231#{key}"}
    assert item["sk"] == item["created_at"]
    assert item["gsi1sk"] == {"S": f"open#{item['created_at']['S']}"}
    assert item["tenant_id"] == {"S": "acme #1"}
    assert made.pk == item["pk"]["S"]
    assert made.status_key == item["gsi1sk"]["S"]


def test_a_template_has_literals_padding_and_enums(db, key):
    made = db.create(Order(customer=key, number=42))
    assert made.pk == f"CUSTOMER#{key}#ORDER"
    assert made.sk == "ORDER#000042#00000000-0000-0000-0000-000000000007"
    assert db.get(Order, made.pk, made.sk) == made


def test_get_by_parts_is_get_by_the_stored_texts(db, key):
    made = db.create(Transaction(tenant_id="t", transaction_id=key))
    parts = {"tenant_id": "t", "transaction_id": key, "created_at": made.created_at}
    assert db.get(Transaction, **parts) == made
    assert db.require(Transaction, **parts, consistent=True) == made
    assert db.get(Transaction, made.pk, made.sk) == made
    assert db.get(Transaction, pk=made.pk, created_at=made.created_at) == made
    assert db.exists(Transaction, **parts)
    assert not db.exists(Transaction, **{**parts, "tenant_id": "other"})


def test_a_plain_sort_key_goes_with_the_parts_of_the_partition(db, key):
    db.create(Mixed(a_field=key, b_field="#", number=3))
    assert db.get(Mixed, a_field=key, b_field="#", number=3).text == ""
    assert stored(db, Mixed, f"{key}#%23", 3)["aField"] == {"S": key}
    assert db.update(Mixed, Mixed.text.set("new"), a_field=key, b_field="#", number=3).text == "new"
    db.delete(Mixed, a_field=key, b_field="#", number=3)
    assert db.get(Mixed, f"{key}#%23", 3) is None


def test_a_constant_key_needs_no_part(db, key):
    made = db.create(Profile(user=key))
    assert made.sk == "#PROFILE"
    assert db.get(Profile, user=key) == made


@pytest.mark.parametrize(
    "parts",
    [{"tenant_id": "t"}, {}, {"tenant_id": "t", "transaction_id": "x", "created_at": WHEN, "amount": 1}],
    ids=["too few", "none", "too many"],
)
def test_missing_and_unknown_parts_are_named(db, wire, parts):
    with pytest.raises(ValidationError) as caught:
        db.get(Transaction, **parts)
    assert wire.names == []
    if parts:
        assert "tenant_id, transaction_id, created_at" in str(caught.value)


def test_create_refuses_a_taken_key(db, key):
    order = db.create(Order(customer=key, number=1))
    with pytest.raises(AlreadyExists):
        db.create(Order(customer=key, number=1))
    db.create(Order(customer=key, number=2))
    assert db.get(Order, order.pk, order.sk).number == 1


def test_put_of_a_loaded_object_keeps_its_key(db, key):
    made = db.create(Transaction(tenant_id="t", transaction_id=key))
    loaded = db.get(Transaction, made.pk, made.sk)
    loaded.status = "held"
    db.put(loaded)
    item = stored(db, Transaction, made.pk, made.sk)
    assert item["status"] == {"S": "held"}
    assert item["gsi1sk"] == {"S": f"held#{made.sk}"}
    assert item["version"] == {"N": "1"}


def test_put_of_a_new_object_stores_the_key_of_its_own_time(db, key):
    made = db.put(Transaction(tenant_id="t", transaction_id=key))
    assert stored(db, Transaction, made.pk, made.sk)["sk"] == {"S": made.sk}


@pytest.mark.parametrize("verb", ["save", "put", "update", "delete"])
def test_a_changed_part_of_the_key_is_refused_and_named(db, wire, key, verb):
    made = db.create(Transaction(tenant_id="t", transaction_id=key))
    made.transaction_id = key + "x"
    made.amount = 9
    wire.clear()
    with pytest.raises(ValidationError, match=r"Transaction\.transaction_id is part of the key") as caught:
        db.update(made, Transaction.amount.set(3)) if verb == "update" else getattr(db, verb)(made)
    assert caught.value.field == "transaction_id"
    assert wire.names == []


def test_save_of_a_changed_creation_time_in_the_key_is_refused(db, key):
    made = db.create(Transaction(tenant_id="t", transaction_id=key))
    made.created_at = WHEN
    with pytest.raises(ValidationError, match=r"created_at is part of the key"):
        db.save(made)


def test_save_changes_the_index_key_with_its_part(db, wire, key):
    made = db.create(Transaction(tenant_id="t", transaction_id=key, status="open"))
    made.status = "done"
    db.save(made)
    assert stored(db, Transaction, made.pk, made.sk)["gsi1sk"] == {"S": f"done#{made.sk}"}
    made.status = None
    db.save(made)
    assert "gsi1sk" not in stored(db, Transaction, made.pk, made.sk)
    wire.clear()
    db.save(made)
    assert wire.names == []


def test_save_leaves_an_index_key_alone_that_does_not_change(db, wire, key):
    made = db.create(Transaction(tenant_id="t", transaction_id=key, status="open"))
    made.amount = 5
    db.save(made)
    assert "gsi1sk" not in wire.last["ExpressionAttributeNames"].values()


def test_delete_by_object_and_by_parts(db, key):
    one = db.create(Order(customer=key, number=1))
    db.create(Order(customer=key, number=2))
    db.delete(one)
    db.delete(Order, customer=key, kind=Kind.ORDER, number=2, uid=UUID(int=7))
    assert db.model(Order).where(Order.pk == one.pk).all() == []


def test_a_time_written_by_another_program_keeps_the_key_it_was_stored_under(db, key):
    text = "2024-01-01T00:00:00Z"
    item = {
        "pk": {"S": f"t#{key}"},
        "sk": {"S": text},
        "tenant_id": {"S": "t"},
        "transaction_id": {"S": key},
        "created_at": {"S": text},
        "version": {"N": "3"},
    }
    store(db, Transaction, item)
    loaded = db.get(Transaction, f"t#{key}", text)
    loaded.amount = 7
    db.save(loaded)
    loaded.status = "open"
    db.put(loaded)
    db.update(loaded, Transaction.amount.add(1))
    item = stored(db, Transaction, f"t#{key}", text)
    assert item["amount"] == {"N": "8"}
    assert item["gsi1sk"] == {"S": f"open#{text}"}
    db.delete(loaded)
    assert stored(db, Transaction, f"t#{key}", text) is None


def test_fields_that_only_the_key_holds_are_read_from_it(db, key):
    store(db, Order, {"pk": {"S": f"CUSTOMER#{key}%23#ORDER"}, "sk": {"S": f"ORDER#000012#{UUID(int=9)}"}})
    found = db.get(Order, customer=key + "#", kind=Kind.ORDER, number=12, uid=UUID(int=9))
    assert (found.customer, found.number) == (key + "#", 12)


def test_unknown_attributes_survive_beside_composite_keys(db, key):
    made = db.create(Order(customer=key, number=1))
    change(db, Order, (made.pk, made.sk), "SET extra = :v", v={"S": "kept"})
    loaded = db.get(Order, made.pk, made.sk)
    loaded.note = "n"
    db.put(loaded)
    assert stored(db, Order, made.pk, made.sk)["extra"] == {"S": "kept"}


@pytest.mark.parametrize("number", [-1, 1_000_000], ids=["negative", "too long"])
def test_a_number_that_does_not_fit_its_padding_is_refused(db, wire, key, number):
    with pytest.raises(ValidationError, match=r"Order\.sk: number .*(digits|padded)"):
        db.create(Order(customer=key, number=number))
    with pytest.raises(ValidationError, match=r"Order\.sk: number"):
        db.get(Order, customer=key, kind=Kind.ORDER, number=number, uid=UUID(int=7))
    assert wire.names == []


@pytest.mark.parametrize("text", ["\ud800", "x" * 3000], ids=["surrogate", "too long"])
def test_text_that_cannot_be_in_a_key_is_refused(db, wire, text):
    with pytest.raises(ValidationError):
        db.create(Order(customer=text, number=1))
    with pytest.raises(ValidationError):
        db.exists(Order, customer=text, kind=Kind.ORDER, number=1, uid=UUID(int=7))
    assert wire.names == []


def test_the_key_of_an_object_that_has_none_yet_is_refused_by_name(db, wire, key):
    with pytest.raises(
        ValidationError, match=r"Transaction\.sk is computed from created_at, and created_at has no value"
    ):
        db.delete(Transaction(tenant_id="t", transaction_id=key))
    assert wire.names == []


def test_a_composite_is_no_argument_and_no_slot(key):
    with pytest.raises(UnknownArgument, match=r"pk is no argument: it is computed from tenant_id, transaction_id"):
        Transaction(pk="x", tenant_id="t", transaction_id=key)
    made = Transaction(tenant_id="t", transaction_id=key)
    with pytest.raises(AttributeError):
        made.pk = "x"
    assert "pk" not in Transaction.__slots__
    assert made.pk == f"t#{key}"
    assert made.sk is None
    assert f"pk='t#{key}'" in repr(made)
    assert made == Transaction(tenant_id="t", transaction_id=key)


def test_a_composite_on_the_class_is_an_expression():
    assert repr(Transaction.pk == "x") == "<Condition pk = ?>"


def test_a_composite_of_a_secret_field_is_masked():
    class Secret(Model, table="secrets"):
        pk: Attr[str] = partition_key(composite("a", "b"))
        a: Attr[str] = attr(secret=True)
        b: Attr[str]

    assert "hidden" not in repr(Secret(a="hidden", b="x"))


def test_repr_of_an_object_that_cannot_be_stored_does_not_fail():
    order = Order(customer="c", number=-1)
    assert "sk=?" in repr(order)


class Account(Model, table="accounts"):
    pk: Attr[str] = partition_key(composite("ACCOUNT#{tenant}#{number}"))
    tenant: Attr[str]
    number: Attr[int]
    email: Attr[str] = attr(Unique())
    version: Attr[int] = version()


MODELS.append(Account)


def test_unique_attributes_go_with_composite_keys(db, key):
    account = db.create(Account(tenant=key, number=1, email=f"{key}@x"))
    with pytest.raises(DuplicateKey):
        db.create(Account(tenant=key, number=2, email=f"{key}@x"))
    assert db.find_by_unique(Account, email=f"{key}@x") == account
    db.update(account, Account.email.set(f"{key}@y"))
    assert db.find_by_unique(Account, email=f"{key}@x") is None
    account.email = f"{key}@z"
    db.save(account)
    db.delete(Account, tenant=key, number=1)
    assert db.find_by_unique(Account, email=f"{key}@z") is None


class Entry(Model, table="entries", discriminator="kind"):
    pk: Attr[str] = partition_key()
    group: Attr[str | None] = attr(default=None)
    grouped = gsi("grouped", partition="group")


class Note(Entry):
    """Not in the index."""


class Task(Entry):
    pk: Attr[str] = partition_key(composite("TASK#{id}"))
    group: Attr[str | None] = attr(composite("OWNER#{owner}"), init=False)
    id: Attr[str]
    owner: Attr[str | None] = attr(default=None)


MODELS.append(Entry)


def test_a_class_makes_a_key_of_an_index_that_its_base_leaves_out(db, key):
    db.create(Note(pk=f"note {key}"))
    task = db.create(Task(id=key))
    assert task.group is None
    assert "group" not in stored(db, Task, task.pk)
    db.update(task, Task.owner.set(key))
    assert task.group == f"OWNER#{key}"
    assert db.model(Task).where(Task.owner == key).all() == [task]
    db.update(task, Task.owner.set(None))
    assert "group" not in stored(db, Task, task.pk)


def test_a_primary_key_has_a_value_always():
    with pytest.raises(ModelError, match=r"Open\.pk: a composite is stored as text: annotate it as Attr\[str\]$"):

        class Open(Model, table="opened"):
            pk: Attr[str | None] = partition_key(composite("a", "b"))
            a: Attr[str]
            b: Attr[str]
