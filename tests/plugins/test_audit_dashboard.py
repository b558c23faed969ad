"""The page of the dashboard that shows the history of an item as a timeline, with the verdict on its chain."""

import re
from decimal import Decimal
from enum import StrEnum
from urllib.parse import urlencode

import pytest

from dynamorm import DB, Attr, Encrypted, LocalKeyProvider, Model, Tenant, actor, attr, partition_key, sort_key
from dynamorm.errors import ConfigError
from dynamorm.plugins import Dashboard
from dynamorm.plugins.audit import AuditLog
from dynamorm.plugins.encryption import EncryptionPlugin
from dynamorm.plugins.tenancy import Tenancy

from .audit_kit import rows, tracking
from .dashboard_kit import Visitor

pytestmark = pytest.mark.engine


class Payment(Model, table="shown-payments"):
    id: Attr[str] = partition_key()
    amount: Attr[int] = attr(default=0)
    status: Attr[str] = attr(default="new")
    pan: Attr[str | None] = attr(default=None, secret=True)
    note: Attr[str] = attr(default="")


class Line(Model, table="shown-lines"):
    order: Attr[str] = partition_key()
    number: Attr[int] = sort_key()
    amount: Attr[int] = attr(default=0)


class Invoice(Model, table="shown-invoices"):
    tenant_id: Attr[str] = partition_key(Tenant())
    number: Attr[int] = sort_key()
    amount: Attr[int] = attr(default=0)
    pan: Attr[str | None] = attr(Encrypted("pci"), default=None)


class Mint(StrEnum):
    """A class whose name holds that of a number."""

    paris = "paris"


class Coin(Model, table="shown-coins"):
    mint: Attr[Mint] = partition_key()
    worth: Attr[Decimal] = sort_key()
    amount: Attr[int] = attr(default=0)


MODELS = (Payment, Line, Coin)


def enable(db):
    db.enable_change_tracking(Payment, tracking(("amount", "status", "pan"), store="shown-log", redact=["status"]))
    db.enable_change_tracking(Line, tracking(("amount",), store="shown-log"))


def made_with(db):
    enable(db)
    row = next(one for one in db.plugins if isinstance(one, AuditLog)).of(Payment).row
    db.tables.create(row, skip_unavailable=True)


@pytest.fixture
def shown(plugged):
    db = plugged(dashboard := Dashboard(audit=True))
    enable(db)
    with actor("user:<b>42</b>", ip="203.0.113.7"):
        yield db, Visitor(dashboard.url)


def ask(visitor, **asked):
    answer = visitor.ask("/audit?" + urlencode(asked, doseq=True))
    assert answer.status == 200
    return answer.text


def text_of(page):
    return re.sub(r"<[^>]*>", " ", page)


def test_a_history_is_a_timeline_with_its_verdict(shown, key):
    db, visitor = shown
    db.create(Payment(id=key, amount=500, status="hidden state", pan="4111111111111111", note="not tracked"))
    db.update(Payment, key, Payment.amount.add(-50))
    page = ask(visitor, model="Payment", key=key)
    text = text_of(page)
    assert "The chain holds: 2 records were checked." in text
    assert "500 → 450" in text
    assert page.index("450") < page.index("create")  # the newest first
    assert "user:&lt;b&gt;42&lt;/b&gt;" in page
    assert "203.0.113.7" in text
    assert "not shown" in text
    for secret in ("4111", "hidden state", "not tracked", "<b>42"):
        assert secret not in page


def test_a_key_of_two_parts_and_a_number(shown, key):
    db, visitor = shown
    db.create(Line(order=key, number=7, amount=1))
    assert "1 records were checked" in text_of(ask(visitor, model="Line", key=[key, "7"]))
    assert "There is no record of this item." in text_of(ask(visitor, model="Line", key=[key, "8"]))
    assert "ValidationError" in text_of(ask(visitor, model="Line", key=[key, "seven"]))
    assert "ValidationError" in text_of(ask(visitor, model="Line", key=[key]))
    assert "ValidationError" in text_of(ask(visitor, model="Payment", key=[key, "7"]))


