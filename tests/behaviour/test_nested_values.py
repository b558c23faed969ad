"""Values inside an item: what their classes do not know stays, and a change inside is written by its path."""

import copy
import dataclasses
import pickle
from typing import Any, NamedTuple, NotRequired

import msgspec
import pydantic
import pytest
from typing_extensions import TypedDict

from dynamorm import (
    AppendOnly,
    Attr,
    Json,
    Model,
    Outcome,
    TransactionCancelled,
    ValidationError,
    VersionConflict,
    attr,
    partition_key,
    version,
)
from dynamorm.adapters import register

from .kit import ask, key_of, store, stored, table_of
from .test_shared_tables import difference

pytestmark = pytest.mark.engine


class Geo(Model):
    lat: Attr[int]
    lon: Attr[int] = attr(default=0)


class Address(Model):
    street: Attr[str]
    city: Attr[str | None] = attr(default=None)
    geo: Attr[Geo | None] = attr(default=None)
    zip: Attr[str] = attr(name="postCode", default="")


@dataclasses.dataclass
class Line:
    sku: str
    qty: int = 1
    geo: Geo | None = None


@dataclasses.dataclass(frozen=True)
class Price:
    net: int
    gross: int = 0


class Pair(NamedTuple):
    left: str
    right: int = 0


class Entry(TypedDict):
    low: int
    high: NotRequired[int]


class Point(msgspec.Struct):
    x: int
    y: int = 0


class Payer(pydantic.BaseModel):
    name: str
    points: int = 0


class Open(pydantic.BaseModel, extra="allow"):
    name: str
    payer: Payer | None = None


class Pet(Model, discriminator="kind"):
    name: Attr[str]


class Dog(Pet, tag="dog"):
    barks: Attr[int] = attr(default=0)
    payer: Attr[Payer | None] = attr(default=None)


class Order(Model, table="nested-orders"):
    id: Attr[str] = partition_key()
    note: Attr[str] = attr(default="")
    address: Attr[Address | None] = attr(default=None)
    addresses: Attr[list[Address]] = attr(default_factory=list)
    named: Attr[dict[str, Address]] = attr(default_factory=dict)
    lines: Attr[list[Line]] = attr(default_factory=list)
    line: Attr[Line | None] = attr(default=None)
    by_name: Attr[dict[str, list[Line]]] = attr(default_factory=dict)
    price: Attr[Price | None] = attr(default=None)
    prices: Attr[list[Price]] = attr(default_factory=list)
    pair: Attr[Pair | None] = attr(default=None)
    pairs: Attr[tuple[Pair, Line] | None] = attr(default=None)
    entry: Attr[Entry | None] = attr(default=None)
    point: Attr[Point | None] = attr(default=None)
    payer: Attr[Payer | None] = attr(default=None)
    open: Attr[Open | None] = attr(default=None)
    either: Attr[Line | Point | None] = attr(default=None)
    pet: Attr[Pet | None] = attr(default=None)
    counts: Attr[dict[str, int]] = attr(default_factory=dict)
    words: Attr[list[str]] = attr(default_factory=list)
    free: Attr[Any] = attr(default=None)
    text: Attr[dict[str, Any]] = attr(Json(), default_factory=dict)


class Versioned(Model, table="nested-versioned"):
    id: Attr[str] = partition_key()
    address: Attr[Address | None] = attr(default=None)
    lines: Attr[list[Line]] = attr(default_factory=list)
    version: Attr[int] = version()


@register(table="nested-registered", partition="id")
class Registered(pydantic.BaseModel):
    id: str
    lines: list[Line] = []
    payer: Payer | None = None


@dataclasses.dataclass(frozen=True)
class Priced:
    sku: str


def upper(value):
    """A validator that makes other objects."""
    return [dataclasses.replace(one, sku=one.sku.upper()) for one in value]


def sorted_by_street(value):
    """A validator that moves the objects."""
    return sorted(value, key=lambda one: one.street)


class Normal(Model, table="nested-normal"):
    id: Attr[str] = partition_key()
    prices: Attr[list[Priced]] = attr(default_factory=list, validators=(upper,))
    addresses: Attr[list[Address]] = attr(default_factory=list, validators=(sorted_by_street,))


