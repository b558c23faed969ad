"""Framing (W04-W07, W11, W24): an answer is exact or it is refused, however its bytes are cut."""

import linecache
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dynamorm.effects import TransportError
from dynamorm.wire.http1 import MAX_BODY, MAX_HEAD, MAX_INTERIM, Exchange

OK = b"HTTP/1.1 200 OK\r\n"
PLAIN = OK + (
    b"Server: Server\r\nDate: Tue, 01 Oct 2024 12:00:00 GMT\r\nContent-Type: application/x-amz-json-1.0\r\n"
    b"Content-Length: 13\r\nConnection: keep-alive\r\nx-amzn-RequestId: ABC123\r\nX-Amz-Crc32: 2745614147\r\n\r\n"
    b'{"Item":null}'
)
USUAL = PLAIN.replace(b"X-Amz-Crc32", b"x-amz-crc32")  # to the letter what AWS sends: read without the parser
CHUNKED = OK + b"Transfer-Encoding: chunked\r\nx-amz-crc32: 7\r\n\r\n5\r\n{'a':\r\n3\r\n1 }\r\n0\r\n\r\n"
INTERIM = b"HTTP/1.1 100 Continue\r\nx-amz-crc32: 1\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n" + PLAIN
EMPTY = OK + b"Content-Length: 0\r\n\r\n"
NO_CONTENT = b"HTTP/1.1 204 No Content\r\n\r\n"
CLOSING = OK + b"Connection: close\r\nContent-Length: 2\r\n\r\n{}"
OLD = b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}"
TRAILING_LINE = OK + b"Content-Length: 2\r\n\r\n{}\r\n"
TRAILER = OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nx-amz-crc32: 9\r\n\r\n"
CHUNKED_TRAILING_LINE = CHUNKED + b"\r\n"
WHOLE = (
    PLAIN,
    USUAL,
    USUAL.replace(b"200 OK", b"400 Bad Request"),
    CHUNKED,
    INTERIM,
    EMPTY,
    NO_CONTENT,
    CLOSING,
    OLD,
    TRAILING_LINE,
    TRAILER,
    CHUNKED_TRAILING_LINE,
)


def fed(*pieces):
    answer = Exchange()
    for piece in pieces[:-1]:
        answer.feed(piece)
    assert answer.feed(pieces[-1])
    return answer


def seen(answer):
    return (
        answer.status,
        answer.body,
        answer.crc,
        answer.request_id,
        answer.date,
        answer.retry_after,
        answer.reusable,
    )


def refused(*pieces):
    answer = Exchange()

    def feed():
        for piece in pieces:
            assert not answer.feed(piece)

    with pytest.raises(TransportError) as caught:
        feed()
    assert (caught.value.stage, caught.value.sent) == ("protocol", True)
    return caught.value.detail


def test_a_plain_answer_gives_status_body_and_the_headers_that_matter():
    assert seen(fed(PLAIN)) == (
        200,
        b'{"Item":null}',
        b"2745614147",
        "ABC123",
        b"Tue, 01 Oct 2024 12:00:00 GMT",
        None,
        True,
    )


def test_a_chunked_answer_is_put_together():
    answer = fed(CHUNKED)
    assert (answer.body, answer.crc, answer.reusable) == (b"{'a':1 }", b"7", True)


def test_retry_after_is_given_as_received():
    assert fed(OK + b"x-amz-retry-after: -1 \r\nContent-Length: 0\r\n\r\n").retry_after == b"-1"


def outcome(*pieces):
    """What becomes of an answer that came in these pieces."""
    answer = Exchange()
    try:
        for piece in pieces:
            if answer.feed(piece):
                return seen(answer)
    except TransportError as error:
        return error.stage
    return "unfinished"


def parsed(wire):
    """What the parser makes of it: an answer that comes in two pieces is never read in another way."""
    return outcome(wire[:1], wire[1:])


def test_the_usual_answer_is_read_as_the_parser_reads_it():
    assert seen(fed(USUAL)) == parsed(USUAL) == seen(fed(PLAIN))


