"""Items of models with forms in their keys, and with a schema version."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from dynamorm import Attr, Epoch, Model, TimeText, attr, composite, partition_key, sort_key, upgrade, version

from .kit import World, story


class Formed(Model, table="golden-forms"):
    pk: Attr[str] = partition_key(composite("A#{email:lower}#{country:upper}"))
    sk: Attr[str] = sort_key(composite("{value:number}#{count:number}"))
    email: Attr[str]
    country: Attr[str]
    value: Attr[Decimal]
    count: Attr[int]


VALUES = ("-9.99E+125", "-12.5", "-1", "-0.001", "0", "0.05", "1", "12.5", "1E+30")


def _formed_read(here: World, kept: Any) -> list[Any]:
    mine = here.db.model(Formed).where(Formed.email == "ANN@x", Formed.country == "dE")
    return [*mine.all(), *mine.where(Formed.value.between(Decimal(-1), Decimal(1))).all()]


@story(lambda db, folder, kept: db.tables.ensure(Formed), _formed_read)
def forms_in_keys(here: World):
    for count, value in enumerate(VALUES, -3):
        here.db.create(Formed(email="Ann@X", country="De", value=Decimal(value), count=count))


class Former(Model, table="golden-versions"):
    id: Attr[str] = partition_key()
    name: Attr[str]
    version: Attr[int] = version()


class Versioned(Model, table="golden-versions", schema_version=2):
    id: Attr[str] = partition_key()
    first: Attr[str]
    last: Attr[str] = attr(default="")
    version: Attr[int] = version()

    @staticmethod
    @upgrade(1, attributes=("name", "first", "last"))
    def split_name(item: dict[str, Any]) -> None:
        item["first"], _, item["last"] = item.pop("name").partition(" ")


def _versions_read(here: World, kept: Any) -> list[Any]:
    return [here.db.require(Versioned, one) for one in ("v1", "v2", "saved")]


@story(lambda db, folder, kept: db.tables.ensure(Former), _versions_read)
def schema_versions(here: World):
    here.db.create(Former(id="v1", name="Ann Lee"))
    here.db.create(Versioned(id="v2", first="Bob"))
    here.db.create(Former(id="saved", name="Cy Low"))
    here.db.save(here.db.require(Versioned, "saved"))


class Timed(Model, table="golden-times"):
    id: Attr[str] = partition_key()
    at: Attr[datetime] = sort_key(Epoch("milliseconds"))
    seconds: Attr[datetime] = attr(Epoch())
    nanos: Attr[datetime] = attr(Epoch("nanoseconds"))
    iso: Attr[datetime] = attr(TimeText("%Y-%m-%dT%H:%M:%S.%LZ"))
    local: Attr[datetime] = attr(TimeText("%d.%m.%Y %H:%M:%S %:z", zone="Europe/Berlin"))


@story(
    lambda db, folder, kept: db.tables.ensure(Timed),
    lambda here, kept: here.db.model(Timed).where(Timed.id == "t").all(),
)
def forms_of_times(here: World):
    for at in (datetime(1969, 7, 20, 20, 17, 40, 5, UTC), datetime(2024, 10, 27, 0, 30, 0, 123_456, UTC)):
        here.db.create(Timed(id="t", at=at, seconds=at, nanos=at, iso=at, local=at))
