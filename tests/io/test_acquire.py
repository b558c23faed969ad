"""`Acquire` on both drivers: in order, never too many at once, within its time, and nothing is lost."""

import asyncio
import gc
import os
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from dynamorm import deadline
from dynamorm.effects import Acquire, Call, Gather, Sleep
from dynamorm.errors import Backpressure, DeadlineExceeded, DynamORMError, Outcome, PoolTimeout, ValidationError
from dynamorm.io.aio import Aio
from dynamorm.io.blocking import Blocking
from dynamorm.wire.endpoint import Endpoint
from dynamorm.wire.limiter import Limiter
from tests.io.kit import until

NOWHERE = Endpoint.parse("http://127.0.0.1:9")


class Watch:
    """Counts who is inside at once, and notes in which order they came."""

    def __init__(self, limiter):
        self.limiter, self.inside, self.most, self.order, self._lock = limiter, 0, 0, [], threading.Lock()

    def flow(self, name=None, seconds=0.0, timeout=None, queue=None):
        with (yield Acquire(self.limiter, timeout, queue=queue)):
            with self._lock:
                self.inside += 1
                self.most = max(self.most, self.inside)
                self.order.append(name)
            try:
                yield Sleep(seconds)
            finally:
                with self._lock:
                    self.inside -= 1
        return name


def free(limiter):
    return (limiter.held, limiter.waiting) == (0, 0)


@pytest.fixture
def driver(face):
    return face(NOWHERE)


def start(driver, flow):
    """Run a flow in a thread; on the asyncio face it becomes a task."""
    results = []

    def work():
        try:
            results.append(driver.run(flow))
        except BaseException as error:  # noqa: BLE001 - looked at by the test
            results.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    return thread, results


def holding(driver, limiter):
    """Hold a place until told: returns what tells."""
    release = threading.Event()

    def flow():
        with (yield Acquire(limiter)):
            while not release.is_set():
                yield Sleep(0.001)

    thread, _ = start(driver, flow())

    def end():
        release.set()
        thread.join(5)

    return end


def test_one_place_after_the_other(driver):
    limiter = Limiter(1)

    def flow():
        first = yield Acquire(limiter)
        held = limiter.held
        first.release()
        first.release()
        with (yield Acquire(limiter)) as second:
            held += limiter.held
        return held, limiter.held, repr(first), repr(second)

    assert driver.run(flow()) == (2, 0, "<Permit released>", "<Permit released>")
    assert repr(limiter) == "<Limiter 0 of 1 places held, 0 waiting>"


def test_never_more_than_places_and_in_order(driver):
    limiter = Limiter(1)
    watch = Watch(limiter)
    end = holding(driver, limiter)
    until(lambda: limiter.held == 1)
    threads = []
    for number in range(30):
        threads.append(start(driver, watch.flow(number, 0.0005))[0])
        until(lambda n=number: limiter.waiting == n + 1)
    end()
    for thread in threads:
        thread.join(5)
    assert watch.order == list(range(30))
    assert watch.most == 1
    assert free(limiter)


@pytest.mark.parametrize("places", [1, 3, 7])
def test_many_at_once(driver, places):
    limiter = Limiter(places)
    watch = Watch(limiter)
    with ThreadPoolExecutor(50) as threads:
        results = list(threads.map(lambda n: driver.run(watch.flow(n, 0.0003)), range(200)))
    assert results == list(range(200))
    assert watch.most == places
    assert free(limiter)


def test_many_that_do_not_wait_inside(driver):
    limiter = Limiter(2)
    watch = Watch(limiter)

    def flow():
        for _ in range(40):
            yield from watch.flow()

    with ThreadPoolExecutor(16) as threads:
        list(threads.map(lambda _: driver.run(flow()), range(16)))
    assert len(watch.order) == 16 * 40
    assert watch.most <= 2
    assert free(limiter)


