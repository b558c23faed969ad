"""What the tests of the test tools share: a client that sees every byte, and a running embedded engine."""

from __future__ import annotations

import json
import socket
import time

import pytest

from dynamorm.testing import AsyncTestDB, Ministack, TestDB
from tests.support.faces import Face, _Loop, _Mirror

SCOPE = "local/20200101/us-east-1/dynamodb/aws4_request"


class RawClient:
    """One connection, driven by hand; `end` says how it ended: "eof", "reset" or "timeout"."""

    def __init__(self, endpoint, timeout=30.0, tls=None):
        host, _, port = endpoint.partition("//")[2].partition(":")
        self.socket = socket.create_connection((host, int(port)), timeout)
        if tls is not None:
            # A missing close_notify shall show, not pass for a proper end.
            self.socket = tls.wrap_socket(self.socket, server_hostname="localhost", suppress_ragged_eofs=False)
        self.end = None

    def send(self, operation="GetItem", body=None, headers=()):
        data = json.dumps(body or {}).encode()
        lines = [
            "POST / HTTP/1.1",
            "Host: localhost",
            f"X-Amz-Target: DynamoDB_20120810.{operation}",
            "Content-Type: application/x-amz-json-1.0",
            f"Authorization: AWS4-HMAC-SHA256 Credential={SCOPE}, SignedHeaders=host, Signature=0",
            "X-Amz-Date: 20200101T000000Z",
            f"Content-Length: {len(data)}",
            *headers,
        ]
        self.socket.sendall("\r\n".join([*lines, "", ""]).encode() + data)
        return self

    def drain(self):
        """Everything until the connection ends or is silent for the timeout."""
        received = b""
        while self.end is None:
            try:
                piece = self.socket.recv(65536)
            except ConnectionResetError:
                self.end = "reset"
            except TimeoutError:
                self.end = "timeout"
            else:
                received += piece
                self.end = None if piece else "eof"
        return received

    def answer(self):
        """One proper answer: status, headers with lower-case names, body."""
        data = b""
        while b"\r\n\r\n" not in data:
            piece = self.socket.recv(65536)
            assert piece, f"ended after {data!r}"
            data += piece
        head, _, body = data.partition(b"\r\n\r\n")
        start, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        while len(body) < int(headers["content-length"]):
            piece = self.socket.recv(65536)
            assert piece, f"ended after {body!r}"
            body += piece
        return int(start.split()[1]), headers, body

    def close(self):
        self.socket.close()


@pytest.fixture
def connect():
    opened = []

    def make(endpoint, **options):
        client = RawClient(endpoint, **options)
        opened.append(client)
        return client

    yield make
    for client in opened:
        client.close()


@pytest.fixture(scope="session")
def engine():
    with Ministack() as running:
        yield running


def until(condition, timeout=30.0):
    """Wait for a condition that another thread or process brings about."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


@pytest.fixture(name="until")
def until_fixture():
    return until


@pytest.fixture
def opened(face_kind):
    """Opens test databases on the face of the test; they are closed behind it."""
    made = []

    def opener(**settings):
        face = object.__new__(Face)
        face.kind = face_kind
        face._loop = _Loop() if face_kind == "asyncio" else None
        face.inner = (AsyncTestDB if face._loop else TestDB)(**settings)
        face._db = _Mirror(face.inner, face._loop) if face._loop else face.inner
        face._db.__enter__()
        made.append(face)
        return face

    yield opener
    for face in made:
        face.close()
