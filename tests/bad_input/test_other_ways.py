"""What other libraries call it: each name that is tried here is answered with the way."""

import asyncio
import copy
import dataclasses
import pickle

import pytest

from dynamorm import DB, AsyncDB, Attr, Config, Mixin, Model, Presets, ValidationError, attr, partition_key, sort_key
from dynamorm.config.other_ways import INSTEAD
from dynamorm.errors import ConfigError, InvalidAttribute, InvalidUse, UnknownSetting
from dynamorm.models.schema.other_ways import BUILDER, FACE, MODEL, TRANSACTION


class P(Model, table="payments"):
    id: Attr[str] = partition_key()
    amount: Attr[int] = attr(default=0)


@dataclasses.dataclass
class Address:
    city: str = ""


class Inner(Model):
    city: Attr[str] = attr(default="")


class Order(Model, table="orders"):
    id: Attr[str] = partition_key()
    at: Attr[int] = sort_key()
    amount: Attr[int] = attr(default=0)
    address: Attr[Address] = attr(default_factory=Address)
    inner: Attr[Inner | None] = attr(default=None)


class Mapped(Mixin):
    def __getitem__(self, key):
        return f"item {key}"


class Subscripted(Model, Mapped, table="subscripted"):
    id: Attr[str] = partition_key()


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


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda: Order.address.city, ["Order.address has no .city: what lies inside", 'Order.address["city"]']),
        (lambda: Order.inner.city, ["Order.inner has no .city", "Order.inner[Inner.city]"]),
        (lambda: Order.amount.city, ["Order.amount has no .city", ".begins_with", ".set"]),
        (lambda: Order.amount.appendd, ["did you mean .append?"]),
        (lambda: Order.amount.startswith, ["amount has no .startswith: use .begins_with(text)"]),
        (lambda: Order.amount.ge, ["use >= value"]),
        (lambda: Order.amount.le, ["use <= value"]),
    ],
)
def test_what_a_path_does_not_have_is_named_with_what_it_has(refused, wrong, words):
    refused(InvalidAttribute, wrong, *words)


def test_a_path_has_nothing_that_python_asks_for():
    assert not hasattr(Order.amount, "__len__")
    assert not hasattr(Order.amount, "_anything")
    assert copy.copy(Order.amount).name == "amount"


def test_an_object_is_no_dict(refused):
    order = Order(id="a", at=1)
    refused(InvalidUse, lambda: order["amount"], "a Order is no dict", "obj.amount", "getattr(obj, name)")
    refused(InvalidUse, lambda: "amount" in order, "is no dict")
    refused(InvalidUse, lambda: dict(order), "is no dict")
    assert Subscripted(id="a")["x"] == "item x"


def test_in_takes_one_list(refused):
    refused(ValidationError, lambda: Order.amount.in_(1, 2), ".in_([a, b])", "2 values")


@pytest.mark.parametrize("verb", ["create", "put"])
def test_create_and_put_take_one_object(db, refused, verb):
    store, one, two = getattr(db, verb), Order(id="a", at=1), Order(id="b", at=1)
    refused(InvalidUse, lambda: store(Order, {"id": "a"}), f"db.{verb}(Order(**values))")
    refused(InvalidUse, lambda: store(Order, id="a"), f"db.{verb}(Order(<field>=value))")
    refused(InvalidUse, lambda: store(one, two), f"{verb} takes one object", "puts=[...]")
    refused(InvalidUse, lambda: store(one, overwrite=True), "overwrite= is no argument")


@pytest.mark.parametrize("named", ["ascending", "reverse", "descending"])
def test_order_by_names_how_to_sort_downwards(db, refused, named):
    query = db.inner.model(Order)
    refused(InvalidUse, lambda: query.order_by(**{named: True}), f"{named}=", '.order_by(Order.<sort key>, "desc")')
    refused(InvalidUse, lambda: query.order_by(Order.at, **{named: True}), '.order_by(Order.at, "desc")')
    refused(InvalidUse, query.order_by, "needs an attribute")


def test_conditions_are_no_dict(db, refused):
    for verb in ("where", "filter"):
        refused(InvalidUse, lambda verb=verb: getattr(db.inner.model(Order), verb)({"at": 1}), "no dict", "Order.at ==")


def test_a_key_is_no_dict(db, refused):
    refused(ValidationError, lambda: db.get(Order, {"id": "a", "at": 1}), "a dict is no key", "(Order, id=..., at=...)")
    refused(ValidationError, lambda: db.delete(Order, ("a", 1)), "a tuple is no key", "(Order, *values)")


def test_a_query_is_awaited_by_what_ends_it(refused):
    query = AsyncDB(Presets.local_development(endpoint="http://localhost:1")).model(Order)

    async def wrong():
        await query

    refused(InvalidUse, lambda: asyncio.run(wrong()), "an AsyncQuery is no coroutine", "await query.all()")
    refused(InvalidUse, lambda: list(query), "`async for`")


@pytest.mark.parametrize("name", sorted(INSTEAD))
def test_a_setting_of_another_library_is_told_the_way(refused, name):
    refused(UnknownSetting, lambda: Config(**{name: 5}), f"{name} is not a setting of Config: use ")


@pytest.mark.parametrize("url", ["localhost:8000", "127.0.0.1:8000", "localhost", "dynamodb.eu-west-1.amazonaws.com"])
def test_an_endpoint_needs_a_scheme(refused, url):
    refused(ConfigError, lambda: Config(endpoint=url), "must begin with https://", f"'http://{url}'")
