"""Payments from state to state, refunds under contention, finding by key. On both faces."""

import inspect
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import date

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dynamorm import Attr, Model, attr, partition_key, sort_key
from dynamorm.errors import (
    ConditionFailed,
    CurrencyMismatch,
    DynamORMError,
    ForbiddenTransition,
    KeyReused,
    ModelError,
    NotFound,
    Outcome,
    OutOfBounds,
    TransactionCancelled,
    TransactionConflict,
    ValidationError,
)
from dynamorm.payments import (
    TRANSITIONS,
    Money,
    PaymentIndexes,
    PaymentMixin,
    RefundMixin,
    SettlementMixin,
    Status,
    TransactionMixin,
    Transitions,
    WebhookMixin,
    find_payment_by_idempotency_key,
    refund,
    transition,
)
from tests.support.held import HeldNetwork


class Payment(Model, PaymentMixin, PaymentIndexes, table="lifecycle-payments"):
    id: Attr[str] = partition_key()


class Former(Model, table="lifecycle-payments"):
    id: Attr[str] = partition_key()
    transitions: Attr[dict[str, str]] = attr(default_factory=dict)


class Refund(Model, RefundMixin, table="refunds"):
    id: Attr[str] = partition_key()


class Plain(Model, table="plain"):
    id: Attr[str] = partition_key()
    status: Attr[Status] = attr(Transitions(TRANSITIONS), default=Status.PENDING)


class Movement(Model, TransactionMixin, table="movements"):
    owner: Attr[str] = partition_key()
    id: Attr[str] = sort_key()


class Settlement(Model, SettlementMixin, table="settlements"):
    id: Attr[str] = partition_key()


class Webhook(Model, WebhookMixin, table="webhooks"):
    id: Attr[str] = partition_key()


MODELS = (Payment, Refund, Plain, Movement, Settlement, Webhook)
pytestmark = pytest.mark.engine
EUR = "EUR"


def eur(text):
    return Money(text, EUR)


@pytest.fixture
def payment(db, key):
    return db.create(Payment(id=key, amount=10000, currency=EUR, idempotency_key=key))


@pytest.fixture
def paid(db, call, payment):
    return call(transition, db.inner, payment, "captured", id="c1")


def test_the_table_has_every_state_and_ends():
    assert set(TRANSITIONS) == set(Status)
    assert {state for state, after in TRANSITIONS.items() if not after} == {Status.FAILED, Status.VOIDED}
    assert [state for state, after in TRANSITIONS.items() if state in after] == [Status.PARTIALLY_REFUNDED]


@pytest.mark.parametrize("before", list(Status))
def test_a_plain_update_obeys_the_table(db, before):
    for after in Status:
        id = uuid.uuid4().hex
        db.create(Plain(id=id, status=before))
        if after in TRANSITIONS[before]:
            assert db.update(Plain, id, Plain.status.set(after)).status is after
            continue
        with pytest.raises(ForbiddenTransition) as caught:
            db.update(Plain, id, Plain.status.set(after))
        assert (caught.value.before, caught.value.after) == (before.value, after.value)
        assert db.get(Plain, id).status is before


def test_save_put_upsert_and_transactions_obey_it_too(db, key):
    plain = db.create(Plain(id=key))
    stale = db.get(Plain, key)
    plain.status = Status.SETTLED
    with pytest.raises(ForbiddenTransition):
        db.save(plain)
    plain.status = Status.CAPTURED
    db.save(plain)
    stale.status = Status.FAILED
    with pytest.raises(ForbiddenTransition):
        db.save(stale)
    with pytest.raises(ForbiddenTransition):
        db.put(Plain(id=key))
    db.put(Plain(id=key, status=Status.CAPTURED))
    with pytest.raises(ForbiddenTransition):
        db.upsert(Plain, key, Plain.status.set(Status.PENDING))
    assert db.upsert(Plain, f"{key}2", Plain.status.set(Status.PENDING)).status is Status.PENDING
    with pytest.raises(TransactionCancelled) as caught, db.transaction() as tx:
        tx.update(Plain, key, Plain.status.set(Status.PENDING))
    assert isinstance(caught.value.reasons[0].error, ForbiddenTransition)
    assert db.get(Plain, key).status is Status.CAPTURED


