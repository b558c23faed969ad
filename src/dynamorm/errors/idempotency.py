"""What is refused because of work that was done under the same key. As `retryable`."""

from __future__ import annotations

from .rejected import Rejected


class IdempotencyError(Rejected):
    """A key stands for work that was done, or is under way, and this call cannot be that work."""

    code = "ErrIdempotency"


class KeyReused(IdempotencyError):
    """The key, or the id of a posting, belongs to other work: the same key with another payload. Nothing was applied."""

    code = "ErrKeyReused"
