"""What a selection of places leaves of a model: the plans of the fields to read, and the places to ask DynamoDB for.

DynamoDB answers a place inside a map that is not there with nothing at all, not even the map. Whether ``address`` or
only ``address.city`` is missing can then be told only by an attribute of the address that is always stored: where
none is among those selected, one is fetched beside them. This module must not know replies.
"""

from __future__ import annotations

from collections.abc import Iterable
from copy import copy
from typing import Any, NamedTuple

from msgspec.structs import replace

from dynamorm.codec.types.containers import DictShape, ListShape
from dynamorm.codec.types.fields import FieldPlan
from dynamorm.codec.types.records import SLOTS, Record
from dynamorm.codec.types.shapes import ANY, Nullable, Shape
from dynamorm.codec.types.source import Source
from dynamorm.errors import ModelError, ValidationError
from dynamorm.models.declare import did_you_mean
from dynamorm.models.expressions.tree import Location, Part, refuse
from dynamorm.models.schema.overriding import override
from dynamorm.models.schema.schema import MISSING, Field

from .partial_class import open_class, partial_class, seal


class Wanted:
    """What is wanted of one field: all of it, fields inside it, or elements of it, by the rest of their places."""

    __slots__ = ("elements", "fields", "whole")

    def __init__(self) -> None:
        self.whole: bool = False
        self.fields: dict[str, Wanted] = {}
        self.elements: list[tuple[Part, ...]] = []


class Narrowed(NamedTuple):
    """The plans of the selected fields and the places to fetch. ``proof``: some of it must be there if anything is."""

    plans: list[FieldPlan]
    places: list[tuple[Part, ...]]
    proof: bool


class PartialRecord(Record):
    """A model of which some fields are read; its objects are partial."""

    def __init__(self, record: Record, plans: list[FieldPlan], computed: Iterable[FieldPlan] = ()) -> None:
        assert record.schema is not None  # only models are narrowed
        self.partial: Any = partial_class(record.schema.model, tuple(plan.name for plan in plans))
        # Without a table: no write tokens are read, and nothing is kept of the stored item.
        super().__init__(open_class(self.partial), SLOTS, schema=replace(record.schema, table=None))
        self.plans = plans
        self.computed: list[FieldPlan] = list(computed)

    def sealed(self, source: Source, expression: str) -> str:
        """The expression of the finished object from that of the filled one."""
        return f"{source.bind('seal', seal)}({expression}, {source.bind('partial', self.partial)})"

    @override
    def decode(self, source: Source, x: str) -> str:
        return self.sealed(source, super().decode(source, x))


def want(record: Record, places: list[Location]) -> dict[str, Wanted]:
    """The selected places by field. Raises: ValidationError for a place that the model does not have."""
    wanted: dict[str, Wanted] = {}
    for place in places:
        _want(record, wanted, place.parts, place)
    return wanted


def _want(record: Record, wanted: dict[str, Wanted], parts: tuple[Part, ...], place: Location) -> None:
    """Follow one place into a record; ``parts`` is what is left of it."""
    plan = plan_of(record, parts[0], place)
    node = wanted.setdefault(plan.name, Wanted())
    inner_parts = parts[1:]
    if inner_parts and plan.hook is not None:
        raise ModelError(
            f"{record.expected}.{plan.name} is {plan.hook.reason if plan.placed else 'stored in a form of its own'}, so that"
            f" nothing inside it can be read alone ({place.name}): select it as a whole"
        )
    if not inner_parts:
        node.whole = True
    elif _narrows(plan.shape):
        _want(plan.shape, node.fields, inner_parts, place)  # type: ignore[arg-type] # a Record, as was just asked
    else:
        _check(plan.shape, inner_parts, place)
        elements = _elements(plan.shape, inner_parts)
        if elements:
            node.elements.append(elements)
        else:
            node.whole = True


def plan_of(record: Record, part: Part, place: Location) -> FieldPlan:
    """The plan of a part of a place. Raises: ValidationError, naming the nearest field."""
    name = part.name if isinstance(part, Field) else part
    plan = record.plan(name) if isinstance(name, str) else None
    if isinstance(part, Field) and (plan is None or not _same(part, plan.field)):
        raise refuse(place, f"is an attribute of {part.owner or 'the library'}, not of {record.expected}")
    if plan is None:
        hint = did_you_mean(str(name), [member.name for member in record.plans])
        raise ValidationError(f"{record.expected} has no field {name!r}{hint}", field=place.name)
    return plan


