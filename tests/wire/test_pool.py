"""The pool decides; here it is asked in every order, with a clock of the test's own."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from dynamorm.wire.pool import Grant, Pool


class Link:
    def __init__(self, born=0.0):
        self.born = born
        self.since = 0.0


def opened(pool, now=0.0):
    assert pool.take(now) is Grant.OPEN
    return Link(now)


def test_it_opens_up_to_its_limit_and_then_says_wait():
    pool = Pool(2, 2)
    assert [pool.take(0) for _ in range(3)] == [Grant.OPEN, Grant.OPEN, Grant.WAIT]


def test_the_last_one_given_is_the_first_one_taken():
    pool = Pool()
    first, second = opened(pool), opened(pool)
    pool.give(first, 1)
    pool.give(second, 2)
    assert pool.take(3) is second
    assert pool.take(3) is first


def test_more_idle_ones_than_allowed_are_closed_oldest_first():
    pool = Pool(5, 2)
    links = [opened(pool) for _ in range(3)]
    for link in links:
        pool.give(link, 1)
    assert (pool.doomed, list(pool.idle), pool.size) == (links[:1], links[1:], 2)


def test_one_past_its_age_is_not_used_again():
    pool = Pool(max_age=300)
    link = opened(pool, 10)
    pool.give(link, 300)
    assert pool.take(309) is link
    assert pool.give(link, 310) is None
    assert (pool.doomed, pool.size) == ([link], 0)


def test_one_that_idled_for_too_long_is_not_used_again():
    pool = Pool(max_quiet=55)
    link = opened(pool)
    pool.give(link, 1)
    assert pool.take(56) is Grant.OPEN
    assert pool.doomed == [link]


def test_giving_one_back_finds_those_that_idled_for_too_long():
    pool = Pool(max_quiet=55)
    old, busy = opened(pool), opened(pool)
    pool.give(old, 1)
    pool.give(busy, 60)
    assert pool.doomed == [old]


def test_waiters_are_served_in_order_with_connections_and_with_slots():
    pool = Pool(1, 1)
    link = opened(pool)
    pool.wait("a")
    pool.wait("b")
    assert pool.give(link, 1) == ("a", link)
    assert pool.lost() == ("b", Grant.OPEN)
    assert pool.lost() is None
    assert pool.size == 0


def test_an_old_connection_becomes_a_slot_for_the_waiter():
    pool = Pool(1, 1, max_age=10)
    link = opened(pool)
    pool.wait("a")
    assert pool.give(link, 11) == ("a", Grant.OPEN)
    assert pool.doomed == [link]


def test_a_waiter_who_gave_up_is_not_served():
    pool = Pool(1, 1)
    link = opened(pool)
    pool.wait("a")
    assert pool.forget("a")
    assert not pool.forget("a")
    assert pool.give(link, 1) is None


def test_a_closed_pool_lets_nobody_in_and_keeps_nothing():
    pool = Pool(2, 2)
    idle, busy = opened(pool), opened(pool)
    pool.give(idle, 1)
    pool.wait("a")
    assert pool.close() == ["a"]
    assert pool.take(1) is Grant.CLOSED
    assert pool.give(busy, 1) is None
    assert (pool.doomed, pool.size) == ([idle, busy], 0)


class Life(RuleBasedStateMachine):
    """Any order of events: the limit holds, nobody is lost, no connection is in two hands."""

    def __init__(self):
        super().__init__()
        self.pool = Pool(3, 2, max_age=50, max_quiet=20)
        self.now = 0.0
        self.held = []
        self.slots = 0
        self.waiting = []
        self.next = 0

    def _served(self, wake):
        if wake is None:
            return
        assert wake[0] == self.waiting.pop(0)
        self._got(wake[1])

    def _got(self, got):
        if got is Grant.OPEN:
            self.slots += 1
        else:
            assert got not in self.held
            self.held.append(got)

    @rule(seconds=st.sampled_from([0.1, 5, 19, 30]))
    def wait_a_while(self, seconds):
        self.now += seconds

    @rule()
    def take(self):
        got = self.pool.take(self.now)
        if got is Grant.WAIT:
            self.next += 1
            self.pool.wait(self.next)
            self.waiting.append(self.next)
        else:
            self._got(got)

    @precondition(lambda self: self.slots)
    @rule(fails=st.booleans())
    def open(self, fails):
        self.slots -= 1
        if fails:
            self._served(self.pool.lost())
        else:
            self.held.append(Link(self.now))

    @precondition(lambda self: self.held)
    @rule(dies=st.booleans())
    def finish(self, dies):
        link = self.held.pop(0)
        self._served(self.pool.lost() if dies else self.pool.give(link, self.now))

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def give_up(self, data):
        who = data.draw(st.sampled_from(self.waiting))
        assert self.pool.forget(who)
        self.waiting.remove(who)

    @invariant()
    def counts_agree(self):
        pool = self.pool
        assert pool.busy == len(self.held) + self.slots
        assert pool.size <= 3
        assert len(pool.idle) <= 2
        assert list(pool.waiters) == self.waiting
        assert not (self.waiting and pool.size < 3)
        assert not set(map(id, pool.doomed)) & set(map(id, [*pool.idle, *self.held]))


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)


@pytest.mark.parametrize("limit", [1, 100])
def test_an_idle_slot_counts_as_a_connection(limit):
    pool = Pool(limit, limit)
    links = [opened(pool) for _ in range(limit)]
    for link in links:
        pool.give(link, 1)
    assert (pool.size, pool.busy) == (limit, 0)
