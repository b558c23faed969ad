"""Fixtures of all suites: the engine under test, and a database on either face."""

from __future__ import annotations

import gc
import os
import pathlib
import re
import signal
import sys
from bisect import bisect_left
from collections.abc import Callable, Iterator
from functools import cache
from itertools import accumulate
from typing import Any
from zlib import crc32

import pytest
from hypothesis import HealthCheck, settings

from dynamorm import Presets
from dynamorm.engine.shared import SharedEngine
from dynamorm.testing.engines import SHORT_RUN, DynamoDBLocal, Ministack

from .support.faces import FACES, Face

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell without job control lets what it runs in the background ignore Ctrl-C, and so would every program that a test starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)

ENGINE = os.environ.get("DYNAMORM_TEST_ENGINE") or "memory"
"""Which engine the suites run on: ``memory`` for the one inside the process, ``local`` for DynamoDB Local, or ``ministack``."""

# A shared machine may keep a process from its turn for as long as it likes: what takes long is no fault.
settings.register_profile("dynamorm", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("dynamorm")


@pytest.fixture(scope="session")
def engine() -> Iterator[Any]:
    """The engine under test, one for the whole run; its ``endpoint`` is reached from child processes too."""
    make: Callable[[], Any] = {
        "memory": SharedEngine,
        "ministack": Ministack,
        "local": lambda: DynamoDBLocal(jvm=SHORT_RUN),
    }[ENGINE]
    with make() as running:
        yield running


@pytest.fixture(params=FACES)
def face_kind(request: pytest.FixtureRequest) -> str:
    """Each test that opens a database runs on both faces."""
    return str(request.param)


@pytest.fixture
def open_db(face_kind: str) -> Iterator[Callable[..., Face]]:
    """Opens databases on the face of this test; they are closed behind it."""
    opened: list[Face] = []

    def opener(endpoint: str, *, extensions: tuple[Any, ...] = (), **settings: Any) -> Face:
        config = Presets.local_development(endpoint=endpoint, **settings)
        face = Face(face_kind, config, extensions=extensions)
        opened.append(face)
        return face

    yield opener
    for face in opened:
        face.close()


@pytest.fixture
def db(open_db: Callable[..., Face], engine: Any) -> Face:
    """A database on the engine under test."""
    return open_db(engine.endpoint)


@pytest.fixture(autouse=True)
def _quiet_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the developer's own shell sets must not change a test."""
    for name in list(os.environ):
        if name.startswith(("AWS_", "DYNAMODB_END", "DYNAMORM_")) and not name.startswith("DYNAMORM_TEST_"):
            monkeypatch.delenv(name)


@pytest.fixture
def figure(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Adds a line to the figures that are printed at the end of the run, also when the test has passed."""
    return lambda line: record_property("figure", line)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the figures that tests have added."""
    reports = [one for name in ("passed", "failed") for one in terminalreporter.stats.get(name, [])]
    lines = [str(value) for one in reports for name, value in one.user_properties if name == "figure"]
    if lines:
        terminalreporter.section("figures")
        for line in sorted(lines):
            terminalreporter.write_line(line)


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Iterator[None]:
    """Collect the tests without looking for garbage, and each worker from another place on."""
    _begin_elsewhere(session.config)
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put the tests in the order of all workers, thin the wide suites, and give those that measure time limits more tries."""
    if hasattr(config, "workerinput"):
        # In whatever order this worker has collected them. The longest tests come first, so that none of them is left at the end.
        items.sort(key=lambda item: ("lossy" not in item.path.parts, item.path.parts))
    _thin(config, items)
    _try_again(items)


def pytest_collection_finish() -> None:
    """Keep the collected tests out of the garbage collector's sight: many tests collect, and would look at them each time."""
    _put_aside()


TESTS_BETWEEN = 250
"""After so many tests, what they have left is kept out of its sight, too."""


def pytest_runtest_logfinish(location: tuple[str, int | None, str]) -> None:
    """Keep what earlier tests have left for the whole run out of the garbage collector's sight."""
    _DONE.append(location[2])
    if len(_DONE) == TESTS_BETWEEN:
        _DONE.clear()
        _put_aside()


_DONE: list[str] = []


def _put_aside() -> None:
    gc.collect()
    gc.freeze()


def _begin_elsewhere(config: pytest.Config) -> None:
    """Let each worker of a whole run begin with other files, so that each compiles a part of them and finds the rest compiled."""
    worker = getattr(config, "workerinput", None)
    here = pathlib.Path(__file__).parent
    if worker is None or [pathlib.Path(arg).absolute() for arg in config.args] != [here]:
        return
    files = sorted(here.rglob("test_*.py"), key=lambda file: file.parts)
    place, count = int(worker["workerid"].removeprefix("gw")), worker["workercount"]
    ends = list(accumulate(file.stat().st_size for file in files))
    first = bisect_left(ends, ends[-1] * place / count)
    config.args[:] = map(str, files[first:] + files[:first])


def pytest_ignore_collect(collection_path: pathlib.Path, config: pytest.Config) -> bool | None:
    """Leave out the files in which no test has the marks that were asked for: to collect them takes longer than to look."""
    asked = config.getoption("markexpr")
    if collection_path.suffix != ".py" or not collection_path.name.startswith("test_"):
        return None
    if asked.startswith("(engine or local)"):
        return True if _MARKED.search(collection_path.read_bytes()) is None else None
    if "not engine" in asked:
        return True if _ALL_ON_ENGINE.search(collection_path.read_bytes()) else None
    return None


_MARKED = re.compile(rb"mark\.(engine|local)\b|pytestmark = getattr")
_ALL_ON_ENGINE = re.compile(rb"^pytestmark = \[?pytest\.mark\.engine\b", re.MULTILINE)


MANY = 2
"""Cases of one test, such as its two faces, from which on not every run takes them all."""


def _thin(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Of a test with many cases, run a share: what this run leaves out, another one of the gate takes.

    Of the tests on an engine, the one inside the process takes a sixth, one at least, and DynamoDB Local the other cases; so
    each engine is asked by each test. Of those marked `wide` DynamoDB Local takes all, and each version of Python another
    third; those that are `whole` are taken wholly by each. Of the tests that need no engine Python 3.11 takes a third, and the
    newer ones the rest; what is run `once`, or measured, runs there alone, and wholly. What is `embedded` asks nothing of
    DynamoDB Local. What may be skipped is run wholly by each, for who takes a case may be who skips it.
    ``DYNAMORM_TEST_WIDE=1`` runs them all.
    """
    if os.environ.get("DYNAMORM_TEST_WIDE") == "1":
        return
    tests: dict[tuple[str, str], list[pytest.Item]] = {}
    for item in items:
        if hasattr(item, "callspec") and not _may_be_skipped(item):
            tests.setdefault(_function(item), []).append(item)
    gone = {item for cases in tests.values() for item in _left_out(cases)}
    if ENGINE == "local":
        gone.update(item for item in items if item.get_closest_marker("embedded"))
    if gone:
        config.hook.pytest_deselected(items=list(gone))
        items[:] = [item for item in items if item not in gone]


def _left_out(
    cases: list[pytest.Item], *, minor: int = sys.version_info.minor, local: bool | None = None
) -> list[pytest.Item]:
    """The cases of one test that this run does not take; which those are depends on their names alone."""
    local = ENGINE == "local" if local is None else local
    marks = {mark.name for mark in cases[0].iter_markers()}
    if marks & {"whole", "local", "soak"} or (local and "wide" in marks):
        return []
    if "wide" in marks:
        return [item for item in cases if (_number(item) + minor) % 3 != 0]
    if len(cases) < MANY:
        return []
    cases = sorted(cases, key=_number)
    if "engine" in marks:
        sixth = -(-len(cases) // 6)
        return cases[:sixth] if local else cases[sixth:]
    if marks & {"once", "bench"}:
        return []
    third = -(-len(cases) // 3)
    return cases[third:] if minor == OLDEST else cases[:third]


OLDEST = 11
"""The minor version of Python on which the gate runs everything but what the newest one takes."""


def _may_be_skipped(item: pytest.Item) -> bool:
    """Whether a mark, the test, a fixture of its or its module may skip it: on one engine or version perhaps, and not on another."""
    fixtures: dict[str, tuple[Any, ...]] = item._fixtureinfo.name2fixturedefs  # type: ignore[attr-defined]
    functions = [item.function, *(fixture.func for fixtures_of in fixtures.values() for fixture in fixtures_of)]  # type: ignore[attr-defined]
    return (
        any(mark.name in {"skip", "skipif"} for mark in item.iter_markers())
        or any("skip" in getattr(getattr(each, "__code__", None), "co_names", ()) for each in functions)
        or _imports_or_skips(item.path)
    )


@cache
def _imports_or_skips(path: pathlib.Path) -> bool:
    return b"importorskip" in path.read_bytes()


def _number(item: pytest.Item) -> int:
    return crc32(item.name.encode())


def _function(item: pytest.Item) -> tuple[str, str]:
    return str(item.path), getattr(item, "originalname", item.name)


def _try_again(items: list[pytest.Item]) -> None:
    """Give another try to tests that begin processes or threads, or look at a clock: a shared machine may keep one from its turn.

    What is really wrong fails each time, and a rerun is listed in the summary. ``DYNAMORM_TEST_RERUNS=0`` gives none.
    """
    if os.environ.get("DYNAMORM_TEST_RERUNS") == "0":
        return
    timed = {
        "faults",
        "io",
        "lossy",
        "test_cache_lag.py",
        "test_dashboard_browser.py",
        "test_leases.py",
        "test_leases_late.py",
    }
    for item in items:
        if timed.intersection(item.path.relative_to(pathlib.Path(__file__).parent).parts):
            item.add_marker(pytest.mark.flaky(reruns=2))
        elif _depends_on_turns(item.path):
            item.add_marker(pytest.mark.flaky(reruns=1))


@cache
def _depends_on_turns(path: pathlib.Path) -> bool:
    words = (
        b"subprocess",
        b"threading",
        b"Thread",
        b"monotonic",
        b"sleep",
        b"fork",
        b"SIG",
        b"playwright",
        b"from examples",
    )
    source = path.read_bytes()
    return any(word in source for word in words)
