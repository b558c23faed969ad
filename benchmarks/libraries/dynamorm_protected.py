"""A payment of a tenant, with an encrypted attribute, read with metrics: what all of it costs beside a plain get.

The key of the ring is constant, and its record lies in a table of its own: each canned answer is of one table. It is read
with the first get, and kept: what is measured is a get with a warm key.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from typing import Any

from benchmarks import sample
from benchmarks.libraries.base import Unsupported
from dynamorm import DB, Attr, Config, Encrypted, Model, Tenant, attr, partition_key, sort_key, version
from dynamorm.effects import Flow
from dynamorm.engine import Engine
from dynamorm.errors import ConfigError
from dynamorm.plugins import EncryptionPlugin, MetricsPlugin, Tenancy

TABLE, KEYS = "nanos-protected", "nanos-keys"
KEY = bytes(range(32))


class ConstantKeys:
    """A provider that knows one key. It is for figures alone: the key is written down above."""

    ttl = 86_400.0
    grace = 0.0
    max_keys = 10
    keyring_table: str | None = KEYS
    is_for_production = False

    def generate(self, context: Mapping[str, str]) -> Flow[tuple[bytes, bytes]]:  # noqa: ARG002 - as a provider is asked
        """The key."""
        return KEY, b"constant"
        yield  # it waits for nothing

    def unwrap(self, wrapped: bytes, context: Mapping[str, str]) -> Flow[bytes]:  # noqa: ARG002 - likewise
        """The key."""
        return KEY
        yield  # as above


@cache
def protected_payment() -> Any:
    """The payment, of a tenant and with one encrypted attribute."""

    class Payment(Model, table=TABLE):
        merchant_id: Attr[str] = partition_key(Tenant())
        id: Attr[str] = sort_key()
        idempotency_key: Attr[str] = attr(Encrypted("pii"))
        amount: Attr[int]
        currency: Attr[str]
        status: Attr[str]
        created_at: Attr[datetime]
        version: Attr[int] = version()
        tags: Attr[list[str]]
        metadata: Attr[dict[str, str]]

    return Payment


def protecting() -> tuple[Any, ...]:
    """The plugins. Raises Unsupported where their packages are missing."""
    try:
        from prometheus_client import CollectorRegistry

        return Tenancy(), EncryptionPlugin(ConstantKeys()), MetricsPlugin(CollectorRegistry())
    except (ImportError, ConfigError) as error:
        raise Unsupported from error


def answers() -> dict[str, bytes]:
    """By table, what GetItem answers: a payment as it is stored, and the two records of its key. Raises Unsupported."""
    with Engine() as engine, DB(Config(engine=engine, region=sample.REGION), extensions=protecting()) as db:
        model, view = protected_payment(), db.with_tenant(sample.MERCHANT)
        db.tables.ensure(model)
        engine.handle("CreateTable", json.dumps(_TABLE_OF_KEYS).encode())
        view.create(sample.payment_of(model, 1))
        items = json.loads(_handled(engine, "Scan", {"TableName": KEYS}))["Items"]
        sealed = {"merchant_id": {"S": sample.MERCHANT}, "id": {"S": sample.name(1)}}
        found = {TABLE: _get(engine, TABLE, sealed)}
        for record in items:  # that of the ring is asked for as ACTIVE, and stands before that of its key
            name = record["sk"]["S"]
            key = {name: record[name] for name in ("pk", "sk")}
            found[f"{KEYS}/{name}" if name == "ACTIVE" else KEYS] = _get(engine, KEYS, key)
        return dict(sorted(found.items(), reverse=True))


def _get(engine: Engine, table: str, key: dict[str, Any]) -> bytes:
    return _handled(engine, "GetItem", {"TableName": table, "Key": key, "ReturnConsumedCapacity": "INDEXES"})


def _handled(engine: Engine, operation: str, body: dict[str, Any]) -> bytes:
    return engine.handle(operation, json.dumps(body).encode())[1]


_TABLE_OF_KEYS = {
    "TableName": KEYS,
    "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
    "AttributeDefinitions": [{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
    "BillingMode": "PAY_PER_REQUEST",
}
