"""Mistakes with composite keys: refused when the class is made, with the field and the fix in the message."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import IntEnum
from typing import Any

import pytest

from dynamorm import (
    Attr,
    Codec,
    Json,
    Model,
    attr,
    composite,
    created_at,
    gsi,
    partition_key,
    sort_key,
    ttl,
    updated_at,
    version,
)
from dynamorm.adapters import register
from dynamorm.codec.registry import Registry
from dynamorm.errors import ModelError, ValidationError


def unknown_component():
    class M(Model, table="some-table"):
        pk: Attr[str] = partition_key(composite("tenant_id", "nubmer"))
        tenant_id: Attr[str]
        number: Attr[int]


def unknown_shard_field():
    class M(Model, table="some-table"):
        pk: Attr[str] = partition_key(composite("day", shards=3, by="oder"))
        day: Attr[str]
        order: Attr[str]


def composite_of_a_composite():
    class M(Model, table="some-table"):
        pk: Attr[str] = partition_key(composite("a"))
        sk: Attr[str] = sort_key(composite("pk"))
        a: Attr[str]


def of_itself():
    class M(Model, table="some-table"):
        pk: Attr[str] = partition_key(composite("pk"))


def not_text():
    class M(Model, table="some-table"):
        pk: Attr[int] = partition_key(composite("a"))
        a: Attr[int]


def of_a_float():
    class M(Model, table="some-table"):
        pk: Attr[str] = partition_key(composite("a"))
        a: Attr[float]


def of_a_bool():
    class M(Model, table="some-table"):
        pk: Attr[str] = partition_key(composite("a"))
        a: Attr[bool]


def of_bytes():
    class M(Model, table="some-table"):
        pk: Attr[str] = partition_key(composite("a"))
        a: Attr[bytes]


def of_a_set():
    class M(Model, table="some-table"):
        pk: Attr[str] = partition_key(composite("a"))
        a: Attr[set[str]]


def of_a_map():
    class M(Model, table="some-table"):
        pk: Attr[str] = partition_key(composite("a"))
        a: Attr[dict[str, Any]]


def of_json():
    class M(Model, table="some-table"):
        pk: Attr[str] = partition_key(composite("a"))
        a: Attr[str] = attr(Json())


def of_an_optional():
    class M(Model, table="some-table"):
        pk: Attr[str] = partition_key(composite("a"))
        a: Attr[str | None]


def of_an_optional_float_for_an_index():
    class M(Model, table="some-table"):
        id: Attr[str] = partition_key()
        key: Attr[str] = attr(composite("a"))
        a: Attr[float | None]


def of_the_version():
    class M(Model, table="some-table"):
        id: Attr[str] = partition_key()
        key: Attr[str] = attr(composite("v"))
        v: Attr[int] = version()


def of_what_every_write_changes():
    class M(Model, table="some-table"):
        pk: Attr[str] = partition_key(composite("at"))
        at: Attr[datetime] = updated_at()


def padded_text():
    class M(Model, table="some-table"):
        pk: Attr[str] = partition_key(composite("{a:04d}"))
        a: Attr[str]


def shards_of_a_sort_key():
    class M(Model, table="some-table"):
        id: Attr[str] = partition_key()
        sk: Attr[str] = sort_key(composite("a", shards=3, by="b"))
        a: Attr[str]
        b: Attr[str]


def with_a_default():
    class M(Model, table="some-table"):
        pk: Attr[str] = partition_key(composite("a"), default="x")
        a: Attr[str]


def with_a_limit():
    class M(Model, table="some-table"):
        pk: Attr[str] = partition_key(composite("a"), max_length=5)
        a: Attr[str]


def with_another_option():
    class M(Model, table="some-table"):
        pk: Attr[str] = partition_key(composite("a"), Json())
        a: Attr[str]


def two_composites():
    class M(Model, table="some-table"):
        pk: Attr[str] = partition_key(composite("a"), composite("b"))
        a: Attr[str]
        b: Attr[str]


def argument_of_the_constructor():
    class M(Model, table="some-table"):
        pk: Attr[str] = partition_key(composite("a"), init=True)
        a: Attr[str]


def no_argument_of_the_constructor():
    class M(Model, table="some-table"):
        pk: Attr[str] = partition_key(init=False)


def time_to_live():
    class M(Model, table="some-table"):
        id: Attr[str] = partition_key()
        end: Attr[str] = ttl(composite("id"))


def missing_index_key():
    class M(Model, table="some-table"):
        id: Attr[str] = partition_key()
        status_key: Attr[str] = attr(composite("id"))
        by_status = gsi("by-status", partition="status_kye")


DECLARATIONS = {
    unknown_component: ("M.pk", "'nubmer'", "did you mean 'number'"),
    unknown_shard_field: ("M.pk", "'oder'", "did you mean 'order'"),
    composite_of_a_composite: ("M.sk", "'pk'", "composite itself"),
    of_itself: ("M.pk", "composite itself"),
    not_text: ("M.pk", "Attr[str]"),
    of_a_float: ("M.pk", "'a'", "float"),
    of_a_bool: ("M.pk", "'a'", "bool"),
    of_bytes: ("M.pk", "'a'", "bytes"),
    of_a_set: ("M.pk", "'a'", "set"),
    of_a_map: ("M.pk", "'a'", "dict"),
    of_json: ("M.pk", "'a'", "JSON"),
    of_an_optional: ("M.pk", "'a'", "Optional"),
    of_an_optional_float_for_an_index: ("M.key", "'a'", "float"),
    of_the_version: ("M.key", "version"),
    of_what_every_write_changes: ("M.pk", "every write"),
    padded_text: ("M.pk", "'a'", "padded"),
    shards_of_a_sort_key: ("M.sk", "partition key"),
    with_a_default: ("default",),
    with_a_limit: ("max_length",),
    with_another_option: ("no other options",),
    two_composites: ("no other options",),
    argument_of_the_constructor: ("constructor",),
    no_argument_of_the_constructor: ("composite(...)",),
    time_to_live: ("M.end", "ttl"),
    missing_index_key: ("'status_kye'", "did you mean 'status_key'"),
}


@pytest.mark.parametrize("declare", DECLARATIONS, ids=lambda declare: declare.__name__)
def test_a_wrong_declaration_is_refused_at_once(declare):
    with pytest.raises(ModelError) as caught:
        declare()
    for word in DECLARATIONS[declare]:
        assert word in str(caught.value)


class Level(IntEnum):
    LOW = 1


def test_what_text_annotations_hid_is_found_with_the_first_use():
    class Late(Model, table="some-table"):
        pk: Attr[str] = partition_key(composite("{a:04d}"))
        a: "Attr[Hidden]"  # noqa: F821 - what it means is said later

    globals()["Hidden"] = Decimal
    assert "Late" in Registry().codec(Late).source
    globals()["Hidden"] = float
    with pytest.raises(ModelError, match=r"Late\.pk: 'a' is stored as float"):
        Registry().codec(Late)
    globals()["Hidden"] = str
    with pytest.raises(ModelError, match=r"Late\.pk: 'a' .*padded"):
        Registry().codec(Late)


def test_a_custom_codec_must_give_text_or_numbers():
    class Odd(Model, table="some-table"):
        pk: Attr[str] = partition_key(composite("a"))
        a: Attr[Any] = attr(Codec(encode=lambda value: value, decode=lambda value: value))

    codec = Registry().codec(Odd)
    assert codec.key_of(Odd(a="x")) == b'{"pk":{"S":"x"}}'
    assert codec.key_of(Odd(a=5)) == b'{"pk":{"S":"5"}}'
    with pytest.raises(ValidationError, match=r"Odd\.a is stored as L"):
        codec.key_of(Odd(a=["x"]))


def test_enums_and_decimals_are_parts_of_keys():
    class Priced(Model, table="some-table"):
        pk: Attr[str] = partition_key(composite("level", "price"))
        level: Attr[Level]
        price: Attr[Decimal]

    assert Priced(level=Level.LOW, price=Decimal("1.50")).pk == "1#1.5"


def test_a_protected_part_never_shows_in_a_key():
    class Hidden:
        pass

    class Safe(Model, table="some-table"):
        pk: Attr[str] = partition_key(composite("a"))
        a: Attr[str] = attr(Hidden())

    hook = (lambda wire: {"M": {"ct": wire}}, lambda wire: wire["M"]["ct"])
    codec = Registry(field_hooks=(lambda _, field: hook if field.option(Hidden) else None,), claimed=(Hidden,)).codec(
        Safe
    )
    with pytest.raises(ValidationError, match=r"Safe\.a is stored as M"):
        codec.key_of(Safe(a="secret"))


def test_a_model_without_composites_has_the_code_it_always_had():
    class Plain(Model, table="some-table"):
        id: Attr[str] = partition_key()
        made: Attr[datetime] = created_at()

    codec = Registry().codec(Plain)
    assert codec.composites == {}
    assert "pk" not in codec.source
    assert codec.key_of.__name__ == "of"
    assert codec.record.computed == []


def test_a_registered_class_has_no_field_that_is_a_composite():
    @dataclass
    class Order:
        pk: str
        a: str

    with pytest.raises(
        ModelError, match=r"Order\.pk: a composite is made of fields and is none itself: leave the field out"
    ):
        register(Order, table="some-table", partition="pk", options={"pk": [composite("a")]})
