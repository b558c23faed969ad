"""The game of examples/gaming: one match for a player, nothing bought twice, boards in order."""

import asyncio
import random
import secrets
from datetime import timedelta

import pytest

from dynamorm import ValidationError
from dynamorm.errors import TransactionConflict
from dynamorm.testing import AsyncTestDB
from examples.gaming import game as game_module
from examples.gaming.__main__ import main
from examples.gaming.game import STAKE, Game, GameError
from examples.gaming.models import MODELS, Match, Player, Session

RUN = secrets.token_hex(4)
"""An engine knows tokens of transactions for ten minutes, those of other databases too."""

pytestmark = [pytest.mark.engine, pytest.mark.whole]


def play(program):
    """Run a program of a game of ann, bob, cleo and dora."""

    async def whole():
        async with AsyncTestDB(models=MODELS) as db:
            for name in ("ann", "bob", "cleo", "dora"):
                await db.create(Player(id=name, name=name, coins=50))
            return await program(Game(db), db)

    return asyncio.run(whole())


async def persistently(work):
    for _ in range(50):
        try:
            return await work()
        except TransactionConflict:
            await asyncio.sleep(0.01)
    return await work()


def test_two_who_join_are_in_one_match():
    async def program(game, db):
        assert await game.join("ann", "duel") is None
        assert await game.join("ann", "duel") is None  # asking again keeps the place
        match = await game.join("bob", "duel")
        assert match.players == ["ann", "bob"]
        assert await game.join("ann", "duel") == match
        assert await game.join("bob", "duel") == match
        assert await game.join("cleo", "duel") is None
        assert await game.join("dora", "race") is None  # another queue

    play(program)


@pytest.mark.parametrize("is_over", [False, True])
def test_a_ticket_that_is_left_in_another_queue_begins_no_match(is_over):
    async def program(game, db):
        await game.join("ann", "race")
        await game.join("ann", "duel")
        assert await game.join("cleo", "race") is None  # ann waits for a duel now
        match = await game.join("bob", "duel")
        if is_over:
            await game.finish(match.id, "bob")
        assert await game.join("cleo", "race") is None
        assert (await game.join("dora", "race")).players == ["cleo", "dora"]
        assert (await db.require(Player, "ann")).match == (None if is_over else match.id)

    play(program)


def test_who_comes_back_to_a_queue_is_met_there():
    async def program(game, db):
        await game.join("ann", "race")
        await game.join("ann", "duel")
        await game.join("ann", "race")
        assert (await game.join("bob", "race")).players == ["ann", "bob"]

    play(program)


def test_all_who_join_at_once_are_in_one_match_each():
    async def program(game, db):
        names = [f"p{number}" for number in range(12)]
        for name in names:
            await db.create(Player(id=name, name=name))

        async def join(name):
            for _ in range(100):
                if match := await persistently(lambda: game.join(name, "duel")):
                    return match
                await asyncio.sleep(0.01)
            return None

        matches = await asyncio.gather(*map(join, names))
        for name, match in zip(names, matches, strict=True):
            assert name in match.players
        assert len({match.id for match in matches}) == 6
        assert await db.model(Match).allow_scan().count() == 6

    play(program)


def test_ratings_that_are_far_apart_do_not_meet_and_who_has_left_is_not_met(monkeypatch):
    async def program(game, db):
        await db.update(Player, "bob", Player.rating.set(1_300))
        await game.join("ann", "duel")
        assert await game.join("bob", "duel") is None
        monkeypatch.setattr(game_module, "WAITS", timedelta(seconds=-1))
        await game.join("cleo", "race")
        assert await game.join("dora", "race") is None

    play(program)


def test_a_match_ends_once_and_frees_both():
    async def program(game, db):
        await game.join("ann", "duel")
        match = await game.join("bob", "duel")
        with pytest.raises(GameError, match="cleo did not play"):
            await game.finish(match.id, "cleo")
        await game.finish(match.id, "bob")
        await game.finish(match.id, "bob")
        with pytest.raises(GameError, match="bob has won this match"):
            await game.finish(match.id, "ann")
        ann, bob = await db.batch_get(Player, ["ann", "bob"])
        assert (ann.rating, bob.rating, bob.coins) == (1_000 - STAKE, 1_000 + STAKE, 50 + STAKE)
        assert (ann.match, bob.match) == (None, None)
        assert await game.join("ann", "duel") is None

    play(program)


