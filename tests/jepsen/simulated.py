"""Histories of correct systems, drawn: what the checkers must accept. Few draws of Hypothesis: a length, and a seed."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from tests.jepsen.cycles import Txn
from tests.jepsen.linear import IMPOSSIBLE, Step
from tests.jepsen.record import LATE, NOT_APPLIED, OK, REFUSED, UNKNOWN, Op

NEVER = "never"
"""Unknown, and it took no effect."""

Ask = Callable[[random.Random, int, Any], tuple[str, Any]]
"""Draws the kind and the value of the operation of a place, in a state."""

Shown = Callable[[Any, str, Any], Any]
"""What a correct system tells, in a state, of an operation of a kind with a value."""


def _window(dice: random.Random, place: int) -> tuple[float, float]:
    """Around the moment at which it takes effect: times of others lie in it, but no two take effect at once."""
    return place - dice.choice((0, dice.uniform(0, 4))), place + dice.choice((0, dice.uniform(0, 4)))


def histories(step: Step, ask: Ask, shown: Shown) -> st.SearchStrategy[list[Op]]:
    """Histories of one object."""
    return st.builds(lambda count, seed: _history(count, seed, step, ask, shown), st.integers(1, 25), st.integers(0))


def _history(count: int, seed: int, step: Step, ask: Ask, shown: Shown) -> list[Op]:
    dice = random.Random(seed)
    state: Any = None
    ops = []
    for place in range(count):
        kind, value = ask(dice, place, state)
        begin, end = _window(dice, place)
        outcome = dice.choice((OK, OK, OK, OK, UNKNOWN, NEVER, NOT_APPLIED, LATE))
        if kind in {"read", "contains"}:
            outcome = OK
        op = Op(f"o{place}", kind, "k", value, begin, end, OK, shown(state, kind, value))
        if outcome in {OK, UNKNOWN, LATE}:
            after = step(state, op)
            if after is not IMPOSSIBLE:
                state = after
            elif outcome == OK:
                outcome = REFUSED
        outcome = UNKNOWN if outcome == NEVER else outcome
        ops.append(op._replace(outcome=outcome, end=math.inf if outcome == UNKNOWN else end))
    dice.shuffle(ops)
    return ops


def transactions() -> st.SearchStrategy[list[Txn]]:
    """Transactions on four lists, each of which takes effect at one moment; the last one reads everything."""
    return st.builds(_transactions, st.integers(1, 25), st.integers(0))


def _transactions(count: int, seed: int) -> list[Txn]:
    dice = random.Random(seed)
    lists: dict[str, list[int]] = {name: [] for name in "abcd"}
    txns, fresh = [], 0
    for place in range(count):
        begin, end = _window(dice, place)
        outcome = dice.choice((OK, OK, OK, OK, UNKNOWN, NEVER, NOT_APPLIED))
        reads = {key: list(lists[key]) for key in dice.sample("abcd", dice.randrange(5))}
        appends = {}
        for key in dice.sample("abcd", dice.randrange(4)):
            size = dice.randrange(1, 3)
            appends[key] = list(range(fresh, fresh + size))
            fresh += size
        if outcome in {OK, UNKNOWN}:
            for key, values in appends.items():
                lists[key] += values
        outcome = UNKNOWN if outcome == NEVER else outcome
        seen = reads if outcome == OK else {}
        txns.append(Txn(f"t{place}", begin, math.inf if outcome == UNKNOWN else end, outcome, seen, appends))
    dice.shuffle(txns)
    return [*txns, Txn("last", count + 10, count + 11, OK, lists, {})]
