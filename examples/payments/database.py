"""Opens the database with all that the service asks of it: tenants, encryption, audit, figures."""

from __future__ import annotations

import hashlib
import logging

from prometheus_client import CollectorRegistry

from dynamorm import AsyncDB, ChangeTrackingConfig, LoggingPlugin, MetricsPlugin
from dynamorm.payments import ensure_tables
from dynamorm.plugins import CostPlugin, Dashboard, HotKeys

from .models import MODELS, ApiKey, Card, Endpoint, Payment
from .settings import Settings, new_secret

AUDIT_STORE = "service-audit"
LOG = logging.getLogger("payments.db")


def open_database(settings: Settings, registry: CollectorRegistry, dashboard: Dashboard | None = None) -> AsyncDB:
    """A database with its plugins; nothing is sent yet."""
    db = AsyncDB(settings.config)
    db.enable_multi_tenancy()
    db.enable_encryption()
    db.set_encryption_provider(settings.keys())
    db.enable_audit_log(audit_key=settings.audit_key)
    for model, fields in ((Payment, ["status", "amount", "captured", "refunded"]), (Card, ["exp_month", "exp_year"])):
        db.enable_change_tracking(model, ChangeTrackingConfig(fields=fields, store=AUDIT_STORE))
    db.use(MetricsPlugin(registry), LoggingPlugin(LOG, slow=1.0), CostPlugin(), HotKeys())
    if dashboard is not None:
        db.use(dashboard)
    return db


async def prepare(db: AsyncDB, settings: Settings) -> None:
    """Make the tables, where they are not there, and what local development begins with. In production a release does this."""
    for model in MODELS:
        await db.tables.ensure(model)
    await ensure_tables(db)
    for tenant, key in settings.demo_keys.items():
        await db.put(ApiKey(digest=digest_of(key), id=f"demo-{tenant}", tenant=tenant))
        view = db.with_tenant(tenant)
        if await view.get(Endpoint) is None:
            await view.put(Endpoint(url=f"{settings.url}/play/receiver/{tenant}", secret=new_secret()))


def digest_of(key: str) -> str:
    """What is stored of an API key."""
    return hashlib.sha256(key.encode()).hexdigest()
