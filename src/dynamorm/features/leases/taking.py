"""Taking a lease: where its item is absent, or where its lease has ended. Returns flows.

The first request is made for an absent item. Refused, it shows what is stored; where that lease has ended, a second
request is pinned to exactly what was shown. Each taking moves the fence, so what a request was pinned to never comes
back, and a copy of it that arrives later is refused. Absence alone may come back, where somebody deletes the item.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from dynamorm.codec.library_attributes import number_wire, text_wire
from dynamorm.effects import Flow, Sleep
from dynamorm.errors import DynamORMError, LeaseHeld, MalformedResponse, Outcome, ValidationError
from dynamorm.ops.calls.attempts import RETRY_MARGIN
from dynamorm.ops.calls.op import UNBELIEVABLE, Op
from dynamorm.wire.reply import ServiceFault

from .lease import TTL_AFTER, Claim, State, operation, ran_out, request

if TYPE_CHECKING:
    from dynamorm.ops.context import Context

_TURN: Final = 0.25
"""Seconds between two looks at a lease that is waited for: on average half of it, and never past its end."""
_TRIES: Final = 8
"""How often it is tried at once while what is stored changes under each request; then it counts as held."""


def acquire(context: Context, claim: Claim) -> Flow[None]:
    """Take the lease; wait for it, if that was asked for."""
    if claim.token is not None:
        raise ValidationError(f"this lease of {claim.name} was acquired before: refresh it, or release it first")
    clock, rand = context.channel.clock.monotonic, context.channel.random
    end = clock() + claim.wait
    pursuit = _Pursuit(context, claim)
    while True:
        try:
            yield from pursuit.once()
        except LeaseHeld as error:
            left = end - clock()
            if left <= 0:
                raise
            delay = min(left, max(0.05, min(error.retry_after, _TURN * 2 * rand())))
            yield Sleep(max(min(delay, context.end() - clock()), 0.0))
        else:
            return


class _Pursuit:
    """One `acquire` with all its requests. ``seen`` is what was stored last, as far as it is known.

    ``doubt``: a request whose answer was lost may have been applied and be over by now, or may still arrive.
    """

    def __init__(self, context: Context, claim: Claim) -> None:
        self.context = context
        self.claim = claim
        self.seen: State | None = None
        self.doubt = False

    def once(self) -> Flow[None]:
        """Take it if it is free. Raises LeaseHeld, or LeaseLost when it had run out with each answer."""
        claim, clock = self.claim, self.context.channel.clock.monotonic
        end = self.context.end()
        pin = self._ended()
        for tried in range(1, _TRIES + 1):
            taking = _Taking(self, pin)
            yield from self._send(taking.op(), end - clock())
            if claim.remaining(self.context) > 0:
                return
            last = tried == _TRIES or end - clock() <= RETRY_MARGIN
            if last and claim.token is not None:
                raise ran_out(claim, taking.token)
            if last:
                break
            claim.dropped(taking.token)
            pin = self.seen
        raise self.held("has ended, but others were quicker to take it, or no time was left", {})

    def _send(self, op: Op, timeout: float) -> Flow[None]:
        op.timeout = timeout
        try:
            yield from self.context.call(op)
        except DynamORMError as error:
            if self.doubt and error.outcome is Outcome.NOT_APPLIED:
                error.outcome = Outcome.UNKNOWN  # of an earlier request
            raise

    def _ended(self) -> State | None:
        """What was seen, if its lease has ended by now."""
        return self.seen if self.seen is not None and self.left(self.seen) <= 0 else None

    def left(self, state: State) -> float:
        """Seconds that a stored lease still runs; an item without a number for its end counts as taken."""
        end, now = state.end, self.context.now().timestamp()
        if end is None or state.is_foreign:
            return self.claim.duration
        return 0.0 if end <= int(now) else end - now

    def held(self, why: str, info: dict[str, Any], retry_after: float = 0.0) -> LeaseHeld:
        """The error for a lease that could not be taken."""
        outcome = Outcome.UNKNOWN if self.doubt else Outcome.NOT_APPLIED
        return LeaseHeld(f"the lease of {self.claim.name} {why}", retry_after=retry_after, outcome=outcome, **info)


_PINNED: Final = ("expires_at", "fence", "token")
"""What of a state a taking is pinned to."""


class _Taking:
    """One request to take it, pinned to a state, or to absence (None)."""

    def __init__(self, pursuit: _Pursuit, pin: State | None) -> None:
        context, claim = pursuit.context, pursuit.claim
        self.pursuit = pursuit
        self.pin = pin
        self.token = context.random_bytes(16).hex()
        self.wall, self.monotonic = claim.now(context)
        pinned_fence = None if pin is None else pin.fence_number
        # A new fence starts from the clock, in milliseconds: also where a Go service or DynamoDB's own deletion has
        # taken the last one away, it is not smaller.
        self.fence = (int(self.wall * 1000) if pinned_fence is None else pinned_fence) + 1

    def op(self) -> Op:
        """The call. Its result is None when the lease is ours, or free in a state that `_Pursuit.seen` then holds."""
        pursuit, claim = self.pursuit, self.pursuit.claim
        expires = int(self.wall + claim.duration)
        condition, names, pins = self._pinned()
        update = "SET #token = :token, #expires_at = :expires, #ttl = :ttl, #fence = :fence"
        for number, (stored, wire) in enumerate(claim.given.items()):
            update += f", #given{number} = :given{number}"
            names[f"#given{number}"], pins[f":given{number}"] = stored, wire
            if self.pin is not None:  # one that was taken by a program without views says of no view
                condition += f" AND (attribute_not_exists(#given{number}) OR #given{number} = :given{number})"
        body = request(
            claim,
            update,
            condition,
            {**claim.names, **names},
            {
                ":token": text_wire(self.token),
                ":expires": number_wire(expires),
                ":ttl": number_wire(expires + TTL_AFTER),
                ":fence": number_wire(self.fence),
                **pins,
            },
            returning=True,
        )
        return operation(pursuit.context, claim, body, self._decode, self._refused, self.token, self._outcome)

    def _pinned(self) -> tuple[str, dict[str, str], dict[str, Any]]:
        """The condition, with its names and values."""
        if self.pin is None:
            return "attribute_not_exists(#key)", {"#key": self.pursuit.claim.plan.partition.stored}, {}
        terms, values = [], {}
        for name in _PINNED:
            wire = getattr(self.pin, name)
            terms.append(f"attribute_not_exists(#{name})" if wire is None else f"#{name} = :seen_{name}")
            if wire is not None:
                values[f":seen_{name}"] = wire
        return " AND ".join(terms), {}, values

    def _decode(self, reply: bytes) -> None:
        claim = self.pursuit.claim
        raw = claim.plan.codec.reading.attributes_json(reply, claim.key_json)
        if raw is None or not self._ours(claim.shown(raw)):
            raise MalformedResponse("the answer does not hold the lease that was taken")

    def _ours(self, state: State) -> bool:
        if not state.is_of(self.token):
            return False
        self.pursuit.seen = state
        self.pursuit.claim.taken(self.token, state, self.wall, self.monotonic)
        return True

    def _refused(self, fault: ServiceFault, ambiguous: bool, info: dict[str, Any]) -> Any:
        pursuit = self.pursuit
        state = pursuit.claim.state(fault)
        if state is not None and self._ours(state):
            return None  # an earlier attempt took it; only its answer was lost
        if state is None and self.pin is None:
            return UNBELIEVABLE  # it was refused because its item exists, and the answer shows none
        pursuit.seen = state
        if ambiguous and not self._settled(state):
            pursuit.doubt = True
        if state is not None and (left := pursuit.left(state)) > 0:
            raise pursuit.held("is held by somebody else", info, 0.0 if state.end is None or state.is_foreign else left)
        return None

    def _settled(self, state: State | None) -> bool:
        """Whether a refusal proves that no earlier attempt was applied, nor ever will be."""
        if self.pin is None:
            return False  # somebody may delete the item while a copy is under way
        pinned_fence, stored_fence = self.pin.fence_number, None if state is None else state.fence_number
        if pinned_fence is None or stored_fence is None:
            return False
        if pinned_fence == stored_fence:
            return True  # ours would have made it one more
        # One more: another has taken it in our place, or, after ours had run out, one that counts no fence. More than that:
        # another may have taken it from us, whose clock is ahead of ours.
        return stored_fence == self.fence and not self.pursuit.claim.may_have_run_out(
            self.pursuit.context, self.monotonic
        )

    def _outcome(self, _: None) -> Outcome:
        if self.pursuit.claim.token == self.token:
            return Outcome.APPLIED
        return Outcome.UNKNOWN if self.pursuit.doubt else Outcome.NOT_APPLIED
