"""Unique attributes through a lossy proxy: of all who want a value one has it, and is told so."""

from __future__ import annotations

import uuid
from collections import Counter
from typing import Any

import pytest

from dynamorm import Attr, HighThroughput, Model, Outcome, OutcomeUnknown, Unique, attr, partition_key, version
from dynamorm.errors import DuplicateKey, DynamORMError
from dynamorm.testing.proxy import QUICK_FAULTS, LossyProxy
from tests.conftest import ENGINE

pytestmark = pytest.mark.engine

RACERS = 100
VALUES = 6


class Charge(Model, table="charges"):
    """What must not be done twice for one key."""

    id: Attr[str] = partition_key()
    order: Attr[str] = attr(Unique())
    version: Attr[int] = version()


def _charge(db: Any, number: int) -> tuple[str, Outcome]:
    value = f"order{number % VALUES}"
    try:
        db.create(Charge(id=f"c{number}", order=value))
    except OutcomeUnknown as error:
        return value, error.resolve(20)
    except DuplicateKey:
        return value, Outcome.NOT_APPLIED
    except DynamORMError as error:
        return value, error.outcome
    return value, Outcome.APPLIED


@pytest.mark.parametrize("loss", [0.15, 0.40], ids=["15%", "40%"])
def test_of_all_racers_for_a_value_one_wins(loss: float, open_db: Any, engine: Any, face_kind: str) -> None:
    if ENGINE != "local" and loss > 0.2:
        pytest.skip("the heavier loss on DynamoDB Local")
    with LossyProxy(engine.endpoint, seed=int(loss * 100), loss=0.0, faults=QUICK_FAULTS) as proxy:
        db = open_db(
            proxy.endpoint,
            max_attempts=12,
            operation_timeout=30,
            throttle_base=0.05,
            # A hundred at once on a busy machine: slow is not lost.
            performance=HighThroughput(max_connections=100, max_idle_connections=100, request_timeout=15),
            table_prefix=f"unique-{uuid.uuid4().hex[:8]}-",  # a try that comes again begins with nothing
        )
        db.tables.ensure(Charge)
        proxy.set_loss(loss)
        told = db.concurrently(lambda number: _charge(db, number), RACERS)
        proxy.set_loss(0.0)
        proxy.settle()
        applied = Counter(value for value, outcome in told if outcome is Outcome.APPLIED)
        unknown = sum(outcome is Outcome.UNKNOWN for _, outcome in told)
        report = db.repair_unique(Charge)
        assert (report.items, report.guards, report.faults) == (VALUES, VALUES, ())
        assert max(applied.values()) == 1
        assert sum(applied.values()) + unknown >= VALUES
        assert unknown <= 1
        for number in range(VALUES):
            owner = db.find_by_unique(Charge, order=f"order{number}")
            assert db.require(Charge, owner.id).order == f"order{number}"
        assert proxy.faulted > RACERS * loss / 2
