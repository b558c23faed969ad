"""What rules hand to a draft is looked at here: other writes, values of fields, and what is to stay as it is stored."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from dynamorm.codec.library_attributes import bytes_wire, number_wire, text_wire
from dynamorm.codec.strict import read_object
from dynamorm.errors import DynamORMError, InvalidUse, ValidationError
from dynamorm.models.declare import did_you_mean
from dynamorm.models.schema.placed import NotReady
from dynamorm.models.schema.schema import LIBRARY_NAMES

from .write import NOT_READ, MustRead, Write

if TYPE_CHECKING:
    from dynamorm.models.expressions.compile import Placeholders
    from dynamorm.models.schema.schema import Field
    from dynamorm.ops.context import Context
    from dynamorm.ops.requests import ModelRequests

    from .draft import WriteDraft


class Prepared:
    """A condition whose text is made, but for the placeholders."""

    __slots__ = ("_names", "_template", "_values")

    def __init__(self, text: str, places: Placeholders) -> None:
        names, values = list(places.names), list(places.values)
        at = {place: f"{{{number}}}" for number, place in enumerate((*names, *values))}
        self._template = f"({re.sub('[#:][nv][0-9]+', lambda match: at[match[0]], text)})"
        self._names = tuple(places.names.values())
        self._values = tuple(places.values.values())

    def text(self, places: Placeholders) -> str:
        """The text in a request with these placeholders."""
        return self._template.format(*map(places.name, self._names), *map(places.value, self._values))


class LateStamp(NamedTuple):
    """An attribute that is made of the stored form of others, known only when the place of the item is: its name, the stored names of the fields that ``make`` looks at, and what that makes of them."""

    name: str
    looks: tuple[str, ...]
    make: Callable[[Mapping[str, dict[str, Any] | None]], bytes]

    def wire(self, attributes: Mapping[str, dict[str, Any] | None]) -> dict[str, Any]:
        """Its wire value beside these attributes: the item as it will be stored."""
        made: dict[str, Any] = bytes_wire(self.make({name: attributes.get(name) for name in self.looks}))
        return made


_LED: Final = "_is_led"


def built(context: Context, verb: str, args: tuple[Any, ...], options: dict[str, Any], what: str) -> Write:
    """The write of a verb, which somebody adds to the caller's: its errors are led by ``what``.

    Raises: InvalidUse for arguments that the verb does not take; and what its builder raises.
    """
    try:
        builder = context.writer(verb)
        write = builder(context, *args, **options)
        return write if write.hooked is None else builder(write.hooked.context(context), *args, **options)
    except (MustRead, NotReady):  # no failures: the write is built again
        raise
    except DynamORMError as error:
        if _LED not in vars(error):  # by what the innermost one has added, where rules add to what rules add
            vars(error)[_LED] = True
            error.about(what)
        raise
    except TypeError as error:
        if error.__traceback__ is not None and error.__traceback__.tb_next is None:  # of the call itself
            raise InvalidUse(
                f"{what}: the arguments are those of a transaction's method, tx.{verb}(...), and these do not fit"
            ) from error
        raise


def settable(plan: ModelRequests, name: Any) -> Field:
    """The field of this name, which is a value and nothing more. Raises: InvalidUse, ValidationError."""
    codec = plan.codec
    if not isinstance(name, str):
        raise InvalidUse(
            f'draft.set takes the name of a field, as a text: draft.set("amount", value), not {type(name).__name__}'
        )
    if name not in codec.plans:
        raise ValidationError(f"{codec.schema.name} has no field {name!r}{did_you_mean(name, codec.plans)}", field=name)
    field = codec.field(name)
    if (role_text := _more_than_a_value(plan, field)) is not None:
        raise ValidationError(
            f"{field.owner}.{name} is {role_text}, which a rule cannot set beside a write: give it to the object before,"
            " or return draft.instead(...) from transform",
            field=name,
        )
    return field


def _more_than_a_value(plan: ModelRequests, field: Field) -> str | None:
    """What a field is, where more of the write is made of it than its attribute."""
    if field.role not in {"", "ttl"}:
        return "a part of the key" if field.role in {"partition", "sort"} else "kept by the library"
    if any(field in constraint.fields for constraint in plan.uniques):
        return "Unique"
    for computed in plan.codec.composites.values():
        if field.name in {computed.field.name, *(name for name, _ in computed.inputs)}:
            return f"a part of {computed.field.name}" if field.name != computed.field.name else "computed from others"
    return None


def stamped(plan: ModelRequests, name: Any, value: Any) -> dict[str, Any] | None:
    """The stored form of an attribute that is no field. Raises: InvalidUse."""
    fields = {field.stored for field in plan.codec.schema.fields.values()}
    if not isinstance(name, str) or not name.startswith("_") or name in LIBRARY_NAMES or name in fields:
        raise InvalidUse(
            f"draft.stamp stores what is no field of {plan.codec.schema.name} and nothing of the library's, under a name that"
            ' begins with "_"; a field is for draft.set'
        )
    if value is None:
        return None
    if value.__class__ not in _STAMPED:
        raise InvalidUse(f"draft.stamp stores bytes, an int or a text, not {type(value).__name__}", field=name)
    wire: dict[str, Any] = _STAMPED[value.__class__](value)
    return wire


_STAMPED: Final[dict[type, Any]] = {bytes: bytes_wire, int: number_wire, str: text_wire}


def check_pins(draft: WriteDraft, stored: Any) -> None:
    """Refuse to pin what is no stored form, or no attribute. Raises: InvalidUse, ValidationError."""
    if not isinstance(stored, Mapping):
        raise InvalidUse(
            'draft.pin takes stored attributes by their stored names, draft.pin({"amount": item["amount"]}) with item ='
            f" draft.stored_item(), not {type(stored).__name__}"
        )
    codec = draft.plan.codec
    for name, wire in stored.items():
        if not isinstance(name, str):
            raise InvalidUse(
                f"draft.pin takes attributes by their stored names, which are texts, not {type(name).__name__}"
            )
        if wire is not None and not (isinstance(wire, dict) and len(wire) == 1):
            raise InvalidUse(
                f"draft.pin: {name} is given in its stored form, as draft.stored_item() has it (such as {{'N': '3'}}), or None"
                f" where it is not there, not {type(wire).__name__}",
                field=name,
            )
        if name not in draft.places.names.values() and not _is_attribute(draft, name):
            known = [plan.stored for plan in codec.plans.values()]
            raise ValidationError(
                f"draft.pin: {codec.schema.name} has no attribute {name!r}{did_you_mean(name, known)}", field=name
            )


def _is_attribute(draft: WriteDraft, name: str) -> bool:
    """Whether a name is a field's, the library's own, or that of something that is stored all the same."""
    codec = draft.plan.codec
    if any(name in {plan.stored, *plan.field.also_read, *plan.names_beside} for plan in codec.plans.values()):
        return True
    if name.startswith("_"):  # that of a stamp, which need not be there
        return name not in codec.plans
    raw = draft.loaded if draft.stored is NOT_READ else draft.stored
    return raw is not None and raw is not NOT_READ and name in read_object(raw)
