"""W22: names that do not resolve, resolve slowly, change, or lead where nothing may ever be sent."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from dynamorm import AsyncDB
from dynamorm.errors import ConnectFailed, Outcome
from dynamorm.io.aio import Aio
from dynamorm.io.blocking import Blocking
from dynamorm.testing import FaultServer
from dynamorm.wire.endpoint import Endpoint
from tests.faults.stage import Run, Stage
from tests.faults.verbs import READS, VERBS

Make = Callable[..., Stage]
SLACK = 0.3


def named(
    here: Stage, resolver: Callable[[str, int], Sequence[str]], host: str = "db.localhost", **limits: Any
) -> None:
    """Let the stage's database look this host up with this resolver."""
    inner = here.db.inner
    endpoint = Endpoint.parse(f"http://{host}:{here.server.port}")
    inner._io.close() if not isinstance(inner, AsyncDB) else None
    inner._io = (Aio if isinstance(inner, AsyncDB) else Blocking)(endpoint, resolver=resolver, **limits)
    inner._session.run = inner._io.run


def failing(code: int) -> Callable[[str, int], Sequence[str]]:
    """A resolver that knows nothing."""

    def resolve(host: str, _: int) -> Sequence[str]:
        raise socket.gaierror(code, "no answer")

    return resolve


def _not_sent(run: Run, attempts: int) -> Run:
    run.failed(ConnectFailed, Outcome.NOT_APPLIED, attempts=attempts, requests=0, retryable=True)
    assert run.changes == 0
    return run


@pytest.mark.parametrize(
    "code", [socket.EAI_NONAME, socket.EAI_AGAIN, socket.EAI_FAIL], ids=["nxdomain", "servfail", "fail"]
)
def test_w22_a_name_that_is_not_found_twice_is_given_up(stage: Make, code: int) -> None:
    """Two look-ups, nothing sent, at once."""
    here = stage()
    named(here, failing(code))
    for verb in VERBS:
        assert _not_sent(here.run(verb), 2).elapsed < 1.0
    assert here.server.connections == 0


def test_w22_a_name_that_is_found_at_the_second_try_is_enough(stage: Make) -> None:
    """One failure of the resolver costs one attempt."""
    here = stage()
    for verb in VERBS:
        answers = iter([None, "127.0.0.1"])

        def resolve(_host: str, _port: int, answers: Any = answers) -> Sequence[str]:
            found = next(answers)
            if found is None:
                raise socket.gaierror(socket.EAI_AGAIN, "try again")
            return [found]

        named(here, resolve)
        here.run(verb).succeeded(1)


def test_w22_a_name_without_an_address_is_given_up(stage: Make) -> None:
    """An empty answer is none."""
    here = stage()
    named(here, lambda _host, _port: [])
    _not_sent(here.run(READS[0]), 2)


@pytest.mark.parametrize("limits", [(0.2, 0.5), (2.0, 0.4)], ids=["default_proportions", "slow_requests_allowed"])
def test_w22_a_slow_look_up_ends_within_the_connection_timeout(stage: Make, limits: tuple[float, float]) -> None:
    """Ten seconds of silence from the resolver; also a second caller is not held up."""
    request, connection = limits
    here = stage(request_timeout=request, connection_timeout=connection)
    release = threading.Event()

    def hang(_host: str, _port: int) -> Sequence[str]:
        release.wait(10)
        return ["127.0.0.1"]

    named(here, hang, connection_timeout=connection)
    for verb in (VERBS[0], VERBS[2]):
        run = here.run(verb)
        assert type(run.error) is ConnectFailed
        assert run.error.outcome is Outcome.NOT_APPLIED
        assert run.elapsed < connection + SLACK
    release.set()


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",
        "169.254.170.2",
        "fd00:ec2::254",
        "::ffff:169.254.169.254",
        "0.0.0.0",
        "127.0.0.1",
        "::1",
        "224.0.0.1",
    ],
)
def test_w22_a_forbidden_address_is_never_contacted(stage: Make, address: str) -> None:
    """A public name that points at the metadata service or at this machine: refused, once, for good."""
    here = stage()
    named(here, lambda _host, _port: [address], host="db.test")
    for verb in VERBS:
        assert _not_sent(here.run(verb), 1).elapsed < 1.0
    assert here.server.connections == 0


def test_w22_good_addresses_are_used_beside_forbidden_ones(stage: Make) -> None:
    """The forbidden one is left out."""
    here = stage()
    named(here, lambda _host, _port: ["169.254.169.254", "127.0.0.1"])
    for verb in VERBS:
        here.run(verb).succeeded(1)
    assert here.server.connections == 1


def test_w22_the_pool_follows_a_changed_answer_within_300_seconds(stage: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """The old address goes on answering, and is left all the same; the new one is not asked before."""
    passed = 0.0
    real = time.monotonic
    for module in ("blocking", "dial", "aio", "aio_link"):
        monkeypatch.setattr(f"dynamorm.io.{module}.monotonic", lambda: real() + passed)
    here = stage()
    other = _second_server(here.server.port, here)
    current = ["127.0.0.1"]
    named(here, lambda _host, _port: list(current))
    here.run(READS[0]).succeeded(1)
    current[:] = ["127.0.0.2"]
    passed = 290.0  # longer than an idle connection is kept, so it is opened anew, but not than the name is believed
    with other:
        here.run(READS[0])
        seen = len(other.requests)
        passed = 302.0
        run = here.run(READS[0])
        assert run.requests == []
        assert run.error is None
        assert len(other.requests) == seen + 1


def _second_server(port: int, here: Stage) -> FaultServer:
    """Another server, on 127.0.0.2 and the same port."""
    original = socket.create_server
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "create_server", lambda *_, **options: original(("127.0.0.2", port), **options))
        return FaultServer(backend=here.store)


def test_w22_a_busy_connection_is_left_when_it_has_aged(stage: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is never idle for long follows as well: its age counts from its look-up."""
    passed = 0.0
    real = time.monotonic
    for module in ("blocking", "dial", "aio", "aio_link"):
        monkeypatch.setattr(f"dynamorm.io.{module}.monotonic", lambda: real() + passed)
    here = stage()
    other = _second_server(here.server.port, here)
    current = ["127.0.0.1"]
    named(here, lambda _host, _port: list(current))
    here.run(READS[0]).succeeded(1)
    current[:] = ["127.0.0.2"]
    with other:
        while passed < 300.0:
            here.run(READS[0])
            passed += 20.0
        here.run(READS[0])
        assert len(other.requests) >= 1
        assert here.server.connections == 1
