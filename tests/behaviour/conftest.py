"""Fixtures of the behaviour tests: tables made once per module, a recorder around every call, keys of one's own."""

import uuid

import pytest

from dynamorm import DB, Presets
from tests.support.faces import Face

from .kit import Recorder


@pytest.fixture(scope="module")
def prefix(request):
    """Every module has tables of its own."""
    return request.module.__name__.rpartition(".")[2].removeprefix("test_") + "-"


@pytest.fixture(scope="module")
def made(request, engine, prefix):
    """The tables of the models that the module lists in ``MODELS``; ``made_with(db)`` of a module gives it what these need."""
    with DB(Presets.local_development(endpoint=engine.endpoint, table_prefix=prefix)) as db:
        getattr(request.module, "made_with", id)(db)
        for model in getattr(request.module, "MODELS", ()):
            db.tables.create(model)
    return prefix


@pytest.fixture(scope="module")
def opened(request, engine, made):
    """The databases of the module, one for each face, opened when first asked for, with their recorders.

    A module may list settings of its own in ``SETTINGS``.
    """
    settings = getattr(request.module, "SETTINGS", {})
    found = {}

    def get(kind):
        if kind not in found:
            config = Presets.local_development(endpoint=engine.endpoint, table_prefix=made, **settings)
            wire = Recorder()
            found[kind] = Face(kind, config, extensions=(wire,)), wire
        return found[kind]

    yield get
    for face, _ in found.values():
        face.close()


@pytest.fixture
def db(opened, face_kind):
    """The database under test, with its module's tables."""
    return opened(face_kind)[0]


@pytest.fixture
def wire(opened, face_kind):
    """Every call of the database under test."""
    recorder = opened(face_kind)[1]
    recorder.clear()
    return recorder


@pytest.fixture
def key():
    """A key that no other test uses."""
    return uuid.uuid4().hex


@pytest.fixture
def plugged(engine, made, face_kind):
    """Opens a database with plugins, on the face of the test or another one."""
    faces = []

    def opened(*plugins, kind=face_kind, endpoint=engine.endpoint, **settings):
        config = Presets.local_development(endpoint=endpoint, table_prefix=made, **settings)
        face = Face(kind, config, extensions=plugins)
        faces.append(face)
        return face

    yield opened
    for face in faces:
        face.close()
