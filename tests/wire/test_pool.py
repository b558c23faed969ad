"""The pool hands out slots; here it is asked in every order, with a clock of the test's own."""

from __future__ import annotations

import gc
import threading
from collections import deque

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from dynamorm.wire.pool import LOOK, Pool


class Link:
    def __init__(self):
        self.closed = 0

    def close(self):
        self.closed += 1


class Waiting:
    def __init__(self):
        self.box = deque()
        self.rung = 0

    def ring(self):
        self.rung += 1


def opened(pool, now=0.0):
    slot = pool.take()
    assert slot.connection is None
    slot.connection, slot.born = Link(), now
    return slot


def give(pool, slot, now):
    slot.since = now
    pool.idle.append(slot)
    pool.settle(now)


def waits(pool):
    waiter = Waiting()
    pool.waiters.append(waiter)
    pool.serve()
    return waiter


def test_it_opens_up_to_its_limit_and_then_nobody_gets_any():
    pool = Pool(2, 2)
    held = [pool.take() for _ in range(3)]
    assert [slot is None for slot in held] == [False, False, True]
    assert (pool.size, pool.busy) == (2, 2)


def test_the_last_one_given_is_the_first_one_taken():
    pool = Pool()
    first, second = opened(pool), opened(pool)
    give(pool, first, 1)
    give(pool, second, 2)
    assert pool.take() is second
    assert pool.take() is first


def test_more_idle_ones_than_allowed_are_closed_oldest_first():
    pool = Pool(5, 2)
    slots = [opened(pool) for _ in range(3)]
    for slot in slots:
        give(pool, slot, 1)
    assert [slot.connection.closed for slot in slots] == [1, 0, 0]
    assert (list(pool.idle), pool.size) == (slots[1:], 2)


def test_one_past_its_age_is_not_fresh():
    pool = Pool(max_age=300)
    slot = opened(pool, 10)
    give(pool, slot, 300)
    assert pool.fresh(slot, 309)
    assert not pool.fresh(slot, 310)


def test_one_that_idled_for_too_long_is_not_fresh():
    pool = Pool(max_quiet=55)
    slot = opened(pool)
    give(pool, slot, 1)
    assert pool.fresh(slot, 55)
    assert not pool.fresh(slot, 56)


def test_giving_one_back_finds_those_that_idled_for_too_long():
    pool = Pool(max_quiet=55)
    old, busy = opened(pool), opened(pool)
    give(pool, old, 1)
    give(pool, busy, 60)
    assert (old.connection.closed, busy.connection.closed, pool.size) == (1, 0, 1)


def test_waiters_are_served_in_order_with_connections_and_with_slots():
    pool = Pool(1, 1)
    slot = opened(pool)
    first, second = waits(pool), waits(pool)
    give(pool, slot, 1)
    assert (list(first.box), first.rung, list(second.box)) == ([slot], 1, [])
    pool.drop(first.box.pop())
    assert slot.connection.closed == 1
    assert [made.connection for made in second.box] == [None]
    pool.drop(second.box.pop())
    assert pool.size == 0


def test_nobody_takes_a_slot_while_others_wait():
    pool = Pool(1, 1)
    slot = opened(pool)
    waiter = Waiting()
    pool.waiters.append(waiter)
    pool.idle.append(slot)
    assert pool.take() is None
    pool.look(waiter)
    assert list(waiter.box) == [slot]


def test_whoever_lost_his_place_is_the_first_when_he_looks():
    """He was taken out of the queue, and then an exception came to the one who was about to hand him a slot."""
    pool = Pool(1, 1)
    slot = opened(pool)
    first, second = waits(pool), waits(pool)
    assert pool.waiters.popleft() is first
    pool.look(first)
    assert list(pool.waiters) == [first, second]
    give(pool, slot, 1)
    assert list(first.box) == [slot]


def test_what_a_waiter_got_and_does_not_want_goes_to_the_next():
    pool = Pool(1, 1)
    slot = opened(pool)
    first, second = waits(pool), waits(pool)
    give(pool, slot, 1)
    pool.leave(first)
    assert list(second.box) == [slot]
    pool.leave(second)
    assert list(pool.idle) == [slot]


def test_a_place_that_a_waiter_does_not_want_is_free_again():
    pool = Pool(1, 1)
    slot = opened(pool)
    waiter = waits(pool)
    pool.drop(slot)
    assert (len(waiter.box), pool.size) == (1, 1)
    pool.leave(waiter)
    assert (len(waiter.box), pool.size) == (0, 0)


