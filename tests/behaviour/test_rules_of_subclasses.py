"""A write by a base class and a key: which class's rules are asked, the stored item's own or those of the base."""

import pytest

from dynamorm import Attr, Model, attr, partition_key, version
from dynamorm.errors import ValidationError
from dynamorm.plugin import WriteRule

from .kit import Recorder, stored

pytestmark = pytest.mark.engine


class Vehicle(Model, table="ruled-vehicles", discriminator="kind"):
    id: Attr[str] = partition_key()
    wheels: Attr[int] = attr(default=4)
    note: Attr[str] = attr(default="")
    version: Attr[int] = version()


class Truck(Vehicle, tag="truck"):
    load: Attr[int] = attr(default=0)


class Van(Vehicle, tag="van"):
    pass


MODELS = [Vehicle]


class Noted(WriteRule):
    """Notes whose rule was asked."""

    verbs = ("update", "delete")

    def __init__(self, text, *, needs_stored):
        self.text, self.needs_stored = text, needs_stored
        self.asked = []

    def contribute(self, draft):
        self.asked.append(draft.verb)
        if draft.verb == "update":
            draft.set("note", self.text)


class Notes:
    name = "notes"

    def __init__(self, *, needs_stored):
        self.rules = {model: Noted(model.__name__, needs_stored=needs_stored) for model in (Vehicle, Truck, Van)}

    def write_rule(self, schema):
        return self.rules.get(schema.model)


def in_a_transaction(db, key):
    with db.transaction() as tx:
        tx.update(Vehicle, key, Vehicle.wheels.set(6))


WRITES = {
    "update": lambda db, key: db.update(Vehicle, key, Vehicle.wheels.set(6)),
    "upsert": lambda db, key: db.upsert(Vehicle, key, Vehicle.wheels.set(6)),
    "increment": lambda db, key: db.increment(Vehicle, key, Vehicle.wheels, by=2),
    "transaction": in_a_transaction,
    "in another form": lambda db, key: db.update(Vehicle, key, Vehicle.wheels.add(2)),
}


@pytest.mark.parametrize("way", WRITES)
@pytest.mark.parametrize("model", [Truck, Van, Vehicle])
def test_the_rules_of_the_items_own_class_are_asked_where_it_is_known(plugged, key, model, way):
    plugged().create(model(id=key, wheels=4))
    plugin = Notes(needs_stored=True)
    db = plugged(plugin)
    WRITES[way](db, key)
    item = stored(db, Vehicle, key)
    assert (item["note"], item["wheels"]) == ({"S": model.__name__}, {"N": "6"})
    assert [cls for cls, rule in plugin.rules.items() if rule.asked] == [model]


def test_an_object_is_of_its_own_class(plugged, key):
    plugged().create(Truck(id=key))
    plugin = Notes(needs_stored=False)
    db = plugged(plugin)
    truck = db.get(Vehicle, key)
    assert db.update(truck, Vehicle.wheels.set(6)).note == "Truck"
    assert db.increment(truck, Vehicle.wheels, by=1) == 7
    db.delete(truck)
    assert [cls for cls, rule in plugin.rules.items() if rule.asked] == [Truck]


def test_by_key_alone_the_rules_are_those_of_the_class_that_is_named(plugged, key):
    """As the guide says: nothing is read, so nobody knows the class."""
    plugged().create(Truck(id=key))
    plugin, wire = Notes(needs_stored=False), Recorder()
    db = plugged(plugin, wire)
    assert db.update(Vehicle, key, Vehicle.wheels.set(6)).note == "Vehicle"
    db.delete(Vehicle, key)
    assert "GetItem" not in wire.names[:1]
    assert [cls for cls, rule in plugin.rules.items() if rule.asked] == [Vehicle]


def test_a_rule_of_the_items_own_class_refuses(plugged, key):
    class Locked(WriteRule):
        needs_stored = True

        def contribute(self, draft):
            raise ValidationError("no truck is changed")

    class Plain(WriteRule):
        needs_stored = True

    class Lock:
        name = "lock"

        def write_rule(self, schema):
            return Locked() if schema.model is Truck else Plain()

    plugged().create(Truck(id=key))
    db = plugged(Lock())
    for write in (*WRITES.values(), lambda db, key: db.delete(Vehicle, key)):
        with pytest.raises(ValidationError, match="no truck is changed"):
            write(db, key)
    assert stored(db, Vehicle, key)["wheels"] == {"N": "4"}
