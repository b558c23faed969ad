"""The names and values that a request gives its expressions: put in, and each of them used. It must not know items.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.ExpressionAttributeNames.html
"""

from __future__ import annotations

import re
from typing import Any, Final

from dynamorm.engine.expressions.grammar import Path
from dynamorm.engine.refusal import Refusal, invalid
from dynamorm.engine.sizes import text_size
from dynamorm.engine.values.measure import Value, measure

MAX_PLACEHOLDER: Final = 255
MAX_VALUES: Final = 2 * 1024 * 1024

_name = re.compile(r"#[A-Za-z0-9_]+\Z").match
_value = re.compile(r":[A-Za-z0-9_]+\Z").match


class Places:
    """What stands behind the placeholders of one request, in the form in which values are stored."""

    __slots__ = ("names", "unused_names", "unused_values", "values")

    names: dict[str, str]
    unused_names: set[str]
    unused_values: set[str]
    values: dict[str, Value]

    def __init__(self, names: dict[str, str] | None, values: dict[str, Value] | None) -> None:
        self.names = names or {}
        self.values = values or {}
        self.unused_names = set(self.names)
        self.unused_values = set(self.values)
        if names is not None:
            _check_names(names)
        if values is not None:
            _check_values(values)

    def path(self, path: Path, kind: str) -> Path:
        """The path with its names put in. Raises: Refusal."""
        for part in path:
            if part.__class__ is str and part[0] == "#":
                return tuple(self._name(part, kind) if isinstance(part, str) else part for part in path)
        return path

    def _name(self, part: str, kind: str) -> str:
        if part[0] != "#":
            return part
        found = self.names.get(part)
        if found is None:
            raise invalid(
                f"Invalid {kind}: An expression attribute name used in the document path is not defined;"
                f" attribute name: {part}"
            )
        self.unused_names.discard(part)
        return found

    def value(self, name: str, kind: str) -> Value:
        """The value of a placeholder. Raises: Refusal."""
        found = self.values.get(name)
        if found is None:
            raise invalid(
                f"Invalid {kind}: An expression attribute value used in expression is not defined; attribute value: {name}"
            )
        self.unused_values.discard(name)
        return found

    def all_used(self) -> None:
        """Raise Refusal where a name or a value was given for nothing."""
        if self.unused_values:
            raise _unused("Values", self.unused_values)
        if self.unused_names:
            raise _unused("Names", self.unused_names)


NOTHING: Final = Places(None, None)
"""The placeholders of a request without any."""


def _unused(what: str, names: set[str]) -> Refusal:
    keys = ", ".join(sorted(names))
    return invalid(f"Value provided in ExpressionAttribute{what} unused in expressions: keys: {{{keys}}}")


def _check_names(names: dict[str, str]) -> None:
    if not names:
        raise invalid("ExpressionAttributeNames must not be empty")
    for key, name in names.items():
        if not _name(key):
            raise invalid(f'ExpressionAttributeNames contains invalid key: Syntax error; key: "{key}"')
        if len(key) > MAX_PLACEHOLDER:
            raise invalid("ExpressionAttributeNames contains invalid key: The key is too large")
        if not name:
            raise invalid(f"ExpressionAttributeNames contains invalid value: Empty attribute name for key {key}")
        if len(name) * 4 > 65_535 and text_size(name) > 65_535:
            raise invalid("ExpressionAttributeNames contains invalid value: The attribute name is too large")


def _check_values(values: dict[str, Any]) -> None:
    if not values:
        raise invalid("ExpressionAttributeValues must not be empty")
    size = 0
    for key, value in values.items():
        if not _value(key):
            raise invalid(f'ExpressionAttributeValues contains invalid key: Syntax error; key: "{key}"')
        if len(key) > MAX_PLACEHOLDER:
            raise invalid("ExpressionAttributeValues contains invalid key: The key is too large")
        try:
            size += measure(value)
        except Refusal as error:
            error.text = f"ExpressionAttributeValues contains invalid value: {error.text} for key {key}"
            raise
    if size > MAX_VALUES:
        raise invalid("ExpressionAttributeValues exceeded maximum size: Aggregated size of all values exceeds 2 MB")
