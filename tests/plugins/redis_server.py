"""A real `redis-server` as a child process, and what goes wrong on the way to it."""

from __future__ import annotations

import shutil
import socket
import subprocess
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self

import redis

if TYPE_CHECKING:
    from pathlib import Path


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class RedisServer:
    """A Redis that stores its data in ``folder``; ``admin`` is a client for the test's own use."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.admin = redis.Redis(port=self.port)
        self._child: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self.admin.close()

    def start(self) -> None:
        """Start it with what is in its folder, and wait until it answers."""
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", self.folder]
        self._child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        until = time.monotonic() + 20
        while time.monotonic() < until:
            with suppress(redis.exceptions.ConnectionError):
                if self.admin.ping():
                    return
            time.sleep(0.02)
        raise AssertionError("redis-server does not answer")

    def stop(self) -> None:
        """Kill it: what was not saved is lost."""
        if self._child is not None:
            self._child.kill()
            self._child.wait()
            self._child = None

    def copied(self) -> Path:
        """A copy of what it holds now."""
        self.admin.save()
        return shutil.copy(self.folder / "dump.rdb", self.folder / "older.rdb")

    def go_back_to(self, copy: Path) -> None:
        """Start it again with an older copy of its data, as a failover to a replica that lags does."""
        self.stop()
        shutil.copy(copy, self.folder / "dump.rdb")
        self.start()

    def client(self, kind: str, **settings: Any) -> Any:
        """A client of one face."""
        return client_of(kind, self.port, **settings)


def client_of(kind: str, port: int, **settings: Any) -> Any:
    """A redis client of one face."""
    made = redis.Redis if kind == "blocking" else redis.asyncio.Redis
    return made(host="127.0.0.1", port=port, **settings)


class Scripted:
    """Listens in the place of a Redis: ``answer(data)`` gives the bytes to send back, slowly where ``drip`` is given."""

    def __init__(self, answer: Any, drip: float = 0.0) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self._answer, self._drip = answer, drip
        self.connections = 0
        self._open: list[socket.socket] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                sock, _ = self._listening.accept()
                self.connections += 1
                self._open.append(sock)
                threading.Thread(target=self._talk, args=(sock,), daemon=True).start()

    def _talk(self, sock: socket.socket) -> None:
        with suppress(OSError), sock:
            while data := sock.recv(65536):
                answer = self._answer(data)
                if answer is None:
                    return
                for part in (answer,) if not self._drip else [answer[at : at + 1] for at in range(len(answer))]:
                    sock.sendall(part)
                    if self._drip:
                        time.sleep(self._drip)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._listening.close()
        for sock in self._open:
            with suppress(OSError):
                sock.close()


class Gateway:
    """Stands before a Redis: answers come ``delay`` seconds late, ``target`` may change for who connects from now on.

    ``forget()``: what is connected now leads nowhere, and nobody is told, as behind a firewall that has restarted.
    ``cut()``: what is connected now is closed; with ``refuses`` so is whoever comes.
    """

    def __init__(self, target: int) -> None:
        self.target = target
        self.delay = 0.0
        self.refuses = False
        self.connections = 0
        self._forgotten: set[int] = set()
        self._live: dict[int, tuple[socket.socket, socket.socket]] = {}
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listening.getsockname()[1])
        threading.Thread(target=self._serve, daemon=True).start()

    def forget(self) -> None:
        self._forgotten |= set(self._live)

    def cut(self) -> None:
        for number in list(self._live):
            self._end(number)

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listening.accept()
                if self.refuses:
                    near.close()
                    continue
                far = socket.create_connection(("127.0.0.1", self.target))
                self.connections += 1
                for sock in (near, far):
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._live[self.connections] = near, far
                for pair in ((near, far, 0.0), (far, near, 1.0)):
                    threading.Thread(target=self._pass, args=(self.connections, *pair), daemon=True).start()

    def _pass(self, number: int, near: socket.socket, far: socket.socket, slow: float) -> None:
        with suppress(OSError):
            while data := near.recv(65536):
                if slow and self.delay:
                    time.sleep(self.delay)
                if number not in self._forgotten:
                    far.sendall(data)
        self._end(number)

    def _end(self, number: int) -> None:
        for sock in self._live.pop(number, ()):
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._listening.close()
        self.cut()
