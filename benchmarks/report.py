"""From figures to tables of texts, for the terminal and the page."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from statistics import median
from typing import Any, NamedTuple

from benchmarks import engines, growth, plugins, targets
from benchmarks.libraries import BY_NAME
from benchmarks.ratios import number, ratio, spread
from benchmarks.work import ALL, Work

BASE = {"sync": "dynamorm", "async": "dynamorm-async"}
"""What the others are compared with: our face of the same kind."""
RANGE = ", and the range."
"""The end of a note; the terminal has no room for ranges beside many columns."""
SCAN_NOTE = (
    "Per item, of {:,}. aiodynamo and dyntastic know no segments: they read one segment's worth. pydynox gives all items "
    "at once. A library that needs more than half of 30 s for one pass has one round."
)
LONG_NOTE = "A library that needs more than 15 s for one query of 100,000 has one round."


class Table(NamedTuple):
    """A table of texts. The first column names the row. ``aside`` is left out in the terminal."""

    title: str
    note: str
    head: list[str]
    rows: list[list[str]]
    aside: bool = False


def tables(results: dict[str, Any]) -> Iterator[Table]:
    """Every table of the report."""
    promised = targets.targets(results)
    if promised:
        yield _targets(promised)
    yield from _measured(results)
    if results.get("newer"):
        python = f"CPython {results['newer']['python']}"
        for table in _measured(results["newer"]):
            yield table._replace(title=f"{python}: {table.title}")
    if results.get("plugins"):
        yield Table(
            "Plugins: µs of CPU that one adds to an operation",
            "Differences of pairs of blocks with and without it: the median, and between what it lies with 95 % certainty.",
            ["", *results["plugins"]],
            plugins.rows(results["plugins"]),
        )
    if results.get("engines"):
        yield _engines(results)
    if results.get("faults"):
        yield _faults(results["faults"])
    problems = list(_problems(results))
    if problems:
        yield Table("Left out", "What could not be measured, and why.", ["", "what", "reason"], problems)


def _targets(promised: list[targets.Target]) -> Table:
    return Table(
        f"Targets: {targets.summary(promised)}",
        "The ratios of this run's medians decide. In brackets the middle half of the ratios round by round, whose figures "
        "are taken within seconds of each other: how far the ratio can be trusted. Of a plugin, between what its median lies.",
        ["", "compared", "measured", "target", "verdict"],
        targets.rows(promised),
    )


def _measured(results: dict[str, Any]) -> Iterator[Table]:
    """What each Python measures: operations, growth, start, memory, size."""
    titles = {name: one["title"] for name, one in results["libraries"].items()}
    works = [work for work in ALL if work.name in results["works"]]
    core, scan = ([work for work in works if work.group == group] for group in ("core", "scan"))
    rounds = f"Median of {results['rounds']} rounds"
    if core:
        note = f"{rounds}."
        yield _overview("CPU: µs per operation", note, core, results, titles, lambda one: number(median(one["cpu"])))
        yield _overview(
            "Operations per second and core",
            "How many a core does that does nothing else: a second by the CPU of one.",
            core,
            results,
            titles,
            lambda one: number(1e6 / median(one["cpu"])),
        )
    if works and any(name not in BASE.values() for name in titles):
        yield _ratios(results, works, titles)
    for group, what in (("sizes", "Item sizes"), ("growth", "Growing queries")):
        some = [work for work in works if work.group == group]
        for figure, label in (("cpu", "CPU"), ("wall", "wall clock")) if some else ():
            note = rounds + (RANGE if group == "sizes" else f"{RANGE} {LONG_NOTE}")
            title = f"{what}: {label}, µs per operation"
            table = _overview(title, note, some, results, titles, lambda one, figure=figure: spread(one[figure]))
            yield table._replace(aside=figure == "wall")
    for work in core + scan:
        yield _work(work, results, titles)
    for kind in growth.KINDS:
        yield from _grown(kind, results, titles)
    yield from _beside(results, titles)


def _overview(title: str, note: str, works: list[Work], results: dict[str, Any], titles: Any, cell: Any) -> Table:
    """Pieces of work as rows, libraries as columns."""

    def text(figure: dict[str, Any] | None) -> str:
        if figure is None or "unsupported" in figure:
            return "-"
        return cell(figure) if figure.get("cpu") else "failed"

    return Table(
        title,
        note,
        ["", *titles.values()],
        [[work.title, *(text(results["works"][work.name].get(name)) for name in titles)] for work in works],
    )


def _work(work: Work, results: dict[str, Any], titles: dict[str, str]) -> Table:
    """All figures of one piece of work, libraries as rows."""
    found = results["works"][work.name]
    rows = []
    for name, title in titles.items():
        figure = found.get(name)
        if figure is None or not figure.get("cpu"):
            if figure is not None and "unsupported" not in figure:
                rows.append([title, "failed", *["-"] * 5])
            continue
        base = found.get(base_of(name, titles), {})
        beside = None if name in BASE.values() else ratio(figure["cpu"], base.get("cpu", []))
        rows.append([
            title,
            spread(figure["cpu"]),
            spread(figure["wall"]),
            number(1e6 / median(figure["cpu"])),
            number(1e6 / median(figure["wall"])),
            f"{beside.medians:.1f} x" if beside else "-",
            f"{beside.low:.1f} … {beside.high:.1f}" if beside else "-",
        ])  # fmt: skip
    of = "items" if work.each else "operations"
    note = (
        SCAN_NOTE.format(results.get("scan_items", 0)) if work.each else f"Median of {results['rounds']} rounds{RANGE}"
    )
    head = ["", "CPU, µs", "wall, µs", f"{of} / s and core", f"{of} / s", "CPU, DynamORM = 1", "round by round"]
    return Table(work.title[0].upper() + work.title[1:], note, head, rows, aside=work.group == "core")


def _ratios(results: dict[str, Any], works: list[Work], titles: dict[str, str]) -> Table:
    """How many times DynamORM's CPU each library takes; its asyncio face is the base of the asyncio libraries."""
    others = [name for name in titles if name not in BASE.values()]
    rows = []
    for work in works:
        found = results["works"][work.name]
        both = [
            ratio(found.get(o, {}).get("cpu", []), found.get(base_of(o, titles), {}).get("cpu", [])) for o in others
        ]
        rows.append([work.title, *("-" if one is None else f"{one.medians:.1f} x" for one in both)])
    return Table(
        "Ratios: how many times DynamORM's CPU each one takes",
        "asyncio libraries beside DynamORM's asyncio face, the others beside its blocking face.",
        ["", *(titles[name] for name in others)],
        rows,
    )


