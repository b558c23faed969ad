"""What became of a write whose replies were lost: look for its token, or send it once more. Behind ``OutcomeUnknown.resolve``.

It must not know which verb made the write.
"""

from __future__ import annotations

from contextlib import suppress
from copy import copy
from typing import TYPE_CHECKING

from dynamorm.effects import Flow
from dynamorm.errors import ConditionFailed, DynamORMError, Outcome, OutcomeUnknown

from .op import Op, Safety
from .write import TOKEN_LIFE, Write, applied, read_back, refused, settle

if TYPE_CHECKING:
    from dynamorm.session import Session


class Limit:
    """The time that settling may take, shared by its requests."""

    def __init__(self, session: Session, deadline: float | None) -> None:
        self._now = session.channel.clock.monotonic
        self._end = self._now() + (session.config.operation_timeout if deadline is None else deadline)

    def within(self, op: Op) -> Op:
        """The same request, to be answered in the time that is left."""
        again = copy(op)
        again.timeout = max(self._end - self._now(), 0.001)
        return again


def resolve(session: Session, write: Write, op: Op, limit: Limit) -> Flow[Outcome]:
    """Settle a write of class I or C: look for its token, and finish it if it was never applied."""
    if write.safety is Safety.ONCE:
        return Outcome.UNKNOWN
    guarded = write.expects in {"absent", "version"}
    if guarded:
        try:
            raw = yield from session.call(limit.within(read_back(write.plan, write.key)))
        except DynamORMError:
            return Outcome.UNKNOWN
        if not _untouched(write, raw):
            outcome = settle(write, raw)
            if outcome is Outcome.APPLIED:
                applied(write, None if write.kind == "Delete" else raw)
            return outcome
    repeated = limit.within(op)
    # An earlier attempt may still be on its way, so a refusal is as ambiguous here as it was then.
    repeated.refused = lambda fault, _, info: refused(write, fault.item, info, ambiguous=True)
    return (yield from _again(session, repeated, proof=guarded))


def _untouched(write: Write, raw: bytes | None) -> bool:
    """Whether the item is still as the write expects it, so that sending it again is safe and tells."""
    if write.expects == "absent" or raw is None:
        return raw is None and write.expects == "absent"
    return write.plan.codec.reading.version(raw) == write.known_version


def resend(session: Session, write: Write, op: Op, sent_at: float, limit: Limit) -> Flow[Outcome]:
    """Settle a token transaction: the same token again gives the same answer, as long as DynamoDB remembers it."""
    left = TOKEN_LIFE - (session.channel.clock.monotonic() - sent_at)
    if left <= 0:
        return Outcome.UNKNOWN
    repeated = limit.within(op)
    repeated.timeout = min(repeated.timeout or left, left)
    outcome = yield from _again(session, repeated, proof=True)
    if outcome is Outcome.APPLIED and write.refresh:
        with suppress(DynamORMError):  # the outcome is known; only the object in memory stays as it was
            applied(write, (yield from session.call(limit.within(read_back(write.plan, write.key)))))
    return outcome


def _again(session: Session, op: Op, *, proof: bool) -> Flow[Outcome]:
    """Send the same request once more; ``proof`` says whether a refusal proves that it was never applied."""
    try:
        yield from session.call(op)
    except OutcomeUnknown:
        return Outcome.UNKNOWN
    except DynamORMError as error:
        if isinstance(error, ConditionFailed) and proof:
            return Outcome.NOT_APPLIED
        return Outcome.APPLIED if error.outcome is Outcome.APPLIED else Outcome.UNKNOWN
    return Outcome.APPLIED
