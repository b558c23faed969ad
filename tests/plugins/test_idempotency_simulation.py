"""Simulations of the executor: skewed clocks, the edge of the retention, failures behind a step; the other side honours no key.

Time is made: each actor has a wall clock and a monotonic one of its own, the service has the true time and tells it in whole
seconds. What an actor is told of its requests may be lost; then its driver asks again, as the library's does.
"""

import heapq
import random
from types import SimpleNamespace

import pytest

from dynamorm.effects import Call, Sleep
from dynamorm.errors import DynamORMError, InProgress, Outcome, OutcomeUnknown
from dynamorm.plugins.idempotency.executor import Execution
from dynamorm.plugins.idempotency.held import Known
from dynamorm.plugins.idempotency.options import checked
from dynamorm.plugins.idempotency.values import encoded

from .idempotency_search import Ask, applying, frozen, thawed

START = 1_800_000_000.0
RETENTION = 86_400.0


class World:
    """One table with one key, the other side, and the true time."""

    def __init__(self, seed, *, loss=0.0, dateless=False, lies=0.0):
        self.dice = random.Random(seed)
        self.now = START
        self.item = None
        self.effects = 0
        self.charges = []
        self.loss = loss
        self.dateless = dateless
        self.lies = lies
        self.events = []
        self.count = 0

    def run(self, *flows):
        """Let flows run beside each other, each from a time on; what each has come to."""
        ends = [None] * len(flows)
        for number, (begins, flow) in enumerate(flows):
            self.after(begins - self.now, lambda number=number, flow=flow: self.go(ends, number, flow, None))
        while self.events:
            self.now, _, act = heapq.heappop(self.events)
            act()
        return ends

    def after(self, seconds, act):
        self.count += 1
        heapq.heappush(self.events, (self.now + max(seconds, 0.0), self.count, act))

    def go(self, ends, number, flow, value):
        try:
            effect = flow.throw(value) if isinstance(value, BaseException) else flow.send(value)
        except StopIteration as stop:
            ends[number] = stop.value
            return
        if isinstance(effect, Sleep):
            self.after(effect.seconds, lambda: self.go(ends, number, flow, None))
        elif isinstance(effect, Call):
            self.after(self.dice.uniform(0.1, 3.0), lambda: self.go(ends, number, flow, effect.sync()))
        else:
            self.send(effect, lambda told: self.go(ends, number, flow, told), 4)

    def send(self, ask, tell, tries):
        """One attempt: it may be lost on the way there, or on the way back; the last one is not known to be lost."""
        fate = self.dice.random()
        if fate < self.loss / 2:
            self._again(ask, tell, tries)
        else:
            self.after(
                self.dice.uniform(0.001, 0.05), lambda: self._arrived(ask, tell, tries, is_lost=fate < self.loss)
            )

    def _arrived(self, ask, tell, tries, *, is_lost):
        applied, self.item = applying(self.item, ask.change)
        self.effects += applied and ask.is_commit
        date = None if self.dateless else int(self.now)
        if self.lies and self.dice.random() < self.lies:
            date += int(self.dice.choice([-1, 1]) * 10 ** self.dice.uniform(1, 6))
        told = SimpleNamespace(applied=applied, item=None if applied else thawed(self.item), date=date)
        if is_lost:
            self._again(ask, tell, tries)
        else:
            self.after(self.dice.uniform(0.001, 0.05), lambda: tell(told))

    def _again(self, ask, tell, tries):
        wait = self.dice.uniform(0.05, 0.5)
        self.after(
            wait, (lambda: self.send(ask, tell, tries - 1)) if tries > 1 else (lambda: tell(OutcomeUnknown("lost")))
        )


class Actor:
    """What an execution is given of its database, by a process with clocks of its own."""

    def __init__(self, world, skew):
        self.world, self.skew, self.base = world, skew, world.dice.uniform(0, 1e6)

    def monotonic(self):
        return self.world.now - START + self.base

    def wall(self):
        return self.world.now + self.skew

    def random_bytes(self, count):
        return self.world.dice.randbytes(count)

    def dice(self):
        return self.world.dice.random()

    def send(self, key, change):
        return self._ask(change, is_commit=False)

    def commit(self, key, change, blocks):
        return self._ask(change, is_commit=True)

    def _ask(self, change, *, is_commit):
        asked = self.monotonic()
        told = yield Ask((change.verb, change.expect, tuple((n, frozen(v)) for n, v in change.sets.items())), is_commit)
        told.asked, told.at = asked, self.monotonic()
        return told


