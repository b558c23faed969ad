"""`tenant_scope`: what is done inside is of its tenant, and nothing else ever is (T03)."""

import asyncio
import contextvars
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import pytest

from dynamorm import tenant_scope
from dynamorm.errors import InvalidTenant, TenantError, TenantMismatch, TenantRequired

from .tenancy_kit import Order, Plain, Shared, Txn, outcome
from .tenancy_world import World, database


@pytest.fixture
def db(face_kind):
    made = database(face_kind, World())
    for tenant in ("a", "b"):
        made.with_tenant(tenant).create(Order(number="1", amount=ord(tenant)))
    yield made
    made.close()


def whose(db):
    """The tenant that a verb on the database itself is of, None where it is refused."""
    try:
        return db.get(Order, "1").tenant_id
    except TenantRequired:
        return None


# ---------------------------------------------------------------------------------------------------------- one block


def test_every_verb_inside_is_of_the_tenant(db):
    assert whose(db) is None
    with tenant_scope("a"):
        assert whose(db) == "a"
        assert [one.tenant_id for one in db.model(Order).all()] == ["a"]
        assert [one.tenant_id for one in db.model(Order)] == ["a"]
        made = db.create(Order(number="2"))
        assert made.tenant_id == "a"
        db.update(Order, "2", Order.amount.set(3))
        db.increment(Order, "2", Order.amount)
        with db.transaction() as tx:
            tx.update(Order, "2", Order.amount.set(5))
            tx.create(Txn(number="t", mail="m"))
        assert db.batch_write(puts=[Order(number="3")]).count == 1
        assert [one.tenant_id for one in db.batch_get(Order, [("1",), ("3",)])] == ["a", "a"]
        assert db.transact_get([(Order, "2")])[0].amount == 5
        assert db.find_by_unique(Txn, mail="m").tenant_id == "a"
        assert db.exists(Order, "3")
        with db.new_batcher() as batcher:
            batcher.add(Order(number="4"))
        assert "KeyConditionExpression" in str(db.explain(lambda view: view.model(Order).all()))
        dry = db.dry_run()
        with dry as view:
            view.delete(Order, "1")
        assert len(dry.requests) == 1
        db.delete(Order, "2")
    assert whose(db) is None
    with tenant_scope("b"):
        assert [one.number for one in db.model(Order).all()] == ["1"]


def test_what_is_made_inside_stays_the_tenants(db):
    with tenant_scope("a"):
        query, transaction, view = db.model(Order), db.transaction(), db.view(region="eu")
    with tenant_scope("b"):
        assert [one.tenant_id for one in query.all()] == ["a"]
        assert outcome(lambda: view.get(Order, "1")) is TenantMismatch
        with transaction as tx:
            tx.create(Order(number="7"))
    assert view.get(Order, "1").tenant_id == "a"
    assert db.with_tenant("a").get(Order, "7") is not None
    assert db.with_tenant("b").get(Order, "7") is None


def test_a_generator_of_items_goes_on_for_its_own_tenant(db):
    a = db.with_tenant("a")
    a.batch_write(puts=[Order(number=f"{number}") for number in range(2, 9)])
    with tenant_scope("a"):
        items = iter(db.model(Order).page_size(2))
        first = next(items)
    with tenant_scope("b"):
        rest = list(items)
    assert {one.tenant_id for one in (first, *rest)} == {"a"}
    assert len(rest) == 7


def test_an_explicit_view_of_another_tenant_is_refused_inside(db):
    a, b, every = db.with_tenant("a"), db.with_tenant("b"), db.all_tenants(reason="test")
    with tenant_scope("a"):
        assert a.get(Order, "1").tenant_id == "a"
        assert db.with_tenant("a").get(Order, "1").tenant_id == "a"
        for call in (lambda: b.get(Order, "1"), lambda: b.model(Order), lambda: every.get(Order, "b", "1")):
            assert outcome(call) is TenantMismatch
        assert outcome(lambda: db.with_tenant("b")) is TenantMismatch
        assert outcome(lambda: db.view(tenant="b")) is TenantMismatch
        for call in (
            lambda: db.all_tenants(reason="x"),
            lambda: db.tables.ensure(Order),
            lambda: db.partiql("SELECT * FROM x"),
            lambda: db.repair_unique(Txn),
            lambda: db.stream(Shared),
        ):
            assert outcome(call) is TenantError
    assert b.get(Order, "1").tenant_id == "b"


