"""Datetimes as numbers and as texts of a format: what is stored, what is read, as keys, in conditions, and beside one another."""

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynamorm import (
    Attr,
    Epoch,
    Model,
    TimeText,
    ValidationError,
    attr,
    composite,
    gsi,
    partition_key,
    sort_key,
    ttl,
    version,
)

from .kit import ask, stored, table_of

AT = datetime(2024, 5, 6, 7, 8, 9, 123_456, UTC)
BERLIN = TimeText("%d.%m.%Y %H:%M:%S %z", zone="Europe/Berlin")
ISO = TimeText("%Y-%m-%dT%H:%M:%S.%LZ")


class Event(Model, table="events"):
    room: Attr[str] = partition_key()
    at: Attr[datetime] = sort_key(Epoch("milliseconds"))
    seconds: Attr[datetime | None] = attr(Epoch(), default=None)
    nanos: Attr[datetime | None] = attr(Epoch("nanoseconds"), default=None, name="ns")
    iso: Attr[datetime] = attr(ISO, default=AT)
    local: Attr[datetime | None] = attr(BERLIN, default=None)
    expires: Attr[datetime | None] = ttl(Epoch(), default=None)
    version: Attr[int] = version()
    by_iso = gsi("by-iso", partition="room", sort="iso")


class Day(Model, table="days"):
    pk: Attr[str] = partition_key(composite("room"))
    sk: Attr[str] = sort_key(composite("{at:number}#{local}"))
    room: Attr[str]
    at: Attr[datetime] = attr(Epoch("seconds"))
    local: Attr[datetime] = attr(TimeText("%d.%m.%Y"))


MODELS = [Event, Day]


@pytest.mark.engine
def test_what_is_stored_and_read(db, key):
    made = Event(room=key, at=AT, seconds=AT, nanos=AT, iso=AT, local=AT, expires=AT)
    db.create(made)
    item = stored(db, Event, key, AT)
    assert item["at"] == {"N": "1714979289123"}
    assert item["seconds"] == item["expires"] == {"N": "1714979289"}
    assert item["ns"] == {"N": "1714979289123456000"}
    assert item["iso"] == {"S": "2024-05-06T07:08:09.123Z"}
    assert item["local"] == {"S": "06.05.2024 09:08:09 +0200"}
    found = db.get(Event, key, AT)
    assert found == made  # which holds what is stored
    assert found.at == found.iso == AT.replace(microsecond=123_000)
    assert found.seconds == found.local == found.expires == AT.replace(microsecond=0)
    assert found.nanos == AT
    assert all(one.tzinfo is UTC for one in (found.at, found.seconds, found.nanos, found.iso, found.local))
    found.seconds += timedelta(hours=1)
    db.save(found)
    assert db.get(Event, key, found.at).seconds == found.seconds
    assert db.get(Event, key, AT.astimezone(timezone(timedelta(hours=5)))).version == 1


@pytest.mark.engine
def test_as_keys_and_in_conditions(db, key):
    times = [datetime(1960, 1, 1, tzinfo=UTC), datetime(1970, 1, 1, tzinfo=UTC), AT, AT + timedelta(milliseconds=1)]
    made = [Event(room=key, at=at, iso=at, local=at) for at in times]
    assert not db.batch_write(puts=made).failed
    mine = db.model(Event).where(Event.room == key)
    assert mine.all() == made
    assert mine.where(Event.at > times[1]).all() == made[2:]
    assert mine.where(Event.at.between(times[0], times[1])).all() == made[:2]
    assert mine.where(Event.iso >= AT).index("by-iso").all() == made[2:]
    assert mine.filter(Event.local == AT).all() == made[2:]
    with db.transaction() as tx:
        tx.update(Event, key, AT, Event.seconds.set(AT), condition=Event.iso == AT)
    assert db.get(Event, key, AT).seconds == AT.replace(microsecond=0)
    with pytest.raises(ValidationError, match="cannot order"):
        mine.filter(Event.local > AT).all()


@pytest.mark.engine
def test_numbers_in_keys_of_parts(db, key):
    times = [datetime(1960, 1, 1, tzinfo=UTC), datetime(1970, 1, 1, tzinfo=UTC), AT]
    for at in reversed(times):
        db.put(Day(room=key, at=at, local=at))
    mine = db.model(Day).where(Day.room == key)
    assert [one.at for one in mine.all()] == [at.replace(microsecond=0) for at in times]
    assert len(mine.where(Day.at > times[1]).all()) == 1
    assert db.get(Day, room=key, at=AT, local=AT).local == datetime(2024, 5, 6, tzinfo=UTC)


@pytest.mark.engine
def test_what_other_programs_stored_is_addressed_as_it_is(db, key):
    item = {"room": {"S": key}, "at": {"N": "1714979289123.9"}, "seconds": {"N": "1714979289.5"}, "version": {"N": "0"}}
    ask(db, "PutItem", {"TableName": table_of(db, Event), "Item": item})
    (found,) = db.model(Event).where(Event.room == key).all()
    assert found.seconds == AT.replace(microsecond=500_000)
    found.iso = AT
    db.save(found)
    db.delete(found)
    assert db.model(Event).where(Event.room == key).all() == []


@pytest.mark.engine
@pytest.mark.parametrize(
    "attribute", [{"seconds": {"N": "99999999999999999"}}, {"seconds": {"S": "2024"}}, {"iso": {"S": "2024-05-06"}}, {"local": {"S": "31.02.2024 00:00:00 +0000"}}]
)  # fmt: skip
def test_another_form_is_told_by_its_field(db, key, attribute):
    item = {"room": {"S": key}, "at": {"N": "1"}, "version": {"N": "0"}, **attribute}
    ask(db, "PutItem", {"TableName": table_of(db, Event), "Item": item})
    with pytest.raises(ValidationError) as caught:
        db.model(Event).where(Event.room == key).all()
    assert caught.value.field in attribute
    assert "2024" not in str(caught.value)


TIMES = st.datetimes(
    datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.sampled_from([UTC, ZoneInfo("Europe/Berlin")])
)
FORMS = st.sampled_from(
    [Epoch("seconds"), Epoch("milliseconds"), Epoch("microseconds"), Epoch("nanoseconds"), ISO, TimeText("%Y%m%d"),
     TimeText("%Y-%m-%d %H:%M", zone=timezone(timedelta(hours=-5)))]
)  # fmt: skip


@given(FORMS, TIMES, TIMES)
def test_stored_forms_keep_the_order_and_read_back(form, one, other):
    one, other = (form.normal(at).astimezone(UTC) for at in (one, other))
    texts = [form.written(at) for at in (one, other)]
    assert [form.read(text) for text in texts] == [one, other]
    first, second = map(int, texts) if form.tag == "N" else texts
    assert (first < second) == (one < other)
    assert (first == second) == (one == other)


@given(TIMES)
def test_a_text_with_its_offset_reads_back_in_the_hour_that_is_there_twice(at):
    for form in (BERLIN, TimeText("%H:%M:%S.%f%:z at %d/%m/%Y 100%%", zone="America/New_York")):
        kept = form.normal(at).astimezone(UTC)
        assert form.read(form.written(kept)) == kept
        assert kept.replace(microsecond=0) == at.astimezone(UTC).replace(microsecond=0)


def test_the_years_before_1000_have_four_digits():
    assert TimeText("%Y-%m-%d").written(datetime(7, 1, 2, tzinfo=UTC)) == "0007-01-02"
