"""increment: add to a number within bounds, exactly once, and give the number as this very increment left it.

A plain ADD answers with the number, but whether it was applied when the answer is lost nobody can tell; as a token
transaction it is applied once, but answers with nothing. So the number is read and replaced on condition that it has
not changed, by a token transaction: applied once, and its result is known. An object of a versioned model needs no read.
"""

from __future__ import annotations

import decimal
from collections.abc import Mapping
from decimal import Decimal
from functools import partial, reduce
from operator import and_
from typing import TYPE_CHECKING, Any, Final

from dynamorm.codec.keys import StoredKey
from dynamorm.codec.library_attributes import item_of, merged
from dynamorm.codec.placing import refuse_operand
from dynamorm.codec.state import Held
from dynamorm.codec.strict import read_object
from dynamorm.codec.types.scalars import SCALARS
from dynamorm.codec.types.starts import start_of
from dynamorm.codec.values.updates import location_of, spellings
from dynamorm.effects import Flow, Sleep
from dynamorm.errors import (
    ConditionFailed,
    MissingItem,
    OutOfBounds,
    TransactionConflict,
    ValidationError,
    VersionConflict,
)
from dynamorm.models.expressions.compile import check_updates
from dynamorm.models.expressions.path import Path
from dynamorm.models.expressions.tree import Comparison, Condition, Update, Wire
from dynamorm.ops.calls.op import Op
from dynamorm.ops.reads.items import key_from_parts
from dynamorm.ops.requests import ModelRequests, finish
from dynamorm.ops.updates.completion import Completion
from dynamorm.ops.updates.limited import crossed as crossed_by
from dynamorm.ops.verbs.update import update_write
from dynamorm.ops.writes.send import perform
from dynamorm.ops.writes.write import NOT_READ, as_shown
from dynamorm.wire.reply import Kind

if TYPE_CHECKING:
    from dynamorm.models.schema.schema import Field
    from dynamorm.ops.context import Context
    from dynamorm.ops.writes.write import Write

Number = int | Decimal

_EXACT: Final = decimal.Context(prec=400)
"""Adds any two numbers of DynamoDB's without rounding; a sum of more than 38 digits is refused when it is encoded."""


IN_VAIN: Final = 2
"""Turns in which the number was as before, and was refused all the same, after which a condition of a rule is to blame."""


class Step:
    """One increment as it was asked for: by how much, and between which bounds."""

    __slots__ = ("_plan", "by", "field", "maximum", "minimum", "name", "names", "path")

    def __init__(self, plan: ModelRequests, path: Any, by: Any, minimum: Any, maximum: Any) -> None:
        self._plan = plan
        name = plan.codec.schema.name
        if not isinstance(path, Path):
            raise ValidationError(f"increment needs the attribute to count, behind the key: {name}.<field>")
        self.path: Path[Any] = path
        self.field: Field = path.field
        self.names: tuple[str, ...] = (path.field.stored, *path.field.also_read)
        self.name: str = f"{name}.{path.name}"
        if len(path.parts) > 1:
            raise ValidationError(
                f"{self.name} lies inside another attribute, and increment counts whole attributes: use update(... .add(n))",
                field=path.name,
            )
        self.by: Number = _number(path.name, "by", by)
        self.minimum: Number | None = None if minimum is None else _number(path.name, "minimum", minimum)
        self.maximum: Number | None = None if maximum is None else _number(path.name, "maximum", maximum)
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise ValidationError(f"{self.name}: the minimum lies above the maximum", field=path.name)
        if self.by == 0:
            raise ValidationError(f"{self.name}: an increment by 0 changes nothing", field=path.name)

    def after(self, value: Number) -> Number:
        """The number afterwards. Raises: OutOfBounds."""
        if isinstance(value, int) and isinstance(self.by, int):
            number: Number = value + self.by
        else:
            number = _EXACT.add(Decimal(value), Decimal(self.by))
        for bound, crossed in (
            ("minimum", self.minimum is not None and number < self.minimum),
            ("maximum", self.maximum is not None and number > self.maximum),
        ):
            # The way back into the bounds is never barred.
            if crossed and (self.by < 0) == (bound == "minimum"):
                raise OutOfBounds(
                    f"{self.name} would be {'below' if bound == 'minimum' else 'above'} its {bound}",
                    bound=bound,
                    field=self.path.name,
                )
        if self._plan.codec.bounded:
            past = crossed_by(self._plan.codec.plans[self.field.name], number, self.by)
            if past is not None:
                raise OutOfBounds(f"{self.name} must {past[1]}", bound=past[0], field=self.path.name)
        return number

    def found(self, raw: bytes | None) -> tuple[dict[str, Any] | None, str]:
        """What an item holds as the number, and under which of its names; None for nothing."""
        item = {} if raw is None else read_object(raw)
        name = next((candidate for candidate in self.names if candidate in item), self.names[0])
        return item.get(name), name

    def set(self, after: Number) -> Update:
        """The update to the number as it is afterwards, which is within the bounds, or nearer to them."""
        codec = self._plan.codec
        if not codec.bounded or self._plan.uniques:
            return self.path.set(after)
        wire = codec.encode_operand(self.path.parts, after)
        return self.path.remove() if wire is None else self.path.set(Wire(wire))


