"""The checker finds what it is there for: it is tried on small histories of which each is wrong in one way."""

from __future__ import annotations

import pytest

from tests.histories.checker import Tables, judge
from tests.histories.journal import Entry
from tests.histories.model import ACCOUNTS, START, Task


def _account(name="a0", *, balance=START, log=()):
    return {"id": {"S": name}, "balance": {"N": str(balance)}, "log": {"L": [{"S": one} for one in log]}}


def _tables(*accounts, counters=(), receipts=(), charges=()):
    known = {one["id"]["S"]: one for one in accounts}
    full = [known.get(f"a{number}", _account(f"a{number}")) for number in range(ACCOUNTS)]
    return Tables(full, list(counters), list(receipts), list(charges))


def _counter(amount):
    return {"id": {"S": "c"}, "amount": {"N": str(amount)}}


def _entry(kind, outcome, *, error="", first=""):
    return Entry(Task("op", kind, "a0", "a1", 10, "c", 2), outcome, first, error)


RECEIPT = {"id": {"S": "op"}}


@pytest.mark.parametrize(
    ("kind", "tables"),
    [
        ("append", _tables(_account(log=["other", "op"]))),
        ("add", _tables(counters=[_counter(1 + 4**2)])),
        ("create", _tables(receipts=[RECEIPT])),
        ("charge", _tables(charges=[{"id": {"S": "op"}, "order": {"S": "c.0"}}, {"id": {"S": "~U#x"}}])),
        ("delete", _tables()),
    ],
)
def test_what_was_applied_once_is_right_as_applied_and_wrong_as_not_applied(kind, tables):
    assert judge([_entry(kind, "APPLIED")], tables).ok
    assert judge([_entry(kind, "UNKNOWN")], tables).ok
    assert judge([_entry(kind, "")], tables).ok
    assert len(judge([_entry(kind, "NOT_APPLIED")], tables).misreported) == 1


@pytest.mark.parametrize(
    ("kind", "tables", "body"),
    [
        ("transfer", _tables(receipts=[RECEIPT]), b'{"TransactItems":[{"Put":{"Item":{"id":{"S":"op"}}}}]}'),
        ("guarded", _tables(counters=[_counter(4**2)]), b'{"Key":{"id":{"S":"c"}},":v0":{"N":"16"}}'),
    ],
)
def test_what_the_network_copied_after_an_answer_is_counted_apart(kind, tables, body):
    entry = _entry(kind, "NOT_APPLIED")
    verdict = judge([entry], tables, [body])
    assert (verdict.misreported, verdict.counts["copied"]) == ([], 1)
    other = body.replace(b'"op"', b'"op2"').replace(b'"16"', b'"64"')
    assert len(judge([entry], tables, [other]).misreported) == 1
    assert len(judge([_entry(kind, "APPLIED")], _tables(), [body]).lost) == 1


@pytest.mark.parametrize("kind", ["append", "save", "add", "increment", "create", "charge", "transfer", "batch"])
def test_what_is_not_there_is_lost_if_it_was_said_to_be_applied(kind):
    tables = _tables(counters=[_counter(4 + 4**3)])
    assert len(judge([_entry(kind, "APPLIED")], tables).lost) == 1
    assert judge([_entry(kind, "NOT_APPLIED"), _entry(kind, "")], tables).ok


@pytest.mark.parametrize("outcome", ["APPLIED", "NOT_APPLIED", "UNKNOWN", ""])
def test_twice_is_wrong_whatever_was_said(outcome):
    assert len(judge([_entry("save", outcome)], _tables(_account(log=["op", "op"]))).doubled) == 1
    assert len(judge([_entry("add", outcome)], _tables(counters=[_counter(2 * 4**2)])).doubled) == 1


def test_money_that_no_receipt_explains_is_found():
    assert judge([], _tables()).ok
    assert judge([], _tables(_account(balance=START + 1))).inconsistent
    receipt = RECEIPT | {"giver": {"S": "a0"}, "taker": {"S": "a1"}, "cents": {"N": "10"}}
    assert judge([], _tables(_account(balance=START - 10), _account("a1", balance=START + 10), receipts=[receipt])).ok
    assert judge([], _tables(receipts=[receipt])).inconsistent


def test_two_charges_of_one_value_and_a_guard_without_a_charge_are_found():
    one = {"id": {"S": "op"}, "order": {"S": "c.0"}}
    other = {"id": {"S": "op2"}, "order": {"S": "c.0"}}
    guards = [{"id": {"S": "~U#1"}}, {"id": {"S": "~U#2"}}]
    assert judge([], _tables(charges=[one, other, *guards])).inconsistent
    assert judge([], _tables(charges=[one, *guards])).inconsistent
    assert judge([], _tables(charges=[one, guards[0]])).ok


def test_the_share_of_the_unknown_is_of_what_ran_to_its_end():
    entries = [
        _entry("create", "UNKNOWN"), _entry("create", "NOT_APPLIED"), _entry("create", ""),
        _entry("create", "", error="CancelledError"), _entry("create", "NOT_APPLIED", first="UNKNOWN"),
    ]  # fmt: skip
    verdict = judge(entries, _tables())
    assert verdict.unknown == pytest.approx(1 / 3)
    assert (verdict.counts["killed"], verdict.counts["cancelled"], verdict.counts["resolved"]) == (1, 1, 1)
