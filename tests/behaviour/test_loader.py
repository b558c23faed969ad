"""The loader: gets of one moment are read together, each item once, apart for each scope, on both faces."""

import asyncio
import copy
import threading

import pytest

from dynamorm import Attr, Model, Tenant, attr, composite, deadline, partition_key, tenant_scope
from dynamorm.errors import ConfigError, DeadlineExceeded, InvalidUse, TableNotFound, ValidationError
from tests.support.faces import FACES

pytestmark = pytest.mark.engine


class Customer(Model, table="customers"):
    id: Attr[str] = partition_key()
    name: Attr[str]


class Entry(Model, table="entries"):
    pk: Attr[str] = partition_key(composite("shop", "day"))
    shop: Attr[str]
    day: Attr[str]
    total: Attr[int] = attr(default=0)


class Note(Model, table="notes"):
    pk: Attr[str] = partition_key(composite("tenant", "id"))
    tenant: Attr[str] = attr(Tenant())
    id: Attr[str]
    text: Attr[str]


class Nowhere(Model, table="nowhere"):
    id: Attr[str] = partition_key()


MODELS = [Customer, Entry]


def together(db, *calls):
    """The results of gets of one moment; each call is a loader, a model and a key."""
    if db.kind == "blocking":
        laters = [loader.later(*key) for loader, *key in calls]
        return [later.get() for later in laters]

    async def gathered():
        return await asyncio.gather(*(loader.get(*key) for loader, *key in calls))

    return db._loop.run(gathered())


def asked_for(wire):
    """How many keys each request asked for."""
    assert set(wire.names) <= {"BatchGetItem"}
    return [len(keys["Keys"]) for _, body in wire.calls for keys in body["RequestItems"].values()]


def test_gets_of_one_moment_are_one_request_and_each_item_is_asked_once(db, wire, key):
    for name in "ab":
        db.create(Customer(id=f"{key}-{name}", name=name))
    db.create(Entry(shop=key, day="1", total=4))
    loader = db.loader()
    wire.clear()
    ids = [f"{key}-{name}" for name in ("a", "b", "a", "gone")]
    a, b, again, gone = together(db, *((loader, Customer, one) for one in ids))
    assert (a.name, b.name, gone) == ("a", "b", None)
    assert again is a
    assert asked_for(wire) == [3]
    assert together(db, *((loader, Customer, one) for one in ids)) == [a, b, a, None]  # it is known now
    assert asked_for(wire) == [3]
    loader.clear(Customer, ids[0])
    wire.clear()
    (other,) = together(db, (loader, Customer, ids[0]))
    assert other is not a
    loader.clear()
    together(db, *((loader, Customer, one) for one in ids))
    assert asked_for(wire) == [1, 3]


def test_more_than_a_hundred_keys_and_several_models(db, wire, key):
    assert db.batch_write(puts=[Customer(id=f"{key}-{at}", name=str(at)) for at in range(130)]).ok
    db.create(Entry(shop=key, day="1", total=4))
    loader = db.loader(consistent=True)
    wire.clear()
    calls = [(loader, Customer, f"{key}-{at}") for at in range(130)]
    assert [one.name for one in together(db, *calls)] == [str(at) for at in range(130)]
    assert sorted(asked_for(wire)) == [30, 100]
    assert all(keys["ConsistentRead"] for _, body in wire.calls for keys in body["RequestItems"].values())

    async def by_parts():
        return await loader.get(Entry, shop=key, day="1")

    entry = loader.get(Entry, shop=key, day="1") if db.kind == "blocking" else db._loop.run(by_parts())
    assert entry.total == 4


def test_what_was_read_belongs_to_one_loader(db, key):
    db.create(Customer(id=key, name="first"))
    before = db.loader()
    (first,) = together(db, (before, Customer, key))
    db.update(Customer, key, Customer.name.set("second"))
    assert together(db, (before, Customer, key)) == [first]
    assert together(db, (db.loader(), Customer, key))[0].name == "second"
    assert db.get(Customer, key).name == "second"
    with pytest.raises(InvalidUse):
        copy.deepcopy(before)


