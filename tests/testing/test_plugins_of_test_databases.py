"""A test database takes plugins: when it is made, and before its first call, which making its tables is not."""

import asyncio

import pytest

from dynamorm import Attr, Cache, CacheConfig, Model, attr, partition_key
from dynamorm.errors import ConfigError
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


def test_a_table_that_the_test_makes_is_a_call():
    with TestDB() as db:
        db.tables.ensure(Payment)
        with pytest.raises(ConfigError, match="registered before the first call"):
            db.use(Cache())
