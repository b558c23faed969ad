"""From figures to tables: in the terminal, and as a Markdown page beside the JSON and the plots."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from benchmarks import engines, plugins
from benchmarks.libraries import BY_NAME
from benchmarks.work import ALL
from benchmarks.work import BY_NAME as WORKS

BASE = "dynamorm"
"""What the others are compared with."""


RANGE = ", and the range."
"""The end of a note; the terminal has no room for ranges beside many columns."""
SCAN_NOTE = "aiodynamo and dyntastic know no segments: they read one segment's worth. pydynox gives all items at once."


class Table(NamedTuple):
    """A table of texts. The first column names the row."""

    title: str
    note: str
    head: list[str]
    rows: list[list[str]]


def number(value: float) -> str:
    """Three digits at least, thousands apart.

    Example: ``number(1234.5) == "1,234"``, ``number(56.78) == "56.8"``
    """
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 1 else f"{value:.2f}"


def spread(values: list[float]) -> str:
    """The median, and the range around it."""
    return f"{number(median(values))} ({number(min(values))}…{number(max(values))})"


def tables(results: dict[str, Any]) -> Iterator[Table]:
    """Every table of the report."""
    titles = {name: one["title"] for name, one in results["libraries"].items()}
    works = [work for work in ALL if work.name in results["works"]]
    for group, what in (
        ("core", "Operations"),
        ("sizes", "Item sizes"),
        ("growth", "Growing queries"),
        ("scan", "Parallel scan"),
    ):
        some = [work for work in works if work.group == group]
        if some:
            for figure, label in (("cpu", "CPU"), ("wall", "wall clock")):
                yield Table(
                    f"{what}: {label}, µs per {'item' if group == 'scan' else 'operation'}",
                    f"Median of {results['rounds']} rounds{RANGE}" if group != "scan" else SCAN_NOTE,
                    ["", *(titles.values())],
                    [
                        [work.title, *(_cell(results["works"][work.name].get(name), figure) for name in titles)]
                        for work in some
                    ],
                )
    if works and BASE in titles and any(not name.startswith(BASE) for name in titles):
        yield _ratios(results, works, titles)
    yield from _beside(results, titles)


def _cell(figure: dict[str, Any] | None, which: str) -> str:
    if figure is None:
        return "-"
    return spread(figure[which]) if figure.get(which) else "failed"


def _ratios(results: dict[str, Any], works: list[Any], titles: dict[str, str]) -> Table:
    """How many times DynamORM's CPU each library takes; its asyncio face is the base of the asyncio libraries."""
    others = [name for name in titles if not name.startswith(BASE)]
    rows = []
    for work in works:
        found = results["works"][work.name]
        row = [work.title]
        for name in others:
            base = found.get(base_of(name, titles))
            one = found.get(name)
            both = base and one and base["cpu"] and one["cpu"]
            row.append(f"{median(one['cpu']) / median(base['cpu']):.1f} x" if both else "-")
        rows.append(row)
    return Table(
        "Ratios: how many times DynamORM's CPU each one takes",
        "asyncio libraries beside DynamORM's asyncio face, the others beside its blocking face.",
        ["", *(titles[name] for name in others)],
        rows,
    )


def base_of(library: str, present: dict[str, str]) -> str:
    """DynamORM's face of the same kind.

    Example: ``base_of("aiodynamo", titles) == "dynamorm-async"``
    """
    asynchronous = library in ("aiodynamo", "pydynox-async", "dynamoxy")
    return f"{BASE}-async" if asynchronous and f"{BASE}-async" in present else BASE


