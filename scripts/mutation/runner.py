"""A plugin of pytest: the tests are collected once, and each mutant meets the ones that run its line in a process of its own."""

from __future__ import annotations

import os
import resource
import select
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple
from zlib import crc32

import pytest

from .areas import ROOT
from .ledger import Ledger, Result
from .living import functions_of, put_into, type_of_index
from .mutants import Mutant, lines_with
from .watch import Watched, place_of, watch

SLOWER = 8.0
"""A test may take so many times what it took without a mutant, and `PATIENCE` seconds beside that, before it is endless."""
PATIENCE = 8.0
MEMORY = 6 * 1024**3
KILLED, SURVIVED = 3, 0


class Asked(NamedTuple):
    """What the run was asked for."""

    mutants: Sequence[Mutant]
    modules: Sequence[str]
    test_files: Sequence[str]
    seconds: float
    again: bool
    until: float
    cases: int


class Runner:
    """Tries the mutants, one after the other, and keeps what became of each."""

    def __init__(self, asked: Asked, ledger: Ledger, say: Callable[[str], None]) -> None:
        self.asked = asked
        self.ledger = ledger
        self.say = say
        self.failed = False
        self.kills: Counter[str] = Counter(one.by for one in ledger.results.values() if one.became == "killed")
        self.watched = Watched({"seconds": {}, "lines": {}})
        self.functions: type_of_index = {}
        self.items: dict[str, Any] = {}

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self) -> None:
        """Random examples are the same each time, and a failing one is not made smaller."""
        calm()

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Note a failure."""
        self.failed = self.failed or report.failed

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: Any) -> bool:
        """In the place of running all tests."""
        asked = self.asked
        session.items[:] = few(session.items, asked.cases, both=any(name.endswith("aio.py") for name in asked.modules))
        self.items = {item.nodeid: item for item in session.items}
        self.functions = functions_of(asked.modules)
        place = place_of(asked.modules, asked.test_files, ROOT, asked.cases)
        if not place.exists():
            began = time.monotonic()
            self.say(f"{len(session.items)} tests are run once, to know which lines they run")
            child = _fork(lambda: watch(session, self.run, asked.modules, place))
            os.waitpid(child, 0)
            self.say(f"done in {time.monotonic() - began:.0f} s")
        self.watched = Watched.of(place)
        left_out = len(self.items) - len(self.watched.seconds)
        self.say(f"{left_out} tests do not pass while they are watched, or are skipped: they are not asked")
        for number, mutant in enumerate(asked.mutants, 1):
            if time.monotonic() > asked.until:
                self.say("the time is over; the same command goes on from here")
                break
            known = self.ledger.results.get(mutant.key)
            if known is None or (asked.again and known.became == "survived"):
                result = self.tried(mutant)
                self.ledger.add(mutant, result)
                self.say(
                    f"{number}/{len(asked.mutants)} {result.became}: {mutant.key} (line {mutant.line}, {result.asked} tests)"
                )
        return True

    def tests_for(self, mutant: Mutant) -> list[str]:
        """The tests that are asked, quick ones first, and those that have found much before.

        Behind those that run its line come those that run its function: lines behind an exception that was thrown into a
        generator are not always seen by coverage.
        """
        more: set[str] = set()
        if mutant.scopes and mutant.kind != "default":
            found = self.watched.tests_of(mutant.module, mutant.line, mutant.end)
            more = self.watched.tests_of(mutant.module, mutant.scopes[-1][1] + 1, mutant.end) - found
        else:
            used = lines_with(mutant.module, mutant.named) if mutant.named and not mutant.scopes else []
            found = {test for line in used for test in self.watched.tests_of(mutant.module, line, line)}
            found = found or self.watched.tests_of_module(mutant.module)
        seconds = self.watched.seconds
        chosen: list[str] = []
        spent = 0.0
        for some in (found, more):
            for test in sorted(some, key=lambda one: (seconds[one] / (1 + self.kills[one]), one)):
                if spent and spent + seconds[test] > self.asked.seconds:
                    break
                spent += seconds[test]
                chosen.append(test)
        return chosen

    def tried(self, mutant: Mutant) -> Result:
        """Let a mutant meet its tests."""
        tests = self.tests_for(mutant)
        if not tests:
            return Result(mutant.key, "survived", "", 0)
        if mutant.scopes and mutant.kind != "default":
            read, write = os.pipe()
            child = _fork(lambda: self._meet(mutant, tests, write))
            os.close(write)
            result = self._follow(mutant, tests, child, read)
            if result is not None:
                return result
        return self._fresh(mutant, tests)

    def _meet(self, mutant: Mutant, tests: list[str], write: int) -> None:
        if not put_into(mutant, self.functions):
            os._exit(5)
        chosen = [self.items[one] for one in tests]
        for number, item in enumerate(chosen):
            os.write(write, b"%d\n" % number)
            following = chosen[number + 1] if number + 1 < len(chosen) else None
            # What fails by chance does so once.
            if not self.run(item, following) and not self.again(item):
                os._exit(KILLED)
        os._exit(SURVIVED)

    def run(self, item: Any, following: Any) -> bool:
        """Run one test. Returns whether it passed."""
        self.failed = False
        item.ihook.pytest_runtest_protocol(item=item, nextitem=following)
        return not self.failed

    def again(self, item: Any) -> bool:
        """Run a test that has failed once more."""
        if hasattr(item, "_initrequest"):
            item._initrequest()  # noqa: SLF001 - what plugins that run tests again do
        return self.run(item, None)

    def _follow(self, mutant: Mutant, tests: list[str], child: int, read: int) -> Result | None:
        """Wait for the process of a mutant; None when it could not be put into it."""
        current, text = 0, b""
        endless = False
        while True:
            limit = PATIENCE + SLOWER * self.watched.seconds[tests[current]]
            ready, _, _ = select.select([read], [], [], limit)
            if not ready:
                endless = True
                break
            part = os.read(read, 65536)
            if not part:
                break
            text += part
            current = int(text.split()[-1])
        with suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL) if endless else None
        _, status = os.waitpid(child, 0)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(child, signal.SIGKILL)  # what its tests have started
        os.close(read)
        code = os.waitstatus_to_exitcode(status)
        if code == 5 and not endless:
            return None
        if code == 4:
            raise RuntimeError(f"{mutant.key} could not be tried")
        return self._told(
            mutant, tests, current, "timed out" if endless else "survived" if code == SURVIVED else "killed"
        )

    def _told(self, mutant: Mutant, tests: list[str], current: int, became: str) -> Result:
        if became == "survived":
            return Result(mutant.key, became, "", len(tests))
        self.kills[tests[current]] += 1
        return Result(mutant.key, became, tests[current], current + 1)

    def _fresh(self, mutant: Mutant, tests: list[str]) -> Result:
        """Let it meet its tests in a new interpreter, which imports the module with it."""
        limit = 60 + sum(PATIENCE / 8 + SLOWER * self.watched.seconds[one] for one in tests)
        command = [sys.executable, "-m", "scripts.mutation.fresh", mutant.module, str(mutant.place), *tests]
        with subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True
        ) as running:
            try:
                output, _ = running.communicate(timeout=limit)
            except subprocess.TimeoutExpired:
                output = ""
                became = "timed out"
            else:
                became = {SURVIVED: "survived", KILLED: "killed"}.get(running.returncode, "")
                if not became:
                    raise RuntimeError(f"{' '.join(command[:5])} ended with {running.returncode}")
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(running.pid, signal.SIGKILL)
        marks = [line for line in output.splitlines() if line.startswith("at ")]
        current = min(int(marks[-1].split()[1]) if marks else 0, len(tests) - 1)
        return self._told(mutant, tests, current, became)


def _fork(body: Callable[[], object]) -> int:
    child = os.fork()
    if child:
        return child
    try:
        os.setsid()
        nothing = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(nothing, stream)
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        body()
    finally:
        os._exit(4)


def few(items: Sequence[Any], most: int, *, both: bool) -> list[Any]:
    """Of a test with many cases only some, the same each time; without ``both`` on one face alone, for flows are the same on both."""
    there = {item.nodeid for item in items}
    cases: dict[str, list[Any]] = {}
    for item in items:
        twin = item.nodeid.replace("asyncio", "blocking")
        if both or twin == item.nodeid or twin not in there:
            cases.setdefault(item.nodeid.partition("[")[0], []).append(item)
    chosen = {
        item.nodeid
        for some in cases.values()
        for item in sorted(some, key=lambda one: crc32(one.nodeid.encode()))[:most]
    }
    return [item for item in items if item.nodeid in chosen]


def calm() -> None:
    """The same examples of Hypothesis each time."""
    from hypothesis import Phase, settings

    settings.register_profile(
        "mutation", deadline=None, database=None, derandomize=True, phases=[Phase.explicit, Phase.generate]
    )
    settings.load_profile("mutation")


def arguments_of(tests: Sequence[str]) -> list[str]:
    """What pytest is called with."""
    return [
        "-q",
        "-p",
        "no:cacheprovider",
        "-W",
        "ignore::pytest.PytestAssertRewriteWarning",
        "-m",
        "not soak and not local and not typing and not bench",
        *tests,
    ]


def environment() -> None:
    """What the tests see."""
    os.environ["DYNAMORM_TEST_RERUNS"] = "0"
    os.environ["DYNAMORM_TEST_WIDE"] = "1"  # `few` chooses
    os.environ["PYTHONDONTWRITEBYTECODE"] = ""
    os.chdir(ROOT)
    paths = [str(ROOT / "src"), str(ROOT)]
    os.environ["PYTHONPATH"] = os.pathsep.join(paths)  # for the programs that tests start
    sys.path[:0] = paths
    Path(ROOT / ".cache").mkdir(exist_ok=True)
