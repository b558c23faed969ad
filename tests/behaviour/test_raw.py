"""`raw`: DynamoDB's own text in a verb means what the methods of paths mean, and is refused where they refuse."""

from decimal import Decimal
from typing import Any

import pytest

from dynamorm import (
    Attr,
    Model,
    Unique,
    ValidationError,
    attr,
    composite,
    partition_key,
    raw,
    sort_key,
    version,
)
from dynamorm.errors import ConditionFailed, DynamORMError, ExpressionTooLarge, TransactionCancelled, VersionConflict

from .kit import store, stored

pytestmark = [pytest.mark.engine, pytest.mark.wide]


class Address(Model):
    city: Attr[str]
    zip: Attr[str] = attr(default="", name="z")


class Box(Model, table="boxes"):
    id: Attr[str] = partition_key()
    amount: Attr[int] = attr(default=0)
    fee: Attr[int] = attr(default=3)
    exact: Attr[Decimal] = attr(default=Decimal(0))
    note: Attr[str | None] = attr(default=None, name="n")
    tags: Attr[list[str]] = attr(default_factory=list)
    more: Attr[list[str] | None] = attr(default=None)
    flags: Attr[set[str]] = attr(default_factory=set)
    counts: Attr[dict[str, int]] = attr(default_factory=dict)
    address: Attr[Address | None] = attr(default=None)
    anything: Attr[Any] = attr(default=None)
    fixed: Attr[str] = attr(default="", immutable=True)
    version: Attr[int] = version()


class Coupon(Model, table="coupons"):
    id: Attr[str] = partition_key()
    code: Attr[str] = attr(Unique())


class Order(Model, table="orders"):
    pk: Attr[str] = partition_key(composite("shop"))
    number: Attr[int] = sort_key()
    shop: Attr[str]
    total: Attr[int] = attr(default=0)


MODELS = [Box, Coupon, Order]
NAMES = {"#a": Box.amount, "#n": Box.note, "#t": Box.tags, "#f": Box.flags, "#m": Box.more}


def start(key):
    return Box(
        id=key, amount=5, note="a", tags=["x"], flags={"f"}, counts={"k": 1}, address=Address(city="Riga", zip="1")
    )


UPDATES = {
    "set": ("SET #a = :v", {":v": 7}, {"amount": 7}),
    "a sum": ("SET #a = #a + :v", {":v": 2}, {"amount": 7}),
    "a difference": ("SET #a = :v - #a", {":v": 2}, {"amount": -3}),
    "two attributes": ("SET #a = #a - fee", {}, {"amount": 2}),
    "a counter": ("SET exact = if_not_exists(exact, :s) - :v", {":s": 9, ":v": 1}, {"exact": Decimal(-1)}),
    "remove": ("REMOVE #n, address.z", {}, {"note": None, "address": Address(city="Riga")}),
    "add": ("ADD #a :v, #f :f", {":v": -1, ":f": {"g"}}, {"amount": 4, "flags": {"f", "g"}}),
    "delete": ("DELETE #f :f", {":f": {"f"}}, {"flags": set()}),
    "append": ("SET #t = list_append(#t, :l)", {":l": ["y", "z"]}, {"tags": ["x", "y", "z"]}),
    "prepend": ("SET #t = list_append(:l, #t)", {":l": ["y", "z"]}, {"tags": ["y", "z", "x"]}),
    "append or create": ("SET #m = list_append(if_not_exists(#m, :e), :l)", {":e": [], ":l": ["y"]}, {"more": ["y"]}),
    "two lists": ("SET #m = list_append(#t, #t)", {}, {"more": ["x", "x"]}),
    "a list before another": ("SET #m = list_append(:l, #t)", {":l": ["y"]}, {"more": ["y", "x"]}),
    "unless there": ("SET #n = if_not_exists(#n, :v), #m = if_not_exists(#m, #t)", {":v": "b"}, {"more": ["x"]}),
    "inside": ("SET address.city = :v, counts.k = :n, counts.j = counts.k", {":v": "Oslo", ":n": 2}, None),
    "an element": ("SET tags[0] = :v", {":v": "q"}, {"tags": ["q"]}),
    "a document": ("SET anything = :v", {":v": {"a": [1]}}, {"anything": {"a": [1]}}),
}
WANTED = {"inside": {"address": Address(city="Oslo", zip="1"), "counts": {"k": 2, "j": 1}}}


