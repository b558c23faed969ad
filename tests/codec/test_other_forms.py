"""What other programs store in forms of their own is read; what is written has one form."""

import dataclasses
import json
import typing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, NamedTuple, TypedDict

import msgspec
import pydantic
import pytest

from dynamorm import Attr, Json, Model, Unique, attr, composite, gsi, partition_key, ttl
from dynamorm.adapters import register
from dynamorm.codec.partial.reader import reader
from dynamorm.codec.registry import Registry
from dynamorm.errors import ModelError, ValidationError

REGISTRY = Registry()


class Shade(Enum):
    RED = b"r"


class Weight(Enum):
    LIGHT = 0.1


class Inner(Model):
    blob: Attr[bytes]
    tags: Attr[set[str]]


class Goods(Model, table="goods"):
    id: Attr[str] = partition_key()
    blob: Attr[bytes] = attr(default=b"none")
    maybe: Attr[bytes | None] = attr(default=b"x")
    tags: Attr[set[str]] = attr(default_factory=lambda: {"none"})
    ids: Attr[frozenset[int]] = attr(default=frozenset({0}))
    prices: Attr[set[Decimal]] = attr(default_factory=set)
    hashes: Attr[set[bytes]] = attr(default_factory=set)
    loose: Attr[set] = attr(default_factory=set)
    names: Attr[list[str]] = attr(default_factory=lambda: ["none"])
    lines: Attr[tuple[int, ...]] = attr(default=(0,))
    pair: Attr[tuple[bytes, set[int]] | None] = attr(default=None)
    attrs: Attr[dict[str, bytes]] = attr(default_factory=lambda: {"none": b""})
    lists: Attr[list[list[str]]] = attr(default_factory=list)
    inner: Attr[Inner | None] = attr(default=None)
    either: Attr[int | bytes | None] = attr(default=None)
    size: Attr[float] = attr(default=0.5)
    shade: Attr[Shade | None] = attr(default=None)
    weight: Attr[Weight | None] = attr(default=None)
    at: Attr[datetime | None] = attr(default=None)
    expires: Attr[datetime | None] = ttl(default=None)


def numbers(*values):
    return {"L": [{"N": f"{one}"} for one in values]}


def texts(*values):
    return {"L": [{"S": one} for one in values]}


def read(model, **stored):
    """The object of an item, read in every way, which must agree."""
    codec = REGISTRY.codec(model)
    item = {"id": {"S": "1"}, **stored}
    raw = json.dumps(item, separators=(",", ":")).encode()
    found = codec.decode(raw)
    assert codec.read_item(b'{"Item":%b}' % raw) == found
    assert codec.read_attributes(b'{"Attributes":%b}' % raw) == found
    assert codec.read_page(b'{"Items":[%b,%b],"Count":2,"ScannedCount":2}' % (raw, raw)).items == [found, found]
    for name in stored.keys() & codec.record.names():
        field = codec.record.plan(name).name
        partial = reader(codec, [field]).read_item(b'{"Item":%b}' % raw)
        assert getattr(partial, field) == getattr(found, field)
    assert codec.changes(found) == {}, "reading another form is no change"
    return found


