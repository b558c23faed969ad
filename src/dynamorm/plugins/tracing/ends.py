"""What is known of a span when it ends: what came of the attempts, and what failed. It must not know when spans begin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from msgspec import UNSET, DecodeError, Struct, UnsetType
from msgspec.json import Decoder, encode

from dynamorm.errors import ConditionFailed, DynamORMError, NotFound, Outcome, TransactionCancelled
from dynamorm.plugin import service_error

if TYPE_CHECKING:
    from opentelemetry.trace import Span

    from dynamorm.effects import Reply
    from dynamorm.plugin import Call


class Request:
    """A request that is recorded: its span, and what came of its attempts."""

    __slots__ = ("attempts", "reply", "retries", "span")

    def __init__(self, span: Span) -> None:
        self.span: Span = span
        self.attempts: int = 0
        self.reply: Reply | None = None
        self.retries: dict[str, int] = {}


def of_end(call: Call, request: Request, error: BaseException | None) -> dict[str, Any]:
    """The attributes that are known when a request has ended."""
    found: dict[str, Any] = {}
    reply = request.reply
    request_id = getattr(error, "request_id", None) if reply is None else reply.request_id
    if request_id is not None:
        found["aws.request_id"] = request_id
    if request.attempts > 1:
        found["dynamorm.attempts"] = request.attempts
        for word, count in request.retries.items():
            found[f"dynamorm.retries.{word}"] = count
    if reply is not None and b'"ReturnConsumedCapacity"' in call.body and (units := _units(reply.body)):
        found["aws.dynamodb.consumed_capacity"] = units
    return found


def fail(span: Span, error: BaseException, reply: Reply | None, *, tells: bool) -> None:
    """Record a failure: its class, and where it ``tells`` the message that holds no value. The message itself might."""
    code = service_error(reply)
    found: dict[str, Any] = {"error.type": code or _name_of(error)}
    if code is not None:
        found["db.response.status_code"] = code
    outcome = getattr(error, "outcome", None)
    if outcome is Outcome.UNKNOWN or outcome is Outcome.APPLIED:
        found["dynamorm.outcome"] = outcome.value
    span.set_attributes(found)
    if not isinstance(error, Exception):
        return  # cancelled, closed or interrupted by the caller: no failure of anything
    safe = error.safe if isinstance(error, DynamORMError) else None
    if tells:
        event: dict[str, Any] = {"exception.type": _name_of(error)}
        if safe is not None:
            event["exception.message"] = safe
        span.add_event("exception", event)
    if outcome is Outcome.UNKNOWN or not _is_an_answer(error):
        from opentelemetry.trace import StatusCode  # who has a span has loaded it

        span.set_status(StatusCode.ERROR, safe)


def _is_an_answer(error: BaseException) -> bool:
    """Whether an error is the answer to a question that the program has asked: was it so, is it there."""
    if isinstance(error, TransactionCancelled):
        reasons = [reason for reason in error.reasons if reason is not None]
        return bool(reasons) and all(reason.error is not None and _is_an_answer(reason.error) for reason in reasons)
    return isinstance(error, (ConditionFailed, NotFound))


def _name_of(error: BaseException) -> str:
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


class _Units(Struct, omit_defaults=True):
    CapacityUnits: float | UnsetType = UNSET
    ReadCapacityUnits: float | UnsetType = UNSET
    WriteCapacityUnits: float | UnsetType = UNSET


class _OfTable(_Units):
    TableName: str | UnsetType = UNSET
    Table: _Units | UnsetType = UNSET
    LocalSecondaryIndexes: dict[str, _Units] | UnsetType = UNSET
    GlobalSecondaryIndexes: dict[str, _Units] | UnsetType = UNSET


class _Consumed(Struct):
    ConsumedCapacity: _OfTable | list[_OfTable] | None = None


_consumed: Final = Decoder(_Consumed).decode


def _units(body: bytes) -> tuple[str, ...]:
    """What the answer tells of units, each table as JSON: names and numbers alone, whatever else stands there."""
    try:
        told = _consumed(body).ConsumedCapacity
    except DecodeError:
        return ()
    tables = told if isinstance(told, list) else [] if told is None else [told]
    return tuple(encode(table).decode() for table in tables)
