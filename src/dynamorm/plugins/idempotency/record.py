"""The model of the records of idempotent operations: what their table is made of, and what can be read of them."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from typing import Any

from dynamorm import Attr, Model, attr, partition_key, ttl


@lru_cache(maxsize=64)
def record_model(table_name: str) -> type[Any]:
    """The model of the records in a table. DynamoDB forgets them by ``exp``.

    Example: ``db.tables.describe(record_model(db.config.idempotency_table))``
    """

    class IdempotencyRecord(Model, table=table_name):
        pk: Attr[str] = partition_key()
        st: Attr[str] = attr()
        exp: Attr[datetime] = ttl()

    return IdempotencyRecord
