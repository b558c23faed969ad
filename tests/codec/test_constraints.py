"""Wrong values are refused before the wire, each with one clear error that names the field and shows no value."""

import dataclasses
import re
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

import pytest

from dynamorm.codec import Registry
from dynamorm.codec.strict import dumps
from dynamorm.errors import ItemTooLarge, ModelError, NumberPrecision, ValidationError
from dynamorm.models.declare import Attr, Spec, attr, created_at, gsi, partition_key, sort_key, ttl, version
from dynamorm.models.model import Model
from dynamorm.models.schema.schema import MISSING, Json
from tests.codec.holders import codec_of, holder, model_with

SECRET = "s3cret-value"


class Status(Enum):
    OPEN = "open"


class Empty(Enum):
    NONE = ""


class Line(Model):
    sku: Attr[str]
    count: Attr[int] = attr(default=1, ge=1)


def refused(annotation, value, **settings):
    """The error of both ways to encode a wrong value."""
    codec = codec_of(annotation, **settings)
    with pytest.raises(ValidationError) as one:
        codec.encode(codec.model(id="p", value=value))
    with pytest.raises(ValidationError) as other:
        codec.encode_field("value", value)
    assert str(one.value) == str(other.value)
    assert one.value.__cause__ is None
    assert one.value.__context__ is None
    assert SECRET not in repr(one.value.args)
    return one.value


@pytest.mark.parametrize(
    ("annotation", "value", "message"),
    [
        (str, 5, "Holder.value must be str, got int"),
        (str, None, "Holder.value must be str, got NoneType"),
        (int, SECRET, "Holder.value must be int, got str"),
        (int, True, "Holder.value must be int, got bool"),
        (int, 5.0, "Holder.value must be int, got float; round it first"),
        (int, None, "Holder.value must be int, got NoneType"),
        (Decimal, 0.1, "Holder.value must be Decimal, got float; write Decimal('0.1'), a float is not exact"),
        (Decimal, True, "Holder.value must be Decimal, got bool"),
        (Decimal, Decimal("NaN"), "Holder.value must be a finite number, got NaN"),
        (float, float("inf"), "Holder.value must be a finite number, got an infinity"),
        (float, float("nan"), "Holder.value must be a finite number, got NaN"),
        (float, "1", "Holder.value must be float, got str"),
        (float, 2**53 + 1, "Holder.value must be float, got int"),
        (bool, 1, "Holder.value must be bool, got int"),
        (bytes, "x", "Holder.value must be bytes, got str"),
        (
            datetime,
            datetime(2024, 1, 1),
            "Holder.value must be a datetime with a time zone, got a naive datetime; say datetime.now(UTC)",
        ),
        (datetime, "2024", "Holder.value must be datetime, got str"),
        (UUID, "x", "Holder.value must be UUID, got str"),
        (Status, "open", "Holder.value must be Status, got str"),
        (list[int], [1, SECRET], "Holder.value holds a value that must be int, got str"),
        (list[int], (1,), "Holder.value must be list, got tuple"),
        (tuple[int, int], (1,), "Holder.value must be tuple[int, int], got a tuple of 1"),
        (set[str], [1], "Holder.value must be set, got list"),
        (set[str], {1}, "Holder.value holds a value that must be str, got int"),
        (dict[str, int], {1: 1}, "Holder.value holds a value that must be a dict with str keys, got a key of type int"),
        (
            dict[str, int],
            {"": 1},
            "Holder.value holds a value that must be a dict without an empty key, got an empty one",
        ),
        (Any, [{"": 1}], "Holder.value holds a value that must be a dict without an empty key, got an empty one"),
        (dict[Empty, int], {Empty.NONE: 1}, "Holder.value holds a value that must be a dict without an empty key"),
        (dict[str, int], [], "Holder.value must be dict, got list"),
        (int | bytes, 1.5, "Holder.value must be int | bytes, got float"),
        (Line, {"sku": "x"}, "Holder.value must be Line, got dict"),
        (Line, Line(sku=5), "Holder.value holds a value that must be str, got int"),
        (Any, {"a": [1, object()]}, "Holder.value holds a value that must be a str, int, Decimal,"),
        (Any, {1: "a"}, "Holder.value holds a value that must be a dict with str keys, got a key of type int"),
        (Any, datetime.now(UTC), "Holder.value must be a str, int, Decimal,"),
        (Any, {1, "a"}, "Holder.value must be a set of only str, only numbers or only bytes"),
    ],
)
def test_a_value_of_the_wrong_type_is_refused(annotation, value, message):
    error = refused(annotation, value)
    assert str(error).startswith(message)
    assert error.field == "value"
    assert error.code == "ErrValidation"


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (int, 10**38 + 1),
        (int, -(10**126)),
        (int, 1 << 20_000),
        (Decimal, Decimal("1." + "1" * 38)),
        (Decimal, Decimal("1E+126")),
        (Decimal, Decimal("1E-131")),
        (float, 1e200),
        (Any, {"x": 123456789012345678901234567890123456789}),
        (set[int], {10**38 + 1}),
    ],
    ids=range(9),
)
def test_a_number_that_dynamodb_would_round_is_refused(annotation, value):
    error = refused(annotation, value)
    assert isinstance(error, NumberPrecision)
    assert error.field == "value"


