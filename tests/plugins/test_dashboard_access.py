"""Who may see the dashboard: its token and cookie, names of the host, methods, what each answer forbids; bad arguments."""

import logging
import re
import socket
import sys

import pytest

from dynamorm.errors import ConfigError
from dynamorm.plugins import Dashboard
from dynamorm.testing import FakeClock
from tests.plugins.dashboard_kit import Visitor
from tests.plugins.scripts import Scripted

PATHS = ("/", "/panels", "/figures.json", "/dashboard.css", "/dashboard.js")


@pytest.fixture(scope="module")
def dashboard():
    here = Scripted("blocking", served := Dashboard(), clock=FakeClock())
    yield served
    here.db.close()


@pytest.fixture
def visitor(dashboard):
    return Visitor(dashboard.url)


def raw(visitor, text):
    """What is answered to bytes that no client would send."""
    with socket.create_connection(("127.0.0.1", visitor.port), timeout=10) as sock:
        sock.sendall(text.replace("\n", "\r\n").encode())
        return sock.recv(65536).decode()


def test_the_token_of_the_url_becomes_a_cookie(visitor):
    answer = visitor.ask(f"/?token={visitor.token}", known=False)
    assert answer.status == 200
    assert (
        '<meta http-equiv="refresh" content="0; url=./">' in answer.text
    )  # by itself, and not as a redirect of another site
    assert '<a href="./">' in answer.text
    assert "<script" not in answer.text
    cookie, *attributes = answer.headers["set-cookie"].split("; ")
    assert attributes == ["HttpOnly", "SameSite=Strict", f"Path={visitor.below}/"]
    name, _, value = cookie.partition("=")
    assert name == f"dynamorm_{visitor.port}"
    assert visitor.token not in value
    for path in PATHS:
        assert visitor.ask(path, known=False, Cookie=f'other={{"a": 1}}; broken"; {cookie}').status == 200
    again = visitor.ask(f"/?token={visitor.token}", known=False)
    assert again.status == 200  # another browser of the same person


@pytest.mark.parametrize("path", PATHS)
def test_without_it_nothing_is_shown(visitor, path):
    answer = visitor.ask(path, known=False)
    assert (answer.status, answer.text) == (
        401,
        "Open the URL that the program tells (dashboard.url): it has the token.\n",
    )


@pytest.mark.parametrize(
    "fields",
    [
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Basic {token}"},
        {"Authorization": "{token}"},
        {"Authorization": "Bearer {token}x"},
        {"Cookie": "dynamorm_{port}={token}"},
        {"Cookie": "dynamorm_{port}="},
        {"Cookie": "dynamorm_{port}"},
        {"Cookie": "dynamorm_1={token}"},
        {"Cookie": "\xff\xfe=\x80; ;;;==="},
    ],
)
def test_what_is_no_token(visitor, fields):
    filled = {name: text.format(token=visitor.token, port=visitor.port) for name, text in fields.items()}
    assert visitor.ask("/figures.json", known=False, **filled).status == 401


@pytest.mark.parametrize(
    "query",
    [
        "token=wrong",
        "token=",
        "token={token}&token=x",
        "token={token}%00",
        "token=%ff%fe",
        "Token={token}",
        "x={token}",
    ],
)
def test_a_wrong_token_in_the_url(visitor, query):
    answer = visitor.ask(f"/?{query.format(token=visitor.token)}", known=False)
    assert answer.status == 401
    assert "set-cookie" not in answer.headers


def test_the_token_is_taken_at_the_door_alone(visitor):
    assert visitor.ask(f"/figures.json?token={visitor.token}", known=False).status == 401


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "LOCALHOST:9000", "127.0.0.1:1", "127.8.9.10:80", "[::1]:8123", "[::1]"]
)
def test_names_of_this_machine(visitor, host):
    assert visitor.ask("/", Host=host).status == 200


@pytest.mark.parametrize(
    "host",
    [
        "attacker.example", "attacker.example:8000", "localhost.attacker.example", "127.0.0.1.attacker.example", "0.0.0.0", "::1",
        "10.0.0.1", "localhost:", "localhost:80:80", "127.0.0.1:123456", "127.0.0.1@attacker.example", "", "xlocalhost", "127.1",
    ],
)  # fmt: skip
def test_another_name_is_refused_also_with_the_token(visitor, host):
    for path in (*PATHS, f"/?token={visitor.token}"):
        answer = visitor.ask(path, Host=host)
        assert answer.status == 403
        assert "set-cookie" not in answer.headers


def test_one_name_is_needed(visitor):
    known = f"Authorization: Bearer {visitor.token}\n"
    assert raw(visitor, f"GET {visitor.below}/ HTTP/1.0\n{known}\n").startswith("HTTP/1.1 403")
    two = raw(visitor, f"GET {visitor.below}/ HTTP/1.1\nHost: localhost\nHost: attacker.example\n{known}\n")
    assert two.startswith(("HTTP/1.1 400", "HTTP/1.1 403"))
    whole = raw(visitor, f"GET http://attacker.example{visitor.below}/ HTTP/1.1\nHost: attacker.example\n{known}\n")
    assert whole.startswith("HTTP/1.1 403")
    assert raw(
        visitor, f"GET {visitor.below}/ HTTP/1.1\nHost: localhost\nUpgrade: websocket\nConnection: Upgrade\n\n"
    ).startswith("HTTP/1.1 401")
    assert raw(visitor, "no HTTP at all\n\n").startswith("HTTP/1.1 400")


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "PROPFIND"])
def test_only_get(visitor, method):
    answer = visitor.ask("/", method)
    assert (answer.status, answer.headers["allow"]) == (405, "GET")