def test_flows_of_a_gather(driver):
    limiter = Limiter(2)
    watch = Watch(limiter)

    def flow():
        return (yield Gather([watch.flow(n, 0.001) for n in range(12)], 6))

    assert driver.run(flow()) == list(range(12))
    assert watch.most == 2
    assert free(limiter)


def test_two_hundred_tasks():
    async def main():
        driver, limiter = Aio(NOWHERE), Limiter(5)
        watch = Watch(limiter)
        tasks = [asyncio.ensure_future(driver.run(watch.flow(n, 0.0001))) for n in range(200)]
        assert await asyncio.gather(*tasks) == list(range(200))
        assert (watch.order, watch.most) == (list(range(200)), 5)
        assert free(limiter)

    asyncio.run(main())


def test_the_loop_goes_on_while_tasks_wait():
    async def main():
        driver, limiter = Aio(NOWHERE), Limiter(1)
        watch = Watch(limiter)
        tasks = [asyncio.ensure_future(driver.run(watch.flow(n, 0.01))) for n in range(20)]
        longest, turns, last = 0.0, 0, time.monotonic()
        while not all(task.done() for task in tasks):
            await asyncio.sleep(0.001)
            now = time.monotonic()
            longest, turns, last = max(longest, now - last), turns + 1, now
        assert turns > 50
        assert longest < 0.1

    asyncio.run(main())


# ------------------------------------------------------------------------------------------------------- within its time


@pytest.mark.parametrize("timeout", [0, 0.1, timedelta(seconds=0.1)])
def test_it_waits_no_longer_than_timeout(driver, timeout):
    limiter = Limiter(1)
    end = holding(driver, limiter)
    until(lambda: limiter.held == 1)
    begun = time.monotonic()
    with pytest.raises(PoolTimeout, match="all 1 places of a limiter stayed taken for timeout=0") as caught:
        driver.run(Watch(limiter).flow(timeout=timeout))
    wanted = 0.0 if timeout == 0 else 0.1
    assert wanted <= time.monotonic() - begun < wanted + 0.3
    assert (caught.value.outcome, caught.value.retryable) == (Outcome.NOT_APPLIED, True)
    assert limiter.waiting == 0
    end()
    assert driver.run(Watch(limiter).flow("now", timeout=0)) == "now"
    assert free(limiter)


@pytest.mark.parametrize(
    ("seconds", "timeout", "error"), [(0.1, None, DeadlineExceeded), (0.1, 5, DeadlineExceeded), (5, 0.1, PoolTimeout)]
)
def test_it_waits_no_longer_than_the_deadline(face, seconds, timeout, error):
    limiter = Limiter(1)
    driver = face(NOWHERE)
    end = holding(driver, limiter)
    until(lambda: limiter.held == 1)

    def inside():
        with deadline(seconds):
            return (yield from Watch(limiter).flow(timeout=timeout))

    begun = time.monotonic()
    with pytest.raises(DynamORMError) as caught:
        driver.run(inside())
    assert type(caught.value) is error
    assert 0.1 <= time.monotonic() - begun < 0.4
    assert caught.value.outcome is Outcome.NOT_APPLIED
    end()
    assert free(limiter)


def test_a_deadline_of_the_caller(face):
    limiter = Limiter(1)
    driver = face(NOWHERE)
    end = holding(driver, limiter)
    until(lambda: limiter.held == 1)
    watch = Watch(limiter)

    def in_a_thread():
        with deadline(0.05):
            driver.run(watch.flow())

    def in_a_task():
        async def main():
            with deadline(0.05):
                await driver.driver.run(watch.flow())

        asyncio.run_coroutine_threadsafe(main(), driver.loop).result(5)

    with pytest.raises(DeadlineExceeded, match="the deadline passed while all 1 places of a limiter were taken"):
        (in_a_thread if face.name == "blocking" else in_a_task)()
    end()
    assert free(limiter)


