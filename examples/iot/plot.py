"""Pictures of what was measured, drawn by matplotlib into SVG or PNG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .models import Day, Reading


def draw(days: Mapping[str, Sequence[Day]], week: Mapping[str, Sequence[Reading]], path: Path) -> None:
    """Draw the days of each station as a band from lowest to highest with the mean in it, and below it some hours.

    A station has one colour and all bands one scale, so that they can be compared. The same values make the same file.

    Example: ``draw({"JFK": days}, {"JFK": readings}, Path("weather.svg"))``
    """
    import matplotlib as mpl  # for who draws alone

    mpl.use("Agg")
    mpl.rcParams["svg.hashsalt"] = "weather"
    from matplotlib import dates
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(len(days) + 1, 1, figsize=(10, 2.2 * len(days) + 3), layout="constrained")
    colours = {station: f"C{at}" for at, station in enumerate(days)}
    for axis, (station, values) in zip(axes, days.items(), strict=False):
        axis.sharey(axes[0])
        _band(axis, station, values, colours[station])
    below = axes[-1]
    for station, readings in week.items():
        known = [reading for reading in readings if reading.celsius is not None]
        degrees = [float(one.celsius or 0) for one in known]
        below.plot([one.at for one in known], degrees, label=station, color=colours.get(station), linewidth=1)
    below.set_title("hourly readings of the last days (UTC)", loc="left", fontsize=10)
    below.legend(
        loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0.2, frameon=False, ncols=len(week), fontsize=9
    )
    for axis in axes:
        axis.set_ylabel("°C")
        axis.xaxis.set_major_formatter(dates.ConciseDateFormatter(axis.xaxis.get_major_locator()))  # type: ignore[no-untyped-call]
        axis.grid(visible=True, alpha=0.3)
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
    plt.close(figure)


def _band(axis: Any, station: str, values: Sequence[Day], colour: str) -> None:
    at = [value.day for value in values]
    low, high = [float(value.lowest) for value in values], [float(value.highest) for value in values]
    axis.fill_between(at, low, high, alpha=0.3, linewidth=0, color=colour)
    axis.plot(at, [float(value.mean) for value in values], linewidth=1, color=colour)
    axis.set_title(f"{station}: lowest, mean and highest of each day", loc="left", fontsize=10)
