"""Query and Scan.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_Query.html and API_Scan.html
"""

from __future__ import annotations

from typing import Any, Final

from dynamorm.engine.core import Core
from dynamorm.engine.items.writes import places_of
from dynamorm.engine.queries.key_conditions import key_range
from dynamorm.engine.queries.page import Page, all_used, answered, metered, read_page, source_of
from dynamorm.engine.refusal import invalid
from dynamorm.engine.values.keys import HASH

END: Final = b"\xff" * 16
"""Above every key: a hash of nothing but ones, with a partition behind it that begins with as many, does not come."""


def query(core: Core, request: dict[str, Any]) -> bytes:
    """Query."""
    places = places_of(request)
    text = request.get("KeyConditionExpression")
    if text is None:
        raise invalid("Either the KeyConditions or KeyConditionExpression parameter must be specified in the request.")
    source = source_of(core, request, places)
    names = source.table.names if source.index is None else source.index.names
    found = key_range(text, places, names)
    all_used(request, places, has_expression=True)
    keys = {one.name for one in names.all}
    for path in source.filtered:
        if path[0] in keys:
            raise invalid(
                f"Filter Expression can only contain non-primary key attributes: Primary key attribute: {path[0]}"
            )
    low, high = found.low, found.high
    backwards = request.get("ScanIndexForward") is False
    start = request.get("ExclusiveStartKey")
    if start is not None:
        at = source.start(start)
        if any(start[name] != value for name, value in found.fixed.items()):
            raise invalid("The provided starting key is outside query boundaries based on provided conditions")
        if backwards:
            high = min(high, at)
        else:
            low = max(low, at + b"\0")
    page = read_page(source, low, high, limit=request.get("Limit"), backwards=backwards) if low < high else Page()
    if core.meter is not None:
        metered(core, source, page, found.low[:HASH])
    if source.index is None and page.key and page.key == (found.first if backwards else found.last):
        page.last = None  # the end that the condition names: nothing can follow
    return answered(request, source, page)


def scan(core: Core, request: dict[str, Any]) -> bytes:
    """Scan."""
    places = places_of(request)
    low, high = _segment(request)
    source = source_of(core, request, places)
    all_used(request, places, has_expression=source.filter is not None or source.projection is not None)
    start = request.get("ExclusiveStartKey")
    if start is not None:
        at = source.start(start)
        if not low <= at < high:
            raise invalid("The provided starting key is invalid: Invalid ExclusiveStartKey. Please use ExclusiveStartKey with correct Segment.")  # fmt: skip
        low = at + b"\0"
    page = read_page(source, low, high, limit=request.get("Limit"), backwards=False)
    if core.meter is not None:
        metered(core, source, page, None)
    return answered(request, source, page)


def _segment(request: dict[str, Any]) -> tuple[bytes, bytes]:
    """The range of hashes of a segment. Raises: Refusal."""
    segment, total = request.get("Segment"), request.get("TotalSegments")
    if segment is None and total is None:
        return b"", END
    if total is None:
        raise invalid(
            "The TotalSegments parameter is required but was not present in the request when Segment parameter is present"
        )
    if segment is None:
        raise invalid(
            "The Segment parameter is required but was not present in the request when parameter TotalSegments is present"
        )
    if segment >= total:
        raise invalid(
            "The Segment parameter is zero-based and must be less than parameter TotalSegments:"
            f" Segment: {segment} is not less than TotalSegments: {total}"
        )
    whole = 1 << 8 * HASH
    low = (whole * segment // total).to_bytes(HASH)
    return low, END if segment + 1 == total else (whole * (segment + 1) // total).to_bytes(HASH)
