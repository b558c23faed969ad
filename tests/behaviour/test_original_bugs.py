"""Bugs of the Go original, by their numbers in the list of the project, each as a test that it is not here.

More on each:

 1, 2, 3  names and values of a request     tests/expressions
 4, 5     the choice of an index            test_query_choose.py, test_query.py
 6        the text of an update             test_placeholders.py, tests/expressions
 7        values that look like code        test_placeholders.py, tests/expressions
 8        one form in every verb            test_names.py, test_batch_write.py, test_transactions.py
 9        transactions                      test_transactions.py, tests/faults/test_transactions_several.py
10        create never overwrites           test_items.py, tests/lossy
11        batches encode once               tests/faults/test_batch_write.py
12        what is left out                  test_omit_empty.py
13        append and append_or_create       test_update_expressions.py, test_append_only.py
14        exact aggregates                  test_aggregates.py
15        nothing printed, no value logged  test_extensions.py, tests/bad_input
"""

import json
import logging
import os
import re
import subprocess
import sys
import traceback
from datetime import datetime
from decimal import Decimal
from typing import ClassVar

import pytest

from dynamorm import (
    DB,
    Attr,
    Codec,
    Model,
    Presets,
    attr,
    created_at,
    gsi,
    partition_key,
    sort_key,
    updated_at,
    version,
)
from dynamorm.codec.strict import dumps
from dynamorm.effects import TransportError
from dynamorm.errors import AlreadyExists, DynamORMError, Outcome, TransactionCancelled, ValidationError
from dynamorm.testing import reply
from tests.faults.scripted import Scripted
from tests.support.faults import Store

from .kit import stored

# ------------------------------------------------- 9. transactions: 25 at most, the wrong one blamed, no token, not atomic


class Line(Model, table="lines"):
    id: Attr[str] = partition_key()
    cents: Attr[int] = attr(default=0)


def test_09_a_transaction_takes_a_hundred_blames_the_right_one_takes_a_token_and_is_atomic(face_kind):
    """The original refused the 26th, blamed another operation, chose the token itself, and had one that was not atomic."""
    store = Store({"lines": ("id",)})
    store.seed("lines", id="x57", cents=1)

    def script(request):
        status, body = store(request.operation, request.json)
        return reply(body, status)

    here = Scripted(face_kind, script)

    def post(count, token=None):
        with here.db.transaction(token=token) as tx:
            for number in range(count):
                tx.create(Line(id=f"x{number}"), label=f"line {number}")

    with pytest.raises(TransactionCancelled, match=r"operation 57 \(create Line, 'line 57'\)") as caught:
        post(100, token="caller's own")
    assert [at for at, reason in enumerate(caught.value.reasons) if reason] == [57]
    assert caught.value.reasons[57].item.cents == 1
    assert store.changes == []  # nothing of it
    store.clear()
    post(100, token="caller's own")
    assert len(store.tables["lines"]) == 100
    assert {one.operation for one in here.driver.requests} == {"TransactWriteItems"}
    assert {one.json["ClientRequestToken"] for one in here.driver.requests} == {"caller's own"}
    with pytest.raises(ValidationError, match="100"):
        post(101)
    assert len(here.driver.requests) == 2


# ----------------------------------------------------------------------------------------- 11. a batch that encoded twice


class Sealed(Model, table="sealed"):
    """Its secret is never sealed the same way twice, as with encryption."""

    turns: ClassVar[list[int]] = []

    id: Attr[str] = partition_key()
    secret: Attr[str] = attr(
        Codec(encode=lambda text: f"{Sealed.seal()}:{text[::-1]}", decode=lambda text: text.partition(":")[2][::-1])
    )

    @classmethod
    def seal(cls):
        cls.turns.append(len(cls.turns))
        return len(cls.turns)


def test_11_an_item_that_a_batch_sends_again_is_byte_for_byte_the_same(face_kind):
    """The original encrypted anew with each retry what was encrypted already."""
    store, bodies = Store({"sealed": ("id",)}), []

    def script(request):
        asked = request.json["RequestItems"]["sealed"]
        bodies.append({one["PutRequest"]["Item"]["id"]["S"]: json.dumps(one) for one in asked})
        if len(bodies) == 1:
            return TransportError("receive", "reset", sent=True)
        done, left = (asked, []) if len(bodies) > 5 else (asked[:1], asked[1:])
        store("BatchWriteItem", {"RequestItems": {"sealed": done}})
        return reply({"UnprocessedItems": {"sealed": left} if left else {}})

    Sealed.turns.clear()
    here = Scripted(face_kind, script)
    some = [Sealed(id=f"s{number}", secret=f"card {number}") for number in range(6)]
    assert here.db.batch_write(some).ok
    assert len(bodies) > 5
    assert len(Sealed.turns) == 6
    assert all(len({body[one.id] for body in bodies if one.id in body}) == 1 for one in some)
    assert here.db.inner._session.plan(Sealed).codec.decode(dumps(store.item("sealed", "s5"))).secret == "card 5"