@pytest.mark.parametrize("byte", [0, 9, 10, 13, 32, 48, 58, 65, 88, 127, 128, 255])
def test_a_changed_byte_in_the_usual_head_is_read_as_the_parser_reads_it(byte):
    for position in range(len(USUAL)):
        wire = USUAL[:position] + bytes([byte]) + USUAL[position + 1 :]
        assert outcome(wire) == parsed(wire), position


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"200 OK", b"204 No Content"),
        (b"200 OK", b"304 Not Modified"),
        (b"200 OK", b"100 Continue"),
        (b"200 OK", b"500 Internal Server Error"),
        (b"200 OK", b"200 "),
        (b"200 OK", b"200"),
        (b"HTTP/1.1", b"HTTP/1.0"),
        (b"keep-alive", b"close"),
        (b"Length: 13", b"Length: 12"),
        (b"Length: 13", b"Length: 14"),
        (b"Length: 13", b"Length: 0013"),
        (b"Length: 13", b"Length: +13"),
        (b"Length: 13", b"Length: 13, 13"),
        (b"Length: 13", b"Length: 13\r\nContent-Length: 13"),
        (b"Length: 13", b"Length: 13\r\nTransfer-Encoding: chunked"),
        (b"Server: Server\r\n", b""),
        (b"x-amz-crc32: 2745614147", b"x-amz-crc32: 1\r\nx-amz-crc32: 2"),
        (b"x-amz-crc32: 2745614147", b"x-amz-crc32: 27456141470"),
        (b'{"Item":null}', b'{"Item":null}HTTP/1.1 200 OK'),
        (b'{"Item":null}', b'{"Item":null}' + USUAL),
    ],
)
def test_what_is_nearly_usual_is_read_as_the_parser_reads_it(old, new):
    wire = USUAL.replace(old, new)
    assert wire != USUAL
    assert outcome(wire) == parsed(wire)


@pytest.mark.parametrize("wire", WHOLE)
def test_cutting_an_answer_anywhere_changes_nothing(wire):
    late = Exchange()
    end = next(n for n in range(1, len(wire) + 1) if late.feed(wire[n - 1 : n]))
    whole = seen(fed(wire))
    for cut in range(1, end):
        answer = Exchange()
        if not answer.feed(wire[:cut]):
            assert answer.feed(wire[cut:])
        assert seen(answer) == whole, cut


@given(st.sampled_from(WHOLE), st.lists(st.integers(1, 40), min_size=1, max_size=12))
@settings(max_examples=150, deadline=None)
def test_any_way_of_cutting_gives_the_same_answer(wire, sizes):
    answer, position, turn = Exchange(), 0, 0
    while position < len(wire):
        size = sizes[turn % len(sizes)]
        if answer.feed(wire[position : position + size]):
            break
        position, turn = position + size, turn + 1
    whole = fed(wire)
    assert seen(answer)[:-1] == seen(whole)[:-1]
    assert answer.reusable == whole.reusable or position + size < len(wire)  # bytes that came later were not seen


@given(st.binary(max_size=400))
@settings(max_examples=300, deadline=None)
def test_noise_is_refused_or_waited_for_but_never_an_answer(noise):
    answer = Exchange()
    try:
        assert not answer.feed(noise)
    except TransportError as error:
        assert error.stage == "protocol"  # noqa: PT017 (either outcome is fine)


@given(st.integers(0, len(PLAIN) - 14), st.integers(0, 255))
@settings(max_examples=300, deadline=None)
def test_a_changed_byte_in_the_head_never_gives_part_of_the_body(position, byte):
    wire = PLAIN[:position] + bytes([byte]) + PLAIN[position + 1 :]
    answer = Exchange()
    try:
        done = answer.feed(wire)
    except TransportError:
        return
    if done and answer.body != b'{"Item":null}':
        assert not answer.reusable  # a shorter Content-Length leaves bytes over: the checksum finds the rest


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"Content-Length: 2\r\nContent-Length: 2\r\n",
        b"Content-Length: 2\r\nContent-Length: 3\r\n",
        b"Content-Length: -2\r\n",
        b"Content-Length: +2\r\n",
        b"Content-Length: 2,2\r\n",
        b"Content-Length: 0x2\r\n",
        b"Content-Length:\r\n",
        b"Content-Length: two\r\n",
        b"Content-Length: 99999999999999999999999\r\n",
        b"Content-Length : 2\r\n",
        b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n",
        b"Transfer-Encoding: gzip\r\n",
        b"Transfer-Encoding: identity\r\n",
        b"Transfer-Encoding: gzip, chunked\r\n",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        b"Content-Length: 2\r\n folded: x\r\n",
        b"Content-Length: 2\r\nbad\x00name: x\r\n",
        b"Content-Length: 2\nx: y\r\n",
    ],
)
def test_a_head_that_leaves_doubt_about_the_length_is_refused(head):
    refused(OK + head + b"\r\n{}")


