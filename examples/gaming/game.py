"""What players do. Each change is one request or one transaction, and may be asked for again when nobody knows how it ended."""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from dynamorm import AsyncDB, TransactionCancelled
from dynamorm.errors import AlreadyExists, ConditionFailed, MissingItem, OutOfBounds

from .models import MODELS, Holding, Match, Player, Receipt, Score, Session, Ticket

SIGNED_IN = timedelta(hours=1)
WAITS = timedelta(minutes=1)
KNOWN = timedelta(days=30)
"""How long a receipt is known."""
NEAR = 200
"""Ratings that are this far apart play against each other."""
STAKE = 10
"""What a match moves from the loser's rating to the winner's, as far as the loser has it."""


class GameError(Exception):
    """What a player can be told."""


class Game:
    """The game on a database.

    Example::

        async with AsyncDB(Presets.local_development()) as db:
            game = Game(db)
            await game.open()
            await game.join("ann", "duel")
    """

    def __init__(self, db: AsyncDB) -> None:
        self._db = db

    async def open(self) -> None:
        """Make the tables, or find them as they should be."""
        for model in MODELS:
            await self._db.tables.ensure(model)

    # --------------------------------------------------------------------------------------------------------- sessions

    async def sign_in(self, player: str) -> str:
        """Begin a session: a token for the next hour."""
        session = Session(token=secrets.token_urlsafe(24), player=player, expires_at=datetime.now(UTC) + SIGNED_IN)
        await self._db.create(session)
        return session.token

    async def who(self, token: str) -> str:
        """Whose session it is. Raises: GameError for one that is over, be it deleted yet or not."""
        session = await self._db.get(Session, token)
        if session is None or session.expires_at <= datetime.now(UTC):
            raise GameError("sign in again")
        return session.player

    # ------------------------------------------------------------------------------------------------------ inventories

    async def buy(self, player: str, item: str, price: int, receipt: str) -> None:
        """Coins for an item. ``receipt`` names the purchase: the same one is never paid twice within 30 days.

        Raises: GameError when the coins do not suffice, and for a receipt of something else.
        """
        if price <= 0:
            raise GameError(f"{item} is not for sale at {price} coins")
        async with self._once(
            receipt, f"{player!r} buys {item!r} for {price}", OutOfBounds, f"{item} costs {price} coins"
        ) as tx:
            tx.update(Player, player, Player.coins.add(-price))  # not below 0, which the model says
            tx.update(Holding, player, item, Holding.count.add(1), upsert=True)

    async def give(self, giver: str, taker: str, item: str, gift: str) -> None:
        """Hand an item over; ``gift`` names the deed, as ``receipt`` does. Raises: GameError for what one has not."""
        if giver == taker:
            raise GameError("that is yours already")
        async with self._once(
            gift, f"{giver!r} gives {taker!r} {item!r}", ConditionFailed, f"you have no {item}"
        ) as tx:
            tx.update(Holding, giver, item, Holding.count.add(-1), condition=Holding.count >= 1)
            tx.update(Holding, taker, item, Holding.count.add(1), upsert=True)

    @asynccontextmanager
    async def _once(self, receipt: str, deed: str, refused: type[Exception], words: str) -> AsyncGenerator[Any]:
        """A transaction that writes its receipt: the same deed is applied once, also when it is asked for again.

        Raises: GameError, where it is ``refused``, and for a receipt of another deed.
        """
        try:
            async with self._db.transaction() as tx:
                tx.create(Receipt(id=receipt, deed=deed, expires_at=datetime.now(UTC) + KNOWN))
                yield tx
        except TransactionCancelled as error:
            if (first := error.reasons[0]) and isinstance(first.error, AlreadyExists):
                if (await self._db.require(Receipt, receipt, consistent=True)).deed != deed:
                    raise GameError(f"the receipt {receipt} is of something else") from None
                return  # the same deed was done before, and that is well
            if any(reason and isinstance(reason.error, refused) for reason in error.reasons):
                raise GameError(words) from None
            raise

    async def inventory(self, player: str) -> dict[str, int]:
        """How many of each item a player has."""
        holdings = self._db.model(Holding).where(Holding.player == player).filter(Holding.count > 0)
        return {holding.item: holding.count async for holding in holdings}

    # ------------------------------------------------------------------------------------------------------ matchmaking

    async def join(self, player: str, mode: str) -> Match | None:
        """A match for a player: the one that has begun, or a new one; None while nobody fits. Ask again soon.

        A player is in one match at most, because each transaction that begins one needs both to be in none. A player waits in one
        queue at most, that of the last ``mode``: tickets that are left in others begin no match.
        """
        me = await self._db.require(Player, player, consistent=True)
        if me.match is None:
            for ticket in await self._waiting(me, mode):
                if match := await self._begin(me, ticket):
                    return match
            me = await self._db.require(Player, player, consistent=True)
        if me.match is not None:
            return await self._db.require(Match, me.match, consistent=True)
        if me.waits != mode:
            try:
                await self._db.update(Player, player, Player.waits.set(mode), condition=Player.match == None)  # noqa: E711
            except ConditionFailed:  # somebody has begun a match meanwhile
                return None
        ends = datetime.now(UTC) + WAITS
        await self._db.put(Ticket(mode=mode, rating=me.rating, player=player, expires_at=ends))
        return None

    async def _waiting(self, me: Player, mode: str) -> list[Ticket]:
        """Who waits and is near in rating, the nearest first."""
        tickets = await (
            self._db.model(Ticket)
            .where(Ticket.mode == mode, Ticket.rating.between(max(0, me.rating - NEAR), me.rating + NEAR))
            .filter(Ticket.player != me.id, Ticket.expires_at > datetime.now(UTC))
            .consistent()
            .all()
        )
        return sorted(tickets, key=lambda ticket: abs(ticket.rating - me.rating))

    async def _begin(self, me: Player, ticket: Ticket) -> Match | None:
        """Begin a match with who waits; None when somebody was faster."""
        match = Match(id=secrets.token_hex(8), mode=ticket.mode, players=[ticket.player, me.id])
        try:
            async with self._db.transaction() as tx:
                tx.create(match)
                tx.delete(ticket, must_exist=True)
                tx.delete(Ticket, mode=ticket.mode, rating=me.rating, player=me.id)  # where one waits oneself
                free = Player.match == None  # noqa: E711
                for player, condition in ((ticket.player, free & (Player.waits == ticket.mode)), (me.id, free)):
                    tx.update(Player, player, Player.match.set(match.id), Player.waits.remove(), condition=condition)
        except TransactionCancelled:
            return None
        return match

    async def finish(self, match: str, winner: str) -> None:
        """A match is over: both are free again, and the winner's rating rises by what the loser's falls.

        Finishing twice changes nothing more. Raises: GameError for another winner than before, or one who did not play.
        """
        found = await self._db.require(Match, match, consistent=True)
        if winner not in found.players:
            raise GameError(f"{winner} did not play")
        (loser,) = (player for player in found.players if player != winner)
        stake = min(STAKE, (await self._db.require(Player, loser, consistent=True)).rating)
        try:
            async with self._db.transaction() as tx:
                tx.update(Match, match, Match.winner.set(winner), condition=Match.winner == None)  # noqa: E711
                tx.update(Player, winner, Player.match.remove(), Player.rating.add(stake), Player.coins.add(STAKE))
                tx.update(Player, loser, Player.match.remove(), Player.rating.add(-stake))
        except TransactionCancelled:
            known = (await self._db.require(Match, match, consistent=True)).winner
            if known is None:
                raise
            if known != winner:
                raise GameError(f"{known} has won this match") from None

    # ----------------------------------------------------------------------------------------------------- leaderboards

    async def score(self, board: str, player: str, points: int) -> bool:
        """A result: kept when it is the player's best. True when it is. To tell it twice changes nothing."""
        try:
            await self._db.create(Score(board=board, player=player, points=points))
        except AlreadyExists:
            try:
                await self._db.update(
                    Score, Score.points.set(points), board=board, player=player, condition=Score.points < points
                )
            except (ConditionFailed, MissingItem):
                return False
        return True

    async def top(self, board: str, count: int = 10) -> list[Score]:
        """The best of a board. It reads the best of each shard, and merges them."""
        return await self._db.model(Score).where(Score.board == board).order_by(Score.points, "desc").limit(count).all()

    async def rank(self, board: str, player: str) -> int | None:
        """The place of a player, 1 for the first; None for who has no result. It counts who has more: the better, the cheaper."""
        own = await self._db.get(Score, board=board, player=player)
        if own is None:
            return None
        return 1 + await self._db.model(Score).where(Score.board == board, Score.points > own.points).count()
