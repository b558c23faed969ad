"""Rules that plugins add to the writes of a model: an outbox, a soft delete, a seal, a limit; in every verb that writes."""

import itertools

import pytest

from dynamorm import Attr, Model, Unique, attr, composite, partition_key, sort_key, version
from dynamorm.errors import (
    AlreadyExists,
    ConditionFailed,
    ConfigError,
    MissingItem,
    TransactionCancelled,
    ValidationError,
    VersionConflict,
)
from dynamorm.plugin import WriteRule

from .kit import change, stored

pytestmark = pytest.mark.engine


class Payment(Model, table="payments"):
    id: Attr[str] = partition_key()
    amount: Attr[int] = attr(default=0)
    note: Attr[str | None] = attr(default=None)
    gone: Attr[bool] = attr(default=False)
    seal: Attr[str] = attr(default="")
    version: Attr[int] = version()


class Plain(Model, table="plains"):
    id: Attr[str] = partition_key()
    amount: Attr[int] = attr(default=0)
    seal: Attr[str] = attr(default="")


class Account(Model, table="accounts"):
    id: Attr[str] = partition_key()
    email: Attr[str] = attr(Unique())
    seal: Attr[str] = attr(default="")


class Event(Model, table="events"):
    of: Attr[str] = partition_key()
    number: Attr[int] = sort_key()
    verb: Attr[str]


MODELS = [Payment, Plain, Account, Event]


def events(db, key):
    """The verbs of the events that were written for a key."""
    return [event.verb for event in db.model(Event).where(Event.of == key).consistent().all()]


def count(db, key):
    """How many there are."""
    return len(events(db, key))


class Outbox:
    """Each write of a payment writes an event with it."""

    name = "outbox"

    def __init__(self):
        self.number = itertools.count()

    def write_rule(self, schema):
        return Announce(self.number) if schema.model in {Payment, Account} else None


class Announce(WriteRule):
    verbs = ("create", "put", "save", "update", "delete")

    def __init__(self, number):
        self.number = number

    def contribute(self, draft):
        key = draft.plan.codec.key_values(draft.key)[0]
        draft.add("create", Event(of=key, number=next(self.number), verb=draft.verb))


def test_a_write_that_a_rule_adds_is_applied_with_each_verb(plugged, key):
    db = plugged(Outbox())
    payment = db.create(Payment(id=key, amount=1))
    payment.amount = 2
    db.save(payment)
    db.update(payment, Payment.amount.add(1))
    db.update(Payment, key, Payment.note.set("x"))
    db.put(payment := db.get(Payment, key))
    assert db.increment(Payment, key, Payment.amount, by=4) == 7
    db.delete(db.get(Payment, key))
    assert events(db, key) == ["create", "save", "update", "update", "put", "update", "delete"]
    assert stored(db, Payment, key) is None


class Noting(WriteRule):
    """Notes each change of an amount, and need not be asked of other updates."""

    verbs = ("create", "update")
    looks_at = ("amount",)

    def __init__(self):
        self.asked = []

    def contribute(self, draft):
        self.asked.append(draft.verb)
        if draft.verb == "update":
            draft.set("note", "changed")


def test_a_rule_is_asked_of_the_updates_that_change_what_it_looks_at(plugged, key):
    rule = Noting()
    db = plugged(type("Notes", (), {"name": "notes", "write_rule": lambda self, schema: rule})())
    db.create(Payment(id=key))
    db.update(Payment, key, Payment.seal.set("s"))
    assert rule.asked == ["create"]
    assert db.get(Payment, key, consistent=True).note is None
    db.update(Payment, key, Payment.seal.set("t"), Payment.amount.add(1))
    assert rule.asked == ["create", "update"]
    found = db.get(Payment, key, consistent=True)
    assert (found.note, found.seal, found.amount) == ("changed", "t", 1)
    db.upsert(Payment, f"{key}-2", Payment.amount.set(3))
    assert rule.asked == ["create", "update", "update"]


def test_a_rule_that_looks_at_everything_is_asked_beside_one_that_does_not(plugged, key):
    some, every = Noting(), Noting()
    every.looks_at = None
    plugins = [
        type(name, (), {"name": name, "write_rule": lambda self, schema, rule=rule: rule})()
        for name, rule in (("Some", some), ("Every", every))
    ]
    db = plugged(*plugins)
    db.create(Payment(id=key))
    db.update(Payment, key, Payment.seal.set("s"))
    assert every.asked == ["create", "update"]


