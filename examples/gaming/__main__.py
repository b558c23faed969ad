"""``python -m examples.gaming``: an evening of duels on this machine, while replies are lost, and the board behind it."""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, TypeVar

from dynamorm import AsyncDB, OutcomeUnknown, Presets
from dynamorm.errors import TransactionConflict, Unavailable

from .game import Game, GameError
from .models import Match, Player

_T = TypeVar("_T")


def main(arguments: Sequence[str] | None = None) -> int:
    """Play. Returns 1 when ratings or matches do not add up. Example: ``main(["--players", "40"])``."""
    parser = argparse.ArgumentParser(prog="python -m examples.gaming", description=__doc__)
    parser.add_argument("--players", type=int, default=40, help="who play at the same time (default: 40)")
    parser.add_argument(
        "--matches", type=int, default=3, help="matches of each, as far as others are left (default: 3)"
    )
    parser.add_argument("--lost", type=float, default=0.1, help="the share of replies that are lost (default: 0.1)")
    parser.add_argument("--seed", type=int, default=7, help="of the players and the losses (default: 7)")
    return asyncio.run(_evening(parser.parse_args(arguments)))


async def _evening(options: argparse.Namespace) -> int:
    async with AsyncDB(Presets.local_development()) as db:
        game = Game(db)
        await game.open()
        names = [f"player-{number}" for number in range(options.players)]
        for name in names:
            await db.create(Player(id=name, name=name, coins=50))
        engine = db.config.engine
        if engine is not None and options.lost:
            engine.faults.lose_reply(share=options.lost, seed=options.seed)
        await asyncio.gather(*(_play(game, name, options) for name in names))
        if engine is not None:
            engine.faults.clear()
        return await _told(db, game, names)


async def _play(game: Game, name: str, options: argparse.Namespace) -> None:
    dice = random.Random(f"{options.seed} {name}")
    await _persist(lambda: game.sign_in(name))
    played, patience = 0, 30
    while played < options.matches and patience:
        match = await _persist(lambda: game.join(name, "duel"))
        if match is None:
            patience -= 1
            await asyncio.sleep(0.01)
            continue
        winner = sorted(match.players)[int(match.id, 16) % 2]  # both see the same
        await _persist(partial(game.finish, match.id, winner))
        await _persist(lambda: game.score("today", name, dice.randrange(1_000)))
        played += 1
    if dice.random() < 0.5:
        receipt = f"sword-{name}"
        try:
            await _persist(lambda: game.buy(name, "sword", 30, receipt))
        except GameError:
            return


async def _persist(work: Callable[[], Awaitable[_T]]) -> _T:
    """Do it again while nobody can tell, or others are in the way: each work of the game may be asked for twice."""
    for _ in range(20):
        try:
            return await work()
        except (OutcomeUnknown, TransactionConflict, Unavailable):
            continue
    return await work()


async def _told(db: AsyncDB, game: Game, names: list[str]) -> int:
    players = [player for player in await db.batch_get(Player, names) if player is not None]
    matches: list[Any] = await db.model(Match).allow_scan().all()
    print(f"{'place':>5}  {'player':12} {'points':>6}")
    for score in await game.top("today", 5):
        print(f"{await game.rank('today', score.player):5}  {score.player:12} {score.points:6}")
    swords = sum([(await game.inventory(name)).get("sword", 0) for name in names])
    won = Counter(match.winner for match in matches)
    coins = sum(player.coins for player in players)
    wrong = [
        told
        for told, is_wrong in (
            ("ratings", sum(player.rating for player in players) != 1_000 * len(players)),
            ("coins", coins != 50 * len(players) + 10 * (len(matches) - won[None]) - 30 * swords),
            ("matches", any(player.match for player in players) != bool(won[None])),
        )
        if is_wrong
    ]
    print(f"{len(matches)} matches of {len(players)} players, {swords} swords sold, {coins} coins left")
    print("ratings, coins and matches add up" if not wrong else f"{', '.join(wrong)} do not add up")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
