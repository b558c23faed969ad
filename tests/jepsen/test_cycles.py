"""The checker of transactions names each anomaly, shows the smallest cycle, and accepts what a serializable system did."""

from __future__ import annotations

import math
import time

import pytest
from hypothesis import given, settings

from tests.jepsen.cycles import Txn, check
from tests.jepsen.record import NOT_APPLIED, OK, UNKNOWN
from tests.jepsen.simulated import transactions


def _txn(name, reads=None, appends=None, *, at=(0, 100), outcome=OK):
    begin, end = at
    return Txn(name, begin, math.inf if outcome == UNKNOWN else end, outcome, reads or {}, appends or {})


ANOMALIES = {
    "dirty write": (
        "G0",
        [
            _txn("t1", appends={"x": [1], "y": [1001]}), _txn("t2", appends={"x": [2], "y": [1002]}),
            _txn("r", {"x": [1, 2], "y": [1002, 1001]}),
        ],
    ),
    "aborted read": ("G1a", [_txn("t1", appends={"x": [1]}, outcome=NOT_APPLIED), _txn("r", {"x": [1]})]),
    "intermediate read": ("G1b", [_txn("t1", appends={"x": [1, 2]}), _txn("r", {"x": [1]})]),
    "circular information flow": (
        "G1c",
        [_txn("t1", {"y": [2]}, {"x": [1]}), _txn("t2", {"x": [1]}, {"y": [2]})],
    ),
    "lost update": (
        "G-single",
        [
            _txn("t0", appends={"x": [0]}), _txn("t1", {"x": [0]}, {"x": [1]}), _txn("t2", {"x": [0]}, {"x": [2]}),
            _txn("r", {"x": [0, 1, 2]}),
        ],
    ),
    "fractured read": (
        "G-single",
        [_txn("t1", appends={"x": [1], "y": [2]}), _txn("r", {"x": [1], "y": []}), _txn("s", {"x": [1], "y": [2]})],
    ),
    "write skew": (
        "G2",
        [
            _txn("t1", {"x": [], "y": []}, {"x": [1]}), _txn("t2", {"x": [], "y": []}, {"y": [2]}),
            _txn("r", {"x": [1], "y": [2]}),
        ],
    ),
    "long fork": (
        "G2",
        [
            _txn("t1", appends={"x": [1]}), _txn("t2", appends={"y": [2]}), _txn("r1", {"x": [1], "y": []}),
            _txn("r2", {"x": [], "y": [2]}), _txn("r", {"x": [1], "y": [2]}),
        ],
    ),
    "stale read": (
        "G-single-realtime",
        [_txn("t1", appends={"x": [1]}, at=(0, 1)), _txn("s", {"x": []}, at=(2, 3)), _txn("r", {"x": [1]}, at=(4, 5))],
    ),
    "order of writes against that of time": (
        "G0-realtime",
        [
            _txn("t1", appends={"x": [1]}, at=(0, 1)), _txn("t2", appends={"x": [2]}, at=(2, 3)),
            _txn("r", {"x": [2, 1]}, at=(4, 5)),
        ],
    ),
    "read from the future": (
        "G1c-realtime",
        [_txn("r", {"x": [1]}, at=(0, 1)), _txn("t1", appends={"x": [1]}, at=(2, 3))],
    ),
    "unknown and seen in halves": (
        "G-single",
        [
            _txn("t1", appends={"x": [1], "y": [2]}, outcome=UNKNOWN), _txn("r", {"x": [1], "y": []}),
            _txn("s", {"x": [1], "y": [2]}),
        ],
    ),
    "doubled add": ("doubled append", [_txn("t1", appends={"x": [1]}), _txn("r", {"x": [1, 1]})]),
    "value of nobody": ("phantom", [_txn("r", {"x": [9]})]),
    "value of another list": ("phantom", [_txn("t1", appends={"y": [9]}), _txn("r", {"x": [9]})]),
    "two orders": (
        "incompatible order",
        [
            _txn("t1", appends={"x": [1]}), _txn("t2", appends={"x": [2]}), _txn("r", {"x": [1, 2]}),
            _txn("s", {"x": [2]}),
        ],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ANOMALIES)
def test_an_anomaly_is_found_under_its_name(name):
    wanted, txns = ANOMALIES[name]
    found = check(txns)
    assert wanted in {one.name for one in found}, [str(one) for one in found]


def test_what_is_acknowledged_and_not_there_is_lost():
    txns = [_txn("t1", appends={"x": [1]}), _txn("r", {"x": []}, at=(200, 201))]
    assert [one.name for one in check(txns, complete=True)] == ["lost append"]
    assert check([txns[0]._replace(outcome=UNKNOWN, end=math.inf), txns[1]], complete=True) == []


def test_the_smallest_cycle_is_shown():
    """Two cycles are knotted together: one of four transactions, and one of two."""
    txns = [
        _txn("t1", {"d": [4]}, {"a": [1]}), _txn("t2", {"a": [1]}, {"b": [2]}), _txn("t3", {"b": [2]}, {"c": [3], "e": [5]}),
        _txn("t4", {"c": [3], "e": [5]}, {"d": [4], "f": [6]}), _txn("t5", {"f": [6]}, {"g": [7]}),
        _txn("t6", {"g": [7]}, {"h": [8]}), _txn("r", {"h": [8]}),
    ]  # fmt: skip
    (one,) = check(txns)
    assert one.name == "G1c"
    assert one.text.splitlines()[0].count("->") == 4
    short = [*txns, _txn("t7", {"d": [4]}, {"i": [9]}), _txn("t8", {"i": [9]}, {"j": [10]})]
    short[3] = short[3]._replace(reads={**short[3].reads, "i": [9]})
    (one,) = check(short)
    assert one.text.splitlines()[0].count("->") == 2
    assert "-wr->" in one.text


def _long(count=6_000, each=100):
    """Transactions one behind the other, with some at a time, each of which reads a list and appends to it."""
    lists, txns = {}, []
    for number in range(count):
        key = f"k{number // each}"
        before = lists.setdefault(key, [])
        txns.append(_txn(f"t{number}", {key: before} if number % 3 else {}, {key: [number]}, at=(number, number + 0.5)))
        lists[key] = [*before, number]
    return [*txns, _txn("last", lists, at=(count, count + 1))]


def test_a_long_history_is_judged_in_little_time():
    txns, began = _long(), time.process_time()
    assert check(txns, complete=True) == []
    assert time.process_time() - began < 20
    at = next(at for at, one in enumerate(txns) if at > 3_000 and one.reads)
    ((key, seen),) = txns[at].reads.items()
    txns[at] = txns[at]._replace(reads={key: seen[:-2]})  # it has not seen what was there when it began
    assert [one.name for one in check(txns, complete=True)] != []


@settings(max_examples=300)
@given(transactions())
def test_what_a_serializable_system_did_is_accepted(txns):
    assert [str(one) for one in check(txns, complete=True)] == []
