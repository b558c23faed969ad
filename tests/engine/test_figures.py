"""What the engine takes of the processor stays within its bounds, at many items too."""

import json
import random
import time
from statistics import median

import pytest

from benchmarks.engine_cpu import BOUNDS, figures, filled
from benchmarks.engine_growth import BOUND, growth, together
from dynamorm.engine import Engine


@pytest.mark.soak  # a busy machine makes figures of no use
@pytest.mark.timeout(600)
@pytest.mark.parametrize("items", [1000, 100_000])
def test_the_engine_takes_no_more_than_its_bounds(items, figure):
    with Engine() as engine:
        filled(engine, items)
        found = figures(engine, items)
    figure(f"engine, {items:,} items: " + ", ".join(f"{name} {value:.1f} µs" for name, value in found.items()))
    assert all(found[name] <= bound for name, bound in BOUNDS.items()), found


@pytest.mark.once
@pytest.mark.parametrize(
    ("items", "rounds", "bound"),
    [(100_000, 15, 1.6), pytest.param(1_000_000, 60, BOUND, marks=[pytest.mark.soak, pytest.mark.timeout(1_200)])],
)
def test_a_call_costs_at_many_items_of_one_partition_what_it_costs_at_few(items, rounds, bound, figure):
    """Both are asked in turns, so that a busy machine disturbs both; what grows with the items is many times as much."""
    found = growth(items, together, rounds=rounds)
    figure(
        f"{items:,} items in one partition: "
        + ", ".join(f"{name} {many / few:.2f} x" for name, (few, many) in found.items())
    )
    assert all(many <= bound * few for few, many in found.values()), found


@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", ["changed", "new", "deleted"])
@pytest.mark.parametrize("items", [100_000, 1_000_000])
def test_going_back_by_a_thousand_writes_takes_less_than_two_milliseconds(items, kind, figure):
    rng, took = random.Random(4), []
    with Engine() as engine:
        filled(engine, items)
        start = engine.snapshot()
        for _ in range(10):
            for _ in range(1000):
                number = rng.randrange(items)
                key = {
                    "pk": {"S": f"k{number // 100}"},
                    "sk": {"N": str(number % 100 + (1000 if kind == "new" else 0))},
                }
                operation, member = ("DeleteItem", "Key") if kind == "deleted" else ("PutItem", "Item")
                assert engine.handle(operation, json.dumps({"TableName": "payments", member: key}).encode())[0] == 200
            begun = time.process_time()
            engine.restore(start)
            took.append(time.process_time() - begun)
    figure(
        f"1,000 writes ({kind}) of {items:,} items are undone in {median(took) * 1e3:.2f} ms, {min(took) * 1e3:.2f} at least"
    )
    assert min(took) < 0.002