@pytest.mark.parametrize(
    ("settings", "good", "bad", "rule"),
    [
        ({"ge": 1}, 1, 0, "be >= 1"),
        ({"gt": 1}, 2, 1, "be > 1"),
        ({"le": 1}, 1, 2, "be <= 1"),
        ({"lt": 1}, 0, 1, "be < 1"),
        ({"min_length": 2}, "ab", "a", "have a length of at least 2"),
        ({"max_length": 2}, "ab", "abc", "have a length of at most 2"),
        ({"max_length": 1}, [1], [1, 2], "have a length of at most 1"),
        ({"pattern": "[a-z]+"}, "ab", "ab1", "match the pattern [a-z]+"),
    ],
)
def test_constraints_hold_when_encoding_and_not_when_reading(settings, good, bad, rule):
    annotation = list[int] if isinstance(good, list) else type(good)
    codec = codec_of(annotation, **settings)
    item = codec.encode(codec.model(id="p", value=good))
    assert codec.decode(dumps(item)).value == good
    error = refused(annotation, bad, **settings)
    assert str(error) == f"Holder.value must {rule}"
    free = codec_of(annotation)
    raw = free.item_bytes(free.encode(free.model(id="p", value=bad)))
    stored = codec.decode(raw)
    assert stored.value == bad
    # A stored value that breaks a rule of today does not keep the others from being saved.
    stored.value = good
    assert codec.changes(stored) == {"value": item["value"]}


def test_constraints_apply_to_optional_fields_only_when_there_is_a_value():
    codec = codec_of(int | None, ge=1)
    assert "value" not in codec.encode(codec.model(id="p", value=None))
    refused(int | None, 0, ge=1)


def test_a_nested_model_checks_its_own_fields():
    codec = codec_of(list[Line])
    with pytest.raises(ValidationError) as caught:
        codec.encode(codec.model(id="p", value=[Line(sku="a", count=0)]))
    assert (str(caught.value), caught.value.field) == ("Line.count must be >= 1", "count")


def test_validators_change_or_refuse_the_value():
    def even(value):
        if value % 2:
            raise ValueError(f"{SECRET}: odd")
        return value + 1

    codec = codec_of(int, validators=(even,))
    assert codec.encode(codec.model(id="p", value=2))["value"] == {"N": "3"}
    error = refused(int, 1, validators=(even,))
    assert str(error) == "Holder.value was refused by its validator even"
    assert "must be int, got NoneType" in str(refused(int, 2, validators=(lambda value: None,)))


@pytest.mark.parametrize(
    ("kind", "limits", "given", "rule"),
    [
        (str, {"validators": (str.strip,), "min_length": 1}, "  ", "have a length of at least 1"),
        (str, {"validators": (str.lower,), "pattern": "[A-Z]+"}, "ABC", r"match the pattern \[A-Z\]\+"),
        (int, {"validators": (lambda value: value - 10,), "ge": 0}, 5, "be >= 0"),
    ],
)
def test_limits_hold_for_what_validators_give(kind, limits, given, rule):
    assert re.search(rf"Holder\.value must {rule}$", str(refused(kind, given, **limits)))


def test_validators_may_bring_a_value_within_its_limits():
    codec = codec_of(str, validators=(str.strip,), max_length=3)
    assert codec.encode(codec.model(id="p", value="  abc  "))["value"] == {"S": "abc"}


def test_no_value_at_all_is_named():
    codec = codec_of(int)
    with pytest.raises(ValidationError, match=r"Holder\.value has no value"):
        codec.encode(half_made(codec.model))


