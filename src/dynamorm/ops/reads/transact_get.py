"""transact_get: several items of any models as they were at one moment. It must not know writes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from dynamorm.codec.address import check as check_address
from dynamorm.codec.replies.snapshot import read_responses
from dynamorm.codec.strict import dumps, read_object
from dynamorm.effects import Flow
from dynamorm.errors import CancellationReason, MalformedResponse, TransactionCancelled, ValidationError
from dynamorm.ops.calls.op import MAX_OPERATIONS, Op
from dynamorm.ops.requests import ModelRequests
from dynamorm.wire.reply import ServiceFault

from .items import key_from_parts
from .preparing import prepare_each
from .selected import selection

if TYPE_CHECKING:
    from dynamorm.codec.partial.reader import PartialReader
    from dynamorm.ops.context import Context


class _Asked(NamedTuple):
    """One item to read: its model's plan, and its key as JSON; the reader of a part of it, and the end of its request."""

    plan: ModelRequests
    key: bytes
    reader: PartialReader | None = None
    tail: bytes = b"}"


def get(context: Context, requests: Iterable[tuple[Any, ...]], select: Any = None) -> Flow[list[Any]]:
    """The objects, in the order of the requests, None where missing. An item asked for twice is read once.

    ``select`` are the attributes of all of them, or by their models.

    Raises: ValidationError before anything is sent; TransactionConflict when other transactions kept an item busy.
    """
    if isinstance(requests, (str, bytes, dict, type)) or not isinstance(requests, Iterable):
        raise ValidationError(f"transact_get takes a list of requests, {_FORM}; got {type(requests).__name__}")
    asked = [asked_of(context, number, request) for number, request in enumerate(requests)]
    if select is not None:
        asked = _selected(asked, select)
    places: dict[tuple[str, bytes], int] = {}
    where = [places.setdefault((lookup.plan.table, lookup.key), len(places)) for lookup in asked]
    if len(places) > MAX_OPERATIONS:
        raise ValidationError(
            f"transact_get reads at most {MAX_OPERATIONS} items at one moment and was asked for {len(places)}: use"
            " db.batch_get where they need not be of one moment",
            codes=("ErrInvalidOperator",),
        )
    if not asked:
        return []
    first = dict(zip(where[::-1], asked[::-1], strict=True))  # the first request of each item
    parts = b",".join(
        [b'{"Get":' + first[at].plan.key_head + first[at].key + first[at].tail + b"}" for at in range(len(places))]
    )

    def decode(body: bytes) -> list[Any]:
        raws = read_responses(body, len(places))
        for at, raw in enumerate(raws):
            if raw is not None:
                plan = first[at].plan
                try:
                    check_address(raw, first[at].key, plan.starts)
                except MalformedResponse:
                    if plan.codec.keeps is not None:  # a rule may know more of an item that was not asked for
                        plan.codec.reading.keeps(raw, read_object(raw))  # type: ignore[attr-defined] # a reading with rules
                    raise
        objects: list[Any] = []
        for at, lookup in zip(where, asked, strict=True):
            raw = raws[at]
            # Each request has an object of its own: what is done to one must not show in another.
            if raw is None or lookup.reader is None:
                objects.append(None if raw is None else lookup.plan.codec.decode_shown(raw))
            else:
                objects.append(lookup.reader.read_item(b'{"Item":' + raw + b"}"))
        return objects

    op = Op(
        "TransactGetItems",
        ", ".join(sorted({lookup.plan.table for lookup in asked})),
        b'{"TransactItems":[' + parts + b"]}",
        decode,
        refused=lambda fault, _, info: _refused(asked, where, fault, info),
    )
    op.parts = len(places)
    op.prepare = prepare_each([first[at].plan for at in range(len(places))])
    objects: list[Any] = yield from context.call(op)
    return objects


def _selected(asked: list[_Asked], select: Any) -> list[_Asked]:
    """The requests, each with its selection. Raises: ValidationError."""
    by_model = select if isinstance(select, Mapping) else None
    if by_model is not None:
        strange = next((model for model in by_model if all(one.plan.model is not model for one in asked)), None)
        if strange is not None:
            raise ValidationError(
                f"select names {getattr(strange, '__name__', type(strange).__name__)}, of which no item is asked for",
                field="select",
            )
    chosen: dict[Any, Any] = {}
    models: dict[tuple[str, bytes], Any] = {}
    found: list[_Asked] = []
    for one in asked:
        model = one.plan.model
        if models.setdefault((one.plan.table, one.key), model) is not model:
            raise ValidationError(
                f"one item is asked for as {model.__name__} and as another class, of which select would fetch other attributes:"
                " ask for it once, or leave select out",
                field="select",
            )
        wanted = select if by_model is None else by_model.get(model)
        if wanted is not None and model not in chosen:
            reader, parameters = selection(one.plan, wanted)
            chosen[model] = reader, b"," + dumps(parameters)[1:]
        found.append(one if wanted is None else one._replace(reader=chosen[model][0], tail=chosen[model][1]))
    return found


_FORM = '(Model, key...) or (Model, {"field": value}) each'


def asked_of(context: Context, number: int, request: Any) -> _Asked:
    """The plan and the key of one request. Raises: ValidationError."""
    if not isinstance(request, (tuple, list)) or not request or not isinstance(request[0], type):
        raise ValidationError(f"request {number} of transact_get is no request: {_FORM}")
    plan = context.plan(request[0])
    key = tuple(request[1:])
    if len(key) == 1 and isinstance(key[0], dict):
        key = key_from_parts(plan, (), key[0])
    return _Asked(plan, plan.codec.key_json(key))


def _refused(asked: list[_Asked], where: list[int], fault: ServiceFault, info: dict[str, Any]) -> Any:
    """The read was cancelled for a reason that lasts."""
    blamed = fault.cancellation
    reasons: list[CancellationReason | None] = []
    for position, (at, lookup) in enumerate(zip(where, asked, strict=True)):
        code, message, _ = blamed[at]
        operation = f"get {lookup.plan.codec.schema.name}"
        reasons.append(
            None if code is None else CancellationReason(code, message, position=position, operation=operation)
        )
    text = "; ".join(
        f"request {reason.position} ({reason.operation}): {reason.code}" for reason in reasons if reason is not None
    )
    raise TransactionCancelled(
        f"the items could not be read together: {text or fault.message}", reasons=reasons, **info
    )
