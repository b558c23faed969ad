"""W07-W10: answers with wrong lengths, missing bytes, flipped bits and bad checksums are never believed."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from dynamorm.errors import ChecksumMismatch, DeadlineExceeded, MalformedResponse, Outcome, OutcomeUnknown, Unavailable
from dynamorm.testing import Answer, answers, reply
from tests.faults.scripted import Scripted
from tests.faults.stage import Run, Stage
from tests.faults.verbs import AGAIN, READS, VERBS, Payment, Verb, some

Make = Callable[..., Stage]
honest = answers.honest()

FRAMES = {
    "too_long": honest.content_length(9_999).then("close"),
    "too_short": honest.content_length(1).checksum(False),
    "missing": honest.content_length().then("close"),
    "missing_kept_open": honest.content_length(),
    "duplicated": honest.content_length(5, 6),
    "duplicated_equal": honest.content_length(500, 500),
    "negative": honest.content_length(-1),
    "not_a_number": honest.content_length("0x10"),
    "two_in_one": honest.content_length("5, 5"),
    "huge": honest.content_length("9" * 30),
    "chunked_cut": honest.chunked(8).cut("mid-body").then("close"),
    "bad_chunk_size": answers.raw(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n"
    ).applied(),
    "both_framings": answers.raw(
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
    ).applied(),
    "not_http": answers.raw(b"SSH-2.0-OpenSSH_9.2\r\n").applied(),
    "bad_status": answers.raw(b"HTTP/1.1 999 Odd\r\nContent-Length: 2\r\n\r\n{}").applied(),
    "headers_too_large": answers.raw(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000 + b"\r\n\r\n").applied(),
}


RESETS = {
    "too_long_and_reset": honest.content_length(9_999).then("reset"),
    "chunked_and_reset": honest.chunked(8).cut("mid-body").then("reset"),
}


@pytest.mark.parametrize("name", FRAMES)
def test_w07_a_badly_framed_answer_for_ever_is_malformed(stage: Make, name: str) -> None:
    """Never a part of the data, never the same connection again, and an honest outcome."""
    here = stage()
    for verb in VERBS if name == "too_long" else some(name):
        run = here.run(verb, forever=FRAMES[name])
        if verb.safety == "read":
            run.failed(MalformedResponse, Outcome.NOT_APPLIED, attempts=4, retryable=True)
        else:
            _unknown(run)
        assert len(set(run.connections)) == len(run.connections)
        assert run.elapsed < 2.0


@pytest.mark.parametrize("name", RESETS)
def test_w07_an_answer_cut_by_a_reset_for_ever_is_no_answer(stage: Make, name: str) -> None:
    """The reset is the reason: the service is unavailable."""
    here = stage()
    for verb in some(name):
        run = here.run(verb, forever=RESETS[name])
        if verb.safety == "read":
            # The reset may overtake what was sent before it; then nothing of an answer was seen, which is no matter.
            run.failed(Unavailable, Outcome.NOT_APPLIED, attempts=4, retryable=True)
        else:
            _unknown(run)
        assert len(set(run.connections)) == len(run.connections)


@pytest.mark.parametrize("name", [*FRAMES, *RESETS])
def test_w07_a_badly_framed_answer_once_costs_an_attempt_only(stage: Make, name: str) -> None:
    """The next answer is good."""
    here = stage()
    for verb in some(name, among=(*READS, *AGAIN)):
        here.run(verb, (FRAMES | RESETS)[name]).succeeded(2)


@pytest.mark.parametrize("verb", READS, ids=lambda verb: verb.name)
def test_w07_an_answer_that_never_ends_runs_out_of_time(stage: Make, verb: Verb) -> None:
    """Content-Length too long, and the connection stays open."""
    here = stage(request_timeout=0.1)
    run = here.run(verb, forever=honest.content_length(9_999).then("stall"))
    run.failed(DeadlineExceeded, Outcome.NOT_APPLIED, attempts=4)
    assert 0.4 <= run.elapsed < 1.0


@pytest.mark.parametrize("missing", [1, 2, 5])
def test_w08_a_shortened_body_fails_its_checksum(stage: Make, missing: int) -> None:
    """The length agrees, the checksum is that of the whole body. Never "not found"."""
    _checksum_for_ever(stage(), honest.shorten(missing), VERBS if missing == 1 else some(f"short {missing}"))


@pytest.mark.parametrize("verb", READS, ids=lambda verb: verb.name)
@pytest.mark.parametrize("missing", [1, 10, 10_000])
def test_w08_a_shortened_body_without_a_checksum_is_malformed(stage: Make, verb: Verb, missing: int) -> None:
    """Never "not found"."""
    run = stage().run(verb, forever=honest.shorten(missing).checksum(False))
    run.failed(MalformedResponse, Outcome.NOT_APPLIED, attempts=4)


@pytest.mark.parametrize("verb", [*READS, *AGAIN], ids=lambda verb: verb.name)
def test_w08_one_shortened_body_costs_an_attempt_only(stage: Make, verb: Verb) -> None:
    """Read exactly, written once."""
    stage().run(verb, honest.shorten(1)).succeeded(2)


def item_body() -> bytes:
    """A GetItem reply whose item is 1 kB."""
    item = {"id": {"S": "p1"}, "amount": {"N": "100"}, "version": {"N": "2"}, "pad": {"S": "x" * 960}}
    body = json.dumps({"Item": item}, separators=(",", ":")).encode()
    assert 1_024 <= len(body) < 1_100
    return body


def _flipped(body: bytes, bit: int) -> bytes:
    changed = bytearray(body)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def test_w09_every_single_flipped_bit_of_a_kilobyte_is_detected(scripted: Callable[..., Scripted]) -> None:
    """All 8,192 and more, one attempt each."""
    body = item_body()
    crc = reply(body).crc
    bits = iter(range(len(body) * 8))
    here = scripted(lambda _: reply(_flipped(body, next(bits)), crc=crc), max_attempts=1)
    detected = 0
    for _ in range(len(body) * 8):
        with pytest.raises(ChecksumMismatch) as caught:
            here.db.get(Payment, "p1")
        assert caught.value.attempts == 1
        detected += 1
    assert detected == len(body) * 8 >= 8_192


@pytest.mark.parametrize("bit", [0, 7, 9, 100, 1_001])
def test_w09_a_flipped_bit_is_detected_through_sockets(stage: Make, bit: int) -> None:
    """A sample, for every verb: its replies are flipped, whatever they hold."""
    _checksum_for_ever(stage(), honest.flip(bit), VERBS if bit == 9 else some(f"bit {bit}"))


CHECKSUMS: dict[str, Any] = {
    "wrong": "bad",
    "not_a_number": ["abc"],
    "empty": [""],
    "negative": ["-1"],
    "overflow": ["4294967296"],
    "thirty_digits": ["9" * 30],
    "float": ["1.0"],
    "hex": ["0x10"],
    "not_ascii": ["\xb2"],
    "duplicated": ["1", "2"],
    "twice_the_same": ["2745614147", "2745614147"],
}


@pytest.mark.parametrize("name", CHECKSUMS)
def test_w10_a_checksum_that_does_not_match_is_never_believed(stage: Make, name: str) -> None:
    """Whatever it looks like, it neither passes nor crashes."""
    _checksum_for_ever(stage(), honest.checksum(CHECKSUMS[name]), VERBS if name == "wrong" else some(name))


def test_w10_a_missing_checksum_is_accepted_or_not_as_configured(stage: Make) -> None:
    """``auto`` trusts an emulator, ``require`` nobody, ``off`` does not even look."""
    bare = honest.checksum(False)
    trusting, blind = stage(), stage(crc="off")
    for verb in VERBS:
        trusting.run(verb, forever=bare).succeeded(1)
        blind.run(verb, forever=honest.checksum("bad")).succeeded(1)
    _checksum_for_ever(stage(crc="require"), bare, VERBS)


def test_w10_an_answer_of_aws_must_have_a_checksum(scripted: Callable[..., Scripted]) -> None:
    """``auto`` is ``require`` for AWS's hosts."""
    bare = reply(item_body(), crc=None)
    here = scripted(lambda _: bare, endpoint="https://dynamodb.us-east-1.amazonaws.com")
    with pytest.raises(ChecksumMismatch, match="no checksum") as caught:
        here.db.get(Payment, "p1")
    assert caught.value.attempts == len(here.driver.requests) == 4


def test_w10_leading_zeros_are_still_the_number(scripted: Callable[..., Scripted]) -> None:
    """Odd, but right."""
    good = reply(item_body())
    assert good.crc is not None
    good.crc = good.crc.zfill(10)
    assert scripted([good]).db.get(Payment, "p1").amount == 100


def _checksum_for_ever(here: Stage, answer: Answer, verbs: tuple[Verb, ...]) -> None:
    for verb in verbs:
        run = here.run(verb, forever=answer)
        if verb.safety == "read":
            run.failed(ChecksumMismatch, Outcome.NOT_APPLIED, attempts=4, retryable=True)
        else:
            _unknown(run)


def _unknown(run: Run) -> None:
    run.failed(OutcomeUnknown, Outcome.UNKNOWN, attempts=1 if run.verb.safety == "once" else 4, retryable=False)
    assert run.changes >= 1


def test_what_cannot_be_believed_is_told_with_its_request_id(scripted: Callable[..., Scripted]) -> None:
    """It is what the support of AWS asks for."""
    here = scripted(lambda _: reply({}, crc="bad", request_id="R-7"))
    with pytest.raises(ChecksumMismatch) as caught:
        here.db.get(Payment, "p1")
    assert caught.value.request_id == "R-7"