def _beside(results: dict[str, Any], titles: dict[str, str]) -> Iterator[Table]:
    """Start, memory and size."""
    startup = results.get("startup", {})
    if startup:
        labels = ("import, wall", "import, cpu", "first get, wall", "first get, cpu")
        yield Table(
            "Start in a fresh interpreter: ms",
            "`first get` counts from the start of the import to the answer of the first get.",
            ["", *labels],
            [[titles[name], *(spread(one[label]) for label in labels)] for name, one in startup.items()],
        )
    memory = {name: one for name, one in results.get("memory", {}).items() if "held" in one}
    if memory:
        yield Table(
            "Memory of a query of 1,000 items: KB",
            "`held`: one result kept; `peak`: the most that was needed at one moment to get it.",
            ["", "held", "peak"],
            [[titles[name], number(one["held"] / 1e3), number(one["peak"] / 1e3)] for name, one in memory.items()],
        )
    if results.get("newer"):
        yield _newer(results["newer"])
    if results.get("plugins"):
        yield Table(
            "Plugins: µs of CPU that one adds to an operation",
            "Differences of pairs of rounds with and without it: the median, and the middle half of them.",
            ["", *results["plugins"]],
            plugins.rows(results["plugins"]),
        )
    for found in filter(None, [results.get("engines")]):
        names = next(iter(next(iter(found.values())).values()))
        yield Table(
            "End to end: operations per second, one at a time",
            "The engine does nearly all of the work, on the same machine.",
            ["", *(titles[name] for name in names)],
            list(engines.rows(found, spread)),
        )
    if results.get("faults"):
        yield _faults(results["faults"])
    if results.get("size"):
        yield Table(
            "Installed size: MB",
            "With everything it needs at run time, without the interpreter.",
            ["", "size"],
            [[titles[name], number(size / 1e6)] for name, size in results["size"].items()],
        )


def _newer(found: dict[str, Any]) -> Table:
    """The libraries that need a newer Python, beside DynamORM on the same."""
    names = list(dict.fromkeys(name for figures in found["works"].values() for name in figures))
    versions = ", ".join(f"{title} {version}" for title, version in found["versions"].items())
    return Table(
        f"On CPython {found['python']}: CPU, µs per operation",
        f"{versions}, beside DynamORM on the same interpreter. Medians{RANGE}",
        ["", *(BY_NAME[name].title for name in names)],
        [
            [WORKS[work].title, *(_cell(figures.get(name), "cpu") for name in names)]
            for work, figures in found["works"].items()
        ],
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


def show(results: dict[str, Any]) -> None:
    """Print the tables: libraries as rows, and at most five columns beside each other."""
    print(about(results))
    for table in tables(results):
        columns = [list(column) for column in zip(table.head, *table.rows, strict=True)]
        if table.head[1] in (one["title"] for one in results["libraries"].values()):
            columns = [table.head, *table.rows]
        names, rest = columns[0], columns[1:]
        print(f"\n{table.title}\n{table.note if len(rest) < 4 else table.note.replace(RANGE, '.')}")
        for at in range(0, len(rest), 5):
            some = [names, *rest[at : at + 5]]
            short = [[cell.partition(" (")[0] for cell in column] if len(some) > 4 else column for column in some[1:]]
            _print([list(row) for row in zip(names, *short, strict=True)])


def _print(rows: list[list[str]]) -> None:
    """A table of rows, of which the first is the head."""
    try:
        from rich.console import Console
        from rich.table import Table as RichTable
    except ImportError:
        widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
        for row in rows:
            print(
                "  ".join(
                    cell.rjust(width) if at else cell.ljust(width)
                    for at, (cell, width) in enumerate(zip(row, widths, strict=True))
                )
            )
        return
    shown = RichTable(show_edge=False)
    for at, name in enumerate(rows[0]):
        shown.add_column(name, justify="right" if at else "left", no_wrap=at == 0)
    for row in rows[1:]:
        shown.add_row(*row, style="bold green" if row[0].startswith("DynamORM") else None)
    Console().print(shown)


def about(results: dict[str, Any]) -> str:
    """A line on the machine."""
    machine = results["machine"]
    return (
        f"{machine['processor']}, {machine['cores']} cores, {machine['system']}, {machine['python']}; "
        f"canned server: {machine['server']}; load at the start {machine['load']}; {results['date']}"
    )


def write(results: dict[str, Any], folder: Path) -> None:
    """Write the JSON, the page and the plots."""
    from benchmarks import plots

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    lines = ["# Measured", "", "Made by `make bench`; [how it is measured](README.md).", "", about(results) + ".", ""]
    versions = (f"{one['title']} {one['version']}" for one in results["libraries"].values() if one["version"])
    lines += ["Versions: " + ", ".join(versions) + ".", ""]
    for name, title in plots.draw(results, folder):
        lines += [f"![{title}]({name})", ""]
    for table in tables(results):
        lines += [f"## {table.title}", "", table.note, ""]
        lines += ["| " + " | ".join(table.head) + " |", "|---|" + "---:|" * (len(table.head) - 1)]
        lines += ["| " + " | ".join(row) + " |" for row in table.rows] + [""]
    (folder / "results.md").write_text("\n".join(lines))