class Log(Model, table="nested-logs"):
    id: Attr[str] = partition_key()
    lines: Attr[list[Line]] = attr(AppendOnly(), default_factory=list)
    version: Attr[int] = version()


MODELS = [Order, Versioned, Registered, Normal, Log]
S, N, M = (lambda value: {"S": value}), (lambda value: {"N": f"{value}"}), (lambda **members: {"M": members})
TAX = N("0.2")


def L(*elements):
    return {"L": list(elements)}


ADDRESS = M(street=S("Main"), city=S("Rome"), tax=TAX, geo=M(lat=N(1), lon=N(2), alt=N(3)), other=L(S("x")))
LINE = M(sku=S("a"), qty=N(1), tax=TAX, geo=M(lat=N(1), lon=N(2), alt=N(3)))
SECOND = M(sku=S("b"), qty=N(2), tax=N(7))
ITEM = {
    "address": ADDRESS,
    "addresses": L(ADDRESS, M(street=S("Side"))),
    "named": M(home=ADDRESS, work=M(street=S("Side"), tax=N(1))),
    "lines": L(LINE, SECOND),
    "line": LINE,
    "by_name": M(x=L(LINE), y=L()),
    "price": M(net=N(1), gross=N(2), tax=TAX),
    "prices": L(M(net=N(1), gross=N(2), tax=TAX), M(net=N(3), gross=N(4), tax=N(9))),
    "pair": M(left=S("l"), right=N(1), tax=TAX),
    "pairs": L(M(left=S("l"), right=N(1), tax=TAX), LINE),
    "entry": M(low=N(1), high=N(2), tax=TAX),
    "point": M(x=N(1), y=N(2), tax=TAX),
    "payer": M(name=S("p"), points=N(1), tax=TAX),
    "open": M(name=S("p"), tax=TAX, payer=M(name=S("q"), points=N(0), tax=TAX)),
    "either": LINE,
    "pet": M(kind=S("dog"), name=S("Rex"), barks=N(1), tax=TAX, payer=M(name=S("q"), points=N(0), tax=TAX)),
    "counts": M(a=N(1), b=N(2)),
    "words": L(S("a"), S("b"), S("c")),
    "free": M(deep=M(a=N(1), b=L(N(1), N(2)))),
    "text": S('{"a":1}'),
    "note": S("n"),
    "foreign": M(a=N(1)),
}


def given(db, key, **item):
    """An order as another program stored it, and as it is read."""
    item = {"id": S(key), **(item or ITEM)}
    store(db, Order, item)
    return item, db.get(Order, key, consistent=True)


def foreign(db, model, key, expression, value):
    """Change an item as another program would."""
    request = {"TableName": table_of(db, model), "Key": key_of(db, model, (key,)), "UpdateExpression": expression}
    if ":v" in expression:
        request["ExpressionAttributeValues"] = {":v": value}
    if "#lines" in expression:
        request["ExpressionAttributeNames"] = {"#lines": "lines"}
    ask(db, "UpdateItem", request)


def changed(db, before, key):
    """The places that differ now."""
    return difference(before, stored(db, Order, key))


def sent(wire):
    """The update expression of the last request, with the names in their places."""
    request = wire.last
    text = request["UpdateExpression"]
    for place, name in sorted(request["ExpressionAttributeNames"].items(), reverse=True):
        text = text.replace(place, name)
    return text


# ------------------------------------------------------------------------------------------------- what is not known

TOUCHES = {
    "nothing": lambda order: None,
    "another": lambda order: setattr(order, "note", "m"),
    "in all": lambda order: [
        setattr(order.address, "city", "Oslo"), setattr(order.address.geo, "lat", 9),
        setattr(order.line, "qty", 9), setattr(order.lines[1], "qty", 9), setattr(order.open, "name", "new"),
        setattr(order.payer, "points", 9), setattr(order.point, "y", 9), setattr(order.pet, "barks", 9),
        setattr(order.either, "qty", 9), order.named["home"].__setattr__("city", "Oslo"),
        order.entry.__setitem__("low", 9), setattr(order.pet.payer, "points", 9),
    ],
    "appended": lambda order: [
        order.addresses.append(Address(street="New")), order.lines.append(Line("new")), order.prices.append(Price(7)),
        order.named.update(new=Address(street="New")), order.by_name["x"].append(Line("new")),
    ],
}  # fmt: skip


