"""What DynamORM promises of its speed, worked out from a run: each figure beside its target, met or not.

Works on ratios within one run, since figures of two machines, or of two runs, say little beside each other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from statistics import median
from typing import Any, NamedTuple

from benchmarks import growth
from benchmarks.libraries import BY_NAME
from benchmarks.ratios import Ratio, fraction, ratio, sure
from benchmarks.work import BY_NAME as WORKS

OURS = {"sync": "dynamorm", "async": "dynamorm-async"}
FAST_BOTO3, FAST_START = 280.0, 90.0
"""Import and first get: below so many ms on a machine where boto3 takes so many."""
PLUGIN = 2.0
"""µs that a plugin may add that only observes."""


class Target(NamedTuple):
    """One promise. ``low`` and ``high`` are the quartiles round by round; of a plugin's µs, where their median lies."""

    work: str
    compared: str
    measured: float | None
    low: float | None
    high: float | None
    limit: float
    at_least: bool = False
    show: Callable[[float], str] = fraction
    rounds: int = 0

    @property
    def met(self) -> bool | None:
        """Whether it is kept; None when it was not measured."""
        if self.measured is None:
            return None
        return (self.measured >= self.limit) if self.at_least else (self.measured <= self.limit)

    @property
    def verdict(self) -> str:
        """In words, with a warning where the rounds are on both sides of the target."""
        if self.met is None:
            return "not measured"
        near = self.low is not None and self.high is not None and self.low <= self.limit <= self.high
        return ("met" if self.met else "MISSED") + (", but within the spread" if near else "")


class Promise(NamedTuple):
    """Our CPU by a peer's: at most ``limit`` for these pieces of work."""

    works: tuple[str, ...]
    limits: dict[str, float]
    """By peer."""


CPU = (
    Promise(("get", "put"), {"boto3": 1 / 12, "pydynox": 1 / 3, "pydynox-async": 1 / 3, "floor": 1.6}),
    Promise(("query-100",), {"boto3": 1 / 10, "pydynox": 1 / 5, "pydynox-async": 1 / 5, "aiodynamo": 1 / 2.5}),
    Promise(("update",), {"floor": 2.2}),
    Promise(("batch-write-100", "transaction-10"), {"boto3": 1 / 8, "floor": 4.0}),
)
PROTECTED, PROTECTED_BESIDE, PROTECTED_LIMIT = "protected-get", "boto3", 1 / 8
"""With metrics, tenants and encryption on, beside a plain get of a peer that has none of them."""
MEMORY = {"pynamodb": 1 / 2, "pydynox": 1 / 2}
TOGETHER, TOGETHER_LIMITS = "gets-64", {"sync": 2.5, "async": 3.0}
START = 1 / 4
"""Import and first get, beside boto3's."""


def targets(results: dict[str, Any]) -> list[Target]:
    """Every promise about what was to be measured; one whose figures are missing is in it without them."""
    return [
        *_cpu(results),
        *_protected(results),
        *_memory(results),
        *_together(results),
        *_start(results),
        *_plugins(results),
        *_grown(results),
    ]


def _cpu(results: dict[str, Any]) -> Iterator[Target]:
    for promise in CPU:
        for work in promise.works:
            found = results["works"].get(work)
            for peer, limit in promise.limits.items() if found else ():
                yield from _beside(f"{WORKS[work].title}: CPU", peer, results, _figures(found, "cpu"), limit)


def _protected(results: dict[str, Any]) -> Iterator[Target]:
    """Our get with everything on, beside the plain get of a peer: of one run, and of the same rounds."""
    works = results["works"]
    if PROTECTED in works and "get" in works:
        plain = _figures(works["get"], "cpu").get(PROTECTED_BESIDE)
        found = {OURS["sync"]: _figures(works[PROTECTED], "cpu").get(OURS["sync"], [])} | (
            {PROTECTED_BESIDE: plain} if plain else {}
        )
        yield from _beside(f"{WORKS[PROTECTED].title}: CPU", PROTECTED_BESIDE, results, found, PROTECTED_LIMIT)


def _memory(results: dict[str, Any]) -> Iterator[Target]:
    known = results.get("memory")
    for figure in ("held", "peak") if known else ():
        for peer, limit in MEMORY.items():
            yield from _beside(f"query of 1,000: memory, {figure}", peer, results, _figures(known, figure), limit)


def _together(results: dict[str, Any]) -> Iterator[Target]:
    if TOGETHER in results["works"]:
        for face, ours in OURS.items():
            if ours in results["libraries"]:
                yield _best(results, face)
    if TOGETHER in results.get("newer", {}).get("works", {}):
        yield _best(results["newer"], "async", f", CPython {results['newer']['python']}")


