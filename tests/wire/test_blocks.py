"""Blocks of tenants and actors: in which one a caller stands, through helpers, generators, tasks and threads."""

import asyncio
import contextvars
import gc
import sys
import threading
from contextlib import ExitStack, asynccontextmanager, contextmanager

import pytest

from dynamorm import actor, tenant_scope
from dynamorm.errors import ActorRequired, TenantMismatch
from dynamorm.plugin import current_actor
from dynamorm.plugins.tenancy.scopes import current


def _tenant():
    block = current()
    return None if block is None else block.value


def _who():
    who = current_actor()
    return None if who is None else who.by


KINDS = {"tenant": (tenant_scope, _tenant, TenantMismatch), "actor": (actor, _who, ActorRequired)}


@pytest.fixture(params=KINDS)
def kind(request):
    return KINDS[request.param]


@pytest.fixture
def block(kind):
    return kind[0]


@pytest.fixture
def look(kind):
    """What holds, or the class of the refusal."""
    _, ask, refusal = kind

    def looked():
        try:
            return ask()
        except refusal:
            return refusal

    return looked


@pytest.fixture
def refusal(kind):
    return kind[2]


class Wrapped:
    """A block in a class of a program's own."""

    def __init__(self, inner):
        self.inner = inner

    def __enter__(self):
        self.inner.__enter__()

    def __exit__(self, *how):
        self.inner.__exit__(*how)

    async def __aenter__(self):
        self.__enter__()

    async def __aexit__(self, *how):
        self.__exit__(*how)


def bare(inner):
    return inner


def by_contextmanager(inner):
    @contextmanager
    def held():
        with inner:
            yield

    return held()


def by_two_of_them(inner):
    return by_contextmanager(by_contextmanager(inner))


def by_stack(inner):
    stack = ExitStack()
    stack.callback(lambda: None)

    @contextmanager
    def held():
        with stack:
            stack.enter_context(inner)
            yield

    return held()


HELPERS = (bare, Wrapped, by_contextmanager, by_two_of_them, by_stack)


@pytest.mark.parametrize("outer", HELPERS)
@pytest.mark.parametrize("inner", HELPERS)
def test_a_generator_never_acts_for_its_caller_nor_its_caller_for_it(block, look, refusal, inner, outer):
    def rows():
        with inner(block("b")):
            while True:
                yield look()

    with outer(block("a")):
        items = rows()
        assert next(items) == "b"
        assert look() is refusal
        assert next(items) == "b"
        items.close()
        assert look() == "a"
    items = rows()
    assert next(items) == "b"
    with outer(block("a")):
        assert next(items) is refusal  # it stands in b, and a was entered last
        assert look() == "a"
    items.close()
    assert look() is None


@pytest.mark.parametrize("helper", HELPERS)
def test_generators_side_by_side(block, look, refusal, helper):
    def rows(value):
        with helper(block(value)):
            while True:
                yield look()

    first, second = rows("a"), rows("b")
    assert [next(first), next(second)] == ["a", "b"]
    assert next(first) is refusal
    first.close()
    assert next(second) == "b"
    second.close()
    assert look() is None


@pytest.mark.parametrize("outer", HELPERS)
@pytest.mark.parametrize("inner", HELPERS)
def test_honest_blocks_are_never_refused(block, look, inner, outer):
    def deep():
        with inner(block("b")):
            return look()

    def rows():
        yield look()
        with inner(block("b")):
            assert look() == "b"
        yield look()

    with outer(block("a")):
        with inner(block("b")):
            assert look() == "b"
            with outer(block("a")):
                assert [look(), deep(), look()] == ["a", "b", "a"]
            assert look() == "b"
        assert list(rows()) == ["a", "a"]
        with ExitStack() as stack:
            stack.enter_context(inner(block("b")))
            assert look() == "b"
        assert look() == "a"
    assert look() is None


def test_asynchronous_generators_and_helpers(block, look, refusal):
    @asynccontextmanager
    async def held(value):
        with block(value):
            yield

    async def rows(value, helper):
        async with helper(value):
            while True:
                await asyncio.sleep(0)
                yield look()

    def wrapped(value):
        return Wrapped(block(value))

    async def main():
        for outer in (held, wrapped):
            for inner in (held, wrapped):
                async with outer("a"):
                    async with inner("b"):
                        assert look() == "b"
                        assert await asyncio.gather(asyncio.sleep(0, look())) == ["b"]
                    items = rows("b", inner)
                    assert await anext(items) == "b"
                    assert look() is refusal
                    await items.aclose()
                    assert look() == "a"
        assert look() is None

    asyncio.run(main())


