"""Judges a history of worker processes: what they noted, what the tables hold, and what the network delivered how often."""

from __future__ import annotations

import re
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import count
from typing import Any, Final, NamedTuple

from dynamorm.testing.backend import EngineBackend
from dynamorm.testing.proxy import LossyProxy
from dynamorm.testing.request import Request
from tests.held.world import Engine
from tests.histories.checker import scan
from tests.jepsen import cycles, linear, sums
from tests.jepsen.model import ACCOUNTS, COUNTERS, EACH
from tests.jepsen.record import LATE, NOT_APPLIED, OK, REFUSED, UNKNOWN, Noted, Op

_NAME: Final = re.compile(rb'"(w\d+\.\d+\.\d+)[":]')
_PLAIN: Final = {"PutItem", "UpdateItem", "DeleteItem"}


class Delivery(NamedTuple):
    """A write that reached the engine: the operation of DynamoDB, the ids of ours that are in it, and from when to when."""

    operation: str
    names: tuple[str, ...]
    begin: float
    end: float


class WatchingProxy(LossyProxy):
    """A lossy proxy that remembers when which write was delivered to the engine."""

    def __init__(self, upstream: str, **options: Any) -> None:
        super().__init__(upstream, **options)
        self.delivered: list[Delivery] = []
        backend: EngineBackend = self._engine
        forward = backend.forward

        async def watched(request: Request) -> Any:
            begin = time.monotonic()
            try:
                return await forward(request)
            finally:
                if request.operation in _PLAIN or request.operation == "TransactWriteItems":
                    names = tuple({one.decode() for one in _NAME.findall(request.body)})
                    self.delivered.append(Delivery(request.operation, names, begin, time.monotonic()))

        backend.forward = watched  # type: ignore[method-assign]


class Stored(NamedTuple):
    """What the tables hold at the end, when nothing is on its way any more."""

    registers: dict[str, Any]
    versioned: dict[str, Any]
    bags: dict[str, list[str]]
    counters: dict[str, int]
    accounts: dict[str, int]
    receipts: dict[str, tuple[str, str, int]]
    chains: dict[str, list[str]]
    time: float


def everything(endpoint: str, prefix: str) -> Stored:
    """Read all tables without the library."""
    engine, began = Engine(endpoint), time.monotonic()
    try:
        tables = {name: {one["id"]["S"]: one for one in scan(engine, prefix + name)} for name in Stored._fields[:-1]}
    finally:
        engine.close()

    def of(table: str, read: Any) -> dict[str, Any]:
        return {key: read(item) for key, item in tables[table].items()}

    return Stored(
        of("registers", lambda item: item.get("value", {}).get("S")),
        of("versioned", lambda item: item["value"]["S"]),
        of("bags", lambda item: sorted(item.get("members", {}).get("SS", []))),
        of("counters", lambda item: int(item["amount"]["N"])),
        of("accounts", lambda item: int(item["balance"]["N"])),
        of("receipts", lambda item: (item["giver"]["S"], item["taker"]["S"], int(item["cents"]["N"]))),
        of("chains", lambda item: [one["S"] for one in item["values"]["L"]]),
        began,
    )


class Verdict(NamedTuple):
    """What is wrong, each as a text; what no checker decided; and what was counted."""

    wrong: list[str]
    undecided: list[str]
    counts: Counter[str]
    errors: Counter[str]
    seconds: dict[str, float]

    def __str__(self) -> str:
        counts = self.counts
        spent = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in self.seconds.items())
        kinds = ", ".join(
            f"{counts[name]} {name.removeprefix('of ')}" for name in sorted(counts) if name.startswith("of ")
        )
        return (
            f"{counts['begun']} operations ({kinds}): {counts[OK]} ok, {counts[REFUSED]} refused by their condition, "
            f"{counts[NOT_APPLIED]} not applied, {counts[UNKNOWN]} unknown ({counts['unfinished']} of them ended by a kill, "
            f"{counts['cancelled']} by a cancellation); {counts['objects']} objects; {counts['repeated']} plain writes "
            f"delivered again, {counts['copied']} refused ones copied after their answer; checkers: {spent}; "
            f"{len(self.wrong)} anomalies, {len(self.undecided)} undecided"
        )