def test_a_write_that_a_rule_adds_is_not_applied_when_the_write_is_refused(plugged, key):
    outbox = Outbox()
    db = plugged(outbox)
    db.create(Payment(id=key))
    other = db.get(Payment, key)
    db.update(Payment, key, Payment.amount.set(5))
    with pytest.raises(AlreadyExists):
        db.create(Payment(id=key))
    with pytest.raises(VersionConflict):
        db.update(other, Payment.amount.set(6))
    with pytest.raises(ConditionFailed):
        db.delete(Payment, key, condition=Payment.amount == 7)
    with pytest.raises(MissingItem):
        db.update(Payment, f"{key}-none", Payment.amount.set(5))
    assert count(db, key) == 2
    assert db.get(Payment, key).amount == 5


def test_a_rule_holds_in_a_transaction(plugged, key):
    outbox = Outbox()
    db = plugged(outbox)
    db.create(Payment(id=key))
    with db.transaction() as tx:
        tx.update(Payment, key, Payment.amount.add(3))
        tx.create(Payment(id=f"{key}b"))
    assert count(db, key) == 2
    assert count(db, f"{key}b") == 1

    def refused():
        with db.transaction() as tx:
            tx.update(Payment, key, Payment.amount.add(3))
            tx.create(Payment(id=f"{key}b"))

    with pytest.raises(TransactionCancelled):
        refused()
    assert (count(db, key), db.get(Payment, key).amount) == (2, 3)


def test_a_rule_joins_what_the_library_writes_itself(plugged, key):
    db = plugged(Outbox())
    account = db.create(Account(id=key, email=f"{key}@example.com"))
    assert count(db, key) == 1
    account.email = f"{key}@example.org"
    db.save(account)
    db.delete(Account, key)
    assert count(db, key) == 3
    assert db.find_by_unique(Account, email=f"{key}@example.org") is None


def test_a_batch_that_cannot_keep_a_rule_is_refused_before_anything_is_sent(plugged, key):
    db = plugged(Outbox())
    with pytest.raises(ValidationError, match=r"Announce looks at each write of a Payment.*db\.create"):
        db.batch_write(puts=[Payment(id=key)])
    with pytest.raises(ValidationError, match="Announce"):
        db.batch_write(deletes=[(Payment, key)])
    assert db.batch_write(puts=[Plain(id=key)]).ok


def test_a_query_deletes_one_by_one_where_a_rule_must_see_each(plugged, key):
    db = plugged(Outbox())
    db.create(Payment(id=key))
    assert db.model(Payment).where(Payment.id == key).delete_all(confirm=True) == 1
    assert count(db, key) == 2


class SoftDelete:
    """What is deleted is marked, and stays."""

    name = "soft delete"

    def write_rule(self, schema):
        return Mark() if schema.model is Payment else None


class Mark(WriteRule):
    verbs = ("delete",)

    def transform(self, draft):
        return draft.instead("update", *draft.target, Payment.gone.set(True), condition=draft.condition)


def test_a_rule_puts_another_write_in_the_place_of_one(plugged, key):
    db = plugged(SoftDelete())
    payment = db.create(Payment(id=key))
    assert db.delete(payment) is None
    assert stored(db, Payment, key)["gone"] == {"BOOL": True}
    assert payment.gone
    db.update(payment, Payment.gone.set(False))
    assert db.delete(Payment, key) is None
    assert db.get(Payment, key).gone
    with pytest.raises(ConditionFailed):
        db.delete(Payment, key, condition=Payment.amount == 9)
    with pytest.raises(MissingItem):
        db.delete(Payment, f"{key}-none")
    with db.transaction() as tx:
        tx.update(Payment, f"{key}c", Payment.amount.set(1), upsert=True)
    with db.transaction() as tx:
        tx.delete(Payment, f"{key}c")
    assert db.get(Payment, f"{key}c").gone
    old = db.get(Payment, key)
    db.update(Payment, key, Payment.amount.set(1))
    with pytest.raises(VersionConflict):
        db.delete(old)
    assert db.model(Payment).where(Payment.id == key).delete_all(confirm=True) == 1
    assert db.get(Payment, key).gone


