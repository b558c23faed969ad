"""Taking, keeping and giving back a lease: one conditional UpdateItem each. Returns flows.

The stored form is that of the Go library: it acquires when the item is absent or ``lease_expires_at <= now``, refreshes
while the token matches and the time has not come, and takes any other item for somebody's lease.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from dynamorm.codec.keys import StoredKey
from dynamorm.codec.replies import expect_empty
from dynamorm.codec.system import number_wire, text_wire
from dynamorm.effects import Flow, Sleep
from dynamorm.errors import (
    DynamORMError,
    LeaseHeld,
    LeaseLost,
    MalformedResponse,
    ModelError,
    Outcome,
    OutcomeUnknown,
    ValidationError,
)
from dynamorm.wire.reply import ServiceFault

from .guard import OLD_ON_FAILURE
from .op import Op, Safety
from .plan import Plan, finish

if TYPE_CHECKING:
    from dynamorm.session import Session

TTL_AFTER: Final = 3600
"""Seconds after its end for which the item is kept, as the Go library does."""
MAX_DURATION: Final = 86_400.0
"""Seconds. Whoever needs a lease for longer refreshes it: a holder that died would block the others for a day."""

_FIELDS: Final = ("lease_token", "lease_expires_at", "lease_fence", "ttl")
_TURN: Final = 0.25
"""Seconds between two looks at a lease that is waited for: on average half of it, and never past its end."""


class Claim:
    """A lease as one process sees it: what it wants, and what it has."""

    __slots__ = ("duration", "expires_at", "fence", "key", "key_json", "name", "names", "plan", "token", "wait")

    def __init__(self, session: Session, model: Any, name: Any, sort: Any, *, duration: Any, wait: Any) -> None:
        self.plan = plan = session.plan(model)
        fields = plan.codec.plans
        if plan.sort is None or any(one not in fields for one in _FIELDS):
            raise ModelError(
                f"{plan.codec.schema.name} is no model of leases: class Lock(Model, LeaseRecord, table=...),"
                " with LeaseRecord from dynamorm.leases"
            )
        self.key = (name,) if isinstance(name, StoredKey) else (name, sort)
        self.key_json = plan.codec.key_json(self.key)
        self.name = f"{plan.codec.schema.name}"
        self.names = {"#" + one.removeprefix("lease_"): plan.codec.field(one).stored for one in _FIELDS}
        self.duration = _seconds("duration", duration, 1.0, MAX_DURATION)
        self.wait = _seconds("wait", wait, 0.0, MAX_DURATION)
        self.token: str | None = None
        self.fence: int | None = None
        self.expires_at = 0

    def remaining(self, session: Session) -> float:
        """Seconds until it runs out."""
        return 0.0 if self.token is None else max(0.0, self.expires_at - session.now().timestamp())

    def guard(self) -> tuple[Any, ...]:
        """The model, the key and the condition that the lease is still ours."""
        if self.token is None:
            raise LeaseLost(f"this lease of {self.name} is not held, so nothing can be guarded by it")
        return (self.plan.model, *self.key, getattr(self.plan.model, "lease_token") == self.token)  # noqa: B009 - no attribute of every model

    def dropped(self) -> None:
        """It is not ours any more."""
        self.token = self.fence = None
        self.expires_at = 0


def _seconds(name: str, value: Any, low: float, high: float) -> float:
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not low <= value <= high:
        raise ValidationError(f"{name} is {low:g} to {high:g} seconds, or a timedelta", field=name)
    return float(value)


def acquire(session: Session, claim: Claim) -> Flow[None]:
    """Take the lease; wait for it, if that was asked for."""
    if claim.token is not None:
        raise ValidationError(f"this lease of {claim.name} was acquired before: refresh it, or release it first")
    clock, rand = session.channel.clock.monotonic, session.channel.random
    end = clock() + claim.wait
    while True:
        try:
            yield from session.call(_acquisition(session, claim))
        except LeaseHeld as error:
            left = end - clock()
            if left <= 0:
                raise
            yield Sleep(min(left, max(0.05, min(error.retry_after, _TURN * 2 * rand()))))
        else:
            return


def _acquisition(session: Session, claim: Claim) -> Op:
    plan = claim.plan
    token = session.random_bytes(16).hex()
    began = session.channel.clock.monotonic()
    now = session.now().timestamp()
    expires = int(now + claim.duration)
    body = _body(
        claim,
        # A new fence starts from the clock, in milliseconds: also where a Go service or DynamoDB's own deletion has taken
        # the last one away, it is not smaller.
        "SET #token = :token, #expires_at = :expires, #ttl = :ttl, #fence = if_not_exists(#fence, :start) + :one",
        "attribute_not_exists(#key) OR #expires_at <= :now",
        {"#key": plan.partition.stored, **claim.names},
        {
            ":token": text_wire(token),
            ":expires": number_wire(expires),
            ":ttl": number_wire(expires + TTL_AFTER),
            ":start": number_wire(int(now * 1000)),
            ":one": number_wire(1),
            ":now": number_wire(int(now)),
        },
        returning=True,
    )

    def ours(raw: bytes) -> bool:
        record = plan.codec.decode(raw)
        if record.lease_token != token:
            return False
        claim.token, claim.fence, claim.expires_at = token, record.lease_fence, expires
        return True

    def decode(reply: bytes) -> None:
        raw = plan.codec.reading.attributes_json(reply)
        if raw is None or not ours(raw):
            raise MalformedResponse("the answer does not hold the lease that was taken")

    def refused(fault: ServiceFault, ambiguous: bool, info: dict[str, Any]) -> None:
        if fault.item is not None and ours(fault.item):
            return  # an earlier attempt took it; only its answer was lost
        until = None if fault.item is None else plan.codec.decode(fault.item).lease_expires_at
        # An earlier attempt can have taken it and lost it again only after the whole time has passed.
        late = ambiguous and session.channel.clock.monotonic() - began >= claim.duration
        raise LeaseHeld(
            f"the lease of {claim.name} is held by somebody else",
            retry_after=0.0 if until is None else max(0.0, until - session.now().timestamp()),
            outcome=Outcome.UNKNOWN if late else Outcome.NOT_APPLIED,
            **info,
        )

    return _op(session, claim, body, decode, refused, token)


def refresh(session: Session, claim: Claim) -> Flow[None]:
    """Let it run for another duration from now."""
    token = _token(claim)
    now = session.now().timestamp()
    expires = int(now + claim.duration)
    body = _body(
        claim,
        "SET #expires_at = :expires, #ttl = :ttl",
        "#token = :token AND #expires_at > :now",
        {name: claim.names[name] for name in ("#token", "#expires_at", "#ttl")},
        {
            ":token": text_wire(token),
            ":expires": number_wire(expires),
            ":ttl": number_wire(expires + TTL_AFTER),
            ":now": number_wire(int(now)),
        },
    )

    def decode(reply: bytes) -> None:
        expect_empty(reply)
        claim.expires_at = expires

    def refused(_: ServiceFault, __: bool, info: dict[str, Any]) -> None:
        claim.dropped()
        raise LeaseLost(f"the lease of {claim.name} ran out, or was taken by somebody else", **info)

    yield from session.call(_op(session, claim, body, decode, refused, token))


def release(session: Session, claim: Claim) -> Flow[bool]:
    """Give it back; whether it was still ours. The item is kept, without a token, for its fence."""
    if claim.token is None:
        return False
    token = claim.token
    body = _body(
        claim,
        "SET #expires_at = :zero REMOVE #token",
        "#token = :token",
        {name: claim.names[name] for name in ("#token", "#expires_at")},
        {":token": text_wire(token), ":zero": number_wire(0)},
    )

    def decode(reply: bytes) -> bool:
        expect_empty(reply)
        return True

    # Refused after a lost answer: an earlier attempt gave it back, or it had been lost before; it is not ours either way.
    op = _op(session, claim, body, decode, lambda _, ambiguous, __: ambiguous, token)
    try:
        found: bool = yield from session.call(op)
    except OutcomeUnknown:
        claim.dropped()  # it runs out by itself
        raise
    claim.dropped()
    return found


def leave(session: Session, claim: Claim, *, failed: bool) -> Flow[None]:
    """The end of a block: give it back. An error of the block goes before one of the lease."""
    if failed:
        with suppress(DynamORMError):
            yield from release(session, claim)
        return
    if not (yield from _given_back(session, claim)):
        raise LeaseLost(
            f"the lease of {claim.name} was taken by somebody else before its block had ended", outcome=Outcome.UNKNOWN
        )


def _given_back(session: Session, claim: Claim) -> Flow[bool]:
    if claim.token is None:  # the block has released it, or a refresh has told it
        return True
    return (yield from release(session, claim))


def _token(claim: Claim) -> str:
    if claim.token is None:
        raise LeaseLost(f"this lease of {claim.name} is not held: acquire it first")
    return claim.token


def _body(
    claim: Claim,
    update: str,
    condition: str,
    names: dict[str, str],
    values: dict[str, Any],
    *,
    returning: bool = False,
) -> bytes:
    rest: dict[str, Any] = {
        "UpdateExpression": update,
        "ConditionExpression": condition,
        "ExpressionAttributeNames": names,
        "ExpressionAttributeValues": values,
        **OLD_ON_FAILURE,
    }
    if returning:
        rest["ReturnValues"] = "ALL_NEW"
    return finish(claim.plan.key_head, claim.key_json, rest)


def _op(
    session: Session,
    claim: Claim,
    body: bytes,
    decode: Callable[[bytes], Any],
    refused: Callable[[ServiceFault, bool, dict[str, Any]], Any],
    token: str,
) -> Op:
    """The call. Its token in the stored item tells what became of an attempt whose answer was lost: it is sent again."""
    plan: Plan = claim.plan
    op = Op(
        "UpdateItem", plan.table, body, decode, Safety.RESEND, refused, token=bytes.fromhex(token), key=plan.key_names
    )
    op.resolver = session.resolver(lambda one, deadline: _resolve(session, one, deadline))
    return op


def _resolve(session: Session, op: Op, deadline: float | None) -> Flow[Outcome]:
    """Settle by asking again: the same token makes it the same acquisition, refresh or release."""
    op.timeout = session.config.operation_timeout if deadline is None else deadline
    op.refused = _as_after_loss(op.refused)
    try:
        yield from session.call(op)
    except (LeaseHeld, LeaseLost) as error:
        return error.outcome
    except DynamORMError:
        return Outcome.UNKNOWN
    return Outcome.APPLIED


def _as_after_loss(refused: Any) -> Any:
    """An earlier attempt may still have been applied, so a refusal is as ambiguous as it was then."""
    return lambda fault, _, info: refused(fault, True, info)
