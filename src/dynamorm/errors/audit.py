"""What is refused for the sake of the audit trail."""

from __future__ import annotations

from typing import Any

from .base import Outcome
from .doubtful import IntegrityError
from .rejected import Rejected


class ActorRequired(Rejected):
    """A write of an audited model says not who does it. Nothing was sent.

    Example: ``with dynamorm.actor("user:42"): db.save(payment)``
    """

    code = "ErrActorRequired"


class AuditChainBroken(IntegrityError):
    """The chain of records of an item does not hold: a record is missing, changed or forged, or the item is not as recorded.

    ``first_bad`` is the number of the first record that does not hold, None where that is not known; ``reason`` one word for why:
    see `dynamorm.plugins.audit.AuditVerdict`. Of a write nothing was applied.

    Example: ``except AuditChainBroken as error: alert(error.first_bad, error.reason)``
    """

    code = "ErrAuditChainBroken"
    outcome = Outcome.NOT_APPLIED
    retryable = False

    def __init__(self, message: str, *, first_bad: int | None = None, reason: str = "", **info: Any) -> None:
        super().__init__(message, **info)
        self.first_bad: int | None = first_bad
        self.reason: str = reason
