"""Bad input of payments, as one table: one clear typed error for each, nothing written, and no value of an item told. On both faces."""

import json
import logging
import time
import traceback

import pytest

import dynamorm
from dynamorm import DB, AsyncDB, Attr, Config, Model, Presets, partition_key
from dynamorm.errors import (
    ConditionFailed,
    CurrencyMismatch,
    DynamORMError,
    ForbiddenTransition,
    InsufficientFunds,
    InvalidSignature,
    KeyReused,
    LicenseError,
    NotFound,
    Outcome,
    OutOfBounds,
    ValidationError,
)
from dynamorm.payments import (
    Ledger,
    Money,
    Outbox,
    PaymentMixin,
    Posting,
    RefundMixin,
    Status,
    ensure_tables,
    refund,
    sign_webhook,
    transition,
    verify_webhook,
)
from dynamorm.payments.ledger import LedgerBalance, LedgerEntry
from dynamorm.payments.outbox import OutboxEvent, OutboxQueue
from dynamorm.plugins import record_model
from dynamorm.testing import licence
from tests.behaviour.kit import ask, table_of
from tests.payments.test_webhooks import SECRET

pytestmark = pytest.mark.engine


class Payment(Model, PaymentMixin, table="bad-payments"):
    id: Attr[str] = partition_key()


class Refund(Model, RefundMixin, table="bad-refunds"):
    id: Attr[str] = partition_key()


MODELS = (Payment, Refund)
TABLES = (Payment, Refund, LedgerBalance, LedgerEntry, OutboxEvent, OutboxQueue, record_model("dynamorm-idempotency"))


def made_with(db):
    ensure_tables(db)


CANARIES = (
    "4711234",
    "2300",
    "mer-canary",
    "cus-canary",
    "idem-canary",
    "answer-canary",
    "90817",
    "body-canary",
    "SEK",
)
"""Values of the items that are stored, which no error may show."""


def eur(text):
    return Money(text, "EUR")


class World:
    """What there is before the bad input comes: a payment that was captured, an account with a bound, an operation that was done."""

    def __init__(self, db, call, key):
        self.db, self.inner, self.key, self._call = db, db.inner, key, call
        self.payment = db.create(
            Payment(
                id=key,
                amount=4_711_234,
                currency="SEK",
                merchant_id="mer-canary",
                customer_id="cus-canary",
                idempotency_key=f"idem-canary-{key}",
            )
        )
        self.payment = self(transition, self.inner, self.payment, "captured", id="capture-1")
        self.payment = self(refund, self.inner, self.payment, Money("23.00", "SEK"), id="refund-1")
        self.pending = db.create(Payment(id=f"{key}-p", amount=4_711_234, currency="SEK", merchant_id="mer-canary"))
        self.ledger, self.outbox = Ledger(self.inner), Outbox(self.inner)
        self(self.ledger.open, f"{key}-wallet", "EUR", at_least=eur("0"))
        self.post([(f"{key}-wallet", eur("908.17")), (f"{key}-cash", eur("-908.17"))], id=f"{key}-start")
        with db.idempotent(key, payload={"of": "mer-canary", "amount": 4_711_234}, scope="bad") as op:
            op.respond({"secret": "answer-canary"})

    def __call__(self, function, *args, **named):
        return self._call(function, *args, **named)

    def post(self, legs, *, id=None):
        return self(self.ledger.post, [Posting(*leg) for leg in legs], id=id or f"{self.key}-new")

    def transition(self, *args, of=None, **named):
        return self(transition, self.inner, of or self.payment, *args, **named)

    def refund(self, *args, **named):
        return self(refund, self.inner, self.payment, *args, **named)

    def operate(self, key, payload=None, **named):
        with self.db.idempotent(key, **{"payload": payload, "scope": "bad", **named}):
            pytest.fail("its block was entered")

    def add(self, body, topic="t", key="k"):
        with self.db.transaction() as tx:
            self.outbox.add(getattr(tx, "_subject", tx), topic, body, key=key)

    def update(self, *updates, of=None):
        return self.db.update(of or self.db.get(Payment, self.key), *updates)

    def saved(self, **fields):
        found = self.db.get(Payment, self.key)
        for name, value in fields.items():
            setattr(found, name, value)
        return self.db.save(found)

    def everything(self):
        """All items of all tables, as they are stored."""
        tables = [table_of(self.db, model) for model in TABLES]
        pages = [ask(self.db, "Scan", {"TableName": name, "ConsistentRead": True}) for name in tables]
        return {name: sorted(map(json.dumps, page["Items"])) for name, page in zip(tables, pages, strict=True)}


