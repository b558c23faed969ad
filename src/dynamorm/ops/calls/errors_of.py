"""From what went wrong to the error that is raised. It must not know models, retries or how a request is sent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dynamorm.codec.strict import read_object
from dynamorm.effects import TransportError
from dynamorm.engine.sizes import MAX_ITEM
from dynamorm.errors import (
    AccessDenied,
    ClientError,
    ConditionFailed,
    ConnectFailed,
    DeadlineExceeded,
    DynamORMError,
    ExpressionTooLarge,
    IndexUnavailable,
    ItemTooLarge,
    Outcome,
    PoolTimeout,
    ServerError,
    TableNotFound,
    Throttled,
    TransactionCancelled,
    TransactionConflict,
    Unavailable,
    ValidationError,
)
from dynamorm.wire.reply import Kind, ServiceFault

from .inner_path import of_path


def from_fault(kind: Kind, fault: ServiceFault, info: dict[str, Any]) -> DynamORMError:
    """The error for a refusal by the service. DynamoDB's own wording is kept.

    It holds no attribute values of ours; but of a statement it may repeat what stands in it.
    """
    error = _worded(kind, fault, info)
    return error.quoting(fault.message) if is_of_statements(info) else error


def is_of_statements(info: dict[str, Any]) -> bool:
    """Whether an error is about statements, whose text is the program's own and may hold values."""
    return "Execute" in str(info.get("operation"))


def _worded(kind: Kind, fault: ServiceFault, info: dict[str, Any]) -> DynamORMError:
    text = fault.message or f"DynamoDB answered {fault.code or 'with an error'}"
    if kind is Kind.VALIDATION:
        return _validation(text, info)
    if kind is Kind.THROTTLE:
        limits = fault.throttling
        return Throttled(
            text,
            reasons=[limit.reason for limit in limits] or [reason.code for reason in fault.cancellation if reason.code],
            resource=limits[0].resource if limits else None,
            **info,
        )
    if kind in _PLAIN:
        return _PLAIN[kind](text, **info)
    if kind is Kind.NOT_FOUND_TABLE:
        tables = str(info.get("table")).split(", ")  # of a transaction; no name holds a comma
        which = f"table {tables[0]!r}" if len(tables) == 1 else f"one of the tables {', '.join(map(repr, tables))}"
        return TableNotFound(
            f"{which} does not exist: create it with db.tables.ensure(Model), or look whether the Region, the account and"
            " the table_prefix are the right ones",
            **info,
        )
    if kind is Kind.MISMATCH:
        text = (
            "this token belongs to another request of the last ten minutes, so nothing of this one was applied; or it was"
            " used up when an earlier attempt was settled: use one token for one piece of work, and a new one to try again"
        )
    return ClientError(text, code=fault.code or None, **info)


def of_request(kind: Kind, fault: ServiceFault, body: bytes, info: dict[str, Any]) -> DynamORMError:
    """The error for a refusal of a request, in the words of its names where the service's own say too little."""
    return of_index(fault, body, info) or of_path(fault, body, info) or from_fault(kind, fault, info)


def of_index(fault: ServiceFault, body: bytes, info: dict[str, Any]) -> DynamORMError | None:
    """The error for a refused read of an index that is missing or still being made; None for any other refusal.

    The service says both with a plain ValidationException. Its words are the same on both engines; the name of the index
    stands in the request only.
    """
    missing, backfilling = "does not have the specified index" in fault.message, "backfilling" in fault.message
    if b'"IndexName"' not in body or not (missing or backfilling):
        return None
    index, table = read_object(body).get("IndexName"), info.get("table")
    if missing:
        text = f"table {table!r} has no index {index!r}: add it with db.tables.apply(db.tables.plan(Model))"
    else:
        text = f"index {index!r} of table {table!r} is still being made: wait for it with db.tables.wait(Model)"
    return IndexUnavailable(text, index=index, retryable=not missing, **info)


_PLAIN: dict[Kind, type[DynamORMError]] = {
    Kind.TRANSIENT: ServerError,
    Kind.CONFLICT: TransactionConflict,
    Kind.IN_PROGRESS: TransactionConflict,
    Kind.CONDITION: ConditionFailed,
    Kind.CANCELLED: TransactionCancelled,
    Kind.EXPIRED_CREDENTIALS: AccessDenied,
    Kind.SKEW: AccessDenied,
    Kind.ACCESS: AccessDenied,
}


def _validation(text: str, info: dict[str, Any]) -> ValidationError:
    if text.startswith("Item size"):
        return ItemTooLarge(text, limit=MAX_ITEM, **info)
    if text.startswith("Expression size"):
        return ExpressionTooLarge(text, **info)
    return ValidationError(text, **info)


_STAGES: dict[str, tuple[type[DynamORMError], str]] = {
    "pool": (PoolTimeout, "every connection was in use"),
    "dns": (ConnectFailed, "the endpoint's name could not be resolved"),
    "connect": (ConnectFailed, "no connection could be made"),
    "tls": (ConnectFailed, "TLS could not be agreed"),
    "certificate": (ConnectFailed, "the server's certificate is not acceptable"),
    "forbidden": (ConnectFailed, "the endpoint's address is never contacted"),
}


def _region(error: TransportError) -> str:
    """Of an endpoint of AWS whose name nobody knows: that its Region may be misspelled."""
    if error.stage != "dns":
        return ""
    labels = [label for label in error.detail.replace(" ", ".").split(".") if label]
    at = labels.index("dynamodb") if "dynamodb" in labels else -1
    if at < 0 or not any(label.startswith(("amazonaws", "api")) for label in labels[at:]):
        return ""
    return f"; is there a Region {labels[at + 1]!r}? They are spelled like 'us-east-1' and 'eu-central-1'"


def exhausted(errors: Sequence[BaseException], why: str, info: dict[str, Any], *, late: bool = False) -> DynamORMError:
    """The error for a call that was given up, when it is certain that it changed nothing; ``late``: its time is over."""
    last = errors[-1] if errors else None
    if isinstance(last, TransportError):
        if last.stage in _STAGES:
            kind, text = _STAGES[last.stage]
            return kind(f"{text}: {last.detail}{_region(last)}; {why}", **info)
        kind = DeadlineExceeded if last.stage == "timeout" or late else Unavailable
        return kind(f"no answer came: {last.detail}; {why}", **info)
    if isinstance(last, Throttled):
        again = Throttled(f"{last.message}; {why}", reasons=last.reasons, resource=last.resource, **info)
        return again.quoting(last)
    if isinstance(last, DynamORMError):
        # Nothing was changed, for otherwise this would not be asked for: also by an answer that cannot be believed.
        return type(last)(f"{last.message}; {why}", outcome=Outcome.NOT_APPLIED, **info).quoting(last)
    return DeadlineExceeded(why, **info)