def test_what_passes_the_rule_by_is_refused(db, key):
    db.create(Plain(id=key))
    for change in (Plain.status.remove(), Plain.status.if_not_exists(Status.FAILED), Plain.status.set(Plain.status)):
        with pytest.raises(ValidationError):
            db.update(Plain, key, change)
    with pytest.raises(ValidationError):
        db.batch_write(puts=[Plain(id=key)])
    with pytest.raises(ValidationError, match="PartiQL"):
        db.partiql("UPDATE {table} SET status = 'failed' WHERE id = ?", key, model=Plain)
    assert db.get(Plain, key).status is Status.PENDING


def test_a_table_with_unknown_states_is_refused():
    for table in ({}, {"a": ("b",)}):
        with pytest.raises(ModelError):
            Transitions(table)


def test_a_change_with_its_id_can_be_repeated(db, call, payment, wire):
    first = call(transition, db.inner, payment, "captured", id="c1")
    again = call(transition, db.inner, payment, Status.CAPTURED, id="c1")
    assert first == again
    for other in ({"id": "c2"}, {}):
        with pytest.raises(ForbiddenTransition):
            call(transition, db.inner, payment, "captured", **other)


def test_a_retry_is_a_replay_whatever_came_after_it(db, call, payment):
    """What is stored decides, and every former id: the object that a retry is made with is of before."""
    authorized = call(transition, db.inner, payment, "authorized", id="a1")
    captured = call(transition, db.inner, authorized, "captured", id="c1", amount=eur("60"))
    disputed = call(transition, db.inner, captured, "disputed", id="d1")
    for to, named in (("authorized", {"id": "a1"}), ("captured", {"id": "c1", "amount": eur("60")})):
        again = call(transition, db.inner, payment, to, **named)
        assert (again.status, again.captured, again.version) == (Status.DISPUTED, 6000, disputed.version)
    won = call(transition, db.inner, disputed, "captured", id="won")
    assert call(transition, db.inner, captured, "disputed", id="d1") == won
    settled = call(transition, db.inner, won, "settled", id="s1")
    refunded = call(refund, db.inner, settled, eur("60"), id="r1")
    for to, id in (("settled", "s1"), ("disputed", "d1"), ("captured", "won")):
        seen = captured if to == "disputed" else disputed
        assert call(transition, db.inner, seen, to, id=id, **({"amount": eur("60")} if id == "c1" else {})) == refunded
    assert call(refund, db.inner, captured, eur("60"), id="r1") == refunded
    assert db.get(Payment, payment.id) == refunded


def test_many_retries_at_once_are_one_change_and_have_one_answer(db, call, payment):
    def one(_):
        return call(transition, db.inner, payment, "captured", id="c1", amount=eur("60"))

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(one, range(16)))
    stored = db.get(Payment, payment.id)
    assert all(answer == stored for answer in answers)
    assert (stored.captured, stored.transitions, stored.version) == (6000, {"c1": "captured:6000"}, 1)


def test_a_former_id_is_refused_for_another_change_or_amount(db, call, payment):
    captured = call(transition, db.inner, payment, "captured", id="c1", amount=eur("60"))
    call(refund, db.inner, captured, eur("10"), id="r1")
    stored = db.get(Payment, payment.id)
    for to, id, amount in (
        ("captured", "c1", None), ("captured", "c1", eur("61")), ("settled", "c1", None), ("disputed", "r1", None),
    ):  # fmt: skip
        with pytest.raises(KeyReused):
            call(transition, db.inner, payment, to, id=id, amount=amount)
    with pytest.raises(KeyReused):
        call(refund, db.inner, captured, eur("10"), id="c1")
    assert db.get(Payment, payment.id) == stored


def test_a_dispute_is_left_only_by_who_has_seen_it(db, call, payment):
    captured = call(transition, db.inner, payment, "captured", amount=eur("60"))
    disputed = call(transition, db.inner, captured, "disputed")
    for seen, to, named in (
        (payment, "captured", {"id": "c2"}),
        (payment, "captured", {}),
        (captured, "settled", {"id": "s1"}),
        (disputed, "captured", {"amount": eur("100")}),
    ):
        with pytest.raises(ForbiddenTransition) as caught:
            call(transition, db.inner, seen, to, **named)
        assert caught.value.before == "disputed"
    with pytest.raises(ForbiddenTransition):
        call(refund, db.inner, captured, eur("10"), id="r1")
    assert call(refund, db.inner, disputed, eur("10"), id="r1").status is Status.PARTIALLY_REFUNDED
    again = call(transition, db.inner, captured, "disputed")
    won = call(transition, db.inner, again, "captured")
    assert (won.status, won.captured, won.refunded) == (Status.CAPTURED, 6000, 1000)


