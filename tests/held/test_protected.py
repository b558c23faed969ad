"""The held network with tenants, encryption and an audit trail: what is said of a write is true, and so is its record."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ENGINE
from tests.held.cases import Case
from tests.held.protected import CASES, Audited, Protected, protected
from tests.held.theatre import Theatre, pieces, row, told, wrong
from tests.support.faces import FACES

pytestmark = [pytest.mark.local, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def theatre(engine: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Theatre]]:
    """Makes a theatre for each face."""
    if ENGINE != "local":
        pytest.skip("on DynamoDB Local")
    keys: Path = tmp_path_factory.mktemp("keys") / "keys.json"
    outside = type("With", (Protected,), {"keys": keys})
    opened: dict[str, Theatre] = {}

    def make(face: str) -> Theatre:
        if face not in opened:
            opened[face] = Theatre(
                engine.endpoint, face, 1, outside=outside, prepare=lambda face: protected(face, keys)
            )
        return opened[face]

    yield make
    for one in opened.values():
        one.close()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("half", ["usual", pytest.param("other", marks=pytest.mark.soak)])
def test_what_is_said_of_a_protected_write_is_true_and_recorded(
    theatre: Callable[[str], Theatre], face_kind: str, figure: Callable[[str], None], half: str, case: Case
) -> None:
    """The kinds of foreign writes take turns on the two faces; `make soak` runs each on both."""
    began = time.monotonic()
    turn = FACES.index(face_kind) if half == "usual" else 1 - FACES.index(face_kind)
    records = theatre(face_kind).explore(pieces(case)[turn::2], Audited)
    if not records:
        pytest.skip("the other face has the only one")
    figure(row(f"protected {case.name}", face_kind, records, time.monotonic() - began))
    broken = wrong(records)
    assert not broken, told(broken, len(records))
