"""Proxies of the environment on both drivers: tunnels by CONNECT, TLS with the endpoint itself behind them."""

import socket
import threading
import time
from contextlib import suppress

import pytest

from dynamorm import Attr, Config, Credentials, Model, partition_key
from dynamorm.effects import TransportError
from dynamorm.errors import ConfigError
from dynamorm.io.proxy import MAX_HEAD, Proxy, parse, proxy_for
from dynamorm.io.tls import TLSSettings
from dynamorm.testing import FaultServer, answers
from dynamorm.wire.endpoint import Endpoint
from tests.io.kit import ask, echo, request
from tests.support.certificates import Authority
from tests.support.faces import Face

HOST = "dynamodb.eu-west-1.amazonaws.com"
AWS = Endpoint.parse(f"https://{HOST}")
SECRET = "secret-password"


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture
def trusted(authority):
    return TLSSettings(ca_bundle=str(authority.bundle))


@pytest.fixture
def clean(monkeypatch):
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    return monkeypatch


def head_of(sock):
    data = b""
    while b"\r\n\r\n" not in data:
        data += sock.recv(1)
    return data.decode()


def pump(source, target):
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)


class Relay:
    """A proxy that leads everything to one port; ``asked`` holds what it was told."""

    def __init__(self, port):
        self.port = port
        self.asked = []

    def __call__(self, sock, _number):
        self.asked.append(head_of(sock))
        with socket.create_connection(("127.0.0.1", self.port)) as behind:
            sock.sendall(b"HTTP/1.1 200 Connection established\r\nVia: 1.1 relay\r\n\r\n")
            threading.Thread(target=pump, args=(behind, sock), daemon=True).start()
            pump(sock, behind)


def test_requests_pass_through_the_tunnel_to_the_endpoint_itself(serve, face, authority, trusted):
    server = serve(echo, context=authority.context(HOST))
    relay = Relay(server.port)
    proxy = serve(relay)
    driver = face(AWS, tls=trusted, proxy=parse(f"http://user:{SECRET}@127.0.0.1:{proxy.port}"))
    for number in range(5):
        body = b"%d" % number
        assert driver.run(ask(request(body))).body == body
    assert (proxy.accepted, server.accepted) == (1, 1)
    credentials = "dXNlcjpzZWNyZXQtcGFzc3dvcmQ="
    (told,) = relay.asked
    assert told == (
        f"CONNECT {HOST}:443 HTTP/1.1\r\nHost: {HOST}:443\r\nProxy-Authorization: Basic {credentials}\r\n\r\n"
    )


def test_a_proxy_cannot_pose_as_the_endpoint(serve, face, authority, trusted):
    server = serve(echo, context=authority.context("proxy.example"))
    driver = face(AWS, tls=trusted, proxy=Proxy(serve(Relay(server.port)).endpoint()))
    with pytest.raises(TransportError) as caught:
        driver.run(ask())
    assert (caught.value.stage, caught.value.sent, caught.value.fatal) == ("certificate", False, True)


@pytest.mark.parametrize(
    ("answer", "why", "fatal"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "other credentials", True),
        (b"HTTP/1.1 403 Forbidden\r\n\r\n<html>", "answered 403", True),
        (b"HTTP/1.1 502 Bad Gateway\r\n\r\n", "answered 502", False),
        (b"HTTP/1.1 301 Moved\r\nLocation: http://x/\r\n\r\n", "answered 301", False),
        (b"SSH-2.0-OpenSSH_9\r\n\r\n", "no HTTP answer", False),
        (b"HTTP/1.1 200 OK\r\n\r\n\x16\x03", "more than its answer", False),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * MAX_HEAD, "no end", False),
        (b"", "closed the connection", False),
        (b"HTTP/1.1 20", "closed the connection", False),
    ],
)
def test_a_tunnel_that_does_not_open_is_an_error_and_nothing_was_sent(serve, face, trusted, answer, why, fatal):
    def handle(sock, _number):
        head_of(sock)
        sock.sendall(answer)
        sock.shutdown(socket.SHUT_WR)
        time.sleep(0.05)

    proxy = parse(f"http://user:{SECRET}@127.0.0.1:{serve(handle).port}")
    driver = face(AWS, tls=trusted, proxy=proxy)
    with pytest.raises(TransportError) as caught:
        driver.run(ask())
    assert (caught.value.stage, caught.value.sent, caught.value.fatal) == ("connect", False, fatal)
    assert why in caught.value.detail
    assert SECRET not in f"{caught.value} {proxy}"
    assert driver.driver._pool.size == 0


def test_a_proxy_that_is_silent_or_drips_ends_within_the_budget(serve, face, trusted):
    def drip(sock, number):
        head_of(sock)
        while number > 1:
            sock.sendall(b"H")
            time.sleep(0.05)
        time.sleep(3)

    driver = face(AWS, tls=trusted, proxy=Proxy(serve(drip).endpoint()), connection_timeout=0.4)
    for _ in range(2):
        start = time.monotonic()
        with pytest.raises(TransportError) as caught:
            driver.run(ask())
        assert (caught.value.stage, caught.value.sent) == ("connect", False)
        assert time.monotonic() - start < 0.7
    assert driver.driver._pool.size == 0