def test_an_object_that_was_made_by_hand_decides_nothing(db, call, payment):
    fake = Payment(id=payment.id, amount=10000, currency=EUR, status=Status.DISPUTED)
    assert call(transition, db.inner, fake, "captured").captured == 10000


def test_what_is_captured_is_what_was_seen(db, call, payment):
    db.update(Payment, payment.id, Payment.amount.set(20000))
    with pytest.raises(ConditionFailed):
        call(transition, db.inner, payment, "captured")
    assert db.get(Payment, payment.id).captured == 0


def test_a_change_of_before_ids_were_kept_is_known_by_its_last_one(db, call, payment):
    call(transition, db.inner, payment, "captured", id="c1", amount=eur("60"))
    db.update(Former, payment.id, Former.transitions.set({}))
    old = db.get(Payment, payment.id)
    assert call(transition, db.inner, payment, "captured", id="c1", amount=eur("60")) == old
    with pytest.raises(KeyReused):
        call(transition, db.inner, payment, "captured", id="c1")


@pytest.mark.parametrize(
    "verb",
    [
        lambda call, db, payment: call(transition, db.inner, payment, "disputed", id="d1"),
        lambda call, db, payment: call(refund, db.inner, payment, eur("10"), id="r1"),
    ],
    ids=["transition", "refund"],
)
def test_what_was_refused_is_not_applied_later(open_db, engine, made, call, paid, verb):
    """Every try met a conflict, and copies of them are under way: an error says "not applied" only once none can be applied."""
    network = HeldNetwork("TransactWriteItems")
    held = open_db(engine.endpoint, table_prefix=made, extensions=(network,), operation_timeout=1.0)

    def calling(function, *args, **named):
        result = function(*args, **named)
        return held._loop.run(result) if inspect.isawaitable(result) else result

    before = held.get(Payment, paid.id)
    network.busy = True
    with pytest.raises(TransactionConflict) as caught:
        verb(calling, held, before)
    network.busy = False
    assert network.held
    assert caught.value.outcome is Outcome.NOT_APPLIED
    assert {network.deliver(held, which) for which in range(len(network.held))} == {400}
    assert held.get(Payment, paid.id) == before


def test_a_part_is_captured(db, call, payment):
    assert call(transition, db.inner, payment, "captured", amount=eur("40")).captured == 4000


@pytest.mark.parametrize(
    ("to", "named", "error"),
    [
        ("paid", {}, ValidationError), ("refunded", {}, ValidationError), ("settled", {}, ForbiddenTransition), ("voided", {"amount": eur("1")}, ValidationError),
        ("captured", {"amount": eur("100.01")}, ValidationError), ("captured", {"amount": eur("0")}, ValidationError), ("captured", {"amount": 5}, ValidationError),
        ("captured", {"amount": Money("1", "USD")}, CurrencyMismatch), ("captured", {"id": ""}, ValidationError), ("captured", {"id": "a\n"}, ValidationError),
        (None, {}, ValidationError),
    ],
)  # fmt: skip
def test_a_change_that_cannot_be_writes_nothing(db, call, payment, to, named, error):
    with pytest.raises(error):
        call(transition, db.inner, payment, to, **named)
    assert db.get(Payment, payment.id) == payment


def test_a_payment_that_is_not_there_is_not_found(db, call, key):
    ghost = Payment(id=key, amount=1, currency=EUR)
    with pytest.raises(NotFound):
        call(transition, db.inner, ghost, "captured")
    with pytest.raises(NotFound):
        call(refund, db.inner, ghost, eur("1"), id="r")


