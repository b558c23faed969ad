"""Wire values of what the library itself stores beside the model's fields: versions, times, tokens, tags."""

from __future__ import annotations

from base64 import b64encode
from datetime import datetime
from typing import Any

from .replies import dumps, raw_item, read_object
from .times import instant_text


def number_wire(value: int) -> dict[str, Any]:
    """``{"N": "5"}``."""
    return {"N": f"{value}"}


def text_wire(value: str) -> dict[str, Any]:
    """``{"S": "..."}``."""
    return {"S": value}


def bytes_wire(value: bytes) -> dict[str, Any]:
    """``{"B": base64}``."""
    return {"B": b64encode(value).decode()}


def time_wire(value: datetime) -> dict[str, Any]:
    """``{"S": "2024-01-01T00:00:00.123000000Z"}``."""
    return {"S": instant_text(value)}


def merged(raw: bytes, changes: dict[str, dict[str, Any] | None]) -> bytes:
    """The JSON of a stored item after changes to its attributes; None removes one."""
    wire = read_object(raw)
    for name, value in changes.items():
        if value is None:
            wire.pop(name, None)
        else:
            wire[name] = value
    return dumps(wire)


def item_of(body: bytes) -> bytes | None:
    """The JSON of the item in a GetItem reply, or None. Raises: MalformedResponse."""
    return raw_item(body, "Item")


def has_item(body: bytes) -> bool:
    """Whether a GetItem reply holds an item. Raises: MalformedResponse."""
    return raw_item(body, "Item") is not None
