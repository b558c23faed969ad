"""Keeping a lease and giving it back: one conditional UpdateItem each. Taking one is in `dynamorm.features.leases.taking`.

The stored form is that of the Go library: it acquires when the item is absent or ``lease_expires_at <= now``, refreshes
while the token matches and the time has not come, and takes any other item for somebody's lease.

A request that the network has held may arrive at any later time, so no condition may hold again once it has passed:
a taking is pinned to the very state that was seen, an end is never set back, and a token is never used twice.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from copy import copy
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from dynamorm.arguments import check_seconds
from dynamorm.codec.keys import StoredKey
from dynamorm.codec.library_attributes import number_wire, text_wire
from dynamorm.codec.strict import expect_empty, read_object
from dynamorm.effects import Flow
from dynamorm.errors import (
    DynamORMError,
    LeaseHeld,
    LeaseLost,
    ModelError,
    Outcome,
    OutcomeUnknown,
)
from dynamorm.ops.calls.op import Op, Safety
from dynamorm.ops.requests import finish
from dynamorm.ops.writes.version_check import OLD_ON_FAILURE
from dynamorm.wire.reply import ServiceFault

if TYPE_CHECKING:
    from dynamorm.ops.context import Context
    from dynamorm.ops.requests import ModelRequests

TTL_AFTER: Final = 3600
"""Seconds after its end for which the item is kept, as the Go library does."""
MAX_DURATION: Final = 86_400.0
"""Seconds. Whoever needs a lease for longer refreshes it: a holder that died would block the others for a day."""

_FIELDS: Final = ("lease_token", "lease_expires_at", "lease_fence", "ttl")


class State:
    """The lease as an item stores it: wire values, None for what is absent.

    ``is_foreign``: the item is of another view than that which asks, where the views' items share their keys.
    """

    __slots__ = ("expires_at", "fence", "is_foreign", "token")

    def __init__(self, names: dict[str, str], raw: bytes, given: dict[str, dict[str, Any]]) -> None:
        item = read_object(raw)
        self.is_foreign: bool = any(item.get(stored, wire) != wire for stored, wire in given.items())
        self.token: dict[str, Any] | None = item.get(names["#token"])
        self.expires_at: dict[str, Any] | None = item.get(names["#expires_at"])
        self.fence: dict[str, Any] | None = item.get(names["#fence"])

    def is_of(self, token: str) -> bool:
        """Whether this token holds it."""
        return self.token == text_wire(token)

    @property
    def end(self) -> int | None:
        """Epoch seconds; None where no number says it: such an item counts as a lease that is taken."""
        return _whole(self.expires_at)

    @property
    def fence_number(self) -> int | None:
        """The fence; None in an item of the Go library."""
        return _whole(self.fence)


def _whole(wire: dict[str, Any] | None) -> int | None:
    return None if wire is None or "N" not in wire else int(Decimal(wire["N"]))


class Claim:
    """A lease as one process sees it: what it wants, and what it has.

    ``expires_at`` is the stored end in epoch seconds, ``until`` the monotonic time at which it has run out however the
    wall clock was moved.
    """

    __slots__ = (
        "_monotonic", "_wall", "duration", "expires_at", "fence", "given", "key", "key_json", "name", "names", "plan", "token",
        "until", "wait",
    )  # fmt: skip

    plan: ModelRequests

    def __init__(self, context: Context, model: Any, name: Any, sort: Any, *, duration: Any, wait: Any) -> None:
        self.plan = plan = context.plan(model)
        fields = plan.codec.plans
        if plan.sort is None or any(field_name not in fields for field_name in _FIELDS):
            raise ModelError(
                f"{plan.codec.schema.name} is no model of leases: class Lock(Model, LeaseRecord, table=...),"
                " with LeaseRecord from dynamorm.leases"
            )
        self.key: tuple[Any, ...] = (name,) if isinstance(name, StoredKey) else (name, sort)
        self.key_json: bytes = plan.codec.key_json(self.key)
        self.name: str = f"{plan.codec.schema.name}"
        self.names: dict[str, str] = {
            "#" + field_name.removeprefix("lease_"): plan.codec.field(field_name).stored for field_name in _FIELDS
        }
        # What a view says of its items, its tenant for one, is stored with the lease, so that no other view takes it over.
        self.given: dict[str, dict[str, Any]] = {
            fields[field].stored: plan.codec.encode_field(field, value) or {}
            for field, value in plan.given.items()
            if fields[field].stored not in plan.key_names
        }
        self.duration: float = check_seconds("duration", duration, 1.0, MAX_DURATION)
        self.wait: float = check_seconds("wait", wait, 0.0, MAX_DURATION)
        self.token: str | None = None
        self.fence: int | None = None
        self.expires_at: int = 0
        self.until: float = 0.0
        self._wall = self._monotonic = 0.0

    def remaining(self, context: Context) -> float:
        """Seconds until it runs out, by whichever clock comes first."""
        if self.token is None:
            return 0.0
        left = self.until - context.channel.clock.monotonic()
        return max(0.0, min(left, self.expires_at - context.now().timestamp()))

    def now(self, context: Context) -> tuple[float, float]:
        """The wall time in epoch seconds, and the monotonic time. While the lease is held the first never goes back.

        The stored end was set by the time of then: with a clock set back since, a refresh would ask for an earlier end.
        """
        monotonic, wall = context.channel.clock.monotonic(), context.now().timestamp()
        if self.token is not None:
            wall = max(wall, self._wall + monotonic - self._monotonic)
        return wall, monotonic

    def taken(self, token: str, state: State, wall: float, monotonic: float) -> None:
        """It is ours, by a request that was made at that time."""
        self.token, self.fence, self.expires_at = token, state.fence_number, 0
        self.extended(token, state.end or 0, wall, monotonic)

    def extended(self, token: str, expires_at: int, wall: float, monotonic: float) -> None:
        """It runs until then, by a request that was made at that time and asked for the whole duration.

        What became of a request may be found out when the lease is given back, or taken again, with another ``token``.
        """
        if token != self.token:
            return
        # Of two refreshes at once the earlier may be answered last.
        self.until = max(monotonic + int(wall + self.duration) - wall, self.until if self.expires_at else 0.0)
        self.expires_at = max(expires_at, self.expires_at)
        self._wall, self._monotonic = wall, monotonic

    def guard(self) -> tuple[Any, ...]:
        """The model, the key and the condition that the lease is still ours."""
        if self.token is None:
            raise LeaseLost(f"this lease of {self.name} is not held, so nothing can be guarded by it")
        return (self.plan.model, *self.key, getattr(self.plan.model, "lease_token") == self.token)  # noqa: B009 - no attribute of every model

    def dropped(self, token: str) -> None:
        """It is not ours any more, unless it was taken again meanwhile."""
        if token != self.token:
            return
        self.token = self.fence = None
        self.expires_at = 0

    def may_have_run_out(self, context: Context, monotonic: float) -> bool:
        """Whether a lease asked for at that time can have been applied and be over: ends are rounded down to seconds."""
        return context.channel.clock.monotonic() - monotonic >= self.duration - 1

    def shown(self, raw: bytes) -> State:
        """What an item shows."""
        return State(self.names, raw, self.given)

    def state(self, fault: ServiceFault) -> State | None:
        """What a refusal shows."""
        return None if fault.item is None else self.shown(fault.item)


def refresh(context: Context, claim: Claim) -> Flow[None]:
    """Let it run for another duration from now. Its end is never set back, by no late request either."""
    token = _token(claim)
    wall, monotonic = claim.now(context)
    expires = int(wall + claim.duration)
    body = request(
        claim,
        "SET #expires_at = :expires, #ttl = :ttl",
        "#token = :token AND #expires_at > :now AND #expires_at <= :expires",
        {name: claim.names[name] for name in ("#token", "#expires_at", "#ttl")},
        {
            ":token": text_wire(token),
            ":expires": number_wire(expires),
            ":ttl": number_wire(expires + TTL_AFTER),
            ":now": number_wire(int(wall)),
        },
    )

    def decode(reply: bytes) -> None:
        expect_empty(reply)
        claim.extended(token, expires, wall, monotonic)

    def refused(fault: ServiceFault, ambiguous: bool, info: dict[str, Any]) -> None:
        state = claim.state(fault)
        end = (state.end or 0) if state is not None and state.is_of(token) else None
        if end is not None and end >= expires:
            claim.extended(token, end, wall, monotonic)  # a later refresh came first
            return
        claim.dropped(token)
        raise LeaseLost(
            f"the lease of {claim.name} ran out, or was taken by somebody else",
            # An earlier attempt may have been applied, and the lease been taken by a peer whose clock is ahead.
            outcome=Outcome.UNKNOWN if ambiguous else Outcome.NOT_APPLIED,
            **info,
        )

    yield from context.call(operation(context, claim, body, decode, refused, token, lambda _: Outcome.APPLIED))
    if claim.token == token and claim.remaining(context) <= 0:
        raise ran_out(claim, token)


def ran_out(claim: Claim, token: str) -> LeaseLost:
    """The error for a lease that had run out when the answer came. It is dropped."""
    claim.dropped(token)
    return LeaseLost(
        f"the answer came after the lease of {claim.name} had run out: ask for a longer duration",
        outcome=Outcome.APPLIED,
    )


def release(context: Context, claim: Claim) -> Flow[bool]:
    """Give it back; whether it was still ours. The item is kept, without a token, for its fence."""
    if claim.token is None:
        return False
    token, fence, running = claim.token, claim.fence, claim.remaining(context) > 0
    body = request(
        claim,
        "SET #expires_at = :zero REMOVE #token",
        "#token = :token",
        {name: claim.names[name] for name in ("#token", "#expires_at")},
        {":token": text_wire(token), ":zero": number_wire(0)},
    )

    seen = [False]  # whether an answer has shown that it was given back

    def decode(reply: bytes) -> bool:
        expect_empty(reply)
        seen[0] = True
        return True

    def refused(fault: ServiceFault, ambiguous: bool, _: dict[str, Any]) -> bool:
        """Given back by another copy of this request; after a lost answer by an earlier attempt, if it still ran then."""
        state = claim.state(fault)
        seen[0] = state is not None and state.token is None and state.fence_number == fence
        return seen[0] or (ambiguous and running)

    op = operation(
        context, claim, body, decode, refused, token, lambda _: Outcome.APPLIED if seen[0] else Outcome.UNKNOWN
    )
    try:
        was_ours: bool = yield from context.call(op)
    except OutcomeUnknown:
        claim.dropped(token)  # it runs out by itself
        raise
    claim.dropped(token)
    return was_ours


def leave(context: Context, claim: Claim, *, failed: bool) -> Flow[None]:
    """The end of a block: give it back. An error of the block goes before one of the lease."""
    if failed:
        with suppress(DynamORMError):
            yield from release(context, claim)
        return
    if not (yield from _given_back(context, claim)):
        raise LeaseLost(
            f"the lease of {claim.name} was taken by somebody else before its block had ended", outcome=Outcome.UNKNOWN
        )


def _given_back(context: Context, claim: Claim) -> Flow[bool]:
    if claim.token is None:  # the block has released it, or a refresh has told it
        return True
    return (yield from release(context, claim))


def _token(claim: Claim) -> str:
    if claim.token is None:
        raise LeaseLost(f"this lease of {claim.name} is not held: acquire it first")
    return claim.token


def request(
    claim: Claim,
    update: str,
    condition: str,
    names: dict[str, str],
    values: dict[str, Any],
    *,
    returning: bool = False,
) -> bytes:
    """The body of an UpdateItem of the lease's item."""
    parameters: dict[str, Any] = {
        "UpdateExpression": update,
        "ConditionExpression": condition,
        "ExpressionAttributeNames": names,
        "ExpressionAttributeValues": values,
        **OLD_ON_FAILURE,
    }
    if returning:
        parameters["ReturnValues"] = "ALL_NEW"
    return finish(claim.plan.key_head, claim.key_json, parameters)


