"""Records: items whose every write says what it has seen, and whose every refusal shows what is stored. Returns flows.

A change is data: ``verb`` (``"put"``, ``"update"`` or ``"get"``), ``expect`` (terms ``(attribute, sign, value)`` with ``=`` or
``<``, or none for "there is no item"), and ``sets``. Whoever makes changes sees to it that a change which was refused
once is refused for ever, and that one which is sent twice is applied once: so each may be sent again after a lost answer.
"""

from __future__ import annotations

from binascii import a2b_base64, b2a_base64
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from msgspec import Struct

from dynamorm.codec.address import is_of
from dynamorm.codec.library_attributes import item_of
from dynamorm.codec.strict import expect_empty, read_object
from dynamorm.effects import Flow, Send, relayed
from dynamorm.errors import ConditionFailed, MalformedResponse
from dynamorm.ops.calls.op import UNBELIEVABLE, Op, Safety
from dynamorm.ops.requests import encode, finish
from dynamorm.ops.writes.version_check import OLD_ON_FAILURE
from dynamorm.ops.writes.write import Write
from dynamorm.wire.clock import parse_http_date

if TYPE_CHECKING:
    from dynamorm.ops.context import Context
    from dynamorm.ops.requests import ModelRequests
    from dynamorm.wire.reply import ServiceFault

Value: TypeAlias = str | int | bytes | Mapping[str, bytes]
"""What an attribute of a record may be."""


class Change(Protocol):
    """One request about a record, as data."""

    @property
    def verb(self) -> str:
        """``put``, ``update`` or ``get``."""
        ...

    @property
    def expect(self) -> tuple[tuple[str, str, Value], ...]:
        """The terms that must hold; none of a put: that there is no item."""
        ...

    @property
    def sets(self) -> Mapping[str, Value]:
        """The attributes that are written."""
        ...


class Answer(Struct, frozen=True):
    """What came of a change. ``item`` is what is stored, where it was refused or read; None where there is none.

    ``date`` is the service's own time in seconds since 1970, None where its answer has none; ``asked`` and ``at`` are the
    monotonic times between which it gave that answer.
    """

    applied: bool
    item: dict[str, Any] | None = None
    date: int | None = None
    asked: float = 0.0
    at: float = 0.0


class _Clock:
    """Remembers the time in the last answer of a flow."""

    def __init__(self, context: Context) -> None:
        self._monotonic = context.channel.clock.monotonic
        self.date: int | None = None
        self.asked = self.at = 0.0

    def look(self, effect: Any) -> Flow[Any]:
        """Answer one effect of the flow."""
        if not isinstance(effect, Send):
            return (yield effect)
        asked = self._monotonic()
        answer = yield effect
        self.asked, self.at = asked, self._monotonic()
        self.date = None if answer.date is None else parse_http_date(answer.date)
        return answer

    def answer(self, *, applied: bool, item: dict[str, Any] | None = None) -> Answer:
        """What came of the flow."""
        return Answer(applied, item, self.date, self.asked, self.at)


def send(context: Context, plan: ModelRequests, key: str, change: Change) -> Flow[Answer]:
    """Send one change of a record. Raises: what a request raises, but for a condition that does not hold."""
    clock = _Clock(context)
    flow = context.call(_op(plan, key, change))
    applied, item = yield from relayed(flow, clock.look)
    return clock.answer(applied=applied, item=item)


def timed(context: Context, flow: Flow[Any]) -> Flow[Answer]:
    """Run a flow that applies something, and tell the service's time with it."""
    clock = _Clock(context)
    yield from relayed(flow, clock.look)
    return clock.answer(applied=True)


def write(context: Context, plan: ModelRequests, key: str, change: Change) -> Write:
    """A change as one write of a transaction. Refused, its error is a `ConditionFailed` whose ``item`` is the record as it is stored."""
    key_json = _key(plan, key)
    made = Write(
        plan,
        "Update",
        key_json,
        finish(plan.key_head, key_json, _update(change)),
        _nothing,
        context.random_bytes(16),
        refused_as=_refused_as,
        traceless=True,
        checked=True,
    )
    made.verb = "update"
    return made


def _nothing(_: bytes | None) -> None:
    """No object is to be brought up to date."""


def _refused_as(raw: bytes | None, info: dict[str, Any]) -> ConditionFailed:
    item = None if raw is None else _item(raw)
    return ConditionFailed("the record is not as it was seen", old=lambda: item, **info)


