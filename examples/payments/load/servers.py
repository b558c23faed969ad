"""Processes of the service, which are killed and begun again; and the server of a merchant, which keeps what it is told."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import socket
import subprocess
import sys
from collections import defaultdict
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Self

import uvicorn

from dynamorm.errors import InvalidSignature
from dynamorm.payments import verify_webhook

LEASE: Final = 2.0
"""Seconds after which what a killed process had begun is gone on with."""
ROOT: Final = Path(__file__).resolve().parents[3]


def free_port() -> int:
    """A port that nobody listens on at this moment, of those that no system gives out by itself: it stays free."""
    while True:
        port = random.SystemRandom().randrange(20_000, 32_000)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


class Servers:
    """Some processes of the service over one database. Each listens on a port of its own, also after it was begun again."""

    def __init__(self, count: int, *, endpoint: str, folder: str, url: str, seed: int) -> None:
        self.ports: list[int] = [free_port() for _ in range(count)]
        self.killed = 0
        self.fell = 0
        """How often one had ended by itself, and was begun again: it cannot begin where each of its attempts to look at a table was spoiled."""
        self._options = ["--endpoint", endpoint, "--data", folder, "--url", url, "--lease", str(LEASE)]
        self._running: dict[int, subprocess.Popen[bytes]] = {}
        self._random = random.Random(seed)

    def __enter__(self) -> Self:
        """Begin all."""
        for port in self.ports:
            self._begin(port)
        return self

    def __exit__(self, *error: object) -> None:
        """End all."""
        for process in self._running.values():
            process.kill()
            process.wait()

    async def up(self) -> None:
        """Wait until all of them listen. Raises: TimeoutError."""
        async with asyncio.timeout(120):
            while not self._all_listen():
                self.begin_ended()
                await asyncio.sleep(0.05)

    async def watch(self) -> None:
        """Begin those that end by themselves again, for ever: as what runs services does."""
        while True:
            await asyncio.sleep(0.1)
            self.begin_ended()

    def begin_ended(self) -> None:
        """Begin each that has ended by itself again."""
        for port, process in list(self._running.items()):
            if process.poll() is not None:
                self.fell += 1
                self._begin(port)

    def kill_one(self) -> None:
        """Kill one, whatever it is doing, and begin it again at once; not while one is beginning, so that somebody serves."""
        if not self._all_listen():
            return
        port = self._random.choice(self.ports)
        process = self._running[port]
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)
        process.wait()
        self.killed += 1
        self._begin(port)

    def _all_listen(self) -> bool:
        for port in self.ports:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=0.2).close()
            except OSError:
                return False
        return True

    def _begin(self, port: int) -> None:
        command = [sys.executable, "-m", "examples.payments", "--port", str(port), *self._options]
        self._running[port] = subprocess.Popen([*command, "--quiet", "--no-dashboard"], cwd=ROOT)


class Merchant:
    """Takes webhooks: checks each signature, and keeps what it is told of each payment, in the order in which it came."""

    def __init__(self) -> None:
        self.port = free_port()
        self.secrets: list[str] = []
        self.ids: set[str] = set()
        self.told: dict[str, list[tuple[str, int]]] = defaultdict(list)
        """By payment: what became of it, and how much of it was given back by then."""
        self.repeated = 0
        self.forged = 0
        self._server = uvicorn.Server(
            uvicorn.Config(self, host="127.0.0.1", port=self.port, log_level="warning", lifespan="off")
        )
        self._task: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        """Listen."""
        self._task = asyncio.create_task(self._server.serve())
        while not self._server.started:  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.01)
        return self

    async def __aexit__(self, *error: object) -> None:
        """Listen no more."""
        self._server.should_exit = True
        if self._task is not None:
            await self._task

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Take one webhook."""
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        try:
            id = verify_webhook(self.secrets, headers, body)
        except InvalidSignature:
            self.forged += 1
            status = 400
        else:
            self._keep(id, json.loads(body))
            status = 200
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    def _keep(self, id: str, event: dict[str, Any]) -> None:
        if id in self.ids:
            self.repeated += 1
            return
        self.ids.add(id)
        self.told[event["payment"]["id"]].append((event["type"], event["payment"]["refunded"]))
