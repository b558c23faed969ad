"""How many bytes the body of an answer may have, by operation.

DynamoDB's limits count stored bytes, JSON needs more of them: 4/3 for binary values, 7 for ``true`` in a list (2 stored
bytes, 14 of JSON), 9 for an empty text in a list (1 stored byte, 9 of JSON). Only numbers with an exponent need more
still: ``1E-130`` in a list takes 3 stored bytes and 141 of JSON. So an answer may have 9 times its limit, and beside
that the room for 90,000 such numbers.

Sources: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html (sizes),
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html (limits).
"""

from __future__ import annotations

from typing import Final

from dynamorm.effects import MAX_BODY

GROWTH: Final = 9
"""Bytes of JSON for each stored byte."""
SLACK: Final = 12 * 1024 * 1024
"""Bytes beside: for numbers with exponents, the names around the items, and keys that were not processed."""

_ITEM: Final = 400 * 1024
_PAGE: Final = 1024 * 1024 + _ITEM  # the item that goes beyond 1 MB may still be in the page
_TRANSACTION: Final = 4 * 1024 * 1024
_BATCH: Final = 16 * 1024 * 1024
_RECORDS: Final = 1024 * 1024 + 2 * _ITEM  # a record may hold an item as it was and as it is

_STORED: Final = {
    "GetItem": _ITEM,
    "PutItem": _ITEM,
    "UpdateItem": _ITEM,
    "DeleteItem": _ITEM,
    "Query": _PAGE,
    "Scan": _PAGE,
    "ExecuteStatement": _PAGE,
    "TransactGetItems": _TRANSACTION,
    "TransactWriteItems": _TRANSACTION,
    "ExecuteTransaction": _TRANSACTION,
    "BatchGetItem": _BATCH,
    "BatchWriteItem": _BATCH,
    "GetRecords": _RECORDS,
}


class _Largest(dict[str, int]):
    def __missing__(self, operation: str) -> int:
        return MAX_BODY


LARGEST: Final[dict[str, int]] = _Largest({name: GROWTH * stored + SLACK for name, stored in _STORED.items()})
"""The greatest body of each operation's answer, in bytes; what is about tables and shards has the usual cap.

Example: ``LARGEST["BatchGetItem"] == 9 * 16 * 1024 * 1024 + 12 * 1024 * 1024``
"""
