"""Fixtures of the behaviour tests: tables made once per module, a recorder around every call, keys of one's own."""

import uuid

import pytest

from dynamorm import DB, Presets

from .kit import Recorder


@pytest.fixture(scope="module")
def prefix(request):
    """Every module has tables of its own."""
    return request.module.__name__.rpartition(".")[2].removeprefix("test_") + "-"


@pytest.fixture(scope="module")
def made(request, engine, prefix):
    """The tables of the models that the module lists in ``MODELS``."""
    with DB(Presets.local_development(endpoint=engine.endpoint, table_prefix=prefix)) as db:
        for model in getattr(request.module, "MODELS", ()):
            db.tables.create(model)
    return prefix


@pytest.fixture
def wire():
    """Every call of the database under test."""
    return Recorder()


@pytest.fixture
def db(open_db, engine, made, wire):
    """The database under test, with its module's tables and the recorder."""
    return open_db(engine.endpoint, table_prefix=made, extensions=(wire,))


@pytest.fixture
def key():
    """A key that no other test uses."""
    return uuid.uuid4().hex
