"""`Any` and `Json()` keep every value that they take, and refuse the others before the wire."""

import dataclasses
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum, StrEnum
from typing import Any, NamedTuple
from uuid import UUID

import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dynamorm import Attr, Model, ValidationError, attr
from dynamorm.codec import Registry
from dynamorm.codec.strict import dumps
from dynamorm.models.declare import partition_key
from dynamorm.models.schema.schema import Json
from tests.codec.holders import codec_of
from tests.codec.values import decimals, documents, floats, ints, text


class Kind(Enum):
    A = "a"


class Word(StrEnum):
    A = "a"


class Pair(NamedTuple):
    left: int = 1


@dataclasses.dataclass
class Plain:
    inner: Any = None


class Payer(pydantic.BaseModel):
    name: str
    secret: pydantic.SecretStr = pydantic.SecretStr("s")


CHANGED_BY_BOTH = {
    "float": 0.5, "tuple": (1, 2), "empty set": set(), "empty frozenset": frozenset(), "enum": Kind.A, "named tuple": Pair(),
    "set of floats": {0.5},
}  # fmt: skip
CHANGED_BY_JSON = {
    **CHANGED_BY_BOTH, "bytes": b"x", "set": {"a"}, "datetime": datetime(2024, 1, 1, tzinfo=UTC), "uuid": UUID(int=1),
    "int key": {1: "a"}, "dataclass": Plain(), "pydantic model": Payer(name="x"), "bytearray": bytearray(b"x"),
}  # fmt: skip
INSIDE = {"alone": lambda one: one, "in a list": lambda one: ["x", one], "in a dict": lambda one: {"k": {"l": [one]}}}


@pytest.mark.parametrize("inside", INSIDE.values(), ids=INSIDE)
@pytest.mark.parametrize("value", CHANGED_BY_BOTH.values(), ids=CHANGED_BY_BOTH)
def test_a_document_refuses_what_it_would_change(value, inside):
    codec = codec_of(Any)
    given_ = inside(value)
    with pytest.raises(ValidationError, match=r"Holder\.value.* must be a value that a document keeps|Holder\.value.*must be a str") as caught:  # fmt: skip
        codec.encode(codec.model(id="p", value=given_))
    assert caught.value.field == "value"
    with pytest.raises(ValidationError):
        codec.encode_update((codec.field("value"),), given_)
    with pytest.raises(ValidationError):
        codec.encode_update((codec.field("value"), "k"), given_)
    with pytest.raises(ValidationError):
        codec.encode_update((codec.field("value"),), given_, "element")


@pytest.mark.parametrize("inside", INSIDE.values(), ids=INSIDE)
@pytest.mark.parametrize("value", CHANGED_BY_JSON.values(), ids=CHANGED_BY_JSON)
def test_json_refuses_what_it_would_change(value, inside):
    codec = codec_of(Any, Json())
    with pytest.raises(ValidationError, match=r"Holder\.value.* must be a value that JSON"):
        codec.encode(codec.model(id="p", value=inside(value)))


@pytest.mark.parametrize(
    "value", [Word.A, b"x", bytearray(b"x"), {1, 2}, frozenset({"a"}), {"k": [True, None, Decimal("1.5")]}]
)
def test_a_document_keeps_the_rest(value):
    codec = codec_of(Any)
    assert codec.decode(dumps(codec.encode(codec.model(id="p", value=value)))).value == value


def test_a_condition_may_ask_for_any_number():
    codec = codec_of(Any)
    field = codec.field("value")
    assert codec.encode_operand((field,), 0.5) == {"N": "0.5"}
    assert codec.encode_operand((field, "k"), 0.5) == {"N": "0.5"}


TYPED = {
    "bytes": (bytes, st.binary(max_size=5)),
    "floats": (list[float], st.lists(floats)),
    "sets": (set[int], st.sets(ints)),
    "tuples": (tuple[int, str], st.tuples(ints, text)),
    "times": (dict[str, datetime], st.dictionaries(text, st.datetimes(timezones=st.just(UTC)))),
    "enums": (list[Kind], st.lists(st.sampled_from(Kind))),
    "uuids": (UUID | None, st.none() | st.uuids()),
    "decimals": (dict[str, Decimal], st.dictionaries(text, decimals())),
    "keys": (dict[int, str], st.dictionaries(st.integers(-5, 5), text)),
    "dataclasses": (Plain, st.builds(Plain, inner=text)),
}


@pytest.mark.parametrize(("annotation", "values"), TYPED.values(), ids=TYPED)
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_json_keeps_what_the_annotation_names(annotation, values, data):
    codec = CODECS.setdefault(str(annotation), None) or codec_of(annotation, Json())
    CODECS[str(annotation)] = codec
    value = data.draw(values)
    back = codec.decode(dumps(codec.encode(codec.model(id="p", value=value)))).value
    assert (back, type(back)) == (value, type(value))


CODECS: dict[str, Any] = {}


@settings(max_examples=200, deadline=None)
@given(documents)
def test_whatever_is_taken_is_kept(value):
    for options in ((), (Json(),)):
        codec = CODECS.setdefault(str(options and "json"), None) or codec_of(Any, *options)
        CODECS[str(options and "json")] = codec
        try:
            wire = codec.encode(codec.model(id="p", value=value))
        except ValidationError:
            assert options
            continue
        assert codec.decode(dumps(wire)).value == value


def test_json_refuses_what_does_not_fit_the_annotation():
    class Typed(Model, table="typed"):
        id: Attr[str] = partition_key()
        counts: Attr[dict[str, int]] = attr(Json())

    codec = Registry().codec(Typed)
    with pytest.raises(ValidationError, match=r"Typed\.counts.*JSON"):
        codec.encode(Typed(id="p", counts={"a": "x"}))
