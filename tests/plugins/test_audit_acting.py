"""Who acts is settled where a thing is made: a coroutine, a query, a transaction, a reader of a stream; in tasks, threads, generators."""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator
from contextvars import Context

import pytest

from dynamorm import (
    DB,
    AsyncDB,
    Attr,
    Config,
    Model,
    Presets,
    TableSettings,
    Tenant,
    actor,
    attr,
    partition_key,
    sort_key,
    version,
)
from dynamorm.engine import Engine
from dynamorm.errors import ActorRequired, ConfigError, ValidationError
from dynamorm.plugin import current_actor
from dynamorm.plugins.audit import AuditLog
from dynamorm.plugins.tenancy import Tenancy

from .audit_kit import KEY, tracking


class Payment(Model, table="acting-payments", settings=TableSettings(stream="NEW_AND_OLD_IMAGES")):
    id: Attr[str] = partition_key()
    number: Attr[int] = sort_key()
    amount: Attr[int] = attr(default=0)
    version: Attr[int] = version()


class Order(Model, table="acting-orders"):
    tenant_id: Attr[str] = partition_key(Tenant(), init=False)
    number: Attr[int] = sort_key()


def opened(kind, *plugins):
    db = (DB if kind == "blocking" else AsyncDB)(Config(engine=Engine(), region="eu-west-1"))
    db.use(AuditLog(audit_key=KEY), *plugins)
    db.enable_change_tracking(Payment, tracking(("amount",), store="acting-log"))
    return db


def by():
    who = current_actor()
    return None if who is None else who.by


# ------------------------------------------------------------------------------------------------------------ blocking


@pytest.fixture
def db():
    with opened("blocking") as made:
        made.tables.ensure(Payment)
        with actor("maker"):
            for number in range(4):
                made.create(Payment(id="p", number=number))
        yield made


def last(db, number=0):
    """Who has written the last record of a payment."""
    return db.audit.history(Payment, "p", number)[-1].by


def test_a_query_is_ended_by_who_has_made_it(db):
    with actor("a"):
        query = db.model(Payment)
    query = query.where(Payment.id == "p", Payment.number < 2)
    with actor("b"):
        query.delete_all(confirm=True)
        db.model(Payment).where(Payment.id == "p").delete_all(confirm=True)
    assert [last(db, number) for number in range(4)] == ["a", "a", "b", "b"]


def test_what_is_made_by_nobody_is_done_by_who_does_it(db):
    query, transaction = db.model(Payment).where(Payment.id == "p", Payment.number == 0), db.transaction()
    with pytest.raises(ActorRequired):
        query.delete_all(confirm=True)
    with actor("b"):
        query.delete_all(confirm=True)
        with transaction as tx:
            tx.create(Payment(id="p", number=9))
    assert (last(db), last(db, 9)) == ("b", "b")


def test_a_transaction_is_of_who_has_made_it(db):
    loaded = db.require(Payment, "p", 1)
    loaded.amount = 3
    with actor("a"):
        transaction = db.transaction()
    with actor("b"), transaction as tx:
        tx.create(Payment(id="p", number=9))
        tx.update(Payment, "p", 0, Payment.amount.add(1))
        tx.save(loaded)
        tx.put(Payment(id="p", number=2, amount=5))
        tx.delete(Payment, "p", 3)
    assert [last(db, number) for number in (9, 0, 1, 2, 3)] == ["a"] * 5


def test_an_operation_of_a_transaction_of_nobody_is_of_who_calls_it(db):
    with db.transaction() as tx:
        with actor("a"):
            tx.create(Payment(id="p", number=9))
            tx.update(Payment, "p", 0, Payment.amount.add(1))  # which is built when the block ends
        with actor("b"):
            tx.delete(Payment, "p", 1)
    assert [last(db, number) for number in (9, 0, 1)] == ["a", "a", "b"]


def test_a_thread_does_what_somebody_else_has_made(db):
    with actor("a"):
        query = db.model(Payment).where(Payment.id == "p", Payment.number == 0)
        transaction = db.transaction()

    def work():
        assert by() is None
        query.delete_all(confirm=True)
        with transaction as tx:
            tx.delete(Payment, "p", 1)
        with actor("b"):
            db.delete(Payment, "p", 2)
        assert by() is None

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert [last(db, number) for number in range(3)] == ["a", "a", "b"]


