"""P02: forks, threads beside loops, and cancellations at every point where a task can wait."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from dynamorm import DB, AsyncDB, Presets
from dynamorm.errors import ConfigError, Outcome
from dynamorm.testing import FaultServer, Request, ScriptedDriver, answers
from tests.faults.certificates import Authority
from tests.faults.scripted import Scripted
from tests.faults.verbs import KEYS, VERBS, WRITES, Payment, Verb, memory, seed
from tests.support.faults import Store

FORK = """
import asyncio, os, sys, threading
from dynamorm import DB, AsyncDB, Attr, Model, Presets, partition_key, version

class Payment(Model, table="payments"):
    id: Attr[str] = partition_key()
    amount: Attr[int]
    version: Attr[int] = version()

config = Presets.local_development(endpoint=sys.argv[1])
if sys.argv[2] == "blocking":
    db = DB(config)
    get = lambda name: db.get(Payment, name).id
else:
    db, loop = AsyncDB(config), asyncio.new_event_loop()
    get = lambda name: loop.run_until_complete(db.get(Payment, name)).id
assert get("parent-1") == "parent-1"
children = []
for number in range(3):
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            if sys.argv[2] == "asyncio":
                loop = asyncio.new_event_loop()
            names = [f"child-{number}-{turn}" for turn in range(5)]
            status = 0 if [get(name) for name in names] == names else 2
        finally:
            os._exit(status)
    children.append(pid)
    assert get(f"parent-2-{number}") == f"parent-2-{number}"
for pid in children:
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
assert get("parent-3") == "parent-3"
print("done")
"""


def echo(request: Request) -> Any:
    """An item with the key that was asked for."""
    return answers.json({"Item": {"id": request.json["Key"]["id"], "amount": {"N": "1"}, "version": {"N": "0"}}})


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks here")
def test_p02_a_forked_child_opens_connections_of_its_own(face_kind: str, tmp_path: Path) -> None:
    """And the parent goes on with its own, undisturbed by the children's ends."""
    script = tmp_path / "fork.py"
    script.write_text(FORK)
    with FaultServer(echo) as server:
        done = subprocess.run(
            [sys.executable, script, server.endpoint, face_kind],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode, done.stdout.strip()) == (0, "done"), done.stderr
        users: dict[int, set[str]] = {}
        for request in server.requests:
            name = json.loads(request.body)["Key"]["id"]["S"]
            users.setdefault(request.connection, set()).add(
                "-".join(name.split("-")[:2]) if "child" in name else "parent"
            )
    assert sorted(map(sorted, users.values())) == [["child-0"], ["child-1"], ["child-2"], ["parent"]]
    assert len(server.requests) == 1 + 3 * 5 + 3 + 1


def test_p02_threads_and_loops_side_by_side() -> None:
    """One DB in threads and inside a running loop, one AsyncDB in tasks: every answer is the right one."""
    wrong: list[str] = []
    with FaultServer(echo) as server:
        config = Presets.local_development(endpoint=server.endpoint, max_connections=16)
        with DB(config) as db:

            def in_thread(worker: int) -> None:
                for turn in range(60):
                    name = f"t{worker}-{turn}"
                    found = db.get(Payment, name)
                    if found is None or found.id != name:
                        wrong.append(name)

            async def in_loop() -> None:
                async with AsyncDB(config) as other:

                    async def task(worker: int) -> None:
                        for turn in range(60):
                            name = f"a{worker}-{turn}"
                            found = await other.get(Payment, name)
                            if found is None or found.id != name:
                                wrong.append(name)
                            if turn % 20 == 0 and db.get(Payment, name).id != name:  # type: ignore[union-attr]
                                wrong.append(name)  # the blocking face inside a loop blocks it, and works

                    await asyncio.gather(*(task(worker) for worker in range(8)), asyncio.to_thread(in_thread, 99))

            threads = [threading.Thread(target=in_thread, args=(worker,)) for worker in range(8)]
            for thread in threads:
                thread.start()
            asyncio.run(in_loop())
            for thread in threads:
                thread.join(30)
    assert wrong == []
    assert len(server.requests) == 8 * 60 + 60 + 8 * 60 + 8 * 3


def test_p02_a_second_loop_is_refused() -> None:
    """A pool belongs to one loop; the message says what to do."""
    with FaultServer(echo) as server:
        db = AsyncDB(Presets.local_development(endpoint=server.endpoint))
        first = asyncio.new_event_loop()
        assert first.run_until_complete(db.get(Payment, "p1")) is not None
        with pytest.raises(ConfigError, match="another event loop"):
            asyncio.run(db.get(Payment, "p1"))
        assert len(server.requests) == 1
        first.run_until_complete(db.close())
        first.close()


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
        loaded = db._session.plan(Payment).codec.decode_wire(found["Item"])
    subject = verb.subject(loaded)
    before = memory(subject)
    guard = CancelledAt(verb.act(db, subject), at)

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
        loaded = here.session.plan(Payment).codec.decode_wire(found["Item"])
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