def half_made(cls):
    obj = object.__new__(cls)
    obj.id = "p"
    return obj


def test_an_object_of_another_class_is_refused():
    codec = codec_of(int)
    with pytest.raises(ValidationError, match="expected a Holder, got Line"):
        codec.encode(Line(sku="a"))


class Keyed(Model, table="keyed"):
    pk: Attr[str] = partition_key(name="PK")
    sk: Attr[bytes] = sort_key()
    group: Attr[str | None] = attr(default=None)
    rank: Attr[int | None] = attr(default=None)
    by_group = gsi("by-group", partition="group", sort="rank")


class TestKeys:
    codec = Registry().codec(Keyed)

    def test_json_of_a_key(self):
        assert self.codec.key_json(("a", b"b")) == b'{"PK":{"S":"a"},"sk":{"B":"Yg=="}}'
        assert self.codec.key_of(Keyed(pk='q"\n', sk=b"b")) == b'{"PK":{"S":"q\\"\\n"},"sk":{"B":"Yg=="}}'
        assert self.codec.key_names == ("PK", "sk")
        assert self.codec.key_values(b'{"PK":{"S":"a"},"sk":{"B":"Yg=="}}') == ("a", b"b")

    @pytest.mark.parametrize(
        ("values", "message"),
        [
            (("a",), "the key of Keyed is pk and sk: 2 values, got 1"),
            ((), "the key of Keyed is pk and sk: 2 values, got 0"),
            (("a", b"b", 1), "the key of Keyed is pk and sk: 2 values, got 3"),
            ((1, b"b"), "Keyed.pk must be str, got int"),
            (("", b"b"), "Keyed.pk must be a key that is not empty, got an empty value"),
            (("a", b""), "Keyed.sk must be a key that is not empty, got an empty value"),
            (("é" * 1025, b"b"), "Keyed.pk must be a key of at most 2048 bytes, got 2050 bytes"),
            (("a", b"b" * 1025), "Keyed.sk must be a key of at most 1024 bytes, got 1025 bytes"),
            (("\ud800", b"b"), "a key of Keyed holds text that is not valid Unicode"),
        ],
    )
    def test_a_wrong_key_is_refused(self, values, message):
        with pytest.raises(ValidationError) as caught:
            self.codec.key_json(values)
        assert str(caught.value) == message

    def test_keys_of_one_and_of_two_texts_take_the_fast_path_and_say_the_same(self):
        class One(Model, table="one"):
            id: Attr[str] = partition_key()

        class Two(Model, table="two"):
            id: Attr[str] = partition_key()
            at: Attr[str] = sort_key()

        one, two = Registry().codec(One), Registry().codec(Two)
        for text in ("a", 'a"b', "é", "a\nb", "x" * 2048, "\u2028"):
            assert one.key_json((text,)) == one.keys._general((text,))
            assert two.key_json((text, "b")) == two.keys._general((text, "b"))
        for codec, values in (
            (one, ("",)),
            (one, (5,)),
            (one, ("a", "b")),
            (two, ("a", "")),
            (two, ("a",)),
            (two, ("a", None)),
        ):
            with pytest.raises(ValidationError):
                codec.key_json(values)

    def test_an_item_with_an_empty_key_is_refused(self):
        with pytest.raises(ValidationError, match=r"Keyed\.pk must be a key that is not empty"):
            self.codec.encode(Keyed(pk="", sk=b"b"))
        with pytest.raises(ValidationError, match=r"at most 2048 bytes, got 2049 bytes"):
            self.codec.encode(Keyed(pk="x" * 2049, sk=b"b"))

    def test_empty_index_keys_are_left_out(self):
        assert self.codec.encode(Keyed(pk="a", sk=b"b", group=None)) == {"PK": {"S": "a"}, "sk": {"B": b"b"}}
        assert self.codec.encode(Keyed(pk="a", sk=b"b", group="g", rank=0))["rank"] == {"N": "0"}

    def test_a_required_index_key_that_was_left_out_reads_back_empty(self):
        class Sparse(Model, table="sparse"):
            id: Attr[str] = partition_key()
            group: Attr[str]
            by_group = gsi("by-group", partition="group")

        codec = Registry().codec(Sparse)
        obj = Sparse(id="a", group="")
        assert codec.decode(dumps(codec.encode(obj))) == obj