@pytest.mark.parametrize(
    ("field", "stored", "value"),
    [
        ("blob", numbers(0, 127, 255), b"\x00\x7f\xff"),
        ("blob", numbers(), b""),
        ("blob", {"L": [{"N": "1E+1"}, {"N": "2.0"}]}, b"\n\x02"),
        ("blob", {"NULL": True}, b""),
        ("maybe", numbers(1), b"\x01"),
        ("maybe", {"NULL": True}, None),
        ("tags", texts("a", "b", "a"), {"a", "b"}),
        ("tags", texts(), set()),
        ("tags", {"NULL": True}, set()),
        ("ids", numbers(3, "1E+1"), frozenset({3, 10})),
        ("ids", {"NULL": True}, frozenset()),
        ("prices", numbers("1.5", "1e+21"), {Decimal("1.5"), Decimal("1E+21")}),
        ("hashes", {"L": [{"B": "AQ=="}, numbers(2)]}, {b"\x01", b"\x02"}),
        ("loose", texts("a"), {"a"}),
        ("loose", numbers(1, 2), {1, 2}),
        ("loose", {"NULL": True}, set()),
        ("names", {"NULL": True}, []),
        ("lines", {"NULL": True}, ()),
        ("pair", {"L": [numbers(1), numbers(2, 3)]}, (b"\x01", {2, 3})),
        ("attrs", {"NULL": True}, {}),
        (
            "attrs",
            {"M": {"a": numbers(1), "b": {"B": "Ag=="}, "c": {"NULL": True}}},
            {"a": b"\1", "b": b"\2", "c": b""},
        ),
        ("lists", {"L": [{"NULL": True}, texts("a")]}, [[], ["a"]]),
        ("inner", {"M": {"blob": numbers(1), "tags": texts("a")}}, Inner(blob=b"\x01", tags={"a"})),
        ("inner", {"M": {"blob": {"NULL": True}, "tags": {"NULL": True}}}, Inner(blob=b"", tags=set())),
        ("either", numbers(1), b"\x01"),
        ("shade", numbers(ord("r")), Shade.RED),
        ("weight", {"N": "1e-1"}, Weight.LIGHT),
        ("size", {"N": "1e+21"}, 1e21),
        ("size", {"N": "1e-09"}, 1e-9),
        ("size", {"N": "+1.50"}, 1.5),
        ("size", {"N": "1000000000000000000000"}, 1e21),
        ("expires", {"N": "1.7E+9"}, datetime.fromtimestamp(1_700_000_000, UTC)),
    ],
)
def test_every_form_that_the_go_library_stores_is_read(field, stored, value):
    found = getattr(read(Goods, **{field: stored}), field)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("field", "stored"),
    [
        ("blob", numbers(256)),
        ("blob", numbers(-1)),
        ("blob", numbers("1.5")),
        ("blob", texts("a")),
        ("blob", {"S": "AQ=="}),
        ("tags", numbers(1)),
        ("ids", texts("a")),
        ("ids", numbers("1.5")),
        ("tags", {"M": {}}),
        ("loose", {"L": [{"L": []}]}),
        ("loose", {"S": "a"}),
        ("names", {"SS": ["a"]}),
        ("pair", {"L": [numbers(1)]}),
        ("size", {"NULL": True}),
        ("size", {"S": "1"}),
        ("inner", {"M": {"blob": numbers(999), "tags": {"NULL": True}}}),
        ("either", numbers(256)),
    ],
)
def test_what_is_no_known_form_of_the_type_is_refused_by_name(field, stored):
    with pytest.raises(ValidationError) as caught:
        read(Goods, **{field: stored})
    assert caught.value.field == field


def test_what_is_written_has_one_form_whatever_was_read():
    codec = REGISTRY.codec(Goods)
    found = read(Goods, blob=numbers(1), tags=texts("a"), ids=numbers(2), names={"NULL": True}, lists={"NULL": True})
    wire = codec.encode(found)
    assert (wire["blob"], wire["tags"], wire["ids"]) == ({"B": b"\x01"}, {"SS": ["a"]}, {"NS": ["2"]})
    assert (wire["names"], wire["lists"]) == ({"L": []}, {"L": []})


