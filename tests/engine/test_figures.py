"""What the engine takes of the processor stays within its bounds, at many items too."""

import pytest

from benchmarks.engine_cpu import BOUNDS, figures, filled
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