class Sealing:
    """Each item holds a seal that a rule makes of the verb."""

    name = "seal"

    def write_rule(self, schema):
        return Seal() if schema.model in {Payment, Plain} else None


class Seal(WriteRule):
    verbs = ("create", "put", "save", "update")
    in_batches = True

    def contribute(self, draft):
        draft.set("seal", f"by {draft.verb}")


@pytest.mark.parametrize("model", [Payment, Plain])
def test_what_a_rule_sets_is_stored_and_shown(plugged, key, model):
    db = plugged(Sealing())
    one = db.create(model(id=key))
    assert one.seal == "by create"
    assert stored(db, model, key)["seal"] == {"S": "by create"}
    db.save(one)  # what the rule has set is no change
    one.amount = 5
    db.save(one)
    assert one.seal == "by save"
    assert db.get(model, key).seal == "by save"
    db.update(one, model.amount.add(1))
    assert one.seal == "by update"
    assert db.update(model, key, model.amount.add(1)).seal == "by update"
    one = db.get(model, key)
    db.put(one)
    assert one.seal == db.get(model, key).seal == "by put"
    assert db.upsert(model, f"{key}u", model.amount.add(1)).seal == "by update"
    assert db.update(model, key, model.seal.set("mine"), model.amount.add(1)).seal == "by update"


def test_a_batch_keeps_a_rule_that_only_sets(plugged, key):
    db = plugged(Sealing())
    plains = [Plain(id=f"{key}-{number}") for number in range(3)]
    assert db.batch_write(puts=plains).ok
    assert {plain.seal for plain in plains} == {"by put"}
    assert {db.get(Plain, plain.id).seal for plain in plains} == {"by put"}


class Rising:
    """The amount of a plain item never falls: the rule looks at what is stored."""

    name = "rising"

    def __init__(self):
        self.seen = []
        self.before = None

    def write_rule(self, schema):
        return Rise(self) if schema.model is Plain else None


class Rise(WriteRule):
    verbs = ("put", "save", "update")
    needs_stored = True

    def __init__(self, plugin):
        self.plugin = plugin

    def transform(self, draft):
        item = draft.stored_item()
        wire = None if item is None else item.get("amount")
        self.plugin.seen.append(wire)
        if self.plugin.before is not None:
            self.plugin.before()
        if draft.verb == "put" and wire is not None and draft.obj.amount < int(wire["N"]):
            raise ValidationError("the amount fell", field="amount")
        draft.pin({"amount": wire})

    def relies_on(self, plan, raw):
        item = None if raw is None else plan.codec.decode(raw)
        return None if item is None else item.amount


def test_a_rule_sees_what_is_stored_and_the_write_is_built_anew_when_that_changed(plugged, key):
    rising = Rising()
    db, other = plugged(rising), plugged(kind="blocking")
    db.put(Plain(id=key, amount=5))
    with pytest.raises(ValidationError, match="the amount fell"):
        db.put(Plain(id=key, amount=4))
    db.put(Plain(id=key, amount=6))
    assert rising.seen == [None, {"N": "5"}, {"N": "5"}]

    def meanwhile():
        rising.before = None
        change(other, Plain, (key,), "SET amount = :n", n={"N": "8"})

    rising.before, rising.seen[:] = meanwhile, []
    with pytest.raises(ValidationError, match="the amount fell"):
        db.put(Plain(id=key, amount=7))
    assert rising.seen == [{"N": "6"}, {"N": "8"}]
    rising.before, rising.seen[:] = None, []
    db.update(Plain, key, Plain.seal.set("x"))
    assert rising.seen == [{"N": "8"}]

    def blind():
        with db.transaction() as tx:
            tx.put(Plain(id=key, amount=9))

    rising.seen.clear()
    blind()  # what is stored is read at the end of the block
    assert rising.seen == [{"N": "8"}]
    assert db.get(Plain, key).amount == 9


def test_the_callers_condition_is_told_from_what_a_rule_relies_on(plugged, key):
    rising = Rising()
    db = plugged(rising)
    db.put(Plain(id=key, amount=5))
    rising.seen.clear()
    with pytest.raises(ConditionFailed):
        db.put(Plain(id=key, amount=6), condition=Plain.seal == "other")
    assert rising.seen == [{"N": "5"}]


