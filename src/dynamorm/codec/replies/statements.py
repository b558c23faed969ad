"""PartiQL's parameters and replies: Python values to wire values by their type, pages and responses read strictly.

It must not know models or verbs.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

from msgspec import UNSET as U
from msgspec import Raw, Struct, UnsetType
from msgspec.json import Decoder

from dynamorm.codec.strict import check_item, malformed, read_object
from dynamorm.codec.types.document import from_wire, to_wire
from dynamorm.codec.types.mismatch import Mismatch
from dynamorm.codec.types.times import instant_text
from dynamorm.errors import ValidationError

_PAGE: Final = frozenset({"Items", "NextToken", "LastEvaluatedKey", "ConsumedCapacity"})
_RESPONSES: Final = frozenset({"Responses", "ConsumedCapacity"})


def parameter(value: Any, place: int) -> dict[str, Any]:
    """The wire value of a parameter, as an attribute of that type would store it. Raises: ValidationError."""
    failed: Mismatch | None = None
    try:
        if isinstance(value, datetime):
            return {"S": instant_text(value)}
        if isinstance(value, (date, UUID)):
            return {"S": str(value)}
        wire = to_wire(value)
    except Mismatch as error:
        failed = error
    else:
        if isinstance(value, (set, frozenset)) and not value:
            raise ValidationError(f"parameter {place + 1} is an empty set, which DynamoDB does not have")
        return wire
    raise ValidationError(f"parameter {place + 1} {failed.text}")


def plain_item(raw: bytes) -> dict[str, Any]:
    """An item as a dict of plain Python values. Raises: MalformedResponse."""
    item = read_object(raw)
    check_item(item)
    wrong = False
    try:
        return {name: from_wire(wire) for name, wire in item.items()}
    except Mismatch:
        wrong = True
    assert wrong
    raise malformed("an item holds a value of no known form")


class _Items(Struct, gc=False):
    Items: list[Raw]


class _Response(Struct, gc=False):
    Item: Raw | UnsetType = U


class _Responses(Struct, gc=False):
    Responses: list[_Response]


_items: Final = Decoder(_Items).decode
_responses: Final = Decoder(_Responses).decode


def read_statement(body: bytes) -> tuple[list[bytes], str | None]:
    """A reply to ExecuteStatement: the JSON of each item, and the token to go on with.

    Raises: MalformedResponse.
    """
    reply = read_object(body)
    items, token = reply.get("Items"), reply.get("NextToken")
    if reply.keys() - _PAGE or not isinstance(items, list):
        raise malformed("it is no page of items")
    if token is not None and not isinstance(token, str):
        raise malformed("its NextToken is no text")
    for item in items:
        check_item(item)
    return [bytes(raw) for raw in _items(body).Items], token or None


def read_responses(body: bytes, count: int, *, reads: bool) -> list[bytes | None]:
    """A reply to ExecuteTransaction of ``count`` statements: the JSON of each item, None where there is none.

    Raises: MalformedResponse.
    """
    reply = read_object(body)
    responses = reply.get("Responses")
    if reply.keys() - _RESPONSES or not isinstance(responses, list):
        raise malformed("it holds no Responses")
    # Writes are answered with an empty entry each, or with none at all.
    if len(responses) != count and (reads or responses):
        raise malformed("it does not have one response for each statement")
    for response in responses:
        if not isinstance(response, dict) or response.keys() - {"Item"}:
            raise malformed("a response is no response")
        if "Item" in response:
            if not reads:
                raise malformed("a write is answered with an item")
            check_item(response["Item"])
    if not responses:
        return [None] * count
    return [None if answer.Item is U else bytes(answer.Item) for answer in _responses(body).Responses]
