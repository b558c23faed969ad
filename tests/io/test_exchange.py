"""One exchange on both drivers: framing, faults, deadlines, reuse (W01-W07, W18, W19, W24)."""

import random
import socket
import struct
import threading
import time

import pytest

from dynamorm.effects import Call, Gather, Send, Sleep, TransportError
from dynamorm.errors import ConfigError
from dynamorm.wire.endpoint import Endpoint
from tests.io.kit import answer, ask, lateness, read_request, request, until


def reset(sock):
    """Close with RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def failing(driver, timeout=2.0):
    with pytest.raises(TransportError) as caught:
        driver.run(ask(timeout=timeout))
    return caught.value


def scripted(*steps):
    """A handler: each request is answered by the next step, a byte string or a function of the socket."""
    left = list(steps)

    def handle(sock, _number):
        while read_request(sock) is not None:
            step = left.pop(0) if len(left) > 1 else left[0]
            if callable(step):
                step(sock)
            else:
                sock.sendall(step)

    return handle


def test_a_request_is_answered_and_its_connection_used_again(serve, face):
    server = serve()
    driver = face(server.endpoint())
    for number in range(50):
        body = b'{"n":%d}' % number
        assert driver.run(ask(request(body))).body == body
    assert server.accepted == 1


def test_a_large_request_and_a_large_answer_pass(serve, face):
    driver = face(serve().endpoint())
    body = bytes(range(256)) * 40_000
    assert driver.run(ask(request(body), 20)).body == body


def test_effects_are_performed_in_order(serve, face):
    driver = face(serve().endpoint())

    def flow():
        first = yield Send(request(b"1"), 2)
        slept = yield Sleep(0.001)
        called = yield Call(threading.get_ident)
        many = yield Gather([ask(request(b"%d" % n)) for n in range(7)], 3)
        return first.body, slept, isinstance(called, int), [reply.body for reply in many]

    assert driver.run(flow()) == (b"1", None, True, [b"%d" % n for n in range(7)])


def test_a_failure_is_thrown_into_the_flow_which_may_go_on(serve, face):
    driver = face(serve(scripted(reset, answer(b"ok"))).endpoint())

    def flow():
        try:
            yield Send(request(), 2)
        except TransportError as error:
            reply = yield Send(request(), 2)
            return error.stage, reply.body

    assert driver.run(flow()) == ("receive", b"ok")


def test_a_call_that_raises_raises_in_the_flow(serve, face):
    def flow():
        try:
            yield Call(lambda: 1 // 0)
        except ZeroDivisionError:
            return "seen"

    assert face(serve().endpoint()).run(flow()) == "seen"


def test_an_unknown_effect_is_an_error(serve, face):
    def flow():
        yield 42

    with pytest.raises(TypeError):
        face(serve().endpoint()).run(flow())


def test_gather_keeps_its_limit_and_ends_all_before_it_raises(serve, face):
    driver = face(serve().endpoint())
    running, most, ended, started = 0, 0, [], []
    lock = threading.Lock()

    def flow(number):
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
            started.append(number)
        try:
            yield Sleep(0.03)
            if number == 1:
                raise KeyError(number)
            yield Sleep(0.03)
        finally:
            with lock:
                running -= 1
                ended.append(number)

    def all_of_them():
        return (yield Gather([flow(number) for number in range(40)], 4))

    with pytest.raises(KeyError):
        driver.run(all_of_them())
    assert most == 4
    assert sorted(ended) == sorted(started)
    assert len(started) < 12


def test_gathers_within_gathers_end(serve, face):
    driver = face(serve().endpoint())

    def inner(number):
        return (yield Gather([ask(request(b"%d-%d" % (number, n))) for n in range(4)], 4))

    def outer():
        return (yield Gather([inner(number) for number in range(6)], 6))

    replies = driver.run(outer())
    assert [[reply.body for reply in each] for each in replies] == [
        [b"%d-%d" % (number, n) for n in range(4)] for number in range(6)
    ]


def test_an_empty_gather_is_an_empty_list(serve, face):
    def flow():
        return (yield Gather([], 4))

    assert face(serve().endpoint()).run(flow()) == []


def test_a_refused_connection_was_not_sent(face):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    error = failing(face(Endpoint.parse(f"http://127.0.0.1:{port}")))
    assert (error.stage, error.sent, error.fatal) == ("connect", False, False)


@pytest.mark.parametrize("cut", [0, 1, 20, len(answer(b"{}")) - 1])
def test_an_answer_cut_by_a_reset_or_an_end_is_an_error_and_its_connection_is_gone(serve, face, cut):
    whole = answer(b"{}")
    for end in (reset, socket.socket.close):

        def fault(sock, end=end):
            if cut:
                sock.sendall(whole[:cut])
                time.sleep(0.02)
            end(sock)

        server = serve(scripted(fault, whole))
        driver = face(server.endpoint())
        error = failing(driver)
        assert error.stage in ("receive", "protocol")
        assert (error.sent, error.fresh, error.fatal) == (True, True, False)
        assert driver.run(ask()).status == 200
        assert server.accepted == 2


def test_a_reset_after_the_whole_answer_is_still_an_answer(serve, face):
    def fault(sock):
        sock.sendall(answer(b"whole"))
        time.sleep(0.05)
        reset(sock)

    driver = face(serve(scripted(fault, answer(b"next"))).endpoint())
    assert driver.run(ask()).body == b"whole"
    time.sleep(0.1)
    assert driver.run(ask()).body == b"next"


@pytest.mark.parametrize(
    "bad",
    [
        b"HTTP/1.1 200 OK\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n{}",
        b"HTTP/1.1 102 P\r\n\r\n" * 9,
        b"\x15\x03\x01\x00\x02\x02\x28",
    ],
)
def test_a_badly_framed_answer_is_an_error_and_its_connection_is_gone(serve, face, bad):
    server = serve(scripted(bad, answer(b"{}")))
    driver = face(server.endpoint())
    error = failing(driver)
    assert (error.stage, error.sent) == ("protocol", True)
    assert driver.run(ask()).status == 200
    until(lambda: server.open == 1)


def test_a_connection_is_not_used_again_when_the_server_says_so(serve, face):
    server = serve(scripted(answer(b"{}", b"Connection: close\r\n")))
    driver = face(server.endpoint())
    for _ in range(3):
        assert driver.run(ask()).body == b"{}"
    assert server.accepted == 3


def test_an_idle_connection_that_was_closed_is_replaced_without_an_error(serve, face):
    def close_after(sock):
        sock.sendall(answer(b"{}"))
        sock.close()

    server = serve(scripted(close_after))
    driver = face(server.endpoint())
    for _ in range(5):
        assert driver.run(ask()).body == b"{}"
        until(lambda: server.open == 0)
    assert server.accepted == 5


def test_a_used_connection_that_dies_before_an_answer_is_told_from_a_fresh_one(serve, face):
    driver = face(serve(scripted(answer(b"{}"), socket.socket.close)).endpoint())
    driver.run(ask())
    error = failing(driver)
    assert (error.stage, error.sent, error.fresh) == ("receive", True, False)
    assert failing(driver).fresh


@pytest.mark.parametrize("extra", [b"\r\n", answer(b"stale"), b"x"])
@pytest.mark.parametrize("pause", [0, 0.03])
def test_bytes_nobody_asked_for_never_meet_the_next_request(serve, face, extra, pause):
    def fault(sock):
        sock.sendall(answer(b"mine") + (b"" if pause else extra))
        if pause:
            time.sleep(pause)
            sock.sendall(extra)

    driver = face(serve(scripted(fault, answer(b"next"))).endpoint())
    assert driver.run(ask()).body == b"mine"
    time.sleep(pause * 2)
    assert driver.run(ask()).body == b"next"


def named(body, name):
    """An answer with a request id, in the usual form that is read without the parser."""
    return (
        b"HTTP/1.1 200 OK\r\nServer: Server\r\nDate: Tue, 01 Oct 2024 12:00:00 GMT\r\n"
        b"Content-Type: application/x-amz-json-1.0\r\nContent-Length: %d\r\nConnection: keep-alive\r\n"
        b"x-amzn-RequestId: %s\r\nx-amz-crc32: 1\r\n\r\n" % (len(body), name)
    ) + body


def in_pieces(sock, data):
    sock.sendall(data[:30])
    time.sleep(0.01)
    sock.sendall(data[30:])


@pytest.mark.parametrize("send", [socket.socket.sendall, in_pieces], ids=["whole", "in pieces"])
@pytest.mark.parametrize("when", ["with the answer", "with the next request"])
def test_an_answer_that_comes_twice_is_never_the_answer_to_the_next_request(serve, face, when, send):
    def handle(sock, number):
        late, count = b"", 0
        while (body := read_request(sock)) is not None:
            if late:
                send(sock, late)  # in the place of its own answer, which follows
            count += 1
            one = named(body, b"ID-%d-%d" % (number, count))
            send(sock, one * 2 if when == "with the answer" else one)
            late = one if when == "with the next request" else b""

    driver = face(serve(handle).endpoint(), max_connections=1)
    right, refused = 0, []
    for number in range(20):
        body = b"%d" % number
        try:
            assert driver.run(ask(request(body))).body == body
            right += 1
        except TransportError as error:
            refused.append((error.stage, error.sent, error.fatal))
    assert right >= 10
    assert set(refused) <= {("protocol", True, False)}
    assert driver.driver._pool.busy == 0


def test_answers_without_a_request_id_are_not_compared(serve, face):
    server = serve()
    driver = face(server.endpoint())
    for _ in range(3):
        assert driver.run(ask()).body == b"{}"
    assert server.accepted == 1


def test_two_connections_may_have_the_same_request_id(serve, face):
    """Each compares with its own last answer only."""

    def handle(sock, _number):
        while (body := read_request(sock)) is not None:
            sock.sendall(named(body, b"CONSTANT"))

    server = serve(handle)
    driver = face(server.endpoint(), max_idle=0)
    for _ in range(3):
        assert driver.run(ask()).body == b"{}"
    assert server.accepted == 3


def test_redirects_are_not_followed(serve, face):
    server = serve(scripted(b"HTTP/1.1 307 X\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"))
    assert face(server.endpoint()).run(ask()).status == 307


def drip(sock):
    for byte in answer(b"x" * 100):
        sock.sendall(bytes([byte]))
        time.sleep(0.02)


def stall(sock):
    sock.sendall(answer(b"x" * 100)[:60])
    time.sleep(3)


def silence(_sock):
    time.sleep(3)


@pytest.mark.parametrize("fault", [drip, stall, silence])
def test_an_attempt_ends_at_its_deadline_however_the_bytes_come(serve, face, fault):
    driver = face(serve(scripted(answer(b"{}"), fault)).endpoint())
    driver.run(ask())

    def late():
        error = failing(driver, timeout=0.5)
        return (error.stage, error.sent) == ("timeout", True)

    assert lateness(late, 0.5) < 0.05


def test_a_shorter_deadline_after_a_longer_one_is_kept(serve, face):
    driver = face(serve(scripted(answer(b"{}"), silence)).endpoint())
    driver.run(ask(timeout=10))
    assert lateness(lambda: failing(driver, timeout=0.2).stage == "timeout", 0.2) < 0.05


def test_a_deadline_counts_from_its_own_exchange(serve, face):
    driver = face(serve(scripted(answer(b"{}"), silence)).endpoint())
    driver.run(ask(timeout=0.3))
    time.sleep(0.2)
    assert lateness(lambda: failing(driver, timeout=0.3).stage == "timeout", 0.3) < 0.05


def test_a_server_that_does_not_read_is_given_up_at_the_deadline(serve, face):
    driver = face(serve(lambda _sock, _number: time.sleep(3)).endpoint())
    data = request(b"x" * 12_000_000)

    def late():
        with pytest.raises(TransportError) as caught:
            driver.run(ask(data, 0.5))
        return (caught.value.stage, caught.value.sent) == ("timeout", True)

    assert lateness(late, 0.5) < 0.05


def test_late_answers_never_reach_another_request(serve, face):
    """W18: servers answer after the deadline, clients carry on; every answer belongs to its question."""
    dice = random.Random(18)

    def sluggish(sock, _number):
        while (body := read_request(sock)) is not None:
            if dice.random() < 0.04:
                time.sleep(dice.choice([0.004, 0.012, 0.03]))
            sock.sendall(answer(body))

    server = serve(sluggish)
    driver = face(server.endpoint(), max_connections=8)
    wrong, late, right = [], [], []

    def client(name):
        mine = random.Random(name)
        for number in range(1250):
            body = b"%d:%d" % (name, number)
            try:
                reply = driver.run(ask(request(body), mine.choice([0.003, 0.01, 1.0])))
            except TransportError as error:
                late.append(error)
            else:
                (right if reply.body == body else wrong).append(body)

    threads = [threading.Thread(target=client, args=(name,)) for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert late
    assert len(right) + len(late) == 10_000
    assert driver.driver._pool.busy == 0
    until(lambda: server.open == len(driver.driver._pool.idle))


def test_a_closed_driver_says_so(serve, face):
    driver = face(serve().endpoint())
    driver.run(ask())
    driver.close_driver()
    with pytest.raises(ConfigError, match="closed"):
        driver.run(ask())


def test_closing_ends_idle_connections_at_once_and_busy_ones_after_their_exchange(serve, face):
    begun = threading.Event()

    def slow(sock, _number):
        while (body := read_request(sock)) is not None:
            if body == b"slow":
                begun.set()
                time.sleep(0.2)
            sock.sendall(answer(body))

    server = serve(slow)
    driver = face(server.endpoint())
    replies = []
    thread = threading.Thread(target=lambda: replies.append(driver.run(ask(request(b"slow")))))
    thread.start()
    begun.wait(5)
    driver.close_driver()
    thread.join()
    assert replies[0].body == b"slow"
    until(lambda: server.open == 0)
    assert not driver.driver._live
