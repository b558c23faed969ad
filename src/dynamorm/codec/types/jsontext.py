"""`Json()` fields: any value as one compact JSON text with sorted keys, numbers exact."""

from __future__ import annotations

from decimal import Context, Decimal
from typing import Any, Final

from msgspec import UNSET as U
from msgspec import DecodeError, Raw, to_builtins
from msgspec.json import Decoder, Encoder

from dynamorm.errors import ModelError, ValidationError
from dynamorm.models.schema.overriding import override

from .document import from_wire
from .mismatch import Mismatch, misfit
from .shapes import ANY, Shape, refuse_null
from .source import Source
from .times import Real

_CONTEXT: Final = Context(capitals=1)
"""The library's own context: the program's may write exponents in another way."""


_FREE: Final = (Any, dict, list, dict[str, Any], list[Any], Any | None, dict[str, Any] | None, list[Any] | None)
"""Annotations under which plain JSON is read back as it is, so that reading back need not be tried."""


class JsonShape(Shape):
    """A value stored as JSON text: S. None is NULL; a native M, L or other value of another program is read as well.

    ``none`` tells what NULL is read as: None, what makes an empty value, or `U` where it is no value of the type.
    """

    tag = "S"
    null = True

    def __init__(self, annotation: Any, where: str, *, optional: bool, none: Any = None) -> None:
        self.none_absent = optional
        self.none = none
        self.annotation = annotation
        self.expected = "a value that JSON can hold"
        self._free = annotation in _FREE
        try:
            self._decode = Decoder(annotation, float_hook=Decimal, dec_hook=_read).decode
        except TypeError as error:
            raise ModelError(f"{where}: Json() cannot hold this type ({error})") from None

    @override
    def payload(self) -> Any:
        return str

    @override
    def encode(self, source: Source, v: str) -> str:
        null = '{"NULL": True}'
        if self.none is not None:
            null = f"{source.bind('misfit', misfit)}('a value other than None', {v})"
        return f'({null} if {v} is None else {{"S": {source.bind("json_text", self._text)}({v})}})'

    def _text(self, value: Any) -> str:
        """The text of a value that is read back as it is. Raises Mismatch for any other."""
        text = json_text(value)
        if not (self._free and _is_plain(value)) and not _same(value, self._read(text)):
            raise Mismatch(
                "a value that JSON keeps",
                value,
                hint="; it would be read as another type: declare it in the annotation",
            )
        return text

    @override
    def decode(self, source: Source, x: str) -> str:
        unset = source.bind("U", U)
        null = source.bind("json_null", self._null)
        read = source.bind("json_of", self._read)
        return f"({read}({x}.S) if {x}.NULL is {unset} and {x}.S is not {unset} else {null}({x}))"

    @override
    def canonical(self, wire: Any) -> Any:
        if "S" in wire or "NULL" in wire:
            return wire
        return {"S": json_text(_plain(from_wire(wire)))}

    def _null(self, wire: Any) -> Any:
        """The value of NULL: None where the type has it, an empty one where it has that."""
        refuse_null(wire)
        if self.none is U:
            raise Mismatch("a value other than None", None, "NULL")
        return None if self.none is None else self.none()

    def _read(self, text: str) -> Any:
        try:
            return self._decode(text)
        except (DecodeError, RecursionError, ValueError):
            raise Mismatch("JSON text that fits the field", text, "other text") from None

    @override
    def part(self, name: str | int) -> Shape:
        raise ValidationError(f"a Json() field is one text to DynamoDB and has no part {name!r}")

    @override
    def element(self) -> Shape:
        return ANY


def _read(kind: Any, value: Any) -> Any:
    """A pydantic model inside a Json() field."""
    validate = getattr(kind, "model_validate", None)
    if validate is None:
        raise NotImplementedError
    return validate(value)


def _plain(value: Any) -> Any:
    """A document with whole numbers as ints, however they were written: JSON's ``2E+1`` is no int to its readers."""
    if isinstance(value, dict):
        return {key: _plain(element) for key, element in value.items()}
    if isinstance(value, (list, set)):
        return [_plain(element) for element in value]
    if isinstance(value, Decimal) and value == value.to_integral_value():
        return int(value)
    return value


def json_text(value: Any) -> str:
    """Compact JSON with sorted keys. Decimals are written digit by digit, times and the like as text."""
    try:
        return _encode(_exact(to_builtins(value, builtin_types=(Decimal,), str_keys=True, enc_hook=_dump))).decode()
    except (TypeError, RecursionError, ValueError, OverflowError):
        raise Mismatch("a value that JSON can hold", value) from None


_encode = Encoder(order="sorted").encode


def _is_plain(value: Any) -> bool:
    """Whether a value is made of nothing but what JSON has."""
    kind = value.__class__
    if kind is dict:
        return all(key.__class__ is str and _is_plain(element) for key, element in value.items())
    if kind is list:
        return all(map(_is_plain, value))
    return kind in _PLAIN


_PLAIN: Final = frozenset({str, int, bool, Decimal, type(None)})


def _same(value: Any, back: Any) -> bool:
    """Whether what is read back is what was written, down to the types that compare as equal only sometimes."""
    if isinstance(value, dict):
        return (
            isinstance(back, dict)
            and value.keys() == back.keys()
            and all(_same(value[key], back[key]) for key in value)
        )
    if isinstance(value, (list, tuple)):
        alike = isinstance(back, list if isinstance(value, list) else tuple) and len(value) == len(back)
        return alike and all(map(_same, value, back))
    names = _names(value)
    if names is None:
        return bool(value == back) and isinstance(value, float) == isinstance(back, float)
    return type(back) is type(value) and all(_same(getattr(value, name), getattr(back, name)) for name in names)


def _names(value: Any) -> Any:
    """The fields of a Struct, dataclass or pydantic model; None for any other value."""
    kind: Any = type(value)
    for attribute in ("__struct_fields__", "__dataclass_fields__", "__pydantic_fields__"):
        names = getattr(kind, attribute, None)
        if names is not None:
            return tuple(names)
    return None


def _dump(value: Any) -> Any:
    if isinstance(value, Real.datetime):  # the class is another library's
        return Real.datetime.combine(value.date(), value.timetz())
    if isinstance(value, Real.date):
        return Real.date(value.year, value.month, value.day)
    dump = getattr(value, "model_dump", None)
    if dump is None:
        raise TypeError
    return dump(mode="json")


def _exact(value: Any) -> Any:
    """Decimals as raw digits, for JSON numbers have no type."""
    if isinstance(value, dict):
        return {key: _exact(element) for key, element in value.items()}
    if isinstance(value, (list, tuple)):
        return [_exact(element) for element in value]
    if isinstance(value, Decimal):
        if not value.is_finite():
            raise ValueError
        return Raw(_CONTEXT.to_sci_string(value).encode())
    if isinstance(value, float) and value - value != 0:
        raise ValueError
    return value
