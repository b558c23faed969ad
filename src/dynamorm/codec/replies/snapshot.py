"""The reply to TransactGetItems: one entry for each item that was asked for. It must not know models."""

from __future__ import annotations

from typing import Final

from msgspec import UNSET as U
from msgspec import Raw, Struct, UnsetType
from msgspec import ValidationError as ShapeError
from msgspec.json import Decoder

from dynamorm.codec.strict import WRITE_REPLY, malformed, read_object


class _Response(Struct, gc=False):
    Item: Raw | UnsetType = U


class _Responses(Struct, gc=False):
    Responses: list[_Response | None]


_read: Final = Decoder(_Responses).decode
_EMPTY: Final = frozenset({b"{}", b"null"})


def read_responses(body: bytes, count: int) -> list[bytes | None]:
    """The JSON of each item, None where there is none.

    Raises: MalformedResponse unless there are ``count`` entries, each null or an object with nothing but an item.
    """
    parsed = read_object(body)
    reply: _Responses | None = None
    try:
        reply = _read(body)
    except ShapeError:
        reply = None
    if reply is None or parsed.keys() - {"Responses"} - WRITE_REPLY:
        raise malformed("it has no list of responses")
    if len(reply.Responses) != count or any(
        response and response.keys() != {"Item"} for response in parsed["Responses"]
    ):
        raise malformed("it has not one response for each item")
    return [
        None if response is None or response.Item is U or (raw := bytes(response.Item)) in _EMPTY else raw
        for response in reply.Responses
    ]
