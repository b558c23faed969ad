"""What an update may store at a place: the type there, and whether the place may become empty.

DynamoDB would accept most of what is refused here, and the item could then never be read again as the model.
"""

from __future__ import annotations

from itertools import product
from typing import Any

from msgspec.structs import replace

from dynamorm.codec.placing import refuse_operand
from dynamorm.codec.types.fields import FieldPlan
from dynamorm.codec.types.jsontext import JsonShape
from dynamorm.codec.types.records import Record
from dynamorm.codec.types.shapes import ANY, CustomShape, Nullable, Scalar, Shape
from dynamorm.codec.types.starts import plan_at
from dynamorm.errors import ModelError, ValidationError
from dynamorm.models.expressions.elements import LISTS
from dynamorm.models.expressions.tree import Location, Update
from dynamorm.models.schema.schema import Field

_SETS = frozenset({"add_to_set", "delete_from_set"})


def shape_at(codec: Any, parts: tuple[Any, ...]) -> Shape:
    """The shape of the place a path names. Raises: ValidationError when there is no such place."""
    first, *rest = parts
    shape: Shape = codec.plans[first.name].shape
    for part in rest:
        shape = shape.part(part.name if isinstance(part, Field) else part)
    return shape.inner if isinstance(shape, Nullable) else shape


def check_update(codec: Any, kind: str, parts: tuple[Any, ...], source: tuple[Any, ...] | None) -> None:
    """Refuse an update that does not fit the type of its place; ``source`` is the other attribute of ``set(path)``.

    Raises: ValidationError naming the field.
    """
    last = parts[-1]
    if codec.unstored and parts[0].stored in codec.unstored:
        raise ModelError(f"{codec.schema.name}.{parts[0].name} is never stored, so that no update can change it")
    if codec.placed:
        _check_placed(codec, kind, parts, source)
    for place in (parts, source):
        if place is not None and len(place) > 1:
            check_inside(codec, place)
    if kind == "remove":
        if isinstance(last, Field) and _needed(codec, parts):
            raise refusal(codec, parts, "must be there: an item without it could not be read; give the field a default")
        return
    shape = shape_at(codec, parts)
    if source is not None and _has_form_of_its_own(codec, parts, source):
        return
    if shape.remedy and (kind == "add" or kind in LISTS or kind in _SETS):
        raise refusal(codec, parts, f"is {shape.expected}, to which only a {shape.expected} is added: .add(value)")
    if shape is ANY or isinstance(shape, CustomShape) or not shape.tag:
        return
    if kind in LISTS and shape.tag != "L":
        raise refusal(codec, parts, f"is no list, so nothing can be put into it with {kind}()")
    if kind in _SETS and not shape.tag.endswith("S"):
        raise refusal(codec, parts, "is no set")
    if kind == "add" and shape.tag != "N":
        raise refusal(codec, parts, "is no number, so nothing can be added to it")
    if source is not None:
        other = shape_at(codec, source)
        if other is ANY:
            raise refusal(
                codec, parts, f"cannot take over the value of {_name(source)}, which may be anything: load the object"
            )
        if not is_readable_as(shape, other):
            raise refusal(codec, parts, f"cannot take over the value of {_name(source)}, which is of another type")


def check_inside(codec: Any, parts: tuple[Any, ...]) -> None:
    """Refuse a place inside a value that is not stored as its type says: DynamoDB would find nothing there. Raises: ModelError."""
    first, *rest = parts
    plan: FieldPlan | None = codec.plans[first.name]
    shape: Shape | None = None if plan is None else plan.shape
    for part in rest:
        name = part.name if isinstance(part, Field) else part
        shape = shape.inner if isinstance(shape, Nullable) else shape
        if plan is not None and plan.placed:
            raise refuse_operand(codec, plan, "inside")
        if (plan is not None and plan.hook is not None) or isinstance(shape, JsonShape):
            raise ModelError(
                f"{codec.schema.name}.{_name(parts)} lies inside a value that is stored in a form of its own, so that no"
                " expression can name it: compare, set and read the value as a whole"
            )
        plan = shape.plan(name) if isinstance(shape, Record) and isinstance(name, str) else None
        try:
            shape = None if shape is None else shape.part(name)
        except ValidationError:  # there is no such place, which is said where a value is encoded
            return


def _check_placed(codec: Any, kind: str, parts: tuple[Any, ...], source: tuple[Any, ...] | None) -> None:
    """Refuse all but the setting and removing of a whole attribute whose stored form depends on its item. Raises: ModelError."""
    for place, whole in ((parts, kind in {"set", "remove"} and source is None), (source, False)):
        plan = None if place is None else codec.plans[place[0].name]
        if plan is not None and plan.placed and not (whole and len(parts) == 1):
            raise refuse_operand(codec, plan, kind)


