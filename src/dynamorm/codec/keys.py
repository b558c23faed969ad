"""Primary keys: from Python values to the JSON of a key, and the key that a loaded object has.

A loaded object is stored under the key it was read with, which another program may have spelled otherwise than this
library does (a UUID in capitals, a time of another length), so its key is taken from its loaded state.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from decimal import Decimal
from functools import cached_property
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

from msgspec import DecodeError, Raw, Struct, defstruct
from msgspec.json import Decoder

from dynamorm.codec.types.document import normal
from dynamorm.codec.types.numbers import decimal_of
from dynamorm.codec.types.scalars import SCALARS
from dynamorm.codec.types.shapes import wire_struct
from dynamorm.errors import DynamORMError, ValidationError
from dynamorm.models.schema.overriding import override
from dynamorm.models.schema.schema import Field

from .strict import dumps, json_of, read_object

if TYPE_CHECKING:
    from .codec import ModelCodec

SURELY_SHORT: Final = 256
"""Characters of a text that may be in a key: they are at most 1024 bytes, which is within the limit of either key."""

_EXACT: Final = (SCALARS[str], SCALARS[bytes], SCALARS[int], SCALARS[Decimal])
"""Values from which the key is made again as DynamoDB has it: none of them has a second spelling."""


class StoredKey(Struct, frozen=True):
    """The key of an item in the spelling in which it is stored: verbs take it where they take a key, alone.

    Example: ``db.delete(Payment, record.stored_key)``
    """

    raw: bytes
    names: tuple[str, ...]

    @override
    def __repr__(self) -> str:
        return f"<StoredKey {', '.join(self.names)}>"


class KeyCodec:
    """Makes keys of one model. ``json(values)`` and ``kept(obj, loaded)`` are the functions of the hot path.

    ``exact``: a key is told by its values, for their types have one spelling. ``start``: how an item begins that has its
    key first, as the library writes it; the service has an order of its own.
    """

    def __init__(self, codec: ModelCodec) -> None:
        schema, plans = codec.schema, codec.plans
        key = schema.key
        self._codec = codec
        self._schema = schema
        self._state = codec.access.get_state
        self.fields: tuple[Field, ...] = () if key is None else tuple(schema.fields[name] for name in key.fields)
        self.names: tuple[str, ...] = tuple(field.stored for field in self.fields)
        plain = [plans[field.name] for field in self.fields if plans[field.name].plain_key]
        # Only these have a text that needs no hook and no careful look.
        texts = [plan for plan in plain if plan.shape is SCALARS[str]]
        self.exact: bool = len([plan for plan in plain if plan.shape in _EXACT]) == len(self.fields)
        self._texts = len(texts) == len(self.fields) > 0
        self._parts = [
            b'%s%s:{"S":' % (b"{" if number == 0 else b",", dumps(name)) for number, name in enumerate(self.names)
        ]
        self.start: bytes = b"{%s:{" % dumps(self.names[0]) if self.names else b"{"
        self.json: Callable[[tuple[Any, ...]], bytes] = self._general
        self.kept: Callable[[Any, bytes], bytes] = self._kept
        if self._texts:
            self.kept = self._kept_texts()
            if len(texts) <= 2:
                self.json = self._one_text() if len(texts) == 1 else self._two_texts()

    def head_of(self, first: Any) -> bytes | None:
        """How the JSON of each key in the partition of a plain text begins, up to the second text; None where a key is another one."""
        if not self._texts or len(self.fields) != 2 or first.__class__ is not str:
            return None
        return self.json((first, "x")).removesuffix(dumps("x") + b"}}")

    def of(self, obj: Any) -> bytes:
        """The JSON of an object's key: of a loaded one, the key it was read with.

        Raises: ValidationError, also for a loaded object whose key was changed.
        """
        loaded = self._state(obj)
        try:
            return self._made(obj) if loaded is None else self.kept(obj, loaded)
        except AttributeError as error:
            if isinstance(error, DynamORMError):
                raise
        raise ValidationError(
            f"this {self._schema.name} has no value of a key attribute, so it has no key: load it anew"
        )

    def _made(self, obj: Any) -> bytes:
        return self.json(tuple([getattr(obj, field.name) for field in self.fields]))

    # ------------------------------------------------------------------------------------------------- of new objects

    def _one_text(self) -> Callable[[tuple[Any, ...]], bytes]:
        (head,) = self._parts
        general = self._general

        def json(values: tuple[Any, ...]) -> bytes:
            if len(values) == 1:
                (one,) = values
                if one.__class__ is str and 0 < len(one) <= SURELY_SHORT and one.isprintable():
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
                    and 0 < len(one) <= SURELY_SHORT
                    and 0 < len(two) <= SURELY_SHORT
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
        if len(values) == 1 and values[0].__class__ is StoredKey:
            return self._taken(values[0])
        if len(values) != len(self.fields):
            wanted = " and ".join(field.name for field in self.fields)
            told = f"the key of {name} is {wanted}: {len(self.fields)} values, got {len(values)}"
            raise ValidationError(told + _as_one(name, self.fields, values))
        encode = self._codec.encode_key_field
        return self.encode(
            {field.stored: encode(field.name, value) for field, value in zip(self.fields, values, strict=True)}
        )

    def _taken(self, key: StoredKey) -> bytes:
        if key.names != self.names:
            raise ValidationError(
                f"the stored key is of {' and '.join(key.names)}, and that of {self._schema.name} is"
                f" {' and '.join(self.names)}"
            )
        return key.raw

    def encode(self, wire: dict[str, Any]) -> bytes:
        """The JSON of a key's wire values. Raises: ValidationError for text that is not Unicode."""
        raw = json_of(wire)
        if raw is None:
            raise ValidationError(f"a key of {self._schema.name} holds text that is not valid Unicode")
        return raw

    # ---------------------------------------------------------------------------------------------- of loaded objects

    @cached_property
    def _stored(self) -> Callable[[bytes], Any]:
        """Reads the key attributes of an item's JSON: of plain texts the text, of others what stands there."""
        kind: Any = wire_struct("S", str, null=False) if self._texts else Raw
        fields: Any = [(f"k{number}", kind) for number in range(len(self.names))]
        rename = {f"k{number}": name for number, name in enumerate(self.names)}
        return Decoder(defstruct("StoredKeyOf", fields, rename=rename, gc=False)).decode

    def _kept_texts(self) -> Callable[[Any, bytes], bytes]:
        of_object = attrgetter(*(field.name for field in self.fields))
        of_stored = attrgetter(*(f"k{number}.S" for number in range(len(self.fields))))

        def kept(obj: Any, loaded: bytes) -> bytes:
            try:
                stored = self._stored(loaded)
            except DecodeError:  # it is not there, or of another type: this is no item of the table
                return self._careful(obj, loaded)
            return dumps(stored) if of_stored(stored) == of_object(obj) else self._careful(obj, loaded)

        return kept

    def _kept(self, obj: Any, loaded: bytes) -> bytes:
        """The key of a loaded object. Raises: ValidationError when it was changed."""
        with suppress(DecodeError, ValidationError):  # the careful way says what is wrong
            key = dumps(self._stored(loaded))
            if key == self._made(obj):
                return key
        return self._careful(obj, loaded)

    def _careful(self, obj: Any, loaded: bytes) -> bytes:
        """The key of a loaded object whose key is spelled otherwise than ours, or was changed."""
        item = read_object(loaded)
        if not item.keys() >= set(self.names):  # this is no item of the table
            return self._made(obj)
        return self.encode({field.stored: self._unchanged(field, obj, item[field.stored]) for field in self.fields})

    def _unchanged(self, field: Field, obj: Any, stored: dict[str, Any]) -> dict[str, Any]:
        """The wire value under which the item is stored. Raises: ValidationError when the object has another one."""
        codec, value = self._codec, getattr(obj, field.name)
        with suppress(ValidationError):  # it may break a constraint that its writer did not know
            now = codec.encode_key_field(field.name, value)
            if _same(now, normal(stored)):
                return now
        before = codec.decode_field(field.name, stored)
        # Without the field's validators: what they make of two values may be the same.
        if codec.encode_operand((field,), value) != codec.encode_operand((field,), before):
            raise ValidationError(
                f"{self._schema.name}.{field.name} is part of the key and was changed: create a new object instead",
                field=field.name,
            )
        return stored


def _same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two wire values are the same to DynamoDB, for which a number has no spelling."""
    if "N" in one and "N" in other:
        return decimal_of(one["N"]) == decimal_of(other["N"])
    return one == other


def _as_one(name: str, fields: Sequence[Field], values: tuple[Any, ...]) -> str:
    """How the values of a key are given that came as one dict, tuple or list."""
    if len(values) != 1 or not isinstance(values[0], (dict, tuple, list)):
        return ""
    given = "=..., ".join(field.name for field in fields) + "=..." if isinstance(values[0], dict) else "*values"
    return f"; a {type(values[0]).__name__} is no key: pass them one by one, ({name}, {given})"
