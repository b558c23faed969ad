"""Items whose keys another program has spelled in its own way, of every type that a key may have."""

import json
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum
from uuid import UUID, uuid4

from dynamorm import Attr, Codec, Model, Unique, attr, composite, gsi, partition_key, sort_key, version
from dynamorm.streams import decode

from .kit import ask, table_of


class Color(Enum):
    RED = "red"
    BLUE = "blue"

    @classmethod
    def _missing_(cls, value):
        return next((one for one in cls if one.value == str(value).lower()), None)


class Level(IntEnum):
    LOW = 1
    HIGH = 2


def known(value):
    """Refuses what an older program has stored."""
    if not value.startswith("new-"):
        raise ValueError(value)
    return value


PAIR = Codec(encode="|".join, decode=lambda text: tuple(part.strip() for part in text.split("|")))

KINDS = {
    "str": (str, {}, ["S:plain", 'S:with \u00e9, " and \\']),
    "int": (int, {}, ["N:7", "N:-12345678901234567890"]),
    "Decimal": (Decimal, {}, ["N:1.5", "N:1E+30", "N:0.000001"]),
    "float": (float, {}, ["N:0.5", "N:0.1000000000000000055511151231257827", "N:3"]),
    "bytes": (bytes, {}, ["B:AQI=", "B:/+8="]),
    "UUID": (
        UUID,
        {},
        [
            "S:6F9619FF-8B86-D011-B42D-00C04FC964FF",
            "S:6f9619ff-8b86-d011-b42d-00c04fc964ff",
            "S:6F9619FF8B86D011B42D00C04FC964FF",
        ],
    ),
    "datetime": (
        datetime,
        {},
        [
            "S:2024-01-01T00:00:05.12Z",
            "S:2024-01-01T00:00:05.120000000Z",
            "S:2024-01-01T00:00:05.12+00:00",
            "S:2024-01-01T02:00:05.12+02:00",
            "S:2024-01-01 00:00:05.120z",
            "S:2024-01-01T00:00:05.123456789Z",
            "S:2024-01-01T00:00:05.123456788Z",
        ],
    ),
    "date": (date, {}, ["S:20240103", "S:2024-W01-3", "S:2024-01-03"]),
    "time": (time, {}, ["S:12:30", "S:123000", "S:T12:30:00.000000", "S:12:30:00"]),
    "timedelta": (timedelta, {}, ["N:90", "N:1.5", "N:0.000001"]),
    "Enum": (Color, {}, ["S:BLUE", "S:Blue", "S:blue"]),
    "IntEnum": (Level, {}, ["N:1"]),
    "stripped": (str, {"validators": (str.strip,)}, ["S: a", "S:a ", "S:a"]),
    "lowered": (str, {"validators": (str.lower,)}, ["S:ABC", "S:abc"]),
    "refused": (str, {"validators": (known,)}, ["S:old", "S:new-1"]),
    "bounded": (str, {"max_length": 3}, ["S:longer", "S:abc"]),
    "Codec": (tuple, {}, ["S:a | b", "S:a|b ", "S:a|b"]),
}
"""By kind of key: its type, its settings, and texts in which keys of it may be stored, several for one value."""

VALIDATED = {"refused", "bounded"}
"""Kinds of which an older key may break a rule of today: then a write may be refused, with nothing changed."""


def made(kind, *, sort, hint=None):
    """A model whose partition or sort key is of this kind; one has a version, the other has none."""
    known_hint, settings, _ = KINDS[kind]
    options = (PAIR,) if kind == "Codec" and hint is None else ()
    declared = (sort_key if sort else partition_key)(*options, **settings)
    fields = {"id": (hint or known_hint, declared)}
    if sort:
        fields = {"folder": (str, partition_key()), **fields}
    else:
        fields["version"] = (int, version())
    fields |= {"group": (str, attr(default="")), "count": (int, attr(default=0)), "note": (str, attr(default=""))}
    body = {
        "__module__": __name__,
        "__annotations__": {name: Attr[one] for name, (one, _) in fields.items()},
        **{name: value for name, (_, value) in fields.items()},
        "by_group": gsi("by-group", partition="group", projection="KEYS_ONLY"),
    }
    name = f"{'Sort' if sort else 'Partition'}{kind.title()}"
    return type(Model)(name if hint is None else f"{name}Table", (Model,), body, table=name.lower())


