"""What an answer says of itself: whether it shows something, and whether it is all that was asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import DecodeError, Raw, Struct
from msgspec.json import Decoder

if TYPE_CHECKING:
    from dynamorm.plugin import Call


class _Answer(Struct):
    Item: Raw = Raw()
    Count: int = 0
    LastEvaluatedKey: Raw = Raw()
    Responses: dict[str, list[Raw]] = {}
    UnprocessedKeys: dict[str, Raw] = {}


class _Keys(Struct):
    Keys: list[Raw] = []


class _Asked(Struct):
    RequestItems: dict[str, _Keys] = {}


_answer: Final = Decoder(_Answer).decode
_asked: Final = Decoder(_Asked).decode


def is_kept(call: Call, body: bytes, *, missing: bool) -> bool:
    """Whether an answer may be kept. ``missing``: also one that shows that something is not there."""
    try:
        answer = _answer(body)
        if call.name == "BatchGetItem":
            if answer.UnprocessedKeys:
                return False
            asked = sum(len(part.Keys) for part in _asked(call.body).RequestItems.values())
            return missing or asked == sum(map(len, answer.Responses.values()))
    except DecodeError:
        return False
    if missing:
        return True
    if call.name == "GetItem":
        return bool(bytes(answer.Item))
    # The last page of several may be empty. That a value has this text does no harm.
    return answer.Count > 0 or bool(bytes(answer.LastEvaluatedKey)) or b'"ExclusiveStartKey":' in call.body
