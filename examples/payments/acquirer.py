"""Stands for the acquirer, the company that talks to the card networks: replace it by a client of yours.

It is the other side, so it has a database object of its own. It remembers keys, as the real ones do: what comes again under a
key is done once.
"""

from __future__ import annotations

import secrets
from typing import Any

from dynamorm import AsyncDB, Attr, Config, Model, attr, partition_key
from dynamorm.errors import AlreadyExists
from dynamorm.payments import Money

from .models import Card

DECLINED = "4000000000000002"
"""The number of a card that is always declined."""


class Instruction(Model, table="acquirer-instructions"):
    """What the acquirer was told, once for each key."""

    key: Attr[str] = partition_key()
    kind: Attr[str]
    authorization: Attr[str]
    amount: Attr[int]
    currency: Attr[str]
    approved: Attr[bool] = attr(default=True)


class Acquirer:
    """The acquirer. Every call has a key, and the same key has one effect."""

    def __init__(self, config: Config) -> None:
        self._db = AsyncDB(config)

    async def open(self) -> None:
        """Make its table."""
        await self._db.tables.ensure(Instruction)

    async def close(self) -> None:
        """End its connections."""
        await self._db.close()

    async def authorize(self, key: str, card: Card, money: Money) -> dict[str, Any]:
        """Reserve an amount on a card: ``authorization`` and whether it was ``approved``. The CVV is seen here, and nowhere else."""
        if card.cvv is not None:
            with card.cvv.reveal() as cvv:
                assert len(cvv) >= 3  # a real one sends it
        approved = card.number != DECLINED
        done = await self._once(key, "authorize", f"auth_{secrets.token_hex(12)}", money, approved=approved)
        return {"authorization": done.authorization, "approved": done.approved}

    async def instruct(self, key: str, kind: str, authorization: str, money: Money) -> None:
        """Take, give back or release money of an authorization: ``kind`` is "capture", "refund" or "void"."""
        await self._once(key, kind, authorization, money)

    async def _once(
        self, key: str, kind: str, authorization: str, money: Money, *, approved: bool = True
    ) -> Instruction:
        new = Instruction(
            key=key,
            kind=kind,
            authorization=authorization,
            amount=money.cents,
            currency=money.currency,
            approved=approved,
        )
        try:
            return await self._db.create(new)
        except AlreadyExists:
            return await self._db.require(Instruction, key, consistent=True)