class Thing(Model, table="things"):
    id: Attr[str] = partition_key()


def test_a_database_goes_through_the_proxy_when_it_is_told_to(serve, clean, authority, face_kind):
    with FaultServer(lambda _: answers.json({}), tls=authority.context(HOST)) as server:
        relay = Relay(server.port)
        clean.setenv("HTTPS_PROXY", f"http://127.0.0.1:{serve(relay).port}")
        config = Config(
            region="eu-west-1",
            credentials=Credentials("key", "secret"),
            ca_bundle=str(authority.bundle),
            trust_env=True,
        )
        db = Face(face_kind, config)
        assert db.get(Thing, "x") is None
        db.close()
        assert [told.partition(" HTTP")[0] for told in relay.asked] == [f"CONNECT {HOST}:443"]
        assert [one.headers["host"] for one in server.requests] == [HOST]
    direct = Face(face_kind, config.replace(trust_env=False))
    assert direct.inner._io._proxy is None
    direct.close()


def test_the_environment_names_the_proxy(clean):
    assert proxy_for(AWS) is None
    clean.setenv("HTTP_PROXY", "http://other:1")  # is for plain http, which goes to this machine only
    assert proxy_for(AWS) is None
    clean.setenv("HTTPS_PROXY", "http://proxy.internal:3128")
    assert proxy_for(AWS) == Proxy(Endpoint.parse("http://proxy.internal:3128"))
    clean.setenv("https_proxy", "lower.internal:8080")  # the usual short form
    assert proxy_for(AWS).endpoint.host_header == "lower.internal:8080"
    clean.setenv("https_proxy", "")
    clean.delenv("HTTPS_PROXY")
    clean.setenv("ALL_PROXY", "http://[fd00::1]:3128/")
    assert proxy_for(AWS).endpoint.host == "fd00::1"


@pytest.mark.parametrize(
    "skipped", ["*", HOST, "amazonaws.com", ".AmazonAWS.com", "*.amazonaws.com", f"a.example, {HOST}:443"]
)
def test_hosts_in_no_proxy_are_reached_directly(clean, skipped):
    clean.setenv("HTTPS_PROXY", "http://proxy.internal:3128")
    clean.setenv("NO_PROXY", f"example.com,zonaws.com,{HOST}:8443,,x.{HOST}")
    assert proxy_for(AWS) is not None
    clean.setenv("NO_PROXY", skipped)
    assert proxy_for(AWS) is None


@pytest.mark.parametrize(
    ("url", "skipped"),
    [
        ("https://10.1.2.3", "10.0.0.0/8"),
        ("https://10.1.2.3", "10.1.2.3"),
        ("https://10.1.2.3:8443", "example.com 10.1.2.3:8443"),
        ("https://[fd00::5]", "fd00::/8"),
        ("https://[fd00::5]", "fd00::5"),
        ("https://[fd00::5]:8443", "[fd00::5]:8443"),
    ],
)
def test_addresses_in_no_proxy_are_reached_directly(clean, url, skipped):
    clean.setenv("HTTPS_PROXY", "http://proxy.internal:3128")
    clean.setenv("NO_PROXY", "10.2.0.0/16, fd01::/16, [fd00::5]:1, 10.1.2.3:1, 10.1.2.0/x")
    assert proxy_for(Endpoint.parse(url)) is not None
    clean.setenv("NO_PROXY", skipped)
    assert proxy_for(Endpoint.parse(url)) is None


@pytest.mark.parametrize("url", ["https://localhost:8000", "https://127.0.0.1", "http://localhost:8000", "http://h:1"])
def test_this_machine_and_plain_http_are_reached_directly(clean, url):
    clean.setenv("HTTPS_PROXY", "http://proxy.internal:3128")
    clean.setenv("HTTP_PROXY", "http://proxy.internal:3128")
    assert proxy_for(Endpoint.parse(url)) is None


@pytest.mark.parametrize(
    "url",
    [
        f"https://user:{SECRET}@proxy:3128",
        f"socks5://user:{SECRET}@proxy:1080",
        f"http://user:{SECRET}@proxy:99999",
        f"http://user:{SECRET}@",
        f"http://user:{SECRET}@[fd00:3128",
        f"http://user:{SECRET}@169.254.169.254:80",
    ],
)
def test_a_proxy_that_cannot_be_used_is_a_clear_error(clean, url):
    clean.setenv("HTTPS_PROXY", url)
    with pytest.raises(ConfigError, match="write HTTPS_PROXY as") as caught:
        proxy_for(AWS)
    assert SECRET not in str(caught.value)


def test_credentials_may_be_escaped():
    assert parse("http://a%40b:p%3Ax%2F@proxy:1").credentials == "Basic YUBiOnA6eC8="
