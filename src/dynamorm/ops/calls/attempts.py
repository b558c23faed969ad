"""The bookkeeping of a call that did not succeed at once: what happened, what may be tried, and what may be said.

It is the one place where a failure becomes "again", "certainly not applied" or "unknown".
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

from dynamorm.effects import Reply, TransportError
from dynamorm.errors import DynamORMError, IntegrityError, MalformedResponse, Outcome, OutcomeUnknown
from dynamorm.wire.reply import Kind, ServiceFault, cancellation_kind, parse_error

from . import errors_of
from .op import UNBELIEVABLE, UNSETTLED, Op, Safety, has_condition

if TYPE_CHECKING:
    from dynamorm.wire.channel import Channel

RETRY_MARGIN = 0.05
"""Seconds that must be left after a delay for another attempt to be worth starting."""

FARTHEST_STEP = 5
"""The step at which delays stop doubling, while attempts only find out what became of a write.

Longer delays would only move the last attempt away from the end of the call's time, and the last one tells the most.
"""

FIRST_LOOK = 0.2
"""The share of the first delay after which a write is looked for whose token a ring holds, while others push it out.

Measured: docs/decisions/0001-what-a-token-ring-proves.md.
"""

SHORTEST = 0.005
"""Seconds at least between two attempts that only find out what became of a write: their number is not bounded."""

FINAL = frozenset(
    {
        Kind.CONDITION,
        Kind.CANCELLED,
        Kind.MISMATCH,
        Kind.ACCESS,
        Kind.NOT_FOUND_TABLE,
        Kind.VALIDATION,
        Kind.RESOURCE_IN_USE,
        Kind.OTHER,
    }
)
"""Refusals that another attempt cannot change."""


class Attempts:
    """The attempts of one call. Each method that reports a failure returns the delay before the next attempt, or raises.

    ``ambiguous`` is True once an attempt may have been applied without our knowing. ``parked`` is True while the next
    attempt may not be sent, because the retry budget is used up and no other call has been answered: see `resumed`.
    ``start`` is the monotonic time at which the call began and ``limit`` the seconds that all may take. ``heard`` is how many
    answers the endpoint had given when the call last looked; ``taken`` is what its retries cost the retry budget.
    """

    __slots__ = (
        "ambiguous", "attempts", "corrected", "counts", "errors", "heard", "limit", "op", "parked", "refreshed",
        "request_id", "start", "taken", "wire",
    )  # fmt: skip

    corrected: bool
    refreshed: bool

    def __init__(self, op: Op, wire: Channel, start: float, limit: float) -> None:
        self.op: Op = op
        self.wire: Channel = wire
        self.start: float = start
        self.limit: float = limit
        self.attempts: int = 0
        self.errors: list[BaseException] = []
        self.ambiguous: bool = False
        self.parked: bool = False
        self.heard: int = wire.bucket.answers
        self.taken: int = 0
        self.counts: dict[Any, int] = {}
        self.corrected = self.refreshed = False
        self.request_id: str | None = None

    # What happened

    def transport(self, error: TransportError) -> float:
        """No complete answer came."""
        self.attempts += 1
        if error.stage == "protocol":
            self.errors.append(MalformedResponse(f"the answer is not valid HTTP: {error.detail}"))
        else:
            self.errors.append(error)
        if error.sent:
            return self._maybe_sent(free=not error.fresh)
        # A name that is not found twice stays so; whoever has waited for the pool has waited long enough.
        if error.fatal:
            self.give_up("trying again cannot help")
        wire = self.wire
        if self._settling:  # only the time bounds it
            return self._again(Kind.TRANSIENT)
        if error.stage == "pool" or (error.stage == "dns" and self._count("dns") > 0):
            self.give_up("trying again cannot help")
        if wire.clock.monotonic() - self.start + RETRY_MARGIN >= wire.config.performance.connection_timeout:
            self.give_up("no connection came about within connection_timeout")
        return self._again(Kind.TRANSIENT)

    def unbelievable(self, error: IntegrityError, reply: Reply) -> float:
        """An answer came that cannot be believed, so nothing is known of what it answers."""
        self.attempts += 1
        return self.disbelieved(error, reply)

    def disbelieved(self, error: IntegrityError, reply: Reply) -> float:
        """As `unbelievable`, of an answer that has been counted already. Its connection is not used again."""
        self.request_id = reply.request_id
        self.errors.append(error)
        reply.distrust()
        return self._maybe_sent()

    def fault(self, reply: Reply) -> tuple[Kind, ServiceFault]:
        """The service's own refusal, read and classified: MALFORMED when it cannot be about this request."""
        self.attempts += 1
        self.request_id = reply.request_id
        fault = parse_error(reply.status, reply.body)
        kind = fault.kind
        if not _can_answer(self.op, kind, fault):
            return Kind.MALFORMED, fault
        if kind is Kind.CANCELLED:
            kind = cancellation_kind(fault.cancellation)
        return kind, fault

    def final(self, kind: Kind, fault: ServiceFault) -> Any:
        """A refusal that another attempt cannot change: ask the operation, or raise."""
        op = self.op
        # A clear answer, even a refusal, shows that the service is well: what the retries cost is given back.
        self.wire.bucket.success(self.taken)
        if op.refused is not None and (kind is Kind.CONDITION or kind is Kind.CANCELLED):
            try:
                result = op.refused(fault, self.ambiguous, self.info())
            except MalformedResponse:  # what came with the refusal cannot be read
                return UNBELIEVABLE
            except DynamORMError as refusal:
                if self.ambiguous and op.finds_out:
                    undecided(refusal)
                raise
            if result is UNSETTLED:
                op.untold = True
                self.unknown(None, "what is stored now does not tell")
            return result
        info = self.info()
        error = errors_of.of_request(kind, fault, op.body, info)
        if self.ambiguous and kind is not Kind.MISMATCH:
            if op.finds_out:
                raise undecided(error)
            self.unknown(error, "then the service refused it")
        raise error

    def service(self, kind: Kind, fault: ServiceFault, reply: Reply) -> float:
        """A refusal that may pass."""
        if kind is Kind.MALFORMED:
            content = "a refusal that cannot be about this request" if fault.code else "no DynamoDB error in it"
            return self.disbelieved(MalformedResponse(f"HTTP {reply.status} with {content}"), reply)
        self.errors.append(errors_of.from_fault(kind, fault, self.info()))
        if kind is Kind.TRANSIENT:
            return self._maybe_sent()
        if kind is Kind.IN_PROGRESS and self.op.safety is not Safety.READ:
            self.ambiguous = True
        return self._again(kind, reply.retry_after)

    def skewed(self, fault: ServiceFault, *, corrected: bool) -> None:
        """The signature was refused: once more if the clock was to blame."""
        self._once_more(Kind.SKEW, fault, done=self.corrected or not corrected)
        self.corrected = True

    def expired(self, fault: ServiceFault) -> None:
        """The credentials were refused: once more with new ones."""
        self._once_more(Kind.EXPIRED_CREDENTIALS, fault, done=self.refreshed)
        self.refreshed = True

    # What to do

    def _once_more(self, kind: Kind, fault: ServiceFault, *, done: bool) -> None:
        error = errors_of.from_fault(kind, fault, self.info())
        if done and self.ambiguous:
            self.unknown(error, "then the service refused it")
        if done:
            raise error
        self.errors.append(error)

    def _maybe_sent(self, *, free: bool = False) -> float:
        if self.op.safety is not Safety.READ:
            self.ambiguous = True
            if self.op.safety is Safety.ONCE:
                self.give_up("this write may not be sent twice")
        elif free:
            # An idle connection that had been closed: costs nothing from the retry budget, but is still an attempt.
            return self._again(Kind.TRANSIENT, free=True)
        return self._again(Kind.TRANSIENT)

    def _count(self, event: Any) -> int:
        """How often this had happened before."""
        seen = self.counts.get(event, 0)
        self.counts[event] = seen + 1
        return seen

    def _again(self, kind: Kind, retry_after: bytes | None = None, *, free: bool = False) -> float:
        """The delay before another attempt, or the end: attempts, retry budget and time are all bounded."""
        wire, settling = self.wire, self._settling
        seen = self._count(kind)
        conflicts = self.counts.get(Kind.CONFLICT, 0)
        tried = seen + 1 if kind is Kind.CONFLICT else self.attempts - conflicts
        if tried >= wire.retry.tries(kind) and not settling:
            self.give_up(f"{self.attempts} attempts were made")
        # While a token ring has to tell what became of a write, waiting longer each time would let it move on.
        told_by_ring = self.ambiguous and self.op.settled_by_ring and kind is Kind.TRANSIENT
        step = 0 if told_by_ring else seen
        if settling:
            step = min(step, FARTHEST_STEP)
        delay = 0.0 if free else wire.retry.delay(kind, step, wire.random(), retry_after)
        if told_by_ring and seen == 0:
            delay *= FIRST_LOOK
        left = self.left()
        if settling:  # the last look is worth taking, however little time is left for it
            delay = max(min(delay, left - 2 * RETRY_MARGIN), SHORTEST)
        if left < delay + RETRY_MARGIN:
            self.give_up("the operation's time ran out", late=True)
        if not free and not self._afford(kind):
            if not self.ambiguous and not settling:
                self.give_up("the retry budget of this endpoint is used up")
            self.parked = True
        return delay

    @property
    def _settling(self) -> bool:
        """Whether another attempt only finds out what became of a write."""
        return self.op.finds_out and (self.ambiguous or self.op.safety is Safety.READ)

    def left(self) -> float:
        """Seconds that are left for another attempt. A machine that slept has stopped the monotonic clock, not the other."""
        wire, expires = self.wire, self.op.expires
        left = self.start + self.limit - wire.clock.monotonic()
        return left if expires is None else min(left, expires - wire.clock.time())

    def _afford(self, kind: Kind) -> bool:
        """Whether another attempt may be sent: an ambiguous write costs nothing while the endpoint answers other calls."""
        bucket = self.wire.bucket
        if (self.ambiguous or self._settling) and bucket.answers != self.heard:
            self.heard = bucket.answers
            return True
        cost = bucket.take(kind)
        self.taken += cost
        return bool(cost)

    def resumed(self) -> float:
        """Seconds to wait before looking again whether the next attempt may be sent; 0 when it may be. Or the end."""
        if not self.parked:
            return 0.0
        if self._afford(Kind.TRANSIENT):
            self.parked = False
            return 0.0
        wire = self.wire
        delay = wire.retry.delay(Kind.TRANSIENT, FARTHEST_STEP, wire.random()) + 0.001
        if self.left() < delay + RETRY_MARGIN:
            self.give_up("the retry budget of this endpoint is used up, and it answered no other call meanwhile")
        return delay

    def give_up(self, why: str, *, late: bool = False) -> NoReturn:
        """End with the error that says what is known; ``late``: its time is over. Always raises."""
        last = self.errors[-1] if self.errors else None
        if self.ambiguous:
            self.unknown(last, why)
        raise errors_of.exhausted(self.errors, why, self.info(), late=late) from last

    def unknown(self, cause: BaseException | None, why: str) -> NoReturn:
        """End with `OutcomeUnknown`. Always raises."""
        self.op.end = self.start + self.limit
        raise unknown_of(self.op, why, self.info()) from cause

    def info(self) -> dict[str, Any]:
        """What every error carries."""
        return {
            "operation": self.op.name,
            "table": self.op.table,
            "request_id": self.request_id,
            "attempts": self.attempts,
            "earlier": tuple(self.errors),
        }


