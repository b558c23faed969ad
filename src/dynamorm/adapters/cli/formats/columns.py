"""The columns of items that have no fixed shape: which attributes there are, of which types, and how numbers may be held."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from ..plain import Wire
from .manifest import Column

TAGS: Final = ("S", "N", "B", "BOOL", "NULL", "L", "M", "SS", "NS", "BS")
_INT64: Final = 18
"""Digits that fit into 64 bits in any case."""
_EXACT: Final = 15
"""Digits of whole numbers that a double holds exactly in any case."""

Seen = dict[str, dict[str, str]]
"""Of each attribute its types; of numbers the kinds: i and l whole ones (l: longer than a double holds), f doubles, t others."""


def see(seen: Seen, item: Mapping[str, Wire]) -> None:
    """Add the attributes of an item."""
    for name, wire in item.items():
        ((tag, value),) = wire.items()
        types = seen.setdefault(name, {})
        if tag != "N":
            types[tag] = ""
        else:
            kinds, kind = types.get("N", ""), _kind(value)
            if kind not in kinds:
                types["N"] = kinds + kind


def _kind(text: str) -> str:
    if is_int(text):
        return "i" if len(text) <= _EXACT else "l"
    return "f" if number_text(float(text)) == text else "t"


def number_type(kinds: str) -> str:
    """What holds numbers of all these kinds exactly: int, float, or text."""
    if "t" in kinds or ("l" in kinds and "f" in kinds):
        return "text"
    return "float" if "f" in kinds else "int"


def merge(parts: Iterable[Seen]) -> Seen:
    """The attributes of several parts."""
    merged: Seen = {}
    for seen in parts:
        for name, types in seen.items():
            mine = merged.setdefault(name, {})
            for tag, kinds in types.items():
                mine[tag] = "".join(sorted({*mine.get(tag, ""), *kinds}))
    return merged


def is_int(text: str) -> bool:
    """Whether a number is a whole one of 64 bits, as DynamoDB writes it."""
    digits = text.removeprefix("-")
    return digits.isdecimal() and len(digits) <= _INT64


def number_text(value: float) -> str:
    """A float as DynamoDB writes the number."""
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)


def columns_of(seen: Seen, *, with_null: bool) -> list[Column]:
    """The columns, by name. An attribute of several types has one for each; ``with_null``: NULL is a type for itself."""
    columns: list[Column] = []
    for name in sorted(seen):
        types = sorted(seen[name], key=TAGS.index)
        if not with_null and len(types) > 1:
            types = [tag for tag in types if tag != "NULL"]
        typed = len(types) > 1 or type_of(name) is not None
        columns += [Column(name, tag, f"{name}:{tag}" if typed else name) for tag in types]
    return columns


def type_of(head: str) -> tuple[str, str] | None:
    """The attribute and the type that the head of a column names; None where it names no type."""
    name, colon, tag = head.rpartition(":")
    return (name, tag) if colon and name and tag in TAGS else None


def column_of(head: str, types: Mapping[str, str]) -> Column:
    """The column of a file without a manifest. ``types`` are those that are known by the attribute; a text is what is left."""
    found = type_of(head)
    if found is not None:
        return Column(found[0], found[1], head)
    return Column(head, types.get(head, "S"), head)


def tag_of(wire: Wire) -> tuple[str, Any]:
    """The type and the value."""
    ((tag, value),) = wire.items()
    return tag, value
