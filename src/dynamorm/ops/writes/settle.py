"""What became of a single write whose answers were lost: look for its token, until it tells or the time is over.

It must not know which verb made the write.
"""

from __future__ import annotations

from contextlib import suppress
from copy import copy
from typing import TYPE_CHECKING, Any

from dynamorm.effects import Flow, Sleep
from dynamorm.errors import ConditionFailed, DynamORMError, Outcome, OutcomeUnknown
from dynamorm.ops.calls.attempts import FARTHEST_STEP, RETRY_MARGIN, info_of
from dynamorm.ops.calls.op import Op, Safety
from dynamorm.wire.reply import Kind

from .write import Write, applied, is_untouched, may_come_late, read_back, refusal, refused, settle

if TYPE_CHECKING:
    from dynamorm.ops.context import Context


def found_out(context: Context, write: Write, op: Op, unknown: OutcomeUnknown) -> Flow[Any]:
    """Look at what is stored until it tells, or the time of the verb is over. Returns the verb's result.

    Raises: ``unknown``, or the refusal of a write that certainly was not applied and will not be.
    """
    if not _tells(write):
        raise unknown
    channel = context.channel
    end = context.end() if op.end is None else op.end  # a plugin has raised the error itself
    step = 0
    while True:
        try:
            raw = yield from context.call(_look(write, end))
        except DynamORMError:
            raise unknown from unknown.__cause__
        outcome = settle(write, raw)
        if outcome is Outcome.APPLIED:
            return applied(write, None if write.kind == "Delete" else raw)
        info = info_of(unknown)
        if outcome is Outcome.NOT_APPLIED:
            raise refusal(write, raw, info) from unknown
        if write.expects == "absent" and raw is not None:
            raise may_come_late(context, refusal(write, raw, info)) from unknown
        delay = channel.retry.delay(Kind.TRANSIENT, min(step, FARTHEST_STEP), channel.random())
        # What is as it was when the write was made may still change, by a copy of it that comes late.
        if not _is_open(write, raw) or channel.clock.monotonic() + delay + RETRY_MARGIN >= end:
            raise unknown from unknown.__cause__
        yield Sleep(delay)
        step += 1


def _tells(write: Write) -> bool:
    """Whether what is stored can tell: the write leaves its token there, or nothing."""
    if write.kind == "Put":
        return write.plan.tokens and not write.traceless
    return write.kind == "Delete" or (write.plan.tokens and write.expects == "version")


def _is_open(write: Write, raw: bytes | None) -> bool:
    """Whether another look may tell more than this one."""
    return is_untouched(write, raw) or (write.expects == "absent" and raw is None) or not write.expects


def _look(write: Write, end: float) -> Op:
    look = read_back(write.plan, write.key, end)
    look.finds_out = True
    return look


def resolve(context: Context, write: Write, op: Op, deadline: float | None) -> Flow[Outcome]:
    """Settle a single write when its error is asked to: look first, and finish what certainly can be finished."""
    if not _tells(write):
        return Outcome.UNKNOWN
    limit = context.config.operation_timeout if deadline is None else deadline
    end = context.channel.clock.monotonic() + limit
    look = _look(write, end)
    look.timeout = limit
    try:
        raw = yield from context.call(look)
    except DynamORMError:
        return Outcome.UNKNOWN
    outcome = settle(write, raw)
    if outcome is Outcome.APPLIED:
        if write.safety is not Safety.ONCE:
            with suppress(Exception):  # that is certain; only an object in memory stays as it was
                applied(write, None if write.kind == "Delete" else raw)
        return outcome
    # Only what still is as the write was made for can be written now and overwrite nothing that is newer: not where the
    # outcome is NOT_APPLIED, for the version went on. Where no item is, the write may never have arrived, or somebody
    # has deleted what it stored.
    if write.safety is Safety.ONCE or not is_untouched(write, raw):
        return outcome
    repeated = copy(op)
    repeated.purpose = "settle"
    repeated.end, repeated.timeout = end, limit
    # An earlier attempt may still be on its way, so a refusal is as ambiguous here as it was then.
    repeated.refused = lambda fault, _, info: refused(context, write, fault.item, info, ambiguous=True)
    try:
        yield from context.call(repeated)
    except ConditionFailed as error:
        return error.outcome
    except Exception as error:
        if getattr(error, "outcome", None) is Outcome.APPLIED:
            return Outcome.APPLIED
        if not isinstance(error, DynamORMError):
            raise
        return Outcome.UNKNOWN
    return Outcome.APPLIED
