"""A proxy in front of an engine that has the faults of `dynamorm.engine.faults`. It must not know the client.

What a fault does to a request that is carried out in part, a batch with unprocessed entries, is done on the way to the
engine and back.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from zlib import crc32

from dynamorm.engine.faults import UNTOUCHED, Faults, Verdict
from dynamorm.engine.faulty import BATCHES, RESULTS, divided, encode, names_of, tables_of, with_left
from dynamorm.models.schema.overriding import override
from dynamorm.testing import answers
from dynamorm.testing.answers import Answer, Message
from dynamorm.testing.backend import EngineBackend
from dynamorm.testing.engine_proxy import EngineProxy
from dynamorm.testing.request import Request


class FaultProxy(EngineProxy):
    """An HTTP proxy on loopback in front of the engine at ``upstream``, whose ``faults`` are set at any time.

    ``prefixes`` are what names of tables begin with there; faults name tables without them.

    Example::

        with FaultProxy(engine.endpoint) as proxy:
            proxy.faults.lose_reply(op="PutItem", share=0.5)
            ...  # a client with endpoint=proxy.endpoint
    """

    def __init__(self, upstream: str, *, prefixes: Iterable[str] = ()) -> None:
        self.faults: Faults = Faults()
        self.prefixes: tuple[str, ...] = tuple(prefixes)
        self._backend = _PartlyBackend(upstream)
        super().__init__(self._backend)

    @override
    def _script(self, request: Request) -> Answer:
        if not self.faults.active:
            return answers.honest()
        tables, entries = tables_of(request.operation, request.json)
        verdict = self.faults.decide(request.operation, names_of(tables, self.prefixes), entries=entries)
        if verdict is UNTOUCHED:
            return answers.honest()
        if verdict.unprocessed and not verdict.is_final:
            self._backend.left[request.index] = verdict.unprocessed
        return _answer(verdict).delayed(verdict.delay)

    @override
    def _is_busy(self) -> bool:
        return False


def _answer(verdict: Verdict) -> Answer:
    """What the client gets."""
    refused = verdict.refusal
    if refused is not None:
        return answers.error(refused.code, refused.status, refused.message, **refused.members)
    if not verdict.answered:
        return answers.reset().applied(verdict.applied)
    return answers.honest()


class _PartlyBackend(EngineBackend):
    """An engine that is given a batch without the entries that are left, and whose answer tells them."""

    def __init__(self, endpoint: str) -> None:
        super().__init__(endpoint)
        self.left: dict[int, frozenset[int]] = {}

    async def forward(self, request: Request) -> Message:
        """Forward what is not left."""
        places = self.left.pop(request.index, None)
        if places is None:
            return await super().forward(request)
        kept, left = divided(request.json["RequestItems"], places)
        if not kept:  # the service has no empty batches
            told = BATCHES[request.operation]
            return _message(encode({RESULTS.get(request.operation, "ItemCollectionMetrics"): {}, told: left}))
        body = encode({**request.json, "RequestItems": kept})
        message = await super().forward(replace(request, head=_resized(request.head, len(body)), body=body))
        if message.status != 200:
            return message
        return _message(with_left(request.operation, message.body, left))


def _resized(head: bytes, length: int) -> bytes:
    """The head of a request with another length of the body. Its signature does not fit any more, and no engine checks it."""
    start, *lines = head.split(b"\r\n")
    kept = [line for line in lines if line and not line.lower().startswith(b"content-length:")]
    return b"\r\n".join([start, *kept, b"Content-Length: %d" % length, b"", b""])


def _message(data: bytes) -> Message:
    headers = (
        ("Content-Type", "application/x-amz-json-1.0"),
        ("x-amzn-requestid", "PARTLY"),
        ("x-amz-crc32", str(crc32(data))),
    )
    return Message(200, headers, data)