def test_dropping_twice_is_dropping_once():
    pool = Pool(1, 1)
    slot = opened(pool)
    pool.drop(slot)
    other = opened(pool)
    pool.drop(slot)
    assert (pool.size, pool.busy, other.connection.closed) == (1, 1, 0)


def test_a_slot_that_nobody_refers_to_has_given_up_its_place():
    pool = Pool(2, 2)
    gc.disable()
    try:
        slot = opened(pool)
        give(pool, opened(pool), 1)
        assert (pool.size, pool.busy) == (2, 1)
        del slot
        assert (pool.size, pool.busy) == (1, 0)
        pool.idle.pop()
        assert (pool.size, pool.busy) == (0, 0)
    finally:
        gc.enable()


def test_a_closed_pool_lets_nobody_in_and_keeps_nothing():
    pool = Pool(2, 2)
    idle, busy = opened(pool), opened(pool)
    waiter = waits(pool)
    give(pool, idle, 1)
    pool.leave(waiter)
    waiter = Waiting()
    pool.waiters.append(waiter)
    pool.close()
    assert (waiter.rung, len(waiter.box)) == (1, 0)
    assert pool.take() is None
    give(pool, busy, 1)
    assert (idle.connection.closed, busy.connection.closed, pool.size) == (1, 1, 0)


def test_many_who_wait_look_less_often():
    pool = Pool(1, 1)
    assert pool.patience() == LOOK
    pool.waiters.extend(Waiting() for _ in range(1_000))
    assert pool.patience() == 20 * LOOK


def test_threads_that_come_at_once_get_no_more_than_there_are():
    pool = Pool(3, 3)
    held, most, wrong = deque(), [0], []

    def work():
        for _ in range(2_000):
            slot = pool.take()
            if slot is None:
                continue
            held.append(slot)
            if len(held) > 3:
                wrong.append(len(held))
            most[0] = max(most[0], len(held))
            held.remove(slot)
            if slot.connection is None:
                slot.connection = Link()
            give(pool, slot, 1.0)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert (pool.busy, pool.size) == (0, len(pool.idle))


class Life(RuleBasedStateMachine):
    """Any order of events: the limit holds, nobody is lost, no connection is in two hands, a lost slot is free."""

    def __init__(self):
        super().__init__()
        self.pool = Pool(3, 2, max_age=50, max_quiet=20)
        self.now = 0.0
        self.held = []
        self.waiting = []

    def _collect(self):
        while self.waiting and self.waiting[0].box:
            (slot,) = self.waiting.pop(0).box
            self._got(slot)
        assert not any(waiter.box for waiter in self.waiting)

    def _got(self, slot):
        assert not any(slot is other for other in self.held)
        if slot.connection is None:
            slot.connection, slot.born = Link(), self.now
        assert not slot.connection.closed
        self.held.append(slot)

    @rule(seconds=st.sampled_from([0.1, 5, 19, 30]))
    def wait_a_while(self, seconds):
        self.now += seconds

    @rule()
    def take(self):
        slot = self.pool.take()
        if slot is None:
            self.waiting.append(waits(self.pool))
            self._collect()
        elif slot.connection is not None and not self.pool.fresh(slot, self.now):
            self.pool.drop(slot)
        else:
            self._got(slot)

    @precondition(lambda self: self.held)
    @rule(dies=st.booleans())
    def finish(self, dies):
        slot = self.held.pop(0)
        if dies:
            self.pool.drop(slot)
        else:
            give(self.pool, slot, self.now)
        self._collect()

    @precondition(lambda self: self.held)
    @rule()
    def lose(self):
        self.held.pop(0)
        self.pool.serve()  # as whoever looks does
        self._collect()

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def give_up(self, data):
        who = data.draw(st.integers(0, len(self.waiting) - 1))
        self.pool.leave(self.waiting.pop(who))

    @invariant()
    def counts_agree(self):
        pool = self.pool
        assert pool.busy == len(self.held)
        assert pool.size <= 3
        assert len(pool.idle) <= 2
        assert list(pool.waiters) == self.waiting
        assert not (self.waiting and pool.size < 3)
        assert not any(slot.connection.closed for slot in [*pool.idle, *self.held])


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)


@pytest.mark.parametrize("limit", [1, 100])
def test_an_idle_slot_counts_as_a_connection(limit):
    pool = Pool(limit, limit)
    for slot in [opened(pool) for _ in range(limit)]:
        give(pool, slot, 1)
    assert (pool.size, pool.busy) == (limit, 0)
