"""What one run of the gate leaves out of a test with many cases, another one of its runs takes."""

from __future__ import annotations

import pytest

from tests.conftest import MANY, OLDEST, _left_out, _may_be_skipped

NEWEST = 13
COUNTS = (1, MANY, 3, 7, 40)


class Case:
    """As much of a test as is looked at."""

    def __init__(self, name, marks):
        self.name = name
        self._marks = [getattr(pytest.mark, mark).mark for mark in marks]

    def iter_markers(self):
        return iter(self._marks)


def taken(cases, *, minor=OLDEST, local=False):
    gone = _left_out(cases, minor=minor, local=local)
    assert len(gone) < len(cases), "each run that has the test takes one of its cases"
    return {case.name for case in cases} - {case.name for case in gone}


@pytest.mark.whole
@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize(
    "marks", [(), ("once",), ("bench",), ("wide",), ("whole",), ("engine",), ("engine", "wide"), ("engine", "once")]
)
def test_the_runs_of_the_gate_take_every_case(marks, count):
    """`make test` on the oldest version, `make test-local` what needs an engine, the matrix what needs none and is not run once."""
    cases = [Case(f"test_it[{number}]", marks) for number in range(count)]
    everything = {case.name for case in cases}
    if count >= MANY and "wide" in marks and "engine" not in marks:
        versions = [taken_of(cases, minor) for minor in (OLDEST, OLDEST + 1, NEWEST)]
        assert set.union(*versions) == everything
        return
    if count < MANY and "wide" in marks:
        return
    found = taken(cases)
    if "engine" in marks:
        found |= taken(cases, local=True)
    elif not {"once", "bench"} & set(marks):
        found |= taken(cases, minor=NEWEST)
    assert found == everything


def taken_of(cases, minor):
    return {case.name for case in cases} - {case.name for case in _left_out(cases, minor=minor, local=False)}


@pytest.mark.parametrize("marks", [("local",), ("local", "soak"), ("engine", "local"), ("engine", "soak"), ("soak",)])
def test_what_one_run_alone_takes_it_takes_wholly(marks):
    cases = [Case(f"test_it[{number}]", marks) for number in range(40)]
    for local in (False, True):
        assert _left_out(cases, minor=OLDEST, local=local) == []


@pytest.fixture
def absent():
    """Skips where a file is missing that never is."""
    if not __file__:
        pytest.skip("there is no file")


@pytest.mark.parametrize("number", range(2))
def test_what_a_fixture_may_skip_is_run_wholly(request, absent, number):
    assert _may_be_skipped(request.node)


@pytest.mark.parametrize("number", range(2))
def test_what_it_may_skip_itself_is_run_wholly(request, number):
    if number == 2:
        pytest.skip("there are two")
    assert _may_be_skipped(request.node)


@pytest.mark.skipif(not MANY, reason="it is a number")
@pytest.mark.parametrize("number", range(2))
def test_what_a_mark_may_skip_is_run_wholly(request, number):
    assert _may_be_skipped(request.node)


@pytest.mark.whole
@pytest.mark.parametrize("number", range(2))
def test_what_nothing_skips_is_shared(request, number):
    assert not _may_be_skipped(request.node)