@pytest.fixture
def world(db, call, key):
    return World(db, call, key)


NO_KEY = [None, "", 5, 1.5, b"k", "x" * 256, "a\n", ["k"]]
NO_MONEY = [5, 1.5, "5", None, eur("0"), eur("-5"), Money("-0.01", "SEK"), True]

BAD = {
    # a key that is missing, or none
    **{f"operation key {key!r:.9}": (ValidationError, lambda w, key=key: w.operate(key)) for key in NO_KEY},
    **{
        f"operation scope {scope!r:.9}": (ValidationError, lambda w, scope=scope: w.operate(w.key, scope=scope))
        for scope in [None, "", "x" * 65]
    },
    **{
        f"posting id {id!r:.9}": (
            ValidationError,
            lambda w, given=id: w(w.ledger.post, [("a", eur("1")), ("b", eur("-1"))], id=given),
        )
        for id in NO_KEY
    },
    **{
        f"refund id {id!r:.9}": (ValidationError, lambda w, given=id: w.refund(Money("1", "SEK"), id=given))
        for id in NO_KEY
    },
    **{
        f"transition id {id!r:.9}": (ValidationError, lambda w, given=id: w.transition("settled", id=given))
        for id in NO_KEY[1:]
    },
    **{f"outbox key {key!r:.9}": (ValidationError, lambda w, key=key: w.add("b", key=key)) for key in NO_KEY},
    "payment that is not there": (
        NotFound,
        lambda w: w.transition("settled", of=Payment(id="none", amount=1, currency="SEK")),
    ),
    "posting that is not there": (NotFound, lambda w: w(w.ledger.reverse, f"{w.key}-none", by=f"{w.key}-new")),
    # a key that comes with another payload
    "operation, other amount": (KeyReused, lambda w: w.operate(w.key, {"of": "mer-canary", "amount": 1})),
    "operation, a member more": (
        KeyReused,
        lambda w: w.operate(w.key, {"of": "mer-canary", "amount": 4_711_234, "x": 1}),
    ),
    "operation, float for int": (KeyReused, lambda w: w.operate(w.key, {"of": "mer-canary", "amount": 4_711_234.0})),
    "operation, text for int": (KeyReused, lambda w: w.operate(w.key, {"of": "mer-canary", "amount": "4711234"})),
    "posting, other amount": (
        KeyReused,
        lambda w: w.post([(f"{w.key}-wallet", eur("1")), (f"{w.key}-cash", eur("-1"))], id=f"{w.key}-start"),
    ),
    "posting, other account": (
        KeyReused,
        lambda w: w.post([(f"{w.key}-wallet", eur("908.17")), (f"{w.key}-x", eur("-908.17"))], id=f"{w.key}-start"),
    ),
    "refund, other amount": (KeyReused, lambda w: w.refund(Money("24", "SEK"), id="refund-1")),
    "refund, id of a capture": (KeyReused, lambda w: w.refund(Money("24", "SEK"), id="capture-1")),
    "capture, other amount": (
        KeyReused,
        lambda w: w.transition("captured", id="capture-1", amount=Money("1", "SEK")),
    ),
    # another currency
    "refund, other currency": (CurrencyMismatch, lambda w: w.refund(eur("1"), id="new")),
    "refund, same id, other currency": (KeyReused, lambda w: w.refund(eur("23.00"), id="refund-1")),
    "capture, other currency": (
        CurrencyMismatch,
        lambda w: w.transition("captured", of=w.pending, id="new", amount=eur("1")),
    ),
    "posting of two currencies": (
        ValidationError,
        lambda w: w.post([(f"{w.key}-wallet", eur("1")), (f"{w.key}-cash", Money("-1", "USD"))]),
    ),
    "bound of another currency": (
        ValidationError,
        lambda w: w(w.ledger.open, f"{w.key}-n", "EUR", at_least=Money("0", "USD")),
    ),
    "sum of two currencies": (CurrencyMismatch, lambda _: eur("1") + Money("1", "USD")),
    "no currency": (ValidationError, lambda _: Money("1", "EURO")),
    # floats
    "money of a float": (ValidationError, lambda _: Money(1.1, "EUR")),
    "money times a float": ((ValidationError, TypeError), lambda _: eur("1") * 1.1),
    "payment of a float": (
        ValidationError,
        lambda w: w.db.create(Payment(id=f"{w.key}-n", amount=1.1, currency="SEK")),
    ),
    "amount set to a float": (ValidationError, lambda w: w.update(Payment.amount.set(1.1))),
    "amount added a float": (ValidationError, lambda w: w.update(Payment.amount.add(1.1))),
    "posting of floats": (ValidationError, lambda w: w.post([("a", 1.5), ("b", -1.5)])),
    "bound of a float": (ValidationError, lambda w: w(w.ledger.open, f"{w.key}-n", "EUR", at_least=0.0)),
    "capture of a float": (ValidationError, lambda w: w.transition("captured", of=w.pending, amount=1.5)),
    # refunds that are none
    **{
        f"refund of {money!r:.22}": (ValidationError, lambda w, money=money: w.refund(money, id="new"))
        for money in NO_MONEY
    },
    "refund over the payment": (OutOfBounds, lambda w: w.refund(Money("47112.34", "SEK"), id="new")),
    "refund of a cent too much": (OutOfBounds, lambda w: w.refund(Money("47089.35", "SEK"), id="new")),
    "refund with a record": (
        OutOfBounds,
        lambda w: w.refund(
            Money("47112.34", "SEK"), id="new", record=Refund(id=w.key, payment_id=w.key, amount=1, currency="SEK")
        ),
    ),
    "refund of a payment that is pending": (
        ForbiddenTransition,
        lambda w: w(refund, w.inner, w.pending, Money("1", "SEK"), id="new"),
    ),
    "capture over the payment": (
        ValidationError,
        lambda w: w.transition("captured", of=w.pending, amount=Money("47112.35", "SEK")),
    ),
    # transitions that are forbidden
    "back to pending": (ForbiddenTransition, lambda w: w.transition("pending")),
    "captured once more": (ForbiddenTransition, lambda w: w.transition("captured", id="capture-2")),
    "settled before it is captured": (ForbiddenTransition, lambda w: w.transition("settled", of=w.pending)),
    "refunded by hand": (ValidationError, lambda w: w.transition("refunded")),
    "no state": (ValidationError, lambda w: w.transition("paid")),
    "by update": (ForbiddenTransition, lambda w: w.update(Payment.status.set(Status.PENDING))),
    "by update of a key": (
        ForbiddenTransition,
        lambda w: w.db.update(Payment, w.key, Payment.status.set(Status.VOIDED)),
    ),
    "by save": (ForbiddenTransition, lambda w: w.saved(status=Status.FAILED)),
    # bounds
    "a bound that would be broken": (
        InsufficientFunds,
        lambda w: w.post([(f"{w.key}-wallet", eur("-908.18")), (f"{w.key}-cash", eur("908.18"))]),
    ),
    "a posting that is not zero": (ValidationError, lambda w: w.post([(f"{w.key}-wallet", eur("1"))])),
    "a posting that moves nothing": (
        ValidationError,
        lambda w: w.post([(f"{w.key}-wallet", eur("1")), (f"{w.key}-wallet", eur("-1"))]),
    ),
    "reversed by its own id": (KeyReused, lambda w: w(w.ledger.reverse, f"{w.key}-start", by=f"{w.key}-start")),
    # events
    "a body that JSON has not": (ValidationError, lambda w: w.add({"body-canary": object()})),
    "a body that is too large": (ValidationError, lambda w: w.add(b"body-canary" * 30_000)),
    "a topic that is none": (ValidationError, lambda w: w.add("body-canary", topic="")),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_refused_and_nothing_is_written_or_told(world, wire, caplog, name):
    kinds, do = BAD[name]
    before = world.everything()
    wire.clear()
    with caplog.at_level(logging.DEBUG), pytest.raises(kinds) as caught:
        do(world)
    error, sent = caught.value, list(wire.names)
    assert world.everything() == before
    told = "\n".join([str(error), repr(error), *getattr(error, "__notes__", ()), caplog.text])
    assert not [canary for canary in CANARIES if canary in told], told
    assert len(str(error)) > 20
    if isinstance(error, DynamORMError):
        assert error.outcome is Outcome.NOT_APPLIED
        assert error.retryable is False
    if type(error) is ValidationError:
        assert not [one for one in sent if one not in {"GetItem", "BatchGetItem"}]


def test_the_table_has_each_kind_of_the_issue():
    kinds = {kind for kinds, _ in BAD.values() for kind in (kinds if isinstance(kinds, tuple) else (kinds,))}
    assert kinds >= {
        CurrencyMismatch, ForbiddenTransition, InsufficientFunds, KeyReused, NotFound, OutOfBounds, ValidationError,
    }  # fmt: skip


# ------------------------------------------------------------------------------------------------------------- webhooks

BODY = b'{"id": "body-canary"}'


def headers(**changes):
    made = sign_webhook(SECRET, id="msg_1", body=BODY, timestamp=1_700_000_000)
    return {name: value for name, value in {**made, **changes}.items() if value is not None}


FORGED = {
    "no signature": headers(**{"webhook-signature": None}),
    "no id": headers(**{"webhook-id": None}),
    "no time": headers(**{"webhook-timestamp": None}),
    "another id": headers(**{"webhook-id": "msg_2"}),
    "another time": headers(**{"webhook-timestamp": "1700000001"}),
    "a time that is none": headers(**{"webhook-timestamp": "NaN"}),
    "another signature": headers(**{"webhook-signature": "v1,bm9uZQ=="}),
    "nothing": {},
}


@pytest.mark.parametrize("name", FORGED)
def test_a_webhook_that_was_edited_is_refused(name):
    with pytest.raises(InvalidSignature) as caught:
        verify_webhook(SECRET, FORGED[name], BODY, now=1_700_000_000)
    assert "body-canary" not in str(caught.value)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("body", [BODY + b" ", b"", BODY.replace(b"canary", b"Canary")])
def test_a_body_that_was_edited_is_refused(body):
    with pytest.raises(InvalidSignature):
        verify_webhook(SECRET, headers(), body, now=1_700_000_000)


@pytest.mark.parametrize("now", [1_700_000_301, 1_699_999_699])
def test_a_webhook_of_another_time_is_refused(now):
    with pytest.raises(InvalidSignature):
        verify_webhook(SECRET, headers(), BODY, now=now)


# ------------------------------------------------------------------------------------------------------------- licences

DAY = 86_400


def edited(text):
    """The same licence with a letter of its claims changed."""
    head, claims, signature = text.split(".")
    at = len(claims) // 2
    return ".".join([head, claims[:at] + ("A" if claims[at] != "A" else "B") + claims[at + 1 :], signature])


LICENCES = {
    "expired": lambda: licence(["encryption", "audit_log", "multi_tenancy"], exp=int(time.time()) - 2 * DAY),
    "edited": lambda: edited(licence(["encryption", "audit_log", "multi_tenancy"])),
    "cut off": lambda: licence(["encryption"])[:-3],
    "no licence": lambda: "DLIC1.licence-canary",
    "signature of another": lambda: ".".join(
        [*licence(["encryption"]).split(".")[:2], licence(["audit_log"]).split(".")[2]]
    ),
}


@pytest.mark.parametrize("name", LICENCES)
@pytest.mark.parametrize("verb", ["enable_encryption", "enable_audit_log", "enable_multi_tenancy"])
@pytest.mark.parametrize("face", [DB, AsyncDB])
def test_a_licence_that_is_none_enables_nothing(monkeypatch, caplog, face, verb, name):
    text = LICENCES[name]()
    monkeypatch.setenv("DYNAMORM_LICENSE", text)
    for config in (
        Presets.local_development(endpoint="http://127.0.0.1:9"),  # also where none is needed
        Config(region="eu-west-1", credentials=dynamorm.Credentials("id", "secret")),
    ):
        db = face(config)
        before = db.plugins
        with caplog.at_level(logging.DEBUG), pytest.raises(LicenseError) as caught:
            getattr(db, verb)()
        assert db.plugins == before
        told = "".join(traceback.format_exception_only(caught.value)) + caplog.text
        assert not [part for part in text.split(".")[1:] if part in told]
    assert dynamorm.is_enterprise() is False


@pytest.mark.parametrize("name", LICENCES)
def test_a_licence_that_is_none_stands_before_no_payment(monkeypatch, db, call, key, name):
    """What is stored is read, and money is moved, as before."""
    monkeypatch.setenv("DYNAMORM_LICENSE", LICENCES[name]())
    payment = db.create(Payment(id=key, amount=500, currency="EUR"))
    call(transition, db.inner, payment, "captured")
    assert db.require(Payment, key).captured == 500
    with pytest.raises(ConditionFailed):
        db.create(Payment(id=key, amount=500, currency="EUR"))