class TestOmitEmpty:
    @pytest.mark.parametrize(
        ("annotation", "empty"),
        [
            (str, ""), (int, 0), (Decimal, Decimal("0.0")), (float, 0.0), (bool, False), (bytes, b""), (list[int], []),
            (dict[str, int], {}), (set[str], set()), (str | None, None), (Any, None),
        ],
    )  # fmt: skip
    def test_an_empty_value_is_left_out_on_create_and_on_update(self, annotation, empty):
        codec = codec_of(annotation, omit_empty=True)
        assert codec.encode(codec.model(id="p", value=empty)) == {"id": {"S": "p"}}
        assert codec.encode_field("value", empty) is None
        assert codec.encode_update((codec.schema.fields["value"],), empty) is None
        back = codec.decode(b'{"id":{"S":"p"}}')
        assert not back.value

    @pytest.mark.parametrize(
        ("annotation", "default", "value"),
        [
            (bool, True, False), (int, 1000, 0), (str, "x", ""), (bytes, b"x", b""), (Decimal, Decimal(1), Decimal(0)),
            (list[int], attr(default_factory=lambda: [1]), []), (tuple[int, ...], (1,), ()),
            (set[str], attr(default_factory=lambda: {"a"}), set()), (str | None, "x", None), (str | None, None, ""),
            (int | None, None, 0), (bool | None, None, False), (list[int] | None, None, []), (Any, None, ""),
            (Any, None, {"a": ""}), (dict[str, int], attr(default_factory=dict), {"k": 0}),
            (datetime | None, None, datetime(1, 1, 1, tzinfo=UTC)), (datetime, MISSING, datetime(1, 1, 1, tzinfo=UTC)),
        ],
    )  # fmt: skip
    def test_an_empty_value_is_stored_where_something_else_would_be_read(self, annotation, default, value):
        given = {"default_factory": default.default_factory} if isinstance(default, Spec) else {"default": default}
        codec = codec_of(annotation, omit_empty=True, **given)
        wire = codec.encode(codec.model(id="p", value=value))
        assert codec.decode(dumps(wire)).value == value
        assert codec.encode_update((codec.schema.fields["value"],), value) == wire["value"]

    def test_a_zero_time_is_left_out_where_it_is_the_default(self):
        zero = datetime(1, 1, 1, tzinfo=UTC)
        codec = codec_of(datetime, omit_empty=True, default=zero)
        assert codec.encode_field("value", zero) is None
        assert codec.encode_field("value", datetime(1, 1, 1, 0, 0, 1, tzinfo=UTC)) is not None

    def test_a_map_is_empty_without_entries_only(self):
        class Inner(Model):
            a: Attr[int] = attr(default=0)

        class Lean(Model, omit_empty=True):
            a: Attr[int] = attr(default=0)

        @dataclasses.dataclass
        class Plain:
            a: int = 0

        for annotation, value in ((Inner, Inner()), (Plain, Plain()), (dict[str, Any], {"k": {}}), (Lean, Lean())):
            codec = codec_of(annotation | None, omit_empty=True, default=None)
            assert codec.decode(dumps(codec.encode(codec.model(id="p", value=value)))).value == value

    def test_a_part_of_the_primary_key_is_never_left_out(self):
        class Numbered(Model, table="numbered", omit_empty=True):
            number: Attr[int] = partition_key(default=0)

        assert Registry().codec(Numbered).encode(Numbered()) == {"number": {"N": "0"}}


