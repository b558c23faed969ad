"""Databases over a scripted service with a stream."""

import pytest

from dynamorm.wire import retry
from tests.faults.scripted import Scripted

from .service import Service


@pytest.fixture(autouse=True)
def _full_retry_budget():
    """Retry budgets belong to an endpoint, and ports come again."""
    retry._buckets.clear()


@pytest.fixture
def service():
    return Service()


@pytest.fixture
def scripted(face_kind, service):
    """Makes databases on the one service and its one clock; each is a worker of its own."""
    made = []

    def make(**settings):
        clock = made[0].clock if made else None
        made.append(Scripted(face_kind, service, clock=clock, **settings))
        service.clock = made[0].clock
        return made[-1]

    yield make
    for each in made:
        each.db.close()


@pytest.fixture
def db(scripted):
    return scripted().db
