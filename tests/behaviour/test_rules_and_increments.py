"""What an increment tells where a rule has a say in what is stored: the number that is stored, or a refusal."""

import pytest

from dynamorm import Attr, Model, attr, partition_key, version
from dynamorm.errors import Outcome, ValidationError
from dynamorm.plugin import WriteRule

from .kit import Recorder, stored

pytestmark = pytest.mark.engine


class Account(Model, table="ruled-accounts"):
    id: Attr[str] = partition_key()
    balance: Attr[int] = attr(default=0)
    note: Attr[str] = attr(default="")
    version: Attr[int] = version()


class Purse(Model, table="ruled-purses"):
    id: Attr[str] = partition_key()
    balance: Attr[int] = attr(default=0)
    note: Attr[str] = attr(default="")


MODELS = [Account, Purse]


class Ruled:
    """Gives all models one rule."""

    name = "ruled"

    def __init__(self, rule):
        self.rule = rule

    def write_rule(self, schema):
        return self.rule


class Capped(WriteRule):
    """The rule's number takes the place of the sum."""

    verbs = ("update",)

    def contribute(self, draft):
        draft.set("balance", 100)
        draft.set("note", "capped")


@pytest.mark.parametrize("model", [Account, Purse])
@pytest.mark.parametrize("way", ["key", "object", "upsert"])
def test_an_increment_tells_the_number_that_a_rule_has_set(plugged, key, model, way):
    db = plugged(Ruled(Capped()))
    if way == "upsert":
        assert db.increment(model, key, model.balance, by=5, upsert=True) == 100
    else:
        obj = db.create(model(id=key, balance=7))
        subject = (obj,) if way == "object" else (model, key)
        assert db.increment(*subject, model.balance, by=5) == 100
        if way == "object":
            assert (obj.balance, obj.note) == (100, "capped")
            obj.note = "changed"
            db.save(obj)
    assert stored(db, model, key)["balance"] == {"N": "100"}


class Instead(WriteRule):
    """Each update of an account is another one."""

    verbs = ("update",)

    def transform(self, draft):
        if draft.updates[-1].path.name == "note":
            return None
        return draft.instead("update", *draft.target, draft.plan.model.note.set("other"))


@pytest.mark.parametrize("model", [Account, Purse])
@pytest.mark.parametrize("way", ["key", "object"])
def test_an_increment_is_refused_where_a_rule_puts_another_write_in_its_place(plugged, key, model, way):
    wire = Recorder()
    db = plugged(Ruled(Instead()), wire)
    obj = db.create(model(id=key, balance=7))
    wire.clear()
    with pytest.raises(ValidationError, match=r"puts another write in the place.*use update\(") as refused:
        db.increment(*((obj,) if way == "object" else (model, key)), model.balance, by=5)
    assert (refused.value.outcome, refused.value.field) == (Outcome.NOT_APPLIED, "balance")
    assert set(wire.names) <= {"GetItem"}
    assert stored(db, model, key)["balance"] == {"N": "7"}
    assert "note" not in stored(db, model, key) or stored(db, model, key)["note"] == {"S": ""}
