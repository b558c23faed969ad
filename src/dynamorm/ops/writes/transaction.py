"""Several writes as one TransactWriteItems: all or nothing, sent with one token, exactly once.

The writes come from the builders of the verbs, so versions, times and token rings are those of single writes. What was
refused is told by `dynamorm.ops.writes.cancellation`. It must not know how requests are signed or retried, nor which face asks.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from dynamorm.codec.strict import expect_empty, json_of
from dynamorm.effects import Flow, Gather
from dynamorm.errors import DuplicateKey, DynamORMError, Outcome, OutOfBounds, TransactionCancelled, ValidationError
from dynamorm.ops.calls.op import UNBELIEVABLE, Op, Safety
from dynamorm.ops.reads.preparing import prepare_each
from dynamorm.wire.reply import ServiceFault

from .cancellation import learnt, told
from .finish import finished, others
from .forms import TURNS, in_other_form, may_be_the_form
from .tokened import Tokened
from .transaction_limits import check_parts, check_token
from .write import Write, after, applied, believable, is_conditional, read_back, spending_on

if TYPE_CHECKING:
    from dynamorm.ops.context import Context

_KINDS: Final = {"Put": b"Put", "Update": b"Update", "Delete": b"Delete", "ConditionCheck": b"ConditionCheck"}

READS_AT_ONCE: Final = 4
"""Objects that are read back at the same time after a commit."""


def commit(
    context: Context, writes: Sequence[Write | None], *, checks: Sequence[Write] = (), token: str | None = None
) -> Flow[None]:
    """Send the writes, what must be applied with each (``together_with``) and the checks as one transaction.

    A None among the writes keeps its place in `TransactionCancelled.reasons` and sends nothing. ``token`` is the
    caller's own client request token; each transaction gets a new one otherwise.

    Raises: ValidationError before anything is sent, TransactionCancelled, OutcomeUnknown.
    """
    operations = (*writes, *checks)
    if all(operation is None for operation in operations):
        return
    for turn in range(TURNS):
        sent = Commit(context, operations, token)
        try:
            yield from sent.run()
        except (TransactionCancelled, ValidationError) as error:
            if turn == TURNS - 1 or sent.tokened.is_used_up:
                raise  # or the caller's token is used up
            others = yield from _in_other_forms(context, operations, error)
            if others == operations:
                raise
            operations = others
        else:
            return


def together(context: Context, write: Write) -> Flow[Any]:
    """Send one verb's write with what must be applied with it; the result and the errors are those of the verb."""
    if write.plain_extras is not None and write.plain_extras.get("ReturnValues") == "ALL_OLD":
        raise ValidationError(
            f"returning='old' is not to be had of {write.plan.codec.schema.name}: the write changes several items at"
            " once, and a transaction returns none of them; read the item first",
            field="returning",
        )
    results = yield from Commit(context, (write,), None, alone=True).run()
    return results[0]


def _in_other_forms(
    context: Context, operations: tuple[Write | None, ...], error: DynamORMError
) -> Flow[tuple[Write | None, ...]]:
    """The operations with those updates in another form that were refused for the one they had; the same if there are none."""
    if error.outcome is not Outcome.NOT_APPLIED:
        return operations
    reasons = error.reasons if isinstance(error, TransactionCancelled) else [None] * len(operations)
    in_forms: list[Write | None] = []
    for write, reason in zip(operations, reasons, strict=True):
        why = error if reason is None else reason.error
        other = None
        if write is not None and why is not None and may_be_the_form(write, why):
            try:
                other = yield from in_other_form(context, write)
            except OutOfBounds as past:
                if reason is None or not isinstance(error, TransactionCancelled):
                    raise
                learnt(error, operations, reason, past)  # the transaction is refused as before
                raise error from None
            if other is not None:
                other.label, other.verb = write.label, write.verb
                other.refresh, other.plain_extras, other.done = write.refresh, write.plain_extras, write.done
        in_forms.append(other or write)
    return tuple(in_forms)


