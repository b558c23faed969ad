"""The one table of Python type and wire type. Everything that is a single S, N, B or BOOL stands here."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, Flag
from typing import TYPE_CHECKING, Any
from uuid import UUID

from msgspec import UNSET as U
from msgspec import to_builtins

from dynamorm.errors import ModelError

from .mismatch import Mismatch
from .numbers import HIGH, LOW, decimal_of, decimal_text, float_of, float_text, int_of, int_text
from .shapes import Scalar
from .times import (
    Real,
    date_of,
    date_text,
    duration_of,
    duration_text,
    epoch_of,
    epoch_text,
    fromisoformat,
    in_utc,
    instant_of,
    instant_text,
    time_of,
    time_text,
)

if TYPE_CHECKING:
    from dynamorm.models.schema.schema import TimeForm


def str_text(value: Any) -> str:
    """The content of a str subclass."""
    if not isinstance(value, str):
        raise Mismatch("str", value)
    return str.__str__(value)


def bool_value(value: Any) -> bool:
    """Nothing but True and False is a bool."""
    raise Mismatch("bool", value)


def bytes_value(value: Any) -> bytes:
    """The content of anything like bytes."""
    if not isinstance(value, (bytes, bytearray, memoryview)):
        raise Mismatch("bytes", value)
    return bytes(value)


def uuid_text(value: Any) -> str:
    """The canonical text of a UUID."""
    if not isinstance(value, UUID):
        raise Mismatch("UUID", value)
    return str(to_builtins(value)) if value.__class__ is UUID else str(value)


def uuid_of(value: Any) -> UUID:
    """A UUID, which msgspec has read already where it is a value of its own."""
    if isinstance(value, UUID):
        return value
    try:
        return UUID(value)
    except (ValueError, AttributeError, TypeError):
        raise Mismatch("a UUID", value, "other text") from None


_DIRECT = "{v} if {v}.__class__ is "

SCALARS: dict[Any, Scalar] = {
    str: Scalar("str", "S", _DIRECT + "str else {str_text}({v})", "{x}", names={"str_text": str_text}, classes=(str,), empty=""),
    int: Scalar(
        "int", "N", 'f"{{{v}}}" if {v}.__class__ is int and {LOW} < {v} < {HIGH} else {int_text}({v})', "{int}({x})",
        names={"LOW": LOW, "HIGH": HIGH, "int_text": int_text, "int": int}, careful={"int": int_of}, classes=(int,), empty=0,
    ),
    Decimal: Scalar(
        "Decimal", "N", "{decimal_text}({v})", "{Decimal}({x})",
        names={"decimal_text": decimal_text, "Decimal": Decimal}, careful={"Decimal": decimal_of}, classes=(Decimal,), empty=Decimal(0),
    ),
    float: Scalar(
        "float", "N", "{float_text}({v})", "{float}({x})",
        names={"float_text": float_text, "float": float}, careful={"float": float_of}, classes=(float,), empty=0.0,
    ),
    bool: Scalar(
        "bool", "BOOL", _DIRECT + "bool else {bool_value}({v})", "{x}",
        names={"bool_value": bool_value}, payload=bool, classes=(bool,), empty=False,
    ),
    bytes: Scalar(
        "bytes", "B", _DIRECT + "bytes else {bytes_value}({v})", "{x}",
        names={"bytes_value": bytes_value}, payload=bytes, classes=(bytes,), empty=b"",
    ),
    Real.datetime: Scalar(
        "datetime", "S", "{instant_text}({v})", "(d if (d := {fromisoformat}({x})).tzinfo is {UTC} else {instant_of}({x}))",
        names={"instant_text": instant_text, "fromisoformat": fromisoformat, "UTC": UTC, "instant_of": instant_of},
        careful={"fromisoformat": instant_of}, classes=(Real.datetime,),
    ),
    Real.date: Scalar(
        "date", "S", "{v}.isoformat() if {v}.__class__ is {date} else {date_text}({v})", "{date_of}({x})",
        names={"date": Real.date, "date_text": date_text, "date_of": date_of}, classes=(Real.date,),
    ),
    time: Scalar(
        "time", "S", "{time_text}({v})", "{time_of}({x})", names={"time_text": time_text, "time_of": time_of}, classes=(time,)
    ),
    timedelta: Scalar(
        "timedelta", "N", "{duration_text}({v})", "{duration_of}({x})",
        names={"duration_text": duration_text, "duration_of": duration_of}, classes=(timedelta,), empty=timedelta(0),
    ),
    UUID: Scalar(
        "UUID", "S", "{uuid_text}({v})", "{x}", names={"uuid_text": uuid_text}, payload=UUID, classes=(UUID,), key_of=uuid_of
    ),
}  # fmt: skip
"""By Python type. In the templates, ``v`` is the value, ``x`` the payload, and every other name is bound."""

INSTANT = SCALARS[Real.datetime]
"""A datetime as text."""

EPOCH = Scalar(
    "datetime", "N", "{epoch_text}({v})", "{epoch_of}({x})", names={"epoch_text": epoch_text, "epoch_of": epoch_of}, classes=(Real.datetime,)
)  # fmt: skip
"""A TTL declared as a datetime."""

_VALUE_TAGS: dict[type, tuple[str, Callable[[Any], Any]]] = {
    str: ("S", str_text), int: ("N", int_text), Decimal: ("N", decimal_text), float: ("N", float_text), bytes: ("B", bytes_value)
}  # fmt: skip


class _Members(dict[Any, Any]):
    """Members by payload, for careful code: knows other spellings, and says what is wrong."""

    def __init__(self, members: dict[Any, Any], expected: str, read: Callable[[Any], Any]) -> None:
        super().__init__(members)
        self.expected = expected
        self.read = read

    def __missing__(self, payload: Any) -> Any:
        try:
            return self.read(payload)
        except (ValueError, ArithmeticError, Mismatch):
            raise Mismatch(self.expected, payload, "a value that is none of them") from None


def _tag_of(values: list[Any]) -> tuple[str, Callable[[Any], Any]] | None:
    """The one wire tag all the values share, with the function to their payload."""
    tags = {
        _VALUE_TAGS.get(next((kind for kind in _VALUE_TAGS if isinstance(value, kind)), object)) for value in values
    }
    if len(tags) != 1 or any(isinstance(value, bool) for value in values):
        return None
    return tags.pop()


def enum_shape(cls: type[Enum]) -> Scalar:
    """The shape of an Enum: its values, which must all be texts, all numbers or all bytes.

    Raises: ModelError.
    """
    pair = _tag_of([member.value for member in cls])
    if pair is None:
        raise ModelError(f"enum {cls.__name__}: its values must be all str, all numbers or all bytes to be stored")
    tag, payload_of = pair
    payloads = {payload_of(member.value): member for member in cls}
    numeric = tag == "N"
    floats = any(isinstance(member.value, float) for member in cls)

    def text(value: Any) -> Any:
        if not isinstance(value, cls):
            raise Mismatch(cls.__name__, value)
        return payload_of(value.value)

    def read(payload: Any) -> Any:
        number_of = int_of if issubclass(cls, Flag) else float_of if floats else decimal_of
        return cls(number_of(payload) if numeric else payload)

    members = _Members(payloads, f"one of the values of {cls.__name__}", read)
    simple = tag == "S" and all(type(member.value) is str for member in cls)
    return Scalar(
        cls.__name__,
        tag,
        "{v}._value_ if {v}.__class__ is {kind} else {enum_text}({v})" if simple else "{enum_text}({v})",
        "{members}[{x}]",
        names={"kind": cls, "enum_text": text, "members": payloads},
        careful={"members": members},
        payload=bytes if tag == "B" else str,
        classes=(cls,),
        empty=payloads.get("", U),
        lenient=cls,
    )


def literal_shape(values: tuple[Any, ...]) -> Scalar | None:
    """The shape of a Literal whose values share one wire type, else None. Members of an Enum count as their values."""
    pair = _tag_of([_value(value) for value in values])
    if pair is None:
        return None
    tag, payload_of = pair
    expected = "one of the values its Literal allows"
    payloads = {payload_of(_value(value)): value for value in values}
    allowed = {(type(value), value): payload_of(_value(value)) for value in values}

    def text(value: Any) -> Any:
        payload = allowed.get((type(value), value)) if isinstance(value, Hashable) else None
        if payload is None:
            raise Mismatch(expected, value, f"another {type(value).__name__}")
        return payload

    def read(payload: Any) -> Any:
        value = payloads.get(f"{int_of(payload)}") if tag == "N" else None
        if value is None:
            raise Mismatch(expected, payload, "another value")
        return value

    members = _Members(payloads, expected, read)
    return Scalar(
        expected,
        tag,
        "{literal_text}({v})",
        "{members}[{x}]",
        names={"literal_text": text, "members": payloads},
        careful={"members": members},
        payload=bytes if tag == "B" else str,
    )


def _value(value: Any) -> Any:
    return value.value if isinstance(value, Enum) else value


def shape_of_times(form: TimeForm) -> Scalar:
    """The shape of datetimes that an option stores as a number, or as text of a format."""

    def written(value: Any) -> str:
        if not isinstance(value, datetime):
            raise Mismatch("datetime", value)
        utc = in_utc(value)
        try:
            return form.written(utc)
        except (OverflowError, ValueError):
            raise Mismatch("a datetime between the years 1 and 9999 in its zone", value) from None

    def read(text: str) -> datetime:
        try:
            return form.read(text)
        except (ValueError, OverflowError):
            raise Mismatch(f"a time as {form!r} writes it", text, "another one") from None

    shape = Scalar(
        "datetime", form.tag, "{time_text}({v})", "{time_of}({x})", names={"time_text": written, "time_of": read},
        classes=(Real.datetime,),
    )  # fmt: skip
    shape.form = form
    if form.unsorted:
        shape.remedy = form.unsorted
    return shape
