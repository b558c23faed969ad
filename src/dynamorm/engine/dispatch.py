"""Every operation of DynamoDB, and the function that answers it. It must not know how requests come.

A request is named by its target: ``DynamoDB_20120810.GetItem``, ``DynamoDBStreams_20120810.GetRecords``.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, Final, TypeAlias

from dynamorm.engine.core import Core
from dynamorm.engine.items import batches, single, transactions
from dynamorm.engine.queries import operations as queries
from dynamorm.engine.streams import operations as streams
from dynamorm.engine.tables import backups, create, describe, settings, tags
from dynamorm.engine.tables import update as tables

Answers: TypeAlias = Callable[[Core, dict[str, Any]], bytes]

DYNAMODB: Final = "DynamoDB_20120810"
STREAMS: Final = "DynamoDBStreams_20120810"


def _statements(name: str) -> Answers:
    """An operation of PartiQL, which is loaded with its first use."""

    def answer(core: Core, request: dict[str, Any]) -> bytes:
        found: bytes = getattr(import_module("dynamorm.engine.partiql.operations"), name)(core, request)
        return found

    return answer


OPERATIONS: Final[dict[str, Answers]] = {
    "BatchExecuteStatement": _statements("batch_execute"),
    "BatchGetItem": batches.batch_get,
    "BatchWriteItem": batches.batch_write,
    "CreateBackup": backups.create_backup,
    "CreateTable": create.create_table,
    "DeleteBackup": backups.delete_backup,
    "DeleteItem": single.delete_item,
    "DeleteTable": create.delete_table,
    "DescribeBackup": backups.describe_backup,
    "DescribeContinuousBackups": settings.describe_backups,
    "DescribeEndpoints": settings.describe_endpoints,
    "DescribeLimits": settings.describe_limits,
    "DescribeStream": streams.describe_stream,
    "DescribeTable": describe.describe_table,
    "DescribeTimeToLive": settings.describe_ttl,
    "ExecuteStatement": _statements("execute_statement"),
    "ExecuteTransaction": _statements("execute_transaction"),
    "GetItem": single.get_item,
    "GetRecords": streams.get_records,
    "GetShardIterator": streams.get_shard_iterator,
    "ListBackups": backups.list_backups,
    "ListStreams": streams.list_streams,
    "ListTables": create.list_tables,
    "ListTagsOfResource": tags.list_tags,
    "PutItem": single.put_item,
    "Query": queries.query,
    "RestoreTableFromBackup": backups.restore_table,
    "Scan": queries.scan,
    "TagResource": tags.tag_resource,
    "TransactGetItems": transactions.transact_get,
    "TransactWriteItems": transactions.transact_write,
    "UntagResource": tags.untag_resource,
    "UpdateContinuousBackups": settings.update_backups,
    "UpdateItem": single.update_item,
    "UpdateTable": tables.update_table,
    "UpdateTimeToLive": settings.update_ttl,
}

_OF_STREAMS: Final = frozenset({"DescribeStream", "GetRecords", "GetShardIterator", "ListStreams"})

TARGETS: Final[dict[str, tuple[str, Answers]]] = {
    target: (name, work)
    for name, work in OPERATIONS.items()
    for target in (name, f"{STREAMS if name in _OF_STREAMS else DYNAMODB}.{name}")
}
"""The operations of DynamoDB by their targets, and by their bare names."""
