"""Reading one item: get, require, exists. Each returns a flow."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from dynamorm.codec.library_attributes import has_item, item_of
from dynamorm.effects import Flow
from dynamorm.errors import NotFound, ValidationError
from dynamorm.ops.calls.op import Op
from dynamorm.ops.requests import ModelRequests, finish

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dynamorm.codec.codec import ModelCodec
    from dynamorm.models.expressions.tree import Location
    from dynamorm.ops.context import Context


def address(context: Context, model: Any, key: tuple[Any, ...], parts: dict[str, Any]) -> tuple[str, bytes | None]:
    """The table of a model, and the JSON of a key; without a key the table alone. Raises: ValidationError for the key."""
    plan = context.plan(model)
    if not key and not parts:
        return plan.table, None
    return plan.table, plan.codec.key_json(key_from_parts(plan, key, parts) if parts else key)


def get(
    context: Context,
    model: Any,
    key: tuple[Any, ...],
    parts: dict[str, Any],
    *,
    consistent: bool,
    select: Sequence[str | Location] | None = None,
) -> Flow[Any]:
    """The object stored under the key, or None; with ``select`` a partial one. Raises: ValidationError for the key."""
    plan = context.plan(model)
    if parts:
        key = key_from_parts(plan, key, parts)
    codec = plan.codec
    if select is not None:
        from .selected import get_selected  # what is read as a whole does not need it

        return get_selected(context, plan, codec.key_json(key), select, consistent=consistent)
    asked = codec.key_json(key)
    body = plan.key_head + asked + b',"ConsistentRead":true}' if consistent else plan.read_head + asked + b"}"
    op = Op("GetItem", plan.table, body, partial(codec.read_item_of, asked), prepare=plan.prepare)
    return context.call(op)


def stored(context: Context, model: Any, key: tuple[Any, ...], parts: dict[str, Any]) -> Flow[bytes | None]:
    """The JSON of what is stored under a key now, whatever the model makes of it.

    None for nothing, for what is of another class, and for what is not shown here. Raises: ValidationError for the key.
    """
    plan = context.plan(model)
    asked = plan.codec.key_json(key_from_parts(plan, key, parts) if parts else key)
    body = plan.key_head + asked + b',"ConsistentRead":true}'
    op = Op("GetItem", plan.table, body, partial(_shown, plan.codec, asked))
    return context.call(op)  # it is not decoded, so that nothing is fetched for that


def _shown(codec: ModelCodec, asked: bytes, body: bytes) -> bytes | None:
    raw = item_of(body, key=asked)
    if raw is None or (codec.family is not None and not codec.family.owns(raw)):
        return None
    reading: Any = codec.reading
    return raw if codec.keeps is None or reading.keeps(raw, None) else None


def require(
    context: Context,
    model: Any,
    key: tuple[Any, ...],
    parts: dict[str, Any],
    *,
    consistent: bool,
    select: Sequence[str | Location] | None = None,
) -> Flow[Any]:
    """The object stored under the key. Raises NotFound when there is none."""
    obj = yield from get(context, model, key, parts, consistent=consistent, select=select)
    if obj is None:
        plan = context.plan(model)
        names = ", ".join(plan.key_names)
        raise NotFound(f"no {plan.codec.schema.name} under this key ({names})", operation="GetItem", table=plan.table)
    return obj


def exists(
    context: Context, model: Any, key: tuple[Any, ...], parts: dict[str, Any], *, consistent: bool
) -> Flow[bool]:
    """Whether an item of the model is stored under the key. Only its key and its discriminator are fetched.

    Raises: ValidationError for the key.
    """
    plan = context.plan(model)
    if parts:
        key = key_from_parts(plan, key, parts)
    if plan.codec.keeps is not None:
        return _is_kept(context, plan, key, consistent=consistent)
    parameters: dict[str, Any] = {
        "ProjectionExpression": "#k",
        "ExpressionAttributeNames": {"#k": plan.partition.stored},
    }
    read: Callable[..., bool] = has_item
    if plan.codec.family is not None:
        from .kin import has_owned  # only models that share a table

        parameters["ProjectionExpression"] = "#k, #t"
        parameters["ExpressionAttributeNames"]["#t"] = plan.codec.schema.discriminator
        read = has_owned(plan)
    if consistent and not plan.is_consistent:
        parameters["ConsistentRead"] = True
    asked = plan.codec.key_json(key)
    body = finish(plan.read_head, asked, parameters)
    return context.call(Op("GetItem", plan.table, body, partial(read, key=asked)))


def _is_kept(context: Context, plan: ModelRequests, key: tuple[Any, ...], *, consistent: bool) -> Flow[bool]:
    """Whether there is an item that the rules of the model keep: they must see what they look at."""
    assert plan.codec.schema.key is not None  # a plan is made only for a model with a key
    select = None if plan.codec.needs is None else plan.codec.schema.key.fields
    obj = yield from get(context, plan.model, key, {}, consistent=consistent, select=select)
    return obj is not None


def key_from_parts(plan: ModelRequests, key: tuple[Any, ...], parts: dict[str, Any]) -> tuple[Any, ...]:
    """The key's values in order, from keyword arguments named as the key's fields."""
    schema = plan.codec.schema
    assert schema.key is not None  # a plan is made only for a model with a key
    if plan.codec.composites:
        from . import key_conditions  # only models with composite keys

        return key_conditions.key_from_parts(plan, key, parts)
    wanted = schema.key.fields
    if plan.given:
        parts = {**{name: value for name, value in plan.given.items() if name in wanted}, **parts}
    if key or set(parts) != set(wanted):
        strange_name = next((name for name in parts if name not in wanted), None)
        hint = (
            "" if strange_name is None else f"; other attributes are asked for with db.model({schema.name}).where(...)"
        )
        raise ValidationError(
            f"{schema.name} is found by its key: give {', '.join(wanted)}, either all in order or all by name"
            f" (got {', '.join([*('a value' for _ in key), *sorted(parts)])}){hint}",
            field=strange_name,
        )
    return tuple(parts[name] for name in wanted)
