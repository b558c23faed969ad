"""`assert_eventually`: asked again until it holds, plain and awaited; its failure says what came last."""

from __future__ import annotations

import asyncio
import time
from functools import partial

import pytest

from dynamorm.testing import assert_eventually


def counting(*outcomes):
    """A function that gives these outcomes in turn, then the last one; exceptions are raised."""
    calls = iter(outcomes)
    last = outcomes[-1]

    def fn():
        outcome = next(calls, last)
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    return fn


def run(way, fn, **options):
    """Ask in one of the ways: a function, a coroutine function, a function that gives an awaitable."""
    if way == "plain":
        return assert_eventually(fn, **options)

    async def coroutine():
        await asyncio.sleep(0)
        return fn()

    async def program():
        tasks = iter(coroutine, None)  # calls it each time: a plain function that gives an awaitable
        return await assert_eventually(coroutine if way == "coroutine" else partial(next, tasks), **options)

    return asyncio.run(program())


ways = pytest.mark.parametrize("way", ["plain", "coroutine", "lambda"])


@ways
def test_the_value_that_is_true_is_returned(way):
    assert run(way, counting(0, None, "", [1]), interval=0.001) == [1]


@ways
def test_the_failure_says_the_last_value_the_tries_and_the_seconds(way):
    with pytest.raises(
        AssertionError, match=r"it did not hold after \d+ tr(y|ies) in \d+\.\d\d seconds: the last value was \[\]"
    ):
        run(way, counting([]), timeout=0.1, interval=0.01)


@ways
def test_an_exception_counts_as_not_yet_and_is_told_in_the_end(way):
    assert run(way, counting(KeyError("x"), AssertionError("not yet"), 5), interval=0.001) == 5
    with pytest.raises(AssertionError, match=r"the last call raised ValueError\('nothing there'\)") as caught:
        run(way, counting(ValueError("nothing there")), timeout=0.05, interval=0.01)
    assert isinstance(caught.value.__cause__, ValueError)


@ways
@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), SystemExit(3), pytest.fail.Exception("no"), pytest.skip.Exception("no")]
)
def test_what_ends_a_test_or_a_program_is_raised_at_once(way, error):
    began = time.monotonic()
    with pytest.raises(type(error)):
        run(way, counting(error), timeout=60)
    assert time.monotonic() - began < 30


@ways
def test_it_is_asked_once_without_time(way):
    with pytest.raises(AssertionError, match="after 1 try "):
        run(way, counting(False), timeout=0)
    assert run(way, counting(True), timeout=0) is True


def test_a_long_value_is_shortened_and_a_broken_repr_is_told():
    class Broken:
        def __bool__(self):
            return False

        def __repr__(self):
            raise OSError

    class Long(list):
        def __bool__(self):
            return False

    with pytest.raises(AssertionError) as caught:
        assert_eventually(lambda: Long(["x" * 1000]), timeout=0)
    assert len(str(caught.value).partition("was ")[2]) == 500
    with pytest.raises(AssertionError, match="<Broken whose repr raised OSError>"):
        assert_eventually(Broken, timeout=0)


@pytest.mark.parametrize("wrong", [True, 5, None, "text"])
def test_what_cannot_be_called_is_refused_at_once(wrong):
    with pytest.raises(TypeError, match="takes a function to call again"):
        assert_eventually(wrong)


@pytest.mark.parametrize(
    "options", [{"timeout": -1}, {"interval": -1}, {"timeout": float("nan")}, {"interval": float("inf")}]
)
def test_times_are_seconds(options):
    with pytest.raises(ValueError, match="a number of seconds"):
        assert_eventually(lambda: True, **options)


def test_it_waits_no_longer_than_its_time():
    began = time.monotonic()
    with pytest.raises(AssertionError):
        assert_eventually(lambda: False, timeout=0.1, interval=60)
    assert time.monotonic() - began < 30


def test_a_callable_object_with_a_coroutine_is_awaited():
    class Asking:
        async def __call__(self):
            return 7

    async def program():
        return await assert_eventually(Asking())

    assert asyncio.run(program()) == 7