@contextmanager
def in_doubt() -> Generator[None, None, None]:
    """Mark an error that interrupts the look at what is stored: the write may have been applied."""
    try:
        yield
    except (DynamORMError, GeneratorExit):
        raise
    except BaseException as stop:
        interrupted(stop, "It was interrupted while it was found out what became of a write: its outcome is unknown")
        raise


def interrupted(stop: BaseException, note: str) -> None:
    """Say of what stopped a write that its outcome is unknown; unless it came when the write was known to be applied."""
    if getattr(stop, "outcome", None) is not Outcome.APPLIED:
        stop.outcome = Outcome.UNKNOWN  # type: ignore[attr-defined] # a note for the caller
        stop.add_note(note)


def unknown_of(op: Op, why: str, info: dict[str, Any]) -> OutcomeUnknown:
    """The error for a write whose answer was lost and whose outcome cannot be found out."""
    resolver = op.resolver
    return OutcomeUnknown(
        f"{op.name} was sent and its answer was lost; {why}: it may or may not have been applied",
        token=None if op.token is None else op.token.hex(),
        key=op.key,
        resolver=None if resolver is None else lambda deadline: resolver(op, deadline),
        **info,
    )


def info_of(error: DynamORMError) -> dict[str, Any]:
    """What every error carries, taken from one for another about the same call."""
    return {name: getattr(error, name) for name in ("operation", "table", "request_id", "attempts", "earlier")}


def undecided(error: DynamORMError) -> DynamORMError:
    """The refusal of a write of which an earlier attempt may still be under way, or may have been applied."""
    error.outcome = Outcome.UNKNOWN
    return error


def _can_answer(op: Op, kind: Kind, fault: ServiceFault) -> bool:
    """Whether a refusal can be about this request at all."""
    if kind is Kind.CONDITION:
        return (op.parts == 0 and has_condition(op.body)) or op.name.startswith("Execute")
    if kind is Kind.CANCELLED:
        reasons = fault.cancellation
        return len(reasons) == op.parts > 0 and any(reason.code is not None for reason in reasons)
    if kind is Kind.MISMATCH or kind is Kind.IN_PROGRESS:
        return op.parts > 0
    return True