def base_of(library: str, present: dict[str, str]) -> str:
    """DynamORM's face of the same kind, if it was measured, else the other one.

    Example: ``base_of("aiodynamo", titles) == "dynamorm-async"``
    """
    face = BASE[BY_NAME[library].face]
    return face if face in present else BASE["sync"]


def _grown(kind: growth.Kind, results: dict[str, Any], titles: dict[str, str]) -> Iterator[Table]:
    """How the cost of an item or byte changes with size."""
    found = {name: one for name in titles if (one := growth.growth(kind, results["works"], name)) is not None}
    if not found:
        return
    sizes = list(kind.works)
    each = []
    for name, one in found.items():
        by_size = dict(zip(one.sizes, one.each, strict=True))
        cells = (number(by_size[size]) if size in by_size else "-" for size in sizes)
        each.append([titles[name], *cells, f"{max(one.each) / min(one.each):.1f}"])
    yield Table(
        f"Growth of a {kind.title}: CPU, {kind.measure} per {kind.unit}",
        f"The whole call divided by its {kind.unit}s: small ones bear the cost of the call alone.",
        ["", *(f"{size:,}" for size in sizes), "largest / smallest"],
        each,
    )
    steps = list(pairwise(sizes))
    rows = []
    for name, one in found.items():
        more = dict(zip(pairwise(one.sizes), one.more, strict=True))
        rows.append([
            titles[name],
            *(f"{more[step]:.2f}" if step in more else "-" for step in steps),
            "not clear" if one.ratio is None else f"{one.ratio:.2f}",
            f"{number(one.fixed)} µs + {one.slope:.2f} {kind.measure}",
            f"{one.off:.0%} ({one.low:.0%}…{one.high:.0%})",
        ])  # fmt: skip
    yield Table(
        f"Growth of a {kind.title}: CPU of each {kind.unit} more, {kind.measure}",
        "From one size to the next, so what a call costs at all drops out; `not clear` where a larger size came out cheaper. "
        f"`line`: what a call costs and each {kind.unit}, as fits all sizes best. `off`: the farthest figure from that line "
        f"(middle half of the rounds); up to {growth.CONSTANT:.0%} we call the cost per {kind.unit} constant.",
        ["", *(f"{small:,} to {large:,}" for small, large in steps), "largest / smallest", "line", "off"],
        rows,
    )


