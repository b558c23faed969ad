"""`Limiter` by itself, in any order of asking, giving back, forgetting and changing its size."""

import asyncio
import random
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dynamorm.effects import Acquire, Sleep
from dynamorm.errors import PoolTimeout
from dynamorm.io.aio import Aio
from dynamorm.io.blocking import Blocking
from dynamorm.wire.endpoint import Endpoint
from dynamorm.wire.limiter import Limiter

NOWHERE = Endpoint.parse("http://127.0.0.1:9")

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), st.just(0)),
        st.tuples(st.sampled_from(["look", "release", "forget"]), st.integers(0, 20)),
        st.tuples(st.just("places"), st.integers(1, 6)),
    ),
    max_size=60,
)


class Asker:
    """Who has asked for a permit: rung or not since he looked last."""

    def __init__(self, limiter):
        self.permit, self.rung, self.held = limiter.permit(), [], False
        self.permit.ring = partial(self.rung.append, True)  # no circle: who is forgotten is freed at once

    def look(self):
        self.rung.clear()
        self.held = self.held or self.permit.take()
        return self.held


@settings(max_examples=500)
@given(places=st.integers(1, 6), steps=STEPS)
def test_any_order_of_steps_keeps_the_places(places, steps):
    """Against a model: a list in the order of asking. Whose turn it is has been told so, and gets it; nobody else does."""
    limiter = Limiter(places)
    there = []  # in the order of asking

    def held():
        return sum(one.held for one in there)

    def turn_of(one):
        return not one.held and held() + [other for other in there if not other.held].index(one) < places

    for what, number in steps:
        if what == "places":
            limiter.places = places = number
        elif what == "ask":
            there.append(Asker(limiter))
            awaited = turn_of(there[-1])
            assert there[-1].look() is awaited
        elif there:
            one = there[number % len(there)]
            if what == "look":
                wanted = one.held or turn_of(one)
                assert one.look() is wanted
            else:
                there.remove(one)
                if what == "release":
                    one.permit.release()
                    one.permit.release()
                del one
        assert limiter.held == held()
        assert limiter.waiting == len(there) - held()
        waiting = [one for one in there if not one.held]
        for rank, one in enumerate(waiting):
            for queue in (0, 1, 3):
                assert one.permit.exceeds(queue) is (held() + rank >= max(places, held()) + queue)
        assert all(one.rung for one in there if turn_of(one)), "somebody's turn has come, and he was not told"
        one = waiting = None
    one = waiting = None
    there.clear()
    assert (limiter.held, limiter.waiting) == (0, 0)
    assert [limiter.permit().take() for _ in range(3)] == [True] * 3  # forgotten at once


@pytest.mark.parametrize("places", [1, 3])
@pytest.mark.parametrize("queue", [0, 2])
def test_of_threads_that_come_in_one_moment_as_many_stay_as_there_is_room_for(places, queue):
    """Each takes its turn, or asks how many are ahead of it; those behind the queue leave. Whoever stays, stays."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(30):
            limiter, barrier = Limiter(places), threading.Barrier(12)

            def come(_, limiter=limiter, barrier=barrier):
                permit = limiter.permit()
                barrier.wait(60)
                if not permit.take() and permit.exceeds(queue):
                    permit.release()
                    return None
                return permit

            with ThreadPoolExecutor(12) as pool:
                stay = [permit for permit in pool.map(come, range(12)) if permit is not None]
            assert len(stay) == places + queue
            for permit in stay:
                permit.take()
            assert (limiter.held, limiter.waiting) == (places, queue)
    finally:
        sys.setswitchinterval(before)


@pytest.mark.parametrize("when", ["before", "after"])
def test_one_who_moves_on_while_another_looks_is_counted(when):
    """Two threads that look at the same time: the first takes the place while the second reads who stands ahead."""
    limiter = Limiter(1)
    holder, first, second = (limiter.permit() for _ in range(3))
    assert [holder.take(), first.take(), second.take()] == [True, False, False]
    holder.release()
    read = limiter._first

    def interrupted(number):
        limiter._first = read
        if when == "before":
            assert first.take()
            return read(number)
        ahead = read(number)
        assert first.take()
        return ahead

    limiter._first = interrupted
    assert not second.take()
    assert (limiter.held, limiter.waiting) == (1, 1)
    first.release()
    assert second.take()


def test_one_who_looks_while_another_moves_on_is_told():
    """Whoever looked when the first had the place, and still stood in the queue, saw one place too few."""
    limiter = Limiter(2)
    holders, first, second = [limiter.permit(), limiter.permit()], limiter.permit(), limiter.permit()
    assert [permit.take() for permit in (*holders, first, second)] == [True, True, False, False]
    for holder in holders:
        holder.release()
    rung, enter = [], limiter._enter
    second.ring = partial(rung.append, True)

    def interrupted(*args):
        enter(*args)
        assert not second.take()

    limiter._enter = interrupted
    assert first.take()
    assert rung
    limiter._enter = enter
    assert second.take()


class Inside:
    """Counts who is inside."""

    def __init__(self, limiter):
        self.limiter, self.now, self.most, self.ended, self._lock = limiter, 0, 0, 0, threading.Lock()

    def flow(self, seconds, timeout):
        with (yield Acquire(self.limiter, timeout)):
            with self._lock:
                self.now += 1
                self.most = max(self.most, self.now)
            try:
                if seconds:
                    yield Sleep(seconds)
            finally:
                with self._lock:
                    self.now -= 1
        self.ended += 1


@pytest.mark.parametrize("seed", range(40))
def test_random_tasks_and_cancellations(seed):
    dice = random.Random(seed)
    places = dice.randint(1, 4)

    async def main():
        driver, limiter = Aio(NOWHERE), Limiter(places)
        inside = Inside(limiter)
        tasks = []
        for _ in range(120):
            choice = dice.random()
            if choice < 0.5:
                flow = inside.flow(dice.choice([0, 0, 0.0005]), dice.choice([None, None, 0.001, 0]))
                tasks.append(asyncio.ensure_future(driver.run(flow)))
            elif choice < 0.75 and tasks:
                dice.choice(tasks).cancel()
            else:
                await asyncio.sleep(dice.choice([0, 0, 0, 0.0005]))
            assert limiter.held <= places
        results = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 20)
        ended = [result for result in results if result is None]
        assert {type(result) for result in results if result is not None} <= {asyncio.CancelledError, PoolTimeout}
        assert (len(ended), inside.now) == (inside.ended, 0)
        assert inside.most <= places
        assert (limiter.held, limiter.waiting) == (0, 0)

    asyncio.run(main())


@pytest.mark.parametrize("seed", range(6))
def test_random_threads_time_limits_and_sizes(seed):
    driver, limiter = Blocking(NOWHERE), Limiter(3)
    inside = Inside(limiter)

    def work(number):
        dice = random.Random(seed * 1000 + number)
        refused = 0
        for _ in range(60):
            if number == 0:
                limiter.places = dice.randint(1, 3)
            try:
                driver.run(inside.flow(dice.choice([0, 0, 0.0002]), dice.choice([None, None, None, 0.0005, 0])))
            except PoolTimeout:
                refused += 1
        return refused

    with ThreadPoolExecutor(12) as threads:
        refused = sum(threads.map(work, range(12)))
    assert (limiter.held, limiter.waiting) == (0, 0)
    assert inside.most <= 3
    assert refused < 12 * 60
    driver.close()