NOON = datetime(2024, 5, 6, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2024-05-06T12:00:00Z", NOON),
        ("2024-05-06t12:00:00z", NOON),
        ("2024-05-06 12:00:00Z", NOON),
        ("2024-05-06T12:00:00.5Z", NOON.replace(microsecond=500_000)),
        ("2024-05-06T12:00:00.123456789Z", NOON.replace(microsecond=123_456)),
        ("2024-05-06T12:00:00.000000001Z", NOON),
        ("2024-05-06T14:00:00.12+02:00", NOON.replace(microsecond=120_000)),
        ("2024-05-06T06:30:00-05:30", NOON),
        ("2024-05-06T12:00:00-00:00", NOON),
        ("2024-05-06T12:00:00+00:00", NOON),
        ("2024-05-06T12:00:00.000000+0000", NOON),
        ("2024-05-06T14:00:00.000000+0200", NOON),
        ("2024-05-06T11:59:60Z", NOON),
        ("0001-01-01T00:00:00Z", datetime(1, 1, 1, tzinfo=UTC)),
        ("0001-01-01T00:53:28+00:53", datetime(1, 1, 1, 0, 0, 28, tzinfo=UTC)),
        ("0001-01-01T01:00:00+01:00", datetime(1, 1, 1, tzinfo=UTC)),
        ("0000-12-31T19:03:58-04:56", datetime(1, 1, 1, tzinfo=UTC)),
        ("0000-12-31T16:00:00-08:00", datetime(1, 1, 1, tzinfo=UTC)),
        ("0001-01-01T00:00:00-08:00", datetime(1, 1, 1, 8, tzinfo=UTC)),
        ("9999-12-31T23:59:59.999999999Z", datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)),
    ],
)
@pytest.mark.parametrize("beside", [{}, {"blob": numbers(1)}])
def test_every_spelling_of_a_time_is_read(text, value, beside):
    found = read(Goods, at={"S": text}, **beside).at
    assert found == value
    assert found.utcoffset() == timedelta(0)


@pytest.mark.parametrize("text", ["0000-06-01T00:00:00Z", "9999-12-31T23:59:59-01:00", "2024-05-06T12:00:00", "noon"])
def test_a_text_that_is_no_time_is_refused(text):
    with pytest.raises(ValidationError):
        read(Goods, at={"S": text})


# --------------------------------------------------------------------------------------------------------------- Json


class Settings(msgspec.Struct):
    limit: Decimal
    tags: list[str] = []


def name_of(field):
    return field.rstrip("_")


class Documents(Model, table="documents", naming=name_of):
    id: Attr[str] = partition_key()
    any_: Attr[Any] = attr(Json(), default=1)
    map_: Attr[dict[str, Any]] = attr(Json(), default_factory=lambda: {"none": 1})
    list_: Attr[list[int]] = attr(Json(), default_factory=lambda: [0])
    tuple_: Attr[tuple[int, ...]] = attr(Json(), default=(0,))
    set_: Attr[set[str]] = attr(Json(), default_factory=lambda: {"none"})
    frozen: Attr[frozenset[int]] = attr(Json(), default=frozenset({0}))
    number: Attr[int] = attr(Json(), default=0)
    blob: Attr[bytes] = attr(Json(), default=b"none")
    flag: Attr[bool] = attr(Json(), default=False)
    settings: Attr[Settings | None] = attr(Json(), default=None)
    maybe: Attr[dict[str, int] | None] = attr(Json(), default_factory=dict)


@pytest.mark.parametrize(
    ("field", "stored", "value"),
    [
        ("any_", {"S": '{"a":1.5}'}, {"a": Decimal("1.5")}),
        (
            "any_",
            {"M": {"a": {"N": "1.5"}, "b": {"L": [{"BOOL": True}, {"NULL": True}]}}},
            {"a": Decimal("1.5"), "b": [True, None]},
        ),
        ("any_", {"N": "123456789012345678901234567890.5"}, Decimal("123456789012345678901234567890.5")),
        ("any_", {"BOOL": False}, False),
        ("any_", {"NULL": True}, None),
        ("map_", {"M": {"a": {"M": {"b": {"S": "c"}}}}}, {"a": {"b": "c"}}),
        ("map_", {"NULL": True}, {}),
        ("list_", numbers(1, "2E+1"), [1, 20]),
        ("list_", {"NS": ["1"]}, [1]),
        ("list_", {"NULL": True}, []),
        ("tuple_", numbers(1, 2), (1, 2)),
        ("tuple_", {"NULL": True}, ()),
        ("set_", {"SS": ["a", "b"]}, {"a", "b"}),
        ("set_", texts("a"), {"a"}),
        ("set_", {"NULL": True}, set()),
        ("frozen", {"NULL": True}, frozenset()),
        ("number", {"N": "7"}, 7),
        ("blob", {"B": "AQI="}, b"\x01\x02"),
        ("blob", {"NULL": True}, b""),
        ("flag", {"BOOL": True}, True),
        ("settings", {"M": {"limit": {"N": "1.10"}, "tags": texts("a")}}, Settings(Decimal("1.10"), ["a"])),
        ("settings", {"NULL": True}, None),
        ("maybe", {"NULL": True}, None),
    ],
)
def test_a_json_field_reads_every_native_form(field, stored, value):
    found = getattr(read(Documents, **{name_of(field): stored}), field)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("field", "stored"),
    [
        ("number", {"NULL": True}),
        ("number", {"S": "x"}),
        ("list_", {"M": {}}),
        ("settings", {"M": {}}),
        ("flag", {"N": "1"}),
    ],
)
def test_a_json_field_refuses_what_its_type_cannot_hold(field, stored):
    with pytest.raises(ValidationError) as caught:
        read(Documents, **{name_of(field): stored})
    assert caught.value.field == field


