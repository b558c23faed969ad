"""What came of a run, by what is stored: one charge for each key, one refund, one posting, and books that sum to zero."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from typing import NamedTuple

from dynamorm import AsyncDB

from ..acquirer import Instruction
from ..models import Endpoint, Payment, Refund
from ..service import Service
from .servers import Merchant
from .storm import Storm

REASON = "the proof of a load run"


class Line(NamedTuple):
    """One line of the proof: what was looked at, what was found, and whether that is right."""

    name: str
    found: str
    ok: bool


async def secret_of_merchant(service: Service, tenant: str) -> str:
    """What the webhooks of a merchant are signed with."""
    return (await service.db.with_tenant(tenant).require(Endpoint)).secret


async def settled(service: Service, merchant: Merchant, patience: float = 120.0) -> None:
    """Wait until every event has been delivered: the servers do so, and this process helps. Raises: TimeoutError."""
    end = time.monotonic() + patience
    while not await _is_settled(service, merchant):
        if time.monotonic() > end:
            raise TimeoutError("events are left that were not delivered")
        await service.deliveries.once()
        await asyncio.sleep(0.2)


async def proof(service: Service, storm: Storm, merchant: Merchant) -> list[Line]:
    """Look at everything that is stored."""
    every = service.db.all_tenants(reason=REASON)
    payments = await every.model(Payment).allow_scan().all()
    refunds = await every.model(Refund).allow_scan().all()
    async with AsyncDB(service.settings.config) as other_side:
        told = await other_side.model(Instruction).allow_scan().all()
    kinds = Counter(one.kind for one in told)
    books, checked = await service.books.trial_balance(), await service.books.verify()
    captured = [one for one in payments if one.captured]
    keys = [key for key in storm.answers if key.startswith("order-")]
    right = [key for key in storm.answers if key.startswith("refund-") and storm.answers[key][0][0] == 201]
    by_key, by_reason = Counter(one.order for one in payments), Counter(str(one.reason) for one in refunds)
    answered = {key: json.loads(storm.answers[key][0][1])["id"] for key in keys}
    events = len(payments) + len(refunds)
    sums = ", ".join(f"{money}" for _, money in sorted(books.by_currency.items()))
    return [
        Line("keys", str(len(keys)), bool(keys)),
        _once("charges by key", by_key, keys),
        Line(
            "answers of one key that differ",
            str(sum(len(set(found)) > 1 for found in storm.answers.values())),
            all(len(set(found)) == 1 for found in storm.answers.values()),
        ),
        Line("answers tell what is stored", "", answered == {one.order: one.id for one in payments}),
        _once("refunds by key", by_reason, right),
        Line(
            "payments of which too much was given back",
            str(sum(one.refunded > one.captured for one in payments)),
            all(one.refunded == sum(one.refunds.values()) <= one.captured for one in payments),
        ),
        Line("acquirer: authorizations", str(kinds["authorize"]), kinds["authorize"] == len(payments)),
        Line("acquirer: money taken", str(kinds["capture"]), kinds["capture"] == len(captured)),
        Line("acquirer: money given back", str(kinds["refund"]), kinds["refund"] == len(refunds)),
        Line("postings", str(books.postings), books.postings == len(captured) + len(refunds)),
        Line("trial balance", sums, books.ok and not any(money.cents for money in books.by_currency.values())),
        Line("balances that differ from their postings", str(len(checked.differs)), checked.ok),
        Line("webhooks that arrived, each at least once", str(len(merchant.ids)), len(merchant.ids) == events),
        Line("webhooks out of order", str(_out_of_order(merchant)), not _out_of_order(merchant)),
        Line("webhooks with a wrong signature", str(merchant.forged), merchant.forged == 0),
    ]


async def _is_settled(service: Service, merchant: Merchant) -> bool:
    every = service.db.all_tenants(reason=REASON)
    payments = await every.model(Payment).allow_scan().count()
    refunds = await every.model(Refund).allow_scan().count()
    return len(merchant.ids) >= payments + refunds


def _once(name: str, found: Counter[str], keys: list[str]) -> Line:
    """Each key has one effect, and there is no effect without a key."""
    wrong = sum(count != 1 for count in found.values()) + len(found.keys() ^ set(keys))
    return Line(name, f"{len(found)}, {wrong} wrong", not wrong)


def _out_of_order(merchant: Merchant) -> int:
    """Payments of which a merchant was told a refund before what came before it."""
    wrong = 0
    for told in merchant.told.values():
        amounts = [refunded for _, refunded in told]
        wrong += amounts != sorted(amounts) or told[0][0] == "payment.refunded"
    return wrong
