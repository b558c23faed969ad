"""What was promised of payments, line by line as a program writes it: section 1, the index strategy, and the release strategy."""

import tomllib
from datetime import datetime
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet
from packaging.version import Version

import dynamorm
import dynamorm.testing
from dynamorm import (
    DB,
    AsyncDB,
    Attr,
    BatchConfig,
    Cache,
    Model,
    Presets,
    Unique,
    attr,
    created_at,
    gsi,
    partition_key,
    version,
)
from dynamorm.errors import DuplicateKey, VersionConflict
from dynamorm.payments import PaymentIndexes, PaymentMixin, WebhookMixin, find_payment_by_idempotency_key
from dynamorm.plugins import LocalKeyProvider
from tests.behaviour.kit import Recorder

pytestmark = pytest.mark.engine


class Payment(Model, table="payments"):
    id: Attr[str] = partition_key()
    idempotency_key: Attr[str] = attr(Unique())
    amount: Attr[int]
    currency: Attr[str]
    status: Attr[str]
    created_at: Attr[datetime] = created_at()
    version: Attr[int] = version()
    by_status = gsi("gsi-status-created", partition="status", sort="created_at")
    by_key = gsi("gsi-idempotency", partition="idempotency_key", projection="KEYS_ONLY")


class Indexed(Model, PaymentMixin, PaymentIndexes, table="indexed"):
    id: Attr[str] = partition_key()


class Hook(Model, table="hooks"):
    id: Attr[str] = partition_key()
    topic: Attr[str]


class Webhook(Model, WebhookMixin, table="webhooks"):
    id: Attr[str] = partition_key()


MODELS = (Payment, Indexed, Hook, Webhook)
ROOT = Path(__file__).resolve().parents[2]


def test_a_payment_is_found_by_its_key_and_is_there_once(db, call, key):
    payment = db.create(Payment(id=key, idempotency_key=key, amount=500, currency="EUR", status="pending"))
    assert call(find_payment_by_idempotency_key, db.inner, Payment, key) == payment
    assert db.find_by_unique(Payment, idempotency_key=key) == payment
    with pytest.raises(DuplicateKey):
        db.create(Payment(id=f"{key}2", idempotency_key=key, amount=500, currency="EUR", status="pending"))
    assert db.model(Payment).where("status", "=", "pending").where(Payment.id == key).allow_scan().count() == 1


def test_its_version_keeps_it_consistent(db, key):
    one = db.create(Payment(id=key, idempotency_key=key, amount=500, currency="EUR", status="pending"))
    other = db.get(Payment, key)
    one.status = "authorized"
    db.save(one)
    other.status = "failed"
    with pytest.raises(VersionConflict):
        db.save(other)


def test_the_recommended_indexes_have_the_recommended_names():
    names = {index.name for index in dynamorm.schema_of(Indexed).indexes.values()}
    assert {
        "gsi-status-created",
        "gsi-merchant-created",
        "gsi-customer-created",
        "gsi-settlement-date",
        "gsi-idempotency",
    } == names


def test_webhooks_are_batched(db, key):
    if db.kind == "asyncio":
        pytest.skip("tests/plugins/test_batcher.py has the batcher on the asyncio face")
    with db.new_batcher(BatchConfig(max_size=25, max_wait=0.1, parallelism=4)) as batcher:
        for number in range(30):
            batcher.add(Hook(id=f"{key}{number}", topic="payment.captured"))
    assert len(db.batch_get(Hook, [f"{key}{number}" for number in range(30)])) == 30


def test_a_webhook_that_comes_twice_is_stored_once(db, key):
    db.create(Webhook(id=key, event_id=key, topic="payment.captured"))
    with pytest.raises(DuplicateKey):
        db.create(Webhook(id=f"{key}2", event_id=key, topic="payment.captured"))


def test_finding_a_payment_by_its_key_is_cached(plugged, key, wire):
    """ "Optimized query with caching": with a cache, the payment itself is asked for once."""
    seen = Recorder()
    db = plugged(seen, Cache())
    made = db.create(Payment(id=key, idempotency_key=key, amount=500, currency="EUR", status="pending"))
    found = []
    for _ in range(3):
        result = find_payment_by_idempotency_key(db.inner, Payment, key)
        found.append(result if db.kind == "blocking" else db._loop.run(result))
    assert found == [made] * 3
    assert seen.names.count("TransactGetItems") == 0
    assert len(seen.names) <= 1 + 2 * 3


def test_core_features_are_there_and_the_others_ask(db, key, monkeypatch):
    """Feature flags, as the block is written: without a licence it does nothing, and every core feature is there."""
    db.create(Payment(id=key, idempotency_key=key, amount=500, currency="EUR", status="pending"))
    assert db.model(Payment).where("id", "=", key).first().amount == 500
    assert dynamorm.is_enterprise() is False
    monkeypatch.setenv("DYNAMORM_LICENSE", dynamorm.testing.licence(["multi_tenancy"]))
    assert dynamorm.is_enterprise() is True


@pytest.mark.parametrize("face", [DB, AsyncDB])
def test_the_block_of_enterprise_features(face, monkeypatch):
    def flags(db):
        if dynamorm.is_enterprise():
            db.enable_encryption()
            db.enable_audit_log()
            db.enable_multi_tenancy()
        return [type(plugin).__name__ for plugin in db.plugins]

    def fresh():
        return face(Presets.local_development(endpoint="http://127.0.0.1:9"))

    before = flags(fresh())
    assert "Tenancy" not in before
    monkeypatch.setenv("DYNAMORM_LICENSE", dynamorm.testing.licence(["encryption", "audit_log", "multi_tenancy"]))
    assert {"AuditLog", "Tenancy"} <= set(flags(fresh()))


def test_in_development_the_features_need_no_licence(plugged, tmp_path, monkeypatch):
    monkeypatch.delenv("DYNAMORM_LICENSE", raising=False)
    db = plugged()
    db.enable_encryption(LocalKeyProvider(tmp_path / "keys.json"))
    db.enable_audit_log()
    db.enable_multi_tenancy()
    assert db.with_tenant("m1").scope == {"tenant": "m1"}


def test_both_licences_are_told():
    """LICENSE is the Apache License, and COMMERCIAL.md says plainly what is what."""
    licence, commercial = ((ROOT / name).read_text() for name in ("LICENSE", "COMMERCIAL.md"))
    assert "Apache License" in licence
    assert "Version 2.0" in licence
    for said in (
        "enable_encryption()",
        "enable_audit_log()",
        "enable_multi_tenancy()",
        "permits you to remove the check",
    ):
        assert said in commercial
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["license"] == "Apache-2.0"


def test_versions_may_have_a_local_label():
    """ "v1.x.x" for everybody, "v1.x.x-paytheory" inside: as Python spells it, with a plus, and newer than the plain one."""
    plain, inside = Version("1.0.0"), Version("1.0.0+paytheory")
    assert inside.public == plain.public
    assert inside > plain
    assert plain in SpecifierSet("==1.0.0")
    assert inside in SpecifierSet("==1.0.0")
    assert inside not in SpecifierSet("===1.0.0")
    assert Version(dynamorm.__version__).major == 1
    assert "1.0.0+paytheory" in (ROOT / "COMMERCIAL.md").read_text()