class TestSize:
    def test_an_item_over_400_kb_is_refused_with_size_limit_and_key(self):
        codec = codec_of(str)
        fits = codec.encode(codec.model(id="p", value="x" * (409_600 - 8)))
        assert codec.item_bytes(fits)
        wire = codec.encode(codec.model(id="p", value="x" * (409_600 - 7)))
        with pytest.raises(ItemTooLarge) as caught:
            codec.item_bytes(wire)
        assert caught.value.size == 409_601
        assert caught.value.limit == 409_600
        assert str(caught.value).startswith(
            "a Holder (key: id) of 409601 bytes is over DynamoDB's limit of 409600 bytes"
        )

    def test_json_longer_than_the_limit_is_measured_exactly(self):
        codec = codec_of(bytes)
        assert codec.item_bytes(codec.encode(codec.model(id="p", value=b"x" * 400_000)))

    def test_nesting_over_32_levels_is_refused(self):
        codec = codec_of(Any)
        deep: Any = "x"
        for _ in range(32):
            deep = [deep]
        assert codec.item_bytes(codec.encode(codec.model(id="p", value=deep)))
        with pytest.raises(ValidationError, match="nested at most 32 levels deep"):
            codec.encode(codec.model(id="p", value={"a": deep}))

    def test_recursive_models_cannot_nest_without_a_limit(self):
        codec = codec_of(Link)
        chain = None
        for _ in range(33):
            chain = Link(next=chain)
        with pytest.raises(ValidationError, match="nested at most 32 levels deep"):
            codec.item_bytes(codec.encode(codec.model(id="p", value=chain)))

    def test_text_that_is_not_unicode_is_refused(self):
        codec = codec_of(str)
        with pytest.raises(ValidationError, match="not valid Unicode"):
            codec.item_bytes(codec.encode(codec.model(id="p", value="\ud800")))

    def test_names_over_64_kb_are_refused(self):
        codec = codec_of(dict[str, int])
        with pytest.raises(ValidationError, match="a name of at most 65535 bytes"):
            codec.item_bytes(codec.encode(codec.model(id="p", value={"x" * 65_536: 1})))


class Link(Model):
    next: Attr["Link | None"] = attr(default=None)


class TestDeclarations:
    @pytest.mark.parametrize(
        ("annotation", "message"),
        [
            (complex, "the type complex cannot be stored"),
            (set[list[int]], "a set holds only texts"),
            (set[bool], "a set holds only texts"),
            (dict[bytes, int], "the keys of a dict are"),
            (dict[float, int], "the keys of a dict are"),
            (type("Sub", (str,), {}), "a Sub would be read back as str"),
            (None, "the type NoneType cannot be stored"),
        ],
    )
    def test_a_type_that_cannot_be_stored_is_a_model_error(self, annotation, message):
        with pytest.raises(ModelError, match=message) as caught:
            codec_of(annotation)
        assert "Holder.value" in str(caught.value)

    @pytest.mark.parametrize("name", ["amount", "total_fees", "unitPrice", "tax", "refunds", "balance"])
    @pytest.mark.parametrize("annotation", [float, float | None, list[float], dict[str, float]])
    def test_money_is_no_float(self, name, annotation):
        with pytest.raises(ModelError, match="int minor units"):
            codec_of(annotation, field=name)
        assert codec_of(annotation, field=name, allow_float=True) is not None

    @pytest.mark.parametrize("name", ["rate", "pricey", "weight", "totally"])
    def test_only_whole_words_are_money(self, name):
        assert codec_of(float, field=name) is not None

    @pytest.mark.parametrize("annotation", [bool, list[str], str | None, int | str])
    def test_keys_are_texts_numbers_or_bytes(self, annotation):
        with pytest.raises(ModelError):
            Registry().codec(model_with("Bad", __name__, {"id": (annotation, partition_key())}))

    @pytest.mark.parametrize(
        ("declaration", "message"),
        [(version(), "a version field is an int"), (ttl(), "a ttl field is a datetime or an int")],
    )
    def test_versions_are_ints_and_ttls_are_times(self, declaration, message):
        with pytest.raises(ModelError, match=message):
            Registry().codec(model_with("Bad", __name__, {"id": (str, partition_key()), "x": (str, declaration)}))

    def test_a_name_that_cannot_be_resolved_is_named(self):
        with pytest.raises(ModelError, match=r"Holder\.value: the annotation 'Missing' names 'Missing'"):
            codec_of("Missing")

    def test_json_refuses_what_it_cannot_hold(self):
        with pytest.raises(ModelError, match=r"Json\(\)"):
            Registry().codec(holder(datetime | date, Json()))

    def test_the_library_times_may_be_none_until_written(self):
        class Timed(Model, table="timed"):
            id: Attr[str] = partition_key()
            at: Attr[datetime] = created_at()

        codec = Registry().codec(Timed)
        assert codec.encode(Timed(id="a")) == {"id": {"S": "a"}}
        assert codec.decode(b'{"id":{"S":"a"}}').at is None

    def test_options_are_known_to_the_core_or_claimed(self):
        class Strange:
            pass

        model = holder(str, Strange())
        with pytest.raises(ModelError, match=r"no installed plugin handles Strange on Holder\.value; call db\.use"):
            Registry().codec(model)
        assert Registry(claimed=(Strange,)).codec(model).model is model
