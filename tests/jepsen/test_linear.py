"""The linearizability checker: it refuses what no order explains, accepts what a correct system did, and agrees with trying all orders."""

from __future__ import annotations

import itertools
import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.jepsen.linear import IMPOSSIBLE, check, check_all, counter, members, register
from tests.jepsen.record import LATE, NOT_APPLIED, OK, REFUSED, UNKNOWN, Op
from tests.jepsen.simulated import histories


def _op(kind, value=None, result=None, *, at, outcome=OK):
    begin, end = at
    _op.count += 1
    return Op(f"o{_op.count}", kind, "k", value, begin, math.inf if outcome == UNKNOWN else end, outcome, result)


_op.count = 0


REFUSED_REGISTERS = {
    "a read of what nobody wrote": [_op("write", "a", at=(0, 1)), _op("read", result="b", at=(2, 3))],
    "a stale read": [
        _op("write", "a", at=(0, 1)), _op("write", "b", at=(2, 3)), _op("read", result="a", at=(4, 5)),
    ],
    "an acknowledged write is lost": [_op("write", "a", at=(0, 1)), _op("read", result=None, at=(2, 3))],
    "new and then old again": [
        _op("write", "a", at=(0, 1)), _op("write", "b", at=(2, 9)),
        _op("read", result="b", at=(3, 4)), _op("read", result="a", at=(5, 6)),
    ],
    "two compare-and-sets of one value": [
        _op("write", "a", at=(0, 1)), _op("cas", ("a", "b"), at=(2, 5)), _op("cas", ("a", "c"), at=(3, 6)),
    ],
    "a compare-and-set that was refused without a reason": [
        _op("write", "a", at=(0, 1)), _op("cas", ("a", "b"), at=(2, 3), outcome=REFUSED),
        _op("read", result="a", at=(4, 5)),
    ],
    "a read of what was not applied": [
        _op("write", "a", at=(0, 1), outcome=NOT_APPLIED), _op("read", result="a", at=(2, 3)),
    ],
    "a read from the future": [_op("read", result="a", at=(0, 1)), _op("write", "a", at=(2, 3))],
    "an unknown write took effect twice": [
        _op("write", "a", at=(0, 1), outcome=UNKNOWN), _op("read", result="a", at=(2, 3)),
        _op("write", "b", at=(4, 5)), _op("read", result="b", at=(6, 7)), _op("read", result="a", at=(8, 9)),
    ],
    "a late copy after its time": [
        _op("write", "a", at=(0, 4), outcome=LATE), _op("write", "b", at=(5, 6)), _op("read", result="a", at=(7, 8)),
    ],
}  # fmt: skip

