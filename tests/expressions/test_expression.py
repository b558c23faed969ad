"""Building, inspecting and compiling conditions and updates: exact texts, and what is refused."""

import copy
import pickle
import subprocess
import sys
from decimal import Decimal

import pytest

from dynamorm.errors import ExpressionTooLarge, ValidationError
from dynamorm.models.expressions.compile import (
    Placeholders,
    check_paths,
    check_updates,
    condition_text,
    key_terms_text,
    projection_text,
    update_text,
)
from dynamorm.models.expressions.path import (
    Comparison,
    Condition,
    Location,
    Path,
    Update,
    Wire,
    paths,
    system_path,
    terms,
)
from dynamorm.models.schema.schema import Field, Json, Key, Schema


def field(name, stored=None, owner="Payment", **more):
    return Field(name=name, stored=stored or name, annotation=object, owner=owner, **more)


class P:
    id = Path(field("id", role="partition"))
    at = Path(field("at", role="sort"))
    amount = Path(field("amount"))
    fee = Path(field("fee"))
    note = Path(field("note", "n"))
    tags = Path(field("tags"))
    flags = Path(field("flags"))
    address = Path(field("address"))
    lines = Path(field("lines"))
    doc = Path(field("doc"))
    settings = Path(field("settings", options=(Json(),)))
    raw = Path(field("raw"))
    version = Path(field("version", role="version"))
    created = Path(field("created", role="created_at"))
    updated = Path(field("updated", role="updated_at"))
    expires = Path(field("expires", role="ttl"))
    currency = Path(field("currency", immutable=True))


class Address:
    city = Path(field("city", "c", owner="Address"))
    country = Path(field("country", owner="Address", immutable=True))


class Line:
    price = Path(field("price", owner="Line"))


SCHEMA = Schema(
    model=P,
    name="Payment",
    table="payments",
    fields={path.field.name: path.field for path in vars(P).values() if isinstance(path, Path)},
    key=Key("id", "at"),
)


def encode(path, value, what):
    """Shows what was asked for; "" is a value that is never stored."""
    assert isinstance(path, Location)
    if what == "size" and value is None:
        return None
    prefix = "string" if isinstance(value, str) else "value"
    what = {"order": "value", "prefix": prefix, "size": "number"}.get(what, what)
    return None if isinstance(value, str) and value == "" else {what: value}


def condition(tree):
    places = Placeholders()
    return condition_text(tree, places, encode), places.names, places.values


def update(*updates):
    places = Placeholders()
    return update_text(updates, places, encode), places.names, places.values


A = {"#n0": "amount"}