def test_a_key_that_cannot_be_fails_alone(db, key):
    db.create(Customer(id=key, name="a"))
    loader = db.loader()
    if db.kind == "blocking":
        good = loader.later(Customer, key)
        with pytest.raises(ValidationError, match=r"Customer\.id"):
            loader.later(Customer, 5)
        assert good.get().name == "a"
        return

    async def both():
        return await asyncio.gather(loader.get(Customer, key), loader.get(Customer, 5), return_exceptions=True)

    good, bad = db._loop.run(both())
    assert good.name == "a"
    assert isinstance(bad, ValidationError)


def test_what_could_not_be_read_is_told_and_read_anew(db, key):
    db.tables.delete(Nowhere)
    loader = db.loader()
    with pytest.raises(TableNotFound):
        together(db, (loader, Nowhere, key))
    db.tables.create(Nowhere)
    db.create(Nowhere(id=key))
    assert together(db, (loader, Nowhere, key))[0].id == key


def test_a_deadline_bounds_the_waiting_of_who_has_it(db, key):
    db.create(Customer(id=key, name="a"))
    loader = db.loader()
    if db.kind == "blocking":
        wanted = loader.later(Customer, key)
        with deadline(1e-6), pytest.raises(DeadlineExceeded):
            wanted.get()
        assert wanted.get().name == "a"
        return

    async def late():
        with deadline(1e-6):
            return await loader.get(Customer, key)

    async def both():
        return await asyncio.gather(late(), loader.get(Customer, key), return_exceptions=True)

    over, other = db._loop.run(both())
    assert isinstance(over, DeadlineExceeded)
    assert other.name == "a"


@pytest.mark.parametrize("kind", FACES)
def test_tenants_share_a_loader_and_nothing_else(plugged, kind):
    db = plugged(kind=kind)
    db.enable_multi_tenancy()
    db.tables.ensure(Note)
    for tenant in ("a", "b"):
        db.with_tenant(tenant).put(Note(id="1", text=tenant))
    loader = db.loader()

    def of(tenant, ask):
        with tenant_scope(tenant):
            return ask(Note, id="1")

    if kind == "blocking":
        wanted = [of(tenant, loader.later) for tenant in "aba"]
        found = [one.get().text for one in wanted]
    else:

        async def gathered():
            return await asyncio.gather(*[of(tenant, loader.get) for tenant in "aba"])

        found = [note.text for note in db._loop.run(gathered())]
    assert found == ["a", "b", "a"]
    view = db.inner.with_tenant("b").loader()
    note = view.get(Note, id="1") if kind == "blocking" else db._loop.run(view.get(Note, id="1"))
    assert note.text == "b"


def test_threads_share_a_loader(db, wire, key):
    if db.kind != "blocking":
        pytest.skip("an asyncio loader belongs to one event loop")
    for at in range(20):
        db.create(Customer(id=f"{key}-{at}", name=str(at)))
    loader = db.loader()
    start = threading.Barrier(8)
    found = []

    def work():
        start.wait()
        found.append([loader.get(Customer, f"{key}-{at}") for at in range(20)])

    threads = [threading.Thread(target=work) for _ in range(8)]
    wire.clear()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [[one.name for one in each] for each in found] == [[str(at) for at in range(20)]] * 8
    assert all(one is other for each in found for one, other in zip(each, found[0], strict=True))
    assert sum(asked_for(wire)) == 20  # each item once


def test_a_cancelled_get_takes_nothing_from_the_others(db, key):
    if db.kind == "blocking":
        pytest.skip("nothing is cancelled there")
    db.create(Customer(id=key, name="a"))
    loader = db.loader()

    async def both():
        first = asyncio.ensure_future(loader.get(Customer, key))
        second = asyncio.ensure_future(loader.get(Customer, key))
        await asyncio.sleep(0)
        first.cancel()
        return await asyncio.gather(first, second, return_exceptions=True)

    first, second = db._loop.run(both())
    assert isinstance(first, asyncio.CancelledError)
    assert second.name == "a"


def test_a_loader_is_of_one_event_loop_and_of_an_open_database(plugged, key):
    db = plugged(kind="asyncio")
    loader = db.inner.loader()
    db.run(iter_nothing())
    db._loop.run(loader.get(Customer, key))
    with pytest.raises(InvalidUse, match="event loop"):
        asyncio.run(loader.get(Customer, key))
    blocking = plugged(kind="blocking")
    wanted = blocking.loader().later(Customer, key)
    blocking.close()
    with pytest.raises((ConfigError, InvalidUse)):
        wanted.get()


def iter_nothing():
    """A flow that does nothing."""
    return None
    yield
