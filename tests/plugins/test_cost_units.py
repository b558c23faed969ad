"""The units of a database: as the service reports them, to the unit; and what is said of what it does not report.

`make soak` makes the random run as long as the promise says: 10,000 operations.
"""

import json
import random
from contextlib import suppress
from decimal import Decimal

import pytest

from dynamorm import Attr, Model, Unique, attr, gsi, partition_key, sort_key, version
from dynamorm.errors import ConfigError, DynamORMError, ValidationError
from dynamorm.faces import surrounded
from dynamorm.plugin import VERBS
from dynamorm.plugins.cost import CostPlugin
from tests.behaviour.conftest import key, made, plugged, prefix  # noqa: F401 - fixtures
from tests.behaviour.kit import ask, key_of, table_of
from tests.conftest import ENGINE

pytestmark = pytest.mark.engine

OPERATIONS = 250


class Payment(Model, table="payments"):
    by_merchant = gsi("by-merchant", partition="merchant")
    by_note = gsi("by-note", partition="note", projection="KEYS_ONLY")

    id: Attr[str] = partition_key()
    merchant: Attr[str] = attr(default="m1")
    note: Attr[str | None] = attr(default=None)
    amount: Attr[int] = attr(default=0)
    version: Attr[int] = version()


class Order(Model, table="orders"):
    customer: Attr[str] = partition_key()
    number: Attr[int] = sort_key()
    text: Attr[str] = attr(default="")


class User(Model, table="users"):
    id: Attr[str] = partition_key()
    email: Attr[str] = attr(Unique())


MODELS = [Payment, Order, User]


class Service:
    """What the service itself says, read by other means: the sum of each answer's ConsumedCapacity."""

    name = "service"

    def __init__(self):
        self.read = self.write = Decimal(0)
        self.silent = 0

    def observe(self, call, reply):
        told = json.loads(reply.body, parse_float=Decimal, parse_int=Decimal).get("ConsumedCapacity")
        self.silent += not told
        for one in [told] if isinstance(told, dict) else told or ():
            if "WriteCapacityUnits" in one or ("ReadCapacityUnits" not in one and self.writes(call)):
                self.write += one["CapacityUnits"]
            else:
                self.read += one["CapacityUnits"]

    @staticmethod
    def writes(call):
        if "Execute" not in call.name:
            return "Put" in call.name or "Update" in call.name or "Delete" in call.name or "Write" in call.name
        return b"SELECT" not in call.body


def random_operation(dice, db, key):  # noqa: F811
    """One operation of any kind, on few items, so that conditions fail and items are replaced and moved in indexes."""
    id, number = f"{key}{dice.randrange(12)}", dice.randrange(6)
    text = "x" * dice.choice([0, 10, 900, 1500, 5000, 9000])
    query = db.model(Order).where(Order.customer == id)

    def moved():
        payment = db.get(Payment, id, consistent=True)
        if payment is not None:
            payment.merchant, payment.note = dice.choice(["m1", "m2"]), dice.choice([None, "n1", "n2"])
            db.save(payment)

    def transaction():
        with db.transaction() as tx:
            tx.put(Order(customer=id, number=1, text=text))
            tx.update(Payment, id, Payment.amount.add(1))
            tx.delete(Order, id, 2)

    return dice.choice(
        [
            lambda: db.create(Payment(id=id, note=dice.choice([None, "n1"]))),
            lambda: db.put(Order(customer=id, number=number, text=text)),
            lambda: db.put(Order(customer=id, number=number), condition=Order.text == "never"),
            lambda: db.get(Payment, id, consistent=dice.random() < 0.5),
            lambda: db.get(Order, id, number),
            lambda: db.exists(Payment, id),
            lambda: db.update(Payment, id, Payment.amount.add(1), upsert=dice.random() < 0.5),
            lambda: db.update(Order, id, number, Order.text.set(text)),
            lambda: db.delete(Order, id, number),
            lambda: db.delete(Payment, id),
            lambda: db.increment(Payment, id, Payment.amount),
            moved,
            transaction,
            # Ministack tells of a transactional read units of indexes too, which its own total does not have.
            lambda: db.transact_get([(Payment, id) if ENGINE == "local" else (Order, id, 1), (Order, id, number)]),
            lambda: db.batch_get(Order, [(id, n) for n in range(6)]),
            lambda: db.batch_write(puts=[Order(customer=id, number=n, text=text) for n in range(3)], deletes=[(Order, id, 5)]),
            query.all,
            query.count,
            lambda: list(query.page_size(2)),
            lambda: db.model(Payment).where(Payment.merchant == "m2").all(),
            lambda: db.create(User(id=id, email=f"{key}{dice.randrange(20)}@example.com")),
            lambda: db.partiql("SELECT * FROM {table} WHERE id = ?", id, model=Payment),
        ]
    )  # fmt: skip


