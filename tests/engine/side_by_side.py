"""Asks an engine in this process and DynamoDB Local the same sequences of requests, and compares what they answer.

Sequence ``seed/number`` is always the same one. Short sequences have keys of their own and share tables, which are made anew now
and then; the requests of several go to DynamoDB Local at once, which answers them in their order.
"""

from __future__ import annotations

import json
import random
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from dynamorm.engine import Engine

from .sequences import TABLES, Drawn, Rules

LENGTHS = (6, 12)
"""Requests of a short sequence."""
TOGETHER = 5
"""Short sequences whose requests are sent at once."""
RENEWED = 50
"""Short sequences after which the tables are made anew, since a scan reads all that they hold."""

Asked = tuple[str, dict[str, Any]]
Answer = tuple[int, Any]


class Local:
    """DynamoDB Local, asked with bytes over one connection."""

    def __init__(self, engine: Any) -> None:
        self._socket = socket.create_connection(("127.0.0.1", engine.port), timeout=120)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file = self._socket.makefile("rb", 1 << 18)

    def close(self) -> None:
        with suppress(OSError):
            self._file.close()
            self._socket.close()

    def send(self, requests: Sequence[tuple[str, bytes]]) -> None:
        """Send requests, whose answers are read later."""
        scope = "AWS4-HMAC-SHA256 Credential=local/20200101/us-east-1/dynamodb/aws4_request"
        self._socket.sendall(
            b"".join(
                f"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-amz-json-1.0\r\n"
                f"X-Amz-Target: DynamoDB_20120810.{operation}\r\n"
                f"Authorization: {scope}, SignedHeaders=host, Signature=0\r\nContent-Length: {len(body)}\r\n\r\n".encode()
                + body
                for operation, body in requests
            )
        )

    def answer(self) -> tuple[int, bytes]:
        """The next answer."""
        read = self._file
        status = int(read.readline().split()[1])
        length = chunked = 0
        while (line := read.readline().strip().lower()) and line:
            if line.startswith(b"content-length:"):
                length = int(line[15:])
            chunked |= line == b"transfer-encoding: chunked"
        if not chunked:
            return status, read.read(length)
        body = b""
        while size := int(read.readline(), 16):
            body += read.read(size)
            read.readline()
        read.readline()
        return status, body

    def handle(self, operation: str, body: bytes) -> tuple[int, bytes]:
        """Ask, and wait for the answer."""
        self.send([(operation, body)])
        return self.answer()


def ask(engine: Any, operation: str, request: dict[str, Any]) -> Answer:
    """Ask an engine; the status and the answer."""
    status, body = engine.handle(operation, json.dumps(request).encode())
    return status, json.loads(body)


class ShortSequences:
    """Compares short sequences of a seed one after the other; what was found is in ``rules`` and ``differences``."""

    def __init__(self, local: Local, seed: int) -> None:
        self.local, self.seed = local, seed
        self.rules = Rules()
        self.differences: list[str] = []
        self.compared = self.ended_early = 0
        self._engine: Engine | None = None
        self._in_table = 0

    def run(self, first: int, count: int, tell: Callable[[str], None] = lambda _: None) -> None:
        """Compare so many sequences, from the one with the number ``first`` on."""
        number, end = first, first + count
        told = first
        sent: list[tuple[int, list[Asked]]] = []
        try:
            while number < end:
                if not sent:
                    self._renew()
                    sent = self._send(number, end)
                later = self._send(sent[-1][0] + 1, end)
                for at, requests in sent:
                    answers = [self._theirs() for _ in requests]
                    number = at + 1
                    if not self._compare(at, requests, answers):
                        break
                else:
                    sent = later
                    if number - told >= 1000:
                        told = number
                        tell(self.told(first))
                    continue
                for at, requests in (*sent, *later):  # the two hold different items: what follows is asked anew
                    if at >= number:
                        for _ in requests:
                            self._theirs()
                sent = []
        finally:
            self._close()
        tell(self.told(first))

    def told(self, first: int) -> str:
        """The counts."""
        left_out = sum(self.rules.left_out.values())
        share = 100 * left_out / max(self.rules.compared, 1)
        return (
            f"seed {self.seed}, sequences {first} to {first + self.compared - 1}: {self.compared:,} sequences, {self.rules.compared:,} requests,"
            f" {len(self.differences)} differences, left out {left_out:,} ({share:.2f} %): {dict(self.rules.left_out)};"
            f" {self.ended_early} sequences ended early"
        )

    def _requests(self, number: int) -> list[Asked]:
        rng = random.Random(f"{self.seed}/short/{number}")
        drawn = Drawn(rng, prefix=f"{number}/")
        return [drawn.request() for _ in range(rng.randint(*LENGTHS))]

    def _send(self, number: int, end: int) -> list[tuple[int, list[Asked]]]:
        """Send the next sequences, as far as they are of these tables."""
        last = min(number + TOGETHER, end, number + RENEWED - self._in_table)
        found = [(at, self._requests(at)) for at in range(number, last)]
        self._in_table += len(found)
        self.local.send([(name, json.dumps(request).encode()) for _, requests in found for name, request in requests])
        return found

    def _theirs(self) -> Answer:
        status, body = self.local.answer()
        return status, json.loads(body)

    def _compare(self, number: int, requests: list[Asked], answers: list[Answer]) -> bool:
        """Compare one sequence. False where the two hold different items from here on."""
        self.compared += 1
        for step, ((operation, request), theirs) in enumerate(zip(requests, answers, strict=True)):
            ours = ask(self._engine, operation, request)
            if self.rules.differ(operation, request, ours, theirs):
                shown = json.dumps({"request": request, "ours": ours, "theirs": theirs})[:6000]
                self.differences.append(f"sequence {self.seed}/short/{number}, step {step}, {operation}: {shown}")
            if ours[0] != theirs[0]:
                self.ended_early += 1
                return False
        return True

    def _renew(self) -> None:
        self._close()
        self._engine = Engine()
        self._in_table = 0
        for one in TABLES:
            for side in (self._engine, self.local):
                assert ask(side, "CreateTable", one)[0] == 200

    def _close(self) -> None:
        if self._engine is not None:
            self._engine.close()
            self._engine = None
            for one in TABLES:
                ask(self.local, "DeleteTable", {"TableName": one["TableName"]})
