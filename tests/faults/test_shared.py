"""P02: forks, threads beside loops, and cancellations at every point where a task can wait."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from dynamorm import DB, AsyncDB, Presets
from dynamorm.errors import ConfigError
from dynamorm.testing import FaultServer, Request, answers
from tests.faults.verbs import Payment

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