@pytest.mark.parametrize(
    "body",
    [
        b"-2\r\n{}\r\n0\r\n\r\n",
        b"zz\r\n{}\r\n0\r\n\r\n",
        b"2\n{}\n0\n\n",
        b"2\r\n{}}\r\n0\r\n\r\n",
        b"fffffffffffffffff\r\n",
    ],
)
def test_broken_chunks_are_refused(body):
    refused(OK + b"Transfer-Encoding: chunked\r\n\r\n" + body)


@pytest.mark.parametrize(
    "start",
    [
        b"HTTP/2.0 200 OK\r\n",
        b"HTTP/0.9 200 OK\r\n",
        b"RTSP/1.0 200 OK\r\n",
        b"ICY 200 OK\r\n",
        b"\r\n" + OK,
        b"HTTP/1.1 2000 OK\r\n",
        b"HTTP/1.1 020 OK\r\n",
        b"HTTP/1.1 999 OK\r\n",
        b"HTTP/1.1 OK\r\n",
    ],
)
def test_what_is_not_an_http_1_answer_is_refused(start):
    refused(start + b"Content-Length: 0\r\n\r\n")
    refused(*(bytes([byte]) for byte in start + b"Content-Length: 0\r\n\r\n"))


@pytest.mark.parametrize("wire", [PLAIN, CHUNKED])
def test_an_end_of_stream_before_the_end_of_the_answer_raises(wire):
    for cut in range(len(wire)):
        answer = Exchange()
        assert not answer.feed(wire[:cut]) if cut else not answer.started
        with pytest.raises(TransportError) as caught:
            answer.eof()
        assert caught.value.stage == ("protocol" if cut else "receive")
        assert caught.value.sent


def test_a_body_too_large_is_refused_before_it_is_read():
    assert "body" in refused(OK + b"Content-Length: %d\r\n\r\n" % (MAX_BODY + 1))
    assert not Exchange().feed(OK + b"Content-Length: %d\r\n\r\n" % MAX_BODY)
    with pytest.raises(TransportError, match="more than 100 bytes"):
        Exchange(100).feed(OK + b"Content-Length: 101\r\n\r\n")
    assert not Exchange(3 * MAX_BODY).feed(OK + b"Content-Length: %d\r\n\r\n" % (3 * MAX_BODY))


