"""No value of an item is in any span: a secret text goes into every verb, and every span is looked at, in each form it might have."""

import base64
import json
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from dynamorm import AppendOnly, Attr, Model, Unique, attr, gsi, partition_key, sort_key, version
from dynamorm.errors import DynamORMError
from dynamorm.plugin import Plugin, ReadRule, WriteRule
from dynamorm.wire import retry

from .spans import Spans

pytestmark = pytest.mark.engine

SECRET = "4111111111111111hunter2"
NUMBER = 41111111111117


class Payment(Model, table="payments"):
    by_holder = gsi("by-holder", partition="holder")

    id: Attr[str] = partition_key()
    holder: Attr[str] = attr(default=SECRET)
    number: Attr[int] = attr(default=NUMBER)
    exact: Attr[Decimal] = attr(default=Decimal(NUMBER))
    raw: Attr[bytes] = attr(default=SECRET.encode())
    tags: Attr[set[str]] = attr(default_factory=lambda: {SECRET})
    deep: Attr[dict[str, list[str]]] = attr(default_factory=lambda: {SECRET: [SECRET]})
    log: Attr[list[str]] = attr(AppendOnly(), default_factory=list)
    at: Attr[datetime | None] = attr(default=None)
    version: Attr[int] = version()


class Order(Model, table="orders"):
    customer: Attr[str] = partition_key()
    number: Attr[str] = sort_key()
    holder: Attr[str] = attr(default=SECRET)


class User(Model, table="users"):
    id: Attr[str] = partition_key()
    email: Attr[str] = attr(Unique())


class Strange(Model, table="payments"):
    """Of the items of payments it says what is not so."""

    id: Attr[str] = partition_key()
    deep: Attr[dict[str, list[int]]]
    holder: Attr[int]


MODELS = [Payment, Order, User]


def forms():
    """The secrets, and what they would look like as hex, base64, escaped JSON and UTF-16."""
    for text in (SECRET, str(NUMBER)):
        yield text
        for data in (text.encode(), text.encode("utf-16-le")):
            yield data.hex()
            for shift in range(3):  # whatever stands before it
                yield base64.b64encode(b"x" * shift + data).decode().rstrip("=")[4 if shift else 0 : -4]
        yield "".join(f"\\u{ord(letter):04x}" for letter in text)


FORMS = tuple(forms())


def looked_at(spans):
    """The spans as an exporter gives them on, searched."""
    found = spans.ours()
    for span in found:
        text = span.to_json() + repr(dict(span.attributes)) + repr(span.events) + repr(span.status.description)
        for form in FORMS:
            assert form not in text, (span.name, text)
    return found


def good(db, key):
    """Verbs that succeed."""
    name = f"{SECRET}-{key}"
    payments, orders = db.model(Payment), db.model(Order)
    view = db.scoped(tenant=SECRET)

    def committed(token=None):
        with db.transaction(token=token) as tx:
            tx.put(Order(customer=name, number=SECRET))
            tx.update(Payment, name, Payment.holder.set(SECRET), condition=Payment.number >= NUMBER)
            tx.check(User, name, User.email == name)

    return [
        lambda: db.create(Payment(id=name, at=datetime.now(UTC))),
        lambda: db.create(User(id=name, email=name)),
        lambda: db.put(Order(customer=name, number=SECRET)),
        lambda: db.put(Order(customer=name, number="other"), condition=Order.holder != SECRET),
        lambda: db.get(Payment, name),
        lambda: view.get(Payment, name),
        lambda: db.get(Payment, name, select=["holder"]),
        lambda: db.require(Payment, name),
        lambda: db.exists(Payment, name),
        lambda: db.save(_changed(db.require(Payment, name, consistent=True))),
        lambda: db.update(Payment, name, Payment.holder.set(SECRET), condition=Payment.holder.begins_with(SECRET)),
        lambda: db.update(Payment, name, Payment.tags.add({SECRET + "2"}), Payment.log.append(SECRET)),
        lambda: db.upsert(Order, name, SECRET + "u", Order.holder.set(SECRET)),
        lambda: db.increment(Payment, name, Payment.number, by=NUMBER),
        lambda: db.batch_write(puts=[Order(customer=name, number=SECRET + str(n)) for n in range(3)]),
        lambda: db.batch_get(Order, [(name, SECRET), (name, SECRET + "1")]),
        lambda: db.transact_get([(Payment, name), (Order, name, SECRET)]),
        committed,
        lambda: committed(token=SECRET + key[:8]),
        lambda: orders.where(Order.customer == name, Order.number.begins_with(SECRET)).all(),
        lambda: list(orders.where(Order.customer == name).filter(Order.holder == SECRET).page_size(1)),
        lambda: orders.where(Order.customer == name).page_size(1).page(),
        lambda: payments.index("by-holder").where(Payment.holder == SECRET).first(),
        lambda: payments.allow_scan().filter(Payment.deep[SECRET][0] == SECRET).count(),
        lambda: orders.where(Order.customer == name).exists(),
        lambda: db.find_by_unique(User, email=name),
        lambda: db.partiql("SELECT * FROM {table} WHERE id = ?", name, model=Payment),
        lambda: db.partiql(f"SELECT * FROM {{table}} WHERE id = '{name}' AND holder = '{SECRET}'", model=Payment),
        lambda: db.delete(Order, name, SECRET, returning="old"),
        lambda: orders.where(Order.customer == name).delete_all(confirm=True),
    ]  # fmt: skip


def _changed(payment):
    payment.holder += SECRET
    return payment


