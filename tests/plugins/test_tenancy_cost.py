"""What a tenant adds to each operation, in calls of functions, a figure of every machine; ``python -m benchmarks.tenants`` prints µs."""

import pytest

from benchmarks import tenants
from benchmarks.calls import count

BUDGET = {
    "get": 3,
    "get by parts of a composite key": 1,
    "create": 3,
    "update by key": 4,
    "delete": 2,
    "query of 10": 4,
    "composite query of 10": 0,
    "batch_get of 10": 4,
    "batch_write of 10": 12,
    "transaction of 10": 13,
}
"""Functions of Python that are called beyond those of a database without tenants."""


@pytest.fixture(scope="module")
def added():
    plain, of_tenants = tenants.operations(tenant=False), tenants.operations(tenant=True)
    found = {}
    for name, operation in plain.items():
        for _ in range(20):
            operation()
            of_tenants[name]()
        calls = [min(count(one)["python"] for _ in range(7)) for one in (operation, of_tenants[name])]
        found[name] = calls[1] - calls[0]
    return found


@pytest.mark.parametrize("name", BUDGET)
def test_a_tenant_adds_no_more_calls_than_these(added, name):
    assert added[name] <= BUDGET[name]


def test_each_operation_has_its_figure(added, figure):
    assert added.keys() == BUDGET.keys()
    figure(f"calls of functions that a tenant adds: {', '.join(f'{name} {calls}' for name, calls in added.items())}")


def test_no_item_is_looked_at_by_a_call_of_its_own(added):
    """As many items as there are, a page costs as many calls: what tells whose they are is in one loop."""
    assert added["query of 10"] < added["get"] + 10


def test_they_are_what_they_say(monkeypatch):
    monkeypatch.setattr(tenants, "BLOCK", 1)
    found = tenants.measure(4)
    assert found.keys() == BUDGET.keys()
    assert all(len(plain) == len(of_tenants) == 4 for plain, of_tenants in found.values())
    assert len(tenants.operations(tenant=True)["query of 10"]()) == 10
