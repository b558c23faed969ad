"""`spread.run`: parts of any work, what is left of them, the order of results, and how a run ends."""

from __future__ import annotations

import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dynamorm import spread


def down(part, _):
    """A part that is a name and a number: one of it is done at a time."""
    name, left = part
    return 1, (name, left - 1) if left > 1 else None


@given(st.lists(st.integers(1, 5), max_size=12), st.one_of(st.none(), st.integers(1, 5)))
@settings(max_examples=50)
def test_all_of_each_part_is_done_once(sizes, most):
    done = {}
    with ThreadPoolExecutor(3) as threads:
        spread.run(
            down,
            enumerate(sizes),
            on=threads,
            took=lambda part, count: done.update({part[0]: done.get(part[0], 0) + count}),
            most=most,
        )
    assert done == dict(enumerate(sizes))


@pytest.mark.parametrize("most", [1, 2, 5])
def test_no_more_are_under_way_than_shall_be(most):
    now, seen, lock = [0], [], threading.Lock()

    def work(part, _):
        with lock:
            now[0] += 1
            seen.append(now[0])
        threading.Event().wait(0.001)
        with lock:
            now[0] -= 1
        return part, None

    taken = []
    with ThreadPoolExecutor(8) as threads:
        spread.run(work, range(30), on=threads, took=lambda part, _: taken.append(part), most=most)
    assert max(seen) <= most
    assert taken == list(range(30)), "in the order in which they began"


def test_none_among_the_parts_waits_for_those_under_way_and_what_is_left_of_them():
    taken = []

    def parts():
        yield "a", 3
        yield "b", 1
        yield None
        assert sorted(name for name, _ in taken) == ["a", "a", "a", "b"]
        yield "c", 1

    with ThreadPoolExecutor(2) as threads:
        spread.run(down, parts(), on=threads, took=lambda part, _: taken.append(part))
    assert taken[-1] == ("c", 1)


def test_a_part_that_was_lost_half_way_is_taken_once():
    tried, taken = [], []

    def work(part, name):
        tried.append(name)
        if len(tried) < 3:
            raise ConnectionResetError
        return part, None

    with ThreadPoolExecutor(1) as threads:
        spread.run(work, ["x"], on=threads, took=lambda part, found: taken.append((part, found)))
    assert taken == [("x", "x")]
    assert len({*tried}) == 3, "each try has a name of its own"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_what_has_begun_counts_where_it_can_be_told_to_stop(error):
    stopped, taken, begun = threading.Event(), [], threading.Event()

    def work(part, _):
        if part == 0:
            assert begun.wait(20)
            raise ValueError("no")
        begun.set()
        assert stopped.wait(20)
        return part, part + 1

    def parts():
        yield from range(2)
        if error is KeyboardInterrupt:
            assert begun.wait(20)
            raise KeyboardInterrupt

    with ThreadPoolExecutor(2) as threads, pytest.raises(error):
        spread.run(work, parts(), on=threads, took=lambda part, _: taken.append(part), stop=stopped.set)
    assert taken == [1]


def test_an_error_of_taking_a_result_ends_the_run():
    def took(_, __):
        raise OSError("the disk is full")

    with ThreadPoolExecutor(2) as threads, pytest.raises(OSError, match="full"):
        spread.run(down, [("a", 1), ("b", 1)], on=threads, took=took)


def test_processes_are_sent_what_is_left():
    done = []
    with ProcessPoolExecutor(2, get_context("spawn")) as processes:
        spread.run(down, [("a", 4), ("b", 2)], on=processes, took=lambda part, _: done.append(part), most=2)
    assert sorted(done) == [("a", 1), ("a", 2), ("a", 3), ("a", 4), ("b", 1), ("b", 2)]