def test_a_rule_may_refuse(plugged, key):
    class Closed:
        name = "closed"

        def write_rule(self, schema):
            return Refuse()

    class Refuse(WriteRule):
        in_batches = True

        def transform(self, draft):
            raise ValidationError(f"{draft.verb} is closed")

    db = plugged(Closed())
    loaded = plugged().create(Payment(id=key))
    loaded.amount = 7
    calls = {
        "create": lambda: db.create(Payment(id=key)),
        "put": lambda: db.put(Payment(id=key)),
        "save": lambda: db.save(loaded),
        "update": lambda: db.update(Payment, key, Payment.amount.set(1)),
        "delete": lambda: db.delete(Payment, key),
    }
    for verb, call in calls.items():
        with pytest.raises(ValidationError, match=f"{verb} is closed"):
            call()
    with pytest.raises(ValidationError, match="update is closed"):
        db.increment(Payment, key, Payment.amount)
    with pytest.raises(ValidationError, match="put is closed"):
        db.batch_write(puts=[Payment(id=key)])


def test_what_a_rule_cannot_do_is_said(plugged, key):
    class Wrong:
        name = "wrong"

        def __init__(self, rule):
            self.rule = rule

        def write_rule(self, schema):
            return self.rule

    class SetsInADelete(WriteRule):
        verbs = ("delete",)

        def contribute(self, draft):
            draft.set("seal", "x")

    class SetsTooEarly(WriteRule):
        verbs = ("create",)

        def transform(self, draft):
            draft.set("seal", "x")

    class NoVerb(WriteRule):
        verbs = ("create",)

        def contribute(self, draft):
            draft.add("remove", draft.obj)

    class AddsInABatch(WriteRule):
        verbs = ("put",)
        in_batches = True

        def contribute(self, draft):
            draft.add("create", Event(of=key, number=1, verb="put"))

    with pytest.raises(ValidationError, match=r"Payment\.seal cannot be set here in a delete, which stores nothing"):
        plugged(Wrong(SetsInADelete())).delete(Payment, key)
    with pytest.raises(ValidationError, match="set it in contribute"):
        plugged(Wrong(SetsTooEarly())).create(Payment(id=key))
    with pytest.raises(ValidationError, match="'remove' is no verb that writes one item: create, put"):
        plugged(Wrong(NoVerb())).create(Payment(id=key))
    with pytest.raises(ValidationError, match="a rule of Payment adds a condition or another write"):
        plugged(Wrong(AddsInABatch())).batch_write(puts=[Payment(id=key)])


def test_plugins_are_registered_before_the_first_call(plugged, key):
    db = plugged()
    db.use(Sealing())
    assert db.create(Payment(id=key)).seal == "by create"
    with pytest.raises(ConfigError, match="before the first call"):
        db.use(Outbox())
    with pytest.raises(ConfigError, match="two plugins are called outbox"):
        plugged(Outbox(), Outbox())
    with pytest.raises(ConfigError, match="Outbox is a class"):
        plugged().use(Outbox)


class Receipts:
    """A receipt goes with each transaction, once."""

    name = "receipts"

    def __init__(self, key, count=1):
        self.key = key
        self.count = count
        self.number = itertools.count()

    def finish(self, transaction):
        for _ in range(self.count):
            verb = f"{len(transaction.writes)} writes"
            transaction.add("create", Event(of=f"{self.key}-receipts", number=next(self.number), verb=verb))


def test_what_is_added_to_a_transaction_is_applied_once_with_it(plugged, key):
    db = plugged(Receipts(key), Outbox())

    def receipts():
        return events(db, f"{key}-receipts")

    payment = db.create(Payment(id=key))
    db.update(payment, Payment.amount.add(1))
    plain = db.put(Plain(id=key))
    plain.amount = 3
    db.save(plain)
    db.increment(Plain, key, Plain.amount)
    assert (plain.amount, db.get(Plain, key).amount, payment.amount) == (3, 4, 1)
    assert receipts() == ["2 writes", "2 writes", "1 writes", "1 writes", "1 writes"]
    with db.transaction() as tx:
        tx.update(payment, Payment.amount.add(1))
        tx.create(Plain(id=f"{key}2"))
    assert receipts()[5:] == ["3 writes"]
    with pytest.raises(AlreadyExists):
        db.create(Plain(id=key))
    with pytest.raises(ConditionFailed):
        db.delete(Plain, key, condition=Plain.amount == 77)
    assert len(receipts()) == 6
    db.delete(Payment, key)
    assert receipts()[6:] == ["2 writes"]
    assert db.model(Plain).where(Plain.id == key).delete_all(confirm=True) == 1
    assert receipts()[7:] == ["1 writes"]