def test_a_chunked_body_too_large_is_refused_while_it_is_read():
    piece = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    assert "body" in refused(OK + b"Transfer-Encoding: chunked\r\n\r\n", *[piece] * (MAX_BODY // 65536 + 2))


def test_a_large_body_in_many_pieces_is_read_whole():
    body = bytes(range(256)) * 16384
    wire = OK + b"Content-Length: %d\r\n\r\n" % len(body) + body
    answer = Exchange()
    pieces = [wire[n : n + 65536] for n in range(0, len(wire), 65536)]
    assert [answer.feed(piece) for piece in pieces] == [False] * (len(pieces) - 1) + [True]
    assert answer.body == body
    assert answer.reusable


@pytest.mark.parametrize("size", [1000, 65536, 10**6])
def test_a_head_too_large_is_refused(size):
    wire = OK + b"x: " + b"y" * MAX_HEAD + b"\r\nContent-Length: 0\r\n\r\n"
    refused(*(wire[n : n + size] for n in range(0, len(wire), size)))


def test_endless_chunk_extensions_and_trailers_are_refused():
    start = OK + b"Transfer-Encoding: chunked\r\n\r\n"
    refused(start, b"2;", *[b"x" * 9000] * 8)
    refused(start, b"2\r\n{}\r\n0\r\n", *[b"x: %s\r\n" % (b"y" * 9000)] * 8)


def test_interim_answers_are_skipped_and_leave_no_header_behind():
    answer = fed(INTERIM)
    assert (answer.status, answer.crc) == (200, b"2745614147")
    assert fed(b"HTTP/1.1 100 Continue\r\nx-amz-crc32: 1\r\n\r\n" + EMPTY).crc is None


def test_a_storm_of_interim_answers_is_refused():
    one = b"HTTP/1.1 102 Processing\r\n\r\n"
    assert fed(one * MAX_INTERIM + EMPTY).status == 200
    assert "interim" in refused(one * (MAX_INTERIM + 1) + EMPTY)
    assert "interim" in refused(*[one] * (MAX_INTERIM + 1))


def test_an_upgrade_is_refused():
    refused(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n")


@pytest.mark.parametrize("status", [301, 302, 307, 308, 400, 413, 500, 503])
def test_any_final_status_is_returned_as_it_is(status):
    answer = fed(b"HTTP/1.1 %d X\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n" % status)
    assert (answer.status, answer.body, answer.reusable) == (status, b"", True)


@pytest.mark.parametrize(
    "wire", [CLOSING, OLD, OLD.replace(b"\r\n", b"\r\nConnection: keep-alive\r\n", 1), TRAILING_LINE, TRAILER]
)
def test_a_connection_is_not_reused_after_an_answer_that_says_or_shows_so(wire):
    assert not fed(wire).reusable


@pytest.mark.parametrize("extra", [b"\r\n", b"\n", b"x", b"{}", b"HTTP/1.1 2", EMPTY, PLAIN])
@pytest.mark.parametrize("wire", [PLAIN, CHUNKED, EMPTY, NO_CONTENT])
def test_bytes_after_the_end_forbid_reuse_but_do_not_change_the_answer(wire, extra):
    answer = fed(wire + extra)
    assert seen(answer)[:-1] == seen(fed(wire))[:-1]
    assert not answer.reusable


def test_a_body_that_ends_in_a_newline_is_no_irregularity():
    answer = fed(OK + b"Content-Length: 4\r\n\r\n{}\r\n")
    assert (answer.body, answer.reusable) == (b"{}\r\n", True)


def test_a_header_that_came_twice_is_given_as_both():
    assert fed(OK + b"x-amz-crc32: 1\r\nX-AMZ-CRC32: 2\r\nContent-Length: 0\r\n\r\n").crc == b"1,2"


def test_trailers_are_not_headers():
    assert fed(TRAILER).crc is None


def test_a_finished_answer_holds_no_parser_that_would_keep_it_alive():
    import gc
    import weakref

    class Watched(Exchange):
        __slots__ = ("__weakref__",)

    gc.disable()
    try:
        answer = Watched()
        answer.feed(PLAIN)
        watch = weakref.ref(answer)
        del answer
        assert watch() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, TimeoutError, ValueError])
@pytest.mark.parametrize("step", ["on_headers_complete", "on_body", "on_message_complete"])
@pytest.mark.parametrize("within", [True, False], ids=["while another is handled", "alone"])
def test_what_a_signals_handler_raises_while_an_answer_is_read_is_raised_as_it_is(monkeypatch, error, step, within):
    """It stops the call, and is no fault of the answer: whoever took it for one would ask again."""

    def interrupted(*_):
        raise error("by a handler")

    monkeypatch.setattr(Exchange, step, interrupted)
    for wire in (PLAIN, CHUNKED, INTERIM):
        try:
            if within:
                raise LookupError("the caller's own")
        except LookupError:
            with pytest.raises(error, match="by a handler"):
                Exchange().feed(wire)
        with pytest.raises(error, match="by a handler"):
            Exchange().feed(wire)


def test_nothing_that_can_be_interrupted_runs_within_the_parser():
    """Its callbacks are built-in functions, for it hides what they raise."""
    within = []

    def note(frame, event, _argument):
        caller = frame.f_back
        if event == "call" and "feed_data" in linecache.getline(caller.f_code.co_filename, caller.f_lineno):
            within.append(frame.f_code.co_name)

    sys.setprofile(note)
    try:
        assert Exchange().feed(PLAIN)
    finally:
        sys.setprofile(None)
    assert not within
