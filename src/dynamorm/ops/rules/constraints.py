"""What a model says must be unique: one constraint for each attribute, or each group of them, that is declared so."""

from __future__ import annotations

from base64 import b64encode, urlsafe_b64encode
from collections.abc import Mapping
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from dynamorm.errors import ModelError, ValidationError
from dynamorm.schema.schema import Field, Unique

if TYPE_CHECKING:
    from dynamorm.ops.requests import ModelRequests

Wires = Mapping[str, dict[str, Any] | None]
"""Wire values by stored name; None or nothing for what is not stored."""


class Constraint(Struct, frozen=True, eq=False):
    """One unique attribute, or several that are unique together. ``title`` is stored as part of the guards' keys."""

    title: str
    name: str
    fields: tuple[Field, ...]
    guards: type | None = None

    def value(self, wires: Wires) -> str | None:
        """The hash of the constrained values, None when one is missing: it is then not guarded."""
        parts = []
        for field in self.fields:
            wire = wires.get(field.stored)
            if wire is None or "NULL" in wire:
                return None
            ((tag, payload),) = wire.items()
            text = _bytes_of(tag + (b64encode(payload).decode() if isinstance(payload, bytes) else payload))
            if text is None:
                raise ValidationError(
                    f"{field.owner}.{field.name} holds text that is not valid Unicode", field=field.name
                )
            parts.append(b"%d:" % len(text) + text)
        return urlsafe_b64encode(sha256(b"".join(parts)).digest()).decode().rstrip("=")


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
        name = option.name or field.name
        groups.setdefault(name, []).append(field)
        options.setdefault(name, option)
    return tuple(
        Constraint(f"{fields[0].owner}#{name}", name, tuple(fields), options[name].guards)
        for name, fields in groups.items()
    )