def test_the_units_are_those_that_the_service_reports(plugged, key):  # noqa: F811
    after(plugged, key, OPERATIONS)


@pytest.mark.soak
@pytest.mark.timeout(3_600)
def test_the_units_of_10_000_operations_are_those_that_the_service_reports(plugged, key, figure):  # noqa: F811
    units = after(plugged, key, 10_000)
    figure(
        f"costs of 10,000 random operations: {units.read} read and {units.write} write units, as the service reports"
    )


@pytest.mark.local
@pytest.mark.soak
@pytest.mark.timeout(3_600)
def test_the_units_of_10_000_operations_on_dynamodb_local(plugged, key, figure):  # noqa: F811
    units = after(plugged, key, 10_000)
    figure(
        f"costs of 10,000 operations on DynamoDB Local: {units.read} read and {units.write} write units, as it reports"
    )


def after(plugged, key, count):  # noqa: F811
    """The units of so many random operations, which are those of the service."""
    service, cost = Service(), CostPlugin()
    db = plugged(service, cost)
    dice = random.Random(11)
    for _ in range(count):
        with suppress(DynamORMError):
            random_operation(dice, db, key)()
    units = db.costs().units()
    assert (units.read, units.write, units.uncertain) == (service.read, service.write, 0)
    assert units == db.costs().reported.units()
    assert units.read > count / 10
    assert units.write > count / 10
    parts = [db.costs().units(model=model) for model in MODELS]
    assert (sum(part.read for part in parts), sum(part.write for part in parts)) == (units.read, units.write)
    refused = db.costs().estimated.units()
    assert refused.write > 0
    assert service.silent > 0
    return units


def test_units_are_told_by_verb_model_index_and_scope(plugged, key):  # noqa: F811
    db = plugged(CostPlugin())
    db.create(Payment(id=key))
    db.get(Payment, key, consistent=True)
    db.view(tenant="t1").get(Payment, key)
    db.view(tenant="t2", user="u").put(Order(customer=key, number=1))
    costs = db.costs()
    assert costs.units("get").read == Decimal("1.5")
    assert (
        costs.units("get", Payment) == costs.units("get", "Payment") == costs.units(verb="get", model=Payment, index="")
    )
    assert costs.units(tenant="t1").read == Decimal("0.5")
    assert costs.units(model=Order, tenant="t2").write == costs.units(tenant="t2", user="u").write == 1
    assert costs.units(tenant="t2", user="another") == costs.units("update") == costs.units(index="none")
    assert costs.units(index="by-merchant").write == costs.units("create", index="by-merchant").write
    assert costs.units(model=Payment, index="").write == 1
    total = sum(costs.units(index=name).write for name in ("", "by-merchant", "by-note"))
    assert total == costs.units().write
    rows = costs.by_model_and_scope()
    assert list(rows) == [("Order", "tenant=t2, user=u"), ("Payment", ""), ("Payment", "tenant=t1")]
    assert rows["Payment", "tenant=t1"] == costs.units(tenant="t1")
    assert sum(units.write for units in rows.values()) == costs.units().write
    if costs.units(index="by-merchant").write:  # where the engine tells of indexes
        assert costs.units(index="by-merchant").write == 1


def test_what_several_models_are_in_belongs_to_the_models_of_the_tables(plugged, key):  # noqa: F811
    db = plugged(CostPlugin())
    with db.transaction() as tx:
        tx.put(Order(customer=key, number=1))
        tx.create(Payment(id=key))
    costs = db.costs()
    assert costs.units("transaction", Order).write > 0
    assert costs.units("transaction", Payment).write > 0
    assert (
        costs.units("transaction").write
        == costs.units("transaction", Order).write + costs.units("transaction", Payment).write
    )


def test_a_transaction_costs_on_dynamodb_local_twice_what_aws_takes(plugged, key):  # noqa: F811
    """The ledger of estimates is by AWS's documents: 2 units for 1 KB. DynamoDB Local reports 4."""
    db = plugged(CostPlugin(estimate="all"))
    with db.transaction() as tx:
        tx.put(Order(customer=key, number=1))
    costs = db.costs()
    assert costs.estimated.units().write == 2
    assert costs.units().write == (4 if ENGINE == "local" else 2)


