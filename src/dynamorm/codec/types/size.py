"""What DynamoDB refuses of an item for its size or its form. It must not know models. What it counts is in `dynamorm.engine.sizes`.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
"""

from __future__ import annotations

from typing import Any

from dynamorm.engine.sizes import MAX_NAME, text_size

from .document import MAX_DEPTH, Wire
from .mismatch import Mismatch


def check_nesting(item: dict[str, Any]) -> None:
    """Raise Mismatch when lists and maps nest deeper than DynamoDB allows."""
    level = [value for value in item.values() if "L" in value or "M" in value]
    for _ in range(MAX_DEPTH):
        if not level:
            return
        inner: list[Any] = []
        for value in level:
            inner.extend(value["L"] if "L" in value else value["M"].values())
        level = [value for value in inner if "L" in value or "M" in value]
    if level:
        raise Mismatch(f"nested at most {MAX_DEPTH} levels deep", item, "deeper nesting")


def check_names(item: dict[str, Any]) -> None:
    """Raise Mismatch when an attribute's name is longer than DynamoDB allows."""
    for name, value in item.items():
        if len(name) * 4 > MAX_NAME and len(name.encode()) > MAX_NAME:
            raise Mismatch(f"a name of at most {MAX_NAME} bytes", name, "a longer one")
        if "M" in value:
            check_names(value["M"])
        elif "L" in value:
            check_names({str(number): element for number, element in enumerate(value["L"])})


def check_key(wire: Wire, limit: int) -> None:
    """Raise Mismatch when a key attribute is empty, too long or of a type DynamoDB does not take."""
    ((tag, value),) = wire.items()
    if tag == "N":
        return
    if tag not in ("S", "B"):
        raise Mismatch("stored as S, N or B to be a key", value, tag)
    if not value:
        raise Mismatch("a key that is not empty", value, "an empty value")
    size = text_size(value) if tag == "S" else len(value)
    if size > limit:
        raise Mismatch(f"a key of at most {limit} bytes", value, f"{size} bytes")