@pytest.mark.parametrize(
    ("tree", "text", "names", "values"),
    [
        (P.amount == 5, "#n0 = :v0", A, {":v0": {"value": 5}}),
        (P.amount != 5, "#n0 <> :v0", A, {":v0": {"value": 5}}),
        (P.amount < 5, "#n0 < :v0", A, {":v0": {"value": 5}}),
        (P.amount <= 5, "#n0 <= :v0", A, {":v0": {"value": 5}}),
        (P.amount > 5, "#n0 > :v0", A, {":v0": {"value": 5}}),
        (P.amount >= 5, "#n0 >= :v0", A, {":v0": {"value": 5}}),
        (5 < P.amount, "#n0 > :v0", A, {":v0": {"value": 5}}),  # noqa: SIM300
        (P.amount.between(1, 2), "#n0 BETWEEN :v0 AND :v1", A, {":v0": {"value": 1}, ":v1": {"value": 2}}),
        (P.amount.in_([1, 2]), "#n0 IN (:v0, :v1)", A, {":v0": {"value": 1}, ":v1": {"value": 2}}),
        (P.amount.in_(iter([1])), "#n0 IN (:v0)", A, {":v0": {"value": 1}}),
        (P.id.begins_with("p"), "begins_with(#n0, :v0)", {"#n0": "id"}, {":v0": {"string": "p"}}),
        (P.raw.begins_with(b"p"), "begins_with(#n0, :v0)", {"#n0": "raw"}, {":v0": {"value": b"p"}}),
        (P.tags.contains("x"), "contains(#n0, :v0)", {"#n0": "tags"}, {":v0": {"element": "x"}}),
        (P.note.exists(), "attribute_exists(#n0)", {"#n0": "n"}, {}),
        (P.note.not_exists(), "attribute_not_exists(#n0)", {"#n0": "n"}, {}),
        (P.note.attribute_type("S"), "attribute_type(#n0, :v0)", {"#n0": "n"}, {":v0": {"type": "S"}}),
        (P.tags.size() == 3, "size(#n0) = :v0", {"#n0": "tags"}, {":v0": {"number": 3}}),
        (P.tags.size() != 3, "size(#n0) <> :v0", {"#n0": "tags"}, {":v0": {"number": 3}}),
        (P.tags.size() < 3, "size(#n0) < :v0", {"#n0": "tags"}, {":v0": {"number": 3}}),
        (P.tags.size() <= 3, "size(#n0) <= :v0", {"#n0": "tags"}, {":v0": {"number": 3}}),
        (P.tags.size() > 3, "size(#n0) > :v0", {"#n0": "tags"}, {":v0": {"number": 3}}),
        (P.tags.size() >= P.amount, "size(#n0) >= #n1", {"#n0": "tags", "#n1": "amount"}, {}),
        (
            P.tags.size().between(1, 3),
            "size(#n0) BETWEEN :v0 AND :v1",
            {"#n0": "tags"},
            {":v0": {"number": 1}, ":v1": {"number": 3}},
        ),
        (P.fee < P.amount, "#n0 < #n1", {"#n0": "fee", "#n1": "amount"}, {}),
        (P.amount.between(P.fee, 9), "#n0 BETWEEN #n1 AND :v0", {"#n0": "amount", "#n1": "fee"}, {":v0": {"value": 9}}),
        (P.amount == Wire({"N": "7"}), "#n0 = :v0", A, {":v0": {"N": "7"}}),
        (
            P.address[Address.city] == "Riga",
            "#n0.#n1 = :v0",
            {"#n0": "address", "#n1": "c"},
            {":v0": {"value": "Riga"}},
        ),
        (P.lines[0][Line.price] > 1, "#n0[0].#n1 > :v0", {"#n0": "lines", "#n1": "price"}, {":v0": {"value": 1}}),
        (
            P.doc["a.b"]["#x"][2] > 1,
            "#n0.#n1.#n2[2] > :v0",
            {"#n0": "doc", "#n1": "a.b", "#n2": "#x"},
            {":v0": {"value": 1}},
        ),
        (~P.note.exists(), "NOT (attribute_exists(#n0))", {"#n0": "n"}, {}),
        (~~P.note.exists(), "attribute_exists(#n0)", {"#n0": "n"}, {}),
    ],
)
def test_conditions_compile_to_exactly_this(tree, text, names, values):
    assert condition(tree) == (text, names, values)


NULL = "attribute_not_exists(#n0) OR attribute_type(#n0, :v0)"
SET = "attribute_exists(#n0) AND NOT attribute_type(#n0, :v0)"


@pytest.mark.parametrize(
    ("tree", "text"),
    [
        (P.note == None, NULL),  # noqa: E711
        (P.note != None, SET),  # noqa: E711
        (P.note == "", NULL),  # a value that is never stored is what is missing
        (P.note != "", SET),
        (~(P.note == ""), f"NOT ({NULL})"),
        (~(P.note != None), f"NOT ({SET})"),  # noqa: E711
        ((P.note == None) & (P.amount > 5), f"({NULL}) AND #n1 > :v1"),  # noqa: E711
        (P.note == set(), NULL),  # an empty set is stored as NULL
        (P.note != frozenset(), SET),
        (P.note.in_([set(), {"a"}]), f"({NULL}) OR #n0 IN (:v1)"),
        (P.note.in_([None]), NULL),
        (P.note.in_(["a", None]), f"({NULL}) OR #n0 IN (:v1)"),
    ],
)
def test_none_means_missing_or_null(tree, text):
    got, names, values = condition(tree)
    assert got == text
    assert names["#n0"] == "n"
    assert values[":v0"] == {"string": "NULL"}


a, b, c, d = (P.doc[key].exists() for key in "abcd")


@pytest.mark.parametrize(
    ("tree", "text"),
    [
        (a & b & c, "a AND b AND c"),
        (a & (b & c), "a AND b AND c"),
        (a | b | c, "a OR b OR c"),
        (a | b & c, "a OR (b AND c)"),
        ((a | b) & c, "(a OR b) AND c"),
        (a & (b | c) & d, "a AND (b OR c) AND d"),
        ((a | b) & (c | d), "(a OR b) AND (c OR d)"),
        (~(a | b) & c, "NOT (a OR b) AND c"),
        (~(a & ~b) | c, "NOT (a AND NOT (b)) OR c"),
        (~a & ~b, "NOT (a) AND NOT (b)"),
        (~(~a), "a"),
        (~(~(a | b)) & c, "(a OR b) AND c"),
    ],
)
def test_parentheses_are_exactly_where_the_tree_needs_them(tree, text):
    got, names, _ = condition(tree)
    for placeholder, stored in names.items():
        got = got.replace(f"attribute_exists(#n0.{placeholder})", stored)
    assert got == text


