"""The money of a payment: only `transition` and `refund` change it, whatever verb is tried. On both faces."""

import pytest

from dynamorm import Attr, Model, partition_key
from dynamorm.errors import ConditionFailed, DynamORMError, TransactionCancelled, ValidationError
from dynamorm.payments import Money, PaymentMixin, Status, refund, transition


class Payment(Model, PaymentMixin, table="guarded-payments"):
    id: Attr[str] = partition_key()


MODELS = (Payment,)
pytestmark = pytest.mark.engine
KEPT = {
    "captured": 5000,
    "refunded": 7,
    "refunds": {"r": 7},
    "transitions": {},
    "transition_id": "other",
}
TERMS = {"amount": 20000, "currency": "JPY"}


@pytest.fixture
def pending(db, key):
    return db.create(Payment(id=key, amount=10000, currency="EUR"))


@pytest.fixture
def paid(db, call, pending):
    return call(transition, db.inner, pending, "captured", id="c1")


def saved(db, payment, name, value):
    setattr(payment, name, value)
    db.save(payment)


def transacted(db, payment, name, value):
    with db.transaction() as tx:
        tx.update(payment, getattr(Payment, name).set(value))


def transaction_saved(db, payment, name, value):
    setattr(payment, name, value)
    with db.transaction() as tx:
        tx.save(payment)


def put(db, payment, name, value):
    setattr(payment, name, value)
    db.put(payment)


def put_anew(db, payment, name, value):
    kept = {field: getattr(payment, field) for field in ("id", "amount", "currency", "status", *KEPT)}
    db.put(Payment(**{**kept, name: value}))


VERBS = {
    "save": saved,
    "save in a transaction": transaction_saved,
    "put": put,
    "put of a new object": put_anew,
    "update": lambda db, payment, name, value: db.update(payment, getattr(Payment, name).set(value)),
    "update by key": lambda db, payment, name, value: db.update(Payment, payment.id, getattr(Payment, name).set(value)),
    "upsert": lambda db, payment, name, value: db.upsert(Payment, payment.id, getattr(Payment, name).set(value)),
    "transaction": transacted,
    "batch": lambda db, payment, name, value: db.batch_write(puts=[Payment(**{"id": payment.id, "amount": 1, "currency": "EUR", name: value})]),
}  # fmt: skip


@pytest.mark.parametrize("name", [*KEPT, *TERMS])
@pytest.mark.parametrize("verb", VERBS.values(), ids=VERBS)
def test_no_plain_write_changes_the_money_of_a_captured_payment(db, paid, verb, name):
    stored = db.get(Payment, paid.id)
    with pytest.raises((ValidationError, ConditionFailed, TransactionCancelled)):
        verb(db, paid, name, {**KEPT, **TERMS}[name])
    assert db.get(Payment, stored.id) == stored


def test_the_error_names_what_to_use(db, paid):
    for write in (
        lambda: db.update(paid, Payment.captured.set(5)),
        lambda: db.update(paid, Payment.refunded.add(5)),
        lambda: db.update(paid, Payment.amount.add(5)),
        lambda: db.update(Payment, paid.id, Payment.currency.set("USD")),
    ):
        with pytest.raises(DynamORMError, match=r"dynamorm\.payments\.transition.*refund\("):
            write()


def test_a_captured_payment_refunds_no_more_than_was_captured(db, call, paid):
    paid.captured = 10**9
    with pytest.raises(ValidationError, match="captured"):
        db.save(paid)
    with pytest.raises(DynamORMError):
        call(refund, db.inner, paid, Money("9999999.00", "EUR"), id="r1")
    assert call(refund, db.inner, paid, Money("100.00", "EUR"), id="r2").status is Status.REFUNDED


def test_amount_and_currency_change_while_a_payment_is_pending(db, pending):
    db.update(pending, Payment.amount.set(5), Payment.currency.set("USD"))
    pending.amount = 6
    db.save(pending)
    db.put(Payment(id=pending.id, amount=7, currency="EUR"))
    found = db.get(Payment, pending.id)
    assert (found.amount, found.currency) == (7, "EUR")


