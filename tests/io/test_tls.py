"""TLS on both drivers (W23), with certificates made for the occasion."""

import re
import socket
import ssl
import time
import warnings

import pytest

from dynamorm.effects import TransportError
from dynamorm.errors import ConfigError
from dynamorm.io.tls import TLSSettings, odd_protocol
from dynamorm.wire.endpoint import Endpoint
from tests.io.kit import answer, ask, echo, lateness, read_request, request
from tests.support.certificates import Authority

HERE = ("localhost", "127.0.0.1")


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture
def trusted(authority):
    return TLSSettings(ca_bundle=str(authority.bundle))


def failing(driver, **options):
    with pytest.raises(TransportError) as caught:
        driver.run(ask(**options))
    return caught.value


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_requests_pass_and_connections_are_used_again(serve, face, authority, trusted, version, host):
    context = authority.context(*HERE)
    context.minimum_version = context.maximum_version = version
    server = serve(echo, context=context)
    driver = face(server.endpoint(host, "https"), tls=trusted)
    for number in range(20):
        body = b"%d" % number
        assert driver.run(ask(request(body))).body == body
    assert server.accepted == 1


def test_a_large_request_and_a_large_answer_pass(serve, face, authority, trusted):
    driver = face(serve(echo, context=authority.context(*HERE)).endpoint("localhost", "https"), tls=trusted)
    body = bytes(range(256)) * 20_000
    assert driver.run(ask(request(body), 20)).body == body
    assert driver.run(ask()).body == b"{}"


@pytest.mark.parametrize(
    ("hosts", "options", "why"),
    [
        (HERE, {"expired": True}, "expired"),
        (["other.example"], {}, "mismatch|not valid for"),
        (HERE, {"self_signed": True}, "self"),
    ],
)
def test_a_bad_certificate_is_final_and_nothing_is_sent(serve, face, authority, trusted, hosts, options, why):
    got = []

    def handle(sock, _number):
        got.append(sock.recv(1000))

    context = authority.context(*hosts, **options)
    driver = face(serve(handle, context=context).endpoint("localhost", "https"), tls=trusted)
    error = failing(driver)
    assert (error.stage, error.sent, error.fatal) == ("certificate", False, True)
    assert re.search(why, error.detail)
    assert driver.driver._pool.size == 0
    time.sleep(0.02)
    assert not any(got)


def test_an_unknown_authority_is_refused(serve, face, authority):
    driver = face(serve(echo, context=authority.context(*HERE)).endpoint("localhost", "https"))
    assert failing(driver).stage == "certificate"


def test_verification_can_be_switched_off_for_loopback_only(serve, face, authority):
    server = serve(echo, context=authority.context(*HERE, self_signed=True))
    unverified = TLSSettings(verify=False)
    assert face(server.endpoint("localhost", "https"), tls=unverified).run(ask()).status == 200
    with pytest.raises(ConfigError, match="verification"):
        face(Endpoint.parse("https://db.example.com"), tls=unverified)


def test_an_old_version_is_refused_without_a_fall_back(serve, face, authority, trusted):
    context = authority.context(*HERE)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1_1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    server = serve(echo, context=context)
    error = failing(face(server.endpoint("localhost", "https"), tls=trusted))
    assert (error.stage, error.sent, error.fatal) == ("tls", False, False)
    assert server.accepted == 1


def test_a_minimum_of_1_3_is_kept(serve, face, authority):
    context = authority.context(*HERE)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    settings = TLSSettings(ca_bundle=str(authority.bundle), min_version="TLSv1.3")
    assert failing(face(serve(echo, context=context).endpoint("localhost", "https"), tls=settings)).stage == "tls"


def test_a_server_that_speaks_no_tls_is_refused(serve, face, trusted):
    driver = face(
        serve(lambda sock, _: sock.sendall(b"HTTP/1.1 400 x\r\n\r\n")).endpoint("localhost", "https"), tls=trusted
    )
    error = failing(driver)
    assert (error.stage, error.sent) == ("tls", False)


