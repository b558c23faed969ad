"""Several writes as one TransactWriteItems: all or nothing, sent with one token, exactly once.

The writes come from the builders of the verbs, so versions, times and token rings are those of single writes. What was
refused is told by `dynamorm.ops.writes.cancellation`. It must not know how requests are signed or retried, nor which face asks.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from dynamorm.codec.strict import expect_empty, json_of
from dynamorm.effects import Flow, Gather
from dynamorm.errors import (
    ConditionFailed,
    DuplicateKey,
    DynamORMError,
    Outcome,
    OutOfBounds,
    TransactionCancelled,
    ValidationError,
)
from dynamorm.ops.calls.op import UNBELIEVABLE, Op, Safety
from dynamorm.ops.reads.preparing import prepare_each
from dynamorm.wire.reply import ServiceFault

from .cancellation import are_believable, causes, learnt, led, tell_existing, told
from .finish import added, others
from .forms import TURNS, in_other_form, may_be_the_form
from .tokened import Tokened
from .transaction_limits import check_parts, check_token, token_in_view
from .write import Write, after, applied, read_back, spending_on

if TYPE_CHECKING:
    from dynamorm.ops.context import Context
    from dynamorm.ops.requests import ModelRequests

_HEADS: Final = {kind: b'{"%b":' % kind.encode() for kind in ("Put", "Update", "Delete", "ConditionCheck")}

READS_AT_ONCE: Final = 4
"""Objects that are read back at the same time after a commit."""


def commit(
    context: Context,
    writes: Sequence[Write | None],
    *,
    checks: Sequence[Write] = (),
    token: str | None = None,
    alone: bool = False,
) -> Flow[list[Any]]:
    """Send the writes, what must be applied with each (``together_with``) and the checks as one transaction.

    A None among the writes keeps its place in `TransactionCancelled.reasons` and sends nothing. ``token`` is the
    caller's own client request token; each transaction gets a new one otherwise. ``alone``: see `Commit`. An update that
    was refused for the form it had, wherever in the transaction it is, is sent in another one, with all the others.
    Returns the verbs' results, in order.

    Raises: ValidationError before anything is sent, TransactionCancelled, OutcomeUnknown.
    """
    operations = (*writes, *checks)
    if all(operation is None for operation in operations):
        return []
    sent = Commit(context, operations, token, alone=alone)
    for turn in range(TURNS):
        try:
            return (yield from sent.run())
        except (TransactionCancelled, ConditionFailed, ValidationError) as error:
            if turn == TURNS - 1 or error.outcome is not Outcome.NOT_APPLIED or sent.tokened.is_used_up:
                raise  # or the caller's token is used up
            if turn == 0:
                context = context.bounded(sent.tokened.end)
            other = yield from sent.in_other_forms(context, error)
            if other is None:
                raise
            sent = other
    raise AssertionError("the last turn returns or raises")


def together(context: Context, write: Write) -> Flow[Any]:
    """Send one verb's write with what must be applied with it; the result and the errors are those of the verb."""
    if write.returns == "old":
        raise ValidationError(
            f"returning='old' is not to be had of {write.plan.codec.schema.name}: the write changes several items at"
            " once, and a transaction returns none of them; read the item first",
            field="returning",
        )
    results = yield from commit(context, (write,), alone=True)
    return results[0]