def _same(part: Field, field: Field) -> bool:
    # A field may be declared again by a subclass or a plugin; owner and stored name then still agree.
    return part is field or (part.stored, part.owner) == (field.stored, field.owner)


def _narrows(shape: Shape) -> bool:
    """Whether some fields of it can be read alone: a Model's. Other classes are made by constructors that need all."""
    return isinstance(shape, Record) and shape.style == SLOTS and shape.schema is not None


def _check(shape: Shape, parts: tuple[Part, ...], place: Location) -> None:
    """Raise ValidationError unless the type has such a place."""
    failed = ""
    try:
        for part in parts:
            shape = shape.part(part.stored if isinstance(part, Field) else part)
    except ValidationError as error:
        failed = error.message
    if failed:
        raise refuse(place, failed)


def _elements(shape: Shape, parts: tuple[Part, ...]) -> tuple[Part, ...]:
    """As much of a place as can be fetched alone: through lists, maps and documents, up to what must be whole."""
    leading: list[Part] = []
    for part in parts:
        inner = shape.inner if isinstance(shape, Nullable) else shape
        if inner is not ANY and not isinstance(inner, (ListShape, DictShape)):
            break
        key = part.stored if isinstance(part, Field) else part
        leading.append(key)
        shape = inner.part(key)
    return tuple(leading)


def narrow(record: Record, wanted: dict[str, Wanted], prefix: tuple[Part, ...] = ()) -> Narrowed:
    """What to read of a record, and from where."""
    plans: list[FieldPlan] = []
    places: list[tuple[Part, ...]] = []
    proof = False
    for plan in record.plans:
        node = wanted.get(plan.name)
        if node is None:
            continue
        here = (*prefix, plan.field)
        proven = plan.missing() is None
        if node.whole:
            places.append(here)
        elif node.fields:
            plan, plan_places = _inside(plan, node, here)  # noqa: PLW2901 - the plan of what is left of the field
            places += plan_places
        else:
            plan, plan_places = _with_elements(plan, node, here)  # noqa: PLW2901 - as above
            places += plan_places
            proven = False
        plans.append(plan)
        proof = proof or proven
    return Narrowed(plans, places, proof)


def _inside(plan: FieldPlan, node: Wanted, here: tuple[Part, ...]) -> tuple[FieldPlan, list[tuple[Part, ...]]]:
    """Some fields of a nested model."""
    record: Any = plan.shape
    inner = narrow(record, node.fields, here)
    if not inner.proof:
        witness = next(
            (member for member in record.plans if member.missing() is None and member.name not in node.fields), None
        )
        if witness is not None:
            node.fields[witness.name] = Wanted()
            node.fields[witness.name].whole = True
            inner = narrow(record, node.fields, here)
        elif _has_elements(node):
            raise ValidationError(
                f"{plan.owner}.{plan.name}: no attribute of {record.expected} is always stored, so an element in it that"
                f" is not there could not be told from no {plan.name} at all: select the whole list or map",
                field=plan.name,
            )
        else:
            inner = inner._replace(places=[here])
    left = copy(plan)
    left.shape = PartialRecord(record, inner.plans)
    return left, inner.places


def _has_elements(node: Wanted) -> bool:
    return bool(node.elements) or any(_has_elements(wanted) for wanted in node.fields.values())


def _with_elements(plan: FieldPlan, node: Wanted, here: tuple[Part, ...]) -> tuple[FieldPlan, list[tuple[Part, ...]]]:
    """Some elements of a list or map; where none of them is there, it is read as empty."""
    elements = sorted(set(node.elements), key=len)
    kept: list[tuple[Part, ...]] = []
    for element in elements:
        if not any(element[: len(outer)] == outer for outer in kept):
            kept.append(element)
    kept.sort(key=node.elements.index)
    if plan.missing() is None:
        left = copy(plan)
        left.field = replace(plan.field, default=MISSING, default_factory=plan.shape.empty)
        plan = left
    return plan, [(*here, *element) for element in kept]
