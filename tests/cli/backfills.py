"""Functions that backfills run."""

from __future__ import annotations

import time

from dynamorm import Attr, Model, attr, partition_key, upgrade, upgraded_item, version


def doubled(item):
    if "double" in item or item["number"] % 2:
        return None
    item["double"] = item["number"] * 2
    item.pop("note", None)
    return item


def forgetful(item):
    item["seen"] = True


def slow(item):
    time.sleep(0.002)
    return {**item, "slow": True}


def leaving(item):
    raise SystemExit(0)


def once(item):
    return None if "times" in item else {**item, "times": 1}


def moved(item):
    return {**item, "number": item["number"] + 1}


def failing(item):
    raise KeyError(item["id"])


def wrong(item):
    return [item]


def unstorable(item):
    return {**item, "bad": object()}


def nothing(item):
    return dict(item)


number = 5


class FormerPerson(Model, table="people"):
    id: Attr[str] = partition_key()
    name: Attr[str]
    version: Attr[int] = version()


class Person(Model, table="people", schema_version=2):
    id: Attr[str] = partition_key()
    first: Attr[str]
    last: Attr[str] = attr(default="")
    version: Attr[int] = version()

    @staticmethod
    @upgrade(1, attributes=("name", "first", "last"))
    def split_name(item):
        item["first"], _, item["last"] = item.pop("name").partition(" ")


def newest(item):
    return upgraded_item(Person, item)