def test_other_fields_and_the_same_money_are_written_as_before(db, paid):
    paid.merchant_id = "m1"
    db.save(paid)
    db.update(paid, Payment.customer_id.set("c"))
    db.put(db.get(Payment, paid.id))
    found = db.get(Payment, paid.id)
    assert (found.merchant_id, found.customer_id, found.captured) == ("m1", "c", 10000)


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("refunded", {"status": Status.REFUNDED}),
        ("refunded", {"status": Status.PARTIALLY_REFUNDED, "captured": 100}),
        ("refunded", {"status": Status.CAPTURED, "captured": 50, "refunded": 60}),
        ("refunded", {"status": Status.CAPTURED, "captured": 50, "refunds": {"r": 60}}),
        ("captured", {"captured": 100}),
        ("captured", {"status": Status.CAPTURED, "captured": 101}),
        ("captured", {"status": Status.CAPTURED, "captured": -1}),
        ("currency", {"currency": "EUX"}),
        ("currency", {"currency": "eur"}),
    ],
)
def test_a_payment_begins_with_money_that_its_state_can_have(db, key, field, values):
    for verb in (db.create, db.put):
        with pytest.raises(ValidationError) as caught:
            verb(Payment(**{"id": key, "amount": 100, "currency": "EUR", **values}))
        assert caught.value.field == field
    assert db.get(Payment, key) is None
    moved = {"captured": 100, "refunded": 40, "refunds": {"r": 40}}
    db.create(Payment(id=key, amount=100, currency="DEM", status=Status.PARTIALLY_REFUNDED, **moved))


def test_an_unknown_currency_is_refused_by_every_write(db, pending):
    for write in (
        lambda: db.update(pending, Payment.currency.set("EUX")),
        lambda: db.upsert(Payment, pending.id, Payment.currency.set("EUX")),
        lambda: saved(db, pending, "currency", "EUX"),
    ):
        with pytest.raises(ValidationError, match="ISO 4217"):
            write()
    assert db.get(Payment, pending.id).currency == "EUR"


def test_a_plain_write_of_the_state_refunds_nothing(db, paid):
    for after in (Status.REFUNDED, Status.PARTIALLY_REFUNDED):
        with pytest.raises(ConditionFailed, match="refund"):
            db.update(Payment, paid.id, Payment.status.set(after))
    assert db.get(Payment, paid.id).status is Status.CAPTURED


@pytest.mark.parametrize(
    "verb", [name for name in VERBS if name not in ("upsert", "batch")]
)  # which take no payment at all
def test_a_plain_write_of_the_state_captures_nothing(db, call, pending, verb):
    with pytest.raises(
        (ConditionFailed, TransactionCancelled),
        match=r"becomes captured by a capture: use dynamorm\.payments\.transition",
    ):
        VERBS[verb](db, db.get(Payment, pending.id), "status", Status.CAPTURED)
    found = db.get(Payment, pending.id)
    assert (found.status, found.captured) == (Status.PENDING, 0)
    captured = call(transition, db.inner, found, "captured", id="c1")
    assert captured.captured == 10000
    assert call(refund, db.inner, captured, Money("100.00", "EUR"), id="r1").refunded == 10000


def test_a_payment_of_nothing_and_a_dispute_that_was_won_are_captured_by_a_plain_write(db, call, key, paid):
    free = db.create(Payment(id=f"{key}-free", amount=0, currency="EUR"))
    assert db.update(free, Payment.status.set(Status.CAPTURED)).status is Status.CAPTURED
    disputed = call(transition, db.inner, paid, "disputed", id="d1")
    disputed.status = Status.CAPTURED
    db.save(disputed)
    assert db.get(Payment, paid.id).captured == 10000


def test_a_payment_of_a_former_system_that_does_not_know_what_was_captured_is_put_again(db, key):
    for verb in (db.create, db.put):
        verb(Payment(id=key, amount=100, currency="EUR", status=Status.CAPTURED, merchant_id="m"))
    db.put(Payment(id=f"{key}2", amount=100, currency="EUR", status=Status.CAPTURED))
    assert db.get(Payment, key).status is Status.CAPTURED