def test_a_reader_of_a_stream_is_of_who_has_made_it(db):
    with actor("a"):
        reader = db.stream(Payment, idle_timeout=0)
    unnamed, found = db.stream(Payment, idle_timeout=0), []

    def handle(record):
        found.append(by())
        if record.new is not None and record.new.number < 2:
            db.delete(Payment, "p", record.new.number)

    def work():
        reader.run(handle)
        found.append(by())
        with actor("b"):
            unnamed.run(lambda record: found.append(by()))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    at = found.index(None)
    assert set(found[:at]) == {"a"}
    assert set(found[at + 1 :]) == {"b"}
    assert (last(db, 0), last(db, 1)) == ("a", "a")


def test_a_batcher_writes_for_who_adds(db):
    with actor("starter"):
        batcher = db.new_batcher()

    def add(name, number):
        with actor(name):
            futures.append(batcher.add(Payment(id="p", number=number, amount=7)))

    futures, threads = [], []
    for name, number in (("a", 10), ("b", 11), ("c", 12)):
        threads.append(threading.Thread(target=add, args=(name, number)))
        threads[-1].start()
    for thread in threads:
        thread.join()
    with actor("flusher"):
        batcher.close()
    assert [last(db, number) for number in (10, 11, 12)] == ["a", "b", "c"]


def test_a_generator_that_is_suspended_lends_nobody_its_actor(db):
    def working():
        with actor("a"):
            query = db.model(Payment).where(Payment.id == "p", Payment.number == 0)
            yield query
            query.delete_all(confirm=True)
            yield None

    work = working()
    query = next(work)
    with actor("b"):
        # a is open, and b was entered last: of the generator's own code nobody can tell
        assert next(work) is None  # and yet the query was made by a
        db.delete(Payment, "p", 1)
    work.close()
    assert query is not None
    assert (last(db), last(db, 1)) == ("a", "b")


def test_what_is_made_where_nobody_can_tell_is_done_by_nobody(db):
    def working():
        with actor("a"):
            yield None
            yield db.model(Payment).where(Payment.id == "p", Payment.number == 0), db.transaction()

    work = working()
    next(work)
    with actor("b"):
        query, transaction = next(work)
        assert len(query.all()) == 1  # who reads need not be known
        with pytest.raises(ActorRequired, match="two actors"):
            query.delete_all(confirm=True)
        with pytest.raises(ActorRequired, match="two actors"), transaction as tx:
            tx.create(Payment(id="p", number=9))
    work.close()
    with actor("c"), pytest.raises(ActorRequired, match="two actors"):
        query.delete_all(confirm=True)
    assert (last(db), db.get(Payment, "p", 9)) == ("maker", None)


def test_the_blocks_of_who_does_it_are_left_as_they_were(db):
    with actor("a"):
        query = db.model(Payment).where(Payment.id == "p", Payment.number == 0)
    with actor("b"):
        query.delete_all(confirm=True)
        assert by() == "b"
        with pytest.raises(ValidationError):
            query.delete_all(confirm=False)
        assert by() == "b"
    assert by() is None


# ------------------------------------------------------------------------------------------------------------- asyncio


def acting(test):
    """Run a test on the asyncio face: it is given a database with four payments."""

    def run():
        async def main():
            async with opened("asyncio") as db:
                await db.tables.ensure(Payment)
                with actor("maker"):
                    for number in range(4):
                        await db.create(Payment(id="p", number=number))
                await test(db)

        asyncio.run(main())

    run.__name__ = test.__name__
    return run


async def written_by(db, number=0):
    return (await db.audit.history(Payment, "p", number))[-1].by


VERBS = {
    "create": (lambda db, _: db.create(Payment(id="p", number=9)), 9),
    "put": (lambda db, _: db.put(Payment(id="p", number=9)), 9),
    "save": (lambda db, one: db.save(one), 0),
    "update": (lambda db, one: db.update(one, Payment.amount.add(1)), 0),
    "update by key": (lambda db, _: db.update(Payment, "p", 0, Payment.amount.add(1)), 0),
    "upsert": (lambda db, _: db.upsert(Payment, "p", 9, Payment.amount.add(1)), 9),
    "increment": (lambda db, _: db.increment(Payment, "p", 0, Payment.amount), 0),
    "delete": (lambda db, one: db.delete(one), 0),
    "delete_all": (
        lambda db, _: db.model(Payment).where(Payment.id == "p", Payment.number == 0).delete_all(confirm=True),
        0,
    ),
    "restore": (lambda db, _: db.audit.restore(Payment, "p", 0, version=1), 0),
}


