"""Rules that read other items: a chain of records, whose head is read, and written in the transaction of each write."""

import asyncio

import pytest

from dynamorm import Attr, Model, attr, composite, partition_key, sort_key, version
from dynamorm.effects import Call
from dynamorm.errors import (
    AccessDenied,
    AlreadyExists,
    ConditionFailed,
    ConfigError,
    MissingItem,
    Outcome,
    TransactionCancelled,
    ValidationError,
)
from dynamorm.plugin import WriteRule

from .kit import Recorder, store, stored

pytestmark = pytest.mark.engine


class Payment(Model, table="payments"):
    id: Attr[str] = partition_key()
    of: Attr[str] = attr(default="")
    amount: Attr[int] = attr(default=0)
    points: Attr[int] = attr(default=0, also_read=("old_points",))
    version: Attr[int] = version()


class Head(Model, table="heads"):
    of: Attr[str] = partition_key()
    count: Attr[int] = attr(default=0)
    version: Attr[int] = version()


class Named(Model, table="named-heads"):
    pk: Attr[str] = partition_key(composite("HEAD#{of}"))
    of: Attr[str]
    count: Attr[int] = attr(default=0)
    version: Attr[int] = version()


class Record(Model, table="records"):
    of: Attr[str] = partition_key()
    number: Attr[int] = sort_key()
    verb: Attr[str]
    amount: Attr[int | None] = attr(default=None)


MODELS = [Payment, Head, Named, Record]


class Chain:
    """Each write of a payment adds a record to a chain, and moves its head."""

    name = "chain"

    def __init__(self, of):
        self.rule = Linked(of)

    def write_rule(self, schema):
        return self.rule if schema.model is Payment else None


class Linked(WriteRule):
    def __init__(self, of):
        self.of = of

    def contribute(self, draft):
        head = draft.read(Head, self.of)
        amount = None
        if draft.verb in {"update", "delete"} and draft.obj is None and draft.context.reads.late:
            amount = int((draft.stored_item() or {}).get("amount", {}).get("N", "-1"))
        if head is None:
            head = Head(of=self.of)
        head.count += 1
        draft.add("save", head)
        draft.add("create", Record(of=self.of, number=head.count, verb=draft.verb, amount=amount))


def chain(db, key):
    return [record.verb for record in db.model(Record).where(Record.of == key).consistent().all()]


def test_each_verb_goes_on_with_the_chain(plugged, key):
    db = plugged(Chain(key))
    payment = db.create(Payment(id=key))
    payment.amount = 1
    db.save(payment)
    db.update(payment, Payment.amount.add(1))
    db.update(Payment, key, Payment.amount.add(1))
    assert db.increment(Payment, key, Payment.amount, by=2) == 5
    db.put(db.get(Payment, key))
    db.upsert(Payment, f"{key}u", Payment.amount.set(1))
    db.delete(Payment, key)
    assert chain(db, key) == ["create", "save", "update", "update", "update", "put", "update", "delete"]
    assert db.get(Head, key).count == 8
    numbers = [record.number for record in db.model(Record).where(Record.of == key).all()]
    assert numbers == list(range(1, 9))


def test_a_write_that_is_refused_leaves_the_chain(plugged, key):
    db = plugged(Chain(key))
    db.create(Payment(id=key))
    with pytest.raises(AlreadyExists):
        db.create(Payment(id=key))
    with pytest.raises(ConditionFailed):
        db.update(Payment, key, Payment.amount.set(5), condition=Payment.amount == 9)
    with pytest.raises(MissingItem):
        db.update(Payment, f"{key}-none", Payment.amount.set(5))
    assert chain(db, key) == ["create"]
    assert db.get(Head, key).count == 1


def test_what_others_write_meanwhile_is_not_missed(plugged, key):
    db = plugged(Chain(key))
    db.create(Payment(id=f"{key}-0"))

    def work(number):
        made = db.create(Payment(id=f"{key}-{number + 1}"))
        db.update(made, Payment.amount.add(1))

    db.concurrently(work, 5)
    assert sorted(chain(db, key)) == ["create"] * 6 + ["update"] * 5
    assert db.get(Head, key).count == 11
    assert [record.number for record in db.model(Record).where(Record.of == key).all()] == list(range(1, 12))


