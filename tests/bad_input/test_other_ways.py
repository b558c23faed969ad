"""What other libraries call it: each name that is tried here is answered with the way."""

import copy
import pickle

import pytest

from dynamorm import DB, AsyncDB, Attr, Mixin, Model, Presets, attr, partition_key
from dynamorm.errors import InvalidAttribute, InvalidUse
from dynamorm.schema.other_ways import BUILDER, FACE, MODEL, TRANSACTION


class P(Model, table="payments"):
    id: Attr[str] = partition_key()
    amount: Attr[int] = attr(default=0)


class Saved(Mixin):
    note: Attr[str] = attr(default="")

    def save(self):
        """A method of the user's own."""
        return f"saved {self.note}"

    @classmethod
    def get(cls, key):
        """Another one."""
        return f"{cls.__name__} {key}"


class Own(Model, Saved, table="owns"):
    id: Attr[str] = partition_key()
    query: Attr[str] = attr(default="q")

    @property
    def json(self):
        """One of the class's own."""
        return "mine"


@pytest.mark.parametrize("name", sorted(MODEL))
@pytest.mark.parametrize("of", [P, P(id="a")], ids=["class", "object"])
def test_a_method_of_another_librarys_model_is_told_the_way(refused, name, of):
    error = refused(InvalidAttribute, lambda: getattr(of, name), f"P has no .{name}: use ")
    assert "Model" not in str(error)


@pytest.mark.parametrize("name", sorted(FACE))
def test_a_method_of_another_librarys_session_is_told_the_way(db, refused, name):
    refused(InvalidAttribute, lambda: getattr(db.inner, name), f"DB has no .{name}: ")


@pytest.mark.parametrize("name", sorted(BUILDER))
def test_a_method_of_another_librarys_query_is_told_the_way(db, refused, name):
    refused(InvalidAttribute, lambda: getattr(db.inner.model(P), name), f"Query has no .{name}: use ")


@pytest.mark.parametrize("name", sorted(TRANSACTION))
def test_a_method_of_another_librarys_transaction_is_told_the_way(db, refused, name):
    refused(InvalidAttribute, lambda: getattr(db.inner.transaction(), name), f"Transaction has no .{name}: ")


def test_names_of_the_class_and_of_its_mixins_are_its_own():
    own = Own(id="a", note="n")
    assert own.save() == "saved n"
    assert Own.get("k") == "Own k"
    assert (own.query, own.json) == ("q", "mine")
    assert copy.copy(own) == pickle.loads(pickle.dumps(own)) == own
    assert {"save", "query", "json"} <= set(dir(own))


def test_they_are_there_for_nobody_else():
    payment = P(id="a")
    assert not any(hasattr(payment, name) or hasattr(P, name) for name in MODEL)
    assert not set(MODEL) & set(dir(payment))
    assert not set(FACE) & set(dir(DB(Presets.local_development(endpoint="http://localhost:1"))))
    with pytest.raises(AttributeError, match="'P' object has no attribute 'amuont'"):
        _ = payment.amuont


def test_a_query_has_no_indexes(db, refused):
    refused(InvalidUse, lambda: db.inner.model(P)[0], ".first()", ".limit(n).all()")


@pytest.mark.parametrize("face", [DB, AsyncDB])
@pytest.mark.parametrize(
    ("setting", "remedy"),
    [("region", "Config(region=...)"), ("endpoint_url", "Config(endpoint=...)"), ("anything", "Config(...)")],
)
def test_a_setting_in_the_place_of_a_config_is_told_where_it_goes(refused, face, setting, remedy):
    error = refused(InvalidUse, lambda: face(**{setting: "x"}), f"{setting}= is no argument", remedy)
    assert error.field == setting


def test_what_is_of_pythons_own_is_told_what_belongs_there(db, refused):
    refused(InvalidUse, lambda: db.create({"id": "a"}), "dict", "pass an object")
    refused(InvalidUse, lambda: db.create([P(id="a")]), "list", "batch_write(puts=[...])")
    refused(InvalidUse, lambda: db.get("payments", "a"), "str", "the class itself")
