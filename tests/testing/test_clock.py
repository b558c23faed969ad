from __future__ import annotations

import pytest

from dynamorm.testing import FakeClock


def test_both_clocks_advance_together():
    clock = FakeClock(now=100.0, monotonic=5.0)
    clock.advance(2.5)
    clock.sleep(0.5)
    assert (clock.time(), clock.monotonic()) == (103.0, 8.0)


def test_a_jump_moves_only_the_wall_clock():
    clock = FakeClock(now=100.0, monotonic=5.0)
    clock.jump(-3600)
    assert (clock.time(), clock.monotonic()) == (-3500.0, 5.0)


def test_time_does_not_run_backwards():
    with pytest.raises(ValueError, match="jump"):
        FakeClock().advance(-1)
