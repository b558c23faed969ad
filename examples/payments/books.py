"""The ledger: each event that moves money is posted once, under an id that is made of what it tells.

Accounts of a merchant: ``acquirer`` is what the acquirer owes, ``merchant`` what the merchant is owed (below zero, a credit),
``fees`` what we earn, ``bank`` what has arrived.
"""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final

from dynamorm import AsyncDB
from dynamorm.errors import NotFound
from dynamorm.payments import Ledger, Money, Posting, TrialBalance, Verification
from dynamorm.payments.ledger import LedgerEntry
from dynamorm.plugin import tenant_prefix

from .access import Caller
from .events import Told
from .models import Payment

FEE: Final = Decimal("0.029")
ACCOUNTS: Final = ("acquirer", "merchant", "fees", "bank")


def fee_of(money: Money) -> Money:
    """What we keep of a captured amount."""
    return money.times(FEE, rounding=ROUND_HALF_UP)


def legs_of(told: Told) -> list[Posting]:
    """The legs that an event is in the books; none for one that moves no money."""
    if told.topic == "payment.captured":
        captured = told.money("captured")
        fee = fee_of(captured)
        moved = {"acquirer": captured, "merchant": fee - captured, "fees": -fee}
    elif told.topic == "payment.refunded":
        moved = {"merchant": told.refunded, "acquirer": -told.refunded}
    elif told.topic == "payment.settled":
        arrived = told.money("captured") - told.money("refunded")
        moved = {"bank": arrived, "acquirer": -arrived}
    else:
        moved = {}
    return [Posting(account, money) for account, money in moved.items() if money.cents]


class Books:
    """The ledgers of all merchants: each has one of its own, that of its view."""

    def __init__(self, db: AsyncDB) -> None:
        self._db = db

    async def post(self, view: AsyncDB, told: Told) -> None:
        """Post an event. It may come again: then nothing happens."""
        legs = legs_of(told)
        if legs:
            await Ledger(view).post(legs, id=_id_of(told))

    async def balances(self, view: AsyncDB, currency: str) -> dict[str, int]:
        """The balances of a merchant, in minor units."""
        ledger, found = Ledger(view), {}
        for account in ACCOUNTS:
            try:
                found[account] = (await ledger.balance(account, currency=currency)).cents
            except NotFound:
                found[account] = 0
        return found

    async def entries(self, asking: Caller, payment: Payment) -> list[dict[str, Any]]:
        """The postings of a payment, the oldest first."""
        ids = [f"{payment.id}/captured", f"{payment.id}/settled", *payment.refunds]
        before = tenant_prefix(asking.tenant)  # what the keys of a tenant's items begin with
        found = [
            one for one in await asking.view.batch_get(LedgerEntry, [before + id for id in ids]) if one is not None
        ]
        found.sort(key=lambda one: one.at)
        return [
            {
                "id": one.pk.removeprefix(before),
                "at": one.at.isoformat(),
                "legs": [
                    {"account": account, "amount": cents, "currency": currency} for account, currency, cents in one.legs
                ],
            }
            for one in found
        ]

    async def trial_balance(self) -> TrialBalance:
        """The sum of everything of everybody, which is zero. It reads everything: run it at night."""
        found: TrialBalance = await Ledger(self._everybody()).trial_balance()
        return found

    async def verify(self) -> Verification:
        """Compare balances with postings. It reads everything, too."""
        found: Verification = await Ledger(self._everybody()).verify()
        return found

    def _everybody(self) -> AsyncDB:
        return self._db.all_tenants(reason="the books are checked")


def _id_of(told: Told) -> str:
    return str(told.refund["id"]) if told.refund else f"{told.payment['id']}/{told.topic.partition('.')[2]}"
