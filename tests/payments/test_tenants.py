"""Ledgers and outboxes of tenants: each tenant has its own, and no other view reads it, posts to it, or delivers from it. On both faces."""

import asyncio
import json
import logging
import uuid

import pytest

from dynamorm import tenant_scope
from dynamorm.errors import (
    InsufficientFunds,
    KeyReused,
    NotFound,
    TenantMismatch,
    TenantRequired,
    ValidationError,
)
from dynamorm.payments import Ledger, Money, Outbox, Posting, ensure_tables
from dynamorm.payments.homes import Home, home_of, home_of_key, tenant_of
from dynamorm.payments.ledger import LedgerBalance
from dynamorm.plugin import tenant_prefix
from dynamorm.plugins.tenancy import session_policy
from tests.behaviour.kit import Recorder

pytestmark = pytest.mark.engine
TENANTS = ("a", "a#b", "shop 1*", "ä?${x}")


def eur(text):
    return Money(text, "EUR")


@pytest.fixture(scope="module")
def table_prefix():
    return f"tenants-{uuid.uuid4().hex[:8]}-"


@pytest.fixture
def wire():
    return Recorder()


@pytest.fixture
def db(open_db, engine, table_prefix, wire):
    """A database of tenants, with the tables of payments."""
    face = open_db(engine.endpoint, table_prefix=table_prefix, extensions=(wire,))
    face.enable_multi_tenancy()
    made = ensure_tables(face.inner)
    if asyncio.iscoroutine(made):
        face._loop.run(made)
    return face


@pytest.fixture
def tenants(key):
    """Tenants that no other test uses."""
    return [f"{name}-{key}" for name in TENANTS]


def inner(db):
    return getattr(db, "_subject", db)


@pytest.fixture
def ledger_of(db, call):
    """The ledger of a view, in the blocking way."""

    class Called:
        def __init__(self, view):
            self.inner = Ledger(view)

        def __getattr__(self, name):
            return lambda *args, **named: call(getattr(self.inner, name), *args, **named)

        def move(self, source, target, money, id):
            return self.post([Posting(target, money), Posting(source, -money)], id=id)

    return lambda view: Called(inner(view) if view is not db else db.inner)


@pytest.fixture
def outbox_of(db, call):
    """The outbox of a view, in the blocking way."""

    class Called:
        def __init__(self, view, **options):
            self.inner, self.view, self.got = Outbox(inner(view) if view is not db else db.inner, **options), view, []

        def add(self, body, *, key="k", view=None):
            with (view or self.view).transaction() as tx:
                return self.inner.add(getattr(tx, "_subject", tx), "t", body, key=key)

        def run(self, answer=200, **named):
            def deliver(event):
                self.got.append((event.tenant, event.key, event.body.decode(), event.id))
                return answer

            return call(self.inner.run, deliver, **named)

        def dead(self):
            return call(self.inner.dead)

        def redrive(self, id):
            return call(self.inner.redrive, id)

    return Called


# ------------------------------------------------------------------------------------------------------------ the ledger


def test_a_tenant_has_a_ledger_of_its_own(db, ledger_of, tenants):
    """The same accounts and the same ids, in the ledgers of several tenants and in the one of no tenant."""
    ledgers = [ledger_of(db.with_tenant(tenant)) for tenant in tenants]
    for number, ledger in enumerate(ledgers, 1):
        assert not ledger.move("sales", "cash", eur(str(number)), id="order-1").replayed
        assert ledger.move("sales", "cash", eur(str(number)), id="order-1").replayed
    for number, ledger in enumerate(ledgers, 1):
        assert ledger.balance("cash") == eur(str(number))
        assert ledger.trial_balance().ok
        assert ledger.trial_balance().postings == 1
        assert ledger.verify() == (True, (), (), 1)
    whole = ledger_of(db)
    with pytest.raises(NotFound):
        whole.balance(f"cash-{tenants[0]}")


