"""Plugins that ask what each request costs, and are told which verb a call belongs to and why it is made."""

import json

import pytest

from dynamorm import Attr, Model, Unique, attr, partition_key, sort_key, version
from dynamorm.errors import ConfigError, TransactionCancelled
from dynamorm.plugin import Plugin, consumed
from dynamorm.wire.consumed import ConsumedCapacity

from .kit import ask, table_of

pytestmark = pytest.mark.engine


class Payment(Model, table="payments"):
    id: Attr[str] = partition_key()
    amount: Attr[int] = attr(default=0)
    version: Attr[int] = version()


class Order(Model, table="orders"):
    customer: Attr[str] = partition_key()
    number: Attr[int] = sort_key()
    member: Attr[str] = attr(name="ReturnConsumedCapacity", default="TOTAL")


class User(Model, table="users"):
    id: Attr[str] = partition_key()
    email: Attr[str] = attr(Unique())


class Counter(Model, table="counters"):
    """Without a version: an addition is a transaction, and its result is read back."""

    id: Attr[str] = partition_key()
    amount: Attr[int] = attr(default=0)


MODELS = [Payment, Order, User, Counter]


class Cost:
    """Keeps what each call has cost, and whose it was. The whole of what a plugin for costs does."""

    name = "cost"
    return_consumed_capacity = "INDEXES"

    def __init__(self, level="INDEXES"):
        self.return_consumed_capacity = level
        self.calls = []

    def operation(self, next):
        return next

    def observed(self, call, reply, error):
        if error is None:
            self.calls.append((call, json.loads(call.body), consumed(call, reply)))

    @property
    def verbs(self):
        return [None if call.operation is None else call.operation.verb for call, *_ in self.calls]

    @property
    def names(self):
        return [(call.name, call.purpose) for call, *_ in self.calls]

    def units(self):
        return sum(part.read_units + part.write_units for *_, parts in self.calls for part in parts)


def cancelled(db, key):
    def create():
        with db.transaction() as tx:
            tx.create(Payment(id=key))
            tx.create(Order(customer=key, number=9))

    with pytest.raises(TransactionCancelled):
        create()


def committed(db, key, token=None):
    with db.transaction(token=token) as tx:
        tx.put(Order(customer=key, number=3))
        tx.put(Order(customer=key, number=4))


def verbs(db, key):
    """Verbs of every kind: their names, and the calls."""
    query = db.model(Order).where(Order.customer == key)
    return [
        ("create", lambda: db.create(Payment(id=key))),
        ("get", lambda: db.get(Payment, key)),
        ("get", lambda: db.get(Payment, "none" + key)),
        ("get", lambda: db.get(Payment, key, select=["amount"])),
        ("exists", lambda: db.exists(Payment, key)),
        ("put", lambda: db.put(Order(customer=key, number=1))),
        ("update", lambda: db.update(Payment, key, Payment.amount.add(1))),
        ("update", lambda: db.update(Counter, key, Counter.amount.add(1), upsert=True)),
        ("increment", lambda: db.increment(Payment, key, Payment.amount)),
        ("batch_write", lambda: db.batch_write(puts=[Order(customer=key, number=2)])),
        ("batch_get", lambda: db.batch_get(Order, [(key, 1), (key, 2), (key, 99)])),
        ("transact_get", lambda: db.transact_get([(Payment, key), (Order, key, 1)])),
        ("transaction", lambda: committed(db, key)),
        ("transaction", lambda: cancelled(db, key)),
        ("all", query.all),
        ("count", query.count),
        ("iterate", lambda: list(query.page_size(2))),
        ("all", lambda: db.model(Order).allow_scan().all()),
        ("partiql", lambda: db.partiql("SELECT * FROM {table} WHERE id = ?", key, model=Payment)),
        (
            "partiql",
            lambda: db.partiql("UPDATE {table} SET amount = 7 WHERE id = ?", key, model=Payment),
        ),
        ("delete", lambda: db.delete(Order, key, 1)),
        ("delete", lambda: db.delete(db.get(Payment, key, consistent=True))),
    ]  # fmt: skip


def shown(result):
    """A result without the times and keys that differ from run to run."""
    return list(map(shown, result)) if isinstance(result, list) else getattr(result, "amount", type(result))


@pytest.mark.parametrize("level", ["TOTAL", "INDEXES"])
def test_every_request_on_items_asks_once_and_results_are_the_same(plugged, key, level):
    cost = Cost(level)
    asked, unasked = plugged(cost), plugged()
    for number, (verb, call) in enumerate(verbs(asked, f"a{key}")):
        cost.calls.clear()
        result = call()
        assert verb in cost.verbs, number
        for made, body, parts in cost.calls:
            assert body["ReturnConsumedCapacity"] == level
            assert made.body.count(f'"ReturnConsumedCapacity":"{level}"'.encode()) == 1
            if made.name not in {"ExecuteStatement", "ExecuteTransaction"} and verb != "transaction":
                assert {part.index for part in parts} == ({None} if parts else set())
                reads = made.name in {"GetItem", "BatchGetItem", "Query", "Scan", "TransactGetItems"}
                assert all((part.write_units == 0) == reads for part in parts if part.read_units or part.write_units)
        other = verbs(unasked, f"b{key}")[number][1]()
        assert "Scan" in {made.name for made, *_ in cost.calls} or shown(result) == shown(other)


def test_what_a_write_and_a_read_cost_is_told(plugged, key):
    cost = Cost()
    db = plugged(cost)
    db.create(Payment(id=key))
    db.get(Payment, key)
    db.get(Payment, key, consistent=True)
    table = table_of(db, Payment)
    assert [parts for *_, parts in cost.calls] == [
        (ConsumedCapacity(table, None, read, write),) for read, write in ((0.0, 1.0), (0.5, 0.0), (1.0, 0.0))
    ]
    assert cost.units() == 2.5