def _grown(results: dict[str, Any]) -> Iterator[Target]:
    for kind in growth.KINDS:
        for ours in OURS.values():
            found = growth.growth(kind, results["works"], ours)
            if found is not None:
                yield Target(
                    f"{kind.title}: constant cost per {kind.unit}",
                    f"{BY_NAME[ours].title}, {found.sizes[0]:,} to {found.sizes[-1]:,}: farthest from a straight line",
                    found.off,
                    found.low,
                    found.high,
                    growth.CONSTANT,
                    show="{:.0%}".format,
                    rounds=found.rounds,
                )


def _figures(found: dict[str, Any], figure: str) -> dict[str, list[float]]:
    return {name: one[figure] for name, one in found.items() if one.get(figure)}


def _beside(
    work: str, peer: str, results: dict[str, Any], found: dict[str, list[float]], limit: float
) -> Iterator[Target]:
    """Ours by a peer's, if both were to be measured."""
    ours = OURS[BY_NAME[peer].face]
    if {ours, peer} <= set(results["libraries"]):
        compared = f"{BY_NAME[ours].title} / {BY_NAME[peer].title}"
        yield _target(work, compared, ratio(found.get(ours, []), found.get(peer, [])), limit)


def _target(work: str, compared: str, found: Ratio | None, limit: float, **more: Any) -> Target:
    if found is None:
        return Target(work, compared, None, None, None, limit, **more)
    return Target(work, compared, found.medians, found.low, found.high, limit, rounds=found.rounds, **more)


def _best(results: dict[str, Any], face: str, where: str = "") -> Target:
    """Operations per second of many at once, beside the best peer of this face in this run."""
    found, ours = _figures(results["works"][TOGETHER], "wall"), OURS[face]
    peers = [name for name in found if name not in OURS.values() and BY_NAME[name].face == face]
    best = min(peers, key=lambda name: median(found[name]), default=None)
    compared = f"{BY_NAME[ours].title} / best peer" + (f", {BY_NAME[best].title}" if best else "") + where
    # operations per second are the inverse of the time, so their ratio is that of the times, the other way round
    times = ratio(found[best], found.get(ours, [])) if best else None
    show = "{:.2f} x".format
    return _target(
        "64 concurrent gets: operations per second", compared, times, TOGETHER_LIMITS[face], at_least=True, show=show
    )


def _start(results: dict[str, Any]) -> Iterator[Target]:
    work, ours = "import + first get", "dynamorm"
    found = _figures(results.get("startup", {}), "first get, wall")
    if not found:
        return
    yield from _beside(work, "boto3", results, found, START)
    yield from _beside(work, "pydynox", results, found, 1.0)
    beside = ratio(found.get(ours, []), found.get("boto3", []))
    if beside is not None:
        scaled = Ratio(*(one * FAST_BOTO3 for one in beside[:4]), beside.rounds)
        compared = f"{BY_NAME[ours].title}, where boto3 takes {FAST_BOTO3:.0f} ms"
        yield _target(work, compared, scaled, FAST_START, show="{:.0f} ms".format)


def _plugins(results: dict[str, Any]) -> Iterator[Target]:
    for work, by_plugin in results.get("plugins", {}).items():
        values = by_plugin.get("observed")
        if values:
            low, middle, high = sure(values)
            compared = f"DynamORM, {work}: CPU added"
            show = "{:+.1f} µs".format
            yield Target("a plugin that observes", compared, middle, low, high, PLUGIN, show=show, rounds=len(values))
    if "same_source" in results:
        differs = 0.0 if results["same_source"] else 1.0
        compared = "DynamORM: generated source with and without it"
        yield Target("a plugin that observes", compared, differs, None, None, 0.0, show=_differs)


def _differs(value: float) -> str:
    return "differs" if value else "identical"


def rows(found: list[Target]) -> list[list[str]]:
    """The table's rows."""
    return [[one.work, one.compared, _measured(one), _limit(one), one.verdict] for one in found]


def _measured(one: Target) -> str:
    if one.measured is None:
        return "-"
    if one.low is None or one.high is None:
        return one.show(one.measured)
    return f"{one.show(one.measured)} ({one.show(one.low)} … {one.show(one.high)})"


def _limit(one: Target) -> str:
    sign = "" if one.show is _differs else "at least " if one.at_least else "at most "
    return sign + one.show(one.limit)


def plain(found: list[Target]) -> list[dict[str, Any]]:
    """The same for JSON."""
    return [
        {name: value for name, value in one._asdict().items() if name != "show"}
        | {"met": one.met, "verdict": one.verdict}
        for one in found
    ]


def summary(found: list[Target]) -> str:
    """How many are met."""
    known = [one for one in found if one.met is not None]
    return f"{sum(bool(one.met) for one in known)} of {len(known)} met"