def _number(field: str, argument: str, value: Any) -> Number:
    if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
        raise ValidationError(
            f"{argument} of an increment is an int or a Decimal, not {type(value).__name__}", field=field
        )
    if isinstance(value, Decimal) and not value.is_finite():
        raise ValidationError(f"{argument} of an increment is a finite number", field=field)
    return value


def increment(
    context: Context,
    subject: Any,
    args: tuple[Any, ...],
    parts: dict[str, Any],
    *,
    by: Any,
    minimum: Any,
    maximum: Any,
    upsert: bool,
) -> Flow[Number]:
    """Add to one attribute of one item; the number as it is right after."""
    by_key = isinstance(subject, type)
    context = context.bounded()
    plan = context.plan(subject if by_key else type(subject))
    step = Step(plan, args[-1] if args else None, by, minimum, maximum)
    codec = plan.codec
    check_updates(codec.schema, [step.path.add(step.by)])
    field_plan = codec.plans[step.field.name]
    if field_plan.placed:
        raise refuse_operand(codec, field_plan, "increment")
    if field_plan.shape.tag != "N":
        raise ValidationError(f"{step.name} is no number of {codec.schema.name}", field=step.path.name)
    if by_key:
        key = key_from_parts(plan, args[:-1], parts) if parts else args[:-1]
        codec.key_json(key)  # refused now, and not in the middle
        if upsert:
            Completion(plan, (step.path.set(step.by),), None).check()  # so is an item that could not be read
        return _counted(context, plan, key, step, upsert=upsert)
    if len(args) > 1 or parts:
        raise ValidationError("increment takes an object and an attribute, or a model, a key and an attribute")
    if codec.loaded(subject) is not None and plan.version is not None:
        return _guarded(context, plan, subject, step)
    return _of_object(context, plan, subject, step, upsert=upsert)


def _guarded(context: Context, plan: ModelRequests, obj: Any, step: Step) -> Flow[Number]:
    """Of a loaded object: its version says that the number is as it was loaded."""
    codec = plan.codec
    loaded_wire = next((candidate for name in step.names if (candidate := codec.stored(obj, name)) is not None), None)
    value = _value(plan, step, loaded_wire)
    try:
        after = step.after(value)
    except OutOfBounds as error:
        # The object may have been loaded long ago, so what was loaded proves nothing.
        raw = yield from context.call(_read(plan, codec.key_of(obj)))
        stored_wire = step.found(raw)[0]
        if raw is not None and _value(plan, step, stored_wire) == value:
            raise
        raise VersionConflict(
            f"the {codec.schema.name} was changed since it was loaded: load it again",
            operation="GetItem",
            table=plan.table,
        ) from error
    write = update_write(context, obj, (step.set(after),), {}, condition=None, upsert=False)
    if write.ruled is not None or write.instead_of:
        after = _as_ruled(plan, step, write, after)
    yield from perform(context, write)
    return after


def _of_object(context: Context, plan: ModelRequests, obj: Any, step: Step, *, upsert: bool) -> Flow[Number]:
    """Of an object without a known version: by its key, and then the object has the number too."""
    codec = plan.codec
    key = StoredKey(codec.key_of(obj), codec.key_names)
    after = yield from _counted(context, plan, (key,), step, upsert=upsert, holder=obj)
    _give(plan, obj, {step.field.name: after})
    return after


def _give(plan: ModelRequests, obj: Any, values: Mapping[str, Any]) -> None:
    """Let the object have these values, which are stored now."""
    codec = plan.codec
    codec.give(obj, values)
    loaded = codec.loaded(obj)
    if loaded is not None:
        wires = {codec.field(name).stored: codec.encode_field(name, value) for name, value in values.items()}
        item = merged(loaded, wires)
        codec.mark(obj, Held(item, loaded.holders) if isinstance(loaded, Held) else item)


