"""A scripted HTTP/1.1 server on loopback that misbehaves exactly as told. It must not know of retries or flows."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any, Self, TypeAlias, TypeVar

from dynamorm.testing import answers
from dynamorm.testing.answers import Answer, Message
from dynamorm.testing.backend import Backend, FunctionBackend, Upstream
from dynamorm.testing.delivery import Welcome, deliver, finish, until_gone, welcomed
from dynamorm.testing.request import HEAD_LIMIT, HTTPError, Request, read_head, read_length, request_of

T = TypeVar("T")

Script: TypeAlias = Callable[[Request], Answer | None] | Sequence[Answer | None]
"""Decides each answer: a function of the request, or answers in order of arrival. None: what the backend answers."""

_HOST = "127.0.0.1"
_STOP_TIMEOUT = 10.0
_LAST_TURNS = 10  # of the loop; accepting a connection takes four


class FaultServer:
    """Answers DynamoDB requests on loopback as a script says, and records them.

    ``script`` decides each answer (see `Script` and `dynamorm.testing.answers`); ``backend`` applies requests for
    honest answers and for ``.applied()`` ones; ``welcome(n)`` says what happens to the n-th connection; ``tls`` is a
    server-side context; at most ``keep`` requests are recorded. It serves from construction until `stop`.

    A script that raises, or runs out of answers without a backend, closes the connection; `stop` raises the first such
    error, so a mistaken test cannot pass.

    Example::

        with FaultServer([answers.reset(), answers.json({})]) as server:
            db = DB(Config(endpoint=server.endpoint, ...))
            ...
        assert [r.operation for r in server.requests] == ["GetItem", "GetItem"]
    """

    def __init__(
        self,
        script: Script = (),
        *,
        backend: Backend | Upstream | None = None,
        welcome: Callable[[int], Welcome] | None = None,
        tls: ssl.SSLContext | None = None,
        keep: int = 100_000,
    ) -> None:
        self._script = script
        self._backend = FunctionBackend(backend) if callable(backend) else backend
        self._welcome = welcome
        self._tls = tls
        self._received: deque[Request] = deque(maxlen=keep)
        self._count = 0
        self._connections = 0
        self._conversations: set[asyncio.Task[None] | None] = set()
        self._problems: list[BaseException] = []
        self._tasks: set[asyncio.Task[Any]] = set()
        self._stopped = False
        self._listening = socket.create_server((_HOST, 0), backlog=1024)
        self.port: int = self._listening.getsockname()[1]
        self._loop = asyncio.new_event_loop()
        started = threading.Event()
        self._thread = threading.Thread(target=self._serve, args=(started,), daemon=True, name="fault-server")
        self._thread.start()
        started.wait()

    @property
    def endpoint(self) -> str:
        """The server's URL, e.g. ``"http://127.0.0.1:40123"``."""
        return f"{'http' if self._tls is None else 'https'}://{_HOST}:{self.port}"

    @property
    def requests(self) -> list[Request]:
        """The requests received so far, oldest first."""
        return list(self._received)

    @property
    def connections(self) -> int:
        """How many connections were accepted so far."""
        return self._connections

    @property
    def problems(self) -> list[BaseException]:
        """What went wrong in the script or the backend."""
        return list(self._problems)

    def clear(self) -> None:
        """Forget the recorded requests; their numbering goes on."""
        self._received.clear()

    def stop(self) -> None:
        """Reset every connection and end the thread. Raises the first error of the script, once."""
        if not self._stopped:
            self._stopped = True
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(_STOP_TIMEOUT)
            if self._problems:
                raise self._problems[0]

    def __enter__(self) -> Self:
        """Return the running server."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop; an error of the body goes before one of the script."""
        with contextlib.suppress(*([Exception] if error is not None else [])):
            self.stop()

    def run(self, make: Callable[[], Awaitable[T]]) -> T:
        """Await ``make()`` on the server's loop, from another thread, and return its result."""

        async def body() -> T:
            return await make()

        return asyncio.run_coroutine_threadsafe(body(), self._loop).result()

    def spawn(self, job: Awaitable[Any]) -> None:
        """Run ``job`` beside the requests until it ends or the server stops. Only from the server's own thread."""

        async def body() -> None:
            await job

        task = self._loop.create_task(body())
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._problems.append(error)

    def _serve(self, started: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        accepting = asyncio.start_server(self._connected, sock=self._listening, ssl=self._tls, limit=HEAD_LIMIT)
        server = self._loop.run_until_complete(accepting)
        self._loop.call_soon(started.set)
        self._loop.run_forever()
        self._loop.run_until_complete(self._end(server))
        self._loop.close()

    async def _end(self, server: asyncio.Server) -> None:
        # What was accepted must start first: a closed server, or a task cancelled before its start, would leak it.
        self._loop.remove_reader(self._listening.fileno())
        await _turns()
        server.close()
        running = asyncio.all_tasks() - {asyncio.current_task()}
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        if self._backend is not None:
            await self._backend.close()
        await _turns()  # aborted transports close their sockets

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number, self._connections = self._connections, self._connections + 1
        task = asyncio.current_task()
        self._conversations.add(task)  # a task that only waits for silence is referenced by nobody else
        ending: str = "reset"
        try:
            how: Welcome = "accept" if self._welcome is None else self._welcome(number)
            await welcomed(how, reader, writer)
            ending = await self._converse(number, reader, writer) if how == "accept" else how
        except (OSError, HTTPError, asyncio.IncompleteReadError):
            pass  # the client went away, or is itself faulty: there is nobody left to tell
        except asyncio.CancelledError:
            pass  # the server stops; asyncio.streams would log a cancelled handler as an error
        except Exception as error:  # noqa: BLE001 - kept for stop() to raise in the test's own thread
            self._problems.append(error)
        finally:
            self._conversations.discard(task)
            finish(writer, ending)

    async def _converse(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str:
        while (head := await read_head(reader)) is not None:
            body = await reader.readexactly(read_length(head))
            request = request_of(head, self._count, number)
            self._count += 1  # only what was received as a whole takes a place in the script
            request.body = body
            request.time = time.monotonic()
            self._received.append(request)
            answer = self._decide(request)
            await deliver(answer, await self._message(answer, request), writer)
            if answer.ending == "stall":
                await until_gone(reader)
            if answer.ending != "keep" or head.get("connection").lower() == "close":
                return "close" if answer.ending == "keep" else answer.ending
        return "close"

    def _decide(self, request: Request) -> Answer:
        if callable(self._script):
            answer = self._script(request)
        elif request.index < len(self._script):
            answer = self._script[request.index]
        elif self._backend is None:
            raise IndexError(
                f"the script has {len(self._script)} answers; request {request.index} is {request.operation}"
            )
        else:
            answer = None
        return answers.honest() if answer is None else answer

    async def _message(self, answer: Answer, request: Request) -> Message:
        if answer.message is not None and not answer.apply:
            return _numbered(answer.message, request.index)
        if self._backend is None:
            raise LookupError("the script asks for the backend's answer, but there is no backend")
        applied = await self._backend.forward(request)
        return applied if answer.message is None else _numbered(answer.message, request.index)


def _numbered(message: Message, index: int) -> Message:
    """Give each scripted answer a request id of its own, as DynamoDB does; one that a test has chosen stays."""
    chosen = ("x-amzn-requestid", "TEST")
    if chosen not in message.headers:
        return message
    headers = tuple(
        (name, f"TEST-{index}") if (name, value) == chosen else (name, value) for name, value in message.headers
    )
    return replace(message, headers=headers)


async def _turns() -> None:
    for _ in range(_LAST_TURNS):
        await asyncio.sleep(0)
