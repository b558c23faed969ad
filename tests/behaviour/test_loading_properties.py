"""The rules of `patch` and of loaders, for any mapping and any order of gets: what a user expects, said once and tried at random."""

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dynamorm import Attr, Model, attr, partition_key, version

pytestmark = pytest.mark.engine

TRIED = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


class Inner(Model):
    a: Attr[int] = attr(default=0)
    b: Attr[str | None] = attr(default=None)


class Thing(Model, table="things"):
    id: Attr[str] = partition_key()
    text: Attr[str | None] = attr(default=None, name="t")
    number: Attr[int] = attr(default=7)
    tags: Attr[list[str]] = attr(default_factory=list)
    table: Attr[dict[str, int]] = attr(default_factory=dict)
    inner: Attr[Inner] = attr(default_factory=Inner)
    version: Attr[int] = version()


MODELS = [Thing]

INNER = {"a": st.integers(-9, 9), "b": st.none() | st.text(max_size=3)}
VALUES = {
    "text": st.none() | st.text(max_size=5),
    "number": st.integers(-(10**30), 10**30),
    "tags": st.lists(st.text(max_size=3), max_size=3),
    "table": st.dictionaries(st.text(min_size=1, max_size=3), st.integers(-9, 9), max_size=3),
    "inner": st.fixed_dictionaries({}, optional=INNER).filter(bool),
}
CHANGES = st.fixed_dictionaries({}, optional=VALUES).filter(bool)


def shown(thing):
    """What an object holds, but for its version."""
    own = {name: getattr(thing, name) for name in ("text", "number", "tags", "table")}
    return own | {"inner": {"a": thing.inner.a, "b": thing.inner.b}}


def test_a_patch_changes_what_it_names_and_nothing_else(db, key):
    db.create(Thing(id=key))
    counted = 0

    @TRIED
    @given(CHANGES, st.booleans())
    def patched(changes, by_object):
        nonlocal counted
        before = db.get(Thing, key, consistent=True)
        wanted = shown(before)
        for name, value in changes.items():
            wanted[name] = wanted["inner"] | value if name == "inner" else value
        after = db.patch(before, changes) if by_object else db.patch(Thing, key, changes)
        assert shown(after) == wanted
        stored = db.get(Thing, key, consistent=True)
        assert shown(stored) == wanted
        assert stored.version == after.version
        counted += 1

    patched()
    assert counted


def test_a_loader_gives_what_gets_give_in_whatever_order(db, key):
    ids = [f"{key}-{at}" for at in range(6)]
    assert db.batch_write(puts=[Thing(id=one, number=at) for at, one in enumerate(ids) if at % 2]).ok
    loader = None

    @TRIED
    @given(st.lists(st.lists(st.sampled_from(range(6)), max_size=8), max_size=4), st.booleans())
    def read(rounds, anew):
        nonlocal loader
        if loader is None or anew:
            loader = db.loader(consistent=True)
        for places in rounds:
            if db.kind == "blocking":
                wanted = [loader.later(Thing, ids[at]) for at in places]
                found = [one.get() for one in reversed(wanted)][::-1]
            else:

                async def gathered(places=places):
                    return await asyncio.gather(*(loader.get(Thing, ids[at]) for at in places))

                found = db._loop.run(gathered())
            assert [None if one is None else one.number for one in found] == [at if at % 2 else None for at in places]
            first = dict(zip(places, found, strict=True))
            assert all(first[at] is one for at, one in zip(places, found, strict=True))

    read()
