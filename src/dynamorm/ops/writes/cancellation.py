"""Why a transaction was cancelled: one reason for each operation it was made of. It must not know how it was sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from dynamorm.errors import CancellationReason, DynamORMError, TransactionCancelled
from dynamorm.ops.calls import errors_of
from dynamorm.wire.reply import CancellationReason as Reason
from dynamorm.wire.reply import Kind, ServiceFault, classify

from .write import refusal

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TypeAlias

    from .write import Write

    Parts: TypeAlias = Sequence[tuple[int, Write]]
    """What is sent, in order: each write with the position of the operation it belongs to."""

_VERBS: Final = {"Put": "put", "Update": "update", "Delete": "delete", "ConditionCheck": "check"}
_PASSING: Final = {Kind.CONFLICT, Kind.THROTTLE}
_IN_FULL: Final = 10
"""Reasons that a message gives in full; of the others it gives the position and the code."""


def told(
    operations: Sequence[Write | None],
    parts: Parts,
    fault: ServiceFault,
    info: dict[str, Any],
) -> TransactionCancelled:
    """The error for a cancelled transaction, one reason per operation; what came with an operation counts as its own."""
    worst: dict[int, tuple[Write, Reason]] = {}
    for (position, write), reason in zip(parts, fault.cancellation, strict=True):
        # The first lasting reason of an operation says more than one that passes.
        if reason.code is not None and (position not in worst or (_passes(worst[position][1]) and not _passes(reason))):
            worst[position] = write, reason
    reasons: list[CancellationReason | None] = [None] * len(operations)
    for position, (write, reason) in worst.items():
        reasons[position] = _reason(operations, position, write, reason, info)
    return TransactionCancelled(_text(operations, reasons), reasons=reasons, **info)


def learnt(
    error: TransactionCancelled, operations: Sequence[Write | None], reason: CancellationReason, why: DynamORMError
) -> None:
    """Let the error say what a look at the item has shown: ``why`` is the error of one of its reasons."""
    reason.error = why
    error.message = _text(operations, error.reasons)
    error.args = (error.message,)


def named(operations: Sequence[Write | None], position: int) -> str:
    """How an operation is called in messages: ``operation 2 (create Payment, 'debit')``."""
    write = operations[position]
    assert write is not None  # what was not sent is not spoken of
    label = "" if write.label is None else f", {write.label!r}"
    return f"operation {position} ({_operation(write)}{label})"


def _operation(write: Write) -> str:
    verb = write.verb or ("create" if write.expects == "absent" else _VERBS[write.kind])
    return f"{verb} {write.plan.codec.schema.name}"


def _passes(reason: Reason) -> bool:
    return reason.code is not None and classify(reason.code, 400) in _PASSING


def _reason(
    operations: Sequence[Write | None], position: int, write: Write, reason: Reason, info: dict[str, Any]
) -> CancellationReason:
    main = operations[position]
    assert main is not None  # it was sent
    code = reason.code or ""
    return CancellationReason(
        code,
        reason.message,
        position=position,
        operation=_operation(main),
        label=main.label,
        error=_error(write, code, reason, info | {"table": write.plan.table}),
    )


def _error(write: Write, code: str, reason: Reason, info: dict[str, Any]) -> DynamORMError:
    """What the verb alone would have raised."""
    kind = classify(code, 400)
    if kind is Kind.CONDITION:
        error = refusal(write, reason.item, info)
    else:
        text = reason.message or f"DynamoDB refused it with {code}"
        error = errors_of.of_request(kind, ServiceFault(code, text, {}, 400), write.body, info)
    return error.about(f"{_operation(write)}, added by {write.added_by}") if write.added_by else error


def _text(operations: Sequence[Write | None], reasons: Sequence[CancellationReason | None]) -> str:
    blamed = [reason for reason in reasons if reason is not None]
    lines = [
        f"{named(operations, reason.position or 0)}: {reason.code}, {'' if reason.error is None else reason.error.message}"
        for reason in blamed[:_IN_FULL]
    ]
    short_lines = [f"operation {reason.position}: {reason.code}" for reason in blamed[_IN_FULL:]]
    return f"the transaction was cancelled and nothing of it was applied: {'; '.join([*lines, *short_lines])}"