def bad(db, key):
    """Verbs that fail: refused by the library, by a condition, and by the service."""
    name, deep = f"{SECRET}-{key}", {}
    for _ in range(40):
        deep = {SECRET: [deep]}

    def cancelled():
        with db.transaction() as tx:
            tx.create(Payment(id=name))
            tx.check(User, name, User.email == SECRET)

    def stale():
        one = db.require(Payment, name, consistent=True)
        db.update(Payment, name, Payment.number.add(1))
        one.holder = SECRET + "3"
        db.save(one)

    return [
        lambda: db.create(Payment(id=name)),
        lambda: db.create(User(id=name + "2", email=name)),
        lambda: db.require(Payment, name + "none"),
        lambda: db.get(SECRET, name),
        lambda: db.get(Payment, name, name),
        lambda: db.get(Payment, NUMBER),
        lambda: db.create({"id": name}),
        lambda: db.create(Payment(id=name + "l", holder=SECRET * 20_000)),
        lambda: db.create(Payment(id=name + "d", deep=deep)),
        lambda: db.create(Payment(id=name + "n", number=SECRET)),
        lambda: db.create(Payment(id=name + "x", exact=Decimal(f"1.{NUMBER}{NUMBER}{NUMBER}"))),
        lambda: db.create(Payment(id=name + "h", holder="")),
        lambda: db.create(Payment(id=SECRET * 200)),
        lambda: db.update(Payment, name, Payment.holder.set(SECRET), condition=Payment.holder == SECRET + "no"),
        lambda: db.update(Payment, name, Payment.number.set(SECRET)),
        lambda: db.update(Payment, name, Payment.deep[SECRET + "no"][0].set(SECRET)),
        lambda: db.update(Payment, name + "none", Payment.number.add(NUMBER)),
        lambda: db.delete(Payment, name, condition=Payment.holder == SECRET + "no"),
        stale,
        cancelled,
        lambda: db.batch_get(Order, [SECRET]),
        lambda: db.model(Payment).where(Payment.holder == SECRET, Payment.id > name).all(),
        lambda: db.model(Order).where(Order.customer == name).cursor(SECRET).page(),
        lambda: db.model(Order).where("customer", SECRET, name).all(),
        lambda: db.get(Strange, name),
        lambda: db.model(Order).where(Order.customer == name).one(),
        lambda: db.partiql(f"SELECT '{SECRET}' {SECRET} FROM {{table}}", model=Payment),
        lambda: db.partiql(f"SELECT * FROM {{table}} WHERE id = '{SECRET}", model=Payment),
        lambda: db.partiql("INSERT INTO {table} VALUE {'id': ?, 'number': ?}", name, SECRET, model=Payment),
        lambda: db.partiql(f"UPDATE {{table}} SET number = number + '{SECRET}' WHERE id = '{name}'", model=Payment),
        lambda: db.partiql("UPDATE {table} SET number = number + ? WHERE id = ?", SECRET, name, model=Payment),
        lambda: db.partiql_transaction([(f"UPDATE {{Order}} SET holder = '{SECRET}' + {NUMBER} WHERE customer = '{name}'",)]),
    ]  # fmt: skip


def test_no_verb_that_succeeds_shows_it(plugged, key):
    spans = Spans()

    class Asking(Plugin):
        return_consumed_capacity = "INDEXES"

    db = plugged(Asking(), spans.plugin())
    for call in good(db, key):
        call()
        assert looked_at(spans)


def test_no_verb_that_fails_shows_it(plugged, key):
    spans = Spans()
    db = plugged(spans.plugin())
    db.create(Payment(id=f"{SECRET}-{key}"))
    db.create(User(id=f"{SECRET}-{key}", email=f"{SECRET}-{key}"))
    spans.take()
    failures = 0
    for call in bad(db, key):
        retry._buckets.clear()
        try:
            call()
        except Exception:  # noqa: BLE001 - whichever it is
            failures += 1
        looked_at(spans)
    assert failures > 25


class Loud:
    """Raises the secret wherever a plugin can."""

    def __init__(self, where):
        self.name = f"loud at {where}"
        self.where = where
        setattr(self, where, self._raise)

    def _raise(self, *_):
        raise ValueError(SECRET)


class LoudRule(WriteRule):
    def transform(self, draft):
        raise LookupError(SECRET, draft.obj)


class LoudReadRule(ReadRule):
    def check(self, item, scope):
        raise ValueError(f"{SECRET} {json.dumps(item.attributes)}")


class Rules:
    name = "rules"

    def __init__(self, **rules):
        self.write_rule = lambda schema: rules.get("write")
        self.read_rule = lambda schema: rules.get("read")


@pytest.mark.parametrize(
    "plugin",
    [
        *(
            Loud(where)
            for where in ("pre_query", "post_query", "on_error", "admit", "observed", "observe", "call_ended")
        ),
        Rules(write=LoudRule()),
        Rules(read=LoudReadRule()),
    ],
    ids=lambda one: one.name,
)
def test_no_plugin_that_raises_it_shows_it(plugged, key, plugin):
    spans = Spans()
    quiet, db = plugged(), plugged(plugin, spans.plugin())
    quiet.create(Payment(id=key))
    for call in (
        lambda: db.create(Payment(id=key)),
        lambda: db.get(Payment, key, consistent=True),
        lambda: db.create(Payment(id=key + "2")),
        lambda: db.model(Payment).allow_scan().all(),
    ):
        with suppress(DynamORMError, ValueError, LookupError):
            call()
        assert looked_at(spans)
