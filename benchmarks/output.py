"""Where the report goes: the terminal, and a folder with the JSON, a Markdown page and plots."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from benchmarks import targets
from benchmarks.report import RANGE, Table, tables

COLUMNS = 5
"""So many beside each other in the terminal."""
WIDTH = 140
"""Of what is written to a file or another program."""


_SPREAD = re.compile(r" \([^()]*…[^()]*\)$")


def show(results: dict[str, Any]) -> None:
    """Print the tables: libraries as rows, and a few columns beside each other."""
    print(about(results))
    titles = {one["title"] for one in results["libraries"].values()}
    for table in tables(results):
        if table.aside:
            continue
        columns = [list(column) for column in zip(table.head, *table.rows, strict=True)]
        if table.head[1] in titles:
            columns = [table.head, *table.rows]
        names, rest = columns[0], columns[1:]
        print(f"\n{table.title}\n{table.note if len(rest) < COLUMNS - 1 else table.note.replace(RANGE, '.')}")
        for at in range(0, len(rest), COLUMNS):
            some = rest[at : at + COLUMNS]
            if len(some) >= COLUMNS - 1:
                some = [[_SPREAD.sub("", cell) for cell in column] for column in some]
            _print([list(row) for row in zip(names, *some, strict=True)])


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
    Console(width=None if sys.stdout.isatty() else WIDTH).print(shown)


def about(results: dict[str, Any]) -> str:
    """A line on the machine."""
    machine = results["machine"]
    took = f"; measured in {max(1, results['minutes']):.0f} min" if "minutes" in results else ""
    where = ", on the client's core where the two take turns" if machine.get("shared core") else ""
    return (
        f"{machine['processor']}, {machine['cores']} cores, {machine['system']}, {machine['python']}; "
        f"canned server: {machine['server']}{where}; load at the start {machine['load']}; {results['date']}{took}"
    )


def save(results: dict[str, Any], path: Path) -> None:
    """Store the results as JSON, in one step: an earlier file stays whole until then."""
    path.parent.mkdir(parents=True, exist_ok=True)
    made = path.with_suffix(".new")
    made.write_text(json.dumps(results, indent=1) + "\n")
    made.replace(path)


def write(results: dict[str, Any], folder: Path) -> None:
    """Write the JSON, the page and the plots. A plot that cannot be drawn is told, and the rest is written."""
    from benchmarks import plots

    results = results | {"targets": targets.plain(targets.targets(results))}
    folder.mkdir(parents=True, exist_ok=True)
    save(results, folder / "results.json")
    drawn: list[tuple[str, str]] = []
    try:
        drawn += plots.draw(results, folder)
    except Exception as error:  # noqa: BLE001 - the page must be written all the same
        print(f"plots: {type(error).__name__}: {error}", file=sys.stderr)
    (folder / "results.md").write_text("\n".join(page(results, drawn)))


def page(results: dict[str, Any], drawn: list[tuple[str, str]]) -> list[str]:
    """The lines of the Markdown page. ``drawn`` are the names and titles of the plots."""
    lines = ["# Measured", "", "Made by `make bench`; [how it is measured](README.md).", "", about(results) + ".", ""]
    versions = [f"{one['title']} {one['version']}" for one in results["libraries"].values() if one["version"]]
    newer = results.get("newer")
    if newer:
        names = [one for name, one in newer["libraries"].items() if name not in results["libraries"]]
        versions += [f"{one['title']} {one['version']} on CPython {newer['python']}" for one in names]
    lines += ["Versions: " + ", ".join(versions) + ".", ""]
    found = list(tables(results))
    first = [table for table in found if table.title.startswith("Targets")]
    for table in first:
        lines += _table(table)
    for name, title in drawn:
        lines += [f"![{title}]({name})", ""]
    for table in found:
        if table not in first:
            lines += _table(table)
    return lines


def _table(table: Table) -> list[str]:
    lines = [f"## {table.title}", "", table.note, ""]
    lines += ["| " + " | ".join(table.head) + " |", "|---|" + "---:|" * (len(table.head) - 1)]
    cells = [[cell.replace("|", "\\|") for cell in row] for row in table.rows]
    return lines + ["| " + " | ".join(row) + " |" for row in cells] + [""]