def _beside(results: dict[str, Any], titles: dict[str, str]) -> Iterator[Table]:
    """Start, memory and size."""
    labels = ("import, wall", "import, cpu", "first get, wall", "first get, cpu")
    startup = {name: one for name, one in results.get("startup", {}).items() if labels[-1] in one}
    if startup:
        rows = []
        for name, one in startup.items():
            base = startup.get(base_of(name, titles), {})
            beside = None if name in BASE.values() else ratio(one[labels[2]], base.get(labels[2], []))
            cells = [spread(one[label]) for label in labels]
            rows.append([titles[name], *cells, f"{beside.medians:.1f} x" if beside else "-"])
        yield Table(
            "Start in a fresh interpreter: ms",
            "`first get` counts from the start of the import to the answer of the first get.",
            ["", *labels, "first get, DynamORM = 1"],
            rows,
        )
    memory = {name: one for name, one in results.get("memory", {}).items() if one.get("held")}
    if memory:
        yield Table(
            "Memory of a query of 1,000 items: KB",
            "`held`: one result kept; `peak`: the most that was needed at one moment to get it.",
            ["", "held", "peak"],
            [
                [titles[name], *(spread([value / 1e3 for value in one[which]]) for which in ("held", "peak"))]
                for name, one in memory.items()
            ],
        )
    if results.get("size"):
        yield Table(
            "Installed size: MB",
            "With everything it needs at run time, without the interpreter.",
            ["", "size"],
            [[titles[name], number(size / 1e6)] for name, size in results["size"].items()],
        )


def _engines(results: dict[str, Any]) -> Table:
    names = next(iter(next(iter(results["engines"].values())).values()))
    return Table(
        "End to end: operations per second, one at a time",
        "The engine does nearly all of the work, on the same machine.",
        ["", *(BY_NAME[name].title for name in names)],
        list(engines.rows(results["engines"], spread)),
    )


def _faults(found: dict[str, Any]) -> Table:
    """What came of lost and wrong replies. Capitals: what was told is not what was done."""
    heads = {
        "add": "add 1; reply lost",
        "create": "create; reply 500",
        "read": "get; wrong checksum",
    }
    return Table(
        "Lost and wrong replies: what came of it, and how often",
        "The engine applies the write, but its reply is lost; or a reply carries another value than its checksum says.",
        ["", *heads.values()],
        [
            [
                BY_NAME[name].title,
                *(", ".join(f"{what}: {count}" for what, count in one[kind].items()) for kind in heads),
            ]
            for name, one in found.items()
        ],
    )


def _problems(results: dict[str, Any], where: str = "") -> Iterator[list[str]]:
    """Who could not be measured, with what, and why: what failed for the same reason is one row."""
    found: dict[tuple[str, str], list[str]] = {}
    named = [(work.title, results["works"].get(work.name, {})) for work in ALL]
    named += [(what, results.get(what, {})) for what in ("startup", "memory")]
    for what, figures in named:
        for name, one in figures.items():
            if "error" in one:
                done = len(one.get("cpu", ()))
                found.setdefault((BY_NAME[name].title + where, one["error"]), []).append(
                    f"{what}, after {done} rounds" if done else what
                )
    for (who, why), titles in found.items():
        yield [who, ", ".join(titles), why]
    for who, why in results.get("problems", {}).items():
        yield [who, "all of it", why]
    if results.get("newer"):
        yield from _problems(results["newer"], f", CPython {results['newer']['python']}")
