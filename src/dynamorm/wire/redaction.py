"""Requests without what they hold: the values of items. It must not know models."""

from __future__ import annotations

import re
from typing import Any, Final

_MASKED: Final = frozenset({"S", "N", "B", "BOOL", "NULL", "SS", "NS", "BS", "L", "M"})
_SECRETS: Final = frozenset({"ClientRequestToken", "NextToken", "ShardIterator"})
_LITERAL: Final = re.compile(r"'(?:[^']|'')*'|(?<![\w.\"])-?\d[\w.+-]*")
"""A text or a number in a PartiQL statement; not a part of a name."""


def redacted(body: Any) -> Any:
    """A request without any value of an item; names and the types of the values stay.

    Example: ``redacted({"Key": {"id": {"S": "p1"}}}) == {"Key": {"id": {"S": "?"}}}``
    """
    if isinstance(body, dict):
        if len(body) == 1 and (tag := next(iter(body))) in _MASKED:
            return {tag: "?"}
        return {name: "?" if name in _SECRETS else redacted(value) for name, value in body.items()}
    if isinstance(body, list):
        return [redacted(element) for element in body]
    return body


def without_literals(body: Any) -> Any:
    """The same, and without the texts and numbers in statements, which PartiQL takes too."""
    if isinstance(body, dict):
        return {
            name: _LITERAL.sub("?", value)
            if name == "Statement" and isinstance(value, str)
            else without_literals(value)
            for name, value in body.items()
        }
    return [without_literals(element) for element in body] if isinstance(body, list) else body
