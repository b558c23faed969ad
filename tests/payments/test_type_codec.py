"""A class of a program's own that says itself how it is stored, and what adding it is: on both faces."""

from typing import NamedTuple

import pytest

from dynamorm import Attr, Model, attr, gsi, partition_key
from dynamorm.errors import ConditionFailed, InvalidUse, ModelError, ValidationError
from dynamorm.plugin import TypeCodec

pytestmark = pytest.mark.engine


class Meters:
    """A length, stored with its unit."""

    __dynamorm_codec__: TypeCodec

    def __init__(self, count):
        self.count = count

    def __eq__(self, other):
        return isinstance(other, Meters) and self.count == other.count

    def __hash__(self):
        return hash(self.count)

    def added_to(self, path):
        return path["n"].add(self.count).only_if(path["unit"] == "m")


class Fussy(Meters):
    """One whose functions fail."""


class Pair(NamedTuple):
    left: Meters
    right: Meters | None = None


def _fails(_):
    raise LookupError("secret-9241")


Meters.__dynamorm_codec__ = TypeCodec(
    lambda one: {"n": one.count, "unit": "m"}, lambda stored: Meters(stored["n"]), remedy="store the count alone"
)
Fussy.__dynamorm_codec__ = TypeCodec(_fails, _fails, remedy="no way")


class Road(Model, table="roads"):
    id: Attr[str] = partition_key()
    length: Attr[Meters]
    width: Attr[Meters | None] = attr(default=None)
    parts: Attr[list[Meters]] = attr(default_factory=list)
    pair: Attr[Pair | None] = attr(default=None)


class Broken(Model, table="roads"):
    id: Attr[str] = partition_key()
    length: Attr[Fussy]


class Raw(Model, table="roads"):
    id: Attr[str] = partition_key()
    length: Attr[dict]


MODELS = (Road,)


def test_it_is_stored_wherever_it_stands(db, key):
    road = Road(id=key, length=Meters(5), width=Meters(1), parts=[Meters(2), Meters(3)], pair=Pair(Meters(4)))
    db.create(road)
    assert db.get(Road, key) == road
    assert db.get(Raw, key).length == {"n": 5, "unit": "m"}
    assert (
        db.model(Road)
        .allow_scan()
        .filter((Road.id == key) & (Road.length == Meters(5)) & (Road.length["n"] > 4))
        .count()
        == 1
    )


def test_what_is_added_carries_its_condition(db, key):
    db.create(Raw(id=key, length={"n": 5, "unit": "m"}))
    assert db.update(Road, key, Road.length.add(Meters(2))).length == Meters(7)
    db.update(Raw, key, Raw.length.set({"n": 5, "unit": "ft"}))
    with pytest.raises(ConditionFailed):
        db.update(Road, key, Road.length.add(Meters(2)))
    with pytest.raises(ConditionFailed):
        db.update(Road, key, Road.length.add(Meters(2)), condition=Road.length["n"] == 5)


def test_what_cannot_be_names_the_remedy(db, key, plugged):
    class Keyed(Model, table="keyed"):
        id: Attr[str] = partition_key()
        length: Attr[Meters]
        by_length = gsi("by-length", partition="length")

    with pytest.raises(ModelError, match="store the count alone"):
        plugged().get(Keyed, "x")
    with pytest.raises(ValidationError, match="store the count alone"):
        db.update(Road, key, Road.length.set(Meters(1)), condition=Road.length > Meters(1))
    with pytest.raises(ValidationError, match="only a Meters"):
        db.update(Road, key, Road.length.add(5))


def test_another_class_is_refused_and_failures_hide_their_values(db, key):
    with pytest.raises(ValidationError, match="must be Meters, got int"):
        db.create(Road(id=key, length=5))
    with pytest.raises(ValidationError) as caught:
        db.create(Broken(id=key, length=Fussy(9241)))
    assert "9241" not in str(caught.value)
    db.create(Raw(id=key, length={"n": 9241, "unit": "m"}))
    with pytest.raises(ValidationError) as caught:
        db.get(Broken, key)
    assert "9241" not in str(caught.value)


def test_conditions_of_updates_are_joined_and_slips_are_told():
    change = Road.length["n"].add(1).only_if(Road.width == Meters(1)).only_if(Road.parts.exists())
    assert repr(change.where) == "<Condition width = ? AND attribute_exists(parts)>"
    both = change.together_with(Road.width.remove())
    assert both.where is change.where
    assert len(both.also) == 1
    with pytest.raises((ValidationError, InvalidUse)):
        change.only_if(True)
    with pytest.raises((ValidationError, InvalidUse)):
        change.together_with(Road.width == Meters(1))
