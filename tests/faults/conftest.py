"""What the rows of the fault catalogue share: a stage on either face, and one that needs no network."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from dynamorm.wire import retry
from tests.faults.scripted import Scripted
from tests.faults.stage import Stage
from tests.support.faces import Face


@pytest.fixture(autouse=True)
def _full_retry_budget() -> None:
    """Retry budgets belong to an endpoint, and ports come again."""
    retry._buckets.clear()


@pytest.fixture
def stage(open_db: Callable[..., Face]) -> Iterator[Callable[..., Stage]]:
    """Makes stages; see `Stage` for the options."""
    made: list[Stage] = []

    def make(**options: Any) -> Stage:
        made.append(Stage(open_db, **options))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def scripted(face_kind: str) -> Iterator[Callable[..., Scripted]]:
    """Makes databases over a script; see `Scripted`."""
    made: list[Scripted] = []

    def make(script: Any = (), **options: Any) -> Scripted:
        made.append(Scripted(face_kind, script, **options))
        return made[-1]

    yield make
    for each in made:
        each.db.close()
