"""What plugins add and what is refused for it: the error names who added it, not the caller."""

import pytest

from dynamorm import Attr, Model, attr, partition_key, sort_key, version
from dynamorm.errors import AlreadyExists, ConditionFailed, TransactionCancelled, ValidationError
from dynamorm.plugin import ReadRule, WriteRule

pytestmark = pytest.mark.engine


class Payment(Model, table="payments"):
    id: Attr[str] = partition_key()
    amount: Attr[int] = attr(default=0)
    version: Attr[int] = version()


class Event(Model, table="events"):
    of: Attr[str] = partition_key()
    number: Attr[int] = sort_key()


MODELS = [Payment, Event]


class Announce(WriteRule):
    """Adds an event that is there already."""

    verbs = ("create", "save", "update", "delete")

    def __init__(self, key, verb="create"):
        self.key, self.verb = key, verb

    def contribute(self, draft):
        if self.verb == "create":
            draft.add("create", Event(of=self.key, number=1))
        else:
            draft.add("delete", Event, self.key, 2, must_exist=True)


class Outbox:
    name = "outbox"

    def __init__(self, rule):
        self.rule = rule

    def write_rule(self, schema):
        return self.rule if schema.model is Payment else None


class Receipts:
    name = "receipts"

    def __init__(self, key):
        self.key = key

    def finish(self, transaction):
        transaction.add("create", Event(of=self.key, number=1))


@pytest.fixture
def taken(plugged, key):
    """A key whose event is there already, and a payment."""
    db = plugged()
    db.create(Event(of=key, number=1))
    db.create(Payment(id=f"{key}-there"))
    return key


def writes(db, key):
    there = f"{key}-there"
    loaded = db.get(Payment, there)
    loaded.amount = 7
    return [
        lambda: db.create(Payment(id=key)),
        lambda: db.save(loaded),
        lambda: db.update(Payment, there, Payment.amount.add(1)),
        lambda: db.delete(Payment, there),
    ]


@pytest.mark.parametrize("number", range(4))
def test_a_refused_write_that_a_rule_added_names_the_rule(plugged, taken, number):
    db = plugged(Outbox(Announce(taken)))
    with pytest.raises(AlreadyExists) as caught:
        writes(db, taken)[number]()
    assert "create Event, added by the rule Announce of Payment: a Event with this key exists already" in str(
        caught.value
    )
    db = plugged(Outbox(Announce(taken, "delete")))
    with pytest.raises(
        ConditionFailed, match="delete Event, added by the rule Announce of Payment: no Event is stored"
    ):
        writes(db, taken)[number]()


def test_a_refused_write_that_a_plugin_added_to_the_transaction_names_the_plugin(plugged, taken):
    db = plugged(Receipts(taken))
    with pytest.raises(AlreadyExists, match="create Event, added by receipts: a Event with this key exists already"):
        db.create(Payment(id=taken))


def test_a_transaction_tells_who_added_what(plugged, taken):
    db = plugged(Outbox(Announce(taken)))

    def commit():
        with db.transaction() as tx:
            tx.create(Payment(id=taken), label="mine")

    with pytest.raises(TransactionCancelled) as caught:
        commit()
    assert "operation 0 (create Payment, 'mine')" in str(caught.value)
    assert "create Event, added by the rule Announce of Payment" in str(caught.value)
    assert "added by the rule Announce" in caught.value.reasons[0].error.message


def test_the_caller_s_own_refusal_names_nobody_else(plugged, taken):
    db = plugged(Outbox(Announce(f"{taken}-free")))
    with pytest.raises(AlreadyExists) as caught:
        db.create(Payment(id=f"{taken}-there"))
    assert "Announce" not in str(caught.value)


def test_what_cannot_be_added_by_a_plugin_names_it(plugged, key):
    class Wrong:
        name = "wrong"

        def finish(self, transaction):
            transaction.add("create", {"of": key})

    with pytest.raises(ValidationError, match="the create added to a transaction by the plugin wrong: ") as caught:
        plugged(Wrong()).create(Payment(id=key))
    assert key not in str(caught.value)


def test_what_stands_in_the_place_of_a_write_names_the_rule(plugged, key):
    class Keeps(WriteRule):
        verbs = ("delete",)

        def transform(self, draft):
            return draft.instead("update", *draft.target, Payment.version.set(3))

    with pytest.raises(ValidationError, match="the update in the place of the delete, by the rule Keeps of Payment: "):
        plugged(Outbox(Keeps())).delete(Payment, key)


class Late(ReadRule):
    def __init__(self, way):
        self.way = way

    def contribute(self, draft):
        getattr(draft, self.way)(Event.number > 1)


class Shown:
    name = "shown"

    def __init__(self, way):
        self.way = way

    def read_rule(self, schema):
        return Late(self.way) if schema.model is Event else None


def test_a_rule_that_filters_by_the_key_is_told_what_to_do_and_that_helps(plugged, key):
    db = plugged()
    db.create(Event(of=key, number=1))
    db.create(Event(of=key, number=2))
    queries = [
        lambda db: db.model(Event).where(Event.of == key).all(),
        lambda db: db.model(Event).where(Event.of == key).count(),
        lambda db: list(db.model(Event).where(Event.of == key)),
    ]
    wrong = plugged(Shown("filter"))
    for query in queries:
        with pytest.raises(ValidationError, match=r"the rule Late of Event .*number .*draft\.where") as caught:
            query(wrong)
        assert caught.value.field == "number"
    right = plugged(Shown("where"))
    assert [event.number for event in queries[0](right)] == [2]
    assert queries[1](right) == 1
    assert [event.number for event in queries[2](right)] == [2]
