"""The same changes through boto3 with its default retries, written as its users write them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from .storm import Books, Change, Kind, Tick


def available() -> bool:
    """Whether boto3 is installed (the ``demo`` extra).

    Example: ``if available(): ...``
    """
    from importlib.util import find_spec

    return find_spec("boto3") is not None


def run_boto3(endpoint: str, table: str, kind: Kind, changes: Sequence[list[Change]], tick: Tick) -> Books:
    """Run the changes through one boto3 client (which is thread-safe), a thread for each writer.

    Example: ``run_boto3(proxy.endpoint, "payments", "add", plan(hot, 400, 7), print).confirmed``
    """
    from boto3.session import Session

    client = Session().client(
        "dynamodb",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="local",
        aws_secret_access_key="local",  # noqa: S106 - made up: the engine on this machine takes any
    )
    books = Books()
    with ThreadPoolExecutor(len(changes)) as pool:
        for run in [pool.submit(_writer, client, table, kind, mine, books, tick) for mine in changes]:
            run.result()
    client.close()
    return books


def _writer(client: Any, table: str, kind: Kind, changes: Iterable[Change], books: Books, tick: Tick) -> None:
    from botocore.exceptions import BotoCoreError, ClientError

    for change in changes:
        try:
            if kind == "add":
                _add(client, table, change)
            else:
                _save(client, table, change, books)
            books.note(writes=1, confirmed=change.amount)
        except (BotoCoreError, ClientError):
            books.note(writes=1, failed=1)
        tick()


def _add(client: Any, table: str, change: Change) -> None:
    client.update_item(
        TableName=table,
        Key={"id": {"S": change.id}},
        UpdateExpression="ADD amount :more",
        ExpressionAttributeValues={":more": {"N": str(change.amount)}},
    )


def _save(client: Any, table: str, change: Change, books: Books) -> None:
    """Optimistic locking: read, write under the version, and start again when the condition fails."""
    key = {"id": {"S": change.id}}
    while True:
        item = client.get_item(TableName=table, Key=key, ConsistentRead=True)["Item"]
        version = int(item["version"]["N"])
        try:
            client.update_item(
                TableName=table,
                Key=key,
                UpdateExpression="SET amount = :amount, version = :next",
                ConditionExpression="version = :known",
                ExpressionAttributeValues={
                    ":amount": {"N": str(int(item["amount"]["N"]) + change.amount)},
                    ":known": {"N": str(version)},
                    ":next": {"N": str(version + 1)},
                },
            )
        except client.exceptions.ConditionalCheckFailedException:
            books.note(conflicts=1)
        else:
            return
