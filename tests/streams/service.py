"""A DynamoDB with one stream whose shards split, close and are trimmed as a test says. No sockets, no waiting."""

from itertools import count

from dynamorm import Attr, Model, attr, partition_key, version
from dynamorm.streams import StreamCheckpoint
from dynamorm.testing import failure, reply
from tests.support.faults import Store

ARN = "arn:aws:dynamodb:us-east-1:1:table/orders/stream/2026-01-01T00:00:00.000"
STREAM_CALLS = {"DescribeStream", "GetShardIterator", "GetRecords"}


class Order(Model, table="orders"):
    id: Attr[str] = partition_key()
    amount: Attr[int] = attr(default=0)
    note: Attr[str | None] = attr(default=None)
    version: Attr[int] = version()


class Checkpoint(Model, StreamCheckpoint, table="checkpoints"):
    pass


def image(key, amount, stored_version=0):
    return {"id": {"S": key}, "amount": {"N": str(amount)}, "version": {"N": str(stored_version)}}


def change(number, key="o1", kind="INSERT", *, old=None, new=None, created=1_700_000_000, **more):
    """A record as the API gives it."""
    found = {
        "ApproximateCreationDateTime": created,
        "Keys": {"id": {"S": key}},
        "SequenceNumber": f"{number:021d}",
        "SizeBytes": 26,
        "StreamViewType": "NEW_AND_OLD_IMAGES",
    }
    if old is not None:
        found["OldImage"] = old
    if new is not None:
        found["NewImage"] = new
    return {"eventID": f"e{number}", "eventName": kind, "awsRegion": "us-east-1", "dynamodb": found, **more}


class _Shard:
    def __init__(self, name, parent):
        self.name, self.parent = name, parent
        self.records, self.trimmed, self.closed = [], 0, False


class Service:
    """Answers requests. ``faults`` are answered first, one per request of the streams API; None lets it pass.

    ``store_faults`` are the answers to updates of the checkpoint table.
    """

    def __init__(self):
        self.clock = None
        self.arn = ARN
        self.status = "ENABLED"
        self.shards = {}
        self.store = Store({"checkpoints": ("consumer", "shard"), "orders": ("id",)})
        self.faults = []
        self.store_faults = []
        self.calls = []
        self.most = 100
        self._iterators = {}
        self._numbers = count(1)

    # --------------------------------------------------------------------------------------------------- for tests

    def shard(self, name, parent=None, *amounts):
        """Open a shard with an insert for each amount."""
        self.shards[name] = _Shard(name, parent)
        self.put(name, *amounts)

    def put(self, name, *amounts, created=None):
        for amount in amounts:
            number = next(self._numbers)
            moment = int(self.clock.time()) if created is None and self.clock else created or 1_700_000_000
            record = change(number, f"o{amount}", new=image(f"o{amount}", amount), created=moment)
            self.shards[name].records.append(record)

    def end(self, name):
        self.shards[name].closed = True

    def names(self, *operations):
        return [name for name, _ in self.calls if not operations or name in operations]

    def asked(self, operation):
        return [body for name, body in self.calls if name == operation]

    def position(self, name, consumer="orders"):
        """What is remembered of a shard."""
        item = self.store.item("checkpoints", consumer, f"{self.arn}#{name}")
        return None if item is None else item

    # ------------------------------------------------------------------------------------------------- for the wire

    def __call__(self, request):
        operation, body = request.operation, request.json
        self.calls.append((operation, body))
        target = request.headers["x-amz-target"].partition(".")[0]
        if operation in STREAM_CALLS:
            assert target == "DynamoDBStreams_20120810"
            if self.faults:
                fault = self.faults.pop(0)
                found = fault(operation, body) if callable(fault) else fault
                if found is not None:
                    return found
            return getattr(self, f"_{operation}")(body)
        assert target == "DynamoDB_20120810"
        if operation == "DescribeTable":
            return reply({"Table": {"TableName": "orders", **({"LatestStreamArn": self.arn} if self.arn else {})}})
        if operation == "UpdateItem" and self.store_faults:
            return self.store_faults.pop(0)
        status, answer = self.store(operation, body)
        return reply(answer, status)

    def _DescribeStream(self, body):
        if body["StreamArn"] != self.arn:
            return failure("ResourceNotFoundException")
        names = list(self.shards)
        start = names.index(body["ExclusiveStartShardId"]) + 1 if "ExclusiveStartShardId" in body else 0
        page = names[start : start + min(self.most, body["Limit"])]
        found = {"StreamArn": self.arn, "StreamStatus": self.status, "Shards": [self._listed(name) for name in page]}
        if start + len(page) < len(names):
            found["LastEvaluatedShardId"] = page[-1]
        return reply({"StreamDescription": found})

    def _listed(self, name):
        shard = self.shards[name]
        numbers = {"StartingSequenceNumber": "1", **({"EndingSequenceNumber": "9"} if shard.closed else {})}
        return {
            "ShardId": name,
            "SequenceNumberRange": numbers,
            **({"ParentShardId": shard.parent} if shard.parent else {}),
        }

    def _GetShardIterator(self, body):
        shard = self.shards.get(body["ShardId"])
        if shard is None or body["StreamArn"] != self.arn:
            return failure("ResourceNotFoundException", 400, "Shard does not exist")
        kind = body["ShardIteratorType"]
        at = {"TRIM_HORIZON": shard.trimmed, "LATEST": len(shard.records)}.get(kind)
        if at is None:
            numbers = [record["dynamodb"]["SequenceNumber"] for record in shard.records]
            at = numbers.index(body["SequenceNumber"]) + 1
            if at - 1 < shard.trimmed:
                return failure("TrimmedDataAccessException")
        return reply({"ShardIterator": self._iterator(shard.name, at)})

    def _iterator(self, name, at):
        token = f"it-{len(self._iterators)}"
        self._iterators[token] = name, at, self.clock.monotonic()
        return token

    def _GetRecords(self, body):
        name, at, made = self._iterators[body["ShardIterator"]]
        if self.clock.monotonic() - made >= 900:
            return failure("ExpiredIteratorException")
        shard = self.shards.get(name)
        if shard is None:
            return failure("ResourceNotFoundException")
        if at < shard.trimmed:
            return failure("TrimmedDataAccessException")
        page = shard.records[at : at + body["Limit"]]
        at += len(page)
        over = shard.closed and at == len(shard.records)
        return reply({"Records": page, "NextShardIterator": None if over else self._iterator(name, at)})
