"""One `deadline` that many use at once: each block, and each call of a decorated function, begins and ends its own."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import gc
import itertools
import threading
import types
from contextlib import AsyncExitStack, ExitStack
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynamorm import deadline
from dynamorm.errors import InvalidUse
from dynamorm.wire import deadlines
from dynamorm.wire.deadlines import remaining

SECONDS = 1000.0


@pytest.fixture(autouse=True)
def _clock(monkeypatch):
    """A clock that goes on by a second with each look at it, so that no two blocks have the same end."""
    ticks = itertools.count(1)
    monkeypatch.setattr(deadlines, "monotonic", lambda: float(next(ticks)))


def end():
    """When the nearest deadline of this context ends."""
    left = remaining()
    return None if left is None else left + deadlines.monotonic() - 1.0


def holding(of):
    with of:
        own = end()
        while True:
            yield own, end()


class Holder:
    """A generator with a block of a shared deadline, begun in one context and left in any."""

    def __init__(self, of):
        self.context, self.of, self.generator = contextvars.Context(), of, holding(of)
        self.begin = self.context.run(next, self.generator)[0]


OPEN, CLOSE, ELSEWHERE, COLLECT = range(4)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 7)), max_size=30))
def test_whoever_ends_wherever_no_other_block_of_the_same_deadline_ends(steps):
    shared = deadline(SECONDS)
    with shared:
        pass
    holders: list[Holder] = []
    for kind, number in steps:
        if kind == OPEN or not holders:
            holders.append(Holder(shared))
            continue
        holder = holders.pop(number % len(holders))
        if kind == CLOSE:
            holder.context.run(holder.generator.close)
        elif kind == ELSEWHERE:
            where = holders[-1].context if holders else contextvars.Context()
            where.run(holder.generator.close)
        else:
            holder.generator = None  # the collector closes it, in the context of this test
            gc.collect(0)
        assert holder.context.run(remaining) is None
        for other in holders:
            assert other.context.run(next, other.generator) == (other.begin, other.begin)
    for holder in holders:
        holder.generator.close()
        assert holder.context.run(remaining) is None
    assert shared._blocks == []


def test_in_one_context_each_block_keeps_its_own_end():
    shared = deadline(SECONDS)
    first = holding(shared)
    begun, _ = next(first)
    with shared:
        assert end() == begun  # the nearest
        first.close()
        later = end()
        assert later is not None
        assert later > begun
    assert remaining() is None


def test_a_function_that_recurs_leaves_its_own_blocks():
    shared, ends = deadline(SECONDS), []

    def work(depth):
        with shared, shared:
            ends.append(end())
            if depth:
                work(depth - 1)
            ends.append(end())

    work(3)
    assert len(set(ends)) == 1  # the outermost is the nearest
    assert None not in ends
    assert remaining() is None


@types.coroutine
def pause():
    yield


def abandoned(function):
    """A call that nobody awaits to its end, which began in a context of its own."""
    found = function()
    contextvars.copy_context().run(found.send, None)
    return [found]


def test_a_call_that_is_collected_ends_no_deadline_of_another_call():
    @deadline(SECONDS)
    async def handle(then=None):
        if then is None:
            return await pause()
        before = end()
        then()
        return before, end()

    left = abandoned(handle)
    before, after = asyncio.run(handle(lambda: (left.clear(), gc.collect())))
    assert before == after
    assert before is not None


def test_a_task_of_a_loop_that_is_gone_ends_no_deadline_of_another_call(caplog):
    kept = []

    @deadline(SECONDS)
    async def handle(then=None):
        if then is None:
            return await asyncio.Event().wait()
        before = end()
        then()
        return before, end()

    def worker():
        loop = asyncio.new_event_loop()
        kept.append(loop.create_task(handle()))
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()

    thread = threading.Thread(target=worker)
    thread.start()
    thread.join()
    caplog.set_level("CRITICAL", "asyncio")  # it says that the task was pending
    before, after = asyncio.run(handle(lambda: (kept.clear(), gc.collect())))
    assert before == after
    assert before is not None


def test_an_asynchronous_block_owns_its_block_too():
    shared = deadline(SECONDS)

    async def holding_there():
        async with shared:
            yield end()

    async def main():
        other = holding_there()
        begun = await contextvars.copy_context().run(lambda: asyncio.create_task(anext(other)))
        async with shared:
            own = end()
            assert own > begun
            await other.aclose()
            assert end() == own
        assert remaining() is None

    asyncio.run(main())


def test_stacks_that_share_a_deadline_end_their_own_blocks():
    shared = deadline(SECONDS)
    one, other = ExitStack(), ExitStack()
    one.enter_context(shared)
    first = end()
    other.enter_context(shared)
    assert end() == first
    one.close()
    second = end()
    assert second is not None
    assert second > first
    other.pop_all().close()
    assert remaining() is None


def test_an_asynchronous_stack_ends_its_own_block():
    shared = deadline(SECONDS)

    async def main():
        async with AsyncExitStack() as one:
            await one.enter_async_context(shared)
            first = end()
            async with AsyncExitStack() as other:
                await other.enter_async_context(shared)
            assert end() == first
        assert remaining() is None

    asyncio.run(main())


def test_by_hand_it_is_left_where_there_is_no_doubt_which_block_ends():
    shared = deadline(SECONDS)

    def enter():
        shared.__enter__()

    def leave():
        shared.__exit__(None, None, None)

    enter()
    leave()
    assert remaining() is None
    enter()
    enter()
    with pytest.raises(InvalidUse, match=r"entered several times, and left where it was not entered.*enter_context"):
        leave()
    assert remaining() is not None
    deadlines.lift()


def test_a_block_keeps_no_frame_behind_its_end():
    class Heavy:
        pass

    def work(kept):
        heavy = Heavy()
        kept.append(lambda: heavy)
        with deadline(SECONDS):
            return contextvars.copy_context()

    kept: list[Any] = []
    context = work(kept)
    kept.clear()
    gc.collect()
    assert not any(isinstance(one, Heavy) for one in gc.get_objects())
    assert context.run(remaining) is None


# ---------------------------------------------------------------------------------------- what a decorated function gives


async def ending():
    before = end()
    await asyncio.sleep(0)
    return before, end()


class Called:
    async def __call__(self):
        return await ending()


class Plain:
    def __call__(self):
        return ending()


def giving():
    return ending()


COROUTINES = {
    "a lambda": lambda *_: ending(),
    "a function": giving,
    "a partial": functools.partial(giving),
    "a partial of a coroutine function": functools.partial(ending),
    "an object with a coroutine": Called(),
    "a partial of such an object": functools.partial(Called()),
    "an object that gives one": Plain(),
    "a method": Called().__call__,
}


@pytest.mark.parametrize("name", COROUTINES)
def test_what_gives_a_coroutine_is_bounded(name):
    async def main():
        bounded = deadline(SECONDS)(COROUTINES[name])
        ends = await asyncio.gather(bounded(), bounded())
        assert remaining() is None
        return ends

    (first, same), (second, also) = asyncio.run(main())
    assert first == same
    assert second == also
    assert None not in (first, second)


def test_seconds_of_what_is_awaited_later_begin_with_the_call(monkeypatch):
    from dynamorm.wire import bounded

    now = [0.0]
    for module in (deadlines, bounded):
        monkeypatch.setattr(module, "monotonic", lambda: now[0])

    async def left():
        return remaining()

    function = deadline(10)(lambda *_: left())
    for waited, expected in ((4.0, 6.0), (30.0, 1e-9)):
        made = function()
        now[0] += waited
        assert asyncio.run(made) == pytest.approx(expected, abs=1e-12)


def numbers():
    yield 1


async def numbers_there():
    yield 1


class Reads:
    def __call__(self):
        yield 1


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (numbers, "numbers is"),
        (functools.partial(numbers), "numbers is"),
        (functools.partial(numbers_there), "numbers_there is"),
        (Reads(), "Reads is"),
        (functools.partial(Reads()), "Reads is"),
    ],
)
def test_generators_are_refused_where_they_are_decorated(function, name):
    bound = deadline(SECONDS)
    with pytest.raises(InvalidUse, match=f"{name} a generator, which runs when it is read"):
        bound(function)
    with bound:
        pass


@pytest.mark.parametrize("make", [numbers, numbers_there])
def test_a_generator_that_a_call_gives_is_refused(make):
    def giving_one():
        return make()

    with pytest.raises(InvalidUse, match="giving_one gives a generator, which runs when it is read"):
        deadline(SECONDS)(giving_one)()


def test_what_runs_beside_the_call_is_refused():
    async def main():
        tasks = []

        @deadline(SECONDS)
        def begin():
            tasks.append(asyncio.get_running_loop().create_task(ending()))
            return tasks[-1]

        with pytest.raises(InvalidUse, match="begin gives a Task, which is no coroutine"):
            begin()
        await tasks[0]

    asyncio.run(main())


def test_what_a_plain_function_gives_is_given_on():
    values = [1, "text", None, [1], iter([1]), {"a": 1}]
    assert [deadline(SECONDS)(lambda value=value: value)() for value in values] == values
