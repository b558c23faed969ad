"""Whether an item is within DynamoDB's limits, and the error that says which attribute is not."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from dynamorm.codec.types.mismatch import Mismatch
from dynamorm.codec.types.records import Record
from dynamorm.codec.types.shapes import Shape
from dynamorm.codec.types.size import check_names, check_nesting
from dynamorm.engine.sizes import MAX_ITEM, MAX_NAME, item_size
from dynamorm.errors import ItemTooLarge, ValidationError

if TYPE_CHECKING:
    from .codec import ModelCodec

SURELY_FLAT: Final = 200
"""Bytes of JSON that are too few for 32 levels: each takes at least seven."""

_MAYBE_DEEP = 30


def check_limits(codec: ModelCodec, wire: dict[str, Any], raw: bytes) -> None:
    """Check names, nesting and size of an item whose JSON is ``raw``.

    Raises: ItemTooLarge, ValidationError.
    """
    if raw.count(b'{"L":') + raw.count(b'{"M":') > _MAYBE_DEEP:
        _each(codec, check_nesting, wire)
    if len(raw) > MAX_NAME:  # a name takes at least its bytes
        _each(codec, check_names, wire)
    # The JSON of an item is never shorter than its size, so most items need no exact one.
    if len(raw) > MAX_ITEM and (size := item_size(wire)) > MAX_ITEM:
        names = " and ".join(codec.key_names) or "none"
        raise ItemTooLarge(
            f"a {codec.schema.name} (key: {names}) of {size} bytes is over DynamoDB's limit of {MAX_ITEM} bytes",
            size=size,
            limit=MAX_ITEM,
            table=codec.table,
        )


def _each(codec: ModelCodec, check: Callable[[dict[str, Any]], None], wire: dict[str, Any]) -> None:
    failed = None
    for name, value in wire.items():
        try:
            check({name: value})
        except Mismatch as error:
            failed = f"{codec.schema.name}: the attribute {name[:80]!r} {error.text}"
    if failed is not None:
        raise ValidationError(failed)


def may_nest(shape: Shape, above: frozenset[int] = frozenset()) -> bool:
    """Whether values may nest deeper than the types show: documents, custom codecs, types that hold themselves."""
    if id(shape) in above or shape.any_depth or (isinstance(shape, Record) and shape.extras):
        return True
    inside = [plan.shape for plan in shape.plans] if isinstance(shape, Record) else list(shape.children())
    if not shape.tag and not inside:
        return True
    return any(may_nest(child, above | {id(shape)}) for child in inside)