@pytest.mark.parametrize("verb", VERBS)
def test_a_coroutine_is_of_who_has_made_it(verb):
    call, number = VERBS[verb]

    @acting
    async def run(db):
        one = await db.require(Payment, "p", 0)
        one.amount = 8
        if verb == "restore":
            with actor("between"):
                one = await db.save(one)
        with actor("a"):
            coroutine = call(db, one)
        with actor("b"):
            await coroutine
            assert by() == "b"
        assert await written_by(db, number) == "a"

    run()


@pytest.mark.parametrize("verb", VERBS)
def test_a_coroutine_of_nobody_is_of_who_awaits_it(verb):
    call, number = VERBS[verb]

    @acting
    async def run(db):
        one = await db.require(Payment, "p", 0)
        one.amount = 8
        if verb == "restore":
            with actor("between"):
                one = await db.save(one)
        coroutine = call(db, one)
        with actor("b"):
            await coroutine
        assert await written_by(db, number) == "b"

    run()


@acting
async def test_a_query_that_is_made_by_nobody_and_ended_by_somebody(db):
    query = db.model(Payment).where(Payment.id == "p", Payment.number == 0)
    with actor("a"):
        coroutine = query.delete_all(confirm=True)
    with actor("b"):
        await coroutine
    assert await written_by(db) == "a"


@acting
async def test_tasks_have_the_actor_of_what_they_do(db):
    coroutines = []
    for name in ("a", "b", "c"):
        with actor(name):
            coroutines.append(db.update(Payment, "p", len(coroutines), Payment.amount.add(1)))

    async def work(coroutine):
        with actor("worker"):
            await coroutine
            await asyncio.sleep(0)
            return by()

    with actor("starter"):
        assert await asyncio.gather(*map(work, coroutines)) == ["worker"] * 3
    assert [await written_by(db, number) for number in range(3)] == ["a", "b", "c"]


@acting
async def test_a_task_of_a_coroutine_has_its_actor_and_no_other(db):
    with actor("a"):
        coroutine = db.update(Payment, "p", 0, Payment.amount.add(1))
    task = asyncio.get_running_loop().create_task(coroutine, context=Context())
    with actor("b"):
        await task
    assert await written_by(db) == "a"


@acting
async def test_a_transaction_of_tasks(db):
    with actor("a"):
        transaction = db.transaction()

    async def work():
        with actor("b"):
            async with transaction as tx:
                tx.update(Payment, "p", 0, Payment.amount.add(1))
                await asyncio.sleep(0)
                tx.create(Payment(id="p", number=9))

    await asyncio.create_task(work())
    assert (await written_by(db), await written_by(db, 9)) == ("a", "a")


@acting
async def test_a_generator_of_asyncio_that_is_suspended(db):
    async def working() -> AsyncIterator[object]:
        with actor("a"):
            yield db.update(Payment, "p", 0, Payment.amount.add(1))
            yield db.update(Payment, "p", 1, Payment.amount.add(1))

    work = working()
    first = await anext(work)
    with actor("b"):
        await first
        second = await anext(work)  # it stands in a, and b was entered last
        with pytest.raises(ActorRequired, match="two actors"):
            await second
    await work.aclose()
    assert (await written_by(db), await written_by(db, 1)) == ("a", "maker")


@acting
async def test_a_coroutine_that_is_cancelled_leaves_the_task_its_own_actor(db):
    with actor("a"):
        coroutine = db.update(Payment, "p", 0, Payment.amount.add(1))
    with actor("b"):
        task = asyncio.create_task(coroutine)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert by() == "b"
    coroutine = None
    with actor("a"):
        left = db.get(Payment, "p", 0)
    left.close()  # never awaited
    assert by() is None


@acting
async def test_handlers_of_a_stream(db):
    found = []

    async def handle(record):
        await asyncio.sleep(0)
        found.append(by())

    with actor("a"):
        reader = db.stream(Payment, idle_timeout=0)
    await asyncio.create_task(reader.run(handle), name="worker")
    with actor("b"):
        coroutine = db.stream(Payment, idle_timeout=0).run(lambda record: found.append(by()))
    await coroutine
    unnamed = db.stream(Payment, idle_timeout=0)
    with actor("c"):
        coroutine = unnamed.run(handle)
    with actor("d"):
        await coroutine
    assert [found[0], found[4], found[8]] == ["a", "b", "c"]
    assert len(found) == 12


