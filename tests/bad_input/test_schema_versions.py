"""Mistakes in the chain of upgrades of a model: refused when the class is made."""

import pytest

from dynamorm import Attr, Model, attr, partition_key, upgrade, version
from dynamorm.errors import ModelError


def _moved(item):
    item["b"] = item.pop("a")


def _body(**more):
    return {
        "__annotations__": {"id": Attr[str], "version": Attr[int]},
        "id": partition_key(),
        "version": version(),
        "__module__": __name__,
        **more,
    }


@pytest.mark.parametrize(
    ("settings", "body", "words"),
    [
        (
            {"schema_version": 3},
            {"a": upgrade(1)(_moved)},
            "nothing upgrades version 2: add a function with @upgrade(2)",
        ),
        ({"schema_version": 2}, {}, "nothing upgrades version 1"),
        (
            {"schema_version": 2},
            {"a": upgrade(1)(_moved), "b": staticmethod(upgrade(1)(_moved))},
            "both upgrade schema version 1",
        ),
        ({"schema_version": 2}, {"a": upgrade(1)(_moved), "b": upgrade(2)(_moved)}, "write schema_version=3"),
        ({}, {"a": upgrade(1)(_moved)}, "write schema_version=2"),
        ({"schema_version": 0}, {}, "a whole number from 1 on"),
        ({"schema_version": "2"}, {}, "a whole number from 1 on"),
        ({"schema_version": True}, {}, "a whole number from 1 on"),
        ({"schema_version": 1}, {"other": attr(default="", name="_sv")}, "choose another stored name"),
    ],
    ids=range(9),
)
def test_a_chain_of_upgrades_is_whole(settings, body, words):
    namespace = _body(**body)
    if "other" in body:
        namespace["__annotations__"]["other"] = Attr[str]
    with pytest.raises(ModelError) as caught:
        type(Model)("M", (Model,), namespace, table="some-table", **settings)
    assert "M" in str(caught.value)
    assert words in str(caught.value)


def test_upgrades_need_a_version_for_their_saves():
    namespace = _body(a=upgrade(1)(_moved))
    del namespace["version"], namespace["__annotations__"]["version"]
    with pytest.raises(ModelError, match=r"declare version: Attr\[int\] = version\(\)"):
        type(Model)("M", (Model,), namespace, table="some-table", schema_version=2)


def test_a_family_has_one_schema_version():
    class Root(Model, table="some-table", discriminator="kind", schema_version=1):
        id: Attr[str] = partition_key()

    with pytest.raises(ModelError, match="that of its first class"):

        class Leaf(Root, schema_version=2):
            pass


@pytest.mark.parametrize("since", [0, -1, "1", None, True, 1.0])
def test_an_upgrade_is_of_a_version(since):
    with pytest.raises(ModelError, match=r"write @upgrade\(1\)"):
        upgrade(since)


@pytest.mark.parametrize("names", ["a", (), (5,), ("",)])
def test_the_attributes_of_an_upgrade_are_names(names):
    with pytest.raises(ModelError, match="a tuple of stored names"):
        upgrade(1, attributes=names)


def test_an_upgrade_marks_a_function():
    for wrong in (None, upgrade(1)(_moved)):
        with pytest.raises(ModelError, match="marks one function"):
            upgrade(1)(wrong)
