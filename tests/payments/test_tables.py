"""The tables of dynamorm.payments."""

import asyncio
from types import SimpleNamespace

import pytest

from dynamorm.codec.replies.table_description import TableDescription
from dynamorm.errors import ConfigError
from dynamorm.payments import ensure_tables


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


def database(table, *, is_async):
    async def later(model):
        return table

    tables = SimpleNamespace(ensure=later if is_async else lambda model: table)
    return SimpleNamespace(tables=tables, config=SimpleNamespace(idempotency_table="once"))


def ensured(table, *, is_async):
    made = ensure_tables(database(table, is_async=is_async))
    return asyncio.run(made) if is_async else made


@pytest.mark.parametrize("is_async", [False, True])
def test_copies_that_follow_later_are_refused(is_async):
    for consistency in (None, "EVENTUAL"):
        with pytest.raises(ConfigError, match="one Region"):
            ensured(described(("eu-west-2",), consistency), is_async=is_async)
    for table in (described((), None), described(("eu-west-2",), "STRONG")):
        assert ensured(table, is_async=is_async) is table