def test_one_whose_time_is_over_lets_the_next_one_in(driver):
    """Two wait; the first one gives up; the place goes to the second."""
    limiter = Limiter(1)
    watch = Watch(limiter)
    end = holding(driver, limiter)
    until(lambda: limiter.held == 1)
    first, failed = start(driver, watch.flow("first", timeout=0.05))
    until(lambda: limiter.waiting == 1)
    second, _ = start(driver, watch.flow("second"))
    until(lambda: limiter.waiting == 2)
    first.join(5)
    assert type(failed[0]) is PoolTimeout
    end()
    second.join(5)
    assert watch.order == ["second"]
    assert free(limiter)


@pytest.mark.parametrize("timeout", [-1, float("nan"), "1", True, 1e12])
def test_a_timeout_that_is_no_time(timeout):
    with pytest.raises(ValidationError) as caught:
        Acquire(Limiter(1), timeout)
    assert caught.value.field == "timeout"


@pytest.mark.parametrize("queue", [-1, True, 1.0, "3"])
def test_a_queue_that_is_no_number(queue):
    with pytest.raises(ValidationError) as caught:
        Acquire(Limiter(1), queue=queue)
    assert caught.value.field == "queue"


@pytest.mark.parametrize("queue", [0, 2])
def test_behind_a_full_queue_nobody_waits(driver, queue):
    limiter = Limiter(1)
    watch = Watch(limiter)
    end = holding(driver, limiter)
    until(lambda: limiter.held == 1)
    threads = []
    for number in range(queue):
        threads.append(start(driver, watch.flow(number, queue=queue))[0])
        until(lambda: limiter.waiting == len(threads))
    thread, refused = start(driver, watch.flow("behind", queue=queue))
    thread.join(60)
    assert type(refused[0]) is Backpressure
    assert f"{queue} wait already" in str(refused[0])
    assert (limiter.held, limiter.waiting) == (1, queue)
    threads.append(start(driver, watch.flow("patient"))[0])  # who asks for no bound has none
    until(lambda: limiter.waiting == queue + 1)
    end()
    for thread in threads:
        thread.join(60)
    assert watch.order == [*range(queue), "patient"]
    assert free(limiter)


@pytest.mark.parametrize("places", [0, -1, True, 1.0, "3", None])
def test_places_that_are_no_number(places):
    with pytest.raises(ValidationError, match="places of a Limiter is a whole number of 1 or more") as caught:
        Limiter(places)
    assert caught.value.field == "places"
    limiter = Limiter(2)
    with pytest.raises(ValidationError):
        limiter.places = places
    assert limiter.places == 2


# ------------------------------------------------------------------------------------------------- more and fewer places


def test_more_places_let_those_in_who_wait(driver):
    limiter = Limiter(1)
    watch = Watch(limiter)
    end = holding(driver, limiter)
    until(lambda: limiter.held == 1)
    threads = [start(driver, watch.flow(n, 0.2))[0] for n in range(5)]
    until(lambda: limiter.waiting == 5)
    limiter.places = 4
    until(lambda: limiter.held == 4)
    assert limiter.waiting == 2
    end()
    for thread in threads:
        thread.join(5)
    assert watch.most <= 4
    assert free(limiter)


def test_fewer_places_let_nobody_in_until_as_many_have_left(driver):
    limiter = Limiter(3)
    watch = Watch(limiter)
    ends = [holding(driver, limiter) for _ in range(3)]
    until(lambda: limiter.held == 3)
    threads = [start(driver, watch.flow(n, 0.002))[0] for n in range(6)]
    until(lambda: limiter.waiting == 6)
    limiter.places = 1
    ends[0]()
    ends[1]()
    time.sleep(0.02)
    assert (limiter.held, limiter.waiting, watch.order) == (1, 6, [])
    ends[2]()
    for thread in threads:
        thread.join(5)
    assert watch.most == 1
    assert free(limiter)


