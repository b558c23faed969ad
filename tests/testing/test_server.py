"""Each fault is looked at from the outside, byte by byte."""

from __future__ import annotations

import contextlib
import json
import shutil
import ssl
import subprocess
import threading
import time
import zlib

import pytest

from dynamorm.testing import EngineBackend, FaultServer, Message, answers

ITEM = {"Item": {"id": {"S": "1"}}}
BODY = json.dumps(ITEM, separators=(",", ":")).encode()
CRC = str(zlib.crc32(BODY))


def received(answer, connect, *, backend=None, operation="GetItem"):
    with FaultServer([answer], backend=backend) as server:
        client = connect(server.endpoint).send(operation)
        return client.drain(), client.end


def one(answer, connect, **options):
    with FaultServer([answer], **options) as server:
        return connect(server.endpoint).send().answer()


class Counter:
    """A backend that counts what it applied."""

    def __init__(self):
        self.applied = 0

    def __call__(self, operation, body):
        self.applied += 1
        return 200, ITEM


# ------------------------------------------------------------------------------------------------------ proper answers


def test_a_json_answer_has_awss_headers_and_a_right_checksum(connect):
    status, headers, body = one(answers.json(ITEM), connect)
    assert (status, body, headers["x-amz-crc32"]) == (200, BODY, CRC)
    assert headers["content-type"] == "application/x-amz-json-1.0"
    assert headers["x-amzn-requestid"] == "TEST-0"


def test_an_error_carries_its_fields_and_headers(connect):
    reasons = [{"Code": "None"}, {"Code": "TransactionConflict"}]
    answer = answers.error(
        "TransactionCanceledException", message="m", headers={"x-amz-retry-after": "3000"}, CancellationReasons=reasons
    )
    status, headers, body = one(answer, connect)
    assert (status, headers["x-amz-retry-after"]) == (400, "3000")
    assert json.loads(body)["CancellationReasons"] == reasons
    assert json.loads(body)["__type"].endswith("#TransactionCanceledException")


def test_a_connection_is_kept_and_requests_are_recorded(connect):
    with FaultServer([answers.json({}), answers.json(ITEM)]) as server:
        client = connect(server.endpoint)
        client.send("PutItem", {"a": 1}).answer()
        assert client.send("GetItem").answer()[2] == BODY
        first, second = server.requests
    assert (first.index, first.connection, first.operation, first.json) == (0, 0, "PutItem", {"a": 1})
    assert (second.index, second.connection, second.operation) == (1, 0, "GetItem")
    assert first.headers["x-amz-target"] == "DynamoDB_20120810.PutItem"
    assert first.time <= second.time
    assert server.connections == 1


def test_a_script_may_be_a_function(connect):
    with FaultServer(lambda request: answers.json({"op": request.operation})) as server:
        assert connect(server.endpoint).send("Query").answer()[2] == b'{"op":"Query"}'
        server.clear()
        assert server.requests == []


def test_a_backend_answers_what_the_script_leaves_open(connect):
    counter = Counter()
    status, headers, body = one(None, connect, backend=counter)
    assert (status, body, headers["x-amz-crc32"], counter.applied) == (200, BODY, CRC, 1)


