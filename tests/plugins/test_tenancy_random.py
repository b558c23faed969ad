"""Fifty tenants, random verbs, forged keys, and a server that answers with items of others: none of them is ever shown."""

import time

import pytest

from .tenancy_kit import IDS
from .tenancy_world import Run, World, database

TENANTS = (*IDS, *(f"t{number}" for number in range(2, 100)))[:50]


def ran(kind, operations, seed, seconds=None):
    world = World(lies=0.2, seed=seed)
    db = database(kind, world)
    run = Run(db, world, TENANTS, seed)
    end = None if seconds is None else time.monotonic() + seconds
    for number in range(operations):
        run.step()
        if number % 20_000 == 19_999:  # a world that only grows is slow
            assert not run.stored_wrongly()
            for items in world.tables.values():
                items.clear()
        if end is not None and number % 1000 == 0 and time.monotonic() > end:
            break
    db.close()
    return run


@pytest.mark.parametrize("operations", [5_000])
def test_no_item_of_another_tenant_is_shown_or_written(operations, figure):
    run = ran("blocking", operations, 7)
    figure(f"tenants: {run.done} operations, {run.world.told} lies, {run.refused} refused, {run.foreign} foreign items")
    assert run.foreign == 0
    assert run.stored_wrongly() == []
    assert run.world.told > operations / 20
    assert run.refused > operations / 20


def test_nor_on_the_asyncio_face():
    run = ran("asyncio", 1_000, 11)
    assert (run.foreign, run.stored_wrongly()) == (0, [])
    assert run.world.told > 50


def test_the_world_would_show_them(monkeypatch):
    """The run finds what it looks for: without the rule for what is read, items of others are shown."""
    from dynamorm.plugins.tenancy import rules

    monkeypatch.setattr(rules.TenantReads, "check", lambda *_: True)
    assert ran("blocking", 500, 3).foreign > 0


@pytest.mark.soak
@pytest.mark.timeout(2400)
def test_a_million_operations_show_no_item_of_another_tenant(figure):
    begun = time.monotonic()
    run = ran("blocking", 1_000_000, 23, seconds=2_000)
    took = time.monotonic() - begun
    figure(
        f"tenants: {run.done} operations in {took:.0f} s, {run.world.told} lies, {run.refused} refused, {run.foreign} foreign items"
    )
    assert (run.foreign, run.stored_wrongly()) == (0, [])
