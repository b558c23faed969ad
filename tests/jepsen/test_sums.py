"""The checkers of counters and of the bank find what does not add up, and nothing else."""

from __future__ import annotations

import math

import pytest
from hypothesis import given

from tests.jepsen.linear import counter
from tests.jepsen.record import LATE, NOT_APPLIED, OK, UNKNOWN, Op
from tests.jepsen.simulated import histories
from tests.jepsen.sums import bank, counters


def _op(name, kind, value, result=None, *, at=(0, 1), outcome=OK):
    return Op(name, kind, "k", value, at[0], math.inf if outcome == UNKNOWN else at[1], outcome, result)


@pytest.mark.parametrize(
    ("ops", "final"),
    [
        ([_op("a", "add", 5)], 0),
        ([_op("a", "add", 5)], 10),
        ([_op("a", "add", 5, outcome=NOT_APPLIED)], 5),
        ([_op("a", "add", 5), _op("r", "read", None, 0, at=(2, 3))], 5),
        ([_op("a", "add", 5, at=(4, 5)), _op("r", "read", None, 5, at=(2, 3))], 5),
        ([_op("a", "add", 5, 5), _op("b", "add", 5, 5)], 10),
        ([_op("a", "add", 5, 4)], 5),
    ],
)
def test_a_counter_that_does_not_add_up_is_found(ops, final):
    assert counters(ops, {"k": final})


def test_an_unknown_add_may_be_there_or_not():
    ops = [_op("a", "add", 5, outcome=UNKNOWN), _op("b", "add", 2)]
    assert counters(ops, {"k": 2}) == counters(ops, {"k": 7}) == []
    assert counters(ops, {"k": 8})


def test_an_add_that_was_refused_may_be_there_by_a_copy_that_came_late():
    ops = [_op("a", "add", 5, outcome=NOT_APPLIED), _op("a~1", "add", 5, outcome=LATE), _op("b", "add", 2)]
    assert counters(ops, {"k": 2}) == counters(ops, {"k": 7}) == []
    assert counters(ops, {"k": 8})
    assert counters([ops[0], ops[2]], {"k": 7})


def _ask(dice, place, state):
    return dice.choice(("read", "add")), dice.randrange(1, 4)


def _shown(state, kind, value):
    return (state or 0) + (value if kind == "add" else 0)


@given(histories(counter, _ask, _shown))
def test_a_counter_of_a_correct_system_is_accepted(ops):
    known = sum(op.value for op in ops if op.kind == "add" and op.outcome == OK)
    assert counters(ops, {"k": known}) == []


GOOD = {"a": 60, "b": 140}
RECEIPTS = {"t": ("a", "b", 40)}


def _bank(reads=(), transfers=(), final=GOOD, receipts=RECEIPTS):
    return bank(reads, transfers, final, receipts, accounts=2, each=100)


def test_a_bank_that_is_right_is_accepted():
    assert _bank([_op("r", "read", None, {"a": 100, "b": 100})], [_op("t", "transfer", ["a", "b", 40])]) == []
    assert _bank(transfers=[_op("t", "transfer", ["a", "b", 40], outcome=UNKNOWN)]) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"reads": [_op("r", "read", None, {"a": 60, "b": 100})]},
        {"reads": [_op("r", "read", None, {"a": -60, "b": 260})]},
        {"reads": [_op("r", "read", None, {"a": 200})]},
        {"final": {"a": 60, "b": 100}},
        {"receipts": {}},
        {"transfers": [_op("u", "transfer", ["a", "b", 40])]},
        {"transfers": [_op("t", "transfer", ["a", "b", 40], outcome=NOT_APPLIED)]},
        {"receipts": RECEIPTS | {"u": ("b", "a", 1)}},
    ],
)
def test_a_bank_that_does_not_add_up_is_found(wrong):
    assert _bank(**wrong)