def in_batch(db, order):
    assert db.batch_write(puts=[order]).ok


def in_transaction(verb):
    def write(db, order):
        with db.transaction() as tx:
            getattr(tx, verb)(order)

    return write


VERBS = {
    "save": lambda db, order: db.save(order),
    "put": lambda db, order: db.put(order),
    "put if": lambda db, order: db.put(order, condition=Order.id == order.id),
    "batch": in_batch,
    "tx.put": in_transaction("put"),
    "tx.save": in_transaction("save"),
}
READS = {
    "get": lambda db, key: db.get(Order, key, consistent=True),
    "query": lambda db, key: db.model(Order).where(Order.id == key).consistent().one(),
    "scan": lambda db, key: next(one for one in db.model(Order).allow_scan().consistent() if one.id == key),
    "batch": lambda db, key: db.batch_get(Order, [key], consistent=True)[0],
    "transaction": lambda db, key: db.transact_get([(Order, key)])[0],
    "update": lambda db, key: db.update(Order, key, Order.note.set("n")),
}
COPIES = {
    "itself": lambda order: order,
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": lambda order: pickle.loads(pickle.dumps(order)),
    "replace": lambda order: dataclasses.replace(order, text={"a": 1}),
}


def unknown_in(item, place=()):
    """The places of the members that no class here knows."""
    found = set()
    for name, wire in item.items():
        if name in ("tax", "alt", "other"):
            found.add((*place, name))
        for tag, inside in wire.items():
            if tag == "M":
                found |= unknown_in(inside, (*place, name))
            elif tag == "L":
                found |= unknown_in(dict(enumerate(inside)), (*place, name))
    return found


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("touch", TOUCHES)
def test_members_that_are_not_known_stay(db, key, verb, touch):
    before, order = given(db, key)
    TOUCHES[touch](order)
    VERBS[verb](db, order)
    after = stored(db, Order, key)
    assert unknown_in(after) == unknown_in(before)
    TOUCHES["in all"](order)  # and once more, with what the object now knows of the item
    order.lines.insert(0, Line("first"))
    VERBS[verb](db, order)
    assert len(unknown_in(stored(db, Order, key))) == len(unknown_in(before))
    assert stored(db, Order, key)["lines"]["L"][1]["M"]["tax"] == TAX


@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize("how", COPIES)
def test_however_it_was_read_and_copied(db, key, read, how):
    before, _ = given(db, key)
    order = COPIES[how](READS[read](db, key))
    TOUCHES["appended"](order)
    db.save(order)
    after = stored(db, Order, key)
    assert unknown_in(after) == unknown_in(before)
    db.put(COPIES[how](order))
    assert unknown_in(stored(db, Order, key)) == unknown_in(before)


def test_they_go_where_their_object_goes(db, key):
    _, order = given(db, key)
    order.lines.reverse()
    order.line, order.named["old"] = order.lines.pop(), order.named.pop("home")
    db.save(order)
    after = stored(db, Order, key)
    assert [one["M"]["tax"] for one in after["lines"]["L"]] == [N(7)]
    assert after["line"] == LINE
    assert {**after["named"]["M"]["old"]["M"], **ADDRESS["M"]} == after["named"]["M"]["old"]["M"]
    assert "home" not in after["named"]["M"]


def test_a_new_object_has_none(db, key):
    _, order = given(db, key)
    order.address, order.lines[0] = Address(street="New"), Line("c")
    order.addresses = [Address(street="New")]
    db.save(order)
    after = stored(db, Order, key)
    assert after["address"] == M(street=S("New"))
    assert after["lines"] == L(M(sku=S("c"), qty=N(1)), SECOND)
    assert after["addresses"] == L(M(street=S("New"), postCode=S("")))


