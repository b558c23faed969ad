"""Requests: bytes become objects of the right types, or a SerializationException; bounds are checked, or a ValidationException.

`shapes.json` is made of botocore's service model by ``scripts/service_shapes.py``. Decoders and checks are made of it with the first
request of an operation. It must not know what operations do.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from typing import Any, Final, TypeAlias, TypedDict

import msgspec

from dynamorm.engine.refusal import Refusal, invalid, unreadable

DEEPEST: Final = 1000
"""Levels of nesting in a request, of which no item has more than 32."""

_NESTING: Final = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL).finditer

MAX_BODY: Final = 16 * 1024 * 1024

Check: TypeAlias = Callable[[Any, str, "list[str]"], None]
"""Adds to a list what is wrong with a value at a place."""

Fits: TypeAlias = Callable[[Any], bool]
"""Whether nothing is wrong with a value: found out in less time than what is."""


class AttributeValue(TypedDict, total=False):
    """A value in DynamoDB's JSON; null is nothing."""

    S: str | None
    N: str | None
    B: str | None
    SS: list[str] | None
    NS: list[str] | None
    BS: list[str] | None
    M: dict[str, AttributeValue] | None
    L: list[AttributeValue] | None
    NULL: bool | None
    BOOL: bool | None


_typed: Any = TypedDict
"""As a function: the members are data."""

_PLAIN: Final[dict[str, Any]] = {
    "value": AttributeValue,
    "text": str,
    "whole": int,
    "real": float,
    "bool": bool,
    "bytes": str,
    "time": float,
}


@cache
def _table() -> dict[str, Any]:
    found: dict[str, Any] = msgspec.json.decode(files("dynamorm.engine.shapes").joinpath("shapes.json").read_bytes())
    return found


@cache
def _type(name: str) -> Any:
    """The Python type that requests of a shape are decoded into."""
    kind, *rest = _table()["shapes"][name]
    if kind == "struct":
        return _typed(name, {member: _type(shape) | None for member, shape, _ in rest[0]}, total=False)
    if kind == "list":
        return list[_type(rest[0])]  # type: ignore[misc]  # as above
    return dict[str, _type(rest[0])] if kind == "map" else _PLAIN[kind]  # type: ignore[misc]  # as above


@cache
def reader(operation: str) -> Callable[[bytes], dict[str, Any]]:
    """The function that reads requests of an operation. It raises: Refusal."""
    name = _table()["operations"][operation]
    decode = msgspec.json.Decoder(_type(name)).decode
    check, fits = _check(name), _fits(name)

    def read(body: bytes) -> dict[str, Any]:
        if len(body) > MAX_BODY:
            raise unreadable("a request has 16 MB at most")
        if len(body) > DEEPEST and body.count(b"{") + body.count(b"[") > DEEPEST and _is_too_deep(body):
            raise unreadable(f"the request is nested deeper than {DEEPEST} levels")
        try:
            request: dict[str, Any] = decode(body)
        except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
            raise _unreadable(error) from error
        if fits is not None and not fits(request):
            wrong: list[str] = []
            assert check is not None  # as what fits
            check(request, "", wrong)
            plural = "s" if len(wrong) > 1 else ""
            raise invalid(f"{len(wrong)} validation error{plural} detected: {'; '.join(wrong)}")
        return request

    return read


def _is_too_deep(body: bytes) -> bool:
    """Whether some value is nested too deeply, whatever the interpreter's own stack can bear."""
    depth = 0
    for token in _NESTING(body):
        sign = token.group()
        if sign in b"{[":
            depth += 1
            if depth > DEEPEST:
                return True
        elif sign in b"}]":
            depth -= 1
    return False


def _unreadable(error: Exception) -> Refusal:
    """What is wrong with the bytes, without any of them."""
    if isinstance(error, msgspec.ValidationError):
        return unreadable(f"a member has the wrong type: {error}")
    if isinstance(error, RecursionError):
        return unreadable("the request is nested too deeply")
    return unreadable("the request is no JSON object that can be read")


def known(operation: str) -> bool:
    """Whether the service has an operation."""
    return operation in _table()["operations"]