def test_a_between_inside_and_needs_no_parentheses():
    assert condition(P.amount.between(1, 2) & (P.fee > 3))[0] == "#n0 BETWEEN :v0 AND :v1 AND #n1 > :v2"


@pytest.mark.parametrize(
    ("one", "text", "values"),
    [
        (P.amount.set(6), "SET #n0 = :v0", {":v0": {"value": 6}}),
        (P.amount.set(P.fee), "SET #n0 = #n1", {}),
        (P.amount.set(Wire({"N": "1"})), "SET #n0 = :v0", {":v0": {"N": "1"}}),
        (P.amount.set(None), "SET #n0 = :v0", {":v0": {"value": None}}),
        (P.note.set(""), "REMOVE #n0", {}),
        (P.settings.set(None), "SET #n0 = :v0", {":v0": {"value": None}}),
        (P.lines[0].set(None), "SET #n0[0] = :v0", {":v0": {"value": None}}),
        (P.doc["k"].set(None), "SET #n0.#n1 = :v0", {":v0": {"value": None}}),
        (P.address[Address.city].set(None), "SET #n0.#n1 = :v0", {":v0": {"value": None}}),
        (P.amount.add(5), "ADD #n0 :v0", {":v0": {"number": 5}}),
        (P.amount.add(Decimal("-0.5")), "ADD #n0 :v0", {":v0": {"number": Decimal("-0.5")}}),
        (P.amount.add(Wire({"N": "1"})), "ADD #n0 :v0", {":v0": {"N": "1"}}),
        (
            P.doc["count"].add(2),
            "SET #n0.#n1 = if_not_exists(#n0.#n1, :v0) + :v1",
            {":v0": {"N": "0"}, ":v1": {"number": 2}},
        ),
        (P.flags.add({"x"}), "ADD #n0 :v0", {":v0": {"members": {"x"}}}),
        (P.flags.add(frozenset({"x"})), "ADD #n0 :v0", {":v0": {"members": {"x"}}}),
        (P.doc["f"].add({"x"}), "ADD #n0.#n1 :v0", {":v0": {"members": {"x"}}}),
        (P.flags.delete({"x"}), "DELETE #n0 :v0", {":v0": {"members": {"x"}}}),
        (P.note.remove(), "REMOVE #n0", {}),
        (P.lines[3].remove(), "REMOVE #n0[3]", {}),
        (P.note.if_not_exists("a"), "SET #n0 = if_not_exists(#n0, :v0)", {":v0": {"value": "a"}}),
        (P.note.if_not_exists(P.id), "SET #n0 = if_not_exists(#n0, #n1)", {}),
        (P.tags.append("x"), "SET #n0 = list_append(#n0, :v0)", {":v0": {"L": [{"element": "x"}]}}),
        (P.tags.append(["x"]), "SET #n0 = list_append(#n0, :v0)", {":v0": {"L": [{"element": ["x"]}]}}),
        (P.tags.append(Wire({"S": "x"})), "SET #n0 = list_append(#n0, :v0)", {":v0": {"L": [{"S": "x"}]}}),
        (P.tags.prepend("x"), "SET #n0 = list_append(:v0, #n0)", {":v0": {"L": [{"element": "x"}]}}),
        (
            P.tags.extend(["x", "y"]),
            "SET #n0 = list_append(#n0, :v0)",
            {":v0": {"L": [{"element": "x"}, {"element": "y"}]}},
        ),
        (P.amount.set(P.amount + 1), "SET #n0 = #n0 + :v0", {":v0": {"number": 1}}),
        (P.amount.set(5 - P.fee), "SET #n0 = :v0 - #n1", {":v0": {"number": 5}}),
        (P.amount.set(P.fee - P.amount), "SET #n0 = #n1 - #n0", {}),
        (P.tags.set(P.tags.concat(P.tags)), "SET #n0 = list_append(#n0, #n0)", {}),
        (P.tags.set(P.tags.concat(["x"])), "SET #n0 = list_append(#n0, :v0)", {":v0": {"L": [{"element": "x"}]}}),
        (P.tags.extend([]), "SET #n0 = list_append(#n0, :v0)", {":v0": {"L": []}}),
        (
            P.tags.extend_or_create(("x", Wire({"S": "y"}))),
            "SET #n0 = list_append(if_not_exists(#n0, :v0), :v1)",
            {":v0": {"L": []}, ":v1": {"L": [{"element": "x"}, {"S": "y"}]}},
        ),
        (
            P.tags.append_or_create("x"),
            "SET #n0 = list_append(if_not_exists(#n0, :v0), :v1)",
            {":v0": {"L": []}, ":v1": {"L": [{"element": "x"}]}},
        ),
        (
            Update("add", P.version, Wire({"N": "1"}), Wire({"N": "-1"})),
            "SET #n0 = if_not_exists(#n0, :v0) + :v1",
            {":v0": {"N": "-1"}, ":v1": {"N": "1"}},
        ),
        (
            Update("append", P.tags, "x", Wire({"L": []})),
            "SET #n0 = list_append(if_not_exists(#n0, :v0), :v1)",
            {":v0": {"L": []}, ":v1": {"L": [{"element": "x"}]}},
        ),
        (
            Update("set", P.amount, P.fee, Wire({"N": "7"})),
            "SET #n0 = if_not_exists(#n1, :v0)",
            {":v0": {"N": "7"}},
        ),
        (
            Update("if_not_exists", P.amount, P.fee, Wire({"N": "7"})),
            "SET #n0 = if_not_exists(#n0, if_not_exists(#n1, :v0))",
            {":v0": {"N": "7"}},
        ),
    ],
)
def test_updates_compile_to_exactly_this(one, text, values):
    got, names, found = update(one)
    assert (got, found) == (text, values)
    assert names["#n0"] == one.path.field.stored