def test_an_operation_of_a_transaction_is_built_at_its_end(plugged, key):
    db = plugged(Chain(key))
    db.create(Payment(id=key, amount=7))
    with db.transaction() as tx:
        tx.update(Payment, key, Payment.amount.add(1), label="first")
        tx.create(Record(of=f"{key}-other", number=1, verb="besides"))
    assert chain(db, key) == ["create", "update"]
    assert db.get(Record, key, 2).amount == 7
    assert db.get(Payment, key).amount == 8

    def refused():
        with db.transaction() as tx:
            tx.create(Record(of=f"{key}-other", number=1, verb="again"), label="mine")
            tx.delete(Payment, key, label="second")

    with pytest.raises(TransactionCancelled) as cancelled:
        refused()
    assert [reason and reason.label for reason in cancelled.value.reasons] == ["mine", None]
    assert chain(db, key) == ["create", "update"]
    with db.transaction() as tx:
        tx.delete(Payment, key)
    assert db.get(Record, key, 3).amount == 8
    assert db.get(Payment, key) is None


def test_what_is_read_is_read_once_for_each_verb(plugged, key):
    wire = Recorder()
    db = plugged(Chain(key), wire)
    db.create(Payment(id=key))
    assert wire.names == ["GetItem", "TransactWriteItems"]
    wire.clear()
    db.update(db.get(Payment, key), Payment.amount.set(1))
    assert wire.names[:3] == ["GetItem", "GetItem", "TransactWriteItems"]
    wire.clear()
    db.create(Record(of=f"{key}x", number=1, verb="no rule of this model reads"))
    assert wire.names == ["PutItem"]


def test_a_rule_that_reads_without_end_is_stopped(plugged, key):
    class Endless(WriteRule):
        def contribute(self, draft):
            for number in range(1000):
                draft.read(Head, f"{key}-{number}")

    class Plugin:
        name = "endless"

        def write_rule(self, schema):
            return Endless() if schema.model is Payment else None

    db = plugged(Plugin())
    with pytest.raises(ValidationError, match="at most 200 other items"):
        db.create(Payment(id=key))
    assert stored(db, Payment, key) is None


def test_a_condition_of_the_callers_is_not_tried_again(plugged, key):
    wire = Recorder()
    db = plugged(Chain(key), wire)
    db.create(Payment(id=key))
    wire.clear()
    with pytest.raises(ConditionFailed):
        db.delete(Payment, key, condition=Payment.amount == 9)
    assert wire.names.count("TransactWriteItems") == 1


class Stamped(WriteRule):
    """Stores what a service tells, which is asked by a coroutine."""

    verbs = ("create", "update")

    def __init__(self):
        self.asked = 0
        self.failing = None

    async def tell(self):
        self.asked += 1
        if self.failing is not None:
            raise self.failing
        return f"told {self.asked}"

    def flow(self):
        return (yield Call(lambda: asyncio.run(self.tell()), self.tell))

    def contribute(self, draft):
        draft.set("of", draft.fetch("what is told", self.flow))


def test_a_rule_waits_for_what_a_coroutine_tells(plugged, key):
    rule = Stamped()

    class Plugin:
        name = "stamps"

        def write_rule(self, schema):
            return rule if schema.model is Payment else None

    db = plugged(Plugin())
    payment = db.create(Payment(id=key))
    assert (payment.of, rule.asked) == ("told 1", 1)
    assert db.update(payment, Payment.amount.set(2)).of == "told 2"
    with db.transaction() as tx:
        tx.update(Payment, key, Payment.amount.add(1))
        tx.create(Payment(id=f"{key}b"))
    assert rule.asked == 3
    assert [db.get(Payment, one).of for one in (key, f"{key}b")] == ["told 3", "told 3"]
    rule.failing = AccessDenied("not told")
    for write in (lambda: db.create(Payment(id=f"{key}c")), lambda: in_a_transaction(db, f"{key}c")):
        with pytest.raises(AccessDenied) as refused:
            write()
        assert refused.value.outcome is Outcome.NOT_APPLIED
    assert stored(db, Payment, f"{key}c") is None


