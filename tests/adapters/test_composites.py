"""A model with a composite key as pydantic and the standard library see it: its fields, and not the key made of them."""

import copy
import dataclasses
import pickle

import pydantic
import pytest

from dynamorm import Attr, Model, composite, partition_key


class Place(Model, table="places"):
    pk: Attr[str] = partition_key(composite("country", "number"))
    country: Attr[str]
    number: Attr[int]


def test_the_key_is_neither_taken_nor_given():
    adapter = pydantic.TypeAdapter(Place)
    place = adapter.validate_python({"country": "LV", "number": 1})
    assert place.pk == "LV#1"
    assert adapter.dump_json(place) == b'{"country":"LV","number":1}'
    assert list(adapter.json_schema()["properties"]) == ["country", "number"]
    with pytest.raises(pydantic.ValidationError):
        adapter.validate_python({"country": "LV", "number": 1, "pk": "LV#1"})


def test_the_standard_library_sees_the_fields():
    place = Place(country="LV", number=1)
    assert dataclasses.asdict(place) == {"country": "LV", "number": 1}
    for other in (copy.copy(place), copy.deepcopy(place), pickle.loads(pickle.dumps(place))):
        assert other == place
        assert other.pk == place.pk
