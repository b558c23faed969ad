"""Answers that are kept and given again, equal type for type, and the one form of a payload by which that is known again (`marks`).

Both are JSON in which every value says of which type it is. JSON's own types, bytes, Decimal, datetime, date, UUID and the
library's Money are known; anything else is refused, by its type alone.
"""

from __future__ import annotations

import math
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from importlib import import_module
from typing import Any, Final
from uuid import UUID

from msgspec.json import decode as read
from msgspec.json import encode as write

from dynamorm.errors import IntegrityError, ValidationError

DEPTH: Final = 64
"""How deep a value may be nested."""

LONGEST_INT: Final = 4096
"""Bits of an int: Python itself refuses to write one of many thousands."""

MOST_DIGITS: Final = 390
"""Digits of the minor units of Money: it is read again with up to 400."""

KNOWN: Final = (
    "None, bool, int, float, str, bytes, Decimal, datetime, date, UUID, Money, list, tuple, and dict with texts as keys"
)

Tagged = Any
"""A value in its form with types: None, a bool, a text, a list, or a dict with one entry that names the type."""


def encoded(value: Any, what: str) -> bytes:
    """An answer as it is stored. Raises: ValidationError, which names the type that is not known."""
    return _text(_tagged(value, what, 0, ordered=False), what)


def decoded(data: bytes) -> Any:
    """The answer that was stored. Raises: IntegrityError."""
    try:
        return _untagged(read(data))
    except (ValueError, ArithmeticError, TypeError, KeyError, AttributeError, ImportError, ValidationError):
        raise IntegrityError("a stored answer of an idempotent operation cannot be read") from None


def canonical(value: Any, what: str = "payload") -> bytes:
    """A payload in one form: the order of keys does not count, types do, numbers and times count by value. Raises: ValidationError."""
    return _text(_tagged(value, what, 0, ordered=True), what)


def _text(tagged: Tagged, what: str) -> bytes:
    try:
        return write(tagged)
    except UnicodeEncodeError:
        raise ValidationError(f"{what} holds a text that is no Unicode (a lone surrogate)", field=what) from None


def _tagged(value: Any, what: str, depth: int, *, ordered: bool) -> Tagged:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str.__str__(value)
    if depth > DEPTH:
        raise ValidationError(f"{what} is nested deeper than {DEPTH}: keep less of it", field=what)
    if isinstance(value, (list, tuple)):
        return [_tagged(one, what, depth + 1, ordered=ordered) for one in value]
    if isinstance(value, Mapping):
        return {"m": _entries(value, what, depth, ordered=ordered)}
    for kind, tag, form in _KINDS:
        if isinstance(value, kind):
            return {tag: form(value, what, ordered=ordered)}
    if _is_money(type(value)):
        return {"M": _money_form(value, what)}
    raise ValidationError(f"{what} holds a {type(value).__name__}; what can be kept is {KNOWN}", field=what)


def _entries(value: Mapping[Any, Any], what: str, depth: int, *, ordered: bool) -> list[list[Tagged]]:
    if not all(isinstance(name, str) for name in value):
        raise ValidationError(f"{what} holds a dict with keys that are no texts: make them texts", field=what)
    names = sorted(value) if ordered else list(value)
    return [[str.__str__(name), _tagged(value[name], what, depth + 1, ordered=ordered)] for name in names]


def _int(value: int, what: str, **_: bool) -> str:
    if value.bit_length() > LONGEST_INT:
        raise ValidationError(f"{what} holds an int of more than {LONGEST_INT} bits", field=what)
    return str(int(value))


def _float(value: float, what: str, **_: bool) -> str:
    if not math.isfinite(value):
        raise ValidationError(f"{what} holds a float that is no number (NaN or infinite)", field=what)
    return (value + 0.0).hex()  # -0.0 and 0.0 are one


def _decimal(value: Decimal, what: str, *, ordered: bool) -> str:
    if not value.is_finite():
        raise ValidationError(f"{what} holds a Decimal that is no number (NaN or infinite)", field=what)
    if not ordered:
        return str(value)
    sign, digits, exponent = value.as_tuple()
    text = "".join(map(str, digits)).lstrip("0")
    whole = text.rstrip("0")
    if not whole:
        return "0"
    return f"{'-' * sign}{whole}e{int(exponent) + len(text) - len(whole)}"


def _time(value: datetime, what: str, *, ordered: bool) -> str:
    if value.utcoffset() is None:
        raise ValidationError(f"{what} holds a datetime without a time zone: datetime.now(UTC) has one", field=what)
    try:
        return (value.astimezone(UTC) if ordered else _with_plain_zone(value)).isoformat()
    except OverflowError:
        raise ValidationError(f"{what} holds a datetime that UTC has no year for", field=what) from None


def _with_plain_zone(value: datetime) -> datetime:
    """A time by its offset: the name of a zone is not kept."""
    return datetime.fromisoformat(value.isoformat())


_KINDS: Final[tuple[tuple[type[Any], str, Callable[..., Any]], ...]] = (
    (int, "i", _int),
    (float, "f", _float),
    (Decimal, "d", _decimal),
    (bytes, "b", lambda value, _what, **_: b64encode(value).decode()),
    (datetime, "t", _time),
    (date, "D", lambda value, _what, **_: value.isoformat()),
    (UUID, "u", lambda value, _what, **_: str(value)),
)


def _is_money(kind: type[Any]) -> bool:
    """Whether a type is the library's Money, which this module must not import: it stands above."""
    return kind.__name__ == "Money" and kind.__module__.startswith("dynamorm.payments")


def _money_form(value: Any, what: str) -> list[str]:
    if abs(value.cents) >= 10**MOST_DIGITS:
        raise ValidationError(f"{what} holds Money of more than {MOST_DIGITS} digits", field=what)
    return [str(value.amount), value.currency]


def _money(parts: list[str]) -> Any:
    """Money that was kept: also of a currency that was withdrawn since, or of a size that an int64 does not hold."""
    text, currency = parts
    kind, amount = import_module("dynamorm.payments").Money, Decimal(text)
    money = kind(amount, currency, historic=True, wide=True)
    return money if abs(money.cents) >= 2**63 else kind(amount, currency, historic=True)


_READERS: Final[dict[str, Callable[[Any], Any]]] = {
    "m": lambda entries: {name: _untagged(value) for name, value in entries},
    "i": int,
    "f": float.fromhex,
    "d": Decimal,
    "b": lambda text: b64decode(text, validate=True),
    "t": datetime.fromisoformat,
    "D": date.fromisoformat,
    "u": UUID,
    "M": _money,
}


def _untagged(tagged: Tagged) -> Any:
    if isinstance(tagged, list):
        return [_untagged(one) for one in tagged]
    if isinstance(tagged, dict):
        ((tag, form),) = tagged.items()
        return _READERS[tag](form)
    return tagged