# ------------------------------------------------------------------------------------------------------- nothing is lost


def test_a_flow_that_fails_inside(driver):
    limiter = Limiter(1)

    def flow():
        with (yield Acquire(limiter)):
            raise LookupError

    with pytest.raises(LookupError):
        driver.run(flow())
    assert free(limiter)


def test_a_permit_that_nobody_gives_back(driver):
    """It is free when nobody refers to it, and who waits hears of it."""
    limiter = Limiter(1)
    taken = threading.Event()

    def forgetful():
        permit = yield Acquire(limiter)
        taken.set()
        while not limiter.waiting:
            yield Sleep(0.001)
        del permit

    watch = Watch(limiter)
    one, _ = start(driver, forgetful())
    taken.wait(5)
    other, result = start(driver, watch.flow("next"))
    one.join(5)
    gc.collect()
    other.join(5)
    assert result == ["next"]
    gc.collect()
    assert free(limiter)


def test_a_permit_in_a_circle_is_found_by_the_collector(driver):
    limiter = Limiter(1)

    def forgetful():
        circle = [(yield Acquire(limiter))]
        circle.append(circle)

    driver.run(forgetful())
    gc.collect()
    assert free(limiter)


def test_a_limiter_is_freed_with_its_last_user(driver):
    limiter = Limiter(1)
    driver.run(Watch(limiter).flow())
    found = weakref.ref(limiter)
    del limiter
    gc.collect()
    assert found() is None


def test_a_permit_may_be_given_back_by_another_thread(driver):
    limiter = Limiter(1)

    def flow():
        permit = yield Acquire(limiter)
        yield Call(permit.release, None, 5.0)  # with a timeout: in a thread, on both drivers
        return limiter.held

    assert driver.run(flow()) == 0


def test_a_cancelled_task_leaves_the_queue():
    async def main():
        driver, limiter = Aio(NOWHERE), Limiter(1)
        watch = Watch(limiter)
        tasks = [asyncio.ensure_future(driver.run(watch.flow(n, 0.005))) for n in range(5)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert limiter.waiting == 4
        tasks[1].cancel()
        tasks[3].cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(result) is asyncio.CancelledError for result in results] == [False, True, False, True, False]
        assert watch.order == [0, 2, 4]
        assert free(limiter)

    asyncio.run(main())


@pytest.mark.parametrize("first", ["the place", "the cancellation"])
def test_a_task_that_is_cancelled_when_its_turn_has_come(first):
    """Both before it runs again: it is cancelled, and the place goes to the next."""

    async def main():
        driver, limiter = Aio(NOWHERE), Limiter(1)
        watch = Watch(limiter)
        held = limiter.permit()
        assert held.take()
        tasks = [asyncio.ensure_future(driver.run(watch.flow(n))) for n in range(2)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert limiter.waiting == 2
        steps = [held.release, tasks[0].cancel]
        for step in steps if first == "the place" else reversed(steps):
            step()
        results = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 5)
        assert type(results[0]) is asyncio.CancelledError
        assert (results[1], watch.order) == (1, [1])
        assert free(limiter)

    asyncio.run(main())


def test_a_task_that_is_cancelled_when_its_time_is_over():
    async def main():
        driver, limiter = Aio(NOWHERE), Limiter(1)
        held = limiter.permit()
        assert held.take()
        for turn in range(20):
            task = asyncio.ensure_future(driver.run(Watch(limiter).flow(timeout=0.002)))
            await asyncio.sleep(0)
            time.sleep(0.003 if turn % 2 else 0.001)  # noqa: ASYNC251 - the timer and the cancellation meet in one turn of the loop
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert limiter.waiting == 0
        held.release()
        assert free(limiter)

    asyncio.run(main())