def test_what_is_changed_by_making_another_keeps_them(db, key):
    _, order = given(db, key)
    order.price = dataclasses.replace(order.price, net=9)
    order.prices[1] = dataclasses.replace(order.prices[1], net=9)
    order.pair = order.pair._replace(right=9)
    order.entry = {**order.entry, "low": 9}
    order.payer = order.payer.model_copy(update={"points": 9})
    order.point = msgspec.structs.replace(order.point, y=9)
    order.address = dataclasses.replace(order.address, city="Oslo")
    db.save(order)
    after = stored(db, Order, key)
    assert after["price"] == M(net=N(9), gross=N(2), tax=TAX)
    assert after["prices"]["L"][1] == M(net=N(9), gross=N(4), tax=N(9))
    assert after["pair"] == M(left=S("l"), right=N(9), tax=TAX)
    assert after["entry"] == M(low=N(9), high=N(2), tax=TAX)
    assert after["payer"] == M(name=S("p"), points=N(9), tax=TAX)
    assert after["point"] == M(x=N(1), y=N(9), tax=TAX)
    assert after["address"]["M"]["tax"] == TAX


def test_a_nested_model_takes_them_to_another_item(db, key):
    _, order = given(db, key)
    db.create(Order(id=f"{key}-2", address=order.address))
    assert stored(db, Order, f"{key}-2")["address"]["M"]["tax"] == TAX
    db.update(Order, f"{key}-2", Order.named["x"].set(order.address))
    assert stored(db, Order, f"{key}-2")["named"]["M"]["x"]["M"]["tax"] == TAX


def test_a_registered_class_keeps_them_too(db, key):
    store(db, Registered, {"id": S(key), "lines": L(LINE), "payer": ITEM["payer"]})
    found = db.get(Registered, key, consistent=True)
    found.lines.append(Line("b"))
    found.payer.points = 7
    db.save(found)
    after = stored(db, Registered, key)
    assert after["lines"]["L"][0] == LINE
    assert after["payer"]["M"] == {**ITEM["payer"]["M"], "points": N(7)}
    db.put(found)
    assert stored(db, Registered, key)["lines"]["L"][0] == LINE


# ---------------------------------------------------------------------------------------------------------- by path

CHANGES = {
    "a member": (lambda o: setattr(o.address, "city", "Oslo"), {"address.city"}, "SET address.city"),
    "its stored name": (lambda o: setattr(o.address, "zip", "1"), {"address.postCode"}, "SET address.postCode"),
    "deeper": (lambda o: setattr(o.address.geo, "lat", 5), {"address.geo.lat"}, "SET address.geo.lat"),
    "removed": (lambda o: setattr(o.address, "geo", None), None, "REMOVE address.geo"),
    "of a dict": (lambda o: setattr(o.named["work"], "street", "x"), {"named.work.street"}, "SET named.work.street"),
    "a key": (lambda o: o.counts.update(a=9), {"counts.a"}, "SET counts.a"),
    "a new key": (lambda o: o.counts.update(c=9), {"counts.c"}, "SET counts.c"),
    "a removed key": (lambda o: o.counts.pop("b"), {"counts.b"}, "REMOVE counts.b"),
    "of an element": (lambda o: setattr(o.lines[1], "qty", 9), {"lines.1.qty"}, "SET lines[1].qty"),
    "an element": (lambda o: o.words.__setitem__(1, "x"), {"words.1"}, "SET words[1]"),
    "of a list in a dict": (lambda o: setattr(o.by_name["x"][0], "qty", 9), {"by_name.x.0.qty"}, "SET by_name.x[0].qty"),
    "of a document": (lambda o: o.free["deep"]["b"].__setitem__(0, 9), {"free.deep.b.0"}, "SET free.deep.b[0]"),
    "of a tuple": (lambda o: setattr(o.pairs[1], "qty", 9), {"pairs.1.qty"}, "SET pairs[1].qty"),
    "of a union": (lambda o: setattr(o.either, "qty", 9), {"either.qty"}, "SET either.qty"),
    "of a subclass": (lambda o: setattr(o.pet, "barks", 9), {"pet.barks"}, "SET pet.barks"),
    "an extra value": (lambda o: setattr(o.open, "tax", 9), {"open.tax"}, "SET open.tax"),
    "of frozen": (lambda o: setattr(o, "price", Price(1, 9)), {"price.gross"}, "SET price.gross"),
}  # fmt: skip


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_inside_is_written_by_its_path(db, key, wire, what):
    do, places, text = CHANGES[what]
    before, order = given(db, key)
    do(order)
    db.save(order)
    assert sent(wire).partition(" =")[0] == text
    assert places is None or changed(db, before, key) == places
    wire.clear()
    db.save(order)
    assert wire.names == []
    assert db.get(Order, key, consistent=True) == order


