"""The mark by which a payload is known again: nothing of the payload can be guessed from it without its key.

The key is a secret of the program, where it has one (``Config(idempotency_key=...)``), else the secret of the run, which stands
beside the mark. A mark says by which kind of key, and by which of the program's, it was made: ``1:<mac>``, ``2:<id of the key>:<mac>``.
So a new key makes new marks, and those of former keys are still known.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterator
from functools import lru_cache
from hashlib import sha256
from typing import Final, Protocol

OF_RUN: Final = "1"
OF_PROGRAM: Final = "2"
"""What a mark begins with: the kind of its key."""


class Secrets(Protocol):
    """The keys of the program, the one that makes marks first, which no ``repr`` shows: they are taken out only where they are used."""

    @property
    def secrets(self) -> tuple[bytes, ...]:
        """Themselves."""
        ...


def mark(nonce: bytes, form: bytes, keys: Secrets | None = None) -> str:
    """What is stored of a payload: by the first of the program's keys, or by the secret of the run."""
    if keys is None:
        return f"{OF_RUN}:{hmac.digest(nonce, form, 'sha256').hex()}"
    return _by(keys.secrets[0], nonce, form)


def has_mark(stored: str, nonce: bytes, form: bytes, keys: Secrets | None = None) -> bool | None:
    """Whether a payload is the one of a stored mark; None for a mark by a key that is not known."""
    kind, _, rest = stored.partition(":")
    if kind == OF_RUN:
        return hmac.compare_digest(stored.encode(), mark(nonce, form).encode())
    if kind != OF_PROGRAM:
        return None
    of = rest.partition(":")[0]
    answers: Iterator[bool] = (
        hmac.compare_digest(stored.encode(), _by(key, nonce, form).encode())
        for key in (() if keys is None else keys.secrets)
        if _id(key) == of
    )
    return next(answers, None)


def _by(key: bytes, nonce: bytes, form: bytes) -> str:
    """A mark by a key of the program: another one in each run, so that equal payloads are not told."""
    parts = b"".join(len(part).to_bytes(4, "big") + part for part in (nonce, form))
    return f"{OF_PROGRAM}:{_id(key)}:{hmac.digest(_derived(key, b'mac'), parts, 'sha256').hex()}"


@lru_cache(maxsize=64)
def _id(key: bytes) -> str:
    """What a key is known by: nothing of it can be told from that."""
    return sha256(_derived(key, b"id")).hexdigest()[:16]


def _derived(key: bytes, purpose: bytes) -> bytes:
    return hmac.digest(key, b"dynamorm/idempotency/payload/" + purpose, "sha256")
