"""The codec of a model in a view: keys and objects pass by what the plugins say of the view's scope.

It is a copy of the plain one, so that no verb can pass the rule by. It must not know what scopes mean.
"""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Any

from dynamorm.errors import DynamORMError, Outcome, ValidationError
from dynamorm.models.schema.rules import ScopeRule

from .keys import SURELY_SHORT, StoredKey
from .strict import dumps, read_object

if TYPE_CHECKING:
    from collections.abc import Callable

    from .codec import ModelCodec

__all__ = ["ScopeRule", "in_view"]


def in_view(codec: ModelCodec, rule: ScopeRule) -> ModelCodec:
    """The codec whose keys and objects are those of a view."""
    other = copy(codec)
    other.careful = copy(codec.careful)
    other.careful._codec = other  # noqa: SLF001 - one unit with its codec
    other.partials = {}
    other.keyed = other
    key_json, key_of, encode = codec.key_json, codec.key_of, codec.encode
    encode_loaded = encode
    if type(rule).partition is not ScopeRule.partition:
        placed = _Placed(codec, rule)
        key_json, key_of, encode = placed.key_json, placed.key_of, placed.encode
        encode_loaded = placed.encode_loaded
        other.encode_operand = placed.operand(codec.encode_operand)  # type: ignore[method-assign] # of this copy
        other.normal_operand = placed.operand(codec.normal_operand)  # type: ignore[method-assign] # as above
    other.key_json = _of_values(codec, rule, key_json)
    other.encode_key = _checked(codec.encode_key, rule)
    other.key_of = _checked(_of_complete(key_of, rule), rule)
    completing = None
    if encode is codec.encode and rule.complete_by is not None:
        completing = codec.completing(*rule.complete_by, rule.complete)
    other.encode = _of_complete(encode, rule) if completing is None else completing
    other.encode_loaded = encode_loaded
    other.decode_loaded = _known_before(codec.decode, rule)
    other.decode = _answered(codec.decode, rule)  # type: ignore[method-assign] # of this copy
    other.read_attributes = _answered(codec.read_attributes, rule)
    return other


class _Placed:
    """What makes keys of a model whose partition key is stored as the rule says."""

    def __init__(self, codec: ModelCodec, rule: ScopeRule) -> None:
        self._codec = codec
        self._rule = rule
        self._key_of = codec.key_of
        self._encode = codec.encode
        self._partition = codec.keys.fields[0]

    def _stored(self, wire: dict[str, Any], obj: Any) -> dict[str, Any]:
        return {"S": self._rule.partition(wire["S"], obj)} if "S" in wire else wire

    def _in_place(self, key: bytes, obj: Any) -> bytes:
        wires = read_object(key)
        wires[self._partition.stored] = self._stored(wires[self._partition.stored], obj)
        return dumps(wires)

    def key_json(self, values: tuple[Any, ...]) -> bytes:
        """The key of values; a stored one is as it is."""
        key = self._codec.keys.json(values)
        return key if values[0].__class__ is StoredKey else self._in_place(key, None)

    def key_of(self, obj: Any) -> bytes:
        """The key of an object; a loaded one has that under which it is stored. Raises: ValidationError where that is another."""
        key = self._key_of(obj)
        if self._codec.loaded(obj) is None:
            return self._in_place(key, obj)
        field = self._partition
        made = self._codec.encode_key_field(field.name, getattr(obj, field.name))
        if read_object(key)[field.stored] != self._stored(made, obj):
            raise ValidationError(
                f"this {self._codec.schema.name} is stored under another key than it has here: create a new object instead",
                field=field.name,
            )
        return key

    def encode(self, obj: Any) -> dict[str, Any]:
        """The wire item of an object."""
        item, stored = self._encode(obj), self._partition.stored
        item[stored] = self._stored(item[stored], obj)
        return item

    def encode_loaded(self, obj: Any) -> dict[str, Any]:
        """The wire item of an object as it was loaded: under the key that it has."""
        item, stored = self._encode(obj), self._partition.stored
        item[stored] = read_object(self._codec.loaded(obj) or b"{}").get(stored, item[stored])
        return item

    def operand(self, encode: Callable[..., dict[str, Any] | None]) -> Callable[..., dict[str, Any] | None]:
        """``encode_operand`` for conditions on the partition key."""
        name = self._partition.name

        def operand(parts: tuple[Any, ...], value: Any, what: str = "value") -> dict[str, Any] | None:
            wire = encode(parts, value, what)
            return self._stored(wire, None) if wire is not None and parts[0].name == name else wire

        return operand


def _checked(make: Callable[[Any], bytes], rule: ScopeRule) -> Callable[[Any], bytes]:
    check_key, starts = rule.check_key, rule.key_starts

    def made(given: Any) -> bytes:
        key = make(given)
        if not key.startswith(starts):
            check_key(key)
        return key

    return made


def _of_values(codec: ModelCodec, rule: ScopeRule, key_json: Callable[..., bytes]) -> Callable[..., bytes]:
    """``key_json``, whose keys are looked at; it gives the partition key, where that is a value of the view, and was left out."""
    check_key, starts, fields = rule.check_key, rule.key_starts, codec.keys.fields
    if not fields or fields[0].name not in rule.values:
        return _checked(key_json, rule)
    first, wanted = rule.values[fields[0].name], len(fields)

    def completed(values: tuple[Any, ...]) -> bytes:
        if len(values) == wanted - 1 and not (values and values[0].__class__ is StoredKey):
            values = (first, *values)
        key = key_json(values)
        if not key.startswith(starts):
            check_key(key)
        return key

    head = codec.keys.head_of(first)
    if key_json is not codec.keys.json or head is None or not head.startswith(starts):
        return completed

    def in_partition(values: tuple[Any, ...]) -> bytes:
        """As ``completed``; of a key in the view's own partition, which need not be looked at, only the rest is written."""
        if len(values) == 2 and values[0] == first and values[0].__class__ is str:
            two = values[1]
            if two.__class__ is str and 0 < len(two) <= SURELY_SHORT and two.isprintable():
                return head + dumps(two) + b"}}"
        return completed(values)

    return in_partition


def _of_complete(make: Callable[[Any], Any], rule: ScopeRule) -> Callable[[Any], Any]:
    complete = rule.complete
    if rule.complete_by is None:

        def made(obj: Any) -> Any:
            complete(obj)
            return make(obj)

    else:
        name, text = rule.complete_by

        def made(obj: Any) -> Any:
            value = getattr(obj, name, None)
            # A text of another class may be equal to all.
            if value is not text and (value.__class__ is not str or value != text):
                complete(obj)
            return make(obj)

    return made


def _known_before(decode: Callable[[bytes], Any], rule: ScopeRule) -> Callable[[bytes], Any]:
    """``decode`` for what was loaded earlier: nothing was sent when the rule refuses it."""

    def decoded(raw: bytes) -> Any:
        obj = decode(raw)
        try:
            rule.check_answer(obj)
        except DynamORMError as error:
            rule.complete(obj)  # which refuses it in the words of a value that is given
            error.outcome = Outcome.NOT_APPLIED
            raise
        return obj

    return decoded


def _answered(read: Callable[..., Any], rule: ScopeRule) -> Callable[..., Any]:
    check = rule.check_answer
    name, text = rule.complete_by or ("", None)

    def answered(*args: Any) -> Any:
        obj = read(*args)
        if obj is not None:
            value = getattr(obj, name, None)
            if value.__class__ is not str or value != text:
                check(obj)
        return obj

    return answered