def in_a_transaction(db, key):
    with db.transaction() as tx:
        tx.create(Payment(id=key))


def test_a_batch_does_not_wait(plugged, key):
    class Batched(Stamped):
        verbs = ("put",)
        in_batches = True

    class Plugin:
        name = "stamps"

        def write_rule(self, schema):
            return Batched() if schema.model is Payment else None

    with pytest.raises(ValidationError, match="which nobody fetches here"):
        plugged(Plugin()).batch_write(puts=[Payment(id=key)])


class Ruled:
    """Gives a model its rule."""

    def __init__(self, model, rule):
        self.name = type(rule).__name__
        self.of_model, self.rule = model, rule

    def write_rule(self, schema):
        return self.rule if schema.model is self.of_model else None


def test_an_operation_is_of_the_values_that_its_object_had(plugged, key):
    db = plugged(Chain(key))
    payment = Payment(id=key, amount=1)
    with db.transaction() as tx:
        tx.create(payment)
        payment.amount = 555
    assert db.get(Payment, key).amount == 1
    loaded = db.get(Payment, key)
    loaded.amount = 2
    with db.transaction() as tx:
        tx.save(loaded)
        loaded.amount = 1
    assert db.get(Payment, key).amount == 2


def test_what_is_read_and_written_has_a_version(plugged, key):
    class Total(WriteRule):
        verbs = ("create",)

        def __init__(self, verb):
            self.verb = verb

        def contribute(self, draft):
            other = draft.read(Record, key, 1)
            if other is not None:
                draft.add(self.verb, other)

    plugged().create(Record(of=key, number=1, verb="none"))
    with pytest.raises(ConfigError, match="declare version"):
        plugged(Ruled(Payment, Total("save"))).create(Payment(id=key))

    class Put(WriteRule):
        verbs = ("create",)

        def contribute(self, draft):
            draft.add("put", draft.read(Head, key))

    plugged().create(Head(of=key))
    with pytest.raises(ConfigError, match=r'draft\.add\("save"'):
        plugged(Ruled(Payment, Put())).create(Payment(id=key))


def test_what_is_fetched_is_of_the_rule_that_asked(plugged, key):
    class Asking(WriteRule):
        verbs = ("create",)

        def __init__(self, field, answer):
            self.field, self.answer = field, answer

        def flow(self):
            return self.answer
            yield

        def contribute(self, draft):
            draft.set(self.field, draft.fetch("key", self.flow))

    class Other(Asking):
        pass

    db = plugged(Ruled(Payment, Asking("of", "a")), Ruled(Payment, Other("amount", 7)))
    payment = db.create(Payment(id=key))
    assert (payment.of, payment.amount) == ("a", 7)

    class Wrong(Asking):
        flow = 5

    db = plugged(Ruled(Payment, Wrong("of", "")))
    with pytest.raises(ConfigError, match="takes a function that gives a flow"):
        db.create(Payment(id=f"{key}x"))


def test_a_dry_run_shows_what_a_rule_that_reads_makes(plugged, key):
    db = plugged(Chain(key))
    db.create(Payment(id=key))
    seen = db.explain(lambda view: view.update(Payment, key, Payment.amount.set(3)))
    assert seen is not None
    assert db.get(Payment, key).amount == 0


