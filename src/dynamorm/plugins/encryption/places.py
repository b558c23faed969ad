"""Where an item that was read is stored, as far as encrypted fields look at it."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable, Mapping
from typing import Any


def text_of(wire: dict[str, Any] | None) -> Any:
    """The text of a key, or its bytes."""
    if wire is None:
        return None
    if "B" in wire:
        value = wire["B"]
        return b64decode(value) if isinstance(value, str) else value
    return wire.get("S")


class Read:
    """Where an item that was read is stored. ``get`` gives an attribute of it by its stored name."""

    __slots__ = ("_names", "attribute", "scope")

    def __init__(
        self, names: tuple[str, ...], get: Callable[[str], dict[str, Any] | None], scope: Mapping[str, str]
    ) -> None:
        self._names = names
        self.attribute: Callable[[str], dict[str, Any] | None] = get
        self.scope: Mapping[str, str] = scope

    @property
    def key(self) -> tuple[tuple[str, str, bytes], ...]:
        """As `dynamorm.codec.placing.Place.key`."""
        found = []
        for name in self._names:
            ((kind, value),) = (self.attribute(name) or {"S": ""}).items()
            text: Any = value
            found.append(
                (name, kind, text.encode() if kind != "B" else b64decode(text) if isinstance(text, str) else text)
            )
        return tuple(found)