WHOLE = {
    "appended": (lambda o: o.lines.append(Line("c")), {"lines.2", "lines.2.sku", "lines.2.qty"}),
    "removed": (lambda o: o.words.pop(0), {"words.0", "words.1", "words.2"}),
    "swapped": (lambda o: o.words.reverse(), {"words.0", "words.2"}),
    "json": (lambda o: o.text.update(a=2), {"text"}),
    "of another class": (lambda o: setattr(o, "either", Point(1)), None),
    "too many": (lambda o: o.counts.update({f"k{at}": at for at in range(60)}), None),
    "from none": (lambda o: setattr(o, "note", "x"), {"note"}),
    "to none": (lambda o: setattr(o, "address", None), None),
}


@pytest.mark.parametrize("what", WHOLE)
def test_what_has_no_path_is_written_whole(db, key, wire, what):
    do, places = WHOLE[what]
    before, order = given(db, key)
    do(order)
    db.save(order)
    assert "." not in sent(wire)
    assert "[" not in sent(wire)
    assert places is None or changed(db, before, key) == places
    assert db.get(Order, key, consistent=True) == order


def test_two_writers_of_one_value_both_keep_their_change(db, key):
    before, one = given(db, key)
    other = db.get(Order, key, consistent=True)
    one.address.city, other.address.street = "Oslo", "Quay"
    one.lines[0].qty, other.lines[0].sku = 7, "z"
    one.lines[1].qty = 8
    one.counts["a"], other.counts["new"] = 7, 8
    del other.counts["b"]
    db.save(one)
    db.save(other)
    assert changed(db, before, key) == {
        "address.city", "address.street", "lines.0.qty", "lines.0.sku", "lines.1.qty", "counts.a", "counts.b", "counts.new",
    }  # fmt: skip
    found = db.get(Order, key, consistent=True)
    assert (found.address.city, found.address.street, found.counts) == ("Oslo", "Quay", {"a": 7, "new": 8})


def test_a_writer_that_knows_no_version_loses_nothing(db, key):
    store(db, Versioned, {"id": S(key), "address": ADDRESS, "lines": L(LINE, SECOND), "version": N(0)})
    found = db.get(Versioned, key, consistent=True)
    foreign(db, Versioned, key, "SET address.street = :v, address.more = :v, #lines[1].sku = :v", S("theirs"))
    found.address.city, found.lines[1].qty = "Oslo", 9
    db.save(found)
    after = stored(db, Versioned, key)
    assert after["address"]["M"] == {**ADDRESS["M"], "street": S("theirs"), "more": S("theirs"), "city": S("Oslo")}
    assert after["lines"]["L"][1]["M"] == {"sku": S("theirs"), "qty": N(9), "tax": N(7)}


LOST = {
    "removed": "REMOVE address",
    "another type": "SET address = :v",
    "removed inside": "REMOVE address.geo",
    "shorter": "REMOVE #lines[0]",
    "longer": "SET #lines[2] = :v",
    "no list": "SET #lines = :v",
    "no element": "SET #lines[1] = :v",
}


@pytest.mark.parametrize("model", [Order, Versioned])
@pytest.mark.parametrize("how", ["save", "tx.save"])
@pytest.mark.parametrize("what", LOST)
def test_a_path_that_is_there_no_more_is_a_conflict(db, key, model, how, what):
    item = {"id": S(key), "address": ADDRESS, "lines": L(LINE, SECOND), "version": N(0)}
    store(db, model, item if model is Versioned else {**item, "version": S("x")})
    found = db.get(model, key, consistent=True)
    foreign(db, model, key, LOST[what], S("x"))
    inside = stored(db, model, key)
    found.address.geo.lat, found.lines[1].qty = 8, 9
    with pytest.raises(VersionConflict if how == "save" else TransactionCancelled) as caught:
        VERBS[how](db, found)
    field = "address" if "address" in LOST[what] else "lines"
    error = caught.value if how == "save" else caught.value.reasons[0].error
    assert isinstance(error, VersionConflict)
    assert error.outcome is Outcome.NOT_APPLIED
    assert f"{model.__name__}.{field} was changed since it was loaded" in f"{error}"
    assert stored(db, model, key) == inside
    fresh = db.get(model, key, consistent=True) if "v" not in LOST[what] else None
    if fresh is not None and fresh.address is not None:
        fresh.address.city = "Oslo"
        VERBS[how](db, fresh)
        assert stored(db, model, key)["address"]["M"]["city"] == S("Oslo")


