"""Fixtures of the tests of bad input: a server that must never be asked, and the rules every error must keep."""

import time

import pytest

from dynamorm import Presets
from dynamorm.errors import DynamORMError
from dynamorm.testing import FaultServer, answers
from tests.support.faces import FACES, Face

SECRET = "secret-value-4242"
"""Stands for any attribute value: it must never appear in the text of an error."""


@pytest.fixture(scope="session")
def server():
    """A server that answers everything with nothing, and records what it was asked."""
    with FaultServer(lambda _: answers.json({})) as server:
        yield server


@pytest.fixture(scope="session")
def opened(server):
    """The databases on that server, one for each face."""
    found = {kind: Face(kind, Presets.local_development(endpoint=server.endpoint)) for kind in FACES}
    yield found
    for face in found.values():
        face.close()


@pytest.fixture
def db(opened, face_kind):
    """A database on the server that must never be asked."""
    return opened[face_kind]


@pytest.fixture
def refused(server):
    """Expects one clear typed error, before the wire, without waiting, without any value in its text."""

    def check(kind, call, *words):
        server.clear()
        started = time.monotonic()
        with pytest.raises(kind) as caught:
            call()
        took = time.monotonic() - started
        check_text(caught.value, *words)
        assert server.requests == []
        assert took < 5
        return caught.value

    return check


def check_text(error, *words):
    """What every error's text must hold, and must not."""
    texts = [str(error), repr(error), getattr(error, "safe", "")]
    chain = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    while chain is not None:
        texts.append(str(chain))
        chain = chain.__cause__ or (None if chain.__suppress_context__ else chain.__context__)
    for text in texts:
        assert SECRET not in text
    for word in words:
        assert word in str(error)
    if isinstance(error, DynamORMError):
        assert error.code.startswith("Err")
        assert error.message
