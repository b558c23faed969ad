"""The caller's deadline bounds what rules wait for: a coroutine on the asyncio face, a function that blocks on the other."""

import asyncio
import threading
import time

import pytest

from dynamorm import Attr, Model, Plugin, attr, deadline, partition_key
from dynamorm.effects import Call, Gather, Sleep
from dynamorm.errors import DeadlineExceeded, Outcome
from dynamorm.plugin import ReadRule, WriteRule

from .kit import Recorder, stored

pytestmark = pytest.mark.engine
LONG = 100.0
"""Seconds that nothing is waited for: what lasts so long ends with its test."""


class Parcel(Model, table="late-parcels"):
    id: Attr[str] = partition_key()
    told: Attr[str] = attr(default="")


MODELS = [Parcel]


class Waits:
    """What a test waits for: how many have begun, and the end of all of them."""

    begun = 0
    over = threading.Event()


@pytest.fixture(autouse=True)
def _end_of_waits():
    Waits.over = threading.Event()
    yield
    Waits.over.set()


def begin():
    Waits.begun += 1
    return Waits.over


async def told_late():
    over, end = begin(), time.monotonic() + LONG
    while not over.is_set() and time.monotonic() < end:  # noqa: ASYNC110 - it may run in a loop of its own
        await asyncio.sleep(0.02)
    return "late"


def by_call():
    begin()
    return (yield Call(lambda: asyncio.run(told_late()), told_late))


def by_function():
    over = begin()
    return (yield Call(lambda: over.wait(LONG)))


def by_sleep():
    begin()
    yield Sleep(LONG)
    return "late"


def by_several():
    return (yield Gather([by_call(), by_sleep()], 2))[0]


FLOWS = {"coroutine": by_call, "function": by_function, "sleep": by_sleep, "several": by_several}


class Fetching(WriteRule):
    verbs = ("create", "update")

    def __init__(self, flow):
        self.flow = flow

    def contribute(self, draft):
        draft.set("told", draft.fetch("what is told", self.flow))


class Preparing(ReadRule):
    def __init__(self, flow):
        self.flow = flow

    def prepare(self, items, scope):
        yield from self.flow()


class Rules:
    name = "rules"

    def __init__(self, *, write=None, read=None):
        self.write, self.read = write, read

    def write_rule(self, schema):
        return self.write

    def read_rule(self, schema):
        return self.read


def late(work):
    """The error by which a deadline ends what lasts long: with so little time as reaches that, on a machine that may be busy."""
    for seconds in (0.3, 3.0, 30.0):
        Waits.begun = 0
        begun = time.monotonic()
        with pytest.raises(DeadlineExceeded) as caught, deadline(seconds):
            work()
        assert seconds - 0.05 < time.monotonic() - begun < LONG
        if Waits.begun:
            return caught.value
    pytest.fail("nothing was waited for")


def in_a_transaction(db, key):
    with db.transaction() as tx:
        tx.create(Parcel(id=key))


@pytest.mark.parametrize("flow", FLOWS)
@pytest.mark.parametrize(
    "write", [lambda db, key: db.create(Parcel(id=key)), in_a_transaction], ids=["verb", "transaction"]
)
def test_what_a_rule_fetches_ends_with_the_deadline(plugged, key, flow, write):
    wire = Recorder()
    db = plugged(Rules(write=Fetching(FLOWS[flow])), wire)
    error = late(lambda: write(db, key))
    assert "while what a rule fetches" in str(error)
    assert error.outcome is Outcome.NOT_APPLIED
    assert wire.names == []
    assert stored(plugged(), Parcel, key) is None


@pytest.mark.parametrize("flow", FLOWS)
def test_what_decoding_waits_for_ends_with_the_deadline(plugged, key, flow):
    plugged().create(Parcel(id=key))
    db = plugged(Rules(read=Preparing(FLOWS[flow])))
    db.exists(Parcel, f"{key}-none")
    assert "while prepare of Preparing was waited for" in str(late(lambda: db.get(Parcel, key)))


def test_what_is_prepared_behind_a_write_does_not_say_that_it_was_not_applied(plugged, key):
    plugged().create(Parcel(id=key))
    db = plugged(Rules(read=Preparing(by_call)))
    assert late(lambda: db.update(Parcel, key, Parcel.told.set("x"))).outcome is Outcome.APPLIED
    assert stored(db, Parcel, key)["told"] == {"S": "x"}


def test_a_hook_before_a_verb_ends_with_the_deadline(plugged, key):
    class Slow(Plugin):
        async def pre_query(self, ctx, query):
            await told_late()

    wire = Recorder()
    db = plugged(Slow(), wire)
    late(lambda: db.create(Parcel(id=key)))
    assert wire.names == []


def test_what_ends_in_time_is_as_without_a_deadline(plugged, key):
    async def soon():
        await asyncio.sleep(0.01)
        return "soon"

    async def failing():
        raise TimeoutError("of its own")

    def flow():
        first = yield Call(lambda: asyncio.run(soon()), soon)
        try:
            yield Call(lambda: asyncio.run(failing()), failing)
        except TimeoutError as error:
            return f"{first}, {error}"

    db = plugged(Rules(write=Fetching(flow)))
    with deadline(20):
        assert db.create(Parcel(id=key)).told == "soon, of its own"