def test_parts_are_refunded_until_all_is(db, call, paid):
    part = call(refund, db.inner, paid, eur("60"), id="r1")
    assert (part.status, part.refunded) == (Status.PARTIALLY_REFUNDED, 6000)
    assert call(refund, db.inner, paid, eur("60"), id="r1") == part  # a replay
    with pytest.raises(KeyReused):
        call(refund, db.inner, paid, eur("61"), id="r1")
    with pytest.raises(OutOfBounds):
        call(refund, db.inner, paid, eur("60"), id="r2")
    whole = call(refund, db.inner, paid, eur("40"), id="r2")
    assert (whole.status, whole.refunded, whole.refunds) == (Status.REFUNDED, 10000, {"r1": 6000, "r2": 4000})
    with pytest.raises(ForbiddenTransition):
        call(refund, db.inner, paid, eur("1"), id="r3")


@pytest.mark.parametrize(
    ("money", "id", "error"),
    [
        (eur("-1"), "r", ValidationError), (eur("0"), "r", ValidationError), (5, "r", ValidationError), (1.5, "r", ValidationError),
        (Money("1", "USD"), "r", CurrencyMismatch), (eur("100.01"), "r", OutOfBounds), (eur("1"), "", ValidationError), (eur("1"), None, ValidationError),
    ],
)  # fmt: skip
def test_a_refund_that_cannot_be_writes_nothing(db, call, paid, money, id, error):
    with pytest.raises(error):
        call(refund, db.inner, paid, money, id=id)
    assert db.get(Payment, paid.id) == paid


def test_what_was_not_captured_is_not_refunded(db, call, payment):
    with pytest.raises(ForbiddenTransition):
        call(refund, db.inner, payment, eur("1"), id="r")


def test_the_record_is_written_with_the_refund_or_neither(db, call, paid, key):
    made = Refund(id=key, payment_id=paid.id, amount=100, currency=EUR)
    call(refund, db.inner, paid, eur("1"), id="r1", record=made)
    assert db.get(Refund, key).money == eur("1")
    with pytest.raises(TransactionCancelled):
        call(
            refund,
            db.inner,
            paid,
            eur("1"),
            id="r2",
            record=Refund(id=key, payment_id=paid.id, amount=100, currency=EUR),
        )
    assert db.get(Payment, paid.id).refunded == 100


def test_of_two_refunds_of_sixty_one_wins(db, call, paid):
    def one(id):
        try:
            return call(refund, db.inner, paid, eur("60"), id=id).refunded
        except OutOfBounds:
            return None

    with ThreadPoolExecutor(2) as pool:
        assert sorted(map(str, pool.map(one, ("r1", "r2")))) == ["6000", "None"]
    assert db.get(Payment, paid.id).refunded == 6000


def test_many_refunds_at_once_add_up(db, call, paid):
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda number: call(refund, db.inner, paid, eur("5"), id=f"r{number % 4}"), range(8)))
    stored = db.get(Payment, paid.id)
    assert (stored.refunded, len(stored.refunds)) == (2000, 4)


@given(st.lists(st.tuples(st.integers(1, 6000), st.integers(0, 5)), max_size=8))
@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_never_more_is_refunded_than_was_captured(db, call, refunds):
    payment = db.create(Payment(id=uuid.uuid4().hex, amount=10000, currency=EUR))
    payment = call(transition, db.inner, payment, "captured")
    known = {}
    for cents, number in refunds:
        id = f"r{number}"
        try:
            call(refund, db.inner, payment, Money.minor(cents, EUR), id=id)
        except KeyReused:
            assert known[id] != cents
        except (OutOfBounds, ForbiddenTransition):
            assert sum(known.values()) + cents > 10000
        else:
            assert known.setdefault(id, cents) == cents
    assert db.get(Payment, payment.id).refunds == known
    assert sum(known.values()) <= 10000


def test_a_payment_is_found_by_its_key(db, call, payment, key):
    assert call(find_payment_by_idempotency_key, db.inner, Payment, key) == payment
    assert call(find_payment_by_idempotency_key, db.inner, Payment, f"{key}2") is None
    with pytest.raises(ConditionFailed):
        db.create(Payment(id=f"{key}2", amount=1, currency=EUR, idempotency_key=key))


@pytest.fixture
def within(db):
    """Applies what a function writes into an open transaction, on either face; gives what the function gives."""

    def applied(function, *args, **named):
        if db.kind == "blocking":
            with db.inner.transaction() as tx:
                return function(db.inner, *args, tx=tx, **named)

        async def program():
            async with db.inner.transaction() as tx:
                return await function(db.inner, *args, tx=tx, **named)

        return db._loop.run(program())

    return applied


