"""Objects of a model as Python's own tools meet them: dataclasses, copy, pickle, pprint, inspect, functools, abc."""

import abc
import copy
import dataclasses
import functools
import gc
import inspect
import json
import pickle
import pprint
import traceback
import weakref

import msgspec
import pytest

from dynamorm import Attr, Mixin, Model, attr, composite, created_at, partition_key, sort_key, version
from dynamorm.codec.partial.reader import reader
from dynamorm.codec.registry import Registry
from dynamorm.errors import InvalidAttribute, MissingArgument, ModelError, PartialItem, UnknownArgument


class Card(Model, table="cards"):
    id: Attr[str] = partition_key()
    limit: Attr[int] = attr(default=0)
    pin: Attr[str | None] = attr(default=None, secret=True)
    tags: Attr[list[str]] = attr(default_factory=list)
    made: Attr[str | None] = created_at()
    version: Attr[int] = version()


class Entry(Model, table="entries"):
    pk: Attr[str] = partition_key(composite("account"))
    sk: Attr[str] = sort_key()
    account: Attr[str]
    text: Attr[str] = attr(default="")


STORED = b'{"id":{"S":"c1"},"limit":{"N":"5"},"pin":{"S":"1234"},"colour":{"S":"red"},"version":{"N":"3"}}'


def loaded():
    return Registry().codec(Card).decode(STORED)


def replaced_by_method(obj, **changes):
    return obj.__replace__(**changes)


REPLACE = pytest.mark.parametrize("replace", [dataclasses.replace, replaced_by_method], ids=["dataclasses", "copy"])


@REPLACE
def test_replace_keeps_secret_fields(replace):
    card = Card(id="c1", limit=5, pin="1234")
    other = replace(card, limit=6)
    assert (other.id, other.limit, other.pin) == ("c1", 6, "1234")
    assert card.limit == 5


@REPLACE
def test_replace_keeps_what_is_known_of_the_stored_item(replace):
    codec = Registry().codec(Card)
    other = replace(loaded(), limit=6)
    assert codec.known_version(other) == 3
    assert codec.unknown(other) == {"colour": {"S": "red"}}
    assert codec.changes(other) == {"limit": {"N": "6"}}


@REPLACE
def test_an_object_with_another_key_is_a_new_one(replace):
    codec = Registry().codec(Card)
    other = replace(loaded(), id="c2")
    assert codec.loaded(other) is None
    assert other.pin == "1234"


@REPLACE
def test_a_changed_component_of_the_key_makes_a_new_object(replace):
    codec = Registry().codec(Entry)
    raw = b'{"pk":{"S":"a1"},"sk":{"S":"s"},"account":{"S":"a1"},"text":{"S":"t"}}'
    entry = codec.decode(raw)
    assert codec.loaded(replace(entry, text="u")) == raw
    assert codec.loaded(replace(entry, account="a2")) is None


@REPLACE
def test_replace_refuses_what_is_no_field(replace):
    with pytest.raises(UnknownArgument, match="amuont"):
        replace(Card(id="c1"), amuont=5)


@REPLACE
def test_a_partial_object_cannot_be_replaced(replace):
    partial = reader(Registry().codec(Card), ["limit"]).read_item(b'{"Item":{"id":{"S":"c1"},"limit":{"N":"5"}}}')
    with pytest.raises(PartialItem):
        replace(partial, limit=6)


def test_encoders_and_asdict_still_pass_over_secret_fields():
    card = Card(id="c1", pin="1234")
    assert "pin" not in dataclasses.asdict(card)
    assert [field.name for field in dataclasses.fields(card)] == ["id", "limit", "tags", "made", "version"]
    assert b"1234" not in msgspec.json.encode(card)
    assert set(json.loads(msgspec.json.encode(card))) == {"id", "limit", "tags", "made", "version"}


# ------------------------------------------------------------------------------------------------------------------ repr