def test_clauses_come_in_one_order_and_updates_in_the_order_given():
    text, names, values = update(
        P.flags.delete({"x"}), P.fee.add(1), P.note.remove(), P.doc["b"].set(1), P.amount.set(2), P.tags.remove()
    )
    assert text == "SET #n3.#n4 = :v2, #n5 = :v3 REMOVE #n2, #n6 ADD #n1 :v1 DELETE #n0 :v0"
    assert names == {"#n0": "flags", "#n1": "fee", "#n2": "n", "#n3": "doc", "#n4": "b", "#n5": "amount", "#n6": "tags"}
    assert [next(iter(wire.values())) for wire in values.values()] == [{"x"}, 1, 1, 2]


def test_one_allocator_serves_every_expression_of_a_request():
    places = Placeholders()
    first = condition_text((P.amount > 5) | (P.fee == 1), places, encode)
    second = condition_text((P.fee == 2) & (P.note == "x"), places, encode)
    third = update_text([P.amount.set(9)], places, encode)
    assert (first, second, third) == ("#n0 > :v0 OR #n1 = :v1", "#n1 = :v2 AND #n2 = :v3", "SET #n0 = :v4")
    assert places.names == {"#n0": "amount", "#n1": "fee", "#n2": "n"}
    assert [wire["value"] for wire in places.values.values()] == [5, 1, 2, "x", 9]


@pytest.mark.parametrize(
    "stored", ["name", "Name", "size", "#n0", ":v0", "a b", "a.b", "x[0]", "é", "-- drop", "<script>"]
)
def test_any_stored_name_travels_behind_a_placeholder(stored):
    places = Placeholders()
    assert condition_text(Path(field("x", stored)) == stored, places, encode) == "#n0 = :v0"
    assert (places.names, places.values) == ({"#n0": stored}, {":v0": {"value": stored}})


def test_names_that_differ_by_case_have_different_placeholders():
    text, names, _ = condition((Path(field("name")) == 1) & (Path(field("Name")) == 2) & (Path(field("name")) == 3))
    assert text == "#n0 = :v0 AND #n1 = :v1 AND #n0 = :v2"
    assert names == {"#n0": "name", "#n1": "Name"}