def test_a_json_field_writes_text_whatever_was_read():
    found = read(Documents, map={"M": {"b": {"N": "1"}, "a": {"N": "2"}}})
    assert REGISTRY.codec(Documents).encode(found)["map"] == {"S": '{"a":2,"b":1}'}


def test_a_json_field_whose_type_has_no_none_does_not_store_it():
    made = Documents(id="1", number=None)
    with pytest.raises(ValidationError) as caught:
        REGISTRY.codec(Documents).encode(made)
    assert caught.value.field == "number"


# -------------------------------------------------------------------------------------------------------- other names


class Address(Model):
    street: Attr[str] = attr(also_read=("Street", "street_name"))
    city: Attr[str] = attr(default="", also_read=("City",))


@dataclasses.dataclass
class Line:
    sku: Annotated[str, attr(also_read=("Sku", "SKU"))]
    count: int = dataclasses.field(default=1, metadata={"also_read": ("Count",)})


class Contact(pydantic.BaseModel):
    mail: str = pydantic.Field(validation_alias=pydantic.AliasChoices("Mail", "e-mail"))
    phone: Annotated[str, attr(also_read=("Phone",))] = ""
    fax: str = pydantic.Field(default="", alias="Fax")


class Spot(NamedTuple):
    x: Annotated[int, attr(also_read=("X",))]
    y: Annotated[int, attr(also_read=("Y",))] = 0


class Note(TypedDict):
    text: Annotated[str, attr(also_read=("Text",))]
    by: typing.NotRequired[Annotated[str, attr(also_read=("By",))]]


class Mark(msgspec.Struct):
    grade: Annotated[int, attr(also_read=("Grade",))] = 0


class Kind(Model, discriminator="kind"):
    label: Attr[str] = attr(default="", also_read=("Label",))


class Special(Kind, tag="special"):
    extra: Attr[int] = attr(default=0, also_read=("Extra",))


class Owner(Model, table="owners"):
    id: Attr[str] = partition_key()
    name: Attr[str] = attr(also_read=("Name", "fullName"))
    nick: Attr[str | None] = attr(default=None, also_read=("Nick",))
    level: Attr[int] = attr(default=1, also_read=("Level",))
    blob: Attr[bytes] = attr(default=b"", also_read=("Blob",))
    address: Attr[Address | None] = attr(default=None, also_read=("Address",))
    lines: Attr[list[Line]] = attr(default_factory=list, also_read=("Lines",))
    contact: Attr[Contact | None] = attr(default=None, also_read=("Contact",))
    spots: Attr[dict[str, Spot]] = attr(default_factory=dict)
    note: Attr[Note | None] = attr(default=None)
    mark: Attr[Mark | None] = attr(default=None)
    kind: Attr[Kind | None] = attr(default=None)
    either: Attr[Address | Line | int | None] = attr(default=None)


def map_of(**members):
    return {"M": members}


S = {"S": "s"}