def test_a_posting_of_another_tenant_is_not_there(db, ledger_of, tenants):
    mine, other = (ledger_of(db.with_tenant(tenant)) for tenant in tenants[:2])
    mine.open("wallet", "EUR", at_least=eur("0"))
    mine.move("capital", "wallet", eur("5"), id="start")
    with pytest.raises(NotFound):
        other.balance("wallet")
    with pytest.raises(NotFound):
        other.reverse("start", by="thief")
    other.move("wallet", "thief", eur("100"), id="start")  # of its own, which was never opened, and so has no bound
    assert mine.balance("wallet") == eur("5")
    with pytest.raises(InsufficientFunds):
        mine.move("wallet", "cash", eur("6"), id="too-much")
    mine.reverse("start", by="start-r")
    assert mine.balance("wallet") == eur("0")
    assert other.balance("wallet") == eur("-100")


def test_bounds_are_those_of_the_tenant_also_where_one_object_serves_several(db, ledger_of, tenants):
    """A ledger of the database itself, used in the blocks of several tenants: what it has learned of one is not taken for another's."""
    ledger = ledger_of(db)
    with tenant_scope(tenants[0]):
        ledger.open("wallet", "EUR", at_least=eur("0"))
        with pytest.raises(InsufficientFunds):
            ledger.move("wallet", "cash", eur("1"), id="p1")
    with tenant_scope(tenants[1]):
        ledger.move("wallet", "cash", eur("1"), id="p1")
        assert ledger.balance("wallet") == eur("-1")
    with tenant_scope(tenants[0]):
        assert ledger.balance("wallet") == eur("0")
        ledger.move("capital", "wallet", eur("1"), id="p1")
        with pytest.raises(KeyReused):
            ledger.move("capital", "wallet", eur("2"), id="p1")


def test_the_operator_sees_the_trial_balance_of_all_and_posts_nothing(db, ledger_of, tenants, caplog):
    for tenant in tenants:
        ledger_of(db.with_tenant(tenant)).move("sales", "cash", eur("3"), id="o1")
    with caplog.at_level(logging.INFO, logger="dynamorm"):
        whole = ledger_of(db.all_tenants(reason="the books of the month"))
        found = whole.trial_balance()
    assert found.ok
    assert found.postings >= len(tenants)
    assert "the books of the month" in caplog.text
    assert whole.verify().ok
    for refused in (
        lambda: whole.move("sales", "cash", eur("1"), id="x"),
        lambda: whole.open("cash", "EUR"),
        lambda: whole.balance("cash"),
        lambda: whole.reverse("o1", by="o2"),
    ):
        with pytest.raises(TenantRequired):
            refused()


def test_what_was_tampered_with_is_named_to_its_tenant_alone(db, ledger_of, tenants):
    mine, other = db.with_tenant(tenants[0]), db.with_tenant(tenants[1])
    for view in (mine, other):
        ledger_of(view).open("cash", "EUR", at_least=eur("0"))
        ledger_of(view).move("sales", "cash", eur("3"), id="o1")
    key = tenant_prefix(tenants[0]) + "cash"
    mine.update(LedgerBalance, key, "EUR", LedgerBalance.balance.add(5))
    assert ledger_of(mine).verify().differs == ("cash",)
    assert ledger_of(other).verify().ok
    whole = ledger_of(db.all_tenants(reason="look")).verify()
    assert key in whole.differs
    mine.update(LedgerBalance, key, "EUR", LedgerBalance.balance.add(-5))


@pytest.mark.parametrize("name", ["T#a#cash", "T#", "~K#ring", "~"])
def test_no_name_reaches_into_the_items_of_a_tenant(db, ledger_of, outbox_of, wire, name):
    ledger = ledger_of(db)
    for refused in (
        lambda: ledger.move(name, "cash", eur("1"), id="x"),
        lambda: ledger.move("sales", "cash", eur("1"), id=name),
        lambda: ledger.open(name, "EUR"),
        lambda: ledger.balance(name),
        lambda: ledger.reverse(name, by="y"),
        lambda: outbox_of(db).add("b", key=name),
    ):
        wire.clear()
        with pytest.raises(ValidationError, match="T#"):
            refused()
        assert not wire.calls