SORTED = ("str", "int", "float", "bytes", "UUID", "datetime", "stripped", "Codec")
PLACES = {f"{kind}-partition": made(kind, sort=False) for kind in KINDS} | {
    f"{kind}-sort": made(kind, sort=True) for kind in SORTED
}


class Ledger(Model, table="ledgers"):
    pk: Attr[str] = partition_key(composite("ACCOUNT#{account}"))
    id: Attr[datetime] = sort_key()
    account: Attr[UUID]
    group: Attr[str] = attr(default="")
    count: Attr[int] = attr(default=0)
    note: Attr[str] = attr(default="")
    by_group = gsi("by-group", partition="group", projection="KEYS_ONLY")


class Badge(Model, table="badges"):
    id: Attr[UUID] = partition_key()
    group: Attr[str] = attr(default="")
    count: Attr[int] = attr(default=0)
    note: Attr[str] = attr(default="")
    number: Attr[str | None] = attr(Unique(), default=None)
    by_group = gsi("by-group", partition="group", projection="KEYS_ONLY")


class Tagged(Model, table="tagged", discriminator="kind"):
    id: Attr[UUID] = partition_key()
    group: Attr[str] = attr(default="")
    count: Attr[int] = attr(default=0)
    note: Attr[str] = attr(default="")
    by_group = gsi("by-group", partition="group", projection="KEYS_ONLY")


class TaggedMore(Tagged, tag="more"):
    pass


# The stored type of a Codec depends on its values, so that its table is made by another model.
MODELS = [
    *(model for name, model in PLACES.items() if not name.startswith("Codec")),
    *(made("Codec", sort=sort, hint=str) for sort in (False, True)),
    Ledger,
    Badge,
    Tagged,
]
PLACES |= {"composite": Ledger, "unique": Badge, "family": TaggedMore}


def spelled(place, group):
    """The items of a place as another program has stored them."""
    kind = place.partition("-")[0]
    texts = KINDS[{"composite": "datetime", "unique": "UUID", "family": "UUID"}.get(kind, kind)][2]
    for number, text in enumerate(texts):
        tag, _, value = text.partition(":")
        item = {"id": {tag: value}, "group": {"S": group}, "count": {"N": str(number)}, "other": {"S": "kept"}}
        if kind == "composite":
            account = "6F9619FF-8B86-D011-B42D-00C04FC964FF"
            item |= {"pk": {"S": f"ACCOUNT#{account}"}, "account": {"S": account}}
        elif kind == "family":
            item["kind"] = {"S": "more"}
        elif place.endswith("sort"):
            item["folder"] = {"S": group}
        elif kind != "unique":
            item["version"] = {"N": "0"}
        yield item


class Shelf:
    """The items of one test in a table, past the model."""

    def __init__(self, db, place):
        self.db = db
        self.model = PLACES[place]
        self.table = table_of(db, self.model)
        self.group = uuid4().hex
        self.names = db.inner._session.plan(self.model).key_names
        for item in self.all("Scan", {}):  # of other tests, whose keys are the same
            self.remove(item)
        for item in spelled(place, self.group):
            ask(db, "PutItem", {"TableName": self.table, "Item": item})
        # DynamoDB writes numbers in its own way.
        self.items = sorted(self.now().values(), key=lambda item: int(item["count"]["N"]))

    def remove(self, item):
        ask(self.db, "DeleteItem", {"TableName": self.table, "Key": self.key(item)})

    def key(self, item):
        return {name: item[name] for name in self.names}

    def all(self, operation, more):
        return ask(self.db, operation, {"TableName": self.table, **more})["Items"]

    def now(self):
        """What is stored, by key."""
        return {json.dumps(self.key(item)): item for item in self.all("Scan", {"ConsistentRead": True})}

    def read(self, item, way):
        """The object of an item, read in one way or another."""
        count = int(item["count"]["N"])
        query = self.db.model(self.model)
        if way == "scan":
            found = query.filter(self.model.group == self.group).allow_scan().all()
        elif way == "hydrate":
            found = query.index("by-group").where(self.model.group == self.group).hydrate().all()
        else:
            image = {"eventName": "INSERT", "dynamodb": {"Keys": self.key(item), "NewImage": item}}
            record = decode(image, self.model)
            return record.new if way == "stream" else self.db.get(self.model, record.stored_key, consistent=True)
        (one,) = [one for one in found if one.count == count]
        return one