def test_other_models_are_as_ever_inside(db):
    db.inner._session
    with tenant_scope("a"):
        assert outcome(lambda: db.model(Plain).explain()) is not None
        assert db.config.embedded is False


def test_async_with_opens_the_same_block():
    db = database("blocking", World())
    for tenant in ("a", "b"):
        db.with_tenant(tenant).create(Order(number="1"))

    async def inside():
        async with tenant_scope("a") as scope:
            found = whose(db), scope
        return *found, whose(db)

    during, scope, after = asyncio.run(inside())
    assert (during, after) == ("a", None)
    assert isinstance(scope, tenant_scope)
    db.close()


@pytest.mark.parametrize("tenant", [None, "", "a\n", 5, "x" * 129])
def test_what_is_no_tenant_is_refused(tenant):
    with pytest.raises(InvalidTenant):
        tenant_scope(tenant)


def test_a_scope_is_entered_once_at_a_time(db):
    scope = tenant_scope("a")
    with scope:
        with pytest.raises(InvalidTenant), scope:
            raise AssertionError("it was entered twice")
        assert whose(db) == "a"
    with scope:
        assert whose(db) == "a"
    assert whose(db) is None


# ------------------------------------------------------------------------------------------------------------- leaving


def test_an_exception_restores_what_was_before(db):
    with tenant_scope("a"):
        try:
            with tenant_scope("b"):
                assert whose(db) == "b"
                raise RuntimeError
        except RuntimeError:
            pass
        assert whose(db) == "a"
        with pytest.raises(KeyboardInterrupt), tenant_scope("a"):
            raise KeyboardInterrupt
        assert whose(db) == "a"
    assert whose(db) is None


def test_a_block_that_is_left_in_another_context(db):
    def block():
        with tenant_scope("a"):
            yield

    generator = block()
    next(generator)
    other = contextvars.copy_context()
    other.run(generator.close)  # never raises
    assert other.run(whose, db) is None
    assert whose(db) is None  # nor does it hold here, where nobody has left it


def test_blocks_that_are_left_out_of_order(db):
    def block(tenant):
        with tenant_scope(tenant):
            yield

    first, second = block("a"), block("a")
    next(first)
    next(second)
    first.close()
    assert whose(db) == "a"
    second.close()
    assert whose(db) is None  # and not the first one's again


def test_a_helper_may_hold_the_block(db):
    @contextmanager
    def request(tenant):
        with tenant_scope(tenant):
            yield

    with request("a"):
        assert whose(db) == "a"
    with ExitStack() as stack:
        stack.enter_context(tenant_scope("b"))
        assert whose(db) == "b"
    assert whose(db) is None


@pytest.mark.parametrize("face_kind", ["blocking"])  # the other one of these tests makes a task of each verb
def test_a_generator_that_is_suspended_never_acts_for_another_tenant(db):
    """Its block stays open while its caller stands in another one: then nobody can tell, and nothing is done."""

    def reader():
        with tenant_scope("a"):
            while True:
                yield outcome(lambda: whose(db))

    items = reader()
    assert next(items) == "a"
    with tenant_scope("b"):
        assert next(items) is TenantMismatch  # it stands in a, and b was entered last
        assert whose(db) == "b"
    assert next(items) == "a"
    items.close()
    assert whose(db) is None


