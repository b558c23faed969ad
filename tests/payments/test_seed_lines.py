"""What was promised of payments, line by line as a program writes it: section 1, the index strategy, and the release strategy."""

from datetime import datetime

import pytest

import dynamorm
import dynamorm.testing
from dynamorm import Attr, BatchConfig, Model, Unique, attr, created_at, gsi, partition_key, version
from dynamorm.errors import DuplicateKey, VersionConflict
from dynamorm.payments import PaymentIndexes, PaymentMixin, WebhookMixin, find_payment_by_idempotency_key

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
    one.status = "captured"
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


def test_core_features_are_there_and_the_others_ask(db, key, monkeypatch):
    db.create(Payment(id=key, idempotency_key=key, amount=500, currency="EUR", status="pending"))
    assert db.model(Payment).where("id", "=", key).first().amount == 500
    assert dynamorm.is_enterprise() is False
    monkeypatch.setenv("DYNAMORM_LICENSE", dynamorm.testing.licence(["multi_tenancy"]))
    assert dynamorm.is_enterprise() is True