def test_a_hundred_connections_are_served_at_once(connect):
    barrier = threading.Barrier(120, timeout=60)
    failures = []
    with FaultServer(lambda _: answers.json(ITEM)) as server:

        def work():
            client = connect(server.endpoint, timeout=60)
            try:
                barrier.wait()
                for _ in range(5):
                    assert client.send().answer()[2] == BODY
            except BaseException as error:
                failures.append(error)
                raise

        threads = [threading.Thread(target=work) for _ in range(120)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(90)
        assert (failures, server.connections, len(server.requests)) == ([], 120, 600)


# ------------------------------------------------------------------------------------------------------------ checksums


@pytest.mark.parametrize(
    ("crc", "lines"),
    [
        (False, []),
        ("bad", [str(zlib.crc32(BODY) ^ 1)]),
        (["abc"], ["abc"]),
        (["99999999999999"], ["99999999999999"]),
        ([CRC, "7"], [CRC, "7"]),
    ],
)
def test_the_checksum_header_is_absent_wrong_or_repeated_as_told(crc, lines, connect):
    data, _ = received(answers.json(ITEM, crc=crc).then("close"), connect)
    head = data.partition(b"\r\n\r\n")[0].decode()
    assert [line.split(": ")[1] for line in head.split("\r\n") if line.startswith("x-amz-crc32")] == lines


def test_one_bit_is_flipped_under_the_right_checksum(connect):
    _, headers, body = one(answers.json(ITEM).flip(8 * len(BODY) + 9), connect)
    assert headers["x-amz-crc32"] == CRC
    assert body == BODY[:1] + bytes([BODY[1] ^ 2]) + BODY[2:]


def test_a_shortened_body_has_a_matching_length_and_the_full_ones_checksum(connect):
    _, headers, body = one(answers.json(ITEM).shorten(3), connect)
    assert (body, headers["content-length"], headers["x-amz-crc32"]) == (BODY[:-3], str(len(BODY) - 3), CRC)


# -------------------------------------------------------------------------------------------- where the connection dies


def test_reset_before_the_request_is_read(connect):
    with FaultServer(welcome=lambda number: "reset-on-data") as server:
        client = connect(server.endpoint)
        try:
            client.send()
        except ConnectionResetError:
            client.end = "reset"
        assert (client.drain(), client.end, server.requests) == (b"", "reset", [])


@pytest.mark.parametrize(("welcome", "end"), [("reset", "reset"), ("close", "eof")])
def test_a_new_connection_is_ended_at_once(welcome, end, connect):
    with FaultServer(welcome=lambda number: welcome) as server:
        try:
            client = connect(server.endpoint)
        except ConnectionResetError:  # the reset may overtake the end of connect()
            assert end == "reset"
        else:
            assert (client.drain(), client.end) == (b"", end)


def test_only_the_first_connection_is_refused(connect):
    with FaultServer([answers.json({})], welcome=lambda n: "reset" if n == 0 else "accept") as server:
        with contextlib.suppress(ConnectionResetError):  # the reset may overtake the end of connect()
            assert connect(server.endpoint).drain() == b""
        assert connect(server.endpoint).send().answer()[0] == 200


def test_an_unread_connection_ends_in_a_zero_window(connect):
    with FaultServer(welcome=lambda number: "stall") as server:
        client = connect(server.endpoint, timeout=0.3)
        with pytest.raises(TimeoutError):
            client.socket.sendall(b"x" * 50_000_000)


@pytest.mark.parametrize(("applied", "count"), [(False, 0), (True, 1)])
def test_reset_after_the_request(applied, count, connect):
    counter = Counter()
    assert received(answers.reset().applied(applied), connect, backend=counter) == (b"", "reset")
    assert counter.applied == count


@pytest.mark.parametrize("ending", ["reset", "close"])
@pytest.mark.parametrize("place", ["mid-headers", "after-headers", "mid-body", 17])
def test_the_answer_ends_where_it_is_cut(place, ending, connect):
    sent = answers.json(ITEM, request_id="R1")  # a chosen id is sent as it is
    whole = answers.render(sent, sent.message)
    head = whole.index(b"\r\n\r\n") + 4
    size = {"mid-headers": head // 2, "after-headers": head, "mid-body": head + len(BODY) // 2, 17: 17}[place]
    data, end = received(sent.cut(place).then(ending), connect)
    assert (data, end) == (whole[:size], {"reset": "reset", "close": "eof"}[ending])


def test_reset_after_the_full_body(connect):
    data, end = received(answers.json(ITEM).then("reset"), connect)
    assert data.endswith(BODY)
    assert end == "reset"


def test_keep_alive_closed_without_a_word(connect):
    data, end = received(answers.json(ITEM).then("close"), connect)
    assert data.endswith(BODY)
    assert b"Connection" not in data
    assert end == "eof"


def test_close_without_an_answer(connect):
    assert received(answers.silence(), connect) == (b"", "eof")


def test_an_honest_answer_is_applied_and_lost_half_way(connect):
    counter = Counter()
    data, end = received(answers.honest().cut("mid-body").then("reset"), connect, backend=counter)
    assert counter.applied == 1
    assert data.endswith(BODY[: len(BODY) // 2])
    assert end == "reset"


def test_an_error_after_applying(connect):
    counter = Counter()
    status, _, body = one(answers.error("InternalServerError", 500).applied(), connect, backend=counter)
    assert (status, counter.applied) == (500, 1)
    assert b"InternalServerError" in body


# -------------------------------------------------------------------------------------------------------------- framing


@pytest.mark.parametrize("values", [(), (5, 9), (-1,), (10_000,), (3,), ("ten",)])
def test_content_length_is_what_is_asked_for(values, connect):
    data, _ = received(answers.json(ITEM).content_length(*values).then("close"), connect)
    head, _, body = data.partition(b"\r\n\r\n")
    lines = [line for line in head.decode().split("\r\n") if line.startswith("Content-Length")]
    assert lines == [f"Content-Length: {value}" for value in values]
    assert body == BODY


def test_chunks_are_complete_or_cut_inside(connect):
    data, _ = received(answers.json(ITEM).chunked(8).then("close"), connect)
    assert b"Transfer-Encoding: chunked\r\n" in data
    body = data.partition(b"\r\n\r\n")[2]
    assert body.startswith(b"8\r\n" + BODY[:8] + b"\r\n")
    assert body.endswith(b"\r\n0\r\n\r\n")
    cut, end = received(answers.json(ITEM).chunked(8).cut("mid-body"), connect)
    assert data.startswith(cut)
    assert len(cut) == len(data) - len(body) + len(body) // 2
    assert end == "eof"


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (answers.html(), b"<html><body>Please log in</body></html>"),
        (answers.empty(), b""),
        (answers.json(b"[]"), b"[]"),
    ],
)
def test_a_200_that_is_no_dynamodb_answer(answer, body, connect):
    status, headers, got = one(answer, connect)
    assert (status, got) == (200, body)
    assert headers["content-length"] == str(len(body))


def test_raw_bytes_are_sent_as_they_are(connect):
    assert received(answers.raw(b"HTTP/9 what\r\n"), connect) == (b"HTTP/9 what\r\n", "eof")


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_names_its_location(status, connect):
    got, headers, _ = one(answers.redirect("http://169.254.169.254/", status), connect)
    assert (got, headers["location"]) == (status, "http://169.254.169.254/")


def test_informational_answers_come_first(connect):
    data, _ = received(answers.json(ITEM).preceded_by(100, 50).then("close"), connect)
    assert data.startswith(b"HTTP/1.1 100 Continue\r\n\r\n" * 50 + b"HTTP/1.1 200 OK\r\n")


def test_an_http_1_0_server_closes(connect):
    data, end = received(answers.json(ITEM).http10(), connect)
    assert data.startswith(b"HTTP/1.0 200 OK\r\n")
    assert end == "eof"


def test_a_date_header_is_given_by_the_test(connect):
    _, headers, _ = one(answers.json({}, headers={"Date": "Thu, 01 Jan 1970 00:00:00 GMT"}), connect)
    assert headers["date"] == "Thu, 01 Jan 1970 00:00:00 GMT"
    assert "date" not in one(answers.json({}), connect)[1]


def test_a_header_can_be_added_to_an_own_answer_only(connect):
    assert one(answers.html().with_header("Server", "portal"), connect)[1]["server"] == "portal"
    with pytest.raises(ValueError, match="backend"):
        answers.honest().with_header("Server", "portal")


# ----------------------------------------------------------------------------------------------------------------- pace


def test_an_answer_is_delayed(connect):
    began = time.monotonic()
    one(answers.json(ITEM).delayed(0.3), connect)
    assert time.monotonic() - began >= 0.3


def test_an_answer_drips(connect):
    began = time.monotonic()
    with FaultServer([answers.json(ITEM).drip(400).then("close")]) as server:
        client = connect(server.endpoint).send()
        first = client.socket.recv(65536)
        assert len(first) <= 40 + 400 * (time.monotonic() - began)  # 40 at a time; more where this client comes late
        whole = first + client.drain()
    assert whole.endswith(BODY)
    assert time.monotonic() - began >= len(whole) / 400 * 0.8


def test_a_stall_after_the_headers_keeps_the_connection_open(connect):
    with FaultServer([answers.json(ITEM).cut("after-headers").then("stall")]) as server:
        client, data = connect(server.endpoint).send(), b""
        while not data.endswith(b"\r\n\r\n"):
            more = client.socket.recv(65536)
            assert more, "it was closed"
            data += more
        client.socket.settimeout(0.3)
        assert (client.drain(), client.end) == (b"", "timeout")


def test_a_stalled_connection_does_not_hold_up_the_end(connect):
    with FaultServer([answers.silence("stall")]) as server:
        connect(server.endpoint).send()
        began = time.monotonic()
    assert time.monotonic() - began < 20


# ------------------------------------------------------------------------------------------- mistakes in the test itself


def test_a_script_that_is_too_short_is_reported(connect):
    server = FaultServer([answers.json({})])
    client = connect(server.endpoint)
    client.send().answer()
    client.send().drain()
    assert client.end == "reset"
    assert len(server.problems) == 1
    with pytest.raises(IndexError, match="request 1 is GetItem"):
        server.stop()
    server.stop()


def test_an_honest_answer_without_a_backend_is_reported(connect):
    server = FaultServer([answers.honest()])
    connect(server.endpoint).send().drain()
    with pytest.raises(LookupError, match="no backend"):
        server.stop()


def test_an_error_of_the_test_goes_before_one_of_the_script(connect):
    def scenario():
        with FaultServer() as server:
            connect(server.endpoint).send().drain()
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        scenario()


def test_a_client_that_speaks_no_http_is_dropped_and_the_next_one_served(connect):
    with FaultServer([answers.json({})]) as server:
        for nonsense in (b"\x16\x03\x01\r\n\r\n", b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n", b"x" * 200_000):
            client = connect(server.endpoint)
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # the server may drop it half way
                client.socket.sendall(nonsense)
                client.drain()
            assert client.end in {"reset", "eof", None}
        assert connect(server.endpoint).send().answer()[0] == 200


# -------------------------------------------------------------------------------------------------------- TLS, engines


@pytest.mark.skipif(shutil.which("openssl") is None, reason="makes its certificate with openssl")
def test_it_speaks_tls(connect, tmp_path):
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate),
        ],
        check=True,
        capture_output=True,
    )
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(certificate, key)
    trusting = ssl.create_default_context(cafile=str(certificate))
    with FaultServer([answers.json(ITEM), answers.json(ITEM).then("reset")], tls=serving) as server:
        assert server.endpoint.startswith("https://")
        client = connect(server.endpoint, tls=trusting)
        assert client.send().answer()[2] == BODY
        assert client.send().answer()[2] == BODY
        client.socket.settimeout(30)
        with pytest.raises((ConnectionResetError, ssl.SSLError)):
            client.socket.recv(1)