@pytest.mark.parametrize("way", ["object", "key", "transaction"])
@pytest.mark.parametrize("case", UPDATES)
def test_an_update_means_what_it_says(db, key, case, way):
    text, values, change = UPDATES[case]
    box = db.create(start(key))
    names = {name: path for name, path in NAMES.items() if name in text}
    update = raw(text, names=names, values=values, model=Box)
    if way == "object":
        db.update(box, update)
        assert box.version == 1
    elif way == "key":
        db.update(Box, key, update)
    else:
        with db.transaction() as tx:
            tx.update(Box, key, update)
    found = db.require(Box, key, consistent=True)
    assert found.version == 1
    wanted = start(key)
    for name, value in (change or WANTED[case]).items():
        setattr(wanted, name, value)
    wanted.version = 1
    assert found == wanted


def test_clauses_come_in_any_order_once_each_and_stand_beside_others(db, key):
    box = db.create(start(key))
    update = raw("remove n add flags :f set fee = :v", values={":f": {"g"}, ":v": 1}, model=Box)
    db.update(box, Box.amount.add(1), update, condition=raw("amount = :a", values={":a": 5}, model=Box))
    assert (box.note, box.flags, box.fee, box.amount, box.version) == (None, {"f", "g"}, 1, 6, 1)


CONDITIONS = {
    "equal": ("#a = :v", {":v": 5}, True),
    "turned": (":v < #a", {":v": 4}, True),
    "unequal": ("#a <> :v", {":v": 5}, False),
    "between": ("#a BETWEEN :v AND fee", {":v": 1}, False),
    "in": ("#a IN (:v, :w)", {":v": 1, ":w": 5}, True),
    "functions": ("attribute_exists(#n) AND attribute_not_exists(#m)", {}, True),
    "a prefix": ("begins_with(#n, :v)", {":v": "a"}, True),
    "contained": ("contains(#t, :v) AND contains(#f, :w)", {":v": "x", ":w": "f"}, True),
    "a type": ("attribute_type(#n, :v)", {":v": "S"}, True),
    "a size": ("size(#t) = :v AND :w > size(#n)", {":v": 1, ":w": 1}, False),
    "rank": ("#a = :v OR #a = :w AND NOT #a = :v", {":v": 5, ":w": 6}, True),
    "parentheses": ("(#a = :v OR #a = :w) AND NOT (#a = :v)", {":v": 5, ":w": 6}, False),
    "inside": ("address.city = :v AND address.#z = :w AND counts.k = :n", {":v": "Riga", ":w": "1", ":n": 1}, True),
}


@pytest.mark.parametrize("case", CONDITIONS)
def test_a_condition_means_what_it_says_in_each_verb(db, key, case):
    text, values, true = CONDITIONS[case]
    db.create(start(key))
    names = {name: path for name, path in (NAMES | {"#z": "z"}).items() if name in text}
    condition = raw(text, names=names, values=values, model=Box)
    found = db.model(Box).where(Box.id == key).filter(condition).all()
    assert len(found) == true
    both = db.model(Box).where(condition & (Box.id == key)).all()
    assert len(both) == true
    if true:
        db.update(Box, key, Box.fee.add(1), condition=condition)
        db.put(start(key), condition=condition)
        db.delete(Box, key, condition=condition)
        assert stored(db, Box, key) is None
        return
    with pytest.raises(ConditionFailed):
        db.update(Box, key, Box.fee.add(1), condition=condition)
    with pytest.raises(ConditionFailed):
        db.delete(Box, key, condition=condition)
    with pytest.raises(TransactionCancelled), db.transaction() as tx:
        tx.check(Box, key, condition=condition)


def test_a_key_condition_is_one(db, key):
    db.batch_write(puts=[Order(shop=key, number=number) for number in range(4)])
    condition = raw(
        "shop = :s AND #n BETWEEN :a AND :b",
        names={"#n": Order.number},
        values={":s": key, ":a": 1, ":b": 2},
        model=Order,
    )
    assert [one.number for one in db.model(Order).where(condition).all()] == [1, 2]


def test_the_version_is_checked_and_raised(db, key):
    box = db.create(start(key))
    db.update(Box, key, raw("SET amount = :v", values={":v": 1}, model=Box))
    with pytest.raises(VersionConflict):
        db.update(box, raw("SET amount = :v", values={":v": 2}, model=Box))
    assert db.require(Box, key, consistent=True).amount == 1


def test_what_is_missing_counts_as_its_default(db, key):
    store(db, Box, {"id": {"S": key}})
    found = db.update(Box, key, raw("SET amount = fee + :v", values={":v": 1}, model=Box))
    assert found.amount == 4


def test_a_unique_attribute_moves_its_guard(db, key):
    db.create(Coupon(id=key, code=f"{key}-a"))
    db.update(Coupon, key, raw("SET code = :c", values={":c": f"{key}-b"}, model=Coupon))
    assert db.find_by_unique(Coupon, code=f"{key}-b").id == key
    assert db.find_by_unique(Coupon, code=f"{key}-a") is None


