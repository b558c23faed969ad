"""Forms of datetimes that cannot be: refused where they are declared, with the reason."""

from datetime import date, datetime

import pytest

from dynamorm import Attr, Epoch, Model, TimeText, attr, gsi, lsi, partition_key, sort_key, ttl
from dynamorm.codec.registry import Registry
from dynamorm.codec.values.updates import check_update
from dynamorm.errors import ModelError, ValidationError


@pytest.mark.parametrize("unit", ["second", "ms", 5, None, ""])
def test_an_unknown_unit(unit):
    with pytest.raises(ModelError, match="'seconds', 'milliseconds', 'microseconds', 'nanoseconds'"):
        Epoch(unit)


@pytest.mark.parametrize(
    ("format", "words"),
    [
        (5, "takes a format"),
        ("%y-%m-%d", "'%y' is none of"),
        ("%Y-%m-%d %b", "'%b' is none of"),
        ("%Y-%m-%d %", "'%' is none of"),
        ("%m-%d", "cannot be read back"),
        ("", "cannot be read back"),
        ("%Y-%m-%d %M", "cannot be read back"),
        ("%Y-%m-%d %H:%M.%f", "cannot be read back"),
        ("%Y-%m-%d %Y", "there twice"),
        ("%Y-%m-%d %H:%M:%S.%f%L", "there twice"),
    ],
)
def test_a_format_that_cannot_be_read_back(format, words):
    with pytest.raises(ModelError, match=words):
        TimeText(format)


@pytest.mark.parametrize("zone", ["Europe/Atlantis", "", "../x", 5])
def test_a_zone_that_is_none(zone):
    with pytest.raises(ModelError, match="no zone"):
        TimeText("%Y-%m-%d%z", zone=zone)


def test_a_zone_whose_offset_changes_needs_the_offset():
    with pytest.raises(ModelError, match=r"add %z to the format"):
        TimeText("%Y-%m-%d %H:%M", zone="Europe/Berlin")


class _Body:
    key = {"__annotations__": {"id": Attr[str], "at": Attr[datetime]}, "__module__": __name__, "id": partition_key()}


@pytest.mark.parametrize(
    ("declared", "more", "words"),
    [
        (lambda: sort_key(TimeText("%d.%m.%Y")), {}, "the year must stand before the month"),
        (lambda: sort_key(TimeText("%Y-%m-%d%z", zone="Europe/Berlin")), {}, "changes over the year"),
        (lambda: attr(TimeText("%d.%m.%Y")), {"by_at": gsi("by-at", partition="id", sort="at")}, "no sort key"),
        (lambda: attr(TimeText("%H %d %m %Y")), {"s": sort_key(), "by_at": lsi("by-at", sort="at")}, "no sort key"),
        (lambda: ttl(Epoch("milliseconds")), {}, "as seconds"),
        (lambda: ttl(TimeText("%Y%m%d")), {}, "as seconds"),
    ],
)
def test_where_a_form_has_no_place(declared, more, words):
    body = {**_Body.key, "at": declared(), **more}
    if "s" in more:
        body["__annotations__"] = {**body["__annotations__"], "s": Attr[str]}
    with pytest.raises(ModelError, match=words) as caught:
        Registry().codec(type(Model)("M", (Model,), body, table="some-table"))
    assert "M.at" in str(caught.value)


@pytest.mark.parametrize("kind", [date, str, int, datetime | str])
def test_a_form_is_for_a_datetime(kind):
    body = {
        "__annotations__": {"id": Attr[str], "at": Attr[kind]},
        "__module__": __name__,
        "id": partition_key(),
        "at": attr(Epoch()),
    }
    with pytest.raises(ModelError, match=r"M\.at: Epoch\('seconds'\) is for a datetime"):
        Registry().codec(type(Model)("M", (Model,), body, table="some-table"))


class Timed(Model, table="timed"):
    id: Attr[str] = partition_key()
    at: Attr[datetime | None] = attr(Epoch("milliseconds"), default=None)
    seconds: Attr[datetime | None] = attr(Epoch(), default=None)
    plain: Attr[datetime | None] = attr(default=None)
    day: Attr[datetime | None] = attr(TimeText("%Y%m%d"), default=None)


@pytest.mark.parametrize("value", [datetime(2024, 1, 1), "2024-01-01", 5])
def test_a_value_that_is_no_time_with_a_zone(value):
    codec = Registry().codec(Timed)
    for name in ("at", "day"):
        with pytest.raises(ValidationError, match=rf"Timed\.{name}") as caught:
            codec.encode(Timed(id="1", **{name: value}))
        assert "2024" not in str(caught.value)


def test_times_of_two_forms_are_not_taken_for_one_another():
    codec = Registry().codec(Timed)
    for change in (Timed.at.set(Timed.seconds), Timed.plain.set(Timed.day), Timed.seconds.set(Timed.at)):
        with pytest.raises(ValidationError, match="another type"):
            check_update(codec, "set", change.path.parts, change.value.parts)
    with pytest.raises(ValidationError, match="another form"):
        codec.encode_operand((codec.field("at"),), Timed.seconds, "order")