# ------------------------------------------------------------------------------------------------------------ the outbox


def test_a_view_delivers_the_events_of_its_tenant_alone(db, outbox_of, tenants):
    outboxes = {tenant: outbox_of(db.with_tenant(tenant)) for tenant in tenants}
    whole = outbox_of(db)
    whole.run()
    ids = {tenant: [box.add(f"{at}") for at in range(3)] for tenant, box in outboxes.items()}
    nobody = whole.add("of no tenant")
    assert outboxes[tenants[0]].run().delivered == 3
    for tenant in tenants[1:]:
        assert outboxes[tenant].run(limit=2).delivered == 2
        assert outboxes[tenant].run().delivered == 1
    for tenant, box in outboxes.items():
        assert box.got == [(tenant, "k", f"{at}", id) for at, id in enumerate(ids[tenant])]
        assert box.run() == (0, 0, 0)
    whole.got.clear()
    assert whole.run().delivered == 1
    assert whole.got == [(None, "k", "of no tenant", nobody)]


def test_the_operator_delivers_the_events_of_all(db, outbox_of, tenants, caplog):
    operator = outbox_of(db.all_tenants(reason="delivering"))
    operator.run()
    operator.got.clear()
    outbox_of(db).add("of no tenant")
    for tenant in tenants:
        for at in range(3):
            outbox_of(db.with_tenant(tenant)).add(f"{at}")
    while sum(operator.run(limit=2)):
        pass
    of = {tenant: [body for whose, _, body, _ in operator.got if whose == tenant] for tenant in (*tenants, None)}
    assert of == {**{tenant: ["0", "1", "2"] for tenant in tenants}, None: ["of no tenant"]}


def test_dead_letters_are_of_their_tenant(db, outbox_of, tenants):
    mine, other = (outbox_of(db.with_tenant(tenant)) for tenant in tenants[:2])
    operator, whole = outbox_of(db.all_tenants(reason="dead letters")), outbox_of(db)
    id = mine.add("a")
    mine.add("b")
    assert mine.run(410) == (0, 1, 1)
    assert [event.id for event in mine.dead()] == [id]
    assert other.dead() == []
    assert id not in [event.id for event in whole.dead()]
    (letter,) = [event for event in operator.dead() if event.id == id]
    assert (letter.tenant, letter.key) == (tenants[0], "k")
    assert operator.run() == (0, 0, 0)  # the key is stopped
    for redrive in (lambda: other.redrive(id), lambda: other.redrive(letter), lambda: whole.redrive(letter)):
        with pytest.raises(NotFound):
            redrive()
    with pytest.raises(TenantRequired):
        operator.redrive(id)
    operator.redrive(letter)
    mine.got.clear()
    assert mine.run().delivered == 2
    assert [body for *_, body, _ in mine.got] == ["a", "b"]


def test_a_dead_letter_is_named_by_its_id_and_by_nothing_else(db, outbox_of, tenants, wire):
    """The key of an event would reach over to a tenant from the database itself, and break both queues."""
    mine, other, whole = outbox_of(db.with_tenant(tenants[0])), outbox_of(db.with_tenant(tenants[1])), outbox_of(db)
    id = mine.add("a")
    mine.add("b")
    mine.run(410)
    (letter,) = mine.dead()
    for outbox in (mine, other, whole, outbox_of(db.all_tenants(reason="looking"))):
        for wrong in (letter.pk, None, "", 5, b"msg", "~", f"T#{tenants[0]}", "x" * 256, "a\x00"):
            wire.clear()
            with pytest.raises(ValidationError):
                outbox.redrive(wrong)
            assert not wire.calls
    assert [event.id for event in mine.dead()] == [id]
    assert whole.run() == (0, 0, 0)
    mine.redrive(id)
    mine.got.clear()
    assert mine.run().delivered == 2
    assert [body for *_, body, _ in mine.got] == ["a", "b"]


