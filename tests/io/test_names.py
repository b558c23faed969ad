"""Names and addresses on both drivers (W22), and the endpoint itself."""

import socket
import threading
import time

import pytest

from dynamorm.effects import TransportError
from dynamorm.errors import ConfigError
from dynamorm.io import net
from dynamorm.wire.endpoint import Endpoint, address_refused
from tests.io.kit import ask


def failing(driver, **options):
    with pytest.raises(TransportError) as caught:
        driver.run(ask(**options))
    return caught.value


def test_the_resolvers_addresses_are_used_and_remembered(serve, face):
    server = serve()
    asked = []

    def resolver(host, port):
        asked.append((host, port))
        return ["127.0.0.1"]

    driver = face(server.endpoint("db.localhost"), resolver=resolver, max_idle=0)
    for _ in range(3):
        assert driver.run(ask()).status == 200
    assert asked == [("db.localhost", server.port)]
    assert server.accepted == 3


def test_the_next_address_is_tried_when_one_refuses(serve, face):
    server = serve()
    driver = face(server.endpoint("db.localhost"), resolver=lambda *_: ["127.0.0.9", "127.0.0.1"])
    assert driver.run(ask()).status == 200


def test_localhost_needs_no_resolver(serve, face, monkeypatch):
    monkeypatch.setattr(socket, "getaddrinfo", None)
    assert face(serve().endpoint("localhost")).run(ask()).status == 200


def test_a_name_that_does_not_exist_was_not_sent(face):
    def resolver(*_):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    error = failing(face(Endpoint.parse("http://db.example.com"), resolver=resolver))
    assert (error.stage, error.sent, error.fatal) == ("dns", False, False)
    assert "db.example.com" in error.detail


def test_a_name_without_an_address_was_not_sent(face):
    error = failing(face(Endpoint.parse("http://db.example.com"), resolver=lambda *_: []))
    assert (error.stage, error.sent) == ("dns", False)


def test_a_look_up_that_hangs_costs_no_more_than_the_budget_and_one_thread(face):
    release, calls = threading.Event(), []

    def resolver(*_):
        calls.append(1)
        release.wait(10)
        return ["127.0.0.1"]

    driver = face(Endpoint.parse("http://db.localhost:1"), resolver=resolver, connection_timeout=0.3)
    start, errors = time.monotonic(), []
    threads = [threading.Thread(target=lambda: errors.append(failing(driver))) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert time.monotonic() - start < 0.6
    assert {(error.stage, error.sent) for error in errors} == {("dns", False)}
    assert len(calls) == 1
    assert driver.driver._pool.size == 0
    release.set()


def test_the_attempts_deadline_bounds_the_look_up_too(face):
    release = threading.Event()
    driver = face(Endpoint.parse("http://db.localhost:1"), resolver=lambda *_: release.wait(5) and [])
    start = time.monotonic()
    assert failing(driver, timeout=0.2).stage == "dns"
    assert time.monotonic() - start < 0.35
    release.set()


@pytest.mark.parametrize(
    "ip", ["169.254.169.254", "127.0.0.1", "::1", "fd00:ec2::254", "::ffff:169.254.169.254", "0.0.0.0"]
)
def test_a_forbidden_address_is_never_contacted(serve, face, ip):
    server = serve()
    error = failing(face(server.endpoint("db.example.com"), resolver=lambda *_: [ip]))
    assert (error.stage, error.sent, error.fatal) == ("forbidden", False, True)
    assert server.accepted == 0


def test_a_changed_answer_is_followed_when_the_connection_has_aged(serve, face, monkeypatch):
    monkeypatch.setattr(net, "NAME_TTL", 0.05)
    old = serve()
    answers = ["127.0.0.1"]
    driver = face(old.endpoint("db.localhost"), resolver=lambda *_: list(answers))
    driver.driver._pool.max_age = 0.2
    driver.run(ask())
    answers[:] = ["127.0.0.9"]
    driver.run(ask())
    time.sleep(0.25)
    assert failing(driver).stage == "connect"


def test_an_age_counts_from_the_look_up_not_from_the_connection(serve, face):
    driver = face(serve().endpoint("db.localhost"), resolver=lambda *_: ["127.0.0.1"], max_idle=1)
    driver.run(ask())
    first = driver.driver._pool.idle[0]
    driver.driver._pool.max_quiet = 0.04
    time.sleep(0.05)
    driver.run(ask())
    second = driver.driver._pool.idle[0]
    assert second is not first
    assert second.born == first.born


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://dynamodb.eu-west-1.amazonaws.com", ("https", "dynamodb.eu-west-1.amazonaws.com", 443, True, False)),
        ("https://DynamoDB.cn-north-1.amazonaws.com.cn./", ("https", "dynamodb.cn-north-1.amazonaws.com.cn", 443, True, False)),
        ("https://amazonaws.com.evil.io", ("https", "amazonaws.com.evil.io", 443, False, False)),
        ("http://localhost:8000", ("http", "localhost", 8000, False, True)),
        ("http://[::1]:8000/", ("http", "::1", 8000, False, True)),
        ("http://127.9.9.9", ("http", "127.9.9.9", 80, False, True)),
        ("https://10.1.2.3", ("https", "10.1.2.3", 443, False, False)),
    ],
)  # fmt: skip
def test_an_endpoint_is_taken_apart(url, expected):
    endpoint = Endpoint.parse(url)
    assert (endpoint.scheme, endpoint.host, endpoint.port, endpoint.is_aws, endpoint.is_loopback) == expected