def operation(
    context: Context,
    claim: Claim,
    body: bytes,
    decode: Callable[[bytes], Any],
    refused: Callable[[ServiceFault, bool, dict[str, Any]], Any],
    token: str,
    outcome: Callable[[Any], Outcome],
) -> Op:
    """The call. Its token in the stored item tells what became of an attempt whose answer was lost: it is sent again.

    ``outcome(result)`` says what the result of the call means for an `OutcomeUnknown` that asks again.
    """
    op = Op(
        "UpdateItem",
        claim.plan.table,
        body,
        decode,
        Safety.RESEND,
        refused,
        token=bytes.fromhex(token),
        key=claim.plan.key_names,
    )
    op.purpose = "internal"
    op.resolver = context.resolver(lambda unsettled, deadline: _resolve(context, unsettled, deadline, outcome))
    return op


def _resolve(context: Context, op: Op, deadline: float | None, outcome: Callable[[Any], Outcome]) -> Flow[Outcome]:
    """Settle by asking again: the same token makes it the same acquisition, refresh or release."""
    again = copy(op)
    again.purpose = "settle"
    limit = context.config.operation_timeout if deadline is None else deadline
    again.end, again.timeout = context.channel.clock.monotonic() + limit, limit
    again.refused = _as_after_loss(op.refused)
    try:
        result = yield from context.call(again)
    except (LeaseHeld, LeaseLost) as error:
        return error.outcome
    except DynamORMError:
        return Outcome.UNKNOWN
    return outcome(result)


def _as_after_loss(refused: Any) -> Any:
    """An earlier attempt may still have been applied, so a refusal is as ambiguous as it was then."""
    return lambda fault, _, info: refused(fault, True, info)