@pytest.mark.skipif(ENGINE != "local", reason="ministack charges each read the same, whatever its size")
@pytest.mark.parametrize(("text", "put", "read"), [("", 1, "0.5"), ("x" * 1500, 2, "0.5"), ("x" * 9000, 9, "1.5")])
def test_both_ledgers_agree_where_the_engine_charges_as_aws_does(plugged, key, text, put, read):  # noqa: F811
    db = plugged(CostPlugin(estimate="all"))
    db.put(Order(customer=key, number=1, text=text))
    db.get(Order, key, 1)
    db.get(Order, key, 1, consistent=True)
    db.get(Order, key, 2)
    db.transact_get([(Order, key, 1)])
    db.batch_get(Order, [(key, 1)])
    db.model(Order).where(Order.customer == key).all()
    db.batch_write(puts=[Order(customer=key, number=3)])
    costs = db.costs()
    one = Decimal(read)
    assert costs.estimated.units("put").write == put
    assert costs.estimated.units("get").read == 3 * one + Decimal("0.5")
    assert costs.estimated.units("transact_get").read == 4 * one
    for verb in ("put", "get", "batch_get", "all", "batch_write"):
        assert costs.estimated.units(verb) == costs.units(verb), verb


def test_a_refusal_is_estimated(plugged, key):  # noqa: F811
    db = plugged(CostPlugin())
    db.create(Payment(id=key))
    db.put(Order(customer=key, number=1, text="x" * 3000))
    before = db.costs().units()
    with pytest.raises(DynamORMError):
        db.create(Payment(id=key))
    assert db.costs().estimated.units("create", Payment).write == 1
    with pytest.raises(DynamORMError):
        db.put(Order(customer=key, number=1), condition=Order.text == "other")
    assert db.costs().estimated.units("put").write >= 3, "what was stored is larger than what was to be"
    assert db.costs().units() == before
    assert db.costs().units().uncertain == 0


def test_a_reset_begins_anew(plugged, key):  # noqa: F811
    now = [1_700_000_000.0]
    db = plugged(CostPlugin(clock=lambda: now[0], monotonic=lambda: now[0]))
    db.get(Payment, key)
    now[0] += 90
    costs = db.costs()
    assert costs.window.total_seconds() == 90
    assert costs.since.timestamp() == 1_700_000_000.0
    costs.reset()
    assert db.costs().units().read == 0 == costs.window.total_seconds()
    db.get(Payment, key)
    assert db.costs().units().read == Decimal("0.5")
    assert repr(costs).startswith("<CostReport 0.5 read and 0 write units in ")


def test_measuring_begins_with_the_first_question(plugged, key):  # noqa: F811
    db = plugged()
    db.create(Payment(id=key))
    assert db.costs().units().write == 0
    db.get(Payment, key)
    assert db.costs().units("get").read == Decimal("0.5")


def test_or_with_the_setting(engine, made, key, face_kind):  # noqa: F811
    from dynamorm import Presets
    from tests.support.faces import Face

    face = Face(face_kind, Presets.local_development(endpoint=engine.endpoint, table_prefix=made, cost_tracking=True))
    face.create(Payment(id=key))
    assert face.costs().units("create").write >= 1
    face.close()


def test_a_view_is_measured_with_its_database(plugged, key):  # noqa: F811
    db = plugged()
    view = db.view(tenant="t1")
    with pytest.raises(ConfigError, match="on the database itself"):
        view.costs()
    db.costs()
    view.get(Payment, key)
    assert db.costs().units(tenant="t1") == view.costs().units("get")
    assert view.costs().units().read == Decimal("0.5")


def test_a_late_question_leaves_requests_with_a_token_as_they_are(plugged, key):  # noqa: F811
    """Else the same transaction, sent again with the caller's token, would be another one to the service."""
    db = plugged()

    def pay():
        with db.transaction(token=key) as tx:
            tx.put(Order(customer=key, number=1))

    pay()
    assert db.costs().units().write == 0
    pay()
    costs = db.costs()
    assert costs.units("transaction").write == 0
    assert costs.estimated.units("transaction").write == 2
    db.put(Order(customer=key, number=2))
    assert costs.units("put").write == 1


def test_without_a_question_nothing_is_asked(plugged, key):  # noqa: F811
    service = Service()
    db = plugged(service)
    db.create(Payment(id=key))
    assert service.silent == 1


def test_scopes_beyond_the_limit_are_one(plugged, key):  # noqa: F811
    db = plugged(CostPlugin(max_scopes=2))
    for number in range(5):
        db.view(tenant=f"t{number}").get(Payment, key)
    costs = db.costs()
    assert [costs.units(tenant=f"t{number}").read for number in range(3)] == [Decimal("0.5"), Decimal("0.5"), 0]
    assert costs.units(scope="other").read == Decimal("1.5")