def test_what_cannot_be_a_transaction_is_refused_where_something_is_added_to_each(plugged, key):
    db = plugged(Receipts(key))
    with pytest.raises(ValidationError, match="the plugin receipts adds to each transaction, and a batch is none"):
        db.batch_write(puts=[Plain(id=key)])
    with pytest.raises(ValidationError, match="the plugin receipts adds to each transaction"):
        db.partiql("DELETE FROM {table} WHERE id = ?", key, model=Plain)
    db.put(Plain(id=key))
    with pytest.raises(ValidationError, match="returning='old'"):
        db.put(Plain(id=key), returning="old")
    assert db.partiql("SELECT * FROM {table} WHERE id = ?", key, model=Plain)[0].id == key
    with pytest.raises(ValidationError, match="not bound to the scope of a view"):
        db.view(tenant="t1").partiql("SELECT * FROM {table} WHERE id = ?", key, model=Plain)


def test_a_transaction_that_is_too_large_says_who_added_what(plugged, key):
    db = plugged(Receipts(key, count=60), Outbox())

    def many():
        with db.transaction() as tx:
            for number in range(11):
                tx.create(Payment(id=f"{key}-{number}"))
            for number in range(11, 50):
                tx.check(Plain, f"{key}-{number}")

    with pytest.raises(
        ValidationError,
        match=r"has 121, 71 of which come with others \(the rule Announce of Payment: 11, receipts: 60\)",
    ):
        many()


def test_two_plugins_that_write_one_item_are_named(plugged, key):
    class Twice(Receipts):
        name = "twice"

    db = plugged(Receipts(key), Twice(key))
    with pytest.raises(ValidationError, match="one of them was added by receipts and twice"):
        db.put(Plain(id=key))


class Parcel(Model, table="parcels"):
    id: Attr[str] = partition_key()
    state: Attr[str] = attr(default="new")
    city: Attr[str] = attr(default="")
    parts: Attr[dict[str, int]] = attr(default_factory=dict)
    tags: Attr[list[int]] = attr(default_factory=list)
    by_state: Attr[str] = attr(composite("state", "city"), init=False)


class Plan(Model, table="plans"):
    id: Attr[str] = partition_key()
    parts: Attr[dict[str, int]] = attr(default_factory=dict)
    tags: Attr[list[int]] = attr(default_factory=list)
    version: Attr[int] = version()


MODELS += [Parcel, Plan]


class Ruled:
    """Gives one model a rule of one function."""

    name = "ruled"

    def __init__(self, model, moment, function, **more):
        self._model = model
        self.rule = type("Rule", (WriteRule,), {moment: lambda _, draft: function(draft), **more})()

    def write_rule(self, schema):
        return self.rule if schema.model is self._model else None


@pytest.mark.parametrize("moment", ["transform", "contribute"])
@pytest.mark.parametrize(
    ("model", "field", "value", "why"),
    [
        (Payment, "id", "other", "a part of the key"),
        (Payment, "version", 77, "kept by the library"),
        (Account, "email", "same@example.com", "Unique"),
        (Parcel, "state", "sent", "a part of by_state"),
        (Parcel, "by_state", "sent#", "computed from others"),
        (Plain, "amuont", 1, "has no field.*did you mean 'amount'"),
    ],
)
def test_what_is_more_than_a_value_is_not_set_by_a_rule(plugged, key, model, field, value, why, moment):
    db, plain = plugged(Ruled(model, moment, lambda draft: draft.set(field, value))), plugged()
    one = model(id=key, email=f"{key}@example.com") if model is Account else model(id=key)
    with pytest.raises(ValidationError, match=why):
        db.create(one)
    with pytest.raises(ValidationError, match=why):
        db.put(one)
    plain.create(one)
    before = stored(plain, model, key)
    if model is Account:
        one.seal = "x"
        change = Account.seal.set("y")
    elif model is Parcel:
        one.tags = [1]
        change = Parcel.tags.set([2])
    else:
        one.amount = 1
        change = model.amount.set(2)
    with pytest.raises(ValidationError, match=why):
        db.save(one)
    with pytest.raises(ValidationError, match=why):
        db.update(one, change)
    assert stored(plain, model, key) == before


