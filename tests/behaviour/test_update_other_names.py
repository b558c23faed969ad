"""Updates begin from what a reader is shown where an attribute is stored under another name of ``also_read``."""

from decimal import Decimal

import pytest

from dynamorm import Attr, Model, ValidationError, attr, partition_key, version
from dynamorm.errors import MissingItem, OutOfBounds

from .kit import change, store, stored, updated

pytestmark = [pytest.mark.engine, pytest.mark.wide]


class Geo(Model):
    zone: Attr[int] = attr(default=7, also_read=("Zone",))


class Address(Model):
    city: Attr[str] = attr(default="Riga", also_read=("City",))
    visits: Attr[int] = attr(default=100, also_read=("Visits",))
    geo: Attr[Geo] = attr(default_factory=Geo, also_read=("Geo",))
    flags: Attr[set[str]] = attr(default_factory=set, also_read=("Flags",))


class Account(Model, table="accounts"):
    id: Attr[str] = partition_key()
    amount: Attr[int] = attr(default=0, also_read=("old_amount", "older_amount"))
    credit: Attr[int] = attr(default=100, also_read=("Credit",))
    rate: Attr[Decimal | None] = attr(default=Decimal("1.5"), also_read=("Rate",))
    capped: Attr[int] = attr(default=0, le=10, also_read=("Capped",))
    tags: Attr[list[str]] = attr(default_factory=list, also_read=("Tags",))
    few: Attr[list[str]] = attr(default_factory=list, max_length=2, also_read=("Few",))
    flags: Attr[set[str]] = attr(default_factory=lambda: {"new"}, also_read=("Flags",))
    marks: Attr[set[str]] = attr(default_factory=set, also_read=("Marks",))
    counts: Attr[dict[str, int]] = attr(default_factory=dict, also_read=("Counts",))
    address: Attr[Address | None] = attr(default=None, also_read=("Address",))
    homes: Attr[list[Address]] = attr(default_factory=list)
    note: Attr[str | None] = attr(default=None, also_read=("Note",))
    label: Attr[str] = attr(default="none")
    short: Attr[str] = attr(default="", max_length=3)


class Versioned(Account, table="versioned"):
    version: Attr[int] = version()


MODELS = [Account, Versioned]
A = Account

OLD = {
    "old_amount": {"N": "10"},
    "Credit": {"N": "1"},
    "Rate": {"N": "2"},
    "Capped": {"N": "7"},
    "Tags": {"L": [{"S": "a"}]},
    "Few": {"L": [{"S": "a"}]},
    "Flags": {"SS": ["x", "y"]},
    "Marks": {"SS": ["m"]},
    "Counts": {"M": {"a": {"N": "5"}}},
    "Address": {
        "M": {
            "City": {"S": "Oslo"},
            "Visits": {"N": "3"},
            "Geo": {"M": {"Zone": {"N": "4"}, "other": {"S": "kept"}}},
            "Flags": {"SS": ["f"]},
            "other": {"S": "kept"},
        }
    },
    "homes": {"L": [{"M": {"Visits": {"N": "3"}, "Geo": {"M": {"Zone": {"N": "4"}}}}}]},
    "Note": {"S": "noted"},
}


def home(**values):
    return Address(**{"city": "Oslo", "visits": 3, "geo": Geo(zone=4), "flags": {"f"}, **values})


def in_list(**values):
    return [Address(**{"visits": 3, "geo": Geo(zone=4), **values})]


