"""The pytest plugin, found by pytest through its entry point: fixtures, the mark `dynamorm_engines`, options.

Nothing is started, and nothing of the library's drivers imported, before a test asks for a fixture.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final
from zlib import crc32

import pytest

if TYPE_CHECKING:
    from types import ModuleType

    from dynamorm.testing.db import AsyncTestDB, TestDB
    from dynamorm.testing.kit.freeze import freeze_time

ENGINES: Final = ("memory", "sqlite", "ministack", "local")
"""What the mark takes; `dynamorm.testing.named_engines` starts them."""

_MARK: Final = "dynamorm_engines"
_ENGINE: Final = "dynamorm_engine"
_BEGIN: Final = "2024-01-01T00:00:00Z"
_DATABASES: Final = ("test_db", "async_test_db")

_seed: Final = pytest.StashKey[int]()
_used_seed: Final = pytest.StashKey[bool]()
_failed: Final = pytest.StashKey[bool]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options of this plugin."""
    group = parser.getgroup("dynamorm")
    group.addoption(
        "--dynamorm-require-engines",
        action="store_true",
        help="fail where an engine of @pytest.mark.dynamorm_engines is missing, instead of skipping the test",
    )
    group.addoption(
        "--dynamorm-keep",
        metavar="FOLDER",
        help="write the tables of each failed test's database to files in this folder",
    )
    group.addoption(
        "--dynamorm-seed", type=int, metavar="N", help="draw the faults of lossy and throttled as a failed run did"
    )
    group.addoption(
        "--dynamorm-update-snapshots",
        action="store_true",
        help="let assert_snapshot write its files instead of comparing",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Make the mark known, and draw the seed of this run."""
    config.addinivalue_line(
        "markers", f"{_MARK}(*names): run the test on each of these engines: {', '.join(ENGINES)}; see dynamorm.testing"
    )
    given = config.getoption("--dynamorm-seed")
    config.stash[_seed] = random.randrange(2**32) if given is None else given
    if config.getoption("--dynamorm-update-snapshots"):
        os.environ["DYNAMORM_TEST_UPDATE_SNAPSHOTS"] = "1"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test with the mark once on each engine that it names."""
    mark = metafunc.definition.get_closest_marker(_MARK)
    if mark is None:
        return
    for name in mark.args:
        if name not in ENGINES:
            raise pytest.UsageError(f"@pytest.mark.{_MARK} takes {', '.join(ENGINES)}, not {name!r}")
    if not mark.args:
        raise pytest.UsageError(f"@pytest.mark.{_MARK} names engines: {', '.join(ENGINES)}")
    if _ENGINE not in metafunc.fixturenames:
        metafunc.fixturenames.append(_ENGINE)
    metafunc.parametrize(_ENGINE, mark.args, indirect=True)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Remember which tests have failed, and tell the seed of their faults."""
    report: Any = yield
    if report.failed:
        item.stash[_failed] = True
        if item.stash.get(_used_seed, False):
            seed = item.config.stash[_seed]
            report.sections.append(("dynamorm", f"these faults are drawn again with --dynamorm-seed={seed}"))
    return report  # type: ignore[no-any-return] # what a wrapper gives is the report, which its annotation cannot say


@pytest.fixture
def dynamorm_engine(request: pytest.FixtureRequest) -> Iterator[Any]:
    """The engine that the mark `dynamorm_engines` names for this run of the test. A missing one is a skip, or a failure."""
    from dynamorm.testing.named_engines import UnavailableError, engine_named  # pytest loads this file in every program

    with ExitStack() as stack:
        try:
            engine = stack.enter_context(engine_named(request.param))
        except UnavailableError as missing:
            if request.config.getoption("--dynamorm-require-engines"):
                pytest.fail(f"the engine {missing}", pytrace=False)
            pytest.skip(f"the engine {missing}")
        yield engine


@pytest.fixture
def test_db(request: pytest.FixtureRequest) -> Iterator[TestDB]:
    """A `TestDB`: a `DB` whose tables are this test's own and are deleted behind it."""
    with _testing().TestDB(_engine_of(request)) as db:
        yield db
        _keep(request, db)


@pytest.fixture
def async_test_db(request: pytest.FixtureRequest) -> Iterator[AsyncTestDB]:
    """An `AsyncTestDB`: an `AsyncDB` whose tables are this test's own and are deleted behind it.

    It works with pytest-asyncio, with anyio's plugin and with a plain ``asyncio.run``: the fixture itself is blocking,
    and the database belongs to the event loop that first uses it. No connection is kept between two calls, so that
    nothing is left behind in a loop that has been closed.
    """
    db = _testing().AsyncTestDB(_engine_of(request), max_idle_connections=0)
    yield db
    _keep(request, db)
    db.clean_up()


@pytest.fixture
def engine(request: pytest.FixtureRequest) -> Iterator[Any]:
    """The engine of this test's database, with its ``faults``; without a database in the test, that of another one."""
    name = next((name for name in _DATABASES if name in request.fixturenames), None)
    if name is not None:
        yield request.getfixturevalue(name).engine
        return
    with _testing().TestDB(_engine_of(request)) as db:
        yield db.engine


@pytest.fixture
def lossy(request: pytest.FixtureRequest) -> Iterator[Any]:
    """`test_db`, or `async_test_db` where the test asks for that, which loses 15 % of its replies."""
    db = _database_of(request)
    with db.engine.faults.lose_reply(share=0.15, seed=_seed_of(request)):
        yield db


@pytest.fixture
def throttled(request: pytest.FixtureRequest) -> Iterator[Any]:
    """`test_db`, or `async_test_db` where the test asks for that, of which 20 % of the requests are throttled."""
    db = _database_of(request)
    with db.engine.faults.throttle(share=0.2, seed=_seed_of(request)):
        yield db


@pytest.fixture
def slow(request: pytest.FixtureRequest) -> Iterator[Any]:
    """`test_db`, or `async_test_db` where the test asks for that, which answers 50 ms late."""
    db = _database_of(request)
    with db.engine.faults.delay(0.05):
        yield db


@pytest.fixture
def frozen_time(request: pytest.FixtureRequest) -> Iterator[freeze_time]:
    """A clock that stands at 2024-01-01T00:00:00Z, or where an indirect parameter says: ``tick(seconds)``, ``move_to(text)``."""
    with _testing().freeze_time(getattr(request, "param", _BEGIN)) as clock:
        yield clock


def _testing() -> ModuleType:
    """The testing kit."""
    from dynamorm import testing  # pytest loads this file in every program

    return testing


def _engine_of(request: pytest.FixtureRequest) -> Any:
    """The engine that the mark names; None without it."""
    case = getattr(request.node, "callspec", None)
    return None if case is None or _ENGINE not in case.params else request.getfixturevalue(_ENGINE)


@pytest.fixture(autouse=True)
def _no_engine_is_passed_over(request: pytest.FixtureRequest) -> None:
    """Ask for the engine that the mark names, so that a test which does not is skipped without it, too."""
    _engine_of(request)


def _database_of(request: pytest.FixtureRequest) -> Any:
    """The database of a test, whichever it asks for."""
    name = next((name for name in reversed(_DATABASES) if name in request.fixturenames), "test_db")
    return request.getfixturevalue(name)


def _seed_of(request: pytest.FixtureRequest) -> int:
    """The seed of a test's faults, by that of the run and the test's name."""
    request.node.stash[_used_seed] = True
    return request.config.stash[_seed] ^ crc32(request.node.nodeid.encode())


def _keep(request: pytest.FixtureRequest, db: Any) -> None:
    """Write the tables of a failed test to files, where that was asked for."""
    base = request.config.getoption("--dynamorm-keep")
    if base is None or not request.node.stash.get(_failed, False):
        return
    from dynamorm.faces.blocking.db import DB  # as above
    from dynamorm.testing.keep import folder_of, keep  # as above

    with DB(db.config) as plain:
        plain._io.run(keep(plain._session, folder_of(base, request.node.nodeid)))  # noqa: SLF001 - as a method of DB does