# -------------------------------------------------------------------- 6, 8, 10, 12, 13, 14, 15: writes and what they say


class Address(Model, naming="camelCase"):
    street_name: Attr[str]
    house_number: Attr[int] = attr(default=0)


class Order(Model, table="orders", naming="camelCase"):
    order_id: Attr[str] = partition_key()
    ship_to: Attr[Address | None] = attr(default=None)
    history: Attr[list[Address]] = attr(default_factory=list)
    flags: Attr[set[str]] = attr(default_factory=set)
    note: Attr[str] = attr(default="", omit_empty=True)
    count: Attr[int] = attr(default=0, omit_empty=True)
    tags: Attr[list[str] | None] = attr(default=None)
    price: Attr[Decimal] = attr(default=Decimal(0))
    created_at: Attr[datetime] = created_at()
    updated_at: Attr[datetime] = updated_at()
    row_version: Attr[int] = version()


PROGRAM = """
from dynamorm import DB, Attr, Model, Presets, attr, partition_key
from dynamorm.models.expressions.compile import Placeholders, condition_text, update_text

class Bag(Model, table="bags"):
    id: Attr[str] = partition_key()
    words: Attr[set[str]] = attr(default_factory=set)
    more: Attr[set[int]] = attr(default_factory=set)
    rest: Attr[dict[str, int]] = attr(default_factory=dict)
    note: Attr[str | None] = attr(default=None)

with DB(Presets.local_development(endpoint="http://127.0.0.1:1")) as db:
    plan = db._session.plan(Bag)
    places = Placeholders()
    changes = [Bag.words.add(set("fedcba")), Bag.note.remove(), Bag.more.set(set(range(99))), Bag.rest["x"].set(1)]
    print(update_text(changes, places, plan.update_operand))
    print(condition_text(Bag.words == set("fedcba"), places, plan.operand))
    print(places.names, places.values)
"""