def test_the_text_is_the_same_in_every_process():
    program = (
        "import sys; sys.path[:0] = %r\n"
        "from dynamorm.models.expressions.path import system_path as s\n"
        "from dynamorm.models.expressions.compile import *\n"
        "p = Placeholders(); e = lambda path, value, what: {'S': repr(value)}\n"
        "print(condition_text((s('b') > 1) & ((s('a') == 2) | s('c').in_([1, 2])), p, e),"
        " update_text([s('z').set(1), s('y').add(1), s('x').set(2)], p, e), p.names, p.values)"
    ) % [path for path in sys.path if path]
    runs = {
        subprocess.run(
            [sys.executable, "-c", program], env={"PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("0", "1", "2")
    }
    assert len(runs) == 1


def test_projection_names_each_path_once():
    places = Placeholders()
    wanted = [P.id, P.address[Address.city], P.lines[0], P.id]
    assert projection_text(wanted, places) == "#n0, #n1.#n2, #n3[0]"
    assert places.names == {"#n0": "id", "#n1": "address", "#n2": "c", "#n3": "lines"}


@pytest.mark.parametrize("wanted", [[], [P.address, P.address[Address.city]], ["id"], [P.amount > 5]])
def test_projection_refuses_nothing_overlap_and_non_paths(wanted):
    with pytest.raises(ValidationError):
        projection_text(wanted, Placeholders())


# Key conditions


def key_text(*chosen):
    places = Placeholders()
    return key_terms_text(chosen, places, encode), places.names


@pytest.mark.parametrize(
    ("chosen", "text", "names"),
    [
        ([P.id == "x"], "#n0 = :v0", ["id"]),
        ([P.id == "x", P.at > 5], "#n0 = :v0 AND #n1 > :v1", ["id", "at"]),
        ([P.id == "x", P.at.between(1, 2)], "#n0 = :v0 AND #n1 BETWEEN :v1 AND :v2", ["id", "at"]),
        ([P.id == "x", P.at.begins_with("y")], "#n0 = :v0 AND begins_with(#n1, :v1)", ["id", "at"]),
        (
            [P.id == "x", P.at == 2, P.amount == 3, P.fee < 9],
            "#n0 = :v0 AND #n1 = :v1 AND #n2 = :v2 AND #n3 < :v3",
            ["id", "at", "amount", "fee"],
        ),
        (
            [P.id == "x", P.at == 2, P.amount >= 3],
            "#n0 = :v0 AND #n1 = :v1 AND #n2 >= :v2",
            ["id", "at", "amount"],
        ),
    ],
)
def test_a_key_condition_holds_its_terms_in_their_order(chosen, text, names):
    got, found = key_text(*chosen)
    assert (got, list(found.values())) == (text, names)


@pytest.mark.parametrize("value", [None, ""])
def test_a_key_condition_refuses_a_value_that_no_item_has(value):
    with pytest.raises(ValidationError, match="no item has this key") as caught:
        key_text(P.id == "x", P.at == value)
    assert caught.value.field == "at"


# Inspecting


def test_terms_are_those_of_the_outermost_and():
    first, second, third = P.id == "x", (P.amount > 5) | (P.fee > 5), P.note.exists()
    assert terms(first & second & third) == (first, second, third)
    assert terms(second) == (second,)
    assert isinstance(first, Comparison)
    assert first.path is P.id
    assert (first.op, first.operands) == ("=", ("x",))


def test_a_size_is_never_mistaken_for_the_attribute():
    assert (P.amount.size() == 5).op == "size ="


def test_paths_are_all_places_named_once_in_order():
    tree = ((P.amount > P.fee) & ~P.address[Address.city].exists()) | (P.amount.size() > 1)
    assert [path.name for path in paths(tree)] == ["amount", "fee", "address.city"]
    assert [path.field.name for path in paths(P.amount.set(P.fee))] == ["amount", "fee"]
    assert [path.field.name for path in paths(P.amount.set(P.version - P.fee))] == ["amount", "version", "fee"]
    assert [path.name for path in paths(P.amount.add(5))] == ["amount"]


@pytest.mark.parametrize(
    ("one", "absolute"),
    [
        (P.amount.set(5), True),
        (P.amount.set(None), True),
        (P.amount.set(P.fee), False),
        (P.note.remove(), True),
        (P.note.if_not_exists("x"), True),
        (P.note.if_not_exists(P.id), False),
        (P.flags.add({"x"}), False),  # a late copy would bring back what somebody has taken out since
        (P.flags.delete({"x"}), False),
        (P.amount.add(5), False),
        (P.tags.append("x"), False),
        (P.tags.prepend("x"), False),
        (P.tags.append_or_create("x"), False),
        (P.tags.extend(["x"]), False),
        (P.amount.set(P.fee + 1), False),
        (P.amount.set(5 - P.fee), False),
        (P.tags.set(P.tags.concat(["x"])), False),
        (P.amount.add(1, strict=True), False),
        (P.amount.add(1, start=5), False),
        (P.tags.extend_or_create(["x"]), False),
        (P.lines[0].remove(), False),  # a second time it takes the next element
        (P.lines[9].set("x"), False),  # beyond the end it appends, each time
        (P.lines[0][Line.price].set(5), True),
    ],
)
def test_absolute_updates_are_those_that_may_be_applied_twice(one, absolute):
    assert one.absolute is absolute


def test_kinds_tell_numbers_from_sets():
    kinds = [one.kind for one in (P.amount.add(1), P.flags.add({"x"}), P.flags.delete({"x"}), P.note.remove())]
    assert kinds == ["add", "add_to_set", "delete_from_set", "remove"]


def test_names_of_paths_are_those_of_the_model():
    assert P.note.name == "note"
    assert P.address[Address.city].name == "address.city"
    assert P.lines[0][Line.price].name == "lines[0].price"
    assert P.address[Address.city].stored == ("address", "c")
    assert P.doc["0"].stored != P.doc[0].stored
    assert P.address[Address.city].parts == (P.address.field, Address.city.field)
    assert P.address[Address.city].field is P.address.field


def test_system_paths_are_made_once():
    assert system_path("_wt") is system_path("_wt")
    assert update(system_path("_wt").set(Wire({"B": "q83v"})))[1:] == ({"#n0": "_wt"}, {":v0": {"B": "q83v"}})


# Nothing shown holds a value

SECRET = "4111111111111111"


@pytest.mark.parametrize(
    ("one", "shown"),
    [
        (P.amount > SECRET, "<Condition amount > ?>"),
        (P.amount > P.fee, "<Condition amount > fee>"),
        (P.note.in_([SECRET, SECRET]), "<Condition note IN (?, ?)>"),
        (P.amount.between(SECRET, SECRET), "<Condition amount BETWEEN ? AND ?>"),
        (P.note.begins_with(SECRET), "<Condition begins_with(note, ?)>"),
        (P.note.exists(), "<Condition attribute_exists(note)>"),
        (P.note == None, "<Condition note is null>"),  # noqa: E711
        (P.tags.size() > 3, "<Condition size(tags) > ?>"),
        (P.tags.size().between(3, 4), "<Condition size(tags) BETWEEN ? AND ?>"),
        (((P.id == SECRET) | (P.fee == 1)) & ~(P.note == SECRET), "<Condition (id = ? OR fee = ?) AND NOT (note = ?)>"),
        (P.note.set(SECRET), "<Update note.set(?)>"),
        (P.amount.set(P.fee), "<Update amount.set(fee)>"),
        (P.note.remove(), "<Update note.remove()>"),
        (Wire({"S": SECRET}), "<Wire ?>"),
        (P.address[Address.city], "<Path address.city>"),
        (P.tags.size(), "<Size of tags>"),
    ],
)
def test_repr_names_attributes_and_never_values(one, shown):
    assert repr(one) == shown
    rich = getattr(one, "__rich_repr__", None)
    assert rich is None or SECRET not in str(list(rich()))


def test_placeholders_do_not_show_values():
    places = Placeholders()
    condition_text(P.note == SECRET, places, encode)
    assert repr(places) == "<Placeholders: 1 names, 1 values>"


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: P.amount.in_(SECRET),
        lambda: P.amount.add(SECRET),
        lambda: P.amount.delete(SECRET),
        lambda: P.amount.begins_with(int(SECRET)),
        lambda: P.amount.attribute_type(SECRET),
        lambda: P.amount.size() > SECRET,
        lambda: P.amount[float(SECRET)],
        lambda: (P.amount > 1) & SECRET,
        lambda: update(SECRET),
    ],
)
def test_errors_never_show_values(wrong):
    with pytest.raises(ValidationError) as caught:
        wrong()
    assert SECRET[:6] not in str(caught.value)