def test_a_purchase_is_paid_once_and_never_on_credit():
    async def program(game, db):
        await game.buy("ann", "sword", 30, f"receipt-of-ann-1-{RUN}")
        await game.buy("ann", "sword", 30, f"receipt-of-ann-1-{RUN}")
        with pytest.raises(GameError, match="sword costs 30 coins"):
            await game.buy("ann", "sword", 30, f"receipt-of-ann-2-{RUN}")
        assert await game.inventory("ann") == {"sword": 1}
        assert (await db.require(Player, "ann")).coins == 20

    play(program)


def test_a_receipt_is_of_one_deed():
    async def program(game, db):
        await game.buy("ann", "sword", 30, f"one-{RUN}")
        for player, item, price in (("bob", "axe", 30), ("bob", "sword", 30), ("ann", "axe", 30), ("ann", "sword", 20)):
            with pytest.raises(GameError, match="is of something else"):
                await game.buy(player, item, price, f"one-{RUN}")
        with pytest.raises(GameError, match="is of something else"):
            await game.give("ann", "bob", "sword", f"one-{RUN}")
        await game.give("ann", "bob", "sword", f"gift-{RUN}")
        with pytest.raises(GameError, match="is of something else"):
            await game.give("ann", "cleo", "sword", f"gift-{RUN}")
        assert (await game.inventory("ann"), await game.inventory("bob")) == ({}, {"sword": 1})
        assert [player.coins for player in await db.batch_get(Player, ["ann", "bob"])] == [20, 50]

    play(program)


@pytest.mark.parametrize("price", [0, -10])
def test_nothing_is_sold_for_less_than_a_coin(price):
    async def program(game, db):
        with pytest.raises(GameError, match="not for sale"):
            await game.buy("ann", "sword", price, f"cheap{price}-{RUN}")
        assert (await db.require(Player, "ann")).coins == 50
        assert await game.inventory("ann") == {}

    play(program)


def test_what_is_given_changes_hands():
    async def program(game, db):
        await game.buy("ann", "sword", 30, f"receipt-of-a-gift-{RUN}")
        await game.give("ann", "bob", "sword", f"gift-of-ann-to-bob-1-{RUN}")
        await game.give("ann", "bob", "sword", f"gift-of-ann-to-bob-1-{RUN}")
        assert (await game.inventory("ann"), await game.inventory("bob")) == ({}, {"sword": 1})
        for taker, told in (("bob", "you have no sword"), ("ann", "yours already")):
            with pytest.raises(GameError, match=told):
                await game.give("ann", taker, "sword", f"gift-of-ann-to-bob-2-{RUN}")

    play(program)


def test_a_board_is_in_order_and_keeps_the_best():
    async def program(game, db):
        dice, best = random.Random(1), {}
        for number in range(60):
            name, points = f"p{number % 30}", dice.randrange(500)
            assert await game.score("today", name, points) == (points > best.get(name, -1))
            best[name] = max(points, best.get(name, -1))
        wanted = sorted(best.values(), reverse=True)
        assert [score.points for score in await game.top("today", 30)] == wanted
        for name, points in best.items():
            assert await game.rank("today", name) == 1 + sum(other > points for other in wanted)
        assert await game.rank("today", "nobody") is None
        assert await game.top("tomorrow") == []
        with pytest.raises(ValidationError, match="points"):
            await game.score("today", "ann", -1)

    play(program)


def test_a_session_ends(monkeypatch):
    async def program(game, db):
        token = await game.sign_in("ann")
        assert await game.who(token) == "ann"
        monkeypatch.setattr(game_module, "SIGNED_IN", timedelta(seconds=-1))
        over = await game.sign_in("ann")
        assert await db.exists(Session, over)  # DynamoDB has not deleted it yet
        for gone in (over, "made-up"):
            with pytest.raises(GameError, match="sign in again"):
                await game.who(gone)

    play(program)


def test_the_evening_adds_up(capsys):
    assert main(["--players", "20", "--matches", "2"]) == 0
    assert "add up" in capsys.readouterr().out