@cache
def _fits(name: str) -> Fits | None:
    """As `_check`, of which it says only whether it would find anything."""
    check = _check(name)
    if check is None:
        return None
    kind, *rest = _table()["shapes"][name]
    if kind == "struct":
        return _fitting_struct(rest[0])
    if kind in ("list", "map"):
        return _fitting_many(_fits(rest[0]), *rest[1:])
    if kind == "text" and rest[2:] == [None, None]:  # bounds of a length, and nothing else
        least, most = rest[0] or 0, 2**62 if rest[1] is None else rest[1]
        return lambda text: least <= len(text) <= most

    def fits(value: Any) -> bool:
        wrong: list[str] = []
        check(value, "", wrong)
        return not wrong

    return fits


def _fitting_struct(members: list[Any]) -> Fits:
    required = [member for member, _, is_required in members if is_required]
    inner_of = {member: inner for member, shape, _ in members if (inner := _fits(shape)) is not None}

    def fits(value: dict[str, Any]) -> bool:
        for member in required:
            if value.get(member) is None:
                return False
        for member, given in value.items():
            inner = inner_of.get(member)
            if inner is not None and given is not None and not inner(given):
                return False
        return True

    return fits


def _fitting_many(inner: Fits | None, least: int | None, most: int | None) -> Fits:
    def fits(value: Any) -> bool:
        if not (least or 0) <= len(value) <= (len(value) if most is None else most):
            return False
        return inner is None or all(map(inner, value.values() if isinstance(value, dict) else value))

    return fits


@cache
def _check(name: str) -> Check | None:
    """The check of a shape, None where everything is right."""
    kind, *rest = _table()["shapes"][name]
    if kind == "struct":
        return _struct(rest[0])
    if kind in ("list", "map"):
        return _many(_check(rest[0]), *rest[1:])
    if kind == "text":
        return _text(*rest)
    return _whole(*rest) if kind == "whole" else None


def _struct(members: list[Any]) -> Check | None:
    found = [(member, _lower(member), required, _check(shape)) for member, shape, required in members]
    found = [one for one in found if one[2] or one[3] is not None]
    if not found:
        return None

    def check(value: dict[str, Any], place: str, wrong: list[str]) -> None:
        for member, lower, required, inner in found:
            given = value.get(member)
            if given is None:
                if required:
                    wrong.append(
                        f"Value null at '{place}{lower}' failed to satisfy constraint: Member must not be null"
                    )
            elif inner is not None:
                inner(given, f"{place}{lower}", wrong)

    def nested(value: dict[str, Any], place: str, wrong: list[str]) -> None:
        check(value, f"{place}." if place else "", wrong)

    return nested


def _lower(name: str) -> str:
    return name[:1].lower() + name[1:]


def _many(inner: Check | None, least: int | None, most: int | None) -> Check | None:
    if inner is None and least is None and most is None:
        return None

    def check(value: Any, place: str, wrong: list[str]) -> None:
        _bounds(len(value), value, place, wrong, (least, most), "length")
        if inner is not None:
            pairs = value.items() if isinstance(value, dict) else enumerate(value, 1)
            for key, one in pairs:
                inner(one, f"{place}.{key}.member", wrong)

    return check


def _bounds(
    size: int, value: Any, place: str, wrong: list[str], bounds: tuple[int | None, int | None], what: str
) -> None:
    least, most = bounds
    if least is not None and size < least:
        wrong.append(_said(value, place, f"Member must have {what} greater than or equal to {least}"))
    if most is not None and size > most:
        wrong.append(_said(value, place, f"Member must have {what} less than or equal to {most}"))


def _said(value: Any, place: str, rule: str) -> str:
    shown = value if isinstance(value, (str, int)) else "[...]" if value else "[]"
    return f"Value '{shown}' at '{place}' failed to satisfy constraint: {rule}"


def _text(least: int | None, most: int | None, pattern: str | None, words: list[str] | None) -> Check | None:
    if least is None and most is None and pattern is None and words is None:
        return None
    allowed = None if words is None else frozenset(words)
    match = None if pattern is None else re.compile(pattern).fullmatch

    def check(value: str, place: str, wrong: list[str]) -> None:
        if allowed is not None and value not in allowed:
            wrong.append(_said(value, place, f"Member must satisfy enum value set: [{', '.join(sorted(allowed))}]"))
        if (least is not None or most is not None) and not (least or 0) <= len(value) <= (most or len(value)):
            _bounds(len(value), value, place, wrong, (least, most), "length")
        if match is not None and not match(value):
            wrong.append(_said(value, place, f"Member must satisfy regular expression pattern: {pattern}"))

    return check


def _whole(least: int | None, most: int | None) -> Check | None:
    if least is None and most is None:
        return None
    return lambda value, place, wrong: _bounds(value, value, place, wrong, (least, most), "value")
