"""ListStreams, DescribeStream, GetShardIterator, GetRecords. A stream has one shard, which ends when the stream is switched off.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_Operations_Amazon_DynamoDB_Streams.html
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any, Final, NamedTuple

from dynamorm.engine.answers import Members, answer, encode, listed, read_item
from dynamorm.engine.catalog.table import Table
from dynamorm.engine.core import Core
from dynamorm.engine.refusal import Refusal, invalid, not_found
from dynamorm.engine.streams.records import sequence_text, stream_prefix
from dynamorm.engine.values.keys import after

MAX_RECORDS: Final = 1000
MAX_BYTES: Final = 1024 * 1024
ITERATOR_SECONDS: Final = 15 * 60


class _Stream(NamedTuple):
    """A stream of a table, on or off."""

    table: Table
    facts: dict[str, Any]

    @property
    def arn(self) -> str:
        return f"{self.table.arn}/stream/{self.facts['label']}"

    @property
    def shard(self) -> str:
        return f"shardId-{int(self.facts['begun'] * 1000):020d}-{self.facts['number']:08x}"


def _streams(core: Core) -> list[_Stream]:
    found: list[_Stream] = []
    for name in core.names():
        table = core.table(name)
        facts = [*table.record.get("old_streams", ()), table.record.get("stream")]
        found += [_Stream(table, one) for one in facts if one]
    return found


def _find(core: Core, arn: str) -> _Stream:
    for one in _streams(core):
        if one.arn == arn:
            return one
    raise not_found(f"Requested resource not found: Stream: {arn} not found")


def list_streams(core: Core, request: dict[str, Any]) -> bytes:
    """ListStreams."""
    name, start, limit = request.get("TableName"), request.get("ExclusiveStartStreamArn"), request.get("Limit") or 100
    every = sorted((one for one in _streams(core) if name is None or one.table.name == name), key=lambda one: one.arn)
    every = [one for one in every if start is None or one.arn > start]
    found: dict[str, Any] = {
        "Streams": [
            {"StreamArn": one.arn, "TableName": one.table.name, "StreamLabel": one.facts["label"]}
            for one in every[:limit]
        ]
    }
    if len(every) > limit:
        found["LastEvaluatedStreamArn"] = every[limit - 1].arn
    return encode(found)


def describe_stream(core: Core, request: dict[str, Any]) -> bytes:
    """DescribeStream."""
    stream = _find(core, request["StreamArn"])
    facts = stream.facts
    numbers = {"StartingSequenceNumber": sequence_text(facts["number"])}
    if not facts["on"]:
        numbers["EndingSequenceNumber"] = sequence_text(facts["ended"])
    shards = [{"ShardId": stream.shard, "SequenceNumberRange": numbers}]
    description: dict[str, Any] = {
        "StreamArn": stream.arn,
        "StreamLabel": facts["label"],
        "StreamStatus": "ENABLED" if facts["on"] else "DISABLED",
        "StreamViewType": facts["view"],
        "CreationRequestDateTime": facts["begun"],
        "TableName": stream.table.name,
        "KeySchema": stream.table.record["definition"]["KeySchema"],
        "Shards": [one for one in shards if (request.get("ExclusiveStartShardId") or "") < one["ShardId"]],  # type: ignore[operator]  # a text
    }
    return encode({"StreamDescription": description})


def get_shard_iterator(core: Core, request: dict[str, Any]) -> bytes:
    """GetShardIterator."""
    stream = _find(core, request["StreamArn"])
    if request["ShardId"] != stream.shard:
        raise not_found(f"Requested resource not found: Shard {request['ShardId']} does not exist")
    kind, number = request["ShardIteratorType"], request.get("SequenceNumber")
    if kind in ("AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER"):
        if number is None or not number.isdecimal():
            raise invalid(f"ShardIteratorType {kind} needs a SequenceNumber")
        at = int(number) + (kind == "AFTER_SEQUENCE_NUMBER")
        if at <= core.trimmed and at > stream.facts["number"]:
            raise Refusal("TrimmedDataAccessException", "The requested records are no longer there")
    elif kind == "LATEST":
        at = core.sequence + 1
    else:
        at = _oldest(core, stream)
    return encode({"ShardIterator": _iterator(core, stream, at)})


def _oldest(core: Core, stream: _Stream) -> int:
    """The number of the first record that may still be there."""
    return max(core.trimmed, int(stream.facts["number"])) + 1


def _iterator(core: Core, stream: _Stream, at: int) -> str:
    return urlsafe_b64encode(encode([stream.arn, at, core.now()])).decode()


def iterated(iterator: str) -> tuple[str, int, float]:
    """The ARN, the place and the time of an iterator. Raises: Refusal."""
    try:
        found: Any = read_item(urlsafe_b64decode(iterator.rpartition("|")[2]))
        return str(found[0]), int(found[1]), float(found[2])
    except (ValueError, TypeError, KeyError, IndexError) as error:
        raise invalid("Invalid ShardIterator") from error


def get_records(core: Core, request: dict[str, Any]) -> bytes:
    """GetRecords."""
    arn, at, made = iterated(request["ShardIterator"])
    if core.now() - made > ITERATOR_SECONDS:
        raise Refusal("ExpiredIteratorException", "Iterator expired: it was made more than 15 minutes ago")
    stream = _find(core, arn)
    limit = min(request.get("Limit") or MAX_RECORDS, MAX_RECORDS)
    low = stream_prefix(stream.facts["number"])
    records: list[bytes] = []
    size = 0
    for key, _, data in core.records.range(low + at.to_bytes(8), after(low)):
        if len(records) == limit or (records and size + len(data) > MAX_BYTES):
            break
        records.append(data)
        size += len(data)
        at = int.from_bytes(key[-8:]) + 1
    members: Members = [("Records", listed(records))]
    if stream.facts["on"] or at <= _last(core, low):
        members.append(("NextShardIterator", encode(_iterator(core, stream, at))))
    return answer(members)


def _last(core: Core, low: bytes) -> int:
    """The number of the last record of a stream."""
    for key, _, _ in core.records.range(low, after(low), backwards=True):
        return int.from_bytes(key[-8:])
    return 0
