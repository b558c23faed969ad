"""Primary keys: from Python values to the JSON of a key."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from dynamorm.errors import DynamORMError, ValidationError
from dynamorm.schema import Field, Schema

from .fields import FieldPlan
from .replies import dumps, json_of
from .scalars import SCALARS

_SURELY_SHORT = 256  # characters: at most 1024 bytes, which is within the limit of either key


class KeyCodec:
    """Makes keys of one model. ``json(values)`` is the function of the hot path."""

    def __init__(
        self, schema: Schema, plans: Mapping[str, FieldPlan], encode: Callable[[str, Any], dict[str, Any]]
    ) -> None:
        key = schema.key
        self._schema = schema
        self._encode = encode
        self.fields: tuple[Field, ...] = () if key is None else tuple(schema.fields[name] for name in key.fields)
        self.names: tuple[str, ...] = tuple(field.stored for field in self.fields)
        # Only these have a text that needs no hook and no careful look.
        plain = [plans[field.name].shape is SCALARS[str] and plans[field.name].plain_key for field in self.fields]
        self._parts = [
            b'%s%s:{"S":' % (b"{" if number == 0 else b",", dumps(name)) for number, name in enumerate(self.names)
        ]
        self.json: Callable[[tuple[Any, ...]], bytes] = self._general
        if all(plain) and len(plain) == 1:
            self.json = self._one_text()
        elif all(plain) and len(plain) == 2:
            self.json = self._two_texts()

    def of(self, obj: Any) -> bytes:
        """The JSON of an object's key. Raises: ValidationError."""
        try:
            values = tuple([getattr(obj, field.name) for field in self.fields])
        except AttributeError as error:
            missing = error
        else:
            return self.json(values)
        if isinstance(missing, DynamORMError):
            raise missing
        raise ValidationError(
            f"this {self._schema.name} has no value of a key attribute, so it has no key: load it anew"
        )

    def _one_text(self) -> Callable[[tuple[Any, ...]], bytes]:
        (head,) = self._parts
        general = self._general

        def json(values: tuple[Any, ...]) -> bytes:
            if len(values) == 1:
                (one,) = values
                if one.__class__ is str and 0 < len(one) <= _SURELY_SHORT and one.isprintable():
                    return head + dumps(one) + b"}}"
            return general(values)

        return json

    def _two_texts(self) -> Callable[[tuple[Any, ...]], bytes]:
        head, middle = self._parts
        general = self._general

        def json(values: tuple[Any, ...]) -> bytes:
            if len(values) == 2:
                one, two = values
                if (
                    one.__class__ is two.__class__ is str
                    and 0 < len(one) <= _SURELY_SHORT
                    and 0 < len(two) <= _SURELY_SHORT
                    and one.isprintable()
                    and two.isprintable()
                ):
                    return b"".join((head, dumps(one), b"}", middle, dumps(two), b"}}"))
            return general(values)

        return json

    def _general(self, values: tuple[Any, ...]) -> bytes:
        """Any key, with every mistake explained."""
        name = self._schema.name
        if not self.fields:
            raise ValidationError(f"{name} has no key: it has no table")
        if len(values) != len(self.fields):
            wanted = " and ".join(field.name for field in self.fields)
            raise ValidationError(f"the key of {name} is {wanted}: {len(self.fields)} values, got {len(values)}")
        return self.encode(
            {field.stored: self._encode(field.name, value) for field, value in zip(self.fields, values, strict=True)}
        )

    def encode(self, wire: dict[str, Any]) -> bytes:
        """The JSON of a key's wire values. Raises: ValidationError for text that is not Unicode."""
        raw = json_of(wire)
        if raw is None:
            raise ValidationError(f"a key of {self._schema.name} holds text that is not valid Unicode")
        return raw
