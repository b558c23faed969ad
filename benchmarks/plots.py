"""The plots of the report, as SVG: one figure each, readable on light and dark pages."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.payload import BLOB_SIZES, QUERY_SIZES
from benchmarks.report import number

OURS, OTHERS, FLOOR = "#c2410c", "#64748b", "#a8b3c2"
LINES = {
    "floor": FLOOR, "dynamorm": OURS, "dynamorm-async": OURS, "boto3": "#1d4ed8", "boto3-resource": "#60a5fa",
    "pynamodb": "#be185d", "pydynox": "#0f766e", "pydynox-async": "#0f766e", "dyntastic": "#7c3aed",
    "aiodynamo": "#65a30d",
}  # fmt: skip
"""One colour per library; an asyncio face of the same library is dashed."""
BARS = ("get", "put", "update", "query-100", "query-1000", "gets-64")


def draw(results: dict[str, Any], folder: Path) -> Iterator[tuple[str, str]]:
    """Draw what the results hold; yields the name and the title of each file. Nothing without matplotlib."""
    try:
        import matplotlib as mpl
    except ImportError:
        return
    mpl.use("Agg")
    mpl.rcParams.update({"font.size": 10, "svg.fonttype": "path", "svg.hashsalt": "dynamorm", "axes.spines.top": False})
    mpl.rcParams.update({"axes.spines.right": False, "figure.facecolor": "white", "font.family": "DejaVu Sans"})
    if any(name in results["works"] for name in BARS):
        yield _save(_bars(results), folder, "cpu.svg", "CPU per operation")
    for group, verb, sizes, title, label in (
        ("sizes", "get", BLOB_SIZES, "CPU of a get as items grow", "bytes of the item"),
        ("sizes", "put", BLOB_SIZES, "CPU of a put as items grow", "bytes of the item"),
        ("growth", "query", QUERY_SIZES, "CPU of a query as it grows", "items of the query"),
    ):
        names = [f"{verb}-{size}B" if group == "sizes" else f"query-{size}" for size in sizes]
        if all(name in results["works"] for name in names):
            figure = _growth(results, list(zip(sizes, names, strict=True)), title, label, each=group == "growth")
            yield _save(figure, folder, f"{group}-{verb}.svg", title)
    if results.get("startup"):
        yield _save(_startup(results), folder, "startup.svg", "Import and first get")


def _save(figure: Any, folder: Path, name: str, title: str) -> tuple[str, str]:
    import matplotlib.pyplot as plt

    figure.savefig(folder / name, metadata={"Date": None}, bbox_inches="tight")
    plt.close(figure)
    return name, title


def _colour(library: str) -> str:
    return OURS if library.startswith("dynamorm") else FLOOR if library == "floor" else OTHERS


def _barh(axes: Any, rows: list[tuple[str, str, list[float]]]) -> None:
    """Horizontal bars of medians with their range, each with its number behind it."""
    middles = [median(values) for _, _, values in rows]
    below = [middle - min(values) for middle, (_, _, values) in zip(middles, rows, strict=True)]
    above = [max(values) - middle for middle, (_, _, values) in zip(middles, rows, strict=True)]
    axes.barh(
        [title for _, title, _ in rows],
        middles,
        xerr=[below, above],
        color=[_colour(name) for name, _, _ in rows],
        error_kw={"elinewidth": 0.8, "ecolor": "#1e293b"},
    )
    room = max(middle + more for middle, more in zip(middles, above, strict=True))
    for at, (middle, more) in enumerate(zip(middles, above, strict=True)):
        axes.text(middle + more + room * 0.015, at, number(middle), va="center", fontsize=9)
    axes.set_xlim(0, room * 1.15)
    axes.invert_yaxis()
    axes.tick_params(axis="y", length=0)


def _bars(results: dict[str, Any]) -> Any:
    import matplotlib.pyplot as plt

    from benchmarks.work import BY_NAME

    names = [name for name in BARS if name in results["works"]]
    rows_of_plots = (len(names) + 1) // 2
    figure, grid = plt.subplots(rows_of_plots, 2, figsize=(12, 3.4 * rows_of_plots), squeeze=False)
    for axes, name in zip(grid.flat, names, strict=False):
        found = results["works"][name]
        titles = {library: one["title"] for library, one in results["libraries"].items()}
        _barh(axes, [(one, titles[one], found[one]["cpu"]) for one in titles if found.get(one, {}).get("cpu")])
        axes.set_title(f"{BY_NAME[name].title}: CPU µs", loc="left", fontweight="bold", fontsize=11)
    for axes in list(grid.flat)[len(names) :]:
        axes.set_visible(False)
    figure.tight_layout(w_pad=2, h_pad=1.5)
    return figure


def _startup(results: dict[str, Any]) -> Any:
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(9, 4))
    titles = {name: one["title"] for name, one in results["libraries"].items()}
    found = results["startup"]
    _barh(axes, [(name, titles[name], found[name]["first get, wall"]) for name in titles if name in found])
    axes.set_title("import and first get in a fresh interpreter: ms", loc="left", fontweight="bold", fontsize=11)
    return figure


def _growth(results: dict[str, Any], points: list[tuple[int, str]], title: str, label: str, *, each: bool) -> Any:
    """Lines over a size; ``each``: per item, so that a flat line means that the cost of an item stays the same."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(9, 5))
    ends = []
    for library, one in results["libraries"].items():
        known = [(size, results["works"][name].get(library, {}).get("cpu")) for size, name in points]
        line = [(size, median(values) / (size if each else 1)) for size, values in known if values]
        if not line:
            continue
        xs, ys = zip(*line, strict=True)
        axes.plot(
            xs,
            ys,
            marker="o",
            ms=4,
            lw=2.4 if library.startswith("dynamorm") else 1.3,
            ls="--" if library.endswith("-async") else "-",
            color=LINES.get(library, OTHERS),
            label=one["title"],
        )
        ends.append(ys[-1])
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel(label)
    axes.set_title(f"{title}: µs" + (" per item" if each else ""), loc="left", fontweight="bold", fontsize=11)
    axes.grid(visible=True, which="major", lw=0.4, color="#cbd5e1")
    order = sorted(range(len(ends)), key=lambda at: -ends[at])  # as the lines end at the right
    handles, labels = axes.get_legend_handles_labels()
    axes.legend(
        [handles[at] for at in order],
        [labels[at] for at in order],
        frameon=False,
        loc="center left",
        bbox_to_anchor=(1, 0.5),
    )
    return figure
