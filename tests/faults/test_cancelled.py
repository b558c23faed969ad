"""P02: a call that is cancelled or interrupted at any point leaks nothing, and says what it knows of its outcome."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from dynamorm import AsyncDB, Presets
from dynamorm.codec.strict import dumps
from dynamorm.effects import TransportError
from dynamorm.errors import Outcome
from dynamorm.testing import FaultServer, ScriptedDriver, answers, reply
from tests.faults.scripted import Scripted
from tests.faults.verbs import CLASS_C, CLASS_N, KEYS, VERBS, WRITES, Payment, Verb, memory, seed
from tests.support.certificates import Authority
from tests.support.faults import Store


class CancelledAt:
    """Awaits a coroutine and cancels the task when it waits for the n-th time."""

    def __init__(self, work: Any, at: int) -> None:
        self._work = work
        self._at = at
        self.reached = False

    def __await__(self) -> Generator[Any, Any, Any]:
        steps = self._work.__await__()
        task, waits = asyncio.current_task(), 0
        error: BaseException | None = None
        while True:
            try:
                waiting = steps.send(None) if error is None else steps.throw(error)
            except StopIteration as stop:
                return stop.value
            waits += 1
            if waits == self._at and task is not None:
                self.reached = True
                asyncio.get_running_loop().call_soon(task.cancel)
            try:
                yield waiting
                error = None
            except BaseException as thrown:  # noqa: BLE001 - handed on to the work
                error = thrown


@pytest.fixture(params=["http", "https"])
def served(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[FaultServer, Store, dict[str, Any]]]:
    """A store behind a server, plain or secure."""
    store = Store(KEYS)
    settings: dict[str, Any] = {"retry_base": 0.001}
    context = None
    if request.param == "https":
        authority = Authority(tmp_path)
        context, settings["ca_bundle"] = authority.context("127.0.0.1"), authority.bundle
    plan = iter([answers.error("ThrottlingException"), answers.honest()] * 10_000)
    with FaultServer(lambda _: next(plan), backend=store, tls=context) as server:
        yield server, store, settings | {"endpoint": server.endpoint, "throttle_base": 0.002}


async def _one(
    db: AsyncDB, verb: Verb, store: Store, at: int
) -> tuple[bool, BaseException | None, Any, tuple[Any, ...]]:
    seed(store, verb)
    loaded = None
    if verb.exists:
        _, found = store("GetItem", {"TableName": "payments", "Key": {"id": {"S": "p1"}}})
        loaded = db._session.plan(Payment).codec.decode(dumps(found["Item"]))
    subject = verb.subject(loaded)
    before = memory(subject)
    face: Any = db  # the verbs are written for the blocking way of calling
    guard = CancelledAt(verb.act(face, subject), at)

    async def body() -> Any:
        return await guard

    task = asyncio.ensure_future(body())
    error: BaseException | None = None
    try:
        await task
    except asyncio.CancelledError as cancelled:
        error = cancelled
        if not store.changes:
            assert memory(subject) == before
    return guard.reached, error, subject, before


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)
@pytest.mark.parametrize("warm", [True, False], ids=["warm", "cold"])
def test_p02_a_task_cancelled_at_any_wait_leaks_nothing_and_says_what_it_knows(
    served: tuple[FaultServer, Store, dict[str, Any]], verb: Verb, warm: bool
) -> None:
    """A write that may have been applied is UNKNOWN (or APPLIED, when only its result is missing)."""
    server, store, settings = served
    if "ca_bundle" in settings and verb.name not in {"get", "create", "update_key"}:
        return  # beyond the handshake TLS waits where plain connections wait

    async def main() -> int:
        points = 0
        for at in range(1, 200):
            async with AsyncDB(Presets.local_development(**settings)) as db:
                if warm:
                    await db.exists(Payment, "nobody")
                sent = len(server.requests)
                reached, error, _, _ = await _one(db, verb, store, at)
                await asyncio.sleep(0.01)  # what had left arrives
                pool = db._io._pool
                assert pool.busy == 0
                assert pool.size == len(pool.idle) == len(db._io._live)
                if error is not None and verb.safety != "read":
                    if store.changes:
                        assert getattr(error, "outcome", None) in {Outcome.UNKNOWN, Outcome.APPLIED}, at
                    elif len(server.requests) > sent:
                        assert getattr(error, "outcome", Outcome.NOT_APPLIED) is not Outcome.APPLIED, at
                seed(store, verb)
                assert await db.exists(Payment, "p1") is verb.exists  # and it still works
            points += error is not None
            if not reached:
                return points
        raise AssertionError("it never ended")

    before = _files()
    assert asyncio.run(main()) >= 1
    assert _files() <= before + 8


def _files() -> int:
    return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0  # noqa: PTH112, PTH208


@pytest.mark.parametrize("verb", WRITES, ids=lambda verb: verb.name)
@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit, asyncio.CancelledError])
def test_p02_an_interrupt_in_flight_carries_the_outcome(
    scripted: Callable[..., Scripted], verb: Verb, stop: type[BaseException]
) -> None:
    """On either face, whatever it is that stops the call."""
    if stop is not asyncio.CancelledError and scripted([]).db.kind == "asyncio":
        return  # these end the loop itself
    store = Store(KEYS)
    seed(store, verb)

    def script(request: Any) -> BaseException:
        store(request.operation, request.json)
        return stop()

    here = scripted(script)
    loaded = None
    if verb.exists:
        _, found = store("GetItem", {"TableName": "payments", "Key": {"id": {"S": "p1"}}})
        loaded = here.session.plan(Payment).codec.decode(dumps(found["Item"]))
    subject = verb.subject(loaded)
    before = memory(subject)
    with pytest.raises(BaseException) as caught:
        verb.act(here.db, subject)
    assert isinstance(here.driver, ScriptedDriver)
    if here.db.kind == "blocking":
        assert type(caught.value) is stop
        assert caught.value.outcome is Outcome.UNKNOWN  # type: ignore[attr-defined] # attached by the library
        assert any("unknown" in note for note in caught.value.__notes__)
    assert len(store.changes) == 1
    assert memory(subject) == before


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit, asyncio.CancelledError])
@pytest.mark.parametrize("verb", [*CLASS_C, CLASS_N[2]], ids=lambda verb: verb.name)
def test_p02_an_interrupt_while_it_is_found_out_leaves_the_outcome_unknown(
    scripted: Callable[..., Scripted], verb: Verb, stop: type[BaseException]
) -> None:
    """By a look at what is stored, or by a transaction that spends the token: the write itself may have been applied."""
    if stop is not asyncio.CancelledError and scripted([]).db.kind == "asyncio":
        return  # these end the loop itself
    store = Store(KEYS)
    seed(store, verb)
    sent: list[str] = []

    def script(request: Any) -> Any:
        sent.append(request.operation)
        if request.operation == "GetItem" or (verb.safety == "N" and len(sent) == 3):
            return stop()
        if verb.safety == "C" or len(sent) == 1:
            return TransportError("receive", "reset", sent=True)
        store("DeleteItem", {"TableName": "payments", "Key": {"id": {"S": "p1"}}})
        status, body = store(request.operation, request.json)
        return reply(body, status)

    here = scripted(script)
    loaded = None
    if verb.exists:
        _, found = store("GetItem", {"TableName": "payments", "Key": {"id": {"S": "p1"}}})
        loaded = here.session.plan(Payment).codec.decode(dumps(found["Item"]))
    with pytest.raises(BaseException) as caught:
        verb.act(here.db, verb.subject(loaded))
    assert sent[-1] == ("GetItem" if verb.safety == "C" else "TransactWriteItems")
    if here.db.kind == "blocking":
        assert type(caught.value) is stop
        assert caught.value.outcome is Outcome.UNKNOWN  # type: ignore[attr-defined] # attached by the library
        assert any("found out" in note for note in caught.value.__notes__)