def test_a_flow_may_go_on_behind_a_cancellation():
    """The flow decides: what it catches is no end of it."""

    async def main():
        driver, limiter = Aio(NOWHERE), Limiter(1)
        held = limiter.permit()
        assert held.take()

        def flow():
            try:
                yield Acquire(limiter)
            except asyncio.CancelledError:
                return "caught", limiter.waiting

        task = asyncio.ensure_future(driver.run(flow()))
        await asyncio.sleep(0)
        task.cancel()
        assert await task == ("caught", 0)

    asyncio.run(main())


def test_a_coroutine_that_is_closed_leaves_the_queue():
    limiter = Limiter(1)
    held = limiter.permit()
    assert held.take()
    loop = asyncio.new_event_loop()
    task = loop.create_task(Aio(NOWHERE).run(Watch(limiter).flow()))
    loop.run_until_complete(asyncio.sleep(0))
    assert limiter.waiting == 1
    task._log_destroy_pending = False
    loop.close()
    del task
    gc.collect()
    assert limiter.waiting == 0
    held.release()
    assert free(limiter)


# ----------------------------------------------------------------------------------------------- loops, faces, processes


def test_one_loop_after_the_other():
    limiter = Limiter(2)
    driver = Aio(NOWHERE)
    for turn in range(3):
        watch = Watch(limiter)

        async def main(watch=watch):
            await asyncio.gather(*(driver.run(watch.flow(n, 0.001)) for n in range(6)))

        asyncio.run(main())
        assert (watch.order, watch.most) == (list(range(6)), 2), turn
    assert free(limiter)


def test_what_a_closed_loop_has_left_is_free():
    """Its tasks never end: neither the one that holds the place nor the one that waits."""
    limiter = Limiter(1)
    driver = Aio(NOWHERE)
    loop = asyncio.new_event_loop()
    tasks = [loop.create_task(driver.run(Watch(limiter).flow(n, 60))) for n in range(2)]
    loop.run_until_complete(asyncio.sleep(0.01))
    assert (limiter.held, limiter.waiting) == (1, 1)
    loop.close()
    watch = Watch(limiter)
    asyncio.run(asyncio.wait_for(driver.run(watch.flow("again")), 5))
    assert watch.order == ["again"]
    assert free(limiter)
    for task in tasks:
        task._log_destroy_pending = False


def test_a_thread_and_tasks_of_two_loops_share_a_limiter():
    """Each of them wakes the others, whose thread is another one."""
    limiter = Limiter(1)
    watch = Watch(limiter)

    def of_a_loop(_):
        async def main():
            driver = Aio(NOWHERE)
            await asyncio.gather(*(driver.run(watch.flow(n)) for n in range(60)))

        asyncio.run(main())

    def of_a_thread(_):
        driver = Blocking(NOWHERE)
        for n in range(60):
            driver.run(watch.flow(n))
        driver.close()

    with ThreadPoolExecutor(4) as threads:
        ends = [threads.submit(work, None) for work in (of_a_loop, of_a_thread, of_a_loop, of_a_thread)]
        for end in ends:
            end.result(30)
    assert (len(watch.order), watch.most) == (240, 1)
    assert free(limiter)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks here")
@pytest.mark.filterwarnings("ignore:.*use of fork.*:DeprecationWarning")
def test_a_forked_child_starts_with_all_places_free():
    limiter = Limiter(2)
    driver = Blocking(NOWHERE)
    end = holding(driver, limiter)
    until(lambda: limiter.held == 1)
    mine = limiter.permit()
    assert mine.take()
    waiting, _ = start(driver, Watch(limiter).flow())
    until(lambda: limiter.waiting == 1)
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            empty = free(limiter)
            mine.release()  # of the parent's: it gives nothing back here
            watch = Watch(limiter)
            driver.run(watch.flow("child", timeout=0))
            code = 0 if empty and watch.order == ["child"] and free(limiter) else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert (limiter.held, limiter.waiting) == (2, 1)
    end()
    mine.release()
    waiting.join(5)
    assert free(limiter)
    driver.close()
