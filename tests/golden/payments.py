"""What payments store: records of idempotent operations, the ledger, the outbox, states and refunds, money."""

from __future__ import annotations

from contextlib import suppress

from dynamorm import Attr, Model, attr, partition_key
from dynamorm.errors import StoredFailure
from dynamorm.payments import (
    Ledger,
    Money,
    Outbox,
    PaymentIndexes,
    PaymentMixin,
    Posting,
    RefundMixin,
    ensure_tables,
    refund,
    transition,
)

from .kit import World, story


class Order(Model, table="golden-orders"):
    id: Attr[str] = partition_key()
    amount: Attr[int] = attr(default=0)


def _operations(db, folder, kept):
    db.enable_multi_tenancy()
    ensure_tables(db)
    db.tables.ensure(Order)


class Declined(Exception):
    pass


PAYLOAD = {"id": "o1", "amount": 500, "lines": [1, "two", None]}


def _run(db, key: str, steps: list[str], *, stops: bool = False):
    """An operation with a step; whether it was known, and its answer."""

    def other_side(name: str):
        def called(key: str) -> str:
            steps.append(name)
            return f"result of {name}"

        return called

    with db.idempotent(key, payload=PAYLOAD, scope="charge") as op:
        if not op.replayed:
            result = op.step("charge", other_side("charge"))
            if stops:
                raise ZeroDivisionError
            with op.transaction() as tx:
                tx.put(Order(id=key, amount=500))
            op.respond({"result": result, "list": [1, b"x"]})
    return [op.replayed, op.response]


def _operations_read(here: World, kept):
    steps: list[str] = []
    try:
        with here.db.idempotent("failed", payload=PAYLOAD, scope="charge", final=Declined):
            raise AssertionError("it was run again")
    except StoredFailure as error:
        failed = error.response
    return {
        "done": _run(here.db, "done", steps),
        "of a tenant": _run(here.db.with_tenant("acme"), "done", steps),
        "failed": failed,
        "stopped": _run(here.db, "stopped", steps),  # its step was done, and is not done again
        "steps": steps,
        "order": here.db.require(Order, "stopped"),
    }


@story(_operations, _operations_read, idempotency_key=b"i" * 32)
def idempotent_operations(here: World):
    _run(here.db, "done", [])
    _run(here.db.with_tenant("acme"), "done", [])
    try:
        with here.db.idempotent("failed", payload=PAYLOAD, scope="charge", final=Declined):
            raise Declined("no funds")
    except Declined:
        pass
    with suppress(ZeroDivisionError):
        _run(here.db, "stopped", [], stops=True)


TEN = Money("10.00", "EUR")


def _ledger_read(here: World, kept):
    ledger = Ledger(here.db)
    again = ledger.post([Posting("cash", TEN), Posting("customer:1", -TEN)], id="order-1")
    found = ledger.trial_balance()
    return {
        "replayed": again.replayed,
        "balances": [ledger.balance(name) for name in ("cash", "customer:1", "fees")],
        "of a tenant": Ledger(here.db.with_tenant("acme")).balance("cash"),
        "ok": [found.ok, found.postings, found.by_currency["EUR"]],
        "verified": ledger.verify().ok,
        "reversed": ledger.reverse("order-2", by="order-2-cancelled").replayed,
        "after": ledger.balance("cash"),
    }


def _ledger(db, folder, kept):
    db.enable_multi_tenancy()
    ensure_tables(db)


@story(_ledger, _ledger_read)
def the_ledger(here: World):
    ledger = Ledger(here.db)
    ledger.open("customer:1", "EUR", at_least=Money("-100.00", "EUR"))
    ledger.open("fees", "EUR", shards=4)
    ledger.post([Posting("cash", TEN), Posting("customer:1", -TEN)], id="order-1")
    ledger.post([Posting("cash", TEN), Posting("fees", -TEN)], id="order-2")
    ledger.post([Posting("cash", Money("500", "JPY")), Posting("bank", Money("-500", "JPY"))], id="order-3")
    ledger.reverse("order-3", by="order-3-cancelled")
    Ledger(here.db.with_tenant("acme")).post([Posting("cash", TEN), Posting("sales", -TEN)], id="order-1")


def _outbox_read(here: World, kept):
    sent = []

    def deliver(event):
        sent.append([event.topic, event.seq, event.body.decode(), event.tenant, event.key])
        return 200

    outbox = Outbox(here.db)
    dead = [[event.topic, event.body.decode()] for event in outbox.dead()]
    outbox.run(deliver)
    Outbox(here.db.with_tenant("acme")).run(deliver)
    return {"dead": dead, "sent": sorted(sent)}


@story(_ledger, _outbox_read)
def the_outbox(here: World):
    db = here.db
    outbox = Outbox(db)
    for number in (1, 2):
        with db.transaction() as tx:
            outbox.add(tx, "payment.captured", {"id": f"p{number}"}, key="p1")
    with db.transaction() as tx:
        outbox.add(tx, "payment.failed", {"id": "gone"}, key="dead")
    with db.transaction() as tx:
        outbox.add(tx, "payment.failed", {"id": "later"}, key="tried")
    answers = {"dead": 410, "tried": 500}
    outbox.run(lambda event: answers.get(event.key, 200) if event.seq == 1 else 500)
    view = db.with_tenant("acme")
    with view.transaction() as tx:
        Outbox(view).add(tx, "payment.captured", {"id": "p9"}, key="p1")


class Payment(Model, PaymentMixin, PaymentIndexes, table="golden-payments"):
    id: Attr[str] = partition_key()
    tip: Attr[Money | None] = attr(default=None)


class Refund(Model, RefundMixin, table="golden-refunds"):
    id: Attr[str] = partition_key()


def _payments(db, folder, kept):
    db.tables.ensure(Payment, Refund)


def _payments_read(here: World, kept):
    db = here.db
    payment = db.require(Payment, "p1")
    return {
        "payments": [payment, db.require(Payment, "p2")],
        "refund": db.require(Refund, "r1"),
        "money": payment.money,
        "by index": [one.id for one in db.model(Payment).where(Payment.merchant_id == "m1").all()],
        "replayed": transition(db, payment, "captured", id="capture-1") == payment,
        "refunded": refund(db, payment, Money("40.00", "EUR"), id="r2").status,
    }


@story(_payments, _payments_read)
def payments_and_refunds(here: World):
    db = here.db
    payment = db.create(Payment(id="p1", amount=10000, currency="EUR", merchant_id="m1", tip=Money("1.50", "EUR")))
    payment = transition(db, payment, "authorized", id="authorize-1")
    payment = transition(db, payment, "captured", id="capture-1")
    entry = Refund(id="r1", payment_id="p1", amount=6000, currency="EUR", reason="broken")
    refund(db, payment, Money("60.00", "EUR"), id="r1", record=entry)
    db.create(Payment(id="p2", amount=1, currency="JPY"))