@pytest.mark.parametrize(
    "asked",
    [
        lambda costs: costs.units(5),
        lambda costs: costs.units(model=5),
        lambda costs: costs.units(index=("a",)),
        lambda costs: costs.units(tenant=None),
        lambda costs: costs.estimated.units(b"get"),
    ],
)
def test_a_question_that_is_none(plugged, asked):  # noqa: F811
    with pytest.raises(ValidationError):
        asked(plugged(CostPlugin()).costs())


@pytest.mark.once
def test_many_threads_lose_nothing(plugged, key):  # noqa: F811
    db = plugged(CostPlugin())
    db.concurrently(lambda number: [db.get(Payment, f"{key}{number}") for _ in range(200)], 8)
    assert db.costs().units("get").read == 800


def test_an_answer_that_does_not_tell_is_estimated(plugged, key):  # noqa: F811
    """As with an engine that has no ReturnConsumedCapacity."""

    class Silent:
        name = "silent"

        def around(self, call):
            def asked(op):
                op.body = op.body[:-1] + b',"ReturnConsumedCapacity":"NONE"}'
                return call(op)

            return asked

    db = plugged(Silent(), CostPlugin())
    db.put(Order(customer=key, number=1, text="x" * 1500))
    db.get(Order, key, 1, consistent=True)
    db.update(Payment, key, Payment.note.set("n1"), upsert=True)
    costs = db.costs()
    assert costs.units() == costs.units("delete")
    assert costs.estimated.units("put").write == 2
    assert costs.estimated.units("get").read == 1
    assert db.estimate_monthly_cost().breakdown["write"] > 0
    assert ask(db, "GetItem", {"TableName": table_of(db, Payment), "Key": key_of(db, Payment, (key,))})


def test_a_slip_is_no_zero(plugged, key):  # noqa: F811 - fixtures
    db = plugged(CostPlugin())
    db.create(Payment(id=key))
    db.model(Payment).index("by-merchant").where(Payment.merchant == key).all()
    db.view(tenant="t1").get(Payment, key)
    costs = db.costs()
    for given, meant in (
        ({"verb": "craete"}, "create"),
        ({"verb": "upsert"}, "known are all, average"),
        ({"model": "Paymnet"}, "Payment"),
        ({"index": "by-mrchant"}, "by-merchant"),
        ({"tenat": "t1"}, "tenant"),
    ):
        for book in (costs, costs.reported, costs.estimated):
            verb, model, index = (given.pop(name, None) for name in ("verb", "model", "index"))
            with pytest.raises(ValidationError, match=meant):
                book.units(verb, model, index, **given)
            given |= {name: one for name, one in (("verb", verb), ("model", model), ("index", index)) if one}
    zero = Decimal(0)
    assert costs.units("delete").write == zero  # what was not met may still come
    assert (
        costs.units(model="Refund").write == costs.units(region="eu").write == costs.units(index="by-day").read == zero
    )
    assert costs.units("create", Payment).write > zero
    assert costs.units("get", tenant="t1").read > zero


def test_each_verb_has_its_name():
    named = {name for name, _ in surrounded.VERBS.values()} | {"iterate", "pages"}
    assert set(VERBS) == named


def test_a_second_one_is_told_of_the_first(plugged):  # noqa: F811 - fixtures
    with pytest.raises(ConfigError, match=r"has it already, by Config\(cost_tracking=True\); leave one"):
        plugged(cost_tracking=True).use(CostPlugin())
    db = plugged()
    db.costs()
    with pytest.raises(ConfigError, match=r"both of the class CostPlugin: this database has one already; leave one"):
        db.use(CostPlugin())


@pytest.mark.parametrize(
    ("ask", "named"),
    [
        (lambda view: view.costs(), r"costs\(\)"),
        (lambda view: view.estimate_monthly_cost(), r"estimate_monthly_cost\(\)"),
        (lambda view: view.set_cost_alert(5), r"set_cost_alert\(\.\.\.\)"),
    ],
)
def test_what_a_view_cannot_is_asked_of_the_database(plugged, ask, named):  # noqa: F811 - fixtures
    db = plugged()
    with pytest.raises(ConfigError, match=f"call {named} on the database itself") as caught:
        ask(db.view(tenant="t1"))
    assert "db.use" not in str(caught.value)


def test_an_alert_of_a_view_is_refused_though_costs_are_measured(plugged):  # noqa: F811 - fixtures
    db = plugged(cost_tracking=True)
    with pytest.raises(ConfigError, match=r"call set_cost_alert\(\.\.\.\) on the database itself"):
        db.view(tenant="t1").set_cost_alert(5)


def test_what_is_called_takes_the_alert(plugged):  # noqa: F811 - fixtures
    with pytest.raises(ValidationError, match=r"callback of set_cost_alert is called with \(alert\), and takes \(\)"):
        plugged().set_cost_alert(5, callback=lambda: None)