@pytest.mark.parametrize("face_kind", ["blocking"])  # as above
def test_a_generator_that_enters_inside_does_not_take_its_caller_along(db):
    def reader():
        with tenant_scope("a"):
            yield whose(db)
            yield whose(db)

    with tenant_scope("b"):
        items = reader()
        assert next(items) == "a"
        assert outcome(lambda: whose(db)) is TenantMismatch
        assert next(items) == "a"
        items.close()
        assert whose(db) == "b"
    assert whose(db) is None


# ------------------------------------------------------------------------------------------------- threads and tasks


def test_a_thread_does_not_inherit_it(db):
    found = []
    with tenant_scope("a"):
        thread = threading.Thread(target=lambda: found.append(whose(db)))
        thread.start()
        thread.join()
        with ThreadPoolExecutor(1) as pool:
            found.append(pool.submit(whose, db).result())
            with tenant_scope("a"):
                found.append(pool.submit(contextvars.copy_context().run, whose, db).result())
            found.append(pool.submit(whose, db).result())
    assert found == [None, None, "a", None]


def test_threads_have_their_own(db):
    tenants = [f"t{number}" for number in range(16)]
    for tenant in tenants:
        db.with_tenant(tenant).create(Order(number="1"))
    lock = threading.Lock()  # the service of this test has one thread's patience

    def work(tenant):
        with tenant_scope(tenant):
            found = set()
            for _ in range(20):
                with lock:
                    found.add(whose(db))
        return found

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, tenants)) == [{tenant} for tenant in tenants]


def test_tasks_have_their_own_and_inherit():
    async def main():
        db = database("asyncio", World())
        inner = db.inner
        tenants = [f"t{number}" for number in range(20)]
        for tenant in tenants:
            await inner.with_tenant(tenant).create(Order(number="1"))

        async def read():
            await asyncio.sleep(0)
            return (await inner.get(Order, "1")).tenant_id

        async def work(tenant):
            with tenant_scope(tenant):
                await asyncio.sleep(0)
                mine = await read()
                inherited = await asyncio.gather(
                    read(), asyncio.create_task(read()), asyncio.to_thread(_of_thread, inner)
                )
                late = asyncio.create_task(later(tenant))
            return {mine, *inherited, await late}

        async def later(tenant):
            await asyncio.sleep(0.01)  # its parent has left the block by now
            return await read()

        assert await asyncio.gather(*(work(tenant) for tenant in tenants)) == [{tenant} for tenant in tenants]
        with pytest.raises(TenantRequired):
            await inner.get(Order, "1")
        with tenant_scope("t1"):
            coroutine = inner.get(Order, "1")
        assert (await coroutine).tenant_id == "t1"  # it is of the scope in which it was called

        async def stream(tenant):
            with tenant_scope(tenant):
                while True:
                    yield await read()

        items = stream("t1")
        assert await anext(items) == "t1"
        with tenant_scope("t2"):
            with pytest.raises(TenantMismatch):  # it stands in t1, and t2 was entered last
                await anext(items)
            assert await read() == "t2"
        await items.aclose()

        streams = [stream(tenant) for tenant in tenants[:3]]
        assert [await anext(one) for one in streams[:1]] == tenants[:1]
        for one in streams[1:]:  # each step is a task of its own, and only the first one is in the block
            assert await asyncio.create_task(_step(one)) in tenants
            with pytest.raises(TenantRequired):
                await asyncio.create_task(_step(one), context=contextvars.Context())
        for one in streams:
            await one.aclose()
        with pytest.raises(TenantRequired):
            await inner.get(Order, "1")
        db.close()

    asyncio.run(main())


async def _step(items):
    return await anext(items)


def _of_thread(_):
    from dynamorm.plugins.tenancy.scopes import current

    block = current()
    return None if block is None else block.value


def test_an_executor_of_a_loop_inherits_nothing():
    async def main():
        with tenant_scope("a"):
            return await asyncio.get_running_loop().run_in_executor(None, _of_thread, None)

    assert asyncio.run(main()) is None