@pytest.mark.parametrize("model", [Parcel, Plan])
def test_what_a_rule_sets_takes_the_place_of_what_was_changed_inside(plugged, key, model):
    def contribute(draft):
        draft.set("parts", {"z": 1})
        draft.set("tags", [9])

    db, plain = plugged(Ruled(model, "contribute", contribute)), plugged()
    plain.create(model(id=key, parts={"a": 1}, tags=[1]))
    one = plain.get(model, key)
    one.parts["b"] = 2
    one.tags.append(2)
    db.save(one)
    assert (one.parts, one.tags) == ({"z": 1}, [9])
    assert plain.get(model, key) == one
    one.parts["c"] = 3
    plain.save(one)
    assert plain.get(model, key).parts == {"z": 1, "c": 3}


def test_the_callers_condition_goes_with_the_write_that_takes_the_place_of_its_own(plugged, key):
    db = plugged(
        Ruled(
            Payment,
            "transform",
            lambda draft: draft.instead("update", *draft.target, Payment.gone.set(True)),
            verbs=("delete",),
        )
    )
    db.create(Payment(id=key, amount=1))
    with pytest.raises(ConditionFailed):
        db.delete(Payment, key, condition=Payment.amount == 9)
    assert not db.get(Payment, key).gone
    db.delete(Payment, key, condition=Payment.amount == 1)
    assert db.get(Payment, key).gone


def test_a_condition_that_no_other_verb_can_keep_is_not_lost(plugged, key):
    db = plugged(Ruled(Payment, "transform", lambda draft: draft.instead("create", draft.obj), verbs=("put",)))
    with pytest.raises(ValidationError, match="the put has a condition, and a create takes none"):
        db.put(Payment(id=key), condition=Payment.amount == 9)
    db.put(Payment(id=key))
    with pytest.raises(AlreadyExists):
        db.put(Payment(id=key))


def test_the_old_item_is_not_to_be_had_of_a_write_that_was_replaced(plugged, key):
    db = plugged(SoftDelete())
    db.create(Payment(id=key))
    with pytest.raises(ValidationError, match="a rule puts another write in its place"):
        db.delete(Payment, key, returning="old")
    assert not db.get(Payment, key).gone


class Coroutine(WriteRule):
    async def contribute(self, draft): ...


class Misnamed(WriteRule):
    verbs = ("upsert",)


class Text(WriteRule):
    verbs = "update"


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        (Coroutine(), "contribute of Coroutine is a coroutine"),
        (Misnamed(), r"the verbs of Misnamed are a tuple of .*'upsert'"),
        (Text(), r"the verbs of Text are a tuple of .*'update'"),
        (Announce, "write_rule gave the class Announce"),
    ],
)
def test_a_rule_that_would_never_be_asked_is_refused(plugged, key, rule, why):
    class Mistaken:
        name = "mistaken"

        def write_rule(self, schema):
            return rule

    with pytest.raises(ConfigError, match=why):
        plugged(Mistaken()).create(Payment(id=key))


def test_a_rule_that_makes_writes_without_end_is_told_so(plugged, key):
    def contribute(draft):
        draft.add("update", Payment, f"{key}b", Payment.amount.add(1))

    db = plugged(Ruled(Payment, "contribute", contribute))
    with pytest.raises(ValidationError, match="the rules of Payment make other writes without end") as caught:
        db.create(Payment(id=key))
    assert str(caught.value).count("added to the") == 1


def test_an_increment_that_a_rule_refuses_ends_with_its_refusal(plugged, key):
    db = plugged(Ruled(Payment, "contribute", lambda draft: draft.require(Payment.note == "mine"), verbs=("update",)))
    db.create(Payment(id=key, amount=1))
    with pytest.raises(ConditionFailed):
        db.increment(Payment, key, Payment.amount, by=1)
    assert db.get(Payment, key).amount == 1


