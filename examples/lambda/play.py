"""What Lambda does around the functions, on this machine: contexts with a time, events of a function URL and of a stream."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

from dynamorm import DB
from dynamorm.payments import sign_webhook

Function = Callable[[dict[str, Any], Any], Any]


class Context:
    """The context of an invocation that may take so many seconds."""

    aws_request_id = "local"
    function_name = "local"

    def __init__(self, seconds: float = 10.0) -> None:
        self._end = time.monotonic() + seconds

    def get_remaining_time_in_millis(self) -> int:
        """How much of it is left."""
        return max(0, int((self._end - time.monotonic()) * 1000))


def webhook_event(
    secret: str, id: str, told: Any, *, at: float | None = None, is_base64: bool = False
) -> dict[str, Any]:
    """What a function URL makes of a webhook that is signed with a secret."""
    body = json.dumps(told).encode()
    headers = sign_webhook(secret, id=id, body=body, timestamp=at)
    text = base64.b64encode(body).decode() if is_base64 else body.decode()
    return {"version": "2.0", "headers": headers, "body": text, "isBase64Encoded": is_base64}


def stream_events(db: DB, *, size: int = 10) -> Iterator[dict[str, Any]]:
    """The records of all streams of an engine from their beginning, as Lambda hands them over: so many to an event."""
    ask = _asking(db)
    for stream in ask("ListStreams", {})["Streams"]:
        arn = stream["StreamArn"]
        for shard in ask("DescribeStream", {"StreamArn": arn})["StreamDescription"]["Shards"]:
            begin = {"StreamArn": arn, "ShardId": shard["ShardId"], "ShardIteratorType": "TRIM_HORIZON"}
            iterator = ask("GetShardIterator", begin)["ShardIterator"]
            while iterator:
                answer = ask("GetRecords", {"ShardIterator": iterator, "Limit": size})
                if not answer["Records"]:
                    break
                yield {"Records": [{**record, "eventSourceARN": arn} for record in answer["Records"]]}
                iterator = answer.get("NextShardIterator")


def _asking(db: DB) -> Callable[[str, dict[str, Any]], dict[str, Any]]:
    engine = db.config.engine

    def ask(operation: str, request: dict[str, Any]) -> dict[str, Any]:
        status, body = engine.handle(operation, json.dumps(request).encode())
        answer: dict[str, Any] = json.loads(body)
        if status != 200:
            raise RuntimeError(f"{operation}: {answer.get('message')}")
        return answer

    return ask