def test_a_task_that_inherits_from_a_generator_is_refused_where_two_are_open(block, look, refusal):
    async def looked():
        return look()

    def rows():
        with block("b"):
            yield

    async def main():
        with block("a"):
            items = rows()
            next(items)
            assert await asyncio.create_task(looked()) is refusal  # its starter stands in a
            items.close()
            assert await asyncio.create_task(looked()) == "a"
            with block("b"):
                assert await asyncio.create_task(looked()) == "b"

    asyncio.run(main())


@pytest.mark.parametrize("how", ["closed in another task", "collected"])
def test_a_task_that_was_started_inside_is_never_another_ones(block, look, refusal, how):
    async def later(event):
        await event.wait()
        return look()

    async def rows():
        with block("b"):
            yield

    async def main(outer):
        event = asyncio.Event()
        items = rows()
        await anext(items)
        task = asyncio.create_task(later(event))
        await asyncio.sleep(0)
        if how == "collected":
            del items
            gc.collect()
            await asyncio.sleep(0.05)
        else:
            await asyncio.create_task(items.aclose())
        event.set()
        assert await task is (None if outer is None else refusal)
        assert look() == outer  # and here what was before holds again
        assert await asyncio.create_task(later(event)) == outer

    asyncio.run(main(None))

    async def inside():
        with block("a"):
            await main("a")

    asyncio.run(inside())


def test_a_task_keeps_what_it_was_started_with_behind_a_block_of_its_own(block, look):
    async def child(entered, left):
        with block("own"):
            entered.set()
            await left.wait()
            assert look() == "own"
        return look()

    async def main():
        entered, left = asyncio.Event(), asyncio.Event()
        with block("a"):
            with block("b"):
                task = asyncio.create_task(child(entered, left))
                await entered.wait()
            left.set()
            return await task

    assert asyncio.run(main()) == "b"


def test_a_place_is_never_used_again(block, look):
    """Tasks and threads that have ended give their ids to later ones, which are not in their blocks."""

    async def leaf():
        return look()

    async def inside(go):
        await go.wait()
        return {await asyncio.create_task(leaf()) for _ in range(20)}

    async def starter(go):
        with block("outer"), block("inner"):
            return asyncio.create_task(inside(go))

    async def main():
        found = set()
        for _ in range(20):
            go = asyncio.Event()
            task = await asyncio.create_task(starter(go))
            gc.collect()
            go.set()
            found |= await task
        return found

    assert asyncio.run(main()) == {"inner"}

    contexts, found = [], set()

    def enter():
        with block("outer"), block("inner"):
            contexts.append(contextvars.copy_context())

    def looked():
        found.add(contexts[-1].copy().run(look))

    for _ in range(50):
        for work in (enter, looked):
            thread = threading.Thread(target=work)
            thread.start()
            thread.join()
    assert found == {"inner"}


def test_a_caller_that_drops_a_generator_leaves_no_block_behind(block, look):
    def rows():
        with block("b"):
            yield

    def dropping():
        items = rows()
        next(items)
        assert look() == "b"

    dropping()
    assert look() is None  # nothing keeps the frames of those who have ended


class Signal(BaseException):
    """What a handler of a signal may raise anywhere."""


FILES = ("wire/blocks.py", "wire/acting.py", "tenancy/scopes.py")


def interrupted(block, look, at):
    """What holds behind a block in which a signal came before a line, and in which function that was; None without one.

    Those of ``__exit__`` before its ``try`` are left out, where Python lets nobody help.
    """
    seen, raised, lines = 0, None, {}

    def line(frame, event, _):
        nonlocal seen, raised
        if event == "line" and raised is None:
            lines[frame] = lines.get(frame, 0) + 1
            if frame.f_code.co_name == "__exit__" and lines[frame] <= 2:
                return line
            seen += 1
            if seen == at:
                raised = frame.f_code.co_name
                sys.settrace(None)
                raise Signal
        return line

    def call(frame, _event, _arg):
        return line if frame.f_code.co_filename.endswith(FILES) else None

    scope, before = block("a"), sys.gettrace()
    sys.settrace(call)
    try:
        with scope:
            pass
    except Signal:
        pass
    finally:
        sys.settrace(before)
    return look(), raised


def test_a_signal_leaves_no_block_open(block, look):
    """It is raised before each line in turn."""
    gc.collect()
    gc.disable()  # blocks that end with the garbage of others are none of this one
    try:
        for at in range(1, 1000):
            found, raised = contextvars.copy_context().run(interrupted, block, look, at)
            assert found is None, raised
            if raised is None:
                break
    finally:
        gc.enable()
    assert 20 < at < 999
