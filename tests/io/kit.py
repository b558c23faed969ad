"""What the tests of both drivers share: a server that does as told, and one face for the two drivers."""

import asyncio
import socket
import threading
import time
from contextlib import suppress

from dynamorm.effects import Send
from dynamorm.io.aio import Aio
from dynamorm.io.blocking import Blocking
from dynamorm.wire.endpoint import Endpoint


def request(body=b"{}"):
    return b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body


def answer(body=b"{}", extra=b""):
    return b"HTTP/1.1 200 OK\r\n%sContent-Length: %d\r\n\r\n" % (extra, len(body)) + body


def read_request(sock):
    """Return the body of the next request, None at the end of the stream."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = sock.recv(65536)
        if not piece:
            return None
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
    while len(body) < length:
        body += sock.recv(65536)
    return body


def echo(sock, _number):
    """Answer every request with its own body."""
    while (body := read_request(sock)) is not None:
        sock.sendall(answer(body))


def ask(data=None, timeout=2.0):
    reply = yield Send(request() if data is None else data, timeout)
    return reply


class Server:
    """Runs ``handler(socket, number)`` in a thread for each connection; counts connections and their ends."""

    def __init__(self, handler, host="127.0.0.1", context=None, backlog=200):
        self._handler = handler
        self._context = context
        self._listener = socket.create_server((host, 0), backlog=backlog)
        self.port = self._listener.getsockname()[1]
        self.accepted = 0
        self.ended = 0
        self._socks = []
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def endpoint(self, host="127.0.0.1", scheme="http"):
        return Endpoint.parse(f"{scheme}://{host}:{self.port}")

    @property
    def open(self):
        return self.accepted - self.ended

    def _accept(self):
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.accepted += 1
            self._socks.append(sock)
            threading.Thread(target=self._serve, args=(sock, self.accepted), daemon=True).start()

    def _serve(self, raw, number):
        sock = raw
        try:
            if self._context is not None:
                sock = self._context.wrap_socket(raw, server_side=True)
                self._socks.append(sock)
            self._handler(sock, number)
        except (OSError, ValueError):
            pass
        finally:
            with suppress(OSError):
                sock.close()
            self.ended += 1

    def close(self):
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for sock in self._socks:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()
        self._thread.join(5)


class BlockingFace:
    name = "blocking"

    def __init__(self, endpoint, **options):
        self.driver = Blocking(endpoint, **options)

    def run(self, flow):
        return self.driver.run(flow)

    def close_driver(self):
        self.driver.close()

    close = close_driver


class AioFace:
    """The asyncio driver on a loop in a thread of its own, so that tests call it like the blocking one."""

    name = "aio"

    def __init__(self, endpoint, **options):
        self.driver = Aio(endpoint, **options)
        self.loop = asyncio.new_event_loop()
        self.errors = []
        self.loop.set_exception_handler(lambda _loop, context: self.errors.append(context))
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, flow):
        return asyncio.run_coroutine_threadsafe(self.driver.run(flow), self.loop).result(60)

    def close_driver(self):
        asyncio.run_coroutine_threadsafe(self.driver.close(), self.loop).result(10)

    def close(self):
        asyncio.run_coroutine_threadsafe(self._close(), self.loop).result(10)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(5)
        self.loop.close()
        assert not self.errors, self.errors

    async def _close(self):
        await self.driver.close()
        for _ in range(3):
            await asyncio.sleep(0)


def lateness(work, seconds):
    """Return by how much work that must take so many seconds misses them: the best of three, for a busy machine."""
    best = float("inf")
    for _ in range(3):
        start = time.monotonic()
        assert work()
        best = min(best, abs(time.monotonic() - start - seconds))
        if best < 0.05:
            break
    return best


def until(condition, seconds=30.0):
    """Wait for something another thread does."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never became true"
        time.sleep(0.005)