def test_many_paths_keep_within_the_limits_of_an_expression(db, key, wire):
    names = {f"n{at}": M(street=S("x"), geo=M(lat=N(1), lon=N(2))) for at in range(40)}
    _, order = given(db, key, named={"M": names}, counts={"M": {f"k{at}": N(at) for at in range(48)}}, lines=L(LINE))
    for one in order.named.values():
        one.geo.lat = 5
    for name in order.counts:
        order.counts[name] += 1
    order.lines[0].qty = 5
    db.save(order)
    assert "lines[0].qty" in sent(wire)
    assert len(wire.last["UpdateExpression"]) <= 4096
    assert len(wire.last["ConditionExpression"]) <= 4096
    assert db.get(Order, key, consistent=True) == order


def test_the_deepest_place_is_written(db, key):
    value, end = {"end": 1}, {"M": {"end": N(1)}}
    for _ in range(30):
        value, end = {"a": value}, {"M": {"a": end}}
    before, order = given(db, key, free=end)
    at = order.free
    while "a" in at:
        at = at["a"]
    at["end"] = 2
    db.save(order)
    # The defaults that the item lacked come along.
    assert {one for one in changed(db, before, key) if one.startswith("free")} == {"free." + "a." * 30 + "end"}
    assert db.get(Order, key, consistent=True).free == order.free


def test_a_missing_value_of_an_unreadable_change_is_refused_before_the_wire(db, key, wire):
    _, order = given(db, key)
    order.lines[0].qty = "many"
    wire.clear()
    with pytest.raises(ValidationError, match="lines"):
        db.save(order)
    assert wire.names == []


def test_nothing_is_held_of_what_is_known(db, key):
    order = db.create(Order(id=key, address=Address(street="Main"), lines=[Line("a")], pet=Dog(name="Rex")))
    for found in (order, db.get(Order, key, consistent=True)):
        assert type(found.__loaded__) is bytes
        assert found.address.__loaded__ is None
        assert found.pet.__loaded__ is None


# ------------------------------------------------------------------------------------------------- beside other things


def test_validators_that_move_and_make_objects(db, key):
    prices = [M(sku=S("a"), tax=N(1)), M(sku=S("B"), tax=N(2))]
    addresses = [M(street=S("b"), tax=N(1)), M(street=S("a"), tax=N(2))]
    store(db, Normal, {"id": S(key), "prices": L(*prices), "addresses": L(*addresses)})
    found = db.get(Normal, key, consistent=True)
    found.addresses.append(Address(street="0"))
    for _ in range(2):
        db.save(found)
        after = stored(db, Normal, key)
        assert [one["M"].get("tax") for one in after["addresses"]["L"]] == [None, N(2), N(1)]
        assert [one["M"].get("tax") for one in after["prices"]["L"]] == [N(1), N(2)]
        found.addresses[1].city = "Oslo"
        found.prices = [dataclasses.replace(one, sku="c") for one in found.prices]
    db.put(found)
    after = stored(db, Normal, key)
    assert [one["M"].get("tax") for one in after["addresses"]["L"]] == [None, N(2), N(1)]


def test_an_upsert_of_an_object_makes_its_members_again(db, key):
    before, order = given(db, key)
    db.delete(order)
    order = db.upsert(COPIES["copy"](_loaded_again(db, before, key)), Order.note.set("again"))
    assert unknown_in(stored(db, Order, key)) == unknown_in(before)


def _loaded_again(db, item, key):
    """An object of an item that is gone."""
    store(db, Order, item)
    order = db.get(Order, key, consistent=True)
    db.delete(Order, key)
    return order


def test_an_append_only_list_of_what_is_not_known_grows(db, key, wire):
    store(db, Log, {"id": S(key), "lines": L(LINE), "version": N(0)})
    found = db.get(Log, key, consistent=True)
    found.lines.append(Line("b"))
    db.save(found)
    assert "list_append" in sent(wire)
    assert stored(db, Log, key)["lines"]["L"] == [LINE, M(sku=S("b"), qty=N(1))]
