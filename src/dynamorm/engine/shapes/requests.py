"""Requests: bytes become objects of the right types, or a SerializationException; bounds are checked, or a ValidationException.

`shapes.json` is made of botocore's service model by ``scripts/service_shapes.py``. Decoders and checks are made of it with the first
request of an operation. It must not know what operations do.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from types import GenericAlias
from typing import Annotated, Any, Final, Literal, NotRequired, Required, TypeAlias, TypedDict

import msgspec

from dynamorm.engine.refusal import Refusal, invalid, unreadable
from dynamorm.engine.shapes.forms import ITEM, TAKEN, AttributeValue

DEEPEST: Final = 1000
"""Levels of nesting in a request, of which no item has more than 32."""

_strings: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL).sub
_NO_SIGN: Final = bytes(set(range(256)) - set(b"[]{}"))
_ALIKE: Final = bytes.maketrans(b"{}", b"[]")
_OPENS: Final = ord("[")

MAX_BODY: Final = 16 * 1024 * 1024

Check: TypeAlias = Callable[[Any, str, "list[str]"], None]
"""Adds to a list what is wrong with a value at a place."""


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
def _exact(name: str, *, raw: bool = False) -> Any:
    """As `_type`, of requests with which nothing is wrong. ``raw``: what is put comes as an object, its item as bytes."""
    kind, *rest = _table()["shapes"][name]
    if kind == "struct":
        if raw and any(member == ITEM for member, _, _ in rest[0]):
            return _put(name, rest[0])
        members = {
            member: Required[_exact(shape, raw=raw)] if required else NotRequired[_exact(shape, raw=raw) | None]
            for member, shape, required in rest[0]
        }
        return _typed(name, members, total=False)
    if kind in ("list", "map"):
        inner: Any = _exact(rest[0], raw=raw)
        return _bounded(
            GenericAlias(list, inner) if kind == "list" else GenericAlias(dict, (str, inner)), "length", *rest[1:]
        )
    if kind == "whole":
        return _bounded(int, "", *rest)
    if kind != "text":
        return _PLAIN[kind]
    least, most, pattern, words = rest
    if words is not None:
        return Literal[tuple(words)]
    found = _bounded(str, "length", least, most)
    return found if pattern is None else Annotated[found, msgspec.Meta(pattern=rf"\A(?:{pattern})\Z")]


def _put(name: str, members: list[Any]) -> Any:
    """The object that a put comes as."""
    fields: list[Any] = [
        (member, msgspec.Raw if member == ITEM else _exact(shape)) if required else (member, _exact(shape) | None, None)
        for member, shape, required in members
    ]
    return msgspec.defstruct(name, fields, kw_only=True, gc=False)


def _bounded(of: Any, what: str, least: int | None, most: int | None) -> Any:
    """A type with bounds, where it has any."""
    if least is None and most is None:
        return of
    return Annotated[of, msgspec.Meta(min_length=least, max_length=most) if what else msgspec.Meta(ge=least, le=most)]


@cache
def reader(operation: str) -> Callable[[bytes], dict[str, Any]]:
    """The function that reads requests of an operation. It raises: Refusal."""
    name = _table()["operations"][operation]
    return _reader(name, msgspec.json.Decoder(_exact(name)).decode)


@cache
def quick_reader(operation: str) -> Callable[[bytes], dict[str, Any]]:
    """As `reader`; items that are put come as `dynamorm.engine.shapes.forms.Alike` where they fit a form."""
    take = TAKEN.get(operation)
    if take is None:
        return reader(operation)
    name = _table()["operations"][operation]
    decode = msgspec.json.Decoder(_exact(name, raw=True)).decode
    return _reader(name, lambda body: take(decode(body)))


def _reader(name: str, exact: Callable[[bytes], dict[str, Any]]) -> Callable[[bytes], dict[str, Any]]:
    """The reader of a shape; what ``exact`` does not read is read once more, to say what is wrong with it."""

    def read(body: bytes) -> dict[str, Any]:
        if len(body) > MAX_BODY:
            raise unreadable("a request has 16 MB at most")
        if len(body) > DEEPEST and body.count(b"{") + body.count(b"[") > DEEPEST and _is_too_deep(body):
            raise unreadable(f"the request is nested deeper than {DEEPEST} levels")
        try:
            return exact(body)
        except (msgspec.DecodeError, RecursionError, UnicodeError):
            return _read_with_care(name, body)

    return read


@cache
def _loose(name: str) -> Callable[[bytes], dict[str, Any]]:
    decode: Callable[[bytes], dict[str, Any]] = msgspec.json.Decoder(_type(name)).decode
    return decode


def _read_with_care(name: str, body: bytes) -> dict[str, Any]:
    """A request with which something is wrong. Raises: Refusal with everything that is."""
    try:
        request = _loose(name)(body)
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        raise _unreadable(error) from error
    check = _check(name)
    wrong: list[str] = []
    if check is not None:
        check(request, "", wrong)
    if name == "QueryInput":  # the one operation that says so
        wrong = [one.replace("Value '0' at 'limit'", "Value at 'Limit'") for one in wrong]
    if wrong:
        plural = "s" if len(wrong) > 1 else ""
        raise invalid(f"{len(wrong)} validation error{plural} detected: {'; '.join(wrong)}")
    return request


def _is_too_deep(body: bytes) -> bool:
    """Whether some value is nested too deeply, whatever the interpreter's own stack can bear."""
    signs = _strings(b"", body).translate(_ALIKE, _NO_SIGN)
    left = DEEPEST
    while signs:  # the innermost level of all values at once, while most are there
        inner = signs.replace(b"[]", b"")
        if len(inner) > len(signs) // 4 * 3:
            break
        signs, left = inner, left - 1
    depth = 0
    for sign in signs:
        depth += 1 if sign == _OPENS else -1
        if depth > left:
            return True
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
