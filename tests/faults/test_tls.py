"""W23: a server that cannot prove who it is never sees a byte of a request, and there is no way down to plain text."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dynamorm import Presets
from dynamorm.errors import ConfigError, ConnectFailed, DynamORMError, MalformedResponse, Outcome, OutcomeUnknown
from dynamorm.testing import answers
from tests.faults.stage import Stage
from tests.faults.verbs import AGAIN, READS, VERBS, Payment, some
from tests.support.certificates import Authority

Make = Callable[..., Stage]
honest = answers.honest()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Whom the tests trust."""
    return Authority(tmp_path_factory.mktemp("authority"))


def secure(make: Make, context: ssl.SSLContext, authority: Authority, **options: Any) -> Stage:
    """A stage whose server speaks TLS."""
    return make(tls=context, ca_bundle=authority.bundle, **options)


def _nothing_sent(here: Stage, run: Any) -> None:
    assert here.server.requests == []
    assert run.changes == 0


def test_w23_requests_pass_over_tls_1_2_and_1_3(stage: Make, authority: Authority) -> None:
    """The good case, so that the refusals below mean something."""
    for only in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = authority.context("127.0.0.1", "localhost")
        context.minimum_version = context.maximum_version = only
        here = secure(stage, context, authority)
        for verb in VERBS:
            here.run(verb).succeeded(1)
        assert here.server.connections == 1


@pytest.mark.parametrize(
    "make",
    [
        lambda authority, _: authority.context("127.0.0.1", expired=True),
        lambda authority, _: authority.context("127.0.0.1", early=True),
        lambda authority, _: authority.context("dynamodb.example"),
        lambda authority, _: authority.context("127.0.0.2"),
        lambda authority, _: authority.context("127.0.0.1", self_signed=True),
        lambda _, folder: Authority(folder, "stranger").context("127.0.0.1"),
    ],
    ids=["expired", "not_yet_valid", "wrong_host", "wrong_address", "self_signed", "unknown_authority"],
)
def test_w23_a_bad_certificate_is_refused_at_once_and_nothing_is_sent(
    stage: Make, authority: Authority, tmp_path: Path, make: Any
) -> None:
    """One attempt: another cannot help."""
    here = secure(stage, make(authority, tmp_path), authority)
    for verb in VERBS:
        run = here.run(verb).failed(ConnectFailed, Outcome.NOT_APPLIED, attempts=1, requests=0)
        _nothing_sent(here, run)
        assert run.elapsed < 1.0
        assert "certificate" in str(run.error)


def test_w23_system_authorities_do_not_vouch_for_a_private_one(stage: Make, authority: Authority) -> None:
    """Without ``ca_bundle`` the test authority is unknown."""
    here = stage(tls=authority.context("127.0.0.1"))
    _nothing_sent(here, here.run(READS[0]).failed(ConnectFailed, Outcome.NOT_APPLIED, attempts=1, requests=0))


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1], ids=["1.0", "1.1"])
def test_w23_old_versions_are_refused_without_a_fallback(
    stage: Make, authority: Authority, version: ssl.TLSVersion
) -> None:
    """The server speaks nothing newer."""
    context = authority.context("127.0.0.1")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = version
    context.set_ciphers("ALL:@SECLEVEL=0")
    here = secure(stage, context, authority)
    for verb in VERBS:
        _nothing_sent(here, here.run(verb).failed(ConnectFailed, Outcome.NOT_APPLIED, attempts=4, requests=0))


def test_w23_a_minimum_of_1_3_is_kept(stage: Make, authority: Authority) -> None:
    """1.2 is not enough then."""
    context = authority.context("127.0.0.1")
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    here = secure(stage, context, authority, min_tls_version="TLSv1.3")
    for verb in VERBS:
        _nothing_sent(here, here.run(verb).failed(ConnectFailed, Outcome.NOT_APPLIED, attempts=4, requests=0))


def test_w23_verification_cannot_be_switched_off_for_others() -> None:
    """Nor plain http be used."""
    for settings in ({"verify_tls": False}, {"endpoint": "http://dynamodb.eu-west-1.amazonaws.com"}):
        with pytest.raises(ConfigError):
            Presets.production(**{"endpoint": "https://dynamodb.eu-west-1.amazonaws.com"} | settings)


@pytest.fixture
def recorder() -> Iterator[Any]:
    """A server that keeps what it hears and answers with these bytes."""
    heard: list[bytes] = []
    listening = socket.create_server(("127.0.0.1", 0))
    listening.settimeout(5)

    def serve(speech: bytes) -> None:
        while True:
            try:
                sock, _ = listening.accept()
            except OSError:
                return
            with sock:
                sock.settimeout(2)
                try:
                    sock.sendall(speech)
                    while piece := sock.recv(65_536):
                        heard.append(piece)
                except OSError:
                    pass

    def start(speech: bytes) -> tuple[str, list[bytes]]:
        threading.Thread(target=serve, args=(speech,), daemon=True).start()
        return f"https://127.0.0.1:{listening.getsockname()[1]}", heard

    yield start
    listening.close()