def test_operations_of_one_transaction_go_on_with_one_chain(plugged, key):
    wire = Recorder()
    db = plugged(Chain(key), wire)
    for turn in range(2):  # without a head, and with one
        wire.clear()
        with db.transaction() as tx:
            for number in range(3):
                tx.create(Payment(id=f"{key}-{turn}-{number}"))
        (request,) = [body for name, body in wire.calls if name == "TransactWriteItems"]
        assert len(request["TransactItems"]) == 3 + 3 + 1
        assert db.get(Head, key).count == 3 * (turn + 1)
    assert [record.number for record in db.model(Record).where(Record.of == key).all()] == list(range(1, 7))
    with db.transaction() as tx:
        tx.update(Payment, f"{key}-0-0", Payment.amount.add(1))
        tx.delete(Payment, f"{key}-0-1")
        tx.save(Payment(id=f"{key}-new"))
    assert chain(db, key)[6:] == ["update", "delete", "create"]
    assert db.get(Head, key).count == 9
    assert db.get(Head, key).version == 2


def test_a_head_may_have_a_composite_key(plugged, key):
    class Counting(WriteRule):
        verbs = ("create",)

        def contribute(self, draft):
            head = draft.read(Named, of=key) or Named(of=key)
            head.count += 1
            draft.add("save", head)

    db = plugged(Ruled(Payment, Counting()))
    for turn in range(2):
        with db.transaction() as tx:
            tx.create(Payment(id=f"{key}-{turn}-a"))
            tx.create(Payment(id=f"{key}-{turn}-b"))
        head = db.get(Named, of=key)
        assert (head.count, head.version) == (2 * (turn + 1), turn)


def test_one_chain_in_one_transaction_misses_nothing_of_others(plugged, key):
    db = plugged(Chain(key))
    db.create(Payment(id=f"{key}-first"))

    def work(number):
        with db.transaction() as tx:
            tx.create(Payment(id=f"{key}-{number}-a"))
            tx.create(Payment(id=f"{key}-{number}-b"))

    db.concurrently(work, 4)
    assert db.get(Head, key).count == 9
    assert [record.number for record in db.model(Record).where(Record.of == key).all()] == list(range(1, 10))


def test_an_operation_in_another_form_keeps_its_place_in_the_chain(plugged, key):
    """What is stored under another name is found by a look, and then the updates are built again; the chain goes on as before."""
    wire = Recorder()
    db = plugged(Chain(key), wire)
    for number in range(3):
        store(db, Payment, {"id": {"S": f"{key}-{number}"}, "old_points": {"N": "10"}})
    with db.transaction() as tx:
        for number in range(3):
            tx.update(Payment, f"{key}-{number}", Payment.points.add(number))
    assert wire.names.count("TransactWriteItems") == 2
    assert [stored(db, Payment, f"{key}-{number}")["points"] for number in range(3)] == [
        {"N": str(10 + number)} for number in range(3)
    ]
    assert db.get(Head, key).count == 3
    assert [record.number for record in db.model(Record).where(Record.of == key).all()] == [1, 2, 3]


def test_an_item_that_several_rules_check_is_checked_once(plugged, key):
    class Checked(WriteRule):
        verbs = ("create",)

        def contribute(self, draft):
            draft.add("check", draft.read(Head, key))

    plugged().create(Head(of=key))
    wire = Recorder()
    db = plugged(Ruled(Payment, Checked()), wire)
    with db.transaction() as tx:
        tx.create(Payment(id=f"{key}-a"))
        tx.create(Payment(id=f"{key}-b"))
    (request,) = [body for name, body in wire.calls if name == "TransactWriteItems"]
    assert [next(iter(part)) for part in request["TransactItems"]] == ["Put", "ConditionCheck", "Put"]


def test_two_writes_of_one_head_that_do_not_go_on_are_refused(plugged, key):
    class Careless(WriteRule):
        verbs = ("create",)

        def contribute(self, draft):
            draft.read(Head, key)
            draft.add("update", Head, key, Head.count.add(1))

    plugged().create(Head(of=key))
    db = plugged(Ruled(Payment, Careless()))

    def both():
        with db.transaction() as tx:
            tx.create(Payment(id=f"{key}-a"))
            tx.create(Payment(id=f"{key}-b"))

    with pytest.raises(
        ValidationError, match=r"added by the rule Careless of Payment; .*reads the item \(draft\.read\) and saves"
    ):
        both()
    assert db.get(Head, key).count == 0
