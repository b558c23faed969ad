"""A test database takes plugins: when it is made, and before its first call, which making its tables is not."""

import asyncio

import pytest

from dynamorm import Attr, Cache, CacheConfig, Model, Tenant, attr, composite, partition_key
from dynamorm.errors import ConfigError, TenantRequired
from dynamorm.testing import AsyncTestDB, TestDB

pytestmark = pytest.mark.engine


class Payment(Model, table="payments"):
    id: Attr[str] = partition_key()
    amount: Attr[int] = attr(default=0)


@pytest.mark.parametrize("way", ["extensions", "use"])
def test_tables_and_plugins_go_together(way):
    cache = Cache(CacheConfig(settle=0.0))
    with TestDB(models=[Payment], extensions=(cache,) if way == "extensions" else ()) as db:
        if way == "use":
            db.use(cache)
        db.create(Payment(id="p1", amount=5))
        assert [db.require(Payment, "p1").amount for _ in range(2)] == [5, 5]
    assert cache.stats().hits == 1


@pytest.mark.parametrize("way", ["extensions", "use"])
def test_tables_and_plugins_go_together_on_asyncio(way):
    async def program():
        cache = Cache(CacheConfig(settle=0.0))
        async with AsyncTestDB(models=[Payment], extensions=(cache,) if way == "extensions" else ()) as db:
            if way == "use":
                db.use(cache)
            await db.create(Payment(id="p1", amount=5))
            assert [(await db.require(Payment, "p1")).amount for _ in range(2)] == [5, 5]
        return cache.stats().hits

    assert asyncio.run(program()) == 1


class Owned(Model, table="owned"):
    owner: Attr[str] = attr(Tenant())
    id: Attr[str] = partition_key(composite("owner", "name"))
    name: Attr[str]


def test_the_first_request_of_a_view_makes_the_table():
    with TestDB() as db:
        db.enable_multi_tenancy()
        db.with_tenant("t1").create(Owned(name="n"))
        assert db.with_tenant("t1").require(Owned, owner="t1", name="n").owner == "t1"
        assert db.with_tenant("t2").get(Owned, owner="t2", name="n") is None
        with pytest.raises(TenantRequired):
            db.create(Owned(name="n"))


def test_the_first_request_of_a_view_makes_the_table_on_asyncio():
    async def program():
        async with AsyncTestDB() as db:
            db.enable_multi_tenancy()
            await db.with_tenant("t1").create(Owned(name="n"))
            return await db.with_tenant("t1").require(Owned, owner="t1", name="n")

    assert asyncio.run(program()).owner == "t1"


def test_a_table_that_the_test_makes_is_a_call():
    with TestDB() as db:
        db.tables.ensure(Payment)
        with pytest.raises(ConfigError, match="registered before the first call"):
            db.use(Cache())