@pytest.mark.parametrize(
    "speech", [b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", b"220 smtp ready\r\n", b"\0" * 99]
)
def test_w23_a_server_without_tls_hears_no_request(stage: Make, recorder: Any, speech: bytes) -> None:
    """Only the opening of a handshake, and no second try in plain text."""
    endpoint, heard = recorder(speech)
    here = stage(target=endpoint)
    for verb in VERBS:
        here.run(verb).failed(ConnectFailed, Outcome.NOT_APPLIED, attempts=4, requests=0)
    said = b"".join(heard)
    assert b"DynamoDB" not in said
    assert b"POST" not in said
    assert b"AWS4-HMAC" not in said


@pytest.mark.parametrize("cut", ["mid-headers", "after-headers", "mid-body"])
def test_w23_an_end_without_close_notify_within_an_answer_is_no_end(
    stage: Make, authority: Authority, cut: Any
) -> None:
    """The connection just goes away: no part of the answer is believed."""
    here = secure(stage, authority.context("127.0.0.1"), authority)
    for verb in some(cut, among=(*READS, *AGAIN)):
        here.run(verb, honest.cut(cut).then("reset")).succeeded(2)
        run = here.run(verb, forever=honest.cut(cut).then("close"))
        if verb.safety == "read":
            run.failed(MalformedResponse, Outcome.NOT_APPLIED, attempts=4)
        else:
            run.failed(OutcomeUnknown, Outcome.UNKNOWN, attempts=4)


@pytest.mark.parametrize("ending", ["close", "reset"])
def test_w23_an_end_without_close_notify_after_an_answer_is_harmless(
    stage: Make, authority: Authority, ending: Any
) -> None:
    """The answer was whole; the next call opens a new connection."""
    here = secure(stage, authority.context("127.0.0.1"), authority)
    for verb in (*READS, *AGAIN):
        run = here.run(verb, honest.then(ending)).succeeded()
        assert ending == "reset" or len(run.requests) == 1 + (
            verb.name in {"update_key", "compute_key"}
        )  # a reset may overtake the answer
        time.sleep(0.02)
        here.run(verb).succeeded()


@pytest.mark.parametrize("offered", [["h2"], ["spdy/1", "h2"], ["http/1.1"], ["h2", "http/1.1"]])
def test_w23_only_http_1_1_is_ever_agreed(stage: Make, authority: Authority, offered: list[str]) -> None:
    """A server that prefers something else finds nothing in common and speaks HTTP/1.1, or nothing at all."""
    context = authority.context("127.0.0.1")
    context.set_alpn_protocols(offered)
    here = secure(stage, context, authority)
    for verb in VERBS:
        here.run(verb).succeeded(1)


def test_w23_a_protocol_that_was_not_offered_is_refused(
    stage: Make, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if the library had offered h2 to a server that takes it."""
    monkeypatch.setattr("dynamorm.io.tls._ALPN", "h2")
    context = authority.context("127.0.0.1")
    context.set_alpn_protocols(["h2"])
    here = secure(stage, context, authority)
    session = here.db.inner
    session._io._tls.context()
    monkeypatch.setattr("dynamorm.io.tls._ALPN", "http/1.1")
    _nothing_sent(here, here.run(READS[0]).failed(ConnectFailed, Outcome.NOT_APPLIED, attempts=4, requests=0))


@pytest.mark.skipif(shutil.which("openssl") is None, reason="the openssl program plays the server")
def test_w23_a_renegotiation_is_refused(stage: Make, authority: Authority) -> None:
    """The server asks for a new handshake in the middle of TLS 1.2; the client does not take part."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    authority.context("127.0.0.1")
    pem = max(authority._folder.glob("server-*.pem"), key=lambda path: path.stat().st_mtime_ns)
    command = ["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-cert", str(pem), "-key", str(pem), "-tls1_2"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as server:
        try:
            assert server.stdout is not None
            while (line := server.stdout.readline()) and b"ACCEPT" not in line:
                pass
            here = stage(
                target=f"https://127.0.0.1:{port}", ca_bundle=authority.bundle, request_timeout=0.6, max_attempts=1
            )
            assert server.stdin is not None
            ask = threading.Timer(0.2, lambda: (server.stdin.write(b"R\n"), server.stdin.flush()))  # type: ignore[union-attr]
            ask.start()
            with pytest.raises(DynamORMError):
                here.db.get(Payment, "p1")
            ask.join()
        finally:
            server.kill()
        heard = server.stdout.read()
    assert heard.count(b"GetItem") == 1
    assert heard.count(b"BEGIN SSL SESSION PARAMETERS") <= 1