RULES = {
    "the key": (Box, "SET id = :v", {":v": "x"}, "key"),
    "the version": (Box, "ADD version :v", {":v": 1}, "version"),
    "immutable": (Box, "SET fixed = :v", {":v": "x"}, "immutable"),
    "a part of a key": (Order, "SET shop = :v", {":v": "x"}, "key"),
    "another type": (Box, "SET amount = :v", {":v": "x"}, "amount"),
    "unique, unknown": (Coupon, "SET code = id", {}, "Unique"),
    "bounds of an expression": (Box, "SET amount = :v, amount = :v", {":v": 1}, "twice"),
}


@pytest.mark.parametrize("case", RULES)
def test_what_rules_refuse_is_refused_by_name_before_the_wire(db, key, wire, case):
    model, text, values, said = RULES[case]
    arguments = (key, 1) if model is Order else (key,)
    update = raw(text, values=values, model=model)
    wire.clear()
    with pytest.raises(ValidationError, match=said):
        db.update(model, *arguments, update)
    assert [name for name in wire.names if name != "GetItem"] == []


SECRET = "hunter2"
WRONG = {
    "no text": (lambda: raw(5), "takes the text"),
    "nothing": (lambda: raw(""), "the name of an attribute is missing"),
    "a literal": (lambda: raw(f"amount = '{SECRET}'", model=Box), "at character 10"),
    "a bare value": (lambda: raw("SET amount = 5", model=Box), "given by a placeholder"),
    "nobody's": (lambda: raw("amount = :v", values={":v": 1}), "model=Payment"),
    "an unknown name": (lambda: raw("amout = :v", values={":v": 1}, model=Box), "did you mean"),
    "an unknown name inside": (
        lambda: raw("address.town = :v", values={":v": 1}, model=Box),
        "no attribute of that name",
    ),
    "a name that is not given": (lambda: raw("#x = :v", values={":v": 1}, model=Box), "#x, which is not among names"),
    "a value that is not given": (lambda: raw("amount = :v", model=Box), ":v, which is not among values"),
    "unused": (lambda: raw("amount = fee", values={":v": SECRET}, model=Box), ":v is given and not used"),
    "names of values": (lambda: raw("amount = :v", values={"v": SECRET}, model=Box), "is as :v"),
    "values of names": (lambda: raw("#a = fee", names={"#a": 5}, model=Box), "got int"),
    "no mapping": (lambda: raw("#a = fee", names=["#a"], model=Box), "takes a mapping"),
    "no model": (lambda: raw("amount = fee", model=5), "the class of a model"),
    "an end too early": (lambda: raw("amount =", model=Box), "missing, at character"),
    "more than one": (lambda: raw("amount = fee fee", model=Box), "goes on where it should end"),
    "a clause twice": (lambda: raw("SET amount = fee SET fee = amount", model=Box), "stands there twice"),
    "no such function": (lambda: raw("exists(amount)", model=Box), "no such function"),
    "a function of conditions": (lambda: raw("SET amount = size(tags)", model=Box), "no such function of updates"),
    "two values": (lambda: raw(":v = :v", values={":v": SECRET}, model=Box), "two values"),
    "a nested function": (
        lambda: raw("SET tags = list_append(list_append(tags, :l), :l)", values={":l": [SECRET]}, model=Box),
        "list_append takes",
    ),
    "if_not_exists elsewhere": (
        lambda: raw("SET amount = if_not_exists(fee, :v)", values={":v": 1}, model=Box),
        "the attribute that is set",
    ),
    "three of a sum": (lambda: raw("SET amount = fee + fee + fee", model=Box), "missing, or stands"),
    "too deep": (lambda: raw("(" * 3000 + "amount = fee" + ")" * 1000, model=Box), ""),
    "too long": (lambda: raw("amount = fee" + " AND amount = fee" * 300, model=Box), "limit is 4096"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_text_that_is_none_is_refused_where_it_is_written(case):
    make, said = WRONG[case]
    with pytest.raises(DynamORMError, match=said or "raw") as caught:
        make()
    assert isinstance(caught.value, (ValidationError, ExpressionTooLarge))
    assert SECRET not in str(caught.value)


def test_what_stands_in_the_wrong_place_is_told(db, key):
    with pytest.raises(ValidationError, match="expected an update, got a condition"):
        db.update(Box, key, raw("amount = :v", values={":v": 1}, model=Box))
    with pytest.raises(ValidationError, match="expected a condition, got an update"):
        db.update(Box, key, Box.fee.set(1), condition=raw("SET amount = :v", values={":v": 1}, model=Box))
    with pytest.raises(ValidationError, match="of Box, not of Coupon"):
        db.update(Coupon, key, raw("SET amount = :v", values={":v": 1}, model=Box))