def test_a_chain_that_does_not_hold_is_said_to(shown, key):
    db, visitor = shown
    db.create(Payment(id=key, amount=1))
    db.update(Payment, key, Payment.amount.add(1))
    (row,) = [row for row in rows(db, Payment) if key in row.pk and row.sk.endswith("2")]
    with DB(db.inner.config) as plain:
        row.body = row.body.replace(b"42", b"43")
        plain.save(row)
    text = text_of(ask(visitor, model="Payment", key=key))
    assert "The chain does not hold at record 2: forged." in text


def test_what_others_have_changed_is_said(shown, key):
    db, visitor = shown
    db.create(Payment(id=key, amount=1))
    with DB(db.inner.config) as plain:
        plain.update(Payment, key, Payment.amount.set(9))
    db.update(Payment, key, Payment.amount.add(1))
    assert "Changed by others before record 2." in text_of(ask(visitor, model="Payment", key=key))


def test_it_begins_with_a_form(shown):
    _, visitor = shown
    page = ask(visitor)
    assert '<form method="get" action="audit">' in page
    assert '<a href="audit">' in visitor.ask("/").text
    assert re.findall(r"<option[^>]*>(\w+)", page) == ["Line", "Payment"]
    assert "form-action 'self'" in visitor.ask("/audit").headers["content-security-policy"]
    assert "such a model" in text_of(ask(visitor, model="<Nothing>", key="k"))
    assert visitor.ask("/audit", known=False).status == 401


def test_it_is_there_only_where_it_is_asked_for(plugged):
    db = plugged(dashboard := Dashboard())
    visitor = Visitor(dashboard.url)
    assert visitor.ask("/audit").status == 404
    assert 'href="audit"' not in visitor.ask("/").text
    assert "form-action 'none'" in visitor.ask("/").headers["content-security-policy"]
    assert db is not None
    for wrong in (1, "yes", None):
        with pytest.raises(ConfigError):
            Dashboard(audit=wrong)


def test_without_tracking_it_says_what_switches_it_on(plugged):
    plugged(dashboard := Dashboard(audit=True))
    assert "db.enable_change_tracking" in text_of(ask(Visitor(dashboard.url)))


def test_items_of_tenants_with_encrypted_fields_are_shown(plugged, key, tmp_path):
    dashboard = Dashboard(audit=True)
    provider = LocalKeyProvider(tmp_path / "keys.json")
    db = plugged(EncryptionPlugin(provider), Tenancy(), dashboard)
    db.enable_change_tracking(Invoice, tracking(("amount",), store="shown-log"))
    db.tables.ensure(Invoice)
    visitor = Visitor(dashboard.url)
    with actor("user:1"):
        db.with_tenant(key).create(Invoice(number=1, amount=5, pan="4111"))
    for parts in (["1"], [key, "1"]):
        text = text_of(ask(visitor, model="Invoice", key=parts, tenant=key))
        assert "1 records were checked" in text
        assert "user:1" in text
    assert "There is no record" in text_of(ask(visitor, model="Invoice", key=["1"], tenant="another"))
    assert db.with_tenant(key).get(Invoice, 1).pan == "4111"  # the provider still has its database


def test_keys_are_read_as_their_fields_are(plugged, key):
    db = plugged(dashboard := Dashboard(audit=True))
    db.enable_change_tracking(Coin, tracking(("amount",), store="shown-log"))
    with actor("user:1"):
        db.put(Coin(mint=Mint.paris, worth=Decimal("1.5")))
    text = text_of(ask(Visitor(dashboard.url), model="Coin", key=["paris", "1.5"]))
    assert "The chain holds" in text
    assert "user:1" in text
