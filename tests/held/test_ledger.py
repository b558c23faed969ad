"""The held network with the ledger: what is said of a posting is true, it is there once or not at all, and no bound is broken."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.conftest import ENGINE
from tests.held.cases import Case
from tests.held.ledger import CASES, Books, Kept
from tests.held.theatre import Theatre, pieces, row, told
from tests.support.faces import FACES

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def theatre(engine: Any) -> Iterator[Callable[[str], Theatre]]:
    """Makes a theatre for each face."""
    if ENGINE == "memory":
        pytest.skip("the network stands before an engine that answers over HTTP")
    opened: dict[str, Theatre] = {}

    def make(face: str) -> Theatre:
        if face not in opened:
            opened[face] = Theatre(engine.endpoint, face, 1, outside=Books)
        return opened[face]

    yield make
    for one in opened.values():
        one.close()


def explored(theatre: Theatre, face: str, case: Case, work: list[Any], figure: Callable[[str], None]) -> None:
    began = time.monotonic()
    records = theatre.explore(work, Kept)
    figure(row(f"ledger {case.name}", face, records, time.monotonic() - began))
    # A refused posting spends its token, so that not even a copy that the network has made can be applied behind that.
    broken = [record for record in records if record.wrong is not None]
    assert not broken, told(broken, len(records))


@pytest.mark.local
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("half", ["usual", pytest.param("other", marks=pytest.mark.soak)])
def test_every_posting_is_there_once_or_not_at_all(
    theatre: Callable[[str], Theatre], face_kind: str, figure: Callable[[str], None], half: str, case: Case
) -> None:
    """The kinds of foreign postings take turns on the two faces; `make soak` runs each on both."""
    if ENGINE != "local":
        pytest.skip("on DynamoDB Local")
    turn = FACES.index(face_kind) if half == "usual" else 1 - FACES.index(face_kind)
    explored(theatre(face_kind), face_kind, case, pieces(case)[turn::2], figure)


@pytest.mark.engine
def test_a_posting_and_one_of_somebody_else(
    theatre: Callable[[str], Theatre], face_kind: str, figure: Callable[[str], None]
) -> None:
    """A few of these schedules, on whatever engine there is: a posting, and nobody writes, or the same is posted."""
    case = CASES[0]
    kind = "same" if face_kind == "asyncio" else "none"
    explored(theatre(face_kind), face_kind, case, [(case, "rich", kind)], figure)
