"""What a model says must be unique: one constraint for each attribute, or each group of them, that is declared so."""

from __future__ import annotations

from base64 import b64encode, urlsafe_b64encode
from collections.abc import Mapping
from hashlib import sha256
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from dynamorm.errors import ModelError, ValidationError
from dynamorm.models.schema.composite import END, escape
from dynamorm.models.schema.schema import Field, Unique

if TYPE_CHECKING:
    from dynamorm.ops.requests import ModelRequests

Wires = Mapping[str, dict[str, Any] | None]
"""Wire values by stored name; None or nothing for what is not stored."""


NOT_NAMED: Final[Mapping[str, Any]] = MappingProxyType({})

WITHIN: Final = "T#"
"""What stands before the value that a unique attribute is unique within."""


class Constraint(Struct, frozen=True, eq=False):
    """One unique attribute, or several that are unique together. ``title`` is stored as part of the guards' keys.

    ``within`` is the field, first of the ``fields``, for each value of which the others are unique. ``others`` are, by the names
    of fields, what is stored beside them for the same purpose.
    """

    title: str
    name: str
    fields: tuple[Field, ...]
    guards: type | None = None
    within: Field | None = None
    others: Mapping[str, tuple[str, ...]] = NOT_NAMED

    def stored_names(self) -> tuple[str, ...]:
        """The attributes that the guards are made of, by their stored names."""
        return tuple(name for field in self.fields for name in (field.indexed_as, *self.others.get(field.name, ())))

    def values(self, wires: Wires) -> tuple[str, ...]:
        """The hashes under which it is guarded: usually one, more while what is stored beside a field changes its form."""
        found = [self.value(wires)]
        for name, others in self.others.items():
            found += [self.value(wires, {name: other}) for other in others]
        found += [self.value(wires, {field.name: field.stored}) for field in self.plain_in(wires)]
        return tuple(dict.fromkeys(one for one in found if one is not None))

    def plain_in(self, wires: Wires) -> list[Field]:
        """The fields that hold a text or number as it is, beside which nothing is stored: it is from before they had another form."""
        return [
            field
            for field in self.fields
            if field.name in self.others
            and wires.get(field.indexed_as) is None
            and not {"S", "N"}.isdisjoint(wires.get(field.stored) or ())
        ]

    def value(self, wires: Wires, named: Mapping[str, str] = NOT_NAMED) -> str | None:
        """The hash of the constrained values, None when one is missing: it is then not guarded.

        Nor is one that another program has stored in a form that no unique attribute has: `check` tells of it.
        Before it stands what it is unique within: ``T#t1#`` and the hash. ``named`` are attributes in the place of a field's own.
        """
        parts = []
        for field in self.fields:
            wire = wires.get(named.get(field.name, field.indexed_as))
            if wire is None or not _is_named(wire):
                return None
            ((tag, payload),) = wire.items()
            text = _bytes_of(tag + (b64encode(payload).decode() if isinstance(payload, bytes) else payload))
            if text is None:
                raise ValidationError(
                    f"{field.owner}.{field.name} holds text that is not valid Unicode", field=field.name
                )
            parts.append(b"%d:" % len(text) + text)
        digest = urlsafe_b64encode(sha256(b"".join(parts)).digest()).decode().rstrip("=")
        if self.within is None:
            return digest
        place = wires[self.within.stored]
        assert place is not None  # or there would be no parts
        return f"{WITHIN}{escape(place['S'])}{END}{digest}" if isinstance(place.get("S"), str) else None

    def check(self, wires: Wires) -> None:
        """Refuse what another program has stored in a form that makes no guard. Raises: ValidationError, which names the field."""
        for field in self.fields:
            wire = wires.get(field.indexed_as)
            tag = next(iter(wire), "no type") if isinstance(wire, dict) else "no type"
            if wire is None or tag == "NULL" or (_is_named(wire) and (field is not self.within or tag == "S")):
                continue
            expected = "S is" if field is self.within else "S, N or B is"
            raise ValidationError(
                f"{field.owner}.{field.name}: the stored item has {tag} where {expected} expected, so its"
                f" unique {self.name} is not known: put the item as it should be, or delete it",
                field=field.name,
            )


def _is_named(wire: Any) -> bool:
    """Whether a stored value is one that a guard can be made of: a text, a number or bytes."""
    if not isinstance(wire, dict) or len(wire) != 1:
        return False
    return all(tag in {"S", "N", "B"} and isinstance(one, (str, bytes)) for tag, one in wire.items())


def _bytes_of(text: str) -> bytes | None:
    try:
        return text.encode()
    except UnicodeEncodeError:  # it holds the text, so it ends here
        return None


def constraints(plan: ModelRequests) -> tuple[Constraint, ...]:
    """The unique constraints of a model, in order of declaration. Raises ModelError for what cannot be kept unique."""
    groups: dict[str, list[Field]] = {}
    options: dict[str, Unique] = {}
    for field in plan.codec.schema.fields.values():
        option = field.option(Unique)
        if option is None:
            continue
        if field.role in {"version", "created_at", "updated_at"}:
            raise ModelError(f"{field.owner}.{field.name} is set by the library with each write: it cannot be Unique")
        if plan.key_names == (field.stored,):
            raise ModelError(f"{field.owner}.{field.name} is the whole key, which is unique as it is: leave Unique out")
        if plan.codec.plans[field.name].shape.tag not in {"S", "N", "B"}:
            raise ModelError(f"{field.owner}.{field.name}: a Unique attribute is stored as text, number or bytes")
        hook = plan.codec.plans[field.name]
        if hook.placed and field.indexed_as == field.stored:
            raise ModelError(
                f"{field.owner}.{field.name} is stored in a form that depends on its item, so that no two are alike: Unique needs"
                " what is stored beside it to be found by, such as Encrypted(ring, searchable=True)"
            )
        if hook.placed and not hook.hook.exact:
            raise ModelError(
                f"{field.owner}.{field.name} is Unique, which needs a blind index of full length: say searchable=True"
            )
        name = option.name or field.name
        groups.setdefault(name, []).append(field)
        options.setdefault(name, option)
    return tuple(_constraint(plan, name, fields, options[name]) for name, fields in groups.items())


def _constraint(plan: ModelRequests, name: str, fields: list[Field], option: Unique) -> Constraint:
    title = f"{fields[0].owner}#{name}"
    others = {
        field.name: tuple(one for one in plan.codec.plans[field.name].beside_names if one != field.indexed_as)
        for field in fields
        if field.indexed_as != field.stored
    }
    if option.within is None:
        return Constraint(title, name, tuple(fields), option.guards, others=others)
    within = plan.codec.schema.fields[option.within]
    if plan.codec.plans[within.name].shape.tag != "S":
        raise ModelError(f"{within.owner}.{within.name}: what others are unique within is stored as text")
    return Constraint(
        title, name, (within, *(field for field in fields if field is not within)), option.guards, within, others
    )