@pytest.mark.parametrize(
    ("stored", "field", "value"),
    [
        ({"Name": S}, "name", "s"),
        ({"fullName": S}, "name", "s"),
        ({"fullName": {"S": "other"}, "Name": S}, "name", "s"),
        ({"name": S, "Name": {"S": "other"}}, "name", "s"),
        ({"Nick": S}, "nick", "s"),
        ({"nick": {"NULL": True}, "Nick": S}, "nick", None),
        ({"Level": {"N": "7"}}, "level", 7),
        ({"Blob": numbers(1)}, "blob", b"\x01"),
        ({"address": map_of(Street=S)}, "address", Address(street="s", city="")),
        ({"address": map_of(street=S, City=S)}, "address", Address(street="s", city="s")),
        ({"Address": map_of(street_name=S)}, "address", Address(street="s", city="")),
        ({"Lines": {"L": [map_of(SKU=S, Count={"N": "2"}), map_of(sku=S)]}}, "lines", [Line("s", 2), Line("s")]),
        ({"contact": map_of(Mail=S)}, "contact", Contact(Mail="s")),
        ({"contact": {"M": {"e-mail": S, "Phone": S, "Fax": S}}}, "contact", Contact(Mail="s", phone="s", Fax="s")),
        ({"contact": map_of(mail=S, phone=S, fax=S)}, "contact", Contact(Mail="s", phone="s", Fax="s")),
        ({"spots": map_of(a=map_of(X={"N": "1"}, Y={"N": "2"}))}, "spots", {"a": Spot(1, 2)}),
        ({"note": map_of(Text=S)}, "note", {"text": "s"}),
        ({"note": map_of(Text=S, By=S)}, "note", {"text": "s", "by": "s"}),
        ({"mark": map_of(Grade={"N": "3"})}, "mark", Mark(3)),
        ({"kind": map_of(kind={"S": "special"}, Label=S, Extra={"N": "1"})}, "kind", Special(label="s", extra=1)),
        ({"either": map_of(Street=S)}, "either", Address(street="s", city="")),
        ({"either": map_of(street=S, City=S)}, "either", Address(street="s", city="s")),
        ({"either": map_of(SKU=S)}, "either", Line("s")),
    ],
)
def test_an_attribute_is_read_under_its_other_names(stored, field, value):
    beside = {} if field == "name" else {"name": S}
    codec = REGISTRY.codec(Owner)
    found = read(Owner, **beside, **stored)
    assert getattr(found, field) == value
    raw = json.dumps({"id": {"S": "1"}, **beside, **stored}).encode()
    partial = reader(codec, [field]).read_item(b'{"Item":%b}' % raw)
    assert getattr(partial, field) == value


def test_the_other_names_are_asked_for_where_a_part_is_selected():
    projection = {one.stored for one in reader(REGISTRY.codec(Owner), [Owner.address[Address.city]]).projection}
    assert projection >= {("address", "city"), ("address", "City"), ("Address", "city"), ("Address", "City")}


def test_an_attribute_is_written_under_its_own_name_only():
    codec = REGISTRY.codec(Owner)
    found = read(Owner, Name=S, address=map_of(Street=S))
    wire = codec.encode(found)
    assert wire["name"] == S
    assert "Name" not in wire
    assert wire["address"]["M"].keys() == {"street", "city"}


def test_none_is_stored_where_another_name_would_be_read_in_its_place():
    codec = REGISTRY.codec(Owner)
    found = read(Owner, name=S, Nick=S)
    found.nick = None
    assert codec.changes(found) == {"nick": {"NULL": True}}


def test_a_missing_attribute_is_told_by_its_own_name():
    with pytest.raises(ValidationError, match="lacks 'name'"):
        read(Owner)


