"""Judges a history: what the journals say of each operation, and what the tables hold. It does not use the library.

It reads every table over plain HTTP, and finds for each operation how often it was applied.
"""

from __future__ import annotations

from collections import Counter as Count
from collections.abc import Sequence
from typing import Any, NamedTuple

from tests.held.world import Engine
from tests.histories.journal import Entry
from tests.histories.model import ACCOUNTS, START, Task

Item = dict[str, Any]


class Tables(NamedTuple):
    """Everything that is stored."""

    accounts: list[Item]
    counters: list[Item]
    receipts: list[Item]
    charges: list[Item]


def everything(endpoint: str, prefix: str) -> Tables:
    """Read all tables, consistently."""
    engine = Engine(endpoint)
    try:
        return Tables(*(scan(engine, prefix + name) for name in Tables._fields))
    finally:
        engine.close()


def scan(engine: Engine, name: str) -> list[Item]:
    """All items of a table, read consistently."""
    found: list[Item] = []
    start: dict[str, Any] = {}
    while True:
        status, page = engine.ask("Scan", TableName=name, ConsistentRead=True, **start)
        assert status == 200, page
        found += page["Items"]
        if "LastEvaluatedKey" not in page:
            return found
        start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}


class Verdict(NamedTuple):
    """What is wrong, each as a line; and what was counted."""

    lost: list[str]
    doubled: list[str]
    misreported: list[str]
    inconsistent: list[str]
    counts: Count[str]
    undecided: Count[str]

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not (self.lost or self.doubled or self.misreported or self.inconsistent)

    @property
    def unknown(self) -> float:
        """The share of the operations which ran to their end and of which nobody can tell what became, after `resolve`."""
        return self.counts["UNKNOWN"] / max(1, self.counts["ended"])

    def _which(self) -> str:
        return "".join(f"; {count} {name}" for name, count in self.undecided.most_common(8))

    def __str__(self) -> str:
        counts = self.counts
        return (
            f"{counts['begun']} operations: {counts['APPLIED']} applied, {counts['NOT_APPLIED']} not applied, "
            f"{counts['UNKNOWN']} unknown ({self.unknown:.3%}{self._which()}), {counts['killed']} ended by a kill, "
            f"{counts['cancelled']} by a cancellation; {counts['resolved']} were settled by resolve; lost {len(self.lost)}, "
            f"doubled {len(self.doubled)}, misreported {len(self.misreported)} "
            f"(and {counts['copied']} that the network had copied after an answer), inconsistent {len(self.inconsistent)}"
        )


def judge(entries: Sequence[Entry], tables: Tables, copied: Sequence[bytes] = ()) -> Verdict:
    """Compare what was said with what is stored.

    ``copied`` are the bodies of requests that were answered, and delivered once more all the same. Who is refused, and
    is not told of the copy, says NOT_APPLIED, and the copy may be applied later: this cannot be seen from the sender's
    side, and the guide says so. Such operations are counted apart.
    """
    times = _Times(tables)
    lost, doubled, misreported = [], [], []
    counts: Count[str] = Count()
    undecided = Count(
        f"{one.task.kind} {one.error}" for one in entries if one.outcome == "UNKNOWN" and one.error != "CancelledError"
    )
    for entry in entries:
        found = times.applied(entry)
        line = f"{entry.task.kind} {entry.task.id}: {entry.outcome or 'ended'} {entry.error}, applied {found} times"
        counts.update(_counted(entry))
        if found > 1:
            doubled.append(line)
        elif entry.outcome == "APPLIED" and found == 0:
            lost.append(line)
        elif entry.outcome == "NOT_APPLIED" and found:
            if any(_is_of(entry.task, body) for body in copied):
                counts["copied"] += 1
            else:
                misreported.append(line)
    return Verdict(lost, doubled, misreported, _inconsistent(tables, entries), counts, undecided)


def _is_of(task: Task, body: bytes) -> bool:
    """Whether a request is one of this operation."""
    if task.kind in {"add", "increment", "guarded"}:
        return f'"{task.place}"'.encode() in body and f'"{4**task.digit}"'.encode() in body
    return f'"{task.id}"'.encode() in body


def _counted(entry: Entry) -> list[str]:
    names = ["begun"]
    if entry.error in {"CancelledError", "NotBegun"}:
        names.append({"CancelledError": "cancelled", "NotBegun": "not begun"}[entry.error])
    elif not entry.outcome:
        names.append("killed")
    else:
        names += ["ended", entry.outcome]
        if entry.first and entry.outcome != "UNKNOWN":
            names.append("resolved")
    return names


class _Times:
    """How often each operation was applied."""

    def __init__(self, tables: Tables) -> None:
        self.logged = Count(one["S"] for account in tables.accounts for one in account["log"]["L"])
        self.amounts = {one["id"]["S"]: int(one["amount"]["N"]) for one in tables.counters}
        self.receipts = {one["id"]["S"] for one in tables.receipts}
        self.charges = {one["id"]["S"] for one in tables.charges}

    def applied(self, entry: Entry) -> int:
        task = entry.task
        if task.kind in {"append", "save", "update"}:
            return self.logged[task.id]
        if task.kind in {"add", "increment", "guarded"}:
            return self.amounts.get(task.place, 0) // 4**task.digit % 4
        if task.kind == "charge":
            return int(task.id in self.charges)
        if task.kind == "delete":
            # Ended before its item was made, there is nothing to be deleted; that cannot be told from having done it.
            return int(task.id not in self.receipts)
        return int(task.id in self.receipts)


def _inconsistent(tables: Tables, entries: Sequence[Entry]) -> list[str]:
    """What no operation alone shows: money made or lost, values that two have, guards that fit nothing."""
    found = []
    balances = {one["id"]["S"]: int(one["balance"]["N"]) for one in tables.accounts}
    moved: Count[str] = Count()
    for one in tables.receipts:
        cents = int(one.get("cents", {"N": "0"})["N"])
        moved[one.get("giver", {}).get("S", "")] -= cents
        moved[one.get("taker", {}).get("S", "")] += cents
    if sum(balances.values()) != START * ACCOUNTS:
        found.append(f"the balances add up to {sum(balances.values())}")
    found += [
        f"{name} has {has}, its receipts say {START + moved[name]}"
        for name, has in balances.items()
        if has != START + moved[name]
    ]
    found += [f"{name} has {has}" for name, has in balances.items() if has < 0]
    guards = [one for one in tables.charges if one["id"]["S"].startswith("~U#")]
    charges = [one for one in tables.charges if not one["id"]["S"].startswith("~U#")]
    values = Count(one["order"]["S"] for one in charges)
    found += [f"{count} charges have the value {value}" for value, count in values.items() if count > 1]
    if len(guards) != len(charges):
        found.append(f"{len(charges)} charges and {len(guards)} guards")
    wanted = {
        f"{entry.task.place}.{entry.task.digit // 4}"
        for entry in entries
        if entry.task.kind == "charge" and entry.outcome
    }
    settled = {
        f"{entry.task.place}.{entry.task.digit // 4}" for entry in entries
        if entry.task.kind == "charge" and entry.error == "DuplicateKey"
    }  # fmt: skip
    found += [
        f"nobody has the value {value}, and somebody was told it is taken" for value in (wanted & settled) - set(values)
    ]
    return found
