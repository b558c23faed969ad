"""The plots of the report, as SVG: one figure each, readable on light and dark pages.

A library has the same colour everywhere, and an asyncio face the pattern or the dashes; DynamORM stands out.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import growth
from benchmarks.libraries import BY_NAME
from benchmarks.ratios import number
from benchmarks.work import BY_NAME as WORKS

COLOURS = {
    "floor": "#94a3b8", "dynamorm": "#ea580c", "boto3": "#1d4ed8", "boto3-resource": "#60a5fa", "pynamodb": "#be185d",
    "pydynox": "#0f766e", "dyntastic": "#7c3aed", "aiodynamo": "#65a30d", "dynamoxy": "#a16207",
}  # fmt: skip
INK, GRID = "#1e293b", "#cbd5e1"
BARS = (
    "get", "put", "update", "query-100", "query-1000", "batch-get-100", "batch-write-100", "transaction-10", "gets-64",
    "scan",
)  # fmt: skip
Row = tuple[str, str, list[float]]
"""The library, its title and its figures."""


def draw(results: dict[str, Any], folder: Path) -> Iterator[tuple[str, str]]:
    """Draw what the results hold; yields the name and the title of each file. Nothing without matplotlib."""
    try:
        import matplotlib as mpl
    except ImportError:
        return
    mpl.use("Agg")
    mpl.rcParams.update({"font.size": 10, "svg.fonttype": "path", "svg.hashsalt": "dynamorm", "axes.spines.top": False})
    mpl.rcParams.update({"axes.spines.right": False, "figure.facecolor": "white", "font.family": "DejaVu Sans"})
    mpl.rcParams.update({"axes.edgecolor": INK, "hatch.linewidth": 0.6})
    for name, title, make in _figures(results):
        figure = make()
        if figure is not None:
            yield _save(figure, folder, name, title)


def _figures(results: dict[str, Any]) -> Iterator[tuple[str, str, Callable[[], Any]]]:
    """The name, the title and the making of each figure."""
    yield "cpu.svg", "CPU per operation", lambda: _bars(results)
    yield "concurrency.svg", "64 concurrent gets", lambda: _together(results)
    for kind in growth.KINDS:
        title = f"CPU per {kind.unit} of a {kind.title}"
        yield f"growth-{kind.name}.svg", title, lambda kind=kind: _growth(results, kind)
    yield "startup.svg", "Import and first get", lambda: _startup(results)
    yield "memory.svg", "Memory of a query of 1,000", lambda: _memory(results)
    yield "size.svg", "Installed size", lambda: _size(results)
    newer = results.get("newer")
    if newer:
        python = f"CPython {newer['python']}"
        yield "cpu-newer.svg", f"CPU per operation, {python}", lambda: _bars(newer)
        yield "beside-newer.svg", f"64 gets, start and memory, {python}", lambda: _beside(newer)
        yield "growth-query-newer.svg", f"CPU per item of a query, {python}", lambda: _growth(newer, growth.KINDS[0])


def _save(figure: Any, folder: Path, name: str, title: str) -> tuple[str, str]:
    import matplotlib.pyplot as plt

    figure.savefig(folder / name, metadata={"Date": None}, bbox_inches="tight")
    plt.close(figure)
    return name, title


def colour(library: str) -> str:
    """The colour of a library, for each of its faces."""
    return COLOURS.get(library.removesuffix("-async"), GRID)


def _ours(library: str) -> bool:
    return library.startswith("dynamorm")


def _rows(results: dict[str, Any], figures: Callable[[str], list[float] | None]) -> list[Row]:
    titles = {name: one["title"] for name, one in results["libraries"].items()}
    return [(name, title, found) for name, title in titles.items() if (found := figures(name))]


def _barh(axes: Any, rows: list[Row], title: str) -> None:
    """Horizontal bars of medians with their range, each with its number behind it."""
    middles = [median(values) for _, _, values in rows]
    below = [middle - min(values) for middle, (_, _, values) in zip(middles, rows, strict=True)]
    above = [max(values) - middle for middle, (_, _, values) in zip(middles, rows, strict=True)]
    bars = axes.barh(
        range(len(rows)),
        middles,
        xerr=[below, above],
        color=[colour(name) for name, _, _ in rows],
        error_kw={"elinewidth": 0.8, "ecolor": INK},
    )
    room = max(middle + more for middle, more in zip(middles, above, strict=True))
    for at, (bar, (name, _, _)) in enumerate(zip(bars, rows, strict=True)):
        if BY_NAME[name].face == "async":
            bar.set_hatch("////")
            bar.set_edgecolor("white")
        weight = "bold" if _ours(name) else "normal"
        end = middles[at] + above[at] + room * 0.015
        axes.text(end, at, number(middles[at]), va="center", fontsize=9, fontweight=weight, color=INK)
    axes.set_yticks(range(len(rows)), [one for _, one, _ in rows])
    for label, (name, _, _) in zip(axes.get_yticklabels(), rows, strict=True):
        label.set_fontweight("bold" if _ours(name) else "normal")
    axes.set_xlim(0, room * 1.16)
    axes.invert_yaxis()
    axes.tick_params(axis="y", length=0)
    axes.xaxis.set_major_locator(_few_ticks())
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.10g}")
    axes.grid(visible=True, axis="x", lw=0.4, color=GRID)
    axes.set_axisbelow(True)
    axes.set_title(title, loc="left", fontweight="bold", fontsize=11, color=INK)


def _few_ticks() -> Any:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(5)


def _grid(drawn: list[tuple[str, list[Row]]], note: str) -> Any:
    """Several charts of bars in two columns."""
    import matplotlib.pyplot as plt

    drawn = [(title, rows) for title, rows in drawn if rows]
    if not drawn:
        return None
    columns = min(2, len(drawn))
    lines = -(-len(drawn) // columns)
    height = sum(
        max(len(rows) for _, rows in drawn[at : at + columns]) * 0.27 + 0.95 for at in range(0, len(drawn), columns)
    )
    figure, grid = plt.subplots(lines, columns, figsize=(6.6 * columns, height), squeeze=False)
    for axes, (title, rows) in zip(grid.flat, drawn, strict=False):
        _barh(axes, rows, title)
    for axes in list(grid.flat)[len(drawn) :]:
        axes.set_visible(False)
    figure.tight_layout(w_pad=2, h_pad=1.5)
    figure.text(0.01, -0.005, "\n".join(textwrap.wrap(note, 100 * columns)), fontsize=9, color=INK, va="top")
    return figure


def _bars(results: dict[str, Any]) -> Any:
    works = [WORKS[name] for name in BARS if name in results["works"]]
    drawn = [
        (
            f"{work.title}: CPU µs" + (" per item" if work.each else ""),
            _rows(results, lambda one, work=work: results["works"][work.name].get(one, {}).get("cpu")),
        )
        for work in works
    ]
    return _grid(drawn, "Shorter is better. Median of the rounds, and the range. Hatched: asyncio.")


def _together(results: dict[str, Any]) -> Any:
    note = "Longer is better. Threads for blocking libraries, tasks for asyncio ones (hatched)."
    return _grid(list(_rates(results)), note)


def _rates(results: dict[str, Any]) -> Iterator[tuple[str, list[Row]]]:
    found = results["works"].get("gets-64", {})

    def rates(name: str, figure: str) -> list[float]:
        return [1e6 / value for value in found.get(name, {}).get(figure, ())]

    for which, more in (("wall", ""), ("cpu", " and core")):
        title = f"64 concurrent gets: operations per second{more}"
        yield title, _rows(results, lambda one, which=which: rates(one, which))


def _startup(results: dict[str, Any]) -> Any:
    return _grid(list(_starts(results)), "Shorter is better. Fresh interpreters, bytecode compiled. Hatched: asyncio.")


def _starts(results: dict[str, Any]) -> Iterator[tuple[str, list[Row]]]:
    found = results.get("startup", {})
    for label, title in (("import, wall", "import: ms"), ("first get, wall", "import and first get: ms")):
        yield title, _rows(results, lambda one, label=label: found.get(one, {}).get(label))


def _memory(results: dict[str, Any]) -> Any:
    note = "Shorter is better. What the operating system counts for the process. Hatched: asyncio."
    return _grid(list(_held(results)), note)


def _held(results: dict[str, Any]) -> Iterator[tuple[str, list[Row]]]:
    found = results.get("memory", {})
    for label, title in (("held", "1,000 items held: MB"), ("peak", "most at one moment, to get 1,000 items: MB")):
        yield (
            title,
            _rows(results, lambda one, label=label: [value / 1e6 for value in found.get(one, {}).get(label, ())]),
        )


def _beside(results: dict[str, Any]) -> Any:
    drawn = [*_rates(results), *_starts(results), *_held(results)]
    return _grid(drawn, "Operations per second: longer is better; the others: shorter is better. Hatched: asyncio.")


def _size(results: dict[str, Any]) -> Any:
    """Once for each installation: two faces or interfaces of a library are one."""
    rows: dict[tuple[str, ...], Row] = {}
    for one in filter(None, [results, results.get("newer")]):
        sizes = one.get("size", {})
        for row in _rows(one, lambda name, sizes=sizes: [sizes[name] / 1e6] if name in sizes else None):
            rows.setdefault(BY_NAME[row[0]].distributions, row)
    return _grid(
        [("installed size: MB", list(rows.values()))], "Shorter is better. With all it needs but the interpreter."
    )


def _growth(results: dict[str, Any], kind: growth.Kind) -> Any:
    """Two charts over the size: the whole call by its units; and what each unit more costs, or the whole call."""
    import matplotlib.pyplot as plt

    titles = {name: one["title"] for name, one in results["libraries"].items()}
    found = {name: one for name in titles if (one := growth.growth(kind, results["works"], name)) is not None}
    if not found:
        return None
    figure, (left, right) = plt.subplots(1, 2, figsize=(13.2, 5.2))
    items = kind.unit == "item"
    for name, one in found.items():
        style = {
            "color": colour(name),
            "lw": 2.8 if _ours(name) else 1.4,
            "ls": "--" if BY_NAME[name].face == "async" else "-",
            "marker": "o",
            "ms": 6 if _ours(name) else 4,
            "zorder": 3 if _ours(name) else 2,
        }
        left.plot(one.sizes, one.each, label=titles[name], **style)
        if items:
            for step, more in zip(pairwise(one.sizes), one.more, strict=True):
                right.plot(step, [max(more, 0), max(more, 0)], **(style | {"marker": "|"}))
        else:
            right.plot(
                one.sizes, [each * size / kind.scale for size, each in zip(one.sizes, one.each, strict=True)], **style
            )
    sizes = max((one.sizes for one in found.values()), key=len)
    _scales(left, f"{kind.title}: CPU {kind.measure} per {kind.unit}, the call included", kind, sizes)
    _scales(right, f"{kind.title}: CPU " + ("µs of each item more" if items else "µs of the whole call"), kind, sizes)
    handles, labels = left.get_legend_handles_labels()
    order = sorted(range(len(labels)), key=lambda at: -list(found.values())[at].each[-1])  # as the lines end
    figure.legend(
        [handles[at] for at in order],
        [labels[at] for at in order],
        frameon=False,
        loc="center left",
        bbox_to_anchor=(1, 0.5),
    )
    figure.tight_layout(w_pad=2)
    note = (
        "Lower is better"
        + (", flat is constant. Right: from one size to the next" if items else "")
        + ". Dashed: asyncio."
    )
    figure.text(0.01, -0.01, note, fontsize=9, color=INK, va="top")
    return figure


def _scales(axes: Any, title: str, kind: growth.Kind, sizes: list[int]) -> None:
    from matplotlib.ticker import LogLocator, NullFormatter

    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.set_xticks(sizes)
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.10g}")
    axes.minorticks_off()
    axes.set_xlabel("items of the query" if kind.unit == "item" else "bytes of the item")
    axes.set_title(title, loc="left", fontweight="bold", fontsize=11, color=INK)
    axes.grid(visible=True, which="major", lw=0.4, color=GRID)
