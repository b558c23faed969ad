"""What the tests of the shipped plugins share: tables made once per module, databases of either face, and a Redis."""

import shutil
import uuid

import pytest

from dynamorm import DB, Presets
from tests.support.faces import Face

from .redis_server import RedisServer


@pytest.fixture(scope="module")
def made(request, engine):
    """The tables of the models that the module lists in ``MODELS``, with a prefix of the module's own."""
    prefix = request.module.__name__.rpartition(".")[2].removeprefix("test_") + "-"
    with DB(Presets.local_development(endpoint=engine.endpoint, table_prefix=prefix)) as db:
        for model in getattr(request.module, "MODELS", ()):
            db.tables.create(model)
    return prefix


@pytest.fixture
def plugged(engine, made, face_kind):
    """Opens a database with plugins, on the face of the test or another one."""
    faces = []

    def opened(*plugins, kind=face_kind, endpoint=engine.endpoint, **settings):
        face = Face(
            kind,
            Presets.local_development(endpoint=endpoint, table_prefix=made, **settings),
            extensions=plugins,
        )
        faces.append(face)
        return face

    yield opened
    for face in faces:
        face.close()


@pytest.fixture
def key():
    """A key that no other test uses."""
    return uuid.uuid4().hex


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
