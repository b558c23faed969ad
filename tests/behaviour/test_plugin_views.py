"""What plugins are shown of a verb: it cannot be written to, and tells the items that the verb is about."""

import pytest

from dynamorm import Attr, Model, attr, partition_key, sort_key, version
from dynamorm.errors import ConfigError, OutcomeUnknown, PluginRefused
from dynamorm.plugin import Plugin, PluginContext, WriteRule
from dynamorm.testing import FaultServer, answers

pytestmark = pytest.mark.engine


class Payment(Model, table="payments"):
    id: Attr[str] = partition_key()
    amount: Attr[int] = attr(default=0)
    version: Attr[int] = version()


class Refund(Payment): ...


class Order(Model, table="orders"):
    customer: Attr[str] = partition_key()
    number: Attr[int] = sort_key()


MODELS = [Payment, Order]


class Seen(Plugin):
    """Keeps what it is shown."""

    def __init__(self):
        self.operations, self.contexts = [], []

    def pre_query(self, ctx, query):
        self.contexts.append(ctx)
        self.operations.append(query)

    @property
    def items(self):
        """Those of the last verb."""
        return [(item.model, item.verb, item.key) for item in self.operations[-1].items]

    @property
    def only(self):
        """The model, the table and the key of the last verb."""
        last = self.operations[-1]
        return last.model, last.table, last.key


# ------------------------------------------------------------------------------------------------------------- read-only


@pytest.mark.parametrize(
    "name", ["verb", "model", "table", "scope", "started", "index", "limit", "took", "page", "items"]
)
def test_a_hook_cannot_write_to_what_it_is_shown(plugged, key, name):
    class Forging(Plugin):
        def pre_query(self, ctx, query):
            for shown in (ctx, query):
                if shown is query or name in PluginContext.__struct_fields__:
                    with pytest.raises(AttributeError):
                        setattr(shown, name, "forged")
                    with pytest.raises(AttributeError):
                        delattr(shown, name)

    seen = Seen()
    db = plugged(Forging(), seen)
    metrics = db.metrics()
    db.put(Payment(id=key))
    assert [ctx.verb for ctx in seen.contexts] == ["put"]
    assert set(metrics.by_verb()) == {"put"}


@pytest.mark.parametrize("view", [False, True])
def test_a_hook_cannot_write_to_the_scope(plugged, key, view):
    class Forging(Plugin):
        def pre_query(self, ctx, query):
            for shown in (ctx, query):
                with pytest.raises(TypeError):
                    shown.scope["tenant"] = "another"

    seen = Seen()
    db = plugged(Forging(), seen)
    (db.view(tenant="t1") if view else db).put(Payment(id=key))
    assert seen.contexts[0].scope == ({"tenant": "t1"} if view else {})


def test_what_a_hook_tries_to_write_refuses_the_verb(plugged, key):
    class Forging(Plugin):
        def pre_query(self, ctx, query):
            query.verb = "get"

    db = plugged(Forging())
    with pytest.raises(PluginRefused, match="put"):
        db.put(Payment(id=key))


def test_layers_and_looks_see_the_same(plugged, key):
    forged = []

    class Forging:
        name = "forging"

        def operation(self, next):
            def layer(operation):
                self.forge(operation)
                return (yield from next(operation))

            return layer

        def began(self, operation):
            self.forge(operation)

        def ended(self, operation, error):
            self.forge(operation)

        def observed(self, call, reply, error):
            self.forge(call.operation)

        def forge(self, operation):
            with pytest.raises(AttributeError):
                operation.verb = "get"
            forged.append(operation.verb)

    plugged(Forging()).put(Payment(id=key))
    assert forged == ["put"] * 4


def test_notes_are_there_to_be_written(plugged, key):
    class Noting(Plugin):
        def pre_query(self, ctx, query):
            query.notes[self] = ctx.verb

        def post_query(self, ctx, query, result):
            assert query.notes == {self: "put"}

    plugged(Noting()).put(Payment(id=key))


# ----------------------------------------------------------------------------------------------------------------- items


def test_a_verb_of_one_item(plugged, made, key):
    seen = Seen()
    db = plugged(seen)
    db.put(Order(customer=key, number=1))
    assert seen.items == [(Order, "put", (key, 1))]
    assert seen.operations[-1].items[0].plan.table == f"{made}orders"
    assert key not in repr(seen.operations[-1].items)
    db.get(Order, customer=key, number=1)
    assert seen.items == [(Order, "get", (key, 1))]
    db.model(Order).where(Order.customer == key).all()
    assert seen.items == []


def test_a_transaction_of_one_model(plugged, made, key):
    seen = Seen()
    db = plugged(seen)
    with db.transaction() as tx:
        tx.create(Payment(id=key))
    assert seen.only == (Payment, f"{made}payments", (key,))
    assert seen.items == [(Payment, "create", (key,))]
    with db.transaction() as tx:
        tx.put(Order(customer=key, number=1))
        tx.put(Order(customer=key, number=2))
    assert seen.only == (Order, f"{made}orders", None)
    assert seen.items == [(Order, "put", (key, 1)), (Order, "put", (key, 2))]


