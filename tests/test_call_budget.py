"""No verb makes more Python or C calls than the stored number: what is added to the hot path shows on any machine."""

from __future__ import annotations

import pytest

from benchmarks import calls
from dynamorm.wire.deadlines import USE

STORED = calls.stored().get(calls.VERSION, {})


@pytest.fixture(scope="module")
def counted():
    """Of a process that has set no deadline yet, whatever other tests have done in this one."""
    before, USE.ever = USE.ever, False
    try:
        return calls.verbs()
    finally:
        USE.ever = before


@pytest.mark.skipif(not STORED, reason=f"no numbers are stored for Python {calls.VERSION}")
@pytest.mark.parametrize("verb", sorted(STORED))
def test_a_verb_makes_no_more_calls_than_stored(counted, verb):
    more = {kind: count for kind, count in counted[verb].items() if count > STORED[verb][kind]}
    assert not more, (
        f"{verb} makes {more} calls where {STORED[verb]} are stored. If they are worth it, say why in the change, "
        "and run python -m benchmarks.calls --update"
    )


@pytest.mark.skipif(not STORED, reason=f"no numbers are stored for Python {calls.VERSION}")
def test_every_verb_has_a_budget(counted):
    assert set(counted) == set(STORED)


def test_the_count_is_of_python_and_c_calls_alone():
    def one():
        return len("")

    assert calls.count(lambda: None) == {"python": 0, "c": 0}
    assert calls.count(one) == {"python": 0, "c": 1}
    assert calls.count(lambda: [one()]) == {"python": 1, "c": 1}