def test_a_real_engine_can_stand_behind_it(engine, connect):
    with FaultServer(backend=EngineBackend(engine.endpoint)) as server:
        client = connect(server.endpoint)
        for _ in range(3):
            status, headers, body = client.send("ListTables").answer()
            assert status == 200
            assert "TableNames" in json.loads(body)
            assert headers["x-amz-crc32"] == str(zlib.crc32(body))


@pytest.mark.parametrize("endpoint", ["http://example.com:80", "https://127.0.0.1:1", "http://127.0.0.1", "file:///x"])
def test_only_loopback_can_stand_behind_it(endpoint):
    with pytest.raises(ValueError, match=r"127\.0\.0\.1"):
        EngineBackend(endpoint)


def test_an_awaited_backend_may_be_ones_own(connect):
    class Own:
        closed = False

        async def forward(self, request):
            return Message(201, (("X-Own", "1"),), request.body)

        async def close(self):
            self.closed = True

    own = Own()
    with FaultServer(backend=own) as server:
        status, headers, body = connect(server.endpoint).send(body={"a": 1}).answer()
    assert (status, headers["x-own"], body, own.closed) == (201, "1", b'{"a": 1}', True)


def test_a_large_body_goes_through_both_ways(connect):
    with FaultServer(backend=lambda operation, body: (200, body)) as server:
        _, _, body = connect(server.endpoint).send(body={"x": "y" * 5_000_000}).answer()
    assert len(body) == 5_000_000 + len('{"x":""}')
