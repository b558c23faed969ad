"""What JSON's readers let pass and the service does not: a member that comes twice. It must not know shapes."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from dynamorm.engine.refusal import unreadable

_members: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"\s*+(:?)').findall
_decode: Final = msgspec.json.Decoder().decode


def refuse_duplicates(body: bytes) -> None:
    """Raise Refusal where an object of a request has a member twice; what cannot be read at all is left to who reads it."""
    try:
        decoded: Any = _decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return
    said, found, waiting = _members(body).count(b":"), 0, [decoded]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            found += len(one)
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one
    if said != found:
        raise unreadable("a member comes twice in one object")