def test_a_registered_class_takes_other_names_too():
    @register(table="people", partition="id", also_read={"name": ["Name"]})
    @dataclasses.dataclass
    class Person:
        id: str
        name: str = ""
        city: Annotated[str, attr(also_read=("City",))] = ""

    @register(table="people", partition="id")
    class Human(pydantic.BaseModel):
        id: str
        name: Annotated[str, attr(also_read=("Name",))] = ""
        city: Annotated[str, attr(also_read=("City",))] = ""

    for cls in (Person, Human):
        found = REGISTRY.codec(cls).decode(b'{"id":{"S":"1"},"Name":{"S":"Ann"},"City":{"S":"Rome"}}')
        assert (found.name, found.city) == ("Ann", "Rome")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: attr(also_read="Name"), r"write also_read=\('Name',\)"),
        (lambda: attr(also_read=("",)), "tuple of stored names"),
        (lambda: attr(also_read=7), "tuple of stored names"),
    ],
)
def test_names_that_are_none_are_refused(make, message):
    with pytest.raises(ModelError, match=message):
        make()


def test_a_name_of_another_attribute_is_refused():
    with pytest.raises(ModelError, match="stored name of b"):

        class Crossed(Model, table="crossed"):
            id: Attr[str] = partition_key()
            a: Attr[str] = attr(also_read=("b",))
            b: Attr[str]

    @dataclasses.dataclass
    class Part:
        a: Annotated[str, attr(also_read=("b",))]
        b: str

    class Whole(Model, table="crossed"):
        id: Attr[str] = partition_key()
        part: Attr[Part]

    with pytest.raises(ModelError, match="the name of another field"):
        REGISTRY.codec(Whole)


def test_a_key_has_one_name():
    with pytest.raises(ModelError, match="one name"):

        class Keyed(Model, table="keyed"):
            id: Attr[str] = partition_key(also_read=("ID",))

    with pytest.raises(ModelError, match="one name"):

        class Indexed(Model, table="keyed"):
            id: Attr[str] = partition_key()
            status: Attr[str] = attr(default="", also_read=("Status",))
            by_status = gsi("by-status", partition="status")


def test_what_a_key_or_a_guard_is_made_of_has_one_name():
    with pytest.raises(ModelError, match="one name"):

        class Made(Model, table="made"):
            id: Attr[str] = partition_key(composite("tenant"))
            tenant: Attr[str] = attr(also_read=("Tenant",))

    with pytest.raises(ModelError, match="one name"):

        class Guarded(Model, table="guarded"):
            id: Attr[str] = partition_key()
            mail: Attr[str] = attr(Unique(), also_read=("Mail",))


def test_the_metadata_of_a_dataclass_holds_several_names():
    @dataclasses.dataclass
    class Part:
        a: str = dataclasses.field(metadata={"also_read": "A"})

    class Whole(Model, table="wholes"):
        id: Attr[str] = partition_key()
        part: Attr[Part]

    with pytest.raises(ModelError, match="several names"):
        REGISTRY.codec(Whole)


def test_an_attribute_that_is_left_out_when_empty_has_one_name():
    with pytest.raises(ModelError, match="omit_empty"):

        class Omitted(Model, table="omitted"):
            id: Attr[str] = partition_key()
            note: Attr[str] = attr(default="", omit_empty=True, also_read=("Note",))


def test_an_annotation_says_nothing_but_other_names():
    @dataclasses.dataclass
    class Part:
        a: Annotated[str, attr(name="A")]

    class Whole(Model, table="wholes"):
        id: Attr[str] = partition_key()
        part: Attr[Part]

    with pytest.raises(ModelError, match="also_read and nothing else"):
        REGISTRY.codec(Whole)


# ---------------------------------------------------------------------------------------------------------- protected


def test_what_a_plugin_opens_may_have_another_form():
    def hook(schema, field):
        found = opened.get(field.name) if schema.name == "Goods" else None
        return None if found is None else (lambda wire: wire, lambda _: found)

    opened = {"blob": numbers(1, 2), "tags": texts("a"), "inner": {"M": {"blob": numbers(1), "tags": {"NULL": True}}}}
    codec = Registry(field_hooks=[hook]).codec(Goods)
    found = codec.decode(json.dumps({"id": {"S": "1"}, **{name: {"M": {}} for name in opened}}).encode())
    assert (found.blob, found.tags, found.inner) == (b"\x01\x02", {"a"}, Inner(blob=b"\x01", tags=set()))
