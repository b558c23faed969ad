"""``operation_timeout`` bounds a verb with all its requests; ``deadline`` bounds whatever is done inside its block."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
import warnings
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from dynamorm import Attr, Credentials, DynamORMError, Model, Outcome, Unique, attr, deadline, partition_key
from dynamorm.errors import DeadlineExceeded, InvalidUse, OutcomeUnknown, ValidationError
from dynamorm.plugin import remaining
from dynamorm.testing import answers
from tests.faults.stage import Stage
from tests.faults.verbs import Counter, Payment, Verb

Make = Callable[..., Stage]
SLACK = 0.3


class Named(Model, table="counters"):
    """Its name is guarded."""

    id: Attr[str] = partition_key()
    count: Attr[int] = attr(default=0)
    name: Attr[str] = attr(Unique(), default="x")


SEVERAL = (
    Verb("update_key", "", "N", lambda db, _: db.update(Payment, "p1", Payment.amount.add(5)), 105),
    Verb("increment", "", "N", lambda db, _: db.increment(Payment, "p1", Payment.amount), 101),
    Verb("unique", "", "N", lambda db, _: db.update(Named, "c1", Named.name.set("y")), 105),
)


@pytest.mark.parametrize("verb", SEVERAL, ids=lambda verb: verb.name)
@pytest.mark.parametrize("by", ["operation_timeout", "deadline"])
def test_a_verb_of_several_requests_has_one_limit(stage: Make, verb: Verb, by: str) -> None:
    """Each answer comes within the limit, all of them together do not."""
    here = stage(**({"operation_timeout": 0.5} if by == "operation_timeout" else {}))
    subject = here.prepare(verb)
    here.store.seed("counters", id="c1", count=1, name="x")
    slow = answers.honest().delayed(0.35)

    def act(db: Any, it: Any) -> Any:
        if by == "operation_timeout":
            return verb.act(db, it)
        return _within(here, lambda inner: verb.act(inner, it))

    run = here.act(verb._replace(act=act), subject, forever=slow)
    assert run.elapsed < 0.5 + SLACK
    assert run.error is not None
    assert isinstance(run.error, DynamORMError)
    if run.changes:
        assert run.error.outcome is not Outcome.NOT_APPLIED


def _within(here: Stage, act: Callable[[Any], Any]) -> Any:
    """Act with half a second; a deadline belongs to the thread or task that set it."""
    if here.db.kind == "blocking":
        with deadline(0.5):
            return act(here.db.inner)

    async def outer() -> Any:
        with deadline(0.5):
            return await act(here.db.inner)

    assert here.db._loop is not None
    return here.db._loop.run(outer())


def test_nothing_is_sent_after_the_deadline(scripted: Callable[..., Any]) -> None:
    here = scripted(lambda _: pytest.fail("it was sent"))
    if here.db.kind == "asyncio":
        pytest.skip("the scripted driver of this face runs in another task")
    with deadline(0.01):
        time.sleep(0.02)
        for act in (lambda: here.db.get(Payment, "p1"), lambda: here.db.put(Payment(id="p1", amount=1))):
            with pytest.raises(DeadlineExceeded) as caught:
                act()
            assert caught.value.outcome is Outcome.NOT_APPLIED


def test_a_lost_answer_ends_at_the_deadline_as_unknown(stage: Make) -> None:
    here = stage()
    here.prepare(SEVERAL[0])
    here._forever = answers.silence("stall").applied()
    began = time.monotonic()
    with pytest.raises(OutcomeUnknown):
        _within(here, lambda db: db.put(Payment(id="p1", amount=1)))
    here._forever = None
    assert time.monotonic() - began < 0.5 + SLACK


@pytest.mark.parametrize("by", ["operation_timeout", "deadline"])
def test_credentials_that_take_longer_end_the_verb_and_serve_the_next_one(stage: Make, by: str) -> None:
    """However many ask, one thread waits for them; nothing is sent once the time is over."""
    may_end = threading.Event()
    asked = []

    def slowly() -> Credentials:
        asked.append(1)
        may_end.wait(5)
        return Credentials("AKID", "secret")

    here = stage(
        credentials=slowly, sign_requests=True, **({"operation_timeout": 0.5} if by == "operation_timeout" else {})
    )
    for act in (lambda db: db.get(Payment, "p1"), lambda db: db.put(Payment(id="p1", amount=1))):
        began, before = time.monotonic(), len(here.server.requests)
        with pytest.raises(DeadlineExceeded, match="credentials") as caught:
            act(here.db) if by == "operation_timeout" else _within(here, act)
        assert caught.value.outcome is Outcome.NOT_APPLIED
        assert time.monotonic() - began < 0.5 + SLACK
        assert len(here.server.requests) == before
    may_end.set()
    here.db.put(Payment(id="p1", amount=1))
    assert here.db.get(Payment, "p1").amount == 1
    assert asked == [1]


def test_what_is_gathered_keeps_the_deadline(stage: Make) -> None:
    """A large batch is read by several threads or tasks."""
    here = stage()
    here.prepare(SEVERAL[0])
    here._forever = answers.silence("stall")
    keys = [f"p{number}" for number in range(250)]
    began = time.monotonic()
    with pytest.raises(DynamORMError):
        _within(here, lambda db: db.batch_get(Payment, keys))
    here._forever = None
    assert time.monotonic() - began < 0.5 + SLACK


def test_the_shortest_deadline_wins_and_the_outer_one_comes_back() -> None:
    from dynamorm.wire.deadlines import remaining

    assert remaining() is None
    with deadline(timedelta(seconds=10)):
        with deadline(1):
            assert 0.5 < (remaining() or 0) <= 1
            with deadline(60):
                assert (remaining() or 0) <= 1
        assert 9 < (remaining() or 0) <= 10
        seen: list[Any] = []
        thread = threading.Thread(target=lambda: seen.append(remaining()))
        thread.start()
        thread.join()
        assert seen == [None]
    assert remaining() is None


def test_tasks_have_deadlines_of_their_own() -> None:
    from dynamorm.wire.deadlines import remaining

    async def one(seconds: float) -> bool:
        with deadline(seconds):
            await asyncio.sleep(0.01)
            return 0 < (remaining() or 0) <= seconds

    async def both() -> list[bool]:
        return list(await asyncio.gather(one(1), one(5)))

    assert asyncio.run(both()) == [True, True]


def test_lambda_gives_its_own_time() -> None:
    from dynamorm.wire.deadlines import remaining

    class Context:
        def get_remaining_time_in_millis(self) -> int:
            return 3_000

    with deadline.from_lambda(Context(), margin=0.5):
        assert 2.0 < (remaining() or 0) <= 2.5
    with deadline.from_lambda(Context(), margin=5):
        assert (remaining() or 0) <= 0.001


def test_with_less_than_the_margin_left_the_block_runs_and_sends_nothing(stage: Make) -> None:
    class Context:
        def get_remaining_time_in_millis(self) -> int:
            return 400

    here = stage()
    here.prepare(SEVERAL[0])
    before, ran = len(here.server.requests), []

    def act(db: Any) -> Any:
        ran.append(1)
        return db.put(Payment(id="p1", amount=1))

    async def outer() -> Any:
        with deadline.from_lambda(Context()):  # a margin of half a second
            return await act(here.db.inner)

    def both() -> Any:
        if here.db._loop is not None:
            return here.db._loop.run(outer())
        with deadline.from_lambda(Context()):
            return act(here.db.inner)

    with pytest.raises(DeadlineExceeded) as caught:
        both()
    assert caught.value.outcome is Outcome.NOT_APPLIED
    assert ran == [1]
    assert len(here.server.requests) == before


@pytest.mark.parametrize("wrong", [None, object(), {}, "context", 3000])
def test_what_is_no_context_of_lambda(wrong: Any) -> None:
    with pytest.raises(InvalidUse, match="takes the context of the invocation"):
        deadline.from_lambda(wrong)


def _within_a_deadline(seconds: float) -> Any:
    from dynamorm.wire.deadlines import remaining

    with deadline(seconds):
        while True:
            yield remaining()


def test_generators_leave_no_deadline_behind_in_whatever_order_they_end() -> None:
    from dynamorm.wire.deadlines import remaining

    one, other = _within_a_deadline(10), _within_a_deadline(60)
    assert next(one) <= 10
    assert next(other) <= 10
    one.close()
    assert 50 < next(other) <= 60
    other.close()
    assert remaining() is None


def test_a_generator_that_is_closed_in_another_context() -> None:
    from contextvars import copy_context

    from dynamorm.wire.deadlines import remaining

    one = _within_a_deadline(10)
    inside = copy_context()
    inside.run(next, one)
    assert remaining() is None
    with deadline(60):
        one.close()  # elsewhere than it began
        assert 50 < (remaining() or 0) <= 60
    assert inside.run(remaining) is None
    assert remaining() is None


def test_an_async_generator_that_nobody_read_to_its_end() -> None:
    from dynamorm.wire.deadlines import remaining

    async def pages() -> Any:
        with deadline(10):
            yield remaining()

    async def reader(made: list[Any]) -> Any:
        found = pages()
        made.append(found)
        return await anext(found)

    async def main() -> None:
        made: list[Any] = []
        assert await asyncio.create_task(reader(made)) <= 10
        assert remaining() is None
        await made[0].aclose()  # in this task, not in the one that began it
        assert remaining() is None

    asyncio.run(main())


def test_one_deadline_for_several_threads_and_again() -> None:
    from dynamorm.wire.deadlines import remaining

    shared = deadline(10)
    barrier = threading.Barrier(4)
    seen: list[Any] = []

    def work() -> None:
        with shared:
            barrier.wait()
            seen.append(remaining())
            barrier.wait()
        seen.append(remaining())

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(one is None for one in seen) == [False] * 4 + [True] * 4
    with shared, shared:
        assert 9 < (remaining() or 0) <= 10
    assert remaining() is None


@pytest.mark.parametrize("wrong", [0, -1, True, "1", None, float("nan"), float("inf"), timedelta(0)])
def test_a_deadline_is_a_positive_number_of_seconds(wrong: Any) -> None:
    with pytest.raises(ValidationError, match="positive number of seconds"):
        deadline(wrong)


def test_an_object_of_a_lease_or_increment_that_waits_does_not_outlast_it(stage: Make) -> None:
    """An increment that others disturb each time sleeps between its turns."""
    here = stage()
    here.prepare(SEVERAL[0])
    here.store.seed("counters", id="c1", count=0)
    turn = [0]

    def disturbed(store: Any) -> None:
        turn[0] += 1
        store.seed("counters", id="c1", count=turn[0])

    here._forever = disturbed
    began = time.monotonic()
    with pytest.raises(DynamORMError) as caught:
        _within(here, lambda db: db.increment(Counter, "c1", Counter.count))
    here._forever = None
    assert time.monotonic() - began < 0.5 + SLACK
    assert caught.value.outcome is Outcome.NOT_APPLIED


def test_a_function_is_bounded_in_each_of_its_calls() -> None:
    @deadline(10)
    def plain(number: int, *, more: int = 0) -> tuple[int, float | None]:
        """What it does."""
        return number + more, remaining()

    assert (plain.__name__, plain.__doc__) == ("plain", "What it does.")
    for _ in range(2):
        number, left = plain(1, more=2)
        assert number == 3
        assert left is not None
        assert 9 < left <= 10
        assert remaining() is None


def test_a_coroutine_function_is_bounded_in_each_of_its_calls() -> None:
    lefts: list[float | None] = []

    @deadline(10)
    async def awaited(seconds: float) -> str:
        lefts.append(remaining())
        await asyncio.sleep(seconds)
        lefts.append(remaining())
        return "done"

    async def main() -> None:
        assert await asyncio.gather(awaited(0.05), awaited(0.02), awaited(0.0)) == ["done"] * 3
        assert remaining() is None

    assert asyncio.iscoroutinefunction(awaited)
    asyncio.run(main())
    assert len(lefts) == 6
    assert all(left is not None and 9 < left <= 10 for left in lefts)


def test_a_function_that_fails_leaves_no_deadline_behind() -> None:
    @deadline(10)
    def failing() -> None:
        raise LookupError

    with pytest.raises(LookupError):
        failing()
    assert remaining() is None


def test_an_asynchronous_block_is_bounded_too() -> None:
    async def main() -> None:
        async with deadline(10) as outer:
            assert isinstance(outer, deadline)
            async with deadline(5):
                left = remaining()
                assert left is not None
                assert 4 < left <= 5
            assert await asyncio.create_task(_left()) > 9
        assert remaining() is None

    async def _left() -> float:
        return remaining() or 0.0

    asyncio.run(main())


def test_what_cannot_be_bounded_by_a_call_is_refused() -> None:
    def items() -> Any:
        yield 1

    async def items_there() -> Any:
        yield 1

    bound = deadline(10)
    for generator in (items, items_there):
        with pytest.raises(InvalidUse, match="is a generator, which runs when it is read"):
            bound(generator)
    for thing in (5, int, None):
        with pytest.raises(InvalidUse, match="a deadline bounds a block or a function"):
            bound(thing)  # type: ignore[arg-type] # that is the matter
    with bound:
        pass


def test_a_deadline_that_is_never_entered_warns() -> None:
    with pytest.warns(RuntimeWarning, match="never entered, so that it bounds nothing"):
        deadline(0.0001)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        deadline(10)(lambda: None)
        with deadline(10):
            pass
        gc.collect()