@acting
async def test_an_iteration_goes_on_for_who_has_made_the_query(db):
    seen = []

    class Watcher:
        name = "watcher"

        def began(self, operation):
            seen.append((operation.verb, by()))

    db.use(Watcher())
    with actor("a"):
        query = db.model(Payment).where(Payment.id == "p").page_size(2)
    with actor("b"):
        assert [one.number async for one in query] == [0, 1, 2, 3]
        await query.count()
        await db.get(Payment, "p", 0)
    assert {who for verb, who in seen if verb != "get"} == {"a"}
    assert seen[-1] == ("get", "b")


def test_a_batcher_of_asyncio():
    @acting
    async def run(db):
        async with db.new_batcher() as batcher:
            for name, number in (("a", 10), ("b", 11)):
                with actor(name):
                    await batcher.add(Payment(id="p", number=number))
            with actor("flusher"):
                await batcher.flush()
        assert [await written_by(db, number) for number in (10, 11)] == ["a", "b"]

    run()


# ------------------------------------------------------------------------------------------------- beside other plugins


def test_verbs_for_all_tenants_are_told_with_who_has_made_them(caplog):
    async def main():
        async with opened("asyncio", Tenancy()) as db:
            await db.tables.ensure(Order)
            with actor("a"):
                every = db.all_tenants(reason="test")
                coroutine = every.model(Order).allow_scan().all()
            with actor("b"):
                await coroutine
                await every.get(Order, "t", 1)

    with caplog.at_level(logging.INFO, logger="dynamorm"):
        asyncio.run(main())
    told = [line for line in caplog.messages if line.startswith("all tenants: ")]
    assert told == [
        "all tenants: all of Order by a, for this reason: test",
        "all tenants: get of Order by b, for this reason: test",
    ]


def test_tenants_and_actors_together():
    from dynamorm import tenant_scope

    async def main():
        async with opened("asyncio", Tenancy()) as db:
            await db.tables.ensure(Order, Payment)
            with actor("a"), tenant_scope("t1"):
                made = [db.create(Order(number=1)), db.create(Payment(id="p", number=0))]
                query = db.model(Order)
            with actor("b"), tenant_scope("t2"):
                for coroutine in made:
                    await coroutine
                assert [one.tenant_id for one in await query.all()] == ["t1"]
                assert await db.model(Order).all() == []
            assert (await db.with_tenant("t1").audit.history(Payment, "p", 0))[-1].by == "a"
            with pytest.raises(ActorRequired):
                await db.with_tenant("t1").create(Payment(id="p", number=1))

    asyncio.run(main())


def test_a_database_of_which_no_plugin_asks_is_as_it_was():
    for kind in (DB, AsyncDB):
        db = kind(Presets.local_development(endpoint="http://127.0.0.1:9"))
        db.use(Tenancy())
        assert "Acting" not in [one.__name__ for one in type(db).__mro__]
    asked = opened("asyncio")
    assert "Acting" in [one.__name__ for one in type(asked).__mro__]
    assert "Following" not in [one.__name__ for one in type(asked).__mro__]
    assert type(asked).__name__ == "AsyncDB"
    assert isinstance(asked, AsyncDB)
    assert asyncio.iscoroutinefunction(asked.get)
    assert type(asked.model(Payment)).__name__ == "AsyncQuery"


def test_a_plugin_of_ones_own_may_ask():
    seen = []

    class Asking:
        name = "asking"
        asks_actor = True

        def began(self, operation):
            seen.append(by())

    async def main():
        async with AsyncDB(Config(engine=Engine(), region="eu-west-1"), extensions=(Asking(),)) as db:
            await db.tables.ensure(Payment)
            with actor("a"):
                coroutine = db.get(Payment, "p", 1)
            with actor("b"):
                await coroutine

    asyncio.run(main())
    assert seen[-1] == "a"


def test_whether_it_asks_is_true_or_false():
    class Wrong:
        name = "wrong"
        asks_actor = "yes"

        def began(self, operation):
            return None

    with pytest.raises(ConfigError, match="asks_actor"):
        DB(Config(engine=Engine(), region="eu-west-1")).use(Wrong())
