"""Types that cannot be stored: refused with the first use of the model, and what an attribute cannot be used for."""

from datetime import datetime

import pytest

from dynamorm import Attr, Codec, Model, ValidationError, attr, gsi, partition_key, ttl, version
from dynamorm.errors import ModelError


class FloatMoney(Model, table="some-table"):
    id: Attr[str] = partition_key()
    amount: Attr[float]


class ListKey(Model, table="some-table"):
    id: Attr[list[str]] = partition_key()


class OptionalKey(Model, table="some-table"):
    id: Attr[str | None] = partition_key()


class ListIndex(Model, table="some-table"):
    id: Attr[str] = partition_key()
    tags: Attr[list[str]] = attr(default_factory=list)
    by_tags = gsi("by-tags", partition="tags")


class TextVersion(Model, table="some-table"):
    id: Attr[str] = partition_key()
    version: Attr[str] = version()


class TextTtl(Model, table="some-table"):
    id: Attr[str] = partition_key()
    expires: Attr[str] = ttl()


class Unstorable(Model, table="some-table"):
    id: Attr[str] = partition_key()
    number: Attr[complex]


class SetOfLists(Model, table="some-table"):
    id: Attr[str] = partition_key()
    sets: Attr[set[frozenset[str]]]


class Undefined(Model, table="some-table"):
    id: Attr[str] = partition_key()
    other: Attr["NoSuchName"]  # noqa: F821 - the mistake under test


class Tableless(Model):
    text: Attr[str]


TYPES = {
    FloatMoney: ("FloatMoney.amount", "Decimal"),
    ListKey: ("ListKey.id",),
    OptionalKey: ("OptionalKey.id",),
    ListIndex: ("ListIndex.tags",),
    TextVersion: ("TextVersion.version", "int"),
    TextTtl: ("TextTtl.expires", "datetime"),
    Unstorable: ("Unstorable.number", "complex", "Codec("),
    SetOfLists: ("SetOfLists.sets",),
    Undefined: ("Undefined.other", "NoSuchName"),
    Tableless: ("Tableless", "table="),
}


@pytest.mark.parametrize("model", TYPES, ids=lambda model: model.__name__)
def test_a_type_that_cannot_be_stored_is_refused_with_the_first_use(db, refused, model):
    for call in (lambda: db.get(model, "x"), lambda: db.tables.ensure(model)):
        refused(ModelError, call, *TYPES[model])


def test_attributes_of_a_model_cannot_be_replaced_or_removed():
    with pytest.raises(AttributeError, match=r"Tableless\.text"):
        Tableless.text = "x"
    with pytest.raises(AttributeError, match=r"Tableless\.text"):
        del Tableless.text


def test_an_attribute_is_no_bool_and_no_container():
    with pytest.raises(TypeError, match="text is an attribute"):
        bool(Tableless.text)
    with pytest.raises(TypeError, match="contains"):
        assert "x" in Tableless.text
    with pytest.raises(TypeError, match="combine conditions"):
        (Tableless.text == "a") and (Tableless.text == "b")


def test_a_codec_that_returns_what_cannot_be_stored_is_a_typed_error(db, refused):
    class Bad(Model, table="some-table"):
        id: Attr[str] = partition_key()
        at: Attr[datetime] = attr(Codec(lambda value: object(), lambda value: value))

    refused(ValidationError, lambda: db.create(Bad(id="x", at=datetime(2024, 1, 1))), "Bad.at")
