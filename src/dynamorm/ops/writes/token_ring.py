"""The ring of write tokens in `_wt`, and what it proves after a reply was lost. Pure functions over bytes.

Every versioned write of the library puts its own random token in front of the ring and cuts the ring to `RING` tokens.
An unconditional put starts a new ring that ends in a cut, for it cannot know what it overwrites. A versioned write
also demands the ring as it was loaded. So when it is refused after an attempt whose reply was lost, the stored ring
tells which of the two happened.
"""

from __future__ import annotations

from dynamorm.errors import Outcome

TOKEN = 8
"""Bytes of one token: 64 random bits."""
RING = 8
"""Tokens kept. With 8 writers on 4 hot items and 15 % of the replies lost, 8 left no write of 2,000 undecided, 4 one
and 1 a total of 241 (measured on DynamoDB Local)."""
CUT = bytes(TOKEN)
"""Stands at the end of a ring whose earlier history is unknown. No real token is all zero."""


def prepend(token: bytes, ring: bytes) -> bytes:
    """The ring after one more write.

    Example: ``prepend(b"12345678", b"") == b"12345678"``
    """
    return (token + ring)[: TOKEN * RING]


def fresh(token: bytes) -> bytes:
    """The ring an unconditional put stores: its token, and the cut after it."""
    return token + CUT


def tokens(ring: bytes) -> tuple[bytes, ...]:
    """The tokens of a ring, newest first. A ring of odd length was not written by the library and counts as empty."""
    if len(ring) % TOKEN:
        return ()
    return tuple(ring[at : at + TOKEN] for at in range(0, len(ring), TOKEN))


def verdict(token: bytes, known_version: int, known_ring: bytes, version: int | None, ring: bytes) -> Outcome:
    """What became of a write that expected ``known_version`` and ``known_ring``, given what is stored now.

    APPLIED: the token is there. NOT_APPLIED: it is not, and the stored ring goes on from the known one: at most as many
    tokens stand before it as there were versions since (updates by key, and those of other programs, raise the
    version without a token), and ours would stand directly before it. Nor will it be applied by a copy that comes late: tokens are random, so the pair of version and ring never comes back.
    UNKNOWN otherwise: the item may have been replaced, made again, or written more often than a ring can tell.
    """
    stored, known_tokens = tokens(ring), tokens(known_ring)
    if token in stored:
        return Outcome.APPLIED
    moved = 0 if version is None else version - known_version
    if moved <= 0 or not known_tokens or known_tokens[0] not in stored:
        return Outcome.UNKNOWN
    place = stored.index(known_tokens[0])
    goes_on = place <= moved and (stored[:place] + known_tokens)[:RING] == stored
    return Outcome.NOT_APPLIED if goes_on else Outcome.UNKNOWN