def _op(plan: ModelRequests, key: str, change: Change) -> Op:
    key_json = _key(plan, key)
    if change.verb == "get":
        body = plan.key_head + key_json + b',"ConsistentRead":true}'
        op = Op("GetItem", plan.table, body, lambda reply: _read(item_of(reply, key=key_json)))
    elif change.verb == "put":
        item = encode({**read_object(key_json), **{name: wire(value) for name, value in change.sets.items()}})
        body = finish(plan.put_head, item, _condition(plan, change))
        refused = partial(_refused, plan, key_json, absent=not change.expect)
        op = Op("PutItem", plan.table, body, _applied, Safety.RESEND, refused)
    else:
        body = finish(plan.key_head, key_json, _update(change))
        op = Op("UpdateItem", plan.table, body, _applied, Safety.RESEND, partial(_refused, plan, key_json))
    op.key, op.purpose = plan.key_names, "internal"
    return op


def _key(plan: ModelRequests, key: str) -> bytes:
    return encode({plan.key_names[0]: {"S": key}})


def _read(raw: bytes | None) -> tuple[bool, dict[str, Any] | None]:
    return False, None if raw is None else _item(raw)


def _applied(reply: bytes) -> tuple[bool, None]:
    expect_empty(reply)
    return True, None


def _refused(
    plan: ModelRequests,
    key: bytes,
    fault: ServiceFault,
    _ambiguous: bool,
    _info: dict[str, Any],
    *,
    absent: bool = False,
) -> Any:
    """What is stored; it tells whether an earlier attempt of this change was applied."""
    if absent if fault.item is None else not is_of(fault.item, key, plan.starts):
        return UNBELIEVABLE  # it was refused because there is an item, and the answer shows none, or another one
    return False, None if fault.item is None else _item(fault.item)


def _condition(plan: ModelRequests, change: Change) -> dict[str, Any]:
    if not change.expect:
        names = {"#k": plan.partition.stored}
        return {
            "ConditionExpression": "attribute_not_exists(#k)",
            "ExpressionAttributeNames": names,
            **OLD_ON_FAILURE,
        }
    text, names, values = _terms(change)
    return {
        "ConditionExpression": text,
        "ExpressionAttributeNames": names,
        "ExpressionAttributeValues": values,
        **OLD_ON_FAILURE,
    }


def _terms(change: Change) -> tuple[str, dict[str, str], dict[str, Any]]:
    terms, names, values = [], {}, {}
    for number, (name, sign, value) in enumerate(change.expect):
        terms.append(f"#e{number} {sign} :e{number}")
        names[f"#e{number}"], values[f":e{number}"] = name, wire(value)
    return " AND ".join(terms), names, values


def _update(change: Change) -> dict[str, Any]:
    text, names, values = _terms(change)
    parts = []
    for number, (name, value) in enumerate(change.sets.items()):
        parts.append(f"#s{number} = :s{number}")
        names[f"#s{number}"], values[f":s{number}"] = name, wire(value)
    return {
        "UpdateExpression": f"SET {', '.join(parts)}",
        "ConditionExpression": text,
        "ExpressionAttributeNames": names,
        "ExpressionAttributeValues": values,
        **OLD_ON_FAILURE,
    }


def wire(value: Value) -> dict[str, Any]:
    """DynamoDB's form of a value of a record."""
    if isinstance(value, str):
        return {"S": value}
    if isinstance(value, int):
        return {"N": str(value)}
    if isinstance(value, bytes):
        return {"B": b2a_base64(value, newline=False).decode()}
    return {"M": {name: wire(inner) for name, inner in value.items()}}


def _item(raw: bytes) -> dict[str, Any]:
    return {name: _value(stored) for name, stored in read_object(raw).items()}


def _value(stored: Any) -> Any:
    """A stored value; None for one of another form, which no record has. Raises: MalformedResponse."""
    try:
        ((kind, value),) = stored.items()
        if kind == "N":
            return int(value)
        if kind == "B":
            return a2b_base64(value)
        if kind == "M":
            return {name: _value(inner) for name, inner in value.items()}
    except (ValueError, AttributeError, TypeError):
        raise MalformedResponse("the record in the answer has a value that is none of DynamoDB's") from None
    return value if kind == "S" else None
