"""One call to DynamoDB as a flow: sign, send, verify, classify, retry. It must not know models or expressions.

A call ends in one of four ways:

- its decoded answer;
- a refusal, or a failure to send at all, with which it is certain that nothing was applied;
- a refusal with the outcome UNKNOWN: the service refused an attempt, while an earlier one may still be applied;
- `OutcomeUnknown`: no attempt was answered by anything that tells.

What interrupts a write in flight is marked with the outcome UNKNOWN, and passes as it is. An error of what is made of the
answer, behind a write that was applied, carries the outcome APPLIED.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any
from zlib import crc32

from dynamorm.effects import Flow, Send, Sleep, TransportError
from dynamorm.errors import (
    ChecksumMismatch,
    ConfigError,
    DeadlineExceeded,
    DynamORMError,
    MalformedResponse,
)
from dynamorm.wire.deadlines import USE, remaining
from dynamorm.wire.largest import LARGEST
from dynamorm.wire.reply import Kind, verify_crc

from .attempts import FINAL, RETRY_MARGIN, Attempts, interrupted
from .op import UNBELIEVABLE, Op, Safety
from .preparing import prepared, prepared_for

if TYPE_CHECKING:
    from dynamorm.wire.channel import Channel


def caller(wire: Channel) -> Callable[[Op], Flow[Any]]:
    """The innermost call over ``wire``; the context wraps the plugins around it, once."""
    config, clock = wire.config, wire.clock
    watch: Any = wire.watch
    # Looked up once, for each is used in every call.
    looked_up = (
        wire.signer.request,
        clock.monotonic,
        clock.time,
        wire.skew,
        wire.credentials,
        config.crc,
        config.crc == "off",
        config.performance.request_timeout,
        config.operation_timeout,
        wire.observers,
        wire.bucket,
        watch,  # None where no plugin looks at attempts
        watch if watch is not None and watch.sees_calls else None,  # the same, where a plugin looks at calls
    )
    return partial(_call, wire, looked_up)


def _call(wire: Channel, looked_up: tuple[Any, ...], op: Op) -> Flow[Any]:  # noqa: PLR0915 - the hot path stays in one frame
    (request, monotonic, wall, skew, credentials, policy, unchecked, request_timeout, operation_timeout,
     observers, bucket, watch, calls) = looked_up  # fmt: skip
    start = monotonic()
    run: Attempts | None = None  # bookkeeping is made with the first failure only
    left = limit = op.timeout or operation_timeout
    if op.end is not None or USE.ever:
        left = limit = _bounded(op, limit, start)
    sent = False
    watched: Any = None  # whether an attempt was admitted whose end nobody was told yet
    begun: Any = None  # whether plugins were told of the call
    reply: Any = None  # a `Reply`, once one has come
    try:
        while True:
            now = wall()
            applied_skew = skew.skew
            signed = now + applied_skew
            keys = credentials.cached if signed < credentials.fresh_until else credentials.current(signed)
            if keys is None:
                try:
                    keys = yield credentials.fetch(left)
                except (DynamORMError, TimeoutError) as error:
                    if run is not None and run.ambiguous:
                        run.unknown(error, "then there were no credentials to ask again with")
                    if isinstance(error, DynamORMError):
                        raise
                    run = run or Attempts(op, wire, start, limit)
                    run.give_up(_FETCHING, late=True)
                left = start + limit - monotonic() if run is None else run.left()
                if left <= 0.0:
                    run = run or Attempts(op, wire, start, limit)
                    run.give_up(_FETCHING, late=True)
                now = wall()
                signed = now + applied_skew
            reply = None
            if watch:  # before it is signed: what is refused should cost little
                op.server = wire.server
                watched = watch.admitted(op, run)
                if calls and begun is None:
                    begun = calls.began(op)
            data = request(op.name, op.body, keys, signed)
            sent = True
            try:
                reply = yield Send(
                    data,
                    request_timeout if request_timeout < left else left,  # noqa: FURB136 - twice as fast as min()
                    LARGEST[op.name],
                )
                if observers:  # whatever becomes of it: an item in it may not fit the model
                    for observe in observers:
                        observe(op, reply)
                body, crc = reply.body, reply.crc
                if unchecked or (crc is not None and crc == b"%d" % crc32(body)):  # as `verify_crc`, in a call less
                    trouble = None
                else:
                    trouble = verify_crc(body, crc, policy, wire.is_aws)
                if trouble is None and reply.status == 200:
                    result = op.decode(body) if op.prepare is None else (yield from prepared(op, body))
                    if watched:
                        watched = watch.told(op, reply, None)
                    if wire.is_secure:  # a Date that anybody on the way may have written teaches nothing
                        skew.observe(reply.date, now, wall(), monotonic())
                    if run is not None or bucket.tokens < bucket.capacity:
                        bucket.success(0 if run is None else run.taken)
                    else:  # as `success`, in a call less
                        bucket.answers += 1
                    if begun:
                        begun = calls.ended(op, None)
                    return result
            except ConfigError as error:  # the database was closed
                if run is not None and run.ambiguous:
                    run.unknown(error, "then the database was closed")
                raise
            except TransportError as error:
                run = run or Attempts(op, wire, start, limit)
                if watched:
                    watched = watch.told(op, None, error)
                delay = run.transport(error)
            except MalformedResponse as error:
                run = run or Attempts(op, wire, start, limit)
                if watched:
                    watched = watch.told(op, None, error)
                delay = run.unbelievable(error, reply)
            else:
                run = run or Attempts(op, wire, start, limit)
                if trouble is not None:
                    wrong = ChecksumMismatch(f"the answer's checksum is wrong: {trouble}")
                    if watched:
                        watched = watch.told(op, None, wrong)
                    delay = run.unbelievable(wrong, reply)
                else:
                    if watched:
                        watched = watch.told(op, reply, None)
                    if wire.is_secure:
                        skew.observe(reply.date, now, wall(), monotonic())
                    kind, fault = run.fault(reply)
                    if kind in FINAL:
                        if op.prepare is not None:
                            yield from prepared_for(op, fault)
                        result = run.final(kind, fault)
                        if result is not UNBELIEVABLE:
                            if begun:
                                begun = calls.ended(op, None)
                            return result
                        delay = run.disbelieved(MalformedResponse(_STRANGE), reply)
                    elif kind is Kind.SKEW:
                        run.skewed(fault, corrected=skew.correct(reply.date, wall(), applied_skew))
                        delay = 0.0
                    elif kind is Kind.EXPIRED_CREDENTIALS:
                        run.expired(fault)
                        credentials.invalidate(keys)
                        delay = 0.0
                    else:
                        delay = run.service(kind, fault, reply)
            sent = run.ambiguous
            while delay or run.parked:
                yield Sleep(delay)
                delay = run.resumed()
            left = run.left()
            if left <= RETRY_MARGIN:
                run.give_up("the operation's time ran out", late=True)
            if watch:
                watch.again(op, run.errors[-1])
    except (DynamORMError, GeneratorExit) as stop:
        if watched:
            watch.told(op, reply, None)
        if begun:
            calls.ended(op, stop)
        raise
    except BaseException as stop:
        if watched:
            watch.told(op, reply, None)
        # Cancelled or interrupted in flight: whoever catches it must know that the write may have been applied.
        if sent and op.safety is not Safety.READ:
            interrupted(stop, f"{op.name} on {op.table} was interrupted in flight: its outcome is unknown")
        if begun:
            calls.ended(op, stop)
        raise


_FETCHING = "the operation's time ran out while the credentials were fetched"
_STRANGE = "the refusal cannot be about this request"


def _bounded(op: Op, limit: float, now: float) -> float:
    """The seconds this call may take: also those that are left of its verb's time and of the caller's deadline.

    Raises: DeadlineExceeded when nothing is left.
    """
    if op.end is not None:
        limit = min(limit, op.end - now)
    if USE.ever:
        left = remaining()
        if left is not None and left < limit:
            limit = left
    if limit <= 0:
        raise DeadlineExceeded(f"the time for {op.name} was over before it was sent", operation=op.name, table=op.table)
    return limit
