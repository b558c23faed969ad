"""A child process that measures one library: it reads orders from standard input and answers on standard output.

Each library has a process of its own, so that none pays for what another imported, started or left behind.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import json
import sys
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import repeat
from time import perf_counter, process_time
from typing import TYPE_CHECKING, Any

from benchmarks import memory
from benchmarks.libraries import BY_NAME
from benchmarks.libraries.base import Library, Unsupported
from benchmarks.sample import SEGMENTS
from benchmarks.work import BY_NAME as WORKS
from benchmarks.work import Work

if TYPE_CHECKING:
    from benchmarks.libraries.base import Operation

Timed = Callable[[int], tuple[float, float]]
"""Does the work so many times; returns the seconds of CPU and of the wall clock."""


class Face:
    """Runs the operations of a blocking library."""

    def __init__(self, library: Library) -> None:
        self.library = library
        self.pool = ThreadPoolExecutor(64)

    def once(self, operation: Operation) -> Any:
        """Do it once and return the result."""
        return operation()

    def timed(self, work: Work, operation: Operation) -> Timed:
        """How the work is done and timed."""
        return self._together(operation, work.tasks) if work.tasks > 1 else self._in_turn(operation)

    def _in_turn(self, operation: Operation) -> Timed:
        def run(count: int) -> tuple[float, float]:
            wall, cpu = perf_counter(), process_time()
            for _ in repeat(None, count):
                operation()
            return process_time() - cpu, perf_counter() - wall

        return run

    def _together(self, operation: Operation, tasks: int) -> Timed:
        def some(count: int) -> None:
            for _ in repeat(None, count):
                operation()

        def run(count: int) -> tuple[float, float]:
            wall, cpu = perf_counter(), process_time()
            list(self.pool.map(some, [count // tasks] * tasks))
            return process_time() - cpu, perf_counter() - wall

        return run

    def close(self) -> None:
        """End what was started."""
        self.pool.shutdown()
        self.library.close()


class AsyncFace(Face):
    """Runs the operations of an asyncio library, all on one event loop."""

    def __init__(self, library: Library) -> None:
        super().__init__(library)
        self.runner = asyncio.Runner()
        self.runner.run(library.start())

    def once(self, operation: Operation) -> Any:
        async def one() -> Any:
            return await operation()

        return self.runner.run(one())

    def _timed(self, doing: Callable[[int], Coroutine[Any, Any, None]]) -> Timed:
        async def run(count: int) -> tuple[float, float]:
            wall, cpu = perf_counter(), process_time()
            await doing(count)
            return process_time() - cpu, perf_counter() - wall

        return lambda count: self.runner.run(run(count))

    def _in_turn(self, operation: Operation) -> Timed:
        async def some(count: int) -> None:
            for _ in repeat(None, count):
                await operation()

        return self._timed(some)

    def _together(self, operation: Operation, tasks: int) -> Timed:
        async def some(count: int) -> None:
            for _ in repeat(None, count):
                await operation()

        async def all_of(count: int) -> None:
            await asyncio.gather(*(some(count // tasks) for _ in range(tasks)))

        return self._timed(all_of)

    def close(self) -> None:
        self.runner.run(self.library.stop())
        self.runner.close()
        self.pool.shutdown()


def measure(timed: Timed, tasks: int, seconds: float, count: int = 0) -> dict[str, float]:
    """CPU and wall µs per operation, over about so many seconds.

    ``count`` is how many operations fill that time, if it is known from before.
    """
    step = tasks
    while not count:  # doubling ends soon
        cpu, wall = timed(step)
        if wall >= seconds:  # long enough to count
            return {"cpu": cpu / step * 1e6, "wall": wall / step * 1e6, "count": step}
        if wall >= seconds / 8:
            count = filling(seconds, wall / step, tasks)
        step *= 2
    gc.collect()
    cpu, wall = timed(count)
    return {"cpu": cpu / count * 1e6, "wall": wall / count * 1e6, "count": count}


def filling(seconds: float, each: float, tasks: int) -> int:
    """How many operations fill the time, as many for each task."""
    return max(tasks, int(seconds / each) // tasks * tasks)


def passed(face: Face, work: Work, operation: Operation) -> dict[str, float]:
    """CPU and wall µs of work that is long enough to be done once, giving its result back included.

    Raises ValueError when the result is not what it should be.
    """
    gc.collect()
    wall, cpu = perf_counter(), process_time()
    result = face.once(operation)
    cpu, wall = process_time() - cpu, perf_counter() - wall
    work.check(result)
    more, start = process_time(), perf_counter()
    del result  # repeated work drops each result too
    return {"cpu": (cpu + process_time() - more) * 1e6, "wall": (wall + perf_counter() - start) * 1e6, "count": 1}


def counted(face: Face, operation: Operation, items: int) -> dict[str, float]:
    """CPU and wall µs per item of work done once that says with how many items it has dealt.

    Libraries without segments read one segment's worth. Raises ValueError when items are missing.
    """
    gc.collect()
    wall, cpu = perf_counter(), process_time()
    count = face.once(operation)
    cpu, wall = process_time() - cpu, perf_counter() - wall
    if count not in (items, items // SEGMENTS):
        raise ValueError(f"{items} items were expected, not {count}")
    return {"cpu": cpu / count * 1e6, "wall": wall / count * 1e6, "count": count}


def tried(face: Face, order: dict[str, Any]) -> dict[str, Any]:
    """Do a thing once, over a server that misbehaves: what it returned, or the whole story of what it raised."""
    operation = getattr(face.library, order["try"])(order["number"])
    try:
        value = face.once(operation)
    except Exception as error:  # noqa: BLE001 - what is raised is the answer
        return {"raised": story(error)}
    return {"value": value if isinstance(value, (int, float)) else str(value)}


def story(error: BaseException | None) -> str:
    """An error and what it came from."""
    told = []
    while error is not None:
        told.append(f"{type(error).__name__}: {error}")
        error = error.__cause__ or error.__context__
    return "\n".join(told)


class Desk:
    """Takes orders for one library."""

    def __init__(self, face: Face) -> None:
        self._face = face
        self._ready: dict[str, tuple[Operation, Timed]] = {}
        self._counts: dict[tuple[str, float], int] = {}
        """By work and seconds: how many operations fill the time, as the last round has shown."""

    def answer(self, order: dict[str, Any]) -> dict[str, Any]:
        """Do what is asked for. Raises Unsupported."""
        if "try" in order:
            return tried(self._face, order)
        work, face = WORKS[order["work"]], self._face
        if work.name not in self._ready:
            operation = work.prepare(face.library)
            if "hold" not in order and not work.big:  # what this took would be at hand again; or take too long
                work.check(face.once(operation))
            self._ready[work.name] = operation, face.timed(work, operation)
            if work.tasks > 1:
                self._ready[work.name][1](work.tasks)  # opens a connection for each
        operation, timed = self._ready[work.name]
        if "hold" in order:
            return memory.held(partial(face.once, operation), order["hold"])
        if work.each:
            return counted(face, operation, order["items"])
        if work.big:
            return passed(face, work, operation)
        seconds = order["seconds"]
        answer = measure(timed, work.tasks, seconds, self._counts.get((work.name, seconds), 0))
        self._counts[work.name, seconds] = filling(seconds, answer["wall"] / 1e6, work.tasks)
        return answer


def serve(face: Face) -> None:
    """Answer orders until there are no more."""
    desk = Desk(face)
    for line in sys.stdin:
        try:
            answer = desk.answer(json.loads(line))
        except Unsupported:
            answer = {"unsupported": True}
        except Exception as error:  # noqa: BLE001 - the report says it; the others go on
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


def connected(name: str, endpoint: str) -> Face:
    """A library, connected; the caller closes it."""
    entry = BY_NAME[name]
    module = importlib.import_module(f"benchmarks.libraries.{entry.module}")
    library: Library = getattr(module, entry.connect)(endpoint)
    return AsyncFace(library) if library.face == "async" else Face(library)


def main() -> None:
    """Measure the library named on the command line."""
    face = connected(*sys.argv[1:3])
    print(json.dumps({"ready": True}), flush=True)
    try:
        serve(face)
    finally:
        face.close()


if __name__ == "__main__":
    main()
