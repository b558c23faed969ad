"""The records of streams: written in the same transaction as the items, kept for 24 hours, at most 100,000.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_streams_Record.html
"""

from __future__ import annotations

from typing import Any, Final

from dynamorm.engine.answers import encode
from dynamorm.engine.catalog.table import Table
from dynamorm.engine.core import Core
from dynamorm.engine.sizes import item_size
from dynamorm.engine.store.store import Change
from dynamorm.engine.values.measure import Item

KEPT: Final = 100_000
HOURS: Final = 24 * 3600

SERVICE: Final = {"type": "Service", "principalId": "dynamodb.amazonaws.com"}
"""Who removes what has expired."""


def stream_prefix(number: int) -> bytes:
    """How the keys of a stream's records begin."""
    return number.to_bytes(8)


def record(
    core: Core,
    table: Table,
    old: Item | None,
    new: Item | None,
    sizes: tuple[int, int],
    identity: dict[str, str] | None = None,
) -> Change:
    """The change that stores the record of a change of an item."""
    stream = table.stream
    assert stream is not None  # who calls has looked
    core.sequence += 1
    item: Any = old if new is None else new
    keys = {name: item[name] for name in (one.name for one in table.names.all)}
    view = stream["view"]
    change: dict[str, Any] = {
        "ApproximateCreationDateTime": int(core.now()),
        "Keys": keys,
        "SequenceNumber": sequence_text(core.sequence),
        "SizeBytes": item_size(keys),
        "StreamViewType": view,
    }
    if new is not None and view in ("NEW_IMAGE", "NEW_AND_OLD_IMAGES"):
        change["NewImage"] = new
        change["SizeBytes"] += sizes[1]
    if old is not None and view in ("OLD_IMAGE", "NEW_AND_OLD_IMAGES"):
        change["OldImage"] = old
        change["SizeBytes"] += sizes[0]
    found: dict[str, Any] = {
        "eventID": f"{core.sequence:032x}",
        "eventName": "INSERT" if old is None else "REMOVE" if new is None else "MODIFY",
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": core.settings.region,
        "dynamodb": change,
    }
    if identity is not None:
        found["userIdentity"] = identity
    core.records_kept += 1
    key = stream_prefix(stream["number"]) + core.sequence.to_bytes(8)
    return (core.records, key, None, (int(core.now()), encode(found)))


def sequence_text(number: int) -> str:
    """A sequence number as the service writes it."""
    return f"{number:021d}"
