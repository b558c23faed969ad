"""An emulator in a container of its own: plain http to the host that was named for it, under its name."""

import socket

import pytest

from dynamorm import Attr, Model, partition_key
from dynamorm.testing import FaultServer, answers, server


class Thing(Model, table="things"):
    id: Attr[str] = partition_key()


@pytest.fixture
def own_address(monkeypatch):
    """An address of this machine that is not loopback; ``dynamodb-local`` resolves to it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing, only chooses an address
        except OSError:
            pytest.skip("this machine has no address but loopback")
        address = probe.getsockname()[0]
    if address.startswith("127."):
        pytest.skip("this machine has no address but loopback")
    ask = socket.getaddrinfo

    def resolve(host, *args, **kwargs):
        return ask(address if host == "dynamodb-local" else host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr(server, "_HOST", "0.0.0.0")
    return address


def test_requests_reach_a_host_that_was_named_for_plain_http(open_db, own_address):
    with FaultServer(lambda _: answers.json({})) as emulator:
        endpoint = f"http://dynamodb-local:{emulator.port}"
        db = open_db(endpoint, allow_insecure_hosts=("dynamodb-local",))
        db.put(Thing(id="x"))
        assert db.get(Thing, "x") is None
        assert [one.operation for one in emulator.requests] == ["PutItem", "GetItem"]
        assert emulator.requests[0].headers["host"] == f"dynamodb-local:{emulator.port}"