def test_the_oldest_dead_letters_of_all_tenants_come_first(db, outbox_of, call):
    operator = Outbox(inner(db.all_tenants(reason="looking")))
    for at in range(12):
        box = outbox_of(db.with_tenant(f"t{at}-{uuid.uuid4().hex[:4]}"))
        box.add(f"{at}")
        box.run(410)
    everything = [event.id for event in call(operator.dead, limit=10_000)]
    assert [event.id for event in call(operator.dead, limit=3)] == everything[:3]


def test_an_event_is_of_the_tenant_of_its_transaction(db, outbox_of, tenants):
    """One outbox of the database itself, as a program has it that serves many tenants."""
    outbox, view = outbox_of(db), db.with_tenant(tenants[0])
    outbox.add("a", view=view)
    with tenant_scope(tenants[1]):
        outbox.add("b")
    box = outbox_of(view)
    assert box.run().delivered == 1
    assert box.got[0][:3] == (tenants[0], "k", "a")
    with tenant_scope(tenants[1]):
        outbox.got.clear()
        assert outbox.run().delivered == 1
    assert outbox.got[0][:3] == (tenants[1], "k", "b")
    with pytest.raises(TenantMismatch):
        outbox_of(db.with_tenant(tenants[1])).add("c", view=view)
    with pytest.raises(TenantRequired):
        outbox.add("c", view=db.all_tenants(reason="repair"))
    for tenant in tenants[:2]:
        assert outbox_of(db.with_tenant(tenant)).run() == (0, 0, 0)


# -------------------------------------------------------------------------------------------------------------- the keys


def test_every_item_of_a_tenant_has_a_key_that_begins_with_it(db, ledger_of, outbox_of, tenants, wire):
    """So that the credentials of a tenant reach them, and no other tenant's do: also of the indexes that `run` reads."""
    for tenant in tenants:
        view, prefix = db.with_tenant(tenant), tenant_prefix(tenant)
        wire.clear()
        ledger, outbox = ledger_of(view), outbox_of(view)
        ledger.open("wallet", "EUR", at_least=eur("0"))
        ledger.move("capital", "wallet", eur("5"), id="start")
        ledger.reverse("start", by="back")
        ledger.balance("wallet")
        ledger.balance("capital", currency="EUR")
        outbox.add("a")
        outbox.run(410)
        outbox.redrive(outbox.dead()[0].id)
        outbox.run()
        leading = [key for _, body in wire.calls for key in leading_keys(body)]
        assert len(leading) > 20
        assert all(key.startswith(prefix) for key in leading), leading


def leading_keys(body):
    """The first part of each key in a request."""
    found = []
    for name, value in body.items() if isinstance(body, dict) else ():
        if name in {"Key", "Item"}:
            found += [value[part]["S"] for part in ("pk", "id", "key") if part in value][:1]
        elif name == "Keys":
            found += [one["pk"]["S"] for one in value]
        elif name == "KeyConditionExpression":
            found.append(next(one["S"] for one in body["ExpressionAttributeValues"].values() if "S" in one))
        elif isinstance(value, dict):
            found += leading_keys(value)
        elif isinstance(value, list):
            found += [key for one in value for key in leading_keys(one)]
    return found


def test_prefixes_are_those_that_policies_allow():
    arn = "arn:aws:dynamodb:eu-west-1:123456789012:table/pay"
    for tenant in (*TENANTS, "t1", "50% #1", "日本"):
        (statement,) = json.loads(session_policy(tenant, [], payments=[arn]))["Statement"]
        leading = statement["Condition"]["ForAllValues:StringLike"]["dynamodb:LeadingKeys"]
        assert leading == [f"{tenant_prefix(tenant)}*"]
    for tenant in (*TENANTS, "t1", "50% #1", "日本", "a\tb"):
        prefix = tenant_prefix(tenant)
        assert home_of({"tenant": tenant}) == home_of_key(f"{prefix}x#y") == Home(prefix)
        assert tenant_of(f"{prefix}x") == tenant
    assert home_of({}) == home_of_key("cash") == Home()
    assert tenant_of("cash") is None
    assert home_of({"all_tenants": "why"}).is_all