# What is refused


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: bool(P.amount > 5),
        lambda: (P.amount > 5) and (P.fee > 5),
        lambda: not (P.amount > 5),
        lambda: 1 < P.amount < 5,
        lambda: P.amount in [P.fee, P.note],
    ],
)
def test_a_condition_is_no_bool_and_the_error_says_what_to_write(wrong):
    with pytest.raises(TypeError, match=r"& \| ~"):
        wrong()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda: bool(P.amount), "exists"),
        (lambda: bool(P.tags.size()), "size"),
        (lambda: list(P.tags), "not iterable"),
        (lambda: "x" in P.tags, "contains"),
    ],
)
def test_paths_are_neither_true_nor_iterable(wrong, said):
    with pytest.raises(TypeError, match=said):
        wrong()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda: P.amount < None, "None"),
        (lambda: P.amount.between(None, 5), "None"),
        (lambda: P.note.if_not_exists(None), "None"),
        (lambda: P.amount.in_([]), "1 to 100"),
        (lambda: P.amount.in_(range(101)), "101"),
        (lambda: P.amount.in_(5), "list"),
        (lambda: P.lines[-1], "0 or more"),
        (lambda: P.lines[1:2], "slice"),
        (lambda: P.lines[True], "bool"),
        (lambda: P.doc[""], "empty"),
        (lambda: P.settings["theme"], "JSON"),
        (lambda: P.flags.add(set()), "empty"),
        (lambda: P.flags.delete(frozenset()), "empty"),
        (lambda: P.flags.delete(["x"]), "list"),
        (lambda: P.amount.add(True), "bool"),
        (lambda: P.tags.extend("xy"), "needs a list of elements"),
        (lambda: P.tags.extend(5), "needs a list of elements"),
        (lambda: P.tags.extend(P.tags), "needs a list of elements"),
        (lambda: P.tags.extend_or_create({"a": 1}), "extend_or_create.. needs a list of elements"),
        (lambda: update(P.tags.extend(["x", ""])), "left out"),
        (lambda: update(P.tags.extend([P.id])), "attribute"),
        (lambda: P.amount.add(["x"]), "list"),
        (lambda: P.tags.size() == True, "bool"),  # noqa: E712
        (lambda: condition(P.amount == Path(field("amount"))), "itself"),
        (lambda: condition(P.amount.between(1, P.amount)), "itself"),
        (lambda: condition(P.amount > ""), "left out"),
        (lambda: condition(P.amount.in_([""])), "left out"),
        (lambda: update(P.tags.append("")), "left out"),
        (lambda: update(P.tags[0].set("")), "move the others"),
        (lambda: update(P.tags.append(P.id)), "attribute"),
        (lambda: update(P.amount.set(P.fee > 5)), "not a value"),
        (lambda: update(P.amount.set(P.fee.add(5))), "update is not a value"),
    ],
)
def test_what_makes_no_sense_is_refused_and_the_field_named(wrong, said):
    with pytest.raises(ValidationError, match=said) as caught:
        wrong()
    assert caught.value.field is not None
    assert str(caught.value).startswith(caught.value.field)