@pytest.mark.parametrize(
    ("url", "header"),
    [
        ("https://a.b:443", "a.b"),
        ("http://a.b:80", "a.b"),
        ("http://a.b:8000", "a.b:8000"),
        ("http://[::1]:8", "[::1]:8"),
    ],
)
def test_the_host_header_names_a_port_only_when_it_is_unusual(url, header):
    assert Endpoint.parse(url).host_header == header


@pytest.mark.parametrize(
    "url",
    ["", "ftp://a", "a.b", "http://", "http://a:0", "http://a:65536", "http://a:b", "http://u:p@a", "http://a/x", "http://a?x", "http://a#x", "http://a b", "http://a\r\nX: y", "http://ä.de", "http://[::1", "http://[1.2]", "http://-a", " http://a", "http://169.254.169.254", "http://0.0.0.0", "http://[fd00:ec2::254]", "http://224.0.0.1", "http://[fe80::1]"],
)  # fmt: skip
def test_a_bad_endpoint_is_a_clear_error(url):
    with pytest.raises(ConfigError, match="endpoint"):
        Endpoint.parse(url)


def test_a_password_in_an_endpoint_is_not_repeated():
    with pytest.raises(ConfigError) as caught:
        Endpoint.parse("http://user:secret@host")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "ip", ["10.0.0.1", "172.16.5.5", "192.168.1.1", "52.94.0.1", "fd12:3456::1", "2a05:d000::1", "64:ff9b::3445:1"]
)
def test_public_and_private_addresses_are_allowed(ip):
    assert address_refused(ip, loopback_ok=False) is None


@pytest.mark.parametrize(
    "ip",
    ["169.254.0.1", "fe80::1", "fd00:ec2::23", "::", "0.1.2.3", "255.255.255.255", "240.0.0.1", "ff02::1", "64:ff9b::a9fe:a9fe", "100.100.100.200", "not an address", ""],
)  # fmt: skip
def test_other_addresses_are_refused_even_for_a_loopback_endpoint(ip):
    assert address_refused(ip, loopback_ok=True)


def test_loopback_is_allowed_only_for_a_loopback_endpoint():
    assert address_refused("127.0.0.1", loopback_ok=True) is None
    assert address_refused("127.0.0.1", loopback_ok=False)
    assert address_refused("::ffff:127.0.0.1", loopback_ok=False)