@pytest.mark.parametrize("path", [*PATHS, "/nothing", "/../plugin.py", "//", "/dashboard.css/..", "/%2e%2e/plugin.py"])
def test_each_answer_forbids_what_is_not_needed(visitor, path):
    for known in (True, False):
        answer = visitor.ask(path, known=known)
        assert answer.status in ({200, 404} if known else {401})
        policy = dict(part.split(" ", 1) for part in answer.headers["content-security-policy"].split("; "))
        assert policy.pop("img-src") == "data:"
        assert {name: policy.pop(name) for name in ("script-src", "style-src", "connect-src")} == dict.fromkeys(
            ("script-src", "style-src", "connect-src"), "'self'"
        )
        assert set(policy.values()) == {"'none'"}
        assert policy.keys() == {"default-src", "base-uri", "form-action", "frame-ancestors"}
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert "server" not in answer.headers


def test_the_page_needs_nothing_that_the_policy_forbids(visitor):
    page = visitor.ask("/").text
    assert re.findall(r"<script[^>]*>(.*?)</script>", page, re.DOTALL) == [""]
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:|https?://", page)
    assert not re.search(r"innerHTML|eval|Function\(|https?:", visitor.ask("/dashboard.js").text)
    assert "url(" not in visitor.ask("/dashboard.css").text


def test_the_logs_of_a_program_on_uvicorn_stay_as_they_are(dashboard, visitor, caplog):
    names = ("uvicorn", "uvicorn.access", "uvicorn.error")
    kept = {name: (list(logging.getLogger(name).handlers), logging.getLogger(name).propagate) for name in names}
    with caplog.at_level(logging.DEBUG):
        here = Scripted("blocking", other := Dashboard(), clock=FakeClock())
        assert Visitor(other.url).ask(f"/?token={Visitor(other.url).token}").status == 200
        here.db.close()
    assert [record.getMessage() for record in caplog.records if record.name.startswith("uvicorn")] == []
    assert kept == {name: (list(logging.getLogger(name).handlers), logging.getLogger(name).propagate) for name in names}


# ------------------------------------------------------------------------------------------------------- bad arguments


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"host": ""}, "host of Dashboard is a text of 1 to 255 characters"),
        ({"host": None}, "host of Dashboard is a text"),
        ({"host": b"127.0.0.1"}, "host of Dashboard is a text"),
        ({"host": "0.0.0.0"}, "can be reached from other machines"),
        ({"host": "::"}, "can be reached from other machines"),
        ({"host": "192.168.1.5", "token": "x" * 20}, "can be reached from other machines"),
        ({"host": "example.com", "allow_remote": True}, "can be reached from other machines"),
        ({"host": "0.0.0.0", "token": "x" * 20, "allow_remote": 1}, "can be reached from other machines"),
        ({"port": -1}, "port of Dashboard is"),
        ({"port": 65_536}, "port of Dashboard is"),
        ({"port": "8000"}, "port of Dashboard is"),
        ({"port": True}, "port of Dashboard is"),
        ({"token": ""}, "this is one of 0 characters"),
        ({"token": "hunter2"}, "this is one of 7 characters"),
        ({"token": "hunter2 hunter2 hunter2"}, "letters, digits and -._~"),
        ({"token": "hunter2\n" * 4}, "letters, digits"),
        ({"token": "hunter2é" * 4}, "letters, digits"),
        ({"token": "hunter2" * 100}, "this is one of 700 characters"),
        ({"token": b"hunter2hunter2hunter2"}, "token of Dashboard is a text, not bytes"),
    ],
)
def test_arguments_that_are_none(arguments, message):
    with pytest.raises(ConfigError) as caught:
        Dashboard(**arguments)
    assert message in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("missing", ["starlette", "uvicorn"])
def test_without_the_extra(monkeypatch, missing):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ConfigError, match=r'pip install "dynamorm-py\[dashboard\]"'):
        Dashboard()


@pytest.mark.parametrize(("host", "shown"), [("0.0.0.0", "127.0.0.1"), ("localhost", "localhost"), ("::1", "[::1]")])
def test_other_hosts(host, shown):
    if ":" in host and not has_ipv6():
        pytest.skip("no IPv6 on this machine")
    token = "a-token-that-is-told"
    here = Scripted("blocking", served := Dashboard(host, token=token, allow_remote=True), clock=FakeClock())
    visitor = Visitor(served.url)
    assert served.url == f"http://{shown}:{visitor.port}{visitor.below}/?token={token}"
    assert visitor.ask("/").status == 200
    other = visitor.ask("/", Host="dashboard.internal")
    assert other.status == (200 if host == "0.0.0.0" else 403)  # whoever listens to all has any name
    assert visitor.ask("/", Host="dashboard.internal", known=False).status in {401, 403}
    here.db.close()


def has_ipv6():
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True
