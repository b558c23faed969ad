"""Fixtures of the tests of shipped plugins: those of the behaviour tests, and a Redis."""

import shutil

import pytest

from tests.behaviour.conftest import key, made, plugged, prefix

from .redis_server import RedisServer

__all__ = ["key", "made", "plugged", "prefix"]


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory):
    """A real Redis of the tests' own, on a free port of loopback."""
    if shutil.which("redis-server") is None:
        pytest.skip("no redis-server on this machine: apt-get install redis-server")
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def redis(redis_server):
    """The same, empty."""
    redis_server.admin.flushall()
    return redis_server