def judge(noted: Noted, stored: Stored, delivered: Sequence[Delivery]) -> Verdict:
    """Judge everything."""
    counts: Counter[str] = Counter()
    families = _by_family(noted.ops, counts)
    _count(noted, counts)
    _with_copies(families, delivered, counts)
    wrong: list[str] = []
    undecided: list[str] = []
    seconds: dict[str, float] = {}
    began = time.perf_counter()
    for family, step, last in (
        ("register", linear.register, stored.registers),
        ("versioned", linear.register, stored.versioned),
        ("bag", linear.members, stored.bags),
        ("counter", linear.counter, stored.counters),
    ):
        ops = [op for op in families[family] if op.key not in COUNTERS]
        empty: Any = {"bag": [], "counter": 0}.get(family)
        for failure in linear.check_all([*ops, *_last(ops, last, empty, stored.time)], step):
            (undecided if failure.undecided else wrong).append(f"{family}: {failure}")
        counts["objects"] += len({op.key for op in ops})
        seconds[family], began = time.perf_counter() - began, time.perf_counter()
    wrong += sums.counters(families["counter"], stored.counters)
    reads, transfers = ([op for op in families["bank"] if op.kind == kind] for kind in ("read", "transfer"))
    wrong += sums.bank(reads, transfers, stored.accounts, stored.receipts, accounts=len(ACCOUNTS), each=EACH)
    seconds["sums"], began = time.perf_counter() - began, time.perf_counter()
    txns = [_txn(op, families) for op in families["chain"]]
    txns.append(cycles.Txn("last", stored.time, stored.time + 1, OK, stored.chains, {}))
    wrong += [str(one) for one in cycles.check(txns, complete=True)]
    seconds["cycles"] = time.perf_counter() - began
    counts["objects"] += len(stored.chains)
    return Verdict(wrong, undecided, counts, Counter(noted.errors.values()), seconds)


def _by_family(ops: Iterable[Op], counts: Counter[str]) -> dict[str, list[Op]]:
    families: dict[str, list[Op]] = defaultdict(list)
    for op in ops:
        family = "counter" if op.key in COUNTERS else op.key.partition(".")[0]
        families[family].append(op)
        counts[f"of {family}"] += 1
    return families


def _count(noted: Noted, counts: Counter[str]) -> None:
    counts["begun"] = len(noted.ops)
    for op in noted.ops:
        counts[op.outcome] += 1
        if op.outcome == UNKNOWN and op.id not in noted.errors:
            counts["unfinished"] += 1
        elif op.outcome == UNKNOWN and noted.errors[op.id] == "CancelledError":
            counts["cancelled"] += 1


def _with_copies(families: dict[str, list[Op]], delivered: Iterable[Delivery], counts: Counter[str]) -> None:
    """Add what the network may have done by itself, as far as the guide says that nobody can see it.

    A plain write of a register without a version, which is the same twice as once, may take effect with each delivery. What
    was refused may take effect with a copy that is delivered after the answer.
    """
    deliveries: dict[str, list[Delivery]] = defaultdict(list)
    for one in delivered:
        for name in one.names:
            deliveries[name].append(one)
    number = count()
    for family, ops in families.items():
        for place, op in enumerate(list(ops)):
            mine = deliveries.get(op.id, [])
            plain = [one for one in mine if one.operation in _PLAIN and family == "register"]
            late = [
                one for one in mine
                if one.operation not in _PLAIN and op.outcome in {REFUSED, NOT_APPLIED} and one.end > op.end
            ]  # fmt: skip
            if late and op.kind in {"txn", "transfer"}:
                ops[place] = op._replace(outcome=UNKNOWN, end=float("inf"))
                counts["copied"] += 1
                continue
            copies = (plain if len(plain) > 1 else []) + late
            counts["repeated"] += len(plain) > 1
            counts["copied"] += bool(late)
            ops += [
                op._replace(id=f"{op.id}~{next(number)}", outcome=LATE, begin=one.begin, end=one.end) for one in copies
            ]


def _last(ops: Sequence[Op], stored: dict[str, Any], empty: Any, now: float) -> list[Op]:
    """A read of each object, after everything."""
    keys = sorted({op.key for op in ops})
    return [Op("last", "read", key, None, now, now + 1, OK, stored.get(key, empty)) for key in keys]


def _txn(op: Op, families: dict[str, list[Op]]) -> cycles.Txn:
    """What was appended is known from the names of the values: each has that of its transaction."""
    sizes: dict[str, int] = op.value
    appends = {key: [f"{op.id}:{place}" for place in range(size)] for key, size in sizes.items() if size}
    return cycles.Txn(op.id, op.begin, op.end, op.outcome, op.result or {}, appends)