class Marking(WriteRule):
    verbs = ("delete",)
    in_batches = True

    def __init__(self, way):
        self.way = way

    def transform(self, draft):
        if self.way == "refuse":
            raise ValidationError("nothing is deleted")
        if self.way == "mark":
            return draft.instead("update", *draft.target, Plain.amount.set(-1))
        if self.way == "forget":
            draft.instead("update", *draft.target, Plain.amount.set(-1))
        return None

    def contribute(self, draft):
        if self.way == "require":
            draft.require(Plain.amount == 9)


class MarkingPlain:
    name = "marking"

    def __init__(self, way):
        self.rule = Marking(way)

    def write_rule(self, schema):
        return self.rule if schema.model is Plain else None


@pytest.mark.parametrize(
    ("way", "what"), [("refuse", "nothing is deleted"), ("mark", "cannot have"), ("require", "cannot have")]
)
def test_a_rule_holds_in_the_deletes_of_a_batch(plugged, key, way, what):
    db = plugged(MarkingPlain(way))
    plain = db.put(Plain(id=key, amount=1))
    for target in ((Plain, key), plain):
        with pytest.raises(ValidationError, match=what):
            db.batch_write(deletes=[target])
    query = db.model(Plain).where(Plain.id == key)
    if way == "mark":
        query.delete_all(confirm=True)
        assert db.get(Plain, key).amount == -1
    else:
        with pytest.raises((ValidationError, ConditionFailed)):
            query.delete_all(confirm=True)
    assert db.get(Plain, key) is not None


def test_a_write_that_is_put_in_the_place_of_one_is_returned(plugged, key):
    db = plugged(MarkingPlain("forget"))
    db.put(Plain(id=key, amount=1))
    with pytest.raises(ConfigError, match="did not return it"):
        db.delete(Plain, key)
    assert db.get(Plain, key).amount == 1


def test_a_check_is_transformed_too(plugged, key):
    db = plugged(Ruled(Plain, "transform", closed, verbs=("check",)))
    db.put(Plain(id=key, amount=1))

    def checked():
        with db.transaction() as tx:
            tx.check(Plain, key, Plain.amount == 1)

    with pytest.raises(ValidationError, match="closed"):
        checked()


def closed(draft):
    raise ValidationError("closed")


def test_an_increment_knows_what_is_stored(plugged, key):
    rising = Rising()
    db = plugged(rising)
    db.put(Plain(id=key, amount=5))
    rising.seen.clear()
    assert db.increment(Plain, key, Plain.amount, by=2) == 7
    assert rising.seen[-1] == {"N": "5"}


@pytest.mark.parametrize(
    ("rule", "what"),
    [
        (type("Flow", (WriteRule,), {"contribute": lambda self, draft: (yield)})(), "has a yield, and nobody runs it"),
        (True, "write_rule gave bool"),
    ],
)
def test_what_nobody_runs_is_refused(plugged, key, rule, what):
    class Odd:
        name = "odd"

        def write_rule(self, schema):
            return rule if schema.model is Plain else None

    with pytest.raises(ConfigError, match=what):
        plugged(Odd()).put(Plain(id=key))


def test_a_condition_of_a_rule_that_fails_names_the_rule(plugged, key):
    class Limit(WriteRule):
        def contribute(self, draft):
            if draft.verb == "update":
                draft.require(draft.plan.model.id == "another")

    class Plain:
        name = "limits"

        def write_rule(self, schema):
            return Limit() if schema.model is Payment else None

    db = plugged(Plain())
    db.create(Payment(id=key))
    change = Payment.amount.add(1)
    with pytest.raises(
        ConditionFailed, match="the condition does not hold for this Payment; the rule Limit has added to it"
    ):
        db.update(Payment, key, change)
    with pytest.raises(TransactionCancelled, match="the rule Limit has added to it"), db.transaction() as tx:
        tx.update(Payment, key, change)
    with pytest.raises(ConditionFailed) as caught:
        db.delete(Payment, key, condition=Payment.amount == 7)
    assert "the rule" not in str(caught.value)