def test_an_object_that_was_never_filled_shows_what_is_missing():
    assert repr(Card.__new__(Card)) == (
        "Card(id=<unset>, limit=<unset>, pin=<unset>, tags=<unset>, made=<unset>, version=<unset>)"
    )


def test_the_traceback_of_a_failed_constructor_shows_its_locals():
    with pytest.raises(MissingArgument) as caught:
        Card(limit=5)
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    assert "<unset>" in "".join(shown.format())
    assert caught.value.field == "id"


class Unshowable:
    def __repr__(self):
        raise ValueError("no")


def test_a_value_that_cannot_be_shown_does_not_stop_repr():
    card = Card(id="c1", pin="1234")
    card.limit = Unshowable()
    assert repr(card) == "Card(id='c1', limit=<not shown>, pin=***, tags=[], made=None, version=0)"


def test_repr_of_an_object_that_lost_a_field_shows_the_others():
    card = Card(id="c1")
    del card.limit
    assert repr(card).startswith("Card(id='c1', limit=<unset>, ")


def test_a_partial_object_shows_what_it_holds_however_it_is_made():
    partial = reader(Registry().codec(Card), ["limit"]).read_item(b'{"Item":{"id":{"S":"c1"},"limit":{"N":"5"}}}')
    assert repr(partial) == "PartialCard(id='c1', limit=5)"
    assert repr(type(partial).__new__(type(partial))) == "PartialCard(id=<unset>, limit=<unset>)"


def test_pprint_shows_a_long_object():
    assert "x" * 50 in pprint.pformat(Card(id="x" * 50, tags=["y" * 50] * 3))
    assert "x" * 50 in pprint.pformat([Card(id="x" * 50, tags=["y" * 50] * 3)])


# ------------------------------------------------------------------------------------------------------------- the class


def test_the_signature_shows_the_fields_and_nothing_else():
    shown = str(inspect.signature(Card))
    assert shown == "(*, id: str, limit: int = 0, pin: str | None = ***, tags: list[str] = <factory>)"
    assert str(inspect.signature(Entry)) == "(*, sk: str, account: str, text: str = '')"


def test_an_unknown_argument_is_told_the_fields_alone():
    with pytest.raises(UnknownArgument) as caught:
        Card(id="c1", nothing_like_it=1)
    assert str(caught.value) == "Card has no field 'nothing_like_it'; known: id, limit, made, pin, tags, version"
    with pytest.raises(UnknownArgument, match="known: account, sk, text"):
        Entry(account="a", sk="s", zzzzzz=1)


def test_post_init_is_called_behind_the_constructor_and_not_when_an_item_is_read():
    class Total(Model, table="totals"):
        id: Attr[str] = partition_key()
        net: Attr[int]
        gross: Attr[int] = attr(default=0)

        def __post_init__(self):
            self.gross = self.net * 2

    class Sub(Total):
        more: Attr[int] = attr(default=1)

    assert Total(id="t", net=2).gross == 4
    assert Sub(id="t", net=3).gross == 6
    read = Registry().codec(Total).decode(b'{"id":{"S":"t"},"net":{"N":"2"},"gross":{"N":"9"}}')
    assert read.gross == 9


def test_post_init_of_a_mixin_is_called():
    class Checked(Mixin):
        low: Attr[int] = attr(default=0)

        def __post_init__(self):
            if self.low < 0:
                raise ValueError("low")

    class Range(Model, Checked):
        high: Attr[int]

    with pytest.raises(ValueError, match="low"):
        Range(high=1, low=-1)


def test_a_constructor_of_ones_own_is_refused_at_the_class():
    with pytest.raises(ModelError, match=r"Own: .*__post_init__"):

        class Own(Model, table="owns"):
            id: Attr[str] = partition_key()

            def __init__(self, id):
                self.id = id


def test_a_constructor_of_a_mixin_or_a_plain_base_is_refused_at_the_class():
    class Named(Mixin):
        def __init__(self):
            pass

    class Plain:
        def __init__(self):
            pass

    for base in (Named, Plain):
        with pytest.raises(ModelError, match=rf"base {base.__name__}: .*__post_init__"):
            type(Model)("Own", (Model, base), {"__module__": __name__})


