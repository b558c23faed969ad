"""A proxy that loses, spoils, delays and repeats what passes to and from an engine. It must not know the client.

It is an `EngineProxy` that throws dice.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Collection
from dataclasses import replace
from enum import StrEnum
from types import TracebackType
from zlib import crc32

from dynamorm.models.schema.overriding import override
from dynamorm.testing import answers
from dynamorm.testing.answers import Answer, Message
from dynamorm.testing.backend import EngineBackend
from dynamorm.testing.engine_proxy import EngineProxy
from dynamorm.testing.request import HTTPError, Request

WRITES = frozenset({"PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem", "TransactWriteItems"})
"""The operations that change items."""

CRC = "x-amz-crc32"
_COPIES = (1, 2, 3)


class Fault(StrEnum):
    """What a `LossyProxy` may do to one request. Each name says whether the engine applied the request.

    Example: ``LossyProxy(engine.endpoint, faults=(Fault.RESET_APPLIED,))``
    """

    RESET_NOT_APPLIED = "reset, not applied"
    RESET_APPLIED = "reset, applied"
    RESET_MID_REPLY = "reset within the reply, applied"
    CUT_REPLY = "reply cut short of its Content-Length, applied"
    SHORT_REPLY = "reply shortened, Content-Length to match, applied"
    BAD_CRC = "wrong CRC-32, applied"
    FLIPPED_BIT = "one bit of the reply inverted, applied"
    HTML = "a web page with status 200, applied"
    HTML_NOT_APPLIED = "a web page with status 200, not applied"
    ERROR_APPLIED = "500 or 503, applied"
    ERROR_NOT_APPLIED = "500 or 503, not applied"
    THROTTLE = "throttled, not applied"
    DUPLICATE = "delivered two to four times at once"
    LATE_DUPLICATE = "delivered once more, later"
    LATE = "reset, delivered and applied later"
    DRIP = "reply byte by byte, applied"
    DELAY = "reply delayed, applied"


QUICK_FAULTS = tuple(fault for fault in Fault if fault not in {Fault.DRIP, Fault.DELAY, Fault.LATE})
"""Every fault that is over at once: no client waits for its time limit, and no request is held back."""

_COPIED = {Fault.DUPLICATE, Fault.LATE_DUPLICATE, Fault.LATE}


class LossyProxy(EngineProxy):
    """An HTTP proxy on loopback in front of an engine that spoils a share of the exchanges.

    ``upstream`` is the engine's endpoint; ``loss`` the share of requests, 0 to 1, that meet one of ``faults``, chosen
    by a generator seeded with ``seed``; ``operations`` limits that to these operations (default: all; see `WRITES`).
    ``delay`` (seconds) is what `Fault.DELAY` waits, ``late`` what `Fault.LATE_DUPLICATE` waits, and `Fault.LATE` waits at most, ``drip`` the bytes per
    second of `Fault.DRIP`. ``faults`` may name a fault several times to make it more frequent.

    Every other exchange passes through unchanged. The same seed gives the same decisions in the order of arrival; two
    concurrent clients still arrive in any order. When the engine itself fails, the client gets a 502 and
    ``counts["upstream failed"]`` grows.

    Raises ValueError for a share outside 0 ... 1, no faults, or an endpoint that is not on loopback.

    Example::

        with Ministack() as engine, LossyProxy(engine.endpoint, seed=7, loss=0.15) as proxy:
            ...  # a client with endpoint=proxy.endpoint
            print(proxy.counts)
    """

    def __init__(
        self,
        upstream: str,
        *,
        seed: int = 0,
        loss: float = 0.15,
        faults: Collection[Fault] = QUICK_FAULTS,
        operations: Collection[str] | None = None,
        delay: float = 2.0,
        late: float = 0.05,
        drip: float = 20.0,
    ) -> None:
        if not faults:
            raise ValueError("name at least one fault")
        self._random = random.Random(seed)
        self._faults = tuple(faults)
        self._operations = None if operations is None else frozenset(operations)
        self._late = late
        self._delay = delay
        self._drip = drip
        self._loss = 0.0
        self._counts: Counter[str] = Counter()
        self._late_copies = 0
        self.set_loss(loss)
        self._engine = _CountingEngine(upstream, self._counts)
        super().__init__(self._engine)

    @property
    def loss(self) -> float:
        """The share of requests that meet a fault now."""
        return self._loss

    @property
    def counts(self) -> dict[str, int]:
        """How often each `Fault` was chosen; also ``"passed"``, ``"repeated"`` and ``"upstream failed"``."""
        return dict(self._counts)

    @property
    def faulted(self) -> int:
        """How many requests met a fault."""
        return sum(self._counts[fault] for fault in Fault)

    def set_loss(self, loss: float) -> None:
        """Change the share of spoiled exchanges from the next request on. Raises ValueError outside 0 ... 1."""
        if not 0 <= loss <= 1:
            raise ValueError(f"a share is 0 to 1, not {loss}")
        self._loss = loss

    def pause(self) -> _Paused:
        """Spoil nothing until the end of a ``with`` block, or ``.resume()`` of the result: for set-up and checking."""
        paused = _Paused(self, self._loss)
        self._loss = 0.0
        return paused

    @override
    def _script(self, request: Request) -> Answer:
        concerned = self._operations is None or request.operation in self._operations
        if not concerned or self._random.random() >= self._loss:
            self._counts["passed"] += 1
            return answers.honest()
        fault = self._random.choice(self._faults)
        self._counts[fault] += 1
        if fault in _COPIED:
            self._repeat(fault, request)
            return answers.reset() if fault is Fault.LATE else answers.honest()
        return self._answer(fault)

    def _answer(self, fault: Fault) -> Answer:
        dice = self._random
        made: dict[Fault, Answer] = {
            Fault.RESET_NOT_APPLIED: answers.reset(),
            Fault.RESET_APPLIED: answers.reset().applied(),
            Fault.RESET_MID_REPLY: answers.honest()
            .cut(dice.choice(("mid-headers", "after-headers", "mid-body")))
            .then("reset"),
            Fault.CUT_REPLY: answers.honest().cut("mid-body"),
            Fault.SHORT_REPLY: answers.honest().shorten(1),
            Fault.BAD_CRC: answers.honest().checksum("bad"),
            Fault.FLIPPED_BIT: answers.honest().flip(dice.getrandbits(32)),
            Fault.HTML: answers.html().applied(),
            Fault.HTML_NOT_APPLIED: answers.html(),
            Fault.DRIP: answers.honest().drip(self._drip),
            Fault.DELAY: answers.honest().delayed(self._delay),
        }
        if fault in made:
            return made[fault]
        if fault is Fault.THROTTLE:
            return answers.error("ThrottlingException", message="Throughput exceeds the current capacity")
        status = dice.choice((500, 503))
        broken = answers.error("InternalServerError" if status == 500 else "ServiceUnavailable", status)
        return broken.applied(fault is Fault.ERROR_APPLIED)

    def _repeat(self, fault: Fault, request: Request) -> None:
        """Deliver copies beside the request itself, of which the client gets no answer."""
        copies, delay = 1, self._late
        if fault is Fault.DUPLICATE:
            copies, delay = self._random.choice(_COPIES), 0.0
        elif fault is Fault.LATE:
            delay = self._random.uniform(0.0, self._late)
        for _ in range(copies):
            self._counts["repeated"] += 1
            self._late_copies += 1
            self._server.spawn(self._deliver_again(request, delay))

    async def _deliver_again(self, request: Request, delay: float) -> None:
        try:
            await asyncio.sleep(delay)
            await self._engine.forward(request)
        finally:
            self._late_copies -= 1

    @override
    def _is_busy(self) -> bool:
        return self._late_copies > 0


class _Paused:
    """Ends a pause: by `resume`, or at the end of a ``with`` block."""

    def __init__(self, proxy: LossyProxy, loss: float) -> None:
        self._proxy = proxy
        self._former = loss

    def resume(self) -> None:
        """Spoil the same share as before the pause."""
        self._proxy.set_loss(self._former)

    def __enter__(self) -> None:
        """Begin nothing: the pause has begun with `LossyProxy.pause`."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Resume."""
        self.resume()


class _CountingEngine(EngineBackend):
    """An engine whose failure is a 502 for the client, as with any proxy, and is counted."""

    def __init__(self, endpoint: str, counts: Counter[str]) -> None:
        super().__init__(endpoint)
        self._failures = counts

    async def forward(self, request: Request) -> Message:
        """Forward the request; a failure becomes an answer."""
        try:
            message = await super().forward(request)
        except (OSError, HTTPError, asyncio.IncompleteReadError):
            self._failures["upstream failed"] += 1
            return Message(502, (("Content-Type", "text/html"),), b"<html>bad gateway</html>")
        if any(name.lower() == CRC for name, _ in message.headers):
            return message
        # DynamoDB sends a checksum with every answer, DynamoDB Local with good ones only: without it nobody could tell
        # that a bit of an error was flipped on the way.
        return replace(message, headers=(*message.headers, (CRC, str(crc32(message.body)))))