class Commit:
    """One transaction that is being sent. ``alone``: it stands for a single verb, so its error is that verb's own.

    ``parts`` is what is sent, in order: each write with the position of the operation it belongs to. ``finished`` are those
    among them that plugins have added to the whole, where they were asked before; ``errors`` says why each part was refused.
    """

    __slots__ = (
        "_alone", "_context", "_finished", "_given", "_text", "_token", "errors", "operations", "parts", "results",
        "tokened",
    )  # fmt: skip

    def __init__(
        self,
        context: Context,
        operations: tuple[Write | None, ...],
        token: str | None,
        *,
        alone: bool = False,
        finished: list[Write] | None = None,
    ) -> None:
        self._context = context
        self._alone = alone
        self._given = given = check_token(token)
        self._finished: list[Write] = []
        self.errors: list[DynamORMError | None] = []
        self._token = context.random_bytes(16) if given is None else given.encode()
        said = self._token.hex() if given is None else given
        self.operations: tuple[Write | None, ...] = operations
        self.parts: list[tuple[int, Write]] = []
        for position, write in enumerate(operations):
            if write is not None:
                self.parts.append((position, write))
                if write.together_with:
                    replaced = () if context.reads is None else context.reads.replaced
                    self.parts += [(position, companion) for companion in others(write, replaced)]
        if context.finishers:
            first = self.parts[0][0]  # what is added belongs to no operation: to the first one, in a report
            if finished is None:
                finished = added(context, [write for _, write in self.parts])
            self._finished = finished
            self.parts += [(first, part) for write in finished for part in (write, *others(write))]
        self.results: list[Any] | None = None
        check_parts(operations, self.parts)
        spend = partial(spending_on, self.parts[0][1])
        self._text = said
        plans = {write.plan for _, write in self.parts}  # most are of one model
        for plan in plans:
            if plan.given:  # in a view whose scope gives values to models
                self._text = token_in_view(said, plans)
                break
        self.tokened: Tokened = Tokened(
            context, self._op(plans), self._text, spend, self._applied, given=given is not None, said=said
        )

    def run(self) -> Flow[list[Any]]:
        """Send it, and bring the objects up to date. Returns the verbs' results, in order."""
        try:
            yield from self.tokened.send()
        except DynamORMError as error:
            if isinstance(error, (DuplicateKey, TransactionCancelled)) and any(
                write.plan.codec.keeps is not None for _, write in self.parts
            ):
                yield from tell_existing(self._context, error, self.tokened.end)
            if self._context.reads is not None and self.tokened.is_used_up:
                self._context.reads.final = True
            raise
        return (yield from self._finish(self.tokened.end))

    def _op(self, plans: Collection[ModelRequests]) -> Op:
        parts = self.parts
        items = b",".join([_HEADS[write.kind] + write.body + b"}" for _, write in parts])
        token = json_of(self._text)
        assert token is not None  # check_token has seen it
        op = Op(
            "TransactWriteItems",
            parts[0][1].plan.table if len(plans) == 1 else ", ".join(sorted({plan.table for plan in plans})),
            b'{"TransactItems":[' + items + b'],"ClientRequestToken":' + token + b"}",
            expect_empty,
            Safety.RESEND,
            lambda fault, _, info: self._refused(fault, info),
            token=self._token,
            key=parts[0][1].plan.key_names if self._alone or len(parts) == 1 else None,
        )
        op.parts = len(parts)
        for plan in plans:
            if plan.prepare is not None:
                op.prepare = prepare_each([write.plan for _, write in parts])
                break
        return op

    def _applied(self, end: float) -> Flow[None]:
        """It was found out that it was applied."""
        with suppress(Exception):  # that is certain; only an object in memory stays as it was
            yield from self._finish(end)

    def _refused(self, fault: ServiceFault, info: dict[str, Any]) -> Any:
        """The transaction was cancelled. Its token proves that no earlier attempt was applied yet."""
        if not are_believable(self.parts, fault):
            return UNBELIEVABLE
        if self._context.reads is not None:
            pairs = zip(self.parts, fault.cancellation, strict=True)
            failed = [(write, why.item) for (_, write), why in pairs if why.code == "ConditionalCheckFailed"]
            self._context.reads.refused(self.operations, failed)
        self.errors = causes(self.parts, fault, info)
        error = told(self.operations, self.parts, fault, self.errors, info)
        if self._alone and isinstance(error, TransactionCancelled):
            first = error.reasons[0] if error.reasons else None
            if first is not None and first.error is not None:
                raise first.error
        raise error

    def in_other_forms(self, context: Context, error: DynamORMError) -> Flow[Commit | None]:
        """The same transaction with those updates in another form that were refused for the one they had; None without any.

        Raises: OutOfBounds, or ``error``, for a change that would lead past a bound from what is stored now.
        """
        replaced: dict[int, Write] = {}  # by the identity of the write
        for number, (position, write) in enumerate(self.parts):
            why = self.errors[number] if self.errors else error  # without reasons any of them may be to blame
            if write.forms is None or why is None or not may_be_the_form(write, why):
                continue
            try:
                other = yield from in_other_form(context, write)
            except OutOfBounds as past:
                led(write, past)
                reason = error.reasons[position] if isinstance(error, TransactionCancelled) else None
                if reason is None:
                    raise
                if reason.error is why:
                    learnt(error, self.operations, reason, past)  # type: ignore[arg-type] # it has reasons
                raise error from None  # the transaction is refused as before
            if other is not None:
                replaced[id(write)] = other
        if not replaced:
            return None
        operations = tuple(None if write is None else _with(replaced, write) for write in self.operations)
        finished = [_with(replaced, write) for write in self._finished] if self._context.finishers else None
        return Commit(context, operations, self._given, alone=self._alone, finished=finished)

    def _finish(self, end: float) -> Flow[list[Any]]:
        """Tell every write that it was applied, once; those that need it are read back first, until the time ``end``."""
        if self.results is not None:
            return self.results
        self.results = results = [None] * len(self.operations)
        failures: list[Exception] = []
        wanted: list[Flow[Exception | None]] = []
        for position, write in self.parts:
            if write.returns == "new":
                wanted.append(self._refresh(position, write, end))
                continue
            try:
                result = applied(write, None)
            except Exception as error:  # noqa: BLE001 - raised when all have been told
                failures.append(error)
            else:
                if write is self.operations[position]:
                    results[position] = result
        if wanted:
            failures += [error for error in (yield from _all(wanted)) if error is not None]
        if failures:
            raise failures[0]
        return results

    def _refresh(self, position: int, write: Write, end: float) -> Flow[Exception | None]:
        """Read one object back. An error is returned, so that it does not keep the others from being read."""
        try:
            raw = yield from self._context.call(read_back(write.plan, write.key, end))
            result = applied(write, raw)
        except Exception as error:  # noqa: BLE001 - as above
            after(error, _READING)
            return error
        assert self.results is not None  # made before anything is read back
        if write is self.operations[position]:
            self.results[position] = result
        return None


def _with(replaced: Mapping[int, Write], write: Write) -> Write:
    """A write, or the one that replaces it, with what goes along likewise."""
    other = replaced.get(id(write))
    if other is not None:  # it is built with all that goes along
        return other
    if write.together_with:
        write.together_with = tuple(_with(replaced, companion) for companion in write.together_with)
    return write


def _all(flows: list[Flow[Exception | None]]) -> Flow[list[Exception | None]]:
    """Run the flows that read back, and mark whatever interrupts them: the transaction was applied."""
    try:
        if len(flows) == 1:
            return [(yield from flows[0])]
        errors: list[Exception | None] = yield Gather(flows, READS_AT_ONCE)
    except GeneratorExit:
        raise
    except BaseException as error:  # a cancellation too: whoever catches it must know
        after(error, _READING)
        raise
    return errors


_READING: Final = "reading an object back"
