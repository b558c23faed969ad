"""The caller's deadline bounds what rules wait for: a coroutine on the asyncio face, a function that blocks on the other."""

import asyncio
import time

import pytest

from dynamorm import Attr, Model, Plugin, attr, deadline, partition_key
from dynamorm.effects import Call, Gather, Sleep
from dynamorm.errors import DeadlineExceeded, Outcome
from dynamorm.plugin import ReadRule, WriteRule

from .kit import Recorder, stored

pytestmark = pytest.mark.engine
LONG = 5.0


class Parcel(Model, table="late-parcels"):
    id: Attr[str] = partition_key()
    told: Attr[str] = attr(default="")


MODELS = [Parcel]


async def told_late():
    await asyncio.sleep(LONG)
    return "late"


def by_call():
    return (yield Call(lambda: asyncio.run(told_late()), told_late))


def by_function():
    return (yield Call(lambda: time.sleep(LONG)))


def by_sleep():
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
    begun = time.monotonic()
    with pytest.raises(DeadlineExceeded, match="while what a rule fetches") as late, deadline(0.3):
        write(db, key)
    assert 0.25 < time.monotonic() - begun < 2.0
    assert late.value.outcome is Outcome.NOT_APPLIED
    assert wire.names == []
    assert stored(plugged(), Parcel, key) is None


@pytest.mark.parametrize("flow", FLOWS)
def test_what_decoding_waits_for_ends_with_the_deadline(plugged, key, flow):
    plugged().create(Parcel(id=key))
    db = plugged(Rules(read=Preparing(FLOWS[flow])))
    db.exists(Parcel, f"{key}-none")
    begun = time.monotonic()
    with pytest.raises(DeadlineExceeded, match="while prepare of Preparing was waited for"), deadline(0.3):
        db.get(Parcel, key)
    assert time.monotonic() - begun < 2.0


def test_what_is_prepared_behind_a_write_does_not_say_that_it_was_not_applied(plugged, key):
    plugged().create(Parcel(id=key))
    db = plugged(Rules(read=Preparing(by_call)))
    with pytest.raises(DeadlineExceeded) as late, deadline(0.3):
        db.update(Parcel, key, Parcel.told.set("x"))
    assert late.value.outcome is Outcome.APPLIED
    assert stored(db, Parcel, key)["told"] == {"S": "x"}


def test_a_hook_before_a_verb_ends_with_the_deadline(plugged, key):
    class Slow(Plugin):
        async def pre_query(self, ctx, query):
            await asyncio.sleep(LONG)

    wire = Recorder()
    begun = time.monotonic()
    with pytest.raises(DeadlineExceeded), deadline(0.3):
        plugged(Slow(), wire).create(Parcel(id=key))
    assert time.monotonic() - begun < 2.0
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