def test_06_the_text_of_an_update_is_the_same_in_every_process():
    """It followed the order of a hash map, which differs from run to run."""

    def text(seed):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        made = subprocess.run(
            [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, env=environment
        )
        return made.stdout

    (only,) = {text(seed) for seed in ("0", "1", "2")}
    assert only.startswith("SET #n2 = :v1, #n3.#n4 = :v2 REMOVE #n1 ADD #n0 :v0\n#n0 = :v3\n")


LIFECYCLE = {"createdAt", "updatedAt", "rowVersion", "_wt"}


@pytest.mark.engine
def test_08_every_verb_writes_nested_objects_and_lifecycle_fields_in_one_form(db, key):
    """Nested objects were written under one naming and read under another, so data was lost."""

    def order(verb):
        home, work = Address(street_name="Home", house_number=1), Address(street_name="Work")
        return Order(order_id=f"{key}-{verb}", ship_to=home, history=[home, work], flags={"a"}, price=Decimal("1.50"))

    db.create(order("create"))
    db.put(order("put"))
    db.save(order("save"))
    db.batch_write([order("batch")])
    with db.transaction() as tx:
        tx.create(order("tx create"))
        tx.put(order("tx put"))
    whole = order("update")
    db.create(Order(order_id=whole.order_id))
    changes = [getattr(Order, name).set(getattr(whole, name)) for name in ("ship_to", "history", "flags", "price")]
    db.update(Order, whole.order_id, *changes)
    changed = db.create(Order(order_id=f"{key}-changed"))
    changed.ship_to, changed.history = whole.ship_to, whole.history
    changed.flags, changed.price = whole.flags, whole.price
    db.save(changed)
    verbs = ("create", "put", "save", "batch", "tx create", "tx put", "update", "changed")
    items = {verb: stored(db, Order, f"{key}-{verb}") for verb in verbs}
    wanted = {
        "shipTo": {"M": {"streetName": {"S": "Home"}, "houseNumber": {"N": "1"}}},
        "history": {
            "L": [
                {"M": {"streetName": {"S": "Home"}, "houseNumber": {"N": "1"}}},
                {"M": {"streetName": {"S": "Work"}, "houseNumber": {"N": "0"}}},
            ]
        },
        "flags": {"SS": ["a"]},
        "price": {"N": "1.5"},
    }
    for verb, item in items.items():
        assert {name: item[name] for name in wanted} == wanted, verb
        assert item.keys() - wanted.keys() == LIFECYCLE | {"orderId"}, verb
        assert item["rowVersion"] == {"N": "1" if verb in {"update", "changed"} else "0"}, verb
        for name in ("createdAt", "updatedAt"):
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z", item[name]["S"]), verb
        found = db.get(Order, f"{key}-{verb}", consistent=True)
        assert (found.ship_to, found.history) == (whole.ship_to, whole.history), verb


@pytest.mark.engine
def test_10_create_never_overwrites(db, key):
    db.create(Order(order_id=key, note="first"))
    with pytest.raises(AlreadyExists) as caught:
        db.create(Order(order_id=key, note="second"))
    assert caught.value.item.note == "first"
    with pytest.raises(TransactionCancelled), db.transaction() as tx:
        tx.create(Order(order_id=key, note="third"))
    with pytest.raises(AlreadyExists):
        db.save(Order(order_id=key, note="fourth"))
    assert db.require(Order, key, consistent=True).note == "first"
    db.put(Order(order_id=key, note="last"))  # to replace is said by its own verb
    assert db.require(Order, key, consistent=True).note == "last"


@pytest.mark.engine
def test_12_an_update_leaves_alone_what_is_left_out_when_empty(db, key):
    """Fields with omit_empty that an update did not name were removed or overwritten by it."""
    db.create(Order(order_id=key, note="kept", count=7))
    db.update(Order, key, Order.price.set(Decimal(2)))
    partly = db.require(Order, key, consistent=True)
    partly.price = Decimal(3)
    db.save(partly)
    found = stored(db, Order, key)
    assert (found["note"], found["count"], found["price"]) == ({"S": "kept"}, {"N": "7"}, {"N": "3"})
    db.update(Order, key, Order.note.set(""))  # the same notion of empty as in create
    found = stored(db, Order, key)
    assert "note" not in found
    assert found["count"] == {"N": "7"}


@pytest.mark.engine
def test_13_append_or_create_makes_the_list_that_append_wants(db, key):
    db.create(Order(order_id=key))
    with pytest.raises(ValidationError) as caught:
        db.update(Order, key, Order.tags.append("a"))
    assert caught.value.outcome is Outcome.NOT_APPLIED
    for tag in ("a", "b"):
        db.update(Order, key, Order.tags.append_or_create(tag))
    assert db.update(Order, key, Order.tags.append("c")).tags == ["a", "b", "c"]


@pytest.mark.engine
def test_14_aggregates_are_exact(db, key):
    """They were added up as 64-bit floats: cents vanished, and large numbers lost their ends."""
    large = 2**53 + 1
    db.batch_write([Account(tenant=key, number=large), Account(tenant=key, number=1), Account(tenant=key, number=2)])
    query = db.model(Account).where(Account.tenant == key)
    assert query.sum("number") == large + 3
    assert (query.min("number"), query.max("number")) == (1, large)
    prices = [Decimal("0.1"), Decimal("0.2"), Decimal("1234567890123456789012345678.1")]
    db.batch_write([Order(order_id=f"{key}{at}", price=price) for at, price in enumerate(prices)])
    mine = db.model(Order).where(Order.order_id.begins_with(key)).allow_scan()
    assert mine.sum("price") == Decimal("1234567890123456789012345678.4")
    assert float(sum(prices)) != sum(prices)


@pytest.mark.engine
def test_15_nothing_is_printed_and_no_value_is_logged(db, key, capfd, caplog):
    """Items were printed for debugging, card numbers included."""
    secret = "4111-1111-1111-1111"
    with caplog.at_level(logging.DEBUG):
        made = db.create(Order(order_id=key, note=secret))
        made.note = f"{secret}!"
        db.save(made)
        db.update(Order, key, Order.note.set(secret), condition=Order.note != secret)
        errors = []
        for call in (
            lambda: db.create(Order(order_id=key, note=secret)),
            lambda: db.update(Order, key, Order.count.add(1), condition=Order.note != secret),
            lambda: db.update(Order, key, Order.count.set(secret)),
            lambda: db.update(Order, key, Order.tags.append(secret)),
            lambda: db.put(Order(order_id=key, note=secret), condition=Order.note == f"{secret}?"),
            lambda: db.get(Order, key, secret),
        ):
            with pytest.raises(DynamORMError) as caught:
                call()
            errors.append("".join(traceback.format_exception(caught.value, limit=0)))
        db.batch_write([Order(order_id=f"{key}b", note=secret)])
        db.model(Order).where(Order.order_id == key).filter(Order.note == secret).all()
        db.delete(Order, key)
    assert capfd.readouterr() == ("", "")
    assert secret not in caplog.text
    assert all(secret not in text for text in errors)
    assert secret not in repr(Order.note == secret) + repr(Order.note.set(secret))


# ------------------------------------------------------------------ 1, 2, 3, 4, 5, 7: queries and their placeholders


class Account(Model, table="accounts"):
    tenant: Attr[str] = partition_key()
    number: Attr[int] = sort_key()
    status: Attr[str] = attr(default="open")
    name: Attr[str] = attr(default="")
    capital: Attr[str] = attr(default="", name="Name")
    closed: Attr[str | None] = attr(default=None)
    by_status = gsi("a-status", partition="status", sort="number")
    by_closed = gsi("a-closed", partition="tenant", sort="closed")
    by_name = gsi("a-name", partition="name", projection="KEYS_ONLY")


MODELS = [Account, Order]


@pytest.fixture(scope="module")
def accounts(engine, made):
    with DB(Presets.local_development(endpoint=engine.endpoint, table_prefix=made)) as db:
        for tenant in ("ours", "theirs"):
            for number in range(6):
                status = ("open", "held", "done")[number % 3]
                db.put(Account(tenant=tenant, number=number, status=status, name=f"n{number}", capital=f"N{number}"))


def numbers(query):
    return [one.number for one in query.all()]


@pytest.mark.engine
def test_01_a_group_does_not_change_the_values_beside_it(db, accounts, wire):
    """A group's :v1 replaced the parent's, and with it the tenant."""
    group = (Account.status == "open") | (Account.status == "done")
    query = db.model(Account).where(Account.tenant == "ours").filter(group)
    found = query.filter((Account.name == "n0") | (Account.name == "n5")).all()
    assert [(one.tenant, one.number) for one in found] == [("ours", 0), ("ours", 5)]
    values = wire.last["ExpressionAttributeValues"]
    assert [one["S"] for one in values.values()] == ["ours", "open", "done", "n0", "n5"]


@pytest.mark.engine
def test_02_or_and_and_keep_their_parentheses(db, accounts, wire):
    """``a OR b AND c`` without parentheses means ``a OR (b AND c)``."""
    either = (Account.status == "open") | (Account.status == "held")
    assert numbers(db.model(Account).where(Account.tenant == "ours").filter(either, Account.name == "n1")) == [1]
    assert wire.last["FilterExpression"].startswith("(")
    assert numbers(db.model(Account).where(Account.tenant == "ours", ~either)) == [2, 5]


@pytest.mark.engine
def test_03_names_that_differ_in_case_only_are_two_names(db, accounts, wire):
    query = db.model(Account).where(Account.tenant == "ours").where("name", "=", "n4").where("Name", "=", "N4")
    assert numbers(query) == [4]
    assert sorted(wire.last["ExpressionAttributeNames"].values()) == ["Name", "name", "tenant"]
    assert numbers(query.where("Name", "=", "n4")) == []


@pytest.mark.engine
def test_04_the_table_is_read_before_an_index_and_never_one_that_lacks_something(db, accounts, wire):
    """A global index was preferred: eventually consistent, and without the items that lack its key."""
    query = db.model(Account).where(Account.tenant == "ours")
    assert len(query.consistent().all()) == 6
    assert "IndexName" not in wire.last
    assert wire.last["ConsistentRead"] is True
    with pytest.raises(ValidationError, match="eventually consistent"):
        db.model(Account).where(Account.status == "open").consistent().all()
    with pytest.raises(ValidationError, match="only part of each item"):
        db.model(Account).where(Account.name == "n1").all()
    assert len(query.where(Account.closed.not_exists()).all()) == 6  # not one of them is in the index by closed


@pytest.mark.engine
def test_05_the_order_of_conditions_is_free_and_a_scan_must_be_allowed(db, accounts, wire):
    """The first "=" was taken for the partition key; what did not fit became a silent scan."""
    terms = [("status", "=", "open"), ("number", ">", 1), ("tenant", "=", "ours")]
    for order in (terms, terms[::-1], [terms[1], terms[2], terms[0]]):
        query = db.model(Account)
        for term in order:
            query = query.where(*term)
        assert numbers(query) == [3]
        assert (wire.calls[-1][0], wire.last["KeyConditionExpression"]) == ("Query", "#n0 = :v0 AND #n1 > :v1")
    wire.clear()
    with pytest.raises(ValidationError, match=r"allow_scan\(\)"):
        db.model(Account).where("capital", "=", "N1").all()
    assert wire.names == []
    assert len(db.model(Account).where("capital", "=", "N1").allow_scan().all()) == 2


@pytest.mark.engine
@pytest.mark.parametrize(
    "text", ["'; DROP TABLE accounts; --", "<script>alert(1)</script>", "a OR 1=1", "#n0 = :v0", "${x}", "\\", "\x00"]
)
def test_07_a_value_is_bound_whatever_it_looks_like(db, key, wire, text):
    """Values were refused for words that looked like an injection."""
    db.create(Account(tenant=key, number=1, name=text))
    assert numbers(db.model(Account).where("tenant", "=", key).where("name", "=", text)) == [1]
    assert all(name.startswith("#n") for name in wire.last["ExpressionAttributeNames"])
    assert text not in wire.last["KeyConditionExpression"] + wire.last["FilterExpression"] or text == "#n0 = :v0"