class Commit:
    """One transaction that is being sent. ``alone``: it stands for a single verb, so its error is that verb's own.

    ``parts`` is what is sent, in order: each write with the position of the operation it belongs to.
    """

    __slots__ = ("_alone", "_context", "_text", "_token", "operations", "parts", "results", "tokened")

    def __init__(
        self, context: Context, operations: tuple[Write | None, ...], token: str | None, *, alone: bool = False
    ) -> None:
        self._context = context
        self._alone = alone
        given = check_token(token)
        self._token = context.random_bytes(16) if given is None else given.encode()
        self._text = self._token.hex() if given is None else given
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
            self.parts += [(first, write) for write in finished(context, [write for _, write in self.parts])]
        self.results: list[Any] | None = None
        check_parts(operations, self.parts)
        spend = partial(spending_on, self.parts[0][1])
        self.tokened: Tokened = Tokened(context, self._op(), self._text, spend, self._applied, given=given is not None)

    def run(self) -> Flow[list[Any]]:
        """Send it, and bring the objects up to date. Returns the verbs' results, in order."""
        try:
            yield from self.tokened.send()
        except DynamORMError as error:
            if isinstance(error, (DuplicateKey, TransactionCancelled)):
                for _, write in self.parts:
                    if write.plan.codec.keeps is not None:
                        from .existing import tell_existing  # only where rules look at what is read

                        yield from tell_existing(self._context, error, self.tokened.end)
                        break
            if self._context.reads is not None and self.tokened.is_used_up:
                self._context.reads.final = True
            raise
        return (yield from self._finish(self.tokened.end))

    def _op(self) -> Op:
        parts = self.parts
        items = b",".join([b'{"%b":%b}' % (_KINDS[write.kind], write.body) for _, write in parts])
        token = json_of(self._text)
        assert token is not None  # check_token has seen it
        op = Op(
            "TransactWriteItems",
            ", ".join(sorted({write.plan.table for _, write in parts})),
            b'{"TransactItems":[' + items + b'],"ClientRequestToken":' + token + b"}",
            expect_empty,
            Safety.RESEND,
            lambda fault, _, info: self._refused(fault, info),
            token=self._token,
            key=parts[0][1].plan.key_names if self._alone or len(parts) == 1 else None,
        )
        op.parts = len(parts)
        for _, write in parts:
            if write.plan.prepare is not None:
                op.prepare = prepare_each([write.plan for _, write in parts])
                break
        return op

    def _applied(self, end: float) -> Flow[None]:
        """It was found out that it was applied."""
        with suppress(Exception):  # that is certain; only an object in memory stays as it was
            yield from self._finish(end)

    def _refused(self, fault: ServiceFault, info: dict[str, Any]) -> Any:
        """The transaction was cancelled. Its token proves that no earlier attempt was applied yet."""
        if not all(
            is_conditional(write) and believable(write, reason.item)
            for (_, write), reason in zip(self.parts, fault.cancellation, strict=True)
            if reason.code == "ConditionalCheckFailed"
        ):
            return UNBELIEVABLE
        if self._context.reads is not None:
            pairs = zip(self.parts, fault.cancellation, strict=True)
            failed = [(write, why.item) for (_, write), why in pairs if why.code == "ConditionalCheckFailed"]
            self._context.reads.refused(self.operations, failed)
        error = told(self.operations, self.parts, fault, info)
        if self._alone and isinstance(error, TransactionCancelled):
            first = error.reasons[0] if error.reasons else None
            if first is not None and first.error is not None:
                raise first.error
        raise error

    def _finish(self, end: float) -> Flow[list[Any]]:
        """Tell every write that it was applied, once; those that need it are read back first, until the time ``end``."""
        if self.results is not None:
            return self.results
        self.results = results = [None] * len(self.operations)
        failures: list[Exception] = []
        wanted: list[Flow[Exception | None]] = []
        for position, write in self.parts:
            if (write.refresh or write.plain_extras is not None) and _is_read_back(write):
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


def _is_read_back(write: Write) -> bool:
    """Whether the write's result is the item as it is afterwards, which a transaction does not return."""
    return write.refresh or (write.plain_extras is not None and write.plain_extras.get("ReturnValues") == "ALL_NEW")


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
