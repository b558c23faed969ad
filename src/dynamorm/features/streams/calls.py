"""The calls of the DynamoDB Streams API as flows: find a table's stream, list its shards, get iterators and records.

It must not know in which order shards are read, nor what has been worked off.
Source: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_Operations_Amazon_DynamoDB_Streams.html
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from dynamorm.codec.replies.stream_record import StreamRecord
from dynamorm.codec.replies.stream_records import read_records
from dynamorm.codec.strict import malformed, read_object
from dynamorm.effects import Flow, Sleep
from dynamorm.errors import ClientError, StreamNotFound, TableNotFound, Throttled
from dynamorm.ops.calls.op import Op
from dynamorm.ops.requests import ModelRequests, encode
from dynamorm.wire.reply import Kind

if TYPE_CHECKING:
    from dynamorm.ops.context import Context

EXPIRED = "ExpiredIteratorException"
"""Code of the refusal of an iterator older than 15 minutes."""
TRIMMED = "TrimmedDataAccessException"
"""Code of the refusal to read what is older than 24 hours."""
_TOO_FAST = "LimitExceededException"
"""In this API, and only here, the name for throttling."""
_SHARDS = 100
"""Shards per DescribeStream, the most there are."""


class Listed(Struct, frozen=True):
    """A shard as it is listed. ``closed`` says that it gets no more records."""

    id: str
    parent: str | None
    closed: bool


class Listing(Struct, frozen=True):
    """All shards of a stream. ``ending`` says that the stream was disabled, so that no more shards come."""

    shards: tuple[Listed, ...]
    ending: bool


def latest_stream(context: Context, plan: ModelRequests) -> Flow[str]:
    """The ARN of the table's newest stream. Raises StreamNotFound when it never had one."""
    body = encode({"TableName": plan.table})
    reply = yield from context.call(Op("DescribeTable", plan.table, body, read_object))
    arn = (reply.get("Table") or {}).get("LatestStreamArn")
    if not isinstance(arn, str) or not arn:
        raise StreamNotFound(
            f"table {plan.table!r} has no stream: give its model settings=TableSettings(stream='NEW_AND_OLD_IMAGES'), and"
            " make the difference with db.tables.plan and db.tables.apply",
            table=plan.table,
        )
    return arn


def listing(streams: Context, plan: ModelRequests, arn: str) -> Flow[Listing]:
    """Every shard of the stream, page by page."""
    shards: list[Listed] = []
    request: dict[str, Any] = {"StreamArn": arn, "Limit": _SHARDS}
    while True:
        page, status, last = yield from _ask(streams, plan, "DescribeStream", request, _read_listing)
        shards += page
        if last is None:
            return Listing(tuple(shards), status in {"DISABLED", "DISABLING"})
        request["ExclusiveStartShardId"] = last


def iterator(streams: Context, plan: ModelRequests, arn: str, shard: str, kind: str, after: str | None) -> Flow[str]:
    """An iterator on a shard: ``kind`` is TRIM_HORIZON or LATEST, or AFTER_SEQUENCE_NUMBER with ``after``."""
    request = {"StreamArn": arn, "ShardId": shard, "ShardIteratorType": kind}
    if after is not None:
        request["SequenceNumber"] = after
    shard_iterator: str = yield from _ask(streams, plan, "GetShardIterator", request, _read_iterator)
    return shard_iterator


def records(
    streams: Context, plan: ModelRequests, shard: str, position: str, most: int, *, skip_unknown: bool
) -> Flow[tuple[list[StreamRecord[Any]], str | None]]:
    """The next records of a shard, and the iterator after them: None at the shard's end."""
    request = {"ShardIterator": position, "Limit": most}
    codec = plan.history
    page: tuple[list[StreamRecord[Any]], str | None] = yield from _ask(
        streams, plan, "GetRecords", request, lambda body: read_records(body, codec, shard, skip_unknown=skip_unknown)
    )
    return page


def _ask(
    streams: Context, plan: ModelRequests, name: str, request: dict[str, Any], decode: Callable[[bytes], Any]
) -> Flow[Any]:
    """One call; a refusal for its rate is met as throttling is met everywhere."""
    body = encode(request)
    channel = streams.channel
    tried = 0
    while True:
        try:
            op = Op(name, plan.table, body, decode)
            op.prepare = plan.prepare if name == "GetRecords" else None
            return (yield from streams.call(op))
        except TableNotFound as error:
            raise StreamNotFound(
                f"the stream or shard of table {plan.table!r} does not exist (any more)",
                operation=name,
                table=plan.table,
                request_id=error.request_id,
            ) from error
        except ClientError as error:
            if error.code != _TOO_FAST:
                raise
            tried += 1
            if tried >= channel.retry.tries(Kind.THROTTLE):
                raise Throttled(
                    f"{error.message}; {tried} attempts were made: at most two programs may read one shard",
                    operation=name,
                    table=plan.table,
                    request_id=error.request_id,
                    attempts=tried,
                ) from error
            yield Sleep(channel.retry.delay(Kind.THROTTLE, tried - 1, channel.random()))


def _read_listing(body: bytes) -> tuple[list[Listed], Any, str | None]:
    description = read_object(body).get("StreamDescription")
    try:
        shards = [_listed(shard) for shard in description["Shards"]]  # type: ignore[index] # wrong types are met below
        status, last = description["StreamStatus"], description.get("LastEvaluatedShardId")  # type: ignore[index, union-attr] # likewise
    except (TypeError, KeyError, AttributeError):
        shards = None
        status = last = None
    if shards is None or not isinstance(status, str) or not (last is None or (isinstance(last, str) and last)):
        raise malformed("it does not describe a stream")
    return shards, status, last


def _listed(shard: Any) -> Listed:
    name, parent = shard["ShardId"], shard.get("ParentShardId")
    if not isinstance(name, str) or not name or not isinstance(parent, str | None):
        raise TypeError
    return Listed(name, parent, (shard.get("SequenceNumberRange") or {}).get("EndingSequenceNumber") is not None)


def _read_iterator(body: bytes) -> str:
    shard_iterator = read_object(body).get("ShardIterator")
    if not isinstance(shard_iterator, str) or not shard_iterator:
        raise malformed("it holds no shard iterator")
    return shard_iterator