def test_cached_properties_work_and_leave_the_object_without_a_dict():
    calls = []

    class Labelled(Mixin):
        @functools.cached_property
        def label(self):
            return f"<{self.id}>"

    class Report(Model, Labelled, table="reports"):
        id: Attr[str] = partition_key()

        @functools.cached_property
        def lines(self):
            """The lines."""
            calls.append(self.id)
            return [self.id]

    class Longer(Report):
        more: Attr[int] = attr(default=1)

    for cls in (Report, Longer):
        calls.clear()
        report = cls(id="r")
        assert report.lines is report.lines
        assert calls == ["r"]
        assert report.label == "<r>"
        del report.lines
        assert report.lines == ["r"]
        assert calls == ["r", "r"]
        report.lines = ["s"]
        assert report.lines == ["s"]
        assert not hasattr(report, "__dict__")
        with pytest.raises(AttributeError):
            report.lable = 1
    assert Report.lines.__doc__ == "The lines."


def test_a_cached_property_of_a_partial_object_needs_what_was_selected():
    class Wide(Model, table="wides"):
        id: Attr[str] = partition_key()
        a: Attr[int] = attr(default=1)
        b: Attr[int] = attr(default=2)

        @functools.cached_property
        def double(self):
            return self.a * 2

        @functools.cached_property
        def other(self):
            return self.b

    partial = reader(Registry().codec(Wide), ["a"]).read_item(b'{"Item":{"id":{"S":"c1"},"a":{"N":"5"}}}')
    assert partial.double == 10
    with pytest.raises(PartialItem, match=r"Wide\.b"):
        partial.other


def test_weak_references_work():
    card = Card(id="c1")
    found = weakref.ref(card)
    assert found() is card
    del card
    gc.collect()
    assert found() is None
    assert weakref.WeakKeyDictionary is not None


def test_abstract_methods_work():
    class Shape(Model, abc.ABC, table="shapes", discriminator="kind"):
        id: Attr[str] = partition_key()

        @abc.abstractmethod
        def area(self): ...

    class Square(Shape):
        side: Attr[int]

        def area(self):
            return self.side**2

    with pytest.raises(TypeError, match="area"):
        Shape(id="s")
    assert Square(id="s", side=3).area() == 9
    read = Registry().codec(Shape).decode(b'{"id":{"S":"s"},"side":{"N":"3"},"kind":{"S":"Square"}}')
    assert isinstance(read, Square)
    assert isinstance(read, Shape)
    assert issubclass(Square, Shape)
    assert not issubclass(Card, Shape)


def test_an_interface_of_another_module_can_be_a_base():
    class Priced(abc.ABC):
        @abc.abstractmethod
        def price(self): ...

    class Book(Model, Priced, table="books"):
        id: Attr[str] = partition_key()

        def price(self):
            return 5

    assert Book(id="b").price() == 5
    assert isinstance(Book(id="b"), Priced)


def test_a_partial_object_is_an_instance_of_its_own_class_only():
    partial = reader(Registry().codec(Card), ["limit"]).read_item(b'{"Item":{"id":{"S":"c1"},"limit":{"N":"5"}}}')
    assert isinstance(partial, Card)
    assert isinstance(Card(id="c1"), Card)
    assert not isinstance(Card(id="c1"), type(partial))


def test_copies_and_pickles_are_equal():
    card = loaded()
    for other in (copy.copy(card), copy.deepcopy(card), pickle.loads(pickle.dumps(card))):
        assert other == card
        assert other.pin == "1234"
        assert Registry().codec(Card).unknown(other) == {"colour": {"S": "red"}}


def test_an_attribute_of_the_class_can_be_neither_replaced_nor_removed():
    with pytest.raises(InvalidAttribute, match=r"Card\.limit.*\.set\(value\)"):
        Card.limit = 5
    with pytest.raises(InvalidAttribute, match=r"Card\.limit"):
        del Card.limit