def run(actor, *, fails=False, wait=0.0, tries=20):
    """One caller, who tries again while it may."""
    options = checked("", "key", payload=5, scope="s", lease=30, retention=RETENTION, wait=wait, final=(), max_run=900)
    for _ in range(tries):
        execution = Execution(actor, Known(), options)
        try:
            yield from execution.acquire()
            if execution.replayed:
                return "replayed"
            yield from execution.step(
                "charge", str, lambda key: Call(lambda: actor.world.charges.append(key) or "charged"), once=False
            )
            if fails:
                fails = False
                yield from execution.release()
                continue
            yield from execution.commit(encoded("answer", "answer"), ())
        except InProgress as busy:
            yield Sleep(busy.retry_after)
        except DynamORMError as error:
            if error.outcome is Outcome.NOT_APPLIED:
                yield from execution.release()
            yield Sleep(1.0)
        else:
            return "done"
    return "given up"


RUNS = 400


@pytest.mark.parametrize("dateless", [False, True])
@pytest.mark.parametrize("skew", [0, 30, 290, 3_600])
def test_skewed_clocks_double_nothing(skew, dateless, figure):
    doubled = 0
    for seed in range(RUNS):
        world = World(seed, dateless=dateless)
        actors = [Actor(world, world.dice.uniform(-skew, skew)) for _ in range(3)]
        ends = world.run(*((START + world.dice.uniform(0, 20), run(actor, wait=120.0)) for actor in actors))
        assert sorted(ends) == ["done", "replayed", "replayed"]
        assert world.effects == 1
        doubled += len(world.charges) > 1
    figure(f"idempotency: clocks +-{skew} s{', no Date' * dateless}: {doubled} of {RUNS} outside effects doubled")
    assert doubled == 0


@pytest.mark.parametrize("skew", [0, 30, 3_600])
def test_wrong_dates_double_nothing(skew, figure):
    """One answer of ten has a Date that is seconds to days away; no two of them agree."""
    doubled = 0
    for seed in range(RUNS):
        world = World(seed, lies=0.1)
        actors = [Actor(world, world.dice.uniform(-skew, skew)) for _ in range(3)]
        ends = world.run(*((START + world.dice.uniform(0, 20), run(actor, wait=120.0)) for actor in actors))
        assert sorted(ends) == ["done", "replayed", "replayed"]
        assert world.effects == 1
        doubled += len(world.charges) > 1
    figure(f"idempotency: clocks +-{skew} s, a tenth of the Dates wrong: {doubled} of {RUNS} outside effects doubled")
    assert doubled == 0


def test_a_wrong_date_forgets_nothing():
    """A retry an hour later, told in its first answer that it is next year."""
    for seed in range(40):
        world = World(seed)
        second = _first_answer(run(Actor(world, world.dice.uniform(-3_600, 3_600))))
        assert world.run((START, run(Actor(world, 0))), (START + 3_600, second)) == ["done", "replayed"]
        assert (world.effects, len(world.charges)) == (1, 1)


def _first_answer(flow):
    """Run a flow whose first answer has a Date of next year."""
    answer, is_first = None, True
    while True:
        try:
            effect = flow.send(answer)
        except StopIteration as stop:
            return stop.value
        answer = yield effect
        if is_first and getattr(answer, "date", None) is not None:
            answer.date += 400 * 86_400
            is_first = False


@pytest.mark.parametrize("skew", [-90_000, -3_600, -300, 0, 300, 3_600])
@pytest.mark.parametrize("acquired", [-90_000, 0, 300])
def test_a_retry_just_before_the_end_of_the_retention_is_a_replay(skew, acquired):
    """I05: at 23:59 by the true time, whatever the clocks of both nodes show."""
    for seed in range(40):
        world = World(seed)
        first, second = Actor(world, acquired), Actor(world, skew)
        ends = world.run((START, run(first)), (START + RETENTION - 60, run(second)))
        assert ends == ["done", "replayed"]
        assert (world.effects, len(world.charges)) == (1, 1)


def test_retention_counts_from_the_last_thing_that_happened():
    """A failure, another attempt a day later, and a caller a day behind that: the step is run once, and the answer is kept."""
    for seed in range(40):
        world = World(seed)
        failed = (START, run(Actor(world, 0), fails=True, tries=1))
        later = (START + RETENTION - 30, run(Actor(world, 0)))
        latest = (START + 2 * RETENTION - 60, run(Actor(world, 0)))
        assert world.run(failed, later, latest) == ["given up", "done", "replayed"]
        assert (world.effects, len(world.charges)) == (1, 1)


@pytest.mark.parametrize("loss", [0.0, 0.15, 0.4])
def test_failures_behind_a_step_double_nothing(loss, figure):
    """I04: the next attempt goes on behind the step, though the other side honours no key."""
    doubled = 0
    for seed in range(RUNS):
        world = World(seed, loss=loss)
        actors = [Actor(world, world.dice.uniform(-290, 290)) for _ in range(2)]
        world.run(*((START + world.dice.uniform(0, 5), run(actor, fails=True, wait=60.0)) for actor in actors))
        assert world.effects == 1
        assert len(set(world.charges)) == 1
        doubled += len(world.charges) > 1
    figure(f"idempotency: failures behind a step, {loss:.0%} lost: {doubled} of {RUNS} outside effects doubled")
    assert loss > 0 or doubled == 0
