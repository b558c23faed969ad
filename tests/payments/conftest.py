"""Fixtures of the tests of payments: those of the behaviour tests, and one that calls what takes a database of either face."""

import inspect

import pytest

from tests.behaviour.conftest import db, key, made, opened, plugged, prefix, wire

__all__ = ["db", "key", "made", "opened", "plugged", "prefix", "wire"]


@pytest.fixture
def call(db):
    """Calls a function, or a method, and gives its result: on the asyncio face it is awaited."""

    def calling(function, *args, **named):
        result = function(*args, **named)
        return db._loop.run(result) if inspect.isawaitable(result) else result

    return calling