def _counted(
    context: Context, plan: ModelRequests, key: tuple[Any, ...], step: Step, *, upsert: bool, holder: Any = None
) -> Flow[Number]:
    """Read the number and replace it, until no other writer changes it in between. ``holder`` is the object it is of."""
    channel = context.channel
    end = context.end()
    key_json = plan.codec.key_json(key)
    conflicts = 0
    seen: Any = None  # what was read in the turn before
    in_vain = 0
    while True:
        raw = yield from context.call(_read(plan, key_json, () if plan.needs_stored else step.names))
        if raw is not None and as_shown(plan, raw) is None:
            raise _missing(plan)
        if raw is not None and plan.codec.family is not None and not plan.codec.family.owns(raw):
            raise plan.codec.family.stranger(operation="GetItem", table=plan.table)
        if raw is None and not upsert:
            raise _missing(plan)
        wire, name = step.found(raw)
        in_vain, seen = in_vain + 1 if conflicts and seen == (raw is None, wire) else 0, (raw is None, wire)
        start_wire = wire
        if raw is None and holder is not None:  # the item is made of it
            start_wire = plan.codec.encode_field(step.field.name, getattr(holder, step.field.name))
        after = step.after(_value(plan, step, start_wire))
        condition = _unchanged(plan, step, wire, name, exists=raw is not None)
        write = update_write(
            context, plan.model, (*key, step.set(after)), {},
            condition=condition, upsert=raw is None, stored=raw if raw is None or plan.needs_stored else NOT_READ, holder=holder,
        )  # fmt: skip
        if write.ruled is not None or write.instead_of:
            after = _as_ruled(plan, step, write, after)
        try:
            yield from perform(context, write.without_result())  # the result is known
        except (ConditionFailed, TransactionConflict) as error:
            if in_vain >= IN_VAIN and isinstance(error, ConditionFailed):
                raise  # it is not the number that is in the way
            delay = channel.retry.delay(Kind.CONFLICT, min(conflicts, 4), channel.random())
            if channel.clock.monotonic() + delay >= end:
                raise TransactionConflict(
                    f"{step.name} was changed by others each time, in {conflicts + 1} attempts",
                    operation="UpdateItem",
                    table=plan.table,
                    attempts=conflicts + 1,
                ) from None
            yield Sleep(delay)
            conflicts += 1
        else:
            if holder is not None and write.ruled is not None:
                _give(plan, holder, write.ruled)
            return after


def _as_ruled(plan: ModelRequests, step: Step, write: Write, after: Number) -> Number:
    """The number as it will be stored, where rules have a say in the write. Raises: ValidationError where nobody knows it."""
    codec, name = plan.codec, step.field.name
    if write.instead_of:
        raise ValidationError(
            f"a rule of {codec.schema.name} puts another write in the place of an update, so what an increment of {step.name}"
            f" leaves is not known: use update(... {step.name}.add(n)), or let the rule say draft.set(...) instead",
            field=step.path.name,
        )
    if write.ruled is None or name not in write.ruled:
        return after
    wire = codec.encode_field(name, write.ruled[name])
    if wire is None or "NULL" in wire:
        raise ValidationError(
            f"a rule of {codec.schema.name} removes {step.name}, which an increment counts: nothing was sent",
            field=step.path.name,
        )
    return _value(plan, step, wire)


def _value(plan: ModelRequests, step: Step, wire: dict[str, Any] | None) -> Number:
    """The number that is stored; a missing one counts as its default, NULL as 0 of the field's own type."""
    if wire is None:
        wire = start_of(plan.codec.plans[step.field.name])
    if wire is None or "NULL" in wire:
        return Decimal(0) if plan.codec.plans[step.field.name].shape is SCALARS[Decimal] else 0
    number: Any = plan.codec.decode_field(step.field.name, wire)
    if isinstance(number, bool) or not isinstance(number, (int, Decimal)):
        raise ValidationError(
            f"{step.name} is no int or Decimal, so it cannot be counted exactly: use update(... .add(n))",
            field=step.path.name,
        )
    return number


def _unchanged(plan: ModelRequests, step: Step, wire: dict[str, Any] | None, name: str, *, exists: bool) -> Condition:
    """The condition that nobody has changed the number since it was read; ``name`` is the one under which it was."""
    if not exists:
        return Comparison("attribute_not_exists", (), Path(plan.partition))
    before = step.names[: step.names.index(name)] if wire is not None else step.names
    paths = {parts[0].stored: location_of(parts) for parts in spellings(step.path.parts)}
    terms: list[Condition] = [Comparison("attribute_not_exists", (), paths[stored_name]) for stored_name in before]
    if wire is not None:
        op, operand = ("attribute_type", {"S": "NULL"}) if "NULL" in wire else ("=", wire)
        terms.append(Comparison(op, (Wire(operand),), paths[name]))
    return reduce(and_, terms)


def _missing(plan: ModelRequests) -> MissingItem:
    return MissingItem(f"no {plan.codec.schema.name} is stored under this key", operation="GetItem", table=plan.table)


def _read(plan: ModelRequests, key: bytes, names: tuple[str, ...] = ()) -> Op:
    """A consistent read of the item, or of its key and the attributes with these names."""
    parameters: dict[str, Any] = {"ConsistentRead": True}
    if names and plan.codec.needs is not None:
        wanted = dict.fromkeys((*plan.key_names, *names, *(plan.codec.needs or ())))
        if plan.codec.family is not None and plan.codec.schema.discriminator is not None:
            wanted[plan.codec.schema.discriminator] = None
        named = {f"#{at}": name for at, name in enumerate(wanted)}
        parameters |= {"ProjectionExpression": ", ".join(named), "ExpressionAttributeNames": named}
    return Op("GetItem", plan.table, finish(plan.key_head, key, parameters), partial(item_of, key=key))
