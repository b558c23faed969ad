"""The lines of the original plan for the audit trail, one by one, on both faces.

Each line stands here as a Python program writes it, with the Go line that it comes from beside it, and is held to what it says.
"""

from datetime import UTC, datetime, timedelta

import pytest

import dynamorm
from dynamorm import (
    Attr,
    Audit,
    ChangeTrackingConfig,
    Mixin,
    Model,
    attr,
    created_at,
    partition_key,
    updated_at,
    version,
)
from dynamorm.plugins.audit import Change

pytestmark = pytest.mark.engine


class AuditableModel(Mixin):
    created_by: Attr[str | None] = attr(Audit("created_by"))  # CreatedBy string `dynamorm:"created_by,auto"`
    created_at: Attr[datetime] = created_at()  # CreatedAt time.Time `dynamorm:"created_at"`
    updated_by: Attr[str | None] = attr(Audit("updated_by"))  # UpdatedBy string `dynamorm:"updated_by,auto"`
    updated_at: Attr[datetime] = updated_at()  # UpdatedAt time.Time `dynamorm:"updated_at"`
    updated_ip: Attr[str | None] = attr(Audit("updated_ip"))  # UpdatedIP string `dynamorm:"updated_ip,auto"`
    change_log: Attr[list[Change]] = attr(Audit("changelog"))  # ChangeLog []Change `dynamorm:"changelog,auto"`


class Payment(AuditableModel, Model, table="seed-audited-payments"):
    id: Attr[str] = partition_key()
    amount: Attr[int]
    status: Attr[str] = attr(default="pending")
    currency: Attr[str] = attr(default="USD")
    version: Attr[int] = version()


def test_the_lines_of_the_plan(engine, face_kind, key):
    from dynamorm import Presets
    from tests.support.faces import Face

    config = Presets.local_development(endpoint=engine.endpoint, table_prefix=f"{key[:8]}-")
    db = Face(face_kind, config)
    try:
        # db.EnableAuditLog()
        db.enable_audit_log()
        # db.EnableChangeTracking(&Payment{}, ChangeTrackingConfig{
        #     Fields: []string{"Amount", "Status", "Currency"}, Store: "audit-log-table"})
        db.enable_change_tracking(
            Payment, ChangeTrackingConfig(fields=["amount", "status", "currency"], store="audit-log-table")
        )
        db.tables.ensure(Payment)
        with dynamorm.actor("user:42", ip="203.0.113.7"):
            payment = db.create(Payment(id="p1", amount=500))
            payment.status = "completed"
            db.save(payment)
        assert (payment.created_by, payment.updated_by, payment.updated_ip) == ("user:42", "user:42", "203.0.113.7")
        assert [(change.field, change.old, change.new) for change in payment.change_log] == [
            ("status", "pending", "completed")
        ]
        first, second = db.audit.history(Payment, "p1")
        assert {change.field: change.new for change in first.changes} == {
            "amount": 500, "status": "pending", "currency": "USD",
        }  # fmt: skip
        assert [(change.field, change.old, change.new) for change in second.changes] == [
            ("status", "pending", "completed")
        ]
        assert (second.version, second.op, second.by, second.ip) == (2, "update", "user:42", "203.0.113.7")
        assert db.audit.verify(Payment, "p1").ok
        now = datetime.now(UTC) + timedelta(seconds=5)
        assert db.audit.as_of(Payment, "p1", now).values["status"] == "completed"
    finally:
        db.close()