@pytest.mark.parametrize("other", [True, False, None, 5, P.amount, P.amount.add(5)])
def test_conditions_join_only_with_conditions(other):
    for join in (lambda: (P.amount > 5) & other, lambda: (P.amount > 5) | other):
        with pytest.raises(ValidationError, match="expected a condition"):
            join()


@pytest.mark.parametrize("other", [True, None, 5])
def test_conditions_join_only_with_conditions_from_the_left_too(other):
    for join in (lambda: other & (P.amount > 5), lambda: other | (P.amount > 5)):
        with pytest.raises(ValidationError, match="expected a condition"):
            join()


def test_a_comparison_of_an_instance_attribute_is_explained():
    amount = 6
    for wrong in (
        lambda: (P.fee > 5) & (amount > 5),
        lambda: condition(amount > 5),
        lambda: terms(amount > 5),
    ):
        with pytest.raises(ValidationError, match="compared an attribute of an instance"):
            wrong()


@pytest.mark.parametrize(
    ("wrong", "said"), [(P.amount > 5, "condition="), (P.amount, "say what to do"), (5, "int"), (None, "NoneType")]
)
def test_only_updates_are_updates(wrong, said):
    for check in (lambda: update(P.fee.add(1), wrong), lambda: check_updates(SCHEMA, [wrong])):
        with pytest.raises(ValidationError, match=said):
            check()


def test_an_empty_update_is_refused():
    with pytest.raises(ValidationError, match="no update"):
        update()


