"""Strict reading of replies: a JSON object without duplicate keys, or `MalformedResponse`. Never "nothing" by mistake.

It must not know models.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from functools import lru_cache
from typing import Any, Final

from msgspec import UNSET as U
from msgspec import DecodeError, Raw, Struct, UnsetType
from msgspec import ValidationError as ShapeError
from msgspec.json import Decoder, Encoder

from dynamorm.errors import MalformedResponse

dumps: Final = Encoder().encode
_dump_into: Final = Encoder().encode_into
_parse: Final = Decoder().decode


def json_of(value: Any) -> bytes | None:
    """JSON, or None for text that is not Unicode. The exception would hold the text, so it is not passed on."""
    try:
        return dumps(value)
    except UnicodeEncodeError:
        return None


def dumps_each(values: list[Any]) -> list[bytes]:
    """The JSON of each of many values, written into one buffer: none of them has to grow first."""
    buffer = bytearray()
    texts = []
    for value in values:
        _dump_into(value, buffer)
        texts.append(bytes(buffer))
    return texts


def as_sent(body: bytes, head: bytes, raws: list[bytes], consumed: Any = U) -> list[bytes]:
    """The JSON of the items that follow ``head``, as it stands in ``body``.

    ``raws`` are the items written again, each as long as it stands there; ``consumed`` is the ``ConsumedCapacity``, which
    may come before them. Raises: ValueError when ``head`` is not there, or in ``consumed`` too.
    """
    if consumed is not U and head in bytes(consumed):
        raise ValueError
    start = body.index(head) + len(head)
    texts = []
    for raw in raws:
        end = start + len(raw)
        texts.append(body[start:end])
        start = end + 1  # after the comma
    return texts


WRITE_REPLY: Final = frozenset({"ConsumedCapacity", "ItemCollectionMetrics"})
"""What may stand in a reply that holds no item."""


def read_object(body: bytes) -> dict[str, Any]:
    """A reply or error body as a dict.

    Raises: MalformedResponse when it is not a JSON object in UTF-8, or has a key twice at any level.
    """
    # Errors of a parser hold the text they failed on; none is kept, not even as the context of ours.
    value: Any = U
    proven = False
    try:
        value = _parse(body)
        # Re-encoding drops a duplicate key, so equal bytes prove that there is none.
        proven = value.__class__ is dict and dumps(value) == body
    except (DecodeError, ValueError, RecursionError):
        value = U
    if value is U:
        raise malformed("it is not valid JSON")
    if value.__class__ is not dict:
        raise malformed(f"it is a JSON {_kind(value)}, not an object")
    if not proven:
        _refuse_duplicates(body)
    members: dict[str, Any] = value
    return members


def _refuse_duplicates(body: bytes) -> None:
    """The final decision, for JSON that is written in another style than ours (white space, escapes, exponents)."""
    try:
        from json import loads  # only where the fast path was not sure: it costs a millisecond at import

        loads(bytes(body).decode(), object_pairs_hook=_pairs, parse_float=str, parse_int=str, parse_constant=str)
    except (ValueError, RecursionError):
        reason = "it is not valid JSON"
    except _SameKey:
        reason = "it has the same key twice"
    else:
        return
    raise malformed(reason)


class _SameKey(Exception):
    """An object has a key twice."""


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _SameKey
    return members


LONGEST_PROVEN: Final = 8192
"""Bytes of a `ConsumedCapacity` that is proven by itself: that of a table with 25 indexes of the longest names has fewer."""


@lru_cache(maxsize=256)
def _prove(text: bytes) -> None:
    if len(text) > LONGEST_PROVEN:
        raise malformed("a member is too long to be remembered")  # and what is raised is not
    if dumps(_parse(text)) != text:
        _refuse_duplicates(text)


_last = Raw(b"null")
"""What was proven last: a table answers with the same few texts again and again, and mostly with the one before."""


def prove(consumed: Raw) -> None:
    """Make certain that a member which the typed decoders pass over undecoded is JSON in which no key comes twice.

    Raises: MalformedResponse, or what the parser raises; the careful path then tells.
    """
    global _last  # noqa: PLW0603 - one of them is as good as another
    if consumed != _last:
        _prove(bytes(consumed))
        _last = consumed.copy()  # without the reply that it is a part of


_BEFORE: Final = len(b'{"ConsumedCapacity":')
_C: Final = ord("C")


def beside(body: bytes, start: int, consumed: Raw) -> bytes:
    """The JSON of the item in a reply that has just it and ``ConsumedCapacity``, in either order, as the lengths have shown.

    ``start`` is where the item would begin without it. Raises: as `prove`.
    """
    if consumed != _last:
        prove(consumed)
    size = _BEFORE + len(consumed)
    return body[size + start : -1] if body[2] == _C else body[start : -1 - size]


def only_consumed(body: bytes, consumed: Raw) -> bool:
    """Whether a reply has no other member than this ``ConsumedCapacity``. Raises: as `prove`."""
    prove(consumed)
    return len(body) == _BEFORE + len(consumed) + 1


def _kind(value: Any) -> str:
    names = {list: "array", str: "string", bool: "boolean", type(None): "null"}
    return names.get(type(value), "number")


def malformed(reason: str) -> MalformedResponse:
    """The error for an answer that is refused; the reason never quotes the answer."""
    return MalformedResponse(f"the answer cannot be believed: {reason}")


def expect_empty(body: bytes, allowed: Iterable[str] = WRITE_REPLY) -> dict[str, Any]:
    """The reply of a write that asked for no values: an object with nothing in it but ``allowed``.

    Raises: MalformedResponse for anything else, also for an empty body.
    """
    if body == b"{}":
        return {}
    reply = read_object(body)
    for name in reply:
        if name not in allowed:
            raise malformed("it has members that this operation does not answer with")
    return reply


class _Consumed(Struct, gc=False):
    ConsumedCapacity: Raw | UnsetType = U


_consumed: Final = Decoder(_Consumed).decode


def holds_nothing(body: bytes) -> bool:
    """Whether this is plainly the reply of a write that asked for no values, if for the capacity that it consumed.

    False means that it is not certain: `expect_empty` decides.
    """
    if body == b"{}":
        return True
    with suppress(Exception):
        consumed = _consumed(body).ConsumedCapacity
        return consumed is not U and only_consumed(body, consumed)
    return False


class RawItem(Struct, gc=False):
    """Where an item stands in the reply to a single operation."""

    Item: Raw | UnsetType = U
    Attributes: Raw | UnsetType = U


class RawPage(Struct, gc=False, kw_only=True):
    """A reply with several items."""

    Items: list[Raw] | UnsetType = U
    Count: int
    ScannedCount: int | UnsetType = U
    LastEvaluatedKey: Raw | UnsetType = U


parts_of: Final = Decoder(dict[str, Raw]).decode
"""The attributes of a stored item that has been read before, undecoded."""


def decoded(raw: Raw) -> Any:
    """The value of one of them."""
    return _parse(raw)


_raw_item: Final = Decoder(RawItem).decode
_raw_page: Final = Decoder(RawPage).decode


def member_of(body: bytes, name: str) -> tuple[bytes, dict[str, Any]] | None:
    """The JSON and the (unchecked) value of the one map in a reply, or None when the reply has none.

    Raises: MalformedResponse unless the body is an object in which ``name`` is an object, or absent with nothing instead.
    """
    reply = read_object(body)
    if name not in reply:
        # Something else instead of the item is no way to say that there is none.
        if reply.keys() - WRITE_REPLY:
            raise malformed("it has members that this operation does not answer with")
        return None
    item = reply[name]
    if item.__class__ is not dict:
        raise malformed("an item is no map of attribute values")
    return bytes(getattr(_raw_item(body), name)), item


def raw_item(body: bytes, member: str) -> bytes | None:
    """The JSON of the one item of a reply, or None when the reply has none.

    Raises: MalformedResponse unless the body is an object in which ``member`` is absent or a map of attribute values.
    """
    pair = member_of(body, member)
    if pair is None:
        return None
    check_item(pair[1])
    return pair[0]


class PageJson(Struct, gc=False):
    """A page as it came: the JSON and the (unchecked) values of its items, its last key and its counts."""

    raws: list[bytes]
    items: list[Any]
    last_key: bytes | None
    count: int
    scanned: int


def raw_page(body: bytes, *, count_only: bool = False) -> PageJson:
    """Read a page.

    Raises: MalformedResponse unless ``Items`` is a list, as long as ``Count`` (or absent, with ``count_only``).
    """
    reply = read_object(body)
    page: RawPage | None = None
    with suppress(ShapeError):
        page = _raw_page(body)
    if page is None:
        raise malformed("it is no page of items")
    items = reply.get("Items", [])
    if (count_only == ("Items" in reply)) or (not count_only and len(items) != page.Count):
        raise malformed("Items and Count do not agree")
    raws = [] if page.Items is U else [bytes(item) for item in page.Items]
    return PageJson(raws, items, last_key(page.LastEvaluatedKey), page.Count, scanned(page))


def last_key(raw: Any) -> bytes | None:
    """The raw key to go on from, checked on its own; an empty one means the same as none: nothing is left.

    Raises: MalformedResponse.
    """
    if raw is U:
        return None
    key = bytes(raw)
    attributes = read_object(key)
    check_item(attributes)
    return key if attributes else None


def scanned(page: Any) -> int:
    """How many items were looked at; emulators leave it out."""
    count: int = page.Count
    if count < 0:
        raise malformed("Count is negative")
    return count if page.ScannedCount is U else max(page.ScannedCount, count)


def read_count(body: bytes) -> tuple[int, int, bytes | None]:
    """The reply to ``Select=COUNT``: count, scanned count and last key.

    Raises: MalformedResponse.
    """
    page = raw_page(body, count_only=True)
    return page.count, page.scanned, page.last_key


def check_item(item: Any) -> None:
    """Raise MalformedResponse unless this is a map of attribute values, in form."""
    try:
        fine = item.__class__ is dict and all(map(_is_value, item.values()))
    except RecursionError:
        fine = False
    if not fine:
        raise malformed("an item is no map of attribute values")


def _is_value(value: Any) -> bool:
    if value.__class__ is not dict or len(value) != 1:
        return False
    ((tag, payload),) = value.items()
    if tag in ("S", "N", "B"):
        return payload.__class__ is str
    if tag == "L":
        return payload.__class__ is list and all(map(_is_value, payload))
    if tag == "M":
        return payload.__class__ is dict and all(map(_is_value, payload.values()))
    if tag == "BOOL":
        return payload.__class__ is bool
    if tag == "NULL":
        return payload is True
    return (
        tag in ("SS", "NS", "BS") and payload.__class__ is list and all(element.__class__ is str for element in payload)
    )
