"""Replies that a driver hands to a flow, and requests that a flow sent. It must not know of scripts or clocks."""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass
from typing import Any, Literal

from dynamorm.effects import Send


@dataclass(slots=True)
class FakeReply:
    """A complete HTTP answer as a driver gives it to a flow (see `dynamorm.effects.Reply`). Build it with `reply`."""

    status: int
    body: bytes
    crc: bytes | None = None
    request_id: str | None = None
    date: bytes | None = None
    retry_after: bytes | None = None

    def distrust(self) -> None:
        """Do nothing: a reply of a script has no connection."""


@dataclass(frozen=True, slots=True)
class SentRequest:
    """A request a flow sent.

    ``index`` counts from 0; ``operation`` is from X-Amz-Target (``"PutItem"``); ``headers`` have lower-case names;
    ``body`` are the bytes; ``timeout`` the attempt's seconds; ``time`` the fake clock's monotonic seconds; ``start``
    the request line; ``data`` everything as sent.
    """

    index: int
    operation: str
    headers: dict[str, str]
    body: bytes
    timeout: float
    time: float
    start: str
    data: bytes

    @property
    def json(self) -> Any:
        """The body as JSON. Raises ValueError when it is not JSON."""
        return json.loads(self.body)


def reply(
    body: object = None,
    status: int = 200,
    *,
    crc: Literal["auto", "bad"] | bytes | None = "auto",
    request_id: str | None = "TEST",
    date: bytes | None = None,
    retry_after: bytes | None = None,
) -> FakeReply:
    """A reply with this body: bytes as they are, None for ``{}``, anything else as JSON.

    ``crc`` is the ``x-amz-crc32`` header: the right one, a wrong one, these bytes, or none.
    Example: ``reply({"Item": {"id": {"S": "1"}}})``
    """
    data = body if isinstance(body, bytes) else json.dumps({} if body is None else body, separators=(",", ":")).encode()
    if crc == "auto" or crc == "bad":  # noqa: PLR1714 - a form that narrows the type
        crc = str(zlib.crc32(data) ^ (crc == "bad")).encode()
    return FakeReply(status, data, crc, request_id, date, retry_after)


def failure(
    code: str, status: int = 400, message: str = "", *, retry_after: bytes | None = None, **fields: Any
) -> FakeReply:
    """A DynamoDB error as a reply; ``fields`` are the error's own, by their names on the wire.

    Example: ``failure("ConditionalCheckFailedException", message="The conditional request failed", Item=item)``
    """
    body = {"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": message, **fields}
    return reply(body, status, retry_after=retry_after)


def sent_request(effect: Send, index: int, time: float) -> SentRequest:
    """Take the bytes of a `Send` apart."""
    head, _, body = effect.data.partition(b"\r\n\r\n")
    start, *lines = head.decode("latin-1").split("\r\n")
    pairs = [line.partition(":") for line in lines]
    headers = {name.lower(): value.strip() for name, _, value in pairs}
    operation = headers.get("x-amz-target", "").rpartition(".")[2]
    return SentRequest(index, operation, headers, body, effect.timeout, time, start, effect.data)