ACCEPTED_REGISTERS = {
    "an unknown write takes effect long after": [
        _op("write", "a", at=(0, 1), outcome=UNKNOWN), _op("write", "b", at=(2, 3)),
        _op("read", result="b", at=(4, 5)), _op("read", result="a", at=(6, 7)),
    ],
    "an unknown write takes none": [
        _op("write", "a", at=(0, 1), outcome=UNKNOWN), _op("read", result=None, at=(2, 3)),
    ],
    "a late copy within its time": [
        _op("write", "a", at=(0, 1)), _op("write", "b", at=(2, 3)), _op("write", "a", at=(0, 6), outcome=LATE),
        _op("read", result="b", at=(4, 4.5)), _op("read", result="a", at=(5, 7)),
    ],
    "two reads that overlap a write see it in either order": [
        _op("write", "a", at=(0, 9)), _op("read", result=None, at=(1, 4)), _op("read", result="a", at=(2, 3)),
    ],
    "an unknown write is the reason of a refusal": [
        _op("write", "a", at=(0, 1)), _op("write", "b", at=(2, 3), outcome=UNKNOWN),
        _op("cas", ("a", "c"), at=(4, 5), outcome=REFUSED), _op("read", result="b", at=(6, 7)),
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED_REGISTERS)
def test_a_register_that_is_wrong_is_refused(name):
    failure = check(REFUSED_REGISTERS[name], register)
    assert failure is not None
    assert not failure.undecided
    assert "k is not linearizable" in str(failure)


@pytest.mark.parametrize("name", ACCEPTED_REGISTERS)
def test_a_register_that_is_right_is_accepted(name):
    assert check(ACCEPTED_REGISTERS[name], register) is None


@pytest.mark.parametrize(
    "ops",
    [
        [_op("add", "x", at=(0, 1)), _op("read", result=[], at=(2, 3))],
        [_op("add", "x", at=(0, 1)), _op("remove", "x", at=(2, 3)), _op("contains", "x", True, at=(4, 5))],
        [_op("add", "x", at=(0, 1)), _op("add", "y", at=(0, 1)), _op("read", result=["x"], at=(2, 3))],
        # Each element by itself would be right: the two reads see the two adds in different orders.
        [
            _op("add", "x", at=(0, 9)), _op("add", "y", at=(0, 9)),
            _op("read", result=["x"], at=(1, 4)), _op("read", result=["y"], at=(2, 5)),
        ],
    ],
)  # fmt: skip
def test_a_set_that_is_wrong_is_refused(ops):
    assert check(ops, members) is not None


@pytest.mark.parametrize(
    "ops",
    [
        [_op("add", 5, at=(0, 1)), _op("read", result=10, at=(2, 3))],
        [_op("add", 5, 5, at=(0, 1)), _op("add", 5, 5, at=(2, 3))],
        [
            _op("add", 5, at=(0, 1), outcome=UNKNOWN),
            _op("read", result=5, at=(2, 3)),
            _op("read", result=10, at=(4, 5)),
        ],
    ],
)
def test_a_counter_that_is_wrong_is_refused(ops):
    assert check(ops, counter) is not None


def test_keys_are_judged_by_themselves():
    good = [op._replace(key="good") for op in ACCEPTED_REGISTERS["an unknown write takes none"]]
    bad = [op._replace(key="bad") for op in REFUSED_REGISTERS["a stale read"]]
    assert [failure.key for failure in check_all([*good, *bad], register)] == ["bad"]


def test_what_takes_too_many_ways_is_undecided_and_not_accepted():
    ops = [_op("add", f"e{number}", at=(0, 1), outcome=UNKNOWN) for number in range(12)]
    ops.append(_op("read", result=["other"], at=(2, 3)))
    failure = check(ops, members, most=1_000)
    assert failure is not None
    assert failure.undecided


def test_many_operations_of_unknown_outcome_take_few_ways():
    ops = [_op("write", f"u{number}", at=(number, 0), outcome=UNKNOWN) for number in range(30)]
    for number in range(60):
        ops += [
            _op("write", f"w{number}", at=(number, number + 0.5)),
            _op("read", result=f"w{number}", at=(number + 0.6, number + 0.9)),
        ]
    assert check(ops, register, most=20_000) is None


def _ask_register(dice, place, state):
    kind = dice.choice(("read", "write", "cas", "cas"))
    expected = dice.choice((state, state, "other", "v0"))
    return kind, {"read": None, "write": f"v{place}", "cas": (expected, f"v{place}")}[kind]


def _ask_members(dice, place, state):
    return dice.choice(("read", "contains", "add", "remove")), dice.choice("xyz")


def _ask_counter(dice, place, state):
    return dice.choice(("read", "add")), dice.randrange(1, 4)


def _shown_members(state, kind, value):
    state = state or frozenset()
    return sorted(state) if kind == "read" else value in state if kind == "contains" else None


def _shown_counter(state, kind, value):
    return (state or 0) + (value if kind == "add" else 0)


SYSTEMS = {
    "register": (register, _ask_register, lambda state, kind, value: state if kind == "read" else None),
    "set": (members, _ask_members, _shown_members),
    "counter": (counter, _ask_counter, _shown_counter),
}


@pytest.mark.parametrize("name", SYSTEMS)
@settings(max_examples=150)
@given(data=st.data())
def test_what_a_correct_system_did_is_accepted(name, data):
    step, ask, shown = SYSTEMS[name]
    failure = check(data.draw(histories(step, ask, shown)), step)
    assert failure is None, str(failure)


def _by_trying_all(ops, step):
    """Whether some order of some of the optional operations explains the history."""
    ops = [op for op in ops if op.outcome != NOT_APPLIED]
    must = [op for op in ops if op.outcome in {OK, REFUSED}]
    may = [op for op in ops if op.outcome in {UNKNOWN, LATE}]
    for size in range(len(may) + 1):
        for chosen in itertools.combinations(may, size):
            for order in itertools.permutations([*must, *chosen]):
                if any(later.end < earlier.begin for earlier, later in itertools.combinations(order, 2)):
                    continue
                state = None
                for op in order:
                    state = step(state, op)
                    if state is IMPOSSIBLE:
                        break
                else:
                    return True
    return False


def _anything(count, seed):
    dice = random.Random(seed)
    ops = []
    for place in range(count):
        kind = dice.choice(("read", "write", "cas"))
        begin = dice.randrange(8) + place / 100
        end = begin + dice.randrange(5) + 0.5
        outcome = {"read": OK, "write": dice.choice((OK, OK, UNKNOWN, LATE))}.get(kind)
        outcome = outcome or dice.choice((OK, OK, UNKNOWN, LATE, REFUSED))
        value = {"read": None, "write": dice.choice("ab"), "cas": (dice.choice("ab"), dice.choice("ab"))}[kind]
        result = dice.choice((None, "a", "b")) if kind == "read" else None
        ops.append(Op(f"o{place}", kind, "k", value, begin, math.inf if outcome == UNKNOWN else end, outcome, result))
    return ops


@settings(max_examples=400)
@given(st.builds(_anything, st.integers(1, 5), st.integers(0)))
def test_it_says_what_trying_all_orders_says(ops):
    assert (check(ops, register) is None) == _by_trying_all(ops, register)
