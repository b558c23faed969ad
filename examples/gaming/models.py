"""What the game stores, a table for each kind of thing."""

from __future__ import annotations

from datetime import datetime

from dynamorm import Attr, Model, attr, composite, created_at, gsi, partition_key, sort_key, ttl

SHARDS = 8
"""Partitions of a leaderboard: one takes 1,000 writes in a second, and everybody writes into the same board.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/bp-partition-key-design.html
"""


class Player(Model, table="game-players"):
    """Who plays. ``match`` is the one match that a player is in, ``waits`` the mode of the one queue: a ticket of another one is void."""

    id: Attr[str] = partition_key()
    name: Attr[str] = attr(min_length=1, max_length=20)
    coins: Attr[int] = attr(default=0, ge=0)
    rating: Attr[int] = attr(default=1_000, ge=0, le=9_999)
    match: Attr[str | None] = attr(default=None)
    waits: Attr[str | None] = attr(default=None)


class Holding(Model, table="game-holdings"):
    """So many of an item are a player's."""

    player: Attr[str] = partition_key()
    item: Attr[str] = sort_key()
    count: Attr[int] = attr(default=0, ge=0)


class Receipt(Model, table="game-receipts"):
    """What was done under a receipt: a purchase, or a gift."""

    id: Attr[str] = partition_key()
    deed: Attr[str]
    expires_at: Attr[datetime] = ttl()


class Session(Model, table="game-sessions"):
    """A player who has signed in. DynamoDB deletes it some time after its end."""

    token: Attr[str] = partition_key()
    player: Attr[str]
    expires_at: Attr[datetime] = ttl()


class Ticket(Model, table="game-tickets"):
    """A player who waits for a match, placed by rating. One who does not ask again is forgotten after a minute."""

    queue: Attr[str] = partition_key(composite("{mode}"))
    place: Attr[str] = sort_key(composite("{rating:04d}#{player}"))
    mode: Attr[str]
    rating: Attr[int]
    player: Attr[str]
    expires_at: Attr[datetime] = ttl()


class Match(Model, table="game-matches"):
    """Two players against each other."""

    id: Attr[str] = partition_key()
    mode: Attr[str]
    players: Attr[list[str]]
    winner: Attr[str | None] = attr(default=None)
    begun_at: Attr[datetime] = created_at()


class Score(Model, table="game-scores"):
    """The best result of a player on a board. Boards are sharded by player, in the table and in the index by points."""

    pk: Attr[str] = partition_key(composite("BOARD#{board}", shards=SHARDS, by="player"))
    player: Attr[str] = sort_key()
    ranked: Attr[str] = attr(composite("BOARD#{board}", shards=SHARDS, by="player"), init=False)
    board: Attr[str]
    points: Attr[int] = attr(ge=0)
    by_points = gsi("by-points", partition="ranked", sort="points")


MODELS: tuple[type[Model], ...] = (Player, Holding, Receipt, Session, Ticket, Match, Score)
