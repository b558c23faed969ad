"""One payment's life: every verb once, on both faces, and a conflict that is caught."""

from __future__ import annotations

import asyncio

from dynamorm import DB, AsyncDB, Config, VersionConflict

from .model import Payment, Status
from .screen import money

Step = tuple[str, str, bool]


def live(config: Config, pattern: Payment) -> list[Step]:
    """Create, read, change, query and delete a payment made after ``pattern``. Returns the lines to show.

    Example: ``live(config, shipped_payments(1)[0])``
    """
    steps: list[Step] = []
    with DB(config) as db:
        payment = Payment(
            id="pay_demo",
            merchant=pattern.merchant,
            amount=12_50,
            currency=pattern.currency,
            method="card",
            placed_at=pattern.placed_at,
        )
        db.create(payment)
        steps.append(("db.create(payment)", f"stored, version {payment.version}", False))
        stale = db.require(Payment, "pay_demo")
        steps.append(('stale = db.require(Payment, "pay_demo")', money(stale.amount, stale.currency), False))
        pending = Payment.status == Status.PENDING
        db.update(payment, Payment.status.set(Status.CAPTURED), condition=pending)
        code = "db.update(payment, Payment.status.set(Status.CAPTURED),\n          condition=Payment.status == Status.PENDING)"
        steps.append((code, f"{payment.status.value}, version {payment.version}", False))
        payment.note = "gift wrap"
        db.save(payment)
        steps.append(('payment.note = "gift wrap"; db.save(payment)', f"version {payment.version}", False))
        stale.note = "from an old copy"
        try:
            db.save(stale)
        except VersionConflict as error:
            steps.append(
                ("db.save(stale)", f"VersionConflict: {error.message.partition(': ')[2].partition(';')[0]}", True)
            )
        found = (
            db.model(Payment).where(Payment.merchant == pattern.merchant).order_by("placed_at", "desc").limit(3).all()
        )
        code = 'db.model(Payment).where(Payment.merchant == merchant)\n  .order_by("placed_at", "desc").limit(3).all()'
        steps.append((code, f"{len(found)} payments to {pattern.merchant}", False))
    return steps + asyncio.run(_end(config))


async def _end(config: Config) -> list[Step]:
    async with AsyncDB(config) as db:
        payment = await db.require(Payment, "pay_demo")
        await db.delete(payment)
        gone = await db.get(Payment, "pay_demo")
    return [
        ("await async_db.delete(payment)", "deleted", False),
        ('await async_db.get(Payment, "pay_demo")', repr(gone), False),
    ]
