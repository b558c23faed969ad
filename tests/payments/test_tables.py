"""The tables of dynamorm.payments."""

import asyncio
from collections.abc import Mapping
from types import SimpleNamespace

import pytest

from dynamorm import DB, AsyncDB, Presets
from dynamorm.codec.replies.table_description import TableDescription
from dynamorm.engine import Engine
from dynamorm.errors import ConfigError
from dynamorm.payments import Ledger, Money, Posting, ensure_tables


def described(replicas, consistency):
    return TableDescription(
        name="once",
        status="ACTIVE",
        partition="pk",
        sort=None,
        key_types={"pk": "S"},
        billing_mode="PAY_PER_REQUEST",
        indexes={},
        replicas=replicas,
        multi_region_consistency=consistency,
    )


class Blocking:
    """As much of a database as makes tables."""

    scope: Mapping[str, str] = {}
    is_async = False

    config = SimpleNamespace(idempotency_table="once")

    def __init__(self, table):
        self.tables = self
        self.table = table
        self.made = 0

    def get(self):
        """A verb, by which the face is told."""

    def ensure(self, model):
        self.made += 1
        return self.table


class Asyncio(Blocking):
    is_async = True

    async def get(self):
        """As above."""

    async def ensure(self, model):
        return super().ensure(model)


def database(table, *, is_async):
    return (Asyncio if is_async else Blocking)(table)


def ensured(table, *, is_async):
    db = database(table, is_async=is_async)
    made = ensure_tables(db)
    if is_async:
        asyncio.run(made)
    return db.made


@pytest.mark.parametrize("is_async", [False, True])
def test_copies_that_follow_later_are_refused(is_async):
    for consistency in (None, "EVENTUAL"):
        with pytest.raises(ConfigError, match="one Region"):
            ensured(described(("eu-west-2",), consistency), is_async=is_async)
    for table in (described((), None), described(("eu-west-2",), "STRONG")):
        assert ensured(table, is_async=is_async) == 5


@pytest.mark.parametrize("is_async", [False, True])
def test_a_database_with_tenants_is_of_its_face(is_async):
    euro = Money("1", "EUR")
    legs = [Posting("cash", euro), Posting("sales", -euro)]
    with Engine() as engine:
        config = Presets.local_development(engine=engine)
        if is_async:

            async def program():
                async with AsyncDB(config) as db:
                    db.enable_multi_tenancy()
                    await ensure_tables(db)
                    await Ledger(db).post(legs, id="p1")
                    return await Ledger(db).balance("cash")

            found = asyncio.run(program())
        else:
            with DB(config) as db:
                db.enable_multi_tenancy()
                ensure_tables(db)
                Ledger(db).post(legs, id="p1")
                found = Ledger(db).balance("cash")
    assert found == euro
