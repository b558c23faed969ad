"""Sends one write: as its own verb, as a one-item transaction with a token, or with others; and in the form that is right.

It must not know which verb made the write, nor how requests are signed or retried.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from dynamorm.codec.strict import expect_empty, holds_nothing
from dynamorm.effects import Flow
from dynamorm.errors import ConditionFailed, MalformedResponse, Outcome, OutcomeUnknown, ValidationError
from dynamorm.ops.calls.attempts import in_doubt
from dynamorm.ops.calls.op import UNBELIEVABLE, Op, Safety
from dynamorm.ops.reads.preparing import prepare_each
from dynamorm.wire.reply import ServiceFault

from . import settle
from .cancellation import are_believable, causes
from .forms import TURNS, in_other_form, may_be_the_form
from .tokened import Tokened
from .write import Write, after, applied, read_back, refused, spending_on

if TYPE_CHECKING:
    from dynamorm.ops.context import Context


def perform(context: Context, write: Write) -> Flow[Any]:
    """Send one write, with what must be applied together with it, in the form that is right. Returns the verb's result."""
    if write.returns and write.plan.foresee is not None and not write.foreseen:
        return _foreseen(context, write)
    if write.together_with or context.finishers:
        from .transaction import together  # only where other writes go along

        return together(context, write)
    if write.forms is not None:
        return _in_turn(context, write)
    return _transaction(context, write) if write.transact else _single(context, write)


def _foreseen(context: Context, write: Write) -> Flow[Any]:
    """Let the rules prepare for the answer before anything is sent. Raises what refuses the write for what its answer would need.

    A write that is made only now is made, and sent.
    """
    if write.late is not None:
        return (yield from write.late(context))
    plan, foresee = write.plan, write.plan.foresee
    assert foresee is not None  # or this is not asked for
    if (yield from foresee(write.key, write.seen, write.changed)):
        seen = yield from context.call(read_back(plan, write.key, purpose="guard", decoded=False))
        if seen is not None:  # else the answer shows what is written now, or there is none
            yield from foresee(write.key, seen, write.changed)
    write.foreseen = True
    return (yield from perform(context, write))


def _in_turn(context: Context, write: Write) -> Flow[Any]:
    """Send an update in one form, and in another one where what is stored asks for that."""
    end = context.end()
    for turn in range(TURNS):
        try:
            return (yield from _transaction(context, write) if write.transact else _single(context, write))
        except (ConditionFailed, ValidationError) as error:
            if turn == TURNS - 1 or not may_be_the_form(write, error):
                raise
            if turn == 0:
                context = context.bounded(end)
            other = yield from in_other_form(context, write)
            if other is None:
                raise
            write = other
    raise AssertionError("the last turn returns or raises")


def _single(context: Context, write: Write) -> Flow[Any]:
    """Send the write as its own verb; where no answer tells what became of it, look at what is stored."""
    plan, body, returns = write.plan, write.body, write.returns
    if returns:
        body = body[:-1] + _RETURN_VALUES[returns]
    op = Op(
        _OPERATIONS[write.kind],
        plan.table,
        body,
        partial(_READERS[returns], write),
        write.safety,
        lambda fault, ambiguous, info: refused(context, write, fault.item, info, ambiguous=ambiguous),
        # Not a closure over the op: that would be a cycle for the collector with every write.
        partial(_resolve, context, write),
        write.token,
        plan.key_names,
        None,
        plan.prepare,
        write.expects == "version",
    )
    try:
        return (yield from context.call(op))
    except OutcomeUnknown as error:
        if op.untold or returns == "old":
            raise
        unknown = error
    with in_doubt():
        return (yield from settle.found_out(context, write, op, unknown))


def _resolve(context: Context, write: Write, op: Op, deadline: float | None) -> Any:
    """Settle a write whose answers were lost, when its error is asked to, on the driver of the context's face."""
    return context.resolver(partial(settle.resolve, context, write))(op, deadline)


def _read_empty(write: Write, reply: bytes) -> Any:
    if reply != b"{}" and not holds_nothing(reply):
        expect_empty(reply)
    try:
        return write.done(None)  # as `applied`, in one call less
    except BaseException as error:
        after(error)
        raise


def _read_old(write: Write, reply: bytes) -> Any:
    return applied(write, write.plan.codec.reading.attributes_json(reply, write.key))


def _read_new(write: Write, reply: bytes) -> Any:
    try:
        fresh = write.plan.codec.read_attributes(reply, write.key)
    except MalformedResponse:
        raise
    except Exception as error:  # it does not fit the model, and is stored all the same
        if vars(error).get("outcome") is not Outcome.UNKNOWN:  # unless it is another item, so that nobody can tell
            after(error)
        raise
    if fresh is None:  # an update always leaves an item: this answer is not to what was asked
        raise MalformedResponse("the answer lacks the attributes that were asked for")
    assert write.on_item is not None  # whoever asks for the new item
    try:
        return write.on_item(fresh)
    except BaseException as error:
        after(error)
        raise


_READERS: Final = {"": _read_empty, "new": _read_new, "old": _read_old}
_RETURN_VALUES: Final = {"new": b',"ReturnValues":"ALL_NEW"}', "old": b',"ReturnValues":"ALL_OLD"}'}
"""How a single verb says which item it wants back, at the end of its request; a transaction returns none."""
_OPERATIONS: Final = {"Put": "PutItem", "Update": "UpdateItem", "Delete": "DeleteItem"}


def _transaction(context: Context, write: Write) -> Flow[Any]:
    """Send the write as a one-item transaction: its token makes every attempt the same write."""
    plan, token = write.plan, write.token.hex()  # of 16 bytes: within the 36 characters that DynamoDB takes
    body = (
        b'{"TransactItems":[{"' + write.kind.encode() + b'":' + write.body + b'}],"ClientRequestToken":"'
        + token.encode() + b'"}'
    )  # fmt: skip
    op = Op(
        "TransactWriteItems",
        plan.table,
        body,
        expect_empty,
        Safety.RESEND,
        lambda fault, _, info: _cancelled(write, fault, info),
        token=write.token,
        key=plan.key_names,
    )
    op.parts = 1
    op.prepare = prepare_each((plan,))

    def finish(end: float) -> Flow[None]:
        with suppress(Exception):  # the outcome is known; only an object in memory stays as it was
            applied(write, (yield from _look(context, write, end)))

    tokened = Tokened(context, op, token, partial(spending_on, write), finish)
    yield from tokened.send()
    try:
        raw = yield from _look(context, write, tokened.end)
    except GeneratorExit:
        raise
    except BaseException as error:  # a cancellation too: whoever catches it must know
        after(error, "reading its result back")
        raise
    return applied(write, raw)


def _cancelled(write: Write, fault: ServiceFault, info: dict[str, Any]) -> Any:
    """The refusal of a one-item transaction, told as the single verb would. Its token proves that nothing was applied yet."""
    parts = [(0, write)]
    if not are_believable(parts, fault):
        return UNBELIEVABLE
    (cause,) = causes(parts, fault, info)
    assert cause is not None  # a cancellation names one reason at least
    raise cause


def _look(context: Context, write: Write, end: float) -> Flow[bytes | None]:
    """What is stored after a transaction, where its result is wanted: it returns none itself."""
    if write.returns != "new":
        return None
    raw: bytes | None = yield from context.call(read_back(write.plan, write.key, end))
    return raw
