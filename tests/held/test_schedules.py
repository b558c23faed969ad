"""Held networks: in every schedule of up to two held copies and one foreign write, what was said of a write is true.

Each verb meets every way in which the network may treat its requests (deliver, deliver and lose the answer, hold, deliver
and hold a copy), with the held copies delivered at every place: before a later request, after the verb has returned,
before and after the foreign write. NOT_APPLIED means that no copy was applied until the very end; APPLIED means once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.conftest import ENGINE
from tests.held.cases import CASES, Case
from tests.held.schedule import Dead, Silent
from tests.held.theatre import Theatre, pieces, row, told, wrong
from tests.support.faces import FACES

pytestmark = [pytest.mark.local, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def theatre(engine: Any) -> Iterator[Callable[..., Theatre]]:
    """Makes theatres, one for each face and purpose."""
    if ENGINE != "local":
        pytest.skip("on DynamoDB Local")
    opened: dict[tuple[Any, ...], Theatre] = {}

    def make(face: str, crews: int, **settings: Any) -> Theatre:
        name = (face, crews, *settings.items())
        if name not in opened:
            opened[name] = Theatre(engine.endpoint, face, crews, **settings)
        return opened[name]

    yield make
    for one in opened.values():
        one.close()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("half", ["usual", pytest.param("other", marks=pytest.mark.soak)])
def test_what_is_said_of_a_write_is_true_to_the_last_copy(
    theatre: Callable[..., Theatre], face_kind: str, figure: Callable[[str], None], half: str, case: Case
) -> None:
    """Every schedule of every verb. The starts and the kinds of foreign writes take turns on the two faces.

    The faces share all that decides, and the time is short: `make soak` runs each also on the other face.
    """
    began = time.monotonic()
    turn = FACES.index(face_kind) if half == "usual" else 1 - FACES.index(face_kind)
    records = theatre(face_kind, 1).explore(pieces(case)[turn::2])
    figure(row(case.name, face_kind, records, time.monotonic() - began))
    broken = wrong(records)
    assert not broken, told(broken, len(records))


def test_a_request_that_ends_by_the_clock_is_as_one_that_was_reset(
    theatre: Callable[..., Theatre], face_kind: str, figure: Callable[[str], None]
) -> None:
    """One held copy, whose caller has waited for its whole request_timeout; the last foreign write of each start."""
    began = time.monotonic()
    work = [(case, start, kinds[-1]) for case in CASES for start, kinds in case.starts.items()]
    records = theatre(face_kind, 8, request_timeout=0.3).explore(work, Silent)
    figure(row("(by the clock)", face_kind, records, time.monotonic() - began))
    broken = wrong(records)
    assert not broken, told(broken, len(records))


def test_what_is_found_out_after_an_outage_is_true_to_the_last_copy(
    theatre: Callable[..., Theatre], face_kind: str, figure: Callable[[str], None]
) -> None:
    """The network ends with the first write; `resolve`, the foreign write and the held copy come in every order.

    The kinds of foreign writes take turns on the two faces: what is asked here is asked of one source.
    """
    began = time.monotonic()
    work = [piece for case in CASES for piece in pieces(case)][FACES.index(face_kind) :: 2]
    records = theatre(face_kind, 12, operation_timeout=0.4).explore(work, Dead)
    figure(row("(after an outage)", face_kind, records, time.monotonic() - began))
    broken = wrong(records)
    assert not broken, told(broken, len(records))
