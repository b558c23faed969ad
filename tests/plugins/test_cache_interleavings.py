"""No stale answer behind an own write, however flows, processes, lost requests, late copies and Redis interleave."""

import logging
from hashlib import sha1

import pytest

pytest.importorskip("lupa", reason="the scripts of the cache run in lupa's Lua 5.1")

from dynamorm.plugins.cache import doubt, memory, scripts, shared, writes

from .cache_world import World

FAULTS = ("back", "flush", "evict", "down")
NARROW = {"ttl": 900.0, "narrow": True, "steps": 40}
WORLDS = {
    "one process, memory": {"redis": False, "processes": 1},
    "one process, memory, flows are closed": {"redis": False, "processes": 1, "closes": True},
    "two processes": {},
    "two processes, flows are closed": {"closes": True},
    "three processes, Redis fails": {"faults": FAULTS, "closes": True, "processes": 3},
    "two processes, Redis loses what it likes": {"faults": ("flush", "evict")},
    "three processes, Redis loses what it likes, flows are closed": {
        "faults": ("flush", "evict"),
        "closes": True,
        "processes": 3,
    },
    "one item, Redis loses its generation": {**NARROW, "faults": ("evict one",)},
    "one item, Redis loses its generation, and all is well": {**NARROW, "faults": ("evict one",), "calm": True},
    "one item, Redis loses all": {**NARROW, "faults": ("flush",)},
    "one item, Redis fails, and all is well": {**NARROW, "faults": ("down",), "calm": True},
    "two processes, Redis goes back in time": {"faults": ("back",)},
}


@pytest.fixture(autouse=True)
def _quiet():
    """A Redis that fails is told once a minute, and here minutes pass in an instant."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def run(seeds, **world):
    """Run schedules; a stale answer is told with all that led to it. The number of hits."""
    hits = 0
    for seed in seeds:
        try:
            hits += World(seed, **world).run()
        except AssertionError:
            World(seed, **world, told=True).run()
            raise
    return hits


@pytest.mark.once
@pytest.mark.parametrize("count", [50, pytest.param(17_000, marks=[pytest.mark.soak, pytest.mark.timeout(7_200)])])
@pytest.mark.parametrize("world", WORLDS)
def test_no_answer_is_older_than_an_own_write(world, count, figure):
    narrow = "narrow" in WORLDS[world]  # such schedules are long, and much of them is blocked
    count = max(count // 3, 100) if narrow else count
    hits = run(range(count), **WORLDS[world])
    assert hits > count / (20 if narrow else 10)
    figure(f"cache, {world}: {count} schedules, {hits} answers out of the cache, none stale")


# ------------------------------------------------------------------------------- what the schedules would find


def found(world, seeds=3_000):
    """Whether a schedule finds a stale answer."""
    for seed in range(seeds):
        try:
            World(seed, **world).run()
        except AssertionError:
            return True
    return False


def test_they_find_what_lags():
    assert found({"redis": False, "processes": 1, "settle": 0.0})


@pytest.mark.once
def test_they_find_what_lags_behind_a_write_of_another_process(monkeypatch):
    real = shared.Shared.begin

    def begin(self, names):
        begun = yield from real(self, names)
        if begun is not None and not self._own.danger(names, self.clock(), self._settle)[0]:
            begun.recent = False
        return begun

    monkeypatch.setattr(shared.Shared, "begin", begin)
    assert found({})


def test_they_find_copies_that_come_late(monkeypatch):
    monkeypatch.setattr(doubt, "LATE", 1.0)
    assert found({"redis": False, "processes": 1})


@pytest.mark.parametrize("kept", ["before", "behind"])
def test_they_find_a_write_that_replaces_only_once(monkeypatch, kept):
    real = memory.Memory.owe
    times = {}

    def owe(self, names, blocked=0.0):
        times[self] = not times.get(self, False)
        if times[self] == (kept == "before"):
            real(self, names, blocked)

    monkeypatch.setattr(memory.Memory, "owe", owe)
    assert found({"redis": False, "processes": 1})


def test_they_find_a_redis_that_goes_back_in_time(monkeypatch):
    monkeypatch.setattr(shared.OwnWrites, "accepts", lambda self, name, record: True)
    assert found({"faults": ("back",)})


def test_they_find_a_write_that_nobody_told_redis_of(monkeypatch):
    monkeypatch.setattr(shared.Shared, "owe", lambda self, names, blocked=0.0, **_: None)
    monkeypatch.setattr(shared.OwnWrites, "accepts", lambda self, name, record: True)
    assert found(WORLDS["one item, Redis fails, and all is well"])


@pytest.mark.once
def test_they_find_that_redis_has_lost_when_it_was_written(monkeypatch):
    text = scripts.BEGIN.replace("head(now, until_) .. new", "head(value and now or 0, until_) .. new")
    assert text != scripts.BEGIN
    monkeypatch.setattr(shared, "BEGIN", text)
    monkeypatch.setitem(scripts.NAMES, text, sha1(text.encode(), usedforsecurity=False).hexdigest())
    assert found(WORLDS["one item, Redis loses its generation, and all is well"])


def test_they_find_an_index_partition_that_is_left_out(monkeypatch):
    monkeypatch.setattr(writes, "_after", lambda write, index, old: {})
    assert found({"redis": False, "processes": 1})