@pytest.mark.parametrize(
    "updates",
    [
        (P.amount.set(1), P.amount.add(2)),
        (P.address.remove(), P.address[Address.city].set("x")),
        (P.address[Address.city].set("x"), P.address.remove()),
        (P.doc["a"]["b"].set(1), P.fee.set(1), P.doc["a"].set(2)),
        (P.doc["c"].set(1), P.address.set(1), P.doc["c"].set(1)),
        (P.amount.set(1), Path(field("total", "amount")).set(2)),
    ],
)
def test_two_updates_of_one_place_are_refused(updates):
    with pytest.raises(ValidationError, match=r"named twice|lies inside"):
        update(*updates)


def test_updates_of_neighbouring_places_are_fine():
    text, _, _ = update(
        P.lines[0].set(1), P.lines[1].set(1), P.doc["a"].set(1), P.doc["ab"].set(1), P.doc["b"]["a"].set(1)
    )
    assert text == "SET #n0[0] = :v0, #n0[1] = :v1, #n1.#n2 = :v2, #n1.#n3 = :v3, #n1.#n4.#n2 = :v4"


@pytest.mark.parametrize(
    ("one", "said"),
    [
        (P.id.set("x"), "key"),
        (P.at.set("x"), "key"),
        (P.version.add(1), "version"),
        (P.created.set(1), "created"),
        (P.updated.set(1), "every write"),
        (P.currency.set("EUR"), "immutable"),
        (P.address[Address.country].set("LV"), "immutable"),
        (system_path("_wt").remove(), "kept by the library"),
        (Path(field("amount", owner="Refund")).set(1), "Refund"),
        (Path(field("amount", "other")).set(1), "Payment"),
        (P.amount.set(Path(field("reason", owner="Refund"))), "Refund"),
    ],
)
def test_a_caller_may_not_update(one, said):
    with pytest.raises(ValidationError, match=said) as caught:
        check_updates(SCHEMA, [P.fee.add(1), one])
    assert caught.value.field is not None


def test_a_caller_may_update_plain_fields_and_the_ttl():
    check_updates(SCHEMA, [P.amount.add(5), P.expires.set(5), P.address[Address.city].set("x"), P.fee.set(P.amount)])
    check_updates(SCHEMA, [Path(field("amount")).set(5)])  # the same field, described anew


def test_conditions_on_another_model_are_found():
    check_paths(SCHEMA, (P.amount > 5) & ~P.id.exists())
    with pytest.raises(ValidationError, match="Refund"):
        check_paths(SCHEMA, (P.amount > 5) & ~(Path(field("reason", owner="Refund")) == 1))


def joined(condition, count):
    for _ in range(count - 1):
        condition &= P.fee == 1
    return condition


def test_limits_are_those_of_dynamodb():
    assert condition(joined(P.amount > 5, 150))[0].count("AND") == 149  # 299 operators
    with pytest.raises(ExpressionTooLarge, match="301 operators") as caught:
        condition(joined(P.amount > 5, 151))
    assert caught.value.field == "fee"
    many = [P.doc[f"k{at}"].add(1) for at in range(151)]
    with pytest.raises(ExpressionTooLarge):
        update(*many)
    with pytest.raises(ExpressionTooLarge, match=r"4\d\d\d bytes of text, the limit is 4096"):
        update(*[Path(field(f"f{at}")).set(1) for at in range(320)])
    with pytest.raises(ExpressionTooLarge, match="4096"):
        projection_text([Path(field(f"f{at}")) for at in range(800)], Placeholders())


def test_300_terms_are_refused_by_count_and_thousands_do_not_exhaust_the_stack():
    for count in (300, 5000):
        with pytest.raises(ExpressionTooLarge):
            condition(joined(P.amount > 5, count))


def test_a_tree_that_is_too_deep_is_refused():
    tree = P.amount > 5
    for _ in range(5000):
        tree = ~(tree & (P.fee > 1))
    with pytest.raises(ExpressionTooLarge):
        condition(tree)


def test_trees_are_immutable_and_may_be_shared():
    tree = P.amount > 5
    with pytest.raises(AttributeError):
        tree.op = "="
    with pytest.raises(AttributeError):
        P.amount.add(5).value = 6
    both = tree & (P.fee == 1)
    assert condition(tree)[0] == "#n0 > :v0"
    assert condition(both | tree)[0] == "(#n0 > :v0 AND #n1 = :v1) OR #n0 > :v2"
    assert isinstance(copy.deepcopy(both), Condition)


def test_trees_can_be_pickled():
    again = pickle.loads(pickle.dumps(~((system_path("a") > 5) & (system_path("b") == "x"))))
    assert condition(again)[0] == "NOT (#n0 > :v0 AND #n1 = :v1)"