CASES = {
    "add": (lambda: [A.amount.add(5)], {"amount": 15}),
    "subtract": (lambda: [A.amount.add(-5)], {"amount": 5}),
    "add beside a default": (lambda: [A.credit.add(5)], {"credit": 6}),
    "add where none is allowed": (lambda: [A.rate.add(Decimal("0.5"))], {"rate": Decimal("2.5")}),
    "add within a bound": (lambda: [A.capped.add(3)], {"capped": 10}),
    "append": (lambda: [A.tags.append("b")], {"tags": ["a", "b"]}),
    "append within a bound": (lambda: [A.few.append("b")], {"few": ["a", "b"]}),
    "prepend": (lambda: [A.tags.prepend("b")], {"tags": ["b", "a"]}),
    "append or create": (lambda: [A.tags.append_or_create("b")], {"tags": ["a", "b"]}),
    "add to a set": (lambda: [A.flags.add({"z"})], {"flags": {"x", "y", "z"}}),
    "add to a set that begins empty": (lambda: [A.marks.add({"z"})], {"marks": {"m", "z"}}),
    "delete from a set": (lambda: [A.flags.delete({"x"})], {"flags": {"y"}}),
    "delete all of a set": (lambda: [A.marks.delete({"m"})], {"marks": set()}),
    "set if missing": (lambda: [A.credit.if_not_exists(3)], {"credit": 1}),
    "set if missing, from another": (lambda: [A.note.if_not_exists(A.label)], {"note": "noted"}),
    "an entry": (lambda: [A.counts["b"].set(1)], {"counts": {"a": 5, "b": 1}}),
    "an entry is added to": (lambda: [A.counts["a"].add(1)], {"counts": {"a": 6}}),
    "an entry is removed": (lambda: [A.counts["a"].remove()], {"counts": {}}),
    "an element": (lambda: [A.tags[0].set("z")], {"tags": ["z"]}),
    "a nested field": (lambda: [A.address[Address.city].set("Rome")], {"address": home(city="Rome")}),
    "a nested field is removed": (lambda: [A.address[Address.city].remove()], {"address": home(city="Riga")}),
    "a nested number": (lambda: [A.address[Address.visits].add(1)], {"address": home(visits=4)}),
    "a nested set": (lambda: [A.address[Address.flags].add({"g"})], {"address": home(flags={"f", "g"})}),
    "a field deep inside": (
        lambda: [A.address[Address.geo][Geo.zone].add(1), A.address[Address.visits].add(-1)],
        {"address": home(visits=2, geo=Geo(zone=5))},
    ),
    "a number in an element": (lambda: [A.homes[0][Address.visits].add(1)], {"homes": in_list(visits=4)}),
    "a field in an element": (lambda: [A.homes[0][Address.geo][Geo.zone].set(1)], {"homes": in_list(geo=Geo(zone=1))}),
    "taken over": (lambda: [A.label.set(A.note)], {"label": "noted"}),
    "taken over from inside": (lambda: [A.label.set(A.address[Address.city])], {"label": "Oslo"}),
    "several": (
        lambda: [A.amount.add(1), A.tags.append("b"), A.flags.add({"z"}), A.counts["b"].set(2), A.label.set("l")],
        {"amount": 11, "tags": ["a", "b"], "flags": {"x", "y", "z"}, "counts": {"a": 5, "b": 2}, "label": "l"},
    ),
}


def expected(model, key, **values):
    shown = {
        "amount": 10, "credit": 1, "rate": Decimal(2), "capped": 7, "tags": ["a"], "few": ["a"], "flags": {"x", "y"},
        "marks": {"m"}, "counts": {"a": 5}, "address": home(), "homes": in_list(), "note": "noted",
    }  # fmt: skip
    return model(id=key, **{**shown, **values})


@pytest.mark.parametrize("way", ["key", "object", "transaction", "transaction of an object", "upsert", "object upsert"])
@pytest.mark.parametrize("case", CASES)
def test_an_update_begins_from_what_is_stored_under_another_name(db, key, case, way):
    make, values = CASES[case]
    store(db, Account, {"id": {"S": key}, **OLD})
    if way == "object upsert":
        found = db.upsert(Account(id=key, amount=1, tags=["u"], address=Address()), *make())
    else:
        found = updated(db, Account, key, make(), way)
    if found is not None:
        assert found == expected(Account, key, **values)
    assert db.require(Account, key, consistent=True) == expected(Account, key, **values)
    assert {name: stored(db, Account, key)[name] for name in OLD if name != "homes"} == {
        name: wire for name, wire in OLD.items() if name != "homes"
    }


@pytest.mark.parametrize("case", CASES)
def test_an_update_of_a_versioned_object_begins_from_another_name(db, key, case):
    make, values = CASES[case]
    store(db, Versioned, {"id": {"S": key}, "version": {"N": "3"}, **OLD})
    found = db.update(db.require(Versioned, key, consistent=True), *make())
    assert found == expected(Versioned, key, version=4, **values)
    assert db.require(Versioned, key, consistent=True) == found