def test_a_handshake_that_stalls_ends_within_the_budget(serve, face, trusted):
    driver = face(serve(lambda *_: time.sleep(3)).endpoint("localhost", "https"), tls=trusted, connection_timeout=0.3)
    start = time.monotonic()
    error = failing(driver)
    assert (error.stage, error.sent) == ("tls", False)
    assert time.monotonic() - start < 0.5
    assert driver.driver._pool.size == 0


@pytest.mark.parametrize("cut", [0, 20, len(answer(b"{}")) - 1])
def test_an_end_without_close_notify_is_an_error(serve, face, authority, trusted, cut):
    def handle(sock, number):
        read_request(sock)
        if number > 1:
            sock.sendall(answer(b"{}"))
            return
        sock.sendall(answer(b"{}")[:cut])
        time.sleep(0.02)
        sock.shutdown(socket.SHUT_RDWR)

    driver = face(serve(handle, context=authority.context(*HERE)).endpoint("localhost", "https"), tls=trusted)
    error = failing(driver)
    assert error.stage in ("receive", "protocol")
    assert error.sent
    assert driver.run(ask()).status == 200


def test_a_drip_ends_at_the_deadline(serve, face, authority, trusted):
    def drip(sock, _number):
        while read_request(sock) is not None:
            for byte in answer(b"x" * 100):
                sock.sendall(bytes([byte]))
                time.sleep(0.02)

    driver = face(serve(drip, context=authority.context(*HERE)).endpoint("localhost", "https"), tls=trusted)
    assert lateness(lambda: failing(driver, timeout=0.5).stage == "timeout", 0.5) < 0.05


def test_bytes_in_the_same_record_as_the_answer_never_meet_the_next_request(serve, face, authority, trusted):
    def handle(sock, _number):
        while (body := read_request(sock)) is not None:
            sock.sendall(answer(body) + answer(b"stale"))

    driver = face(serve(handle, context=authority.context(*HERE)).endpoint("localhost", "https"), tls=trusted)
    for number in range(5):
        assert driver.run(ask(request(b"%d" % number))).body == b"%d" % number


def test_keys_are_not_logged(serve, face, authority, tmp_path, monkeypatch):
    log = tmp_path / "keys"
    monkeypatch.setenv("SSLKEYLOGFILE", str(log))
    settings = TLSSettings(ca_bundle=str(authority.bundle))
    assert settings.context().keylog_filename is None
    face(serve(echo, context=authority.context(*HERE)).endpoint("localhost", "https"), tls=settings).run(ask())
    assert not log.exists()


def test_http_1_1_is_offered_and_nothing_else_is_accepted(serve, face, authority, trusted):
    chosen = []

    def handle(sock, number):
        chosen.append(sock.selected_alpn_protocol())
        echo(sock, number)

    context = authority.context(*HERE)
    context.set_alpn_protocols(["h2", "http/1.1"])
    face(serve(handle, context=context).endpoint("localhost", "https"), tls=trusted).run(ask())
    assert chosen == ["http/1.1"]
    assert odd_protocol(None) is None
    assert odd_protocol("h2").stage == "tls"


def test_bad_settings_are_clear_errors(tmp_path):
    with pytest.raises(ConfigError, match=r"TLSv1\.1"):
        TLSSettings(min_version="TLSv1.1")
    with pytest.raises(ConfigError, match="CA bundle"):
        TLSSettings(ca_bundle=str(tmp_path / "none.pem")).context()


def test_renegotiation_and_compression_are_off():
    context = TLSSettings().context()
    assert context.options & ssl.OP_NO_COMPRESSION
    assert context.options & getattr(ssl, "OP_NO_RENEGOTIATION", 0) == getattr(ssl, "OP_NO_RENEGOTIATION", 0)
    assert context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
