"""Are transactions that append to lists and read them strictly serializable? It does not use the library.

Every value is appended once, so a list that was read tells the order of all writes to it (Adya's version order, as Elle
infers it). From the orders follow the dependencies: ``ww`` (wrote the next version), ``wr`` (read what the other wrote),
``rw`` (read what the other then changed), and ``rt`` (ended before the other began). A cycle of them is an anomaly.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, Final, NamedTuple

from tests.jepsen.record import NOT_APPLIED, OK, REFUSED, UNKNOWN

Value = Any
Edges = dict[str, dict[str, set[str]]]

_KINDS: Final = (
    ("G0", ("ww",), ""), ("G1c", ("ww", "wr"), ""), ("G-single", ("ww", "wr"), "rw"), ("G2", ("ww", "wr", "rw"), ""),
    ("G0-realtime", ("ww", "rt"), ""), ("G1c-realtime", ("ww", "wr", "rt"), ""),
    ("G-single-realtime", ("ww", "wr", "rt"), "rw"), ("G2-realtime", ("ww", "wr", "rw", "rt"), ""),
)  # fmt: skip
"""Each name, the dependencies that its cycle is made of, and the one that is in it once; from the gravest on."""


class Txn(NamedTuple):
    """One transaction: it read whole lists, and then appended some values to the end of lists."""

    id: str
    begin: float
    end: float
    outcome: str
    reads: Mapping[str, Sequence[Value]]
    appends: Mapping[str, Sequence[Value]]


class Anomaly(NamedTuple):
    """What is wrong, by its name in the literature, and the transactions that show it."""

    name: str
    text: str

    def __str__(self) -> str:
        return f"{self.name}: {self.text}"


def check(txns: Iterable[Txn], *, complete: bool = False) -> list[Anomaly]:
    """All that is wrong; ``complete`` where the last transaction has read every list after all others had ended."""
    judge = _Judge(list(txns))
    found = judge.values()
    if complete:
        found += judge.lost()
    if any(one.name == "incompatible order" for one in found):
        return found  # without an order there are no dependencies
    return found + judge.cycles()


class _Judge:
    def __init__(self, txns: list[Txn]) -> None:
        self._all = txns
        self._writer = {value: txn for txn in txns for values in txn.appends.values() for value in values}
        self._readers = [txn for txn in txns if txn.outcome == OK and txn.reads]
        self._order: dict[str, Sequence[Value]] = {}
        for txn in self._readers:
            for key, values in txn.reads.items():
                if len(values) > len(self._order.get(key, ())):
                    self._order[key] = values
        self._seen = {value for values in self._order.values() for value in values}
        self._txns = {txn.id: txn for txn in txns if self._took_effect(txn)}

    def _took_effect(self, txn: Txn) -> bool:
        """Of an unknown one it is known where a value of it was read; one that nobody saw has no dependencies."""
        if txn.outcome == UNKNOWN:
            return any(value in self._seen for values in txn.appends.values() for value in values)
        return txn.outcome == OK

    def values(self) -> list[Anomaly]:
        """What single reads show."""
        found = []
        for txn in self._readers:
            for key, values in txn.reads.items():
                found += self._of_read(txn, key, list(values))
        return list({str(one): one for one in found}.values())

    def _of_read(self, txn: Txn, key: str, values: list[Value]) -> Iterable[Anomaly]:
        what = f"{txn.id} read {key} = {values[-6:]}"
        doubled = [value for value, count in Counter(values).items() if count > 1]
        if doubled:
            yield Anomaly("doubled append", f"{what}, with {doubled[:3]} more than once")
        if list(self._order.get(key, ())[: len(values)]) != values:
            yield Anomaly(
                "incompatible order", f"{what}, which is no beginning of {list(self._order.get(key, ()))[-12:]}"
            )
        for value in values:
            writer = self._writer.get(value)
            if writer is None or value not in writer.appends.get(key, ()):
                yield Anomaly("phantom", f"{what}, but nobody appended {value!r} to it")
            elif writer.outcome in {NOT_APPLIED, REFUSED}:
                yield Anomaly("G1a", f"{what}, but {writer.id}, which appended {value!r}, was not applied")
        last = self._writer.get(values[-1]) if values else None
        if last is not None and last.id != txn.id:
            own = list(last.appends.get(key, ()))
            if values[-1] in own[:-1]:
                yield Anomaly("G1b", f"{what}, in the middle of {last.id}, which appended {own}")

    def lost(self) -> list[Anomaly]:
        """What was acknowledged, and is not there."""
        return [
            Anomaly("lost append", f"{txn.id} appended {value!r} to {key}, and it is not there")
            for txn in self._all
            if txn.outcome == OK
            for key, values in txn.appends.items()
            for value in values
            if value not in self._seen
        ]

    def cycles(self) -> list[Anomaly]:
        """The smallest cycle of the gravest kind, of each knot of dependencies."""
        edges = self._edges()
        found = []
        for knot in _knots(edges):
            for name, kinds, once in _KINDS:
                cycle = _smallest(edges, knot, set(kinds), once)
                if cycle:
                    found.append(Anomaly(name, self._told(edges, cycle, {*kinds, once})))
                    break
        return found

    def _edges(self) -> Edges:
        edges: Edges = {name: defaultdict(set) for name in self._txns}

        def depends(before: Txn | None, after: Txn | None, kind: str) -> None:
            if before and after and before.id != after.id and before.id in edges and after.id in edges:
                edges[before.id][after.id].add(kind)

        for values in self._order.values():
            writers = [self._writer.get(value) for value in values]
            for before, after in pairwise(writers):
                depends(before, after, "ww")
        for txn in self._readers:
            for key, values in txn.reads.items():
                order = self._order.get(key, ())
                if values:
                    depends(self._writer.get(values[-1]), txn, "wr")
                if len(values) < len(order):
                    depends(txn, self._next(key, len(values), txn), "rw")
        _add_real_time(list(self._txns.values()), edges)
        return edges

    def _next(self, key: str, place: int, reader: Txn) -> Txn | None:
        """Who changed what the reader has read. Its own append is no dependency, but the one behind it is a ww of its own."""
        writer = self._writer.get(self._order[key][place])
        return None if writer is None or writer.id == reader.id else writer

    def _told(self, edges: Edges, cycle: list[str], kinds: set[str]) -> str:
        parts = []
        for before, after in zip(cycle, cycle[1:] + cycle[:1], strict=True):
            kind = min(edges[before][after] & kinds, key=("ww", "wr", "rw", "rt").index)
            parts.append(f"{before} -{kind}-> ")
        lines = [f"\n    {self._line(self._txns[name])}" for name in cycle]
        return "".join(parts) + cycle[0] + "".join(lines)

    def _line(self, txn: Txn) -> str:
        reads = {key: f"...{list(values)[-3:]} ({len(values)})" for key, values in txn.reads.items()}
        return f"{txn.id} read {reads} appended {dict(txn.appends)} [{txn.begin:.4f}, {txn.end:.4f}] {txn.outcome}"


def _add_real_time(txns: list[Txn], edges: Edges) -> None:
    """What ended before another began came before it; only from the last ones, since those before follow."""
    events = sorted(
        [(txn.begin, 0, txn.id) for txn in txns] + [(txn.end, 1, txn.id) for txn in txns if txn.outcome == OK]
    )
    latest: set[str] = set()
    before: dict[str, set[str]] = {}
    for _, ends, name in events:
        if ends:
            latest -= before[name]
            latest.add(name)
        else:
            before[name] = set(latest)
            for one in latest:
                edges[one][name].add("rt")


def _knots(edges: Edges) -> list[list[str]]:
    """The strongly connected components of more than one transaction (Tarjan's way, without recursion)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    inside: set[str] = set()
    found: list[list[str]] = []
    for root in edges:
        if root in index:
            continue
        index[root] = low[root] = len(index)
        stack.append(root)
        inside.add(root)
        path = [(root, iter(edges[root]))]
        while path:
            here, others = path[-1]
            for other in others:
                if other not in index:
                    index[other] = low[other] = len(index)
                    stack.append(other)
                    inside.add(other)
                    path.append((other, iter(edges[other])))
                    break
                if other in inside:
                    low[here] = min(low[here], index[other])
            else:
                path.pop()
                if path:
                    low[path[-1][0]] = min(low[path[-1][0]], low[here])
                if low[here] == index[here]:
                    at = stack.index(here)
                    knot, stack = stack[at:], stack[:at]
                    inside -= set(knot)
                    if len(knot) > 1:
                        found.append(knot)
    return found


def _smallest(edges: Edges, knot: list[str], kinds: set[str], once: str) -> list[str]:
    """The smallest cycle of these kinds within a knot; with one of the kind ``once``, where that is asked."""
    inside = set(knot)
    best: list[str] = []
    for start in knot:
        for second, between in edges[start].items():
            if second not in inside or not between & ({once} if once else kinds):
                continue
            path = _path(edges, inside, kinds, second, start, len(best) - 2 if best else len(knot))
            if path and (not best or len(path) < len(best)):
                best = path
                if len(best) == 2:
                    return best
    return best


def _path(edges: Edges, inside: set[str], kinds: set[str], start: str, goal: str, longest: int) -> list[str]:
    """The shortest way, from the goal round to the transaction before it: ``[goal, start, ...]``."""
    came: dict[str, str] = {start: ""}
    left = deque([(start, 0)])
    while left:
        here, length = left.popleft()
        if here == goal:
            way = []
            while here:
                way.append(here)
                here = came[here]
            return [goal, *way[:0:-1]]
        if length < longest:
            for other, between in edges[here].items():
                if other in inside and other not in came and between & kinds:
                    came[other] = here
                    left.append((other, length + 1))
    return []
