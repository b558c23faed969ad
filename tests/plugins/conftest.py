"""Fixtures of the tests of shipped plugins: those of the behaviour tests, a Redis, keys in a file, and what a batcher writes to."""

import shutil

import pytest

from dynamorm.plugins import LocalKeyProvider
from dynamorm.wire import retry
from tests.behaviour.conftest import key, made, plugged, prefix

from .batcher_kit import Ahead, Service, scripted
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


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """A provider of keys in a file of the module's own."""
    return LocalKeyProvider(tmp_path_factory.mktemp("keys") / "local")


@pytest.fixture(autouse=True)
def _full_retry_budget():
    """Retry budgets belong to an endpoint, and ports come again."""
    retry._buckets.clear()


@pytest.fixture
def service():
    """What a batcher writes to."""
    return Service()


@pytest.fixture
def ahead(monkeypatch):
    """The clock of the batchers."""
    return Ahead(monkeypatch)


@pytest.fixture
def here(face_kind, service):
    """A database over the service, whose requests take no time."""
    made = scripted(face_kind, service)
    yield made
    service.gate.set()
    made.db.close()
