"""The engine over HTTP: a page of the web that leads to this machine under a name of its own is not answered."""

from __future__ import annotations

import http.client

import pytest

from dynamorm.engine import Engine

AUTHORIZATION = (
    "AWS4-HMAC-SHA256 Credential=k/20261101/eu-west-1/dynamodb/aws4_request, SignedHeaders=host, Signature=0"
)


@pytest.fixture(scope="module")
def server():
    with Engine() as engine, engine.serve(0) as serving:
        yield serving


def status(server, host, origin=None):
    place = server.endpoint.removeprefix("http://").split(":")
    connection = http.client.HTTPConnection(place[0], int(place[1]), timeout=10)
    headers = {"Host": host, "Authorization": AUTHORIZATION, "X-Amz-Target": "DynamoDB_20120810.ListTables"}
    headers |= {} if origin is None else {"Origin": origin}
    try:
        connection.request("POST", "/", b"{}", headers)
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8000", "127.0.0.1.evil.example", "localhost.evil.example:80", "EVIL.example."],
)
def test_a_page_under_a_name_of_its_own_is_refused(server, host):
    assert status(server, host, f"http://{host}") == 403


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost:8000",
        "[::1]:8000",
        "dynamodb:8000",
        "db.localhost",
        "host.docker.internal:8000",
        "10.0.0.7:80",
    ],
)
def test_a_page_of_this_machine_is_answered(server, host):
    assert status(server, host, "http://localhost:3000") == 200


def test_a_program_is_answered_under_any_name(server):
    assert status(server, "db.example.com") == 200