def test_what_was_under_no_name_begins_from_the_default_and_the_own_name_wins_from_then_on(db, key):
    store(db, Account, {"id": {"S": key}})
    updates = [A.amount.add(5), A.credit.add(5), A.marks.add({"z"}), A.flags.add({"z"}), A.tags.append("t")]
    found = db.update(Account, key, *updates)
    assert (found.amount, found.credit, found.marks, found.flags, found.tags) == (5, 105, {"z"}, {"new", "z"}, ["t"])
    change(db, Account, (key,), "SET old_amount = :n, Marks = :m", n={"N": "1000"}, m={"SS": ["old"]})
    found = db.update(Account, key, *updates)
    assert (found.amount, found.marks, found.tags) == (10, {"z"}, ["t", "t"])


def test_the_names_are_looked_at_in_their_order(db, key):
    store(db, Account, {"id": {"S": key}, "older_amount": {"N": "1"}})
    assert db.update(Account, key, A.amount.add(1)).amount == 2
    store(db, Account, {"id": {"S": key}, "older_amount": {"N": "1"}, "old_amount": {"N": "7"}})
    assert db.update(Account, key, A.amount.add(1)).amount == 8


def test_null_under_another_name_is_nothing(db, key):
    store(db, Account, {"id": {"S": key}, "Rate": {"NULL": True}, "Tags": {"NULL": True}, "Note": {"NULL": True}})
    found = db.update(Account, key, A.rate.add(1), A.tags.append("b"), A.note.if_not_exists("n"))
    assert (found.rate, found.tags, found.note) == (1, ["b"], "n")


def test_a_list_under_another_name_is_read_as_the_set_that_it_is(db, key):
    store(db, Account, {"id": {"S": key}, "Flags": {"L": [{"S": "x"}]}})
    assert db.update(Account, key, A.flags.add({"z"})).flags == {"x", "z"}


def test_what_moved_since_the_object_was_loaded_is_what_the_update_begins_from(db, key):
    store(db, Account, {"id": {"S": key}, **OLD})
    obj = db.require(Account, key, consistent=True)
    change(db, Account, (key,), "SET amount = :n, Marks = :m", n={"N": "50"}, m={"SS": ["now"]})
    found = db.update(obj, A.amount.add(1), A.marks.add({"z"}))
    assert (found.amount, found.marks) == (51, {"now", "z"})


def test_bounds_hold_from_another_name_on(db, key):
    store(db, Account, {"id": {"S": key}, **OLD, "Few": {"L": [{"S": "a"}, {"S": "b"}]}})
    for subject in ((Account, key), (db.require(Account, key, consistent=True),)):
        for update in (A.capped.add(4), A.few.append("c"), A.short.set(A.note)):
            with pytest.raises(OutOfBounds):
                db.update(*subject, update)
    assert db.require(Account, key, consistent=True).capped == 7


@pytest.mark.parametrize("way", ["key", "object", "versioned object", "upsert"])
def test_an_increment_begins_from_another_name(db, key, way):
    model = Versioned if way == "versioned object" else Account
    store(db, model, {"id": {"S": key}, "version": {"N": "3"}, **OLD})
    subject = (model, key) if way in {"key", "upsert"} else (db.require(model, key, consistent=True),)
    more = {"upsert": True} if way == "upsert" else {}
    assert db.increment(*subject, model.amount, by=5, **more) == 15
    assert db.require(model, key, consistent=True).amount == 15
    with pytest.raises(OutOfBounds):
        db.increment(*subject, model.capped, by=4, **more)
    with pytest.raises(OutOfBounds):
        db.increment(*subject, model.credit, by=-2, minimum=0, **more)


def test_an_increment_of_nothing_begins_from_the_default(db, key):
    store(db, Account, {"id": {"S": key}})
    assert db.increment(Account, key, A.credit) == 101
    assert db.increment(Account, key, A.credit) == 102
    with pytest.raises(MissingItem):
        db.increment(Account, f"{key}-none", A.credit)


def test_what_cannot_be_computed_here_says_so(db, key):
    store(db, Account, {"id": {"S": key}, **OLD})
    with pytest.raises(ValidationError, match="load the object"):
        db.update(Account, key, A.address[Address.city].set(A.label))