def test_a_change_is_a_part_of_a_transaction_of_the_callers(db, key, payment, within):
    read = within(transition, payment, "captured", id="c1", amount=eur("60"))
    assert (read.id, read.status, read.captured) == (key, Status.CAPTURED, 6000)  # as after any transaction
    record = Refund(id=key, payment_id=key, amount=6000, currency=EUR)
    within(refund, payment, eur("60"), id="r1", record=record)
    stored = db.get(Payment, key)
    assert (stored.status, stored.refunded, stored.refunds) == (Status.REFUNDED, 6000, {"r1": 6000})
    assert db.get(Refund, key).money == eur("60")


def test_in_a_transaction_a_change_is_refused_before_it_is_sent(db, key, payment, within, wire):
    with pytest.raises(ForbiddenTransition):
        within(refund, payment, eur("1"), id="r1")
    assert "TransactWriteItems" not in wire.names
    with pytest.raises(TransactionCancelled) as caught:
        within(transition, payment, "settled", id="s1")
    assert isinstance(caught.value.reasons[0].error, ForbiddenTransition)
    assert db.get(Payment, key).version == payment.version


def test_a_replay_in_a_transaction_writes_nothing(db, key, paid, within):
    within(refund, paid, eur("5"), id="r1")
    before = db.get(Payment, key)
    within(refund, paid, eur("5"), id="r1")
    with pytest.raises(KeyReused):
        within(refund, paid, eur("6"), id="r1")
    with pytest.raises(OutOfBounds):
        within(refund, paid, eur("96"), id="r2")
    assert db.get(Payment, key) == before


def test_of_two_refunds_in_transactions_of_their_own_one_is_applied(db, key, paid):
    """Both are written down before one of the two is applied."""
    inner = db.inner

    async def on_asyncio():
        async with inner.transaction() as late:
            await refund(inner, paid, eur("60"), id="r1", tx=late)
            async with inner.transaction() as early:
                await refund(inner, paid, eur("60"), id="r2", tx=early)

    def on_blocking():
        with inner.transaction() as late:
            refund(inner, paid, eur("60"), id="r1", tx=late)
            with inner.transaction() as early:
                refund(inner, paid, eur("60"), id="r2", tx=early)

    with pytest.raises(TransactionCancelled):
        on_blocking() if db.kind == "blocking" else db._loop.run(on_asyncio())
    stored = db.get(Payment, key)
    assert (stored.refunded, stored.refunds) == (6000, {"r2": 6000})


def test_payments_are_found_by_state_merchant_customer_and_day(db, key):
    db.create(
        Payment(id=key, amount=1, currency=EUR, merchant_id=key, customer_id=key, settlement_date=date(2024, 1, 2))
    )
    for condition in (
        Payment.merchant_id == key,
        Payment.customer_id == key,
        Payment.settlement_date == date(2024, 1, 2),
        Payment.status == Status.PENDING,
    ):
        found = db.model(Payment).where(condition).order_by("created_at", "desc").limit(500).all()
        assert key in [one.id for one in found]


def test_the_other_mixins_can_be_stored(db, key):
    for made in (
        Movement(owner=key, id="1", account="a", amount=-5, currency=EUR, kind="fee"),
        Settlement(id=key, settlement_date=date(2024, 1, 2), amount=5, currency=EUR),
        Webhook(id=key, event_id=key, topic="payment.captured", payload={"a": 1}),
    ):
        db.create(made)
        assert made.version == 0
    assert db.get(Movement, key, "1").money == Money.minor(-5, EUR)
    assert db.get(Webhook, key).payload == {"a": 1}


def test_a_refusal_says_what_to_do(db, call, payment, paid):
    """Errors that named what is wrong, and no way on."""
    for act, remedy in (
        (lambda: call(transition, db.inner, payment, "authorized", amount=eur("1")), "leave it out"),
        (lambda: call(refund, db.inner, paid, eur("9999"), id="r1"), r"payment\.captured - payment\.refunded"),
        (lambda: db.update(paid, Payment.status.remove()), "set it to one of pending, authorized"),
    ):
        with pytest.raises(DynamORMError, match=remedy):
            act()