def test_a_request_that_asks_already_keeps_its_own(plugged, key):
    class Own:
        name = "own"

        def around(self, call):
            def asked(op):
                op.body = op.body[:-1] + b', "ReturnConsumedCapacity" : "NONE"} '
                return call(op)

            return asked

    cost = Cost()
    db = plugged(Own(), cost)
    db.create(Payment(id=key))
    assert db.get(Payment, key, consistent=True).id == key
    assert [body["ReturnConsumedCapacity"] for _, body, _ in cost.calls] == ["NONE", "NONE"]
    assert all(made.body.count(b"ReturnConsumedCapacity") == 1 for made, *_ in cost.calls)
    assert cost.units() == 0


def test_an_attribute_of_that_name_is_none_of_the_request(plugged, key):
    cost = Cost()
    db = plugged(cost)
    order = db.put(Order(customer=key, number=1, member="ReturnConsumedCapacity"))
    assert db.get(Order, key, 1, consistent=True) == order
    assert [body["ReturnConsumedCapacity"] for _, body, _ in cost.calls] == ["INDEXES", "INDEXES"]
    assert cost.units() == 2


def test_the_same_token_is_sent_with_the_same_request(plugged, key):
    cost = Cost("TOTAL")
    db = plugged(cost)
    for _ in range(2):
        committed(db, key, token=key)
    first, second = cost.calls
    assert first[1] == second[1]
    assert sum(part.write_units for part in first[2]) > 0
    assert sum(part.write_units for part in second[2]) == 0
    assert sum(part.read_units for part in second[2]) > 0


def test_two_plugins_are_both_given_what_they_want(plugged, key):
    one, two = Cost("TOTAL"), Cost("INDEXES")
    one.name, two.name = "one", "two"
    db = plugged(one, two)
    db.get(Payment, key)
    assert one.calls[0][1]["ReturnConsumedCapacity"] == two.calls[0][1]["ReturnConsumedCapacity"] == "INDEXES"


@pytest.mark.parametrize("level", ["NONE", True, "total", 1, ["TOTAL"]])
def test_a_level_that_there_is_not_is_refused(plugged, level):
    with pytest.raises(ConfigError, match='return_consumed_capacity of the plugin cost is "TOTAL", "INDEXES" or None'):
        plugged(Cost(level))


def test_requests_on_tables_do_not_ask(plugged, key):
    cost = Cost()
    db = plugged(cost)
    db.tables.describe(Payment)
    assert cost.calls
    assert {made.purpose for made, *_ in cost.calls} == {"internal"}
    assert not any("ReturnConsumedCapacity" in body for _, body, _ in cost.calls)
    assert set(cost.verbs) == {None}


def test_an_explanation_shows_the_request_of_the_verb(plugged, key):
    db = plugged(Cost())
    body = db.model(Payment).where(Payment.id == key).explain().requests[0].body
    assert "ReturnConsumedCapacity" not in body


def test_a_call_tells_its_verb_and_why_it_is_made(plugged, key):
    cost = Cost("TOTAL")
    db = plugged(cost)

    def calls(of):
        cost.calls.clear()
        of()
        return cost.names

    assert calls(lambda: db.create(User(id=key, email=key))) == [("TransactWriteItems", "verb")]
    assert cost.calls[0][0].operation.model is User
    assert cost.calls[0][0].operation.key == (key,)
    assert calls(lambda: db.find_by_unique(User, email=key)) == [("GetItem", "guard"), ("GetItem", "verb")]
    assert cost.verbs == ["find_by_unique"] * 2
    names = calls(lambda: db.update(User, key, User.email.set("other" + key)))
    assert names[0] == ("GetItem", "guard")
    assert ("TransactWriteItems", "verb") in names
    assert set(cost.verbs) == {"update"}
    assert {purpose for _, purpose in calls(lambda: db.repair_unique(User))} == {"internal"}
    assert set(cost.verbs) == {None}
    names = calls(lambda: db.upsert(Counter, key, Counter.amount.add(1)))
    assert names == [("TransactWriteItems", "verb"), ("GetItem", "settle")]
    assert cost.verbs == ["update", "update"]
    db.put(Order(customer=key, number=1))
    calls(lambda: list(db.model(Order).where(Order.customer == key)))
    assert [(made.operation.verb, made.operation.page) for made, *_ in cost.calls] == [("iterate", 0)]


def test_a_call_tells_the_scope_of_its_view(plugged, key):
    cost = Cost()
    view = plugged(cost).view(tenant="t1")
    view.get(Payment, key)
    assert cost.calls[0][0].operation.scope == {"tenant": "t1"}


def test_without_a_plugin_that_looks_at_verbs_no_verb_is_told(plugged, key):
    seen = []

    class Observing:
        name = "observing"

        def observe(self, call, reply):
            seen.append((call.operation, call.purpose, consumed(call, reply)))

    plugged(Observing()).get(Payment, key)
    assert seen == [(None, "verb", ())]


def test_an_asking_plugin_alone_needs_no_moment(plugged, key):
    class Asking(Plugin):
        return_consumed_capacity = "TOTAL"

    db = plugged(Asking())
    db.create(Payment(id=key))
    assert db.get(Payment, key, consistent=True).id == key
    assert "ConsumedCapacity" in ask(db, "GetItem", {"TableName": table_of(db, Payment), "Key": {"id": {"S": key}}})
