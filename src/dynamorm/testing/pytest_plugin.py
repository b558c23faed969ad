"""The pytest plugin, found by pytest through its entry point: the fixtures `test_db` and `async_test_db`.

Nothing is started, and nothing of the library's drivers imported, before a test asks for a fixture.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from dynamorm.testing.db import AsyncTestDB, TestDB


@pytest.fixture
def test_db() -> Iterator[TestDB]:
    """A `TestDB`: a `DB` whose tables are this test's own and are deleted behind it."""
    with _databases().TestDB() as db:
        yield db


@pytest.fixture
def async_test_db() -> Iterator[AsyncTestDB]:
    """An `AsyncTestDB`: an `AsyncDB` whose tables are this test's own and are deleted behind it.

    It works with pytest-asyncio, with anyio's plugin and with a plain ``asyncio.run``: the fixture itself is blocking,
    and the database belongs to the event loop that first uses it. No connection is kept between two calls, so that
    nothing is left behind in a loop that has been closed.
    """
    db = _databases().AsyncTestDB(max_idle_connections=0)
    yield db
    db.clean_up()


def _databases() -> ModuleType:
    """The databases for tests."""
    from dynamorm.testing import db  # pytest loads this file in every program

    return db