def _has_form_of_its_own(codec: Any, parts: tuple[Any, ...], source: tuple[Any, ...]) -> bool:
    """Whether both places are stored in one form that is not that of their type: as JSON, by a Codec or by a plugin.

    Raises: ValidationError where one is, and the other is not stored so.
    """
    form, other = _form_of(codec, parts), _form_of(codec, source)
    if form != other:
        raise refusal(
            codec,
            parts,
            f"cannot take over the value of {_name(source)}, which is stored in another form ({_shown(form)} here,"
            f" {_shown(other)} there): load the object and set it",
        )
    return bool(form)


def _form_of(codec: Any, parts: tuple[Any, ...]) -> tuple[Any, ...]:
    """What stores the value of a place otherwise than its type says, and all that this depends on."""
    plan, shape = plan_at(codec, parts), shape_at(codec, parts)
    form: tuple[Any, ...] = ()
    if isinstance(shape, CustomShape):
        form = ("by a Codec", shape.custom.encode, shape.custom.decode)
    elif isinstance(shape, JsonShape):
        form = ("as JSON", shape.annotation, shape.none)
    hook = None if plan is None else plan.hook
    return form if hook is None else ("by a plugin", *hook, plan.field.annotation, *form)  # type: ignore[union-attr] # it has a hook


def _shown(form: tuple[Any, ...]) -> str:
    return form[0] if form else "as its type"


def spellings(parts: tuple[Any, ...]) -> list[tuple[Any, ...]]:
    """A place under every name that is read for its fields, its own first."""
    return list(product(*(names_of(part) for part in parts)))


def names_of(part: Any) -> list[Any]:
    """A part of a path under every name that is read for it, its own first."""
    if not isinstance(part, Field) or not part.also_read:
        return [part]
    return [part, *(replace(part, stored=name, also_read=()) for name in part.also_read)]


def location_of(parts: tuple[Any, ...]) -> Location:
    """The place of these parts, the first of which is a field."""
    place = Location()
    place.field, place.parts = parts[0], parts
    return place


def with_other_names(updates: tuple[Update, ...]) -> tuple[Update, ...]:
    """The updates, and with each removal that of the same attribute under its other names: it would be read there."""
    return tuple(one for update in updates for one in _everywhere(update))


def _everywhere(update: Update) -> list[Update]:
    if update.kind != "remove":
        return [update]
    *outer, last = update.path.parts
    others = [Update("remove", location_of((*outer, name))) for name in names_of(last)[1:]]
    return [update, *others]


def addend_shape(codec: Any, parts: tuple[Any, ...]) -> Shape | None:
    """The shape a number must have to be added at a place, None where any will do."""
    shape = shape_at(codec, parts)
    return shape if isinstance(shape, Scalar) and shape.tag == "N" else None


def takes_none(codec: Any, parts: tuple[Any, ...]) -> bool:
    """Whether None may be stored inside an attribute: a list element or an entry of a map."""
    first, *rest = parts
    shape: Shape = codec.plans[first.name].shape
    for part in rest:
        shape = shape.part(part.name if isinstance(part, Field) else part)
    return shape.null or not shape.tag


def _needed(codec: Any, parts: tuple[Any, ...]) -> bool:
    """Whether an item without this attribute could not be read."""
    last = parts[-1]
    if len(parts) == 1:
        return codec.plans[last.name].missing() is None
    holder = shape_at(codec, parts[:-1])
    plans = getattr(holder, "plans", None)
    return plans is not None and any(plan.name == last.name and plan.missing() is None for plan in plans)


def is_readable_as(shape: Shape, other: Shape) -> bool:
    """Whether whatever is stored for ``other`` can be read as ``shape``."""
    if shape is other or shape is ANY:
        return True
    if isinstance(shape, Nullable):
        return is_readable_as(shape.inner, other.inner if isinstance(other, Nullable) else other)
    if type(shape) is not type(other) or shape.tag != other.tag:
        return False
    if isinstance(shape, Scalar):
        return shape.expected == getattr(other, "expected", None) and repr(shape.form) == repr(other.form)
    inside, others = list(shape.children()), list(other.children())
    if not inside:  # a class, whose members are its own affair
        cls = getattr(shape, "cls", None)
        return cls is not None and cls is getattr(other, "cls", None)
    return len(inside) == len(others) and all(map(is_readable_as, inside, others))


def _name(parts: tuple[Any, ...]) -> str:
    return ".".join(part.name if isinstance(part, Field) else f"{part}" for part in parts)


def refusal(codec: Any, parts: tuple[Any, ...], problem: str) -> ValidationError:
    """The error about a place, named by the model and the path."""
    return ValidationError(f"{codec.schema.name}.{_name(parts)} {problem}", field=_name(parts))