def test_a_transaction_of_several(plugged, key):
    seen = Seen()
    db = plugged(seen)
    payment = db.create(Payment(id=key))
    with db.transaction() as tx:
        tx.update(payment, Payment.amount.add(1))
        tx.save(Payment(id=key + "s"))
        tx.delete(Order, customer=key, number=1)
        tx.check(Order, key, 2, condition=Order.number.not_exists())
    assert seen.only == (None, None, None)
    assert seen.items == [
        (Payment, "update", (key,)), (Payment, "save", (key + "s",)), (Order, "delete", (key, 1)), (Order, "check", (key, 2))
    ]  # fmt: skip


def test_a_transaction_whose_writes_wait_for_a_rule(plugged, made, key):
    class Reads(WriteRule):
        def contribute(self, draft):
            if draft.plan.model is Payment:
                draft.read(Order, key, 9)

    class Ruled(Seen):
        def write_rule(self, schema):
            return Reads()

    seen = Ruled()
    db = plugged(seen)
    with db.transaction() as tx:
        tx.create(Payment(id=key))
        tx.delete(Payment, key + "x")
    assert seen.only == (Payment, f"{made}payments", None)
    assert seen.items == [(Payment, "create", (key,)), (Payment, "delete", (key + "x",))]


def test_batches(plugged, made, key):
    seen = Seen()
    db = plugged(seen)
    orders = [Order(customer=key, number=number) for number in (1, 2, 3)]
    db.batch_write(puts=orders, deletes=[(Order, key, 7), (Order, {"customer": key, "number": 8})])
    assert seen.only == (Order, f"{made}orders", None)
    assert seen.items == [
        (Order, "put", (key, 1)), (Order, "put", (key, 2)), (Order, "put", (key, 3)),
        (Order, "delete", (key, 7)), (Order, "delete", (key, 8)),
    ]  # fmt: skip
    db.batch_write(deletes=orders[:1])
    assert seen.only == (Order, f"{made}orders", (key, 1))
    db.batch_write(puts=[Order(customer=key, number=4), Payment(id=key)])
    assert seen.only == (None, None, None)
    db.batch_get(Order, [(key, 1), {"customer": key, "number": 2}])
    assert seen.items == [(Order, "get", (key, 1)), (Order, "get", (key, 2))]


def test_a_stream_of_objects_is_read_by_the_verb_alone(plugged, key):
    seen = Seen()
    db = plugged(seen)
    result = db.batch_write(puts=(Order(customer=key, number=number) for number in (1, 2)))
    assert len(result.written) == 2
    assert seen.only == (None, None, None)
    assert seen.items == []
    assert len(db.batch_get(Order, iter([(key, 1), (key, 2)]))) == 2
    assert seen.items == []
    assert len(db.transact_get(iter([(Order, key, 1)]))) == 1
    assert seen.items == []


def test_items_of_one_moment(plugged, made, key):
    seen = Seen()
    db = plugged(seen)
    for select in (None, ["id"], {Payment: ["id"]}):
        db.transact_get([(Payment, key)], select=select)
        assert seen.only == (Payment, f"{made}payments", (key,))
    db.transact_get([(Payment, key), (Order, {"customer": key, "number": 1})])
    assert seen.only == (None, None, None)
    assert seen.items == [(Payment, "get", (key,)), (Order, "get", (key, 1))]


def test_two_models_of_one_table(plugged, made, key):
    class Row(Model, table="orders"):
        customer: Attr[str] = partition_key()
        number: Attr[int] = sort_key()
        note: Attr[str] = attr(default="")

    seen = Seen()
    db = plugged(seen)
    metrics = db.metrics()
    db.transact_get([(Row, key, 1), (Order, key, 2)])
    assert seen.only == (None, f"{made}orders", None)
    db.transact_get([(Payment, key), (Order, key, 2)])
    assert {name: one.count for name, one in metrics.by_table().items()} == {"": 2}


def test_a_statement_of_a_model(plugged, made, key):
    seen = Seen()
    db = plugged(seen)
    db.partiql("SELECT * FROM {table} WHERE id = ?", key, model=Payment)
    assert seen.only == (Payment, f"{made}payments", None)


@pytest.mark.parametrize("given", [[3], [("a", "b")], "text", [()], None])
def test_what_the_verb_refuses_it_refuses_itself(plugged, given):
    seen = Seen()
    db = plugged(seen)
    for call in (db.transact_get, lambda given: db.batch_write(puts=given)):
        with pytest.raises(Exception, match=r"transact_get|batch_write|model|puts"):
            call(given)
        assert seen.operations[-1].model is None


# -------------------------------------------------------------------------------------------- refusals by another answer


def test_an_answer_of_admit_behind_a_lost_attempt_leaves_the_outcome_open(plugged, key):
    class Late:
        name = "late"

        def __init__(self):
            self.asked, self.told = 0, []

        def admit(self, call):
            self.asked += 1
            return None if self.asked == 1 else False

        def observed(self, call, reply, error):
            self.told.append((reply is not None, error is not None))

    late = Late()
    with FaultServer(lambda _: answers.reset()) as server:
        db = plugged(late, endpoint=server.endpoint)
        with pytest.raises(OutcomeUnknown) as caught:
            db.put(Payment(id=key))
    assert isinstance(caught.value.earlier[-1], ConfigError)
    assert late.told == [(False, True)]
