"""The text of a composite key: injective, in the order of its parts, and readable back, whatever the parts are."""

import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dynamorm import Attr, Model, ValidationError, composite, partition_key, sort_key
from dynamorm.codec.registry import Registry
from dynamorm.errors import ModelError
from dynamorm.models.expressions.tree import Comparison
from dynamorm.models.schema.composite import escape
from dynamorm.ops.reads.key_conditions import rewrite
from dynamorm.ops.requests import ModelRequests

PIECES = (
    "", "#", "%", "$", "%2", "%23", "&", "!", " ", "\0", "\x01", "\x1f", "\x7f", "\n", "a", "b", "ab", "A", "0", "é", "~",
    "\u0600", "\u2028", "\ud7ff", "\ue000", "\uffff", "\U00010000", "\U0010ffff", "{", "}",
)  # fmt: skip
TEXT = st.text(st.one_of(st.sampled_from("#%$&!~\0\x1f az"), st.characters(exclude_categories=["Cs"])), max_size=6)


@pytest.mark.parametrize("tuples", [30_000, pytest.param(1_000_000, marks=pytest.mark.soak)])
def test_random_keys_are_distinct_sorted_as_their_parts_and_readable_back(tuples):
    # Texts made of few pieces are prefixes of one another and collide as often as can be.
    source = random.Random(20240101)
    texts = ["".join(source.choices(PIECES, k=source.choice((0, 1, 1, 2, 2, 3, 4)))) for _ in range(30_000)]
    parts = source.choices(texts, k=3 * tuples)
    rows = list(zip(parts[::3], parts[1::3], parts[2::3], strict=True))
    made = composite("a", "b", "c")
    keys = [made.join(row) for row in rows]
    assert all(tuple(made.split(key).values()) == row for key, row in zip(keys, rows, strict=True))
    assert len(set(keys)) == len(set(rows))
    # Python compares texts by code points, which is the order of their UTF-8 bytes.
    order = sorted(range(tuples), key=keys.__getitem__)
    in_order = [rows[number] for number in order]
    assert all(one <= other for one, other in pairwise(in_order))


def utf8(parts):
    return [part.encode() for part in parts]


@given(st.lists(TEXT, min_size=2, max_size=2), st.lists(TEXT, min_size=2, max_size=2))
def test_keys_compare_as_their_parts_do_in_bytes(one, other):
    made = composite("a", "b")
    first, second = made.join(one).encode(), made.join(other).encode()
    assert (first < second) == (utf8(one) < utf8(other))
    assert (first == second) == (one == other)
    assert list(made.split(first.decode()).values()) == one


@given(TEXT, TEXT, st.integers(0, 9999), st.integers(0, 9999), TEXT, TEXT)
def test_a_template_keeps_the_order_of_its_parts(a1, a2, n1, n2, b1, b2):
    made = composite("X-{a}#Y{n:04d}-{b}#end")
    first, second = made.join([a1, str(n1), b1]), made.join([a2, str(n2), b2])
    assert (first.encode() < second.encode()) == ((a1.encode(), n1, b1.encode()) < (a2.encode(), n2, b2.encode()))
    assert made.split(first) == {"a": a1, "n": str(n1), "b": b1}


@given(TEXT, TEXT, TEXT)
def test_the_keys_with_one_first_part_are_those_with_its_prefix(a, other, b):
    made = composite("a", "b")
    assert made.join([other, b]).startswith(made.prefix([a])) == (a == other)
    prefix = made.prefix([a])
    within = prefix.encode() <= made.join([other, b]).encode() < (prefix[:-1] + "$").encode()
    assert within == (a == other)


@given(TEXT)
def test_an_escaped_text_holds_nothing_below_the_percent_sign(text):
    assert all(character >= "%" for character in escape(text))
    assert composite("a").split(escape(text)) == {"a": text}


@given(st.text(st.sampled_from("%012345ABCFf#a"), max_size=8))
def test_what_was_never_written_is_not_read(text):
    try:
        found = composite("a").split(text)["a"]
    except ValidationError:
        return
    assert escape(found) == text


@pytest.mark.parametrize("text", ["\ud800", "a\udfff"])
def test_lone_surrogates_are_refused(text):
    with pytest.raises(ValidationError):
        escape(text)
    with pytest.raises(ValidationError):
        composite("a", "b").join(["x", text])


@pytest.mark.parametrize("text", ["", "one", "a#b#c", "a#%41", "a#$", "a#%2", "a#%23%", "a#%2a"])
def test_a_text_of_another_form_is_not_split(text):
    with pytest.raises(ValidationError):
        composite("a", "b").split(text)


@given(TEXT, st.lists(TEXT, min_size=1, max_size=30, unique=True))
def test_a_shard_depends_on_the_item_alone_and_is_one_of_those_asked(day, ids):
    made = composite("day", shards=7, by="id")
    every = made.spread({"day": day})
    assert len(set(every)) == 7
    for one in ids:
        key = made.join({"day": day, "id": one})
        assert key in every
        assert key == made.join([day, one])
        assert made.split(key) == {"day": day}


def test_the_shard_of_an_item_never_changes():
    made = composite("day", shards=10, by="id")
    assert [made.join(["d", str(number)]) for number in range(4)] == ["d#9", "d#3", "d#7", "d#1"]


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (composite, "needs the names"),
        (lambda: composite(""), "empty"),
        (lambda: composite("a", "b c"), "no name of a field"),
        (lambda: composite("a", "a"), "twice"),
        (lambda: composite("{a}#{a}"), "twice"),
        (lambda: composite("{a}{b}"), "must end or go on with #"),
        (lambda: composite("{a}-{b}"), "must end or go on with #"),
        (lambda: composite("{a}:04d"), "must end or go on with #"),
        (lambda: composite("{n:d}"), "zero-padded"),
        (lambda: composite("{n:5d}"), "zero-padded"),
        (lambda: composite("{n:099d}"), "zero-padded"),
        (lambda: composite("{}#x"), "name of a field"),
        (lambda: composite("x{{a}}#"), "neither { nor }"),
        (lambda: composite("\ud800#{a}"), "Unicode"),
        (lambda: composite(b"a"), "bytes"),
        (lambda: composite("a", shards=1, by="b"), "shards"),
        (lambda: composite("a", shards=True, by="b"), "shards"),
        (lambda: composite("a", shards=10), "by="),
        (lambda: composite("a", shards=10, by="a"), "already"),
        (lambda: composite("a", by="b"), "shards"),
    ],
)
def test_a_form_that_could_not_be_read_back_is_refused(make, word):
    with pytest.raises(ModelError, match=word.replace("{", r"\{").replace("}", r"\}")):
        make()


# ------------------------------------------------------------------------------------------------ conditions on parts


class Row(Model, table="rows"):
    pk: Attr[str] = partition_key(composite("home"))
    sk: Attr[str] = sort_key(composite("R-{a}#{n:02d}-{m:02d}#{b}"))
    home: Attr[str]
    a: Attr[str]
    n: Attr[int]
    m: Attr[int]
    b: Attr[str]


class Open(Model, table="open"):
    pk: Attr[str] = partition_key(composite("home"))
    sk: Attr[str] = sort_key(composite("{a}#{b}#{n:02d}"))
    home: Attr[str]
    a: Attr[str]
    n: Attr[int]
    b: Attr[str]


SHORT = st.text(st.sampled_from("#%$ab"), max_size=2)
SMALL = st.one_of(st.integers(0, 3), st.integers(97, 99))
BEYOND = st.one_of(SMALL, st.sampled_from([-1, 100, 12345]))
ORDERS = {
    "=": lambda value, given: value == given[0],
    "<": lambda value, given: value < given[0],
    "<=": lambda value, given: value <= given[0],
    ">": lambda value, given: value > given[0],
    ">=": lambda value, given: value >= given[0],
    "BETWEEN": lambda value, given: given[0] <= value <= given[1],
    "begins_with": lambda value, given: value.startswith(given[0]),
}


@st.composite
def conditions(draw, obj, names):
    """Some terms on the parts, many of them about the object's own values: equal ones from the left, then anything."""
    found = []
    for name in names[: draw(st.integers(0, len(names)))]:
        found.append(Comparison("=", (getattr(obj, name),), getattr(type(obj), name)))
    for name in draw(st.lists(st.sampled_from(names), min_size=1, max_size=3)):
        op = draw(st.sampled_from([one for one in ORDERS if not (name in {"n", "m"} and one == "begins_with")]))
        value = SHORT if name not in {"n", "m"} else SMALL if op == "=" else BEYOND
        value = st.one_of(st.just(getattr(obj, name)), value)
        given = tuple(draw(value) for _ in range(2 if op == "BETWEEN" else 1))
        found.append(Comparison(op, given, getattr(type(obj), name)))
    return draw(st.permutations(found))


def true_of(term, obj):
    """Whether a term on a part is true of an object."""
    return ORDERS[term.op](getattr(obj, term.path.name), term.operands)


def is_selected(plan, given, obj):
    """Whether the object is found by what the terms are rewritten to, and the terms that are left."""
    rewritten = rewrite(plan, plan.codec.schema.key, given)
    covered = set().union(*(numbers for _, numbers in rewritten)) if rewritten else set()
    for term, _ in rewritten:
        texts = [one.value["S"].encode() for one in term.operands]
        assert term.op != "BETWEEN" or texts[0] <= texts[1], "DynamoDB refuses such a range"
        assert all(texts), "DynamoDB refuses an empty key"
        if not ORDERS[term.op](getattr(obj, term.path.name).encode(), texts):
            return False
    return all(true_of(term, obj) for number, term in enumerate(given) if number not in covered)


@settings(max_examples=250, deadline=None)
@given(st.data(), st.sampled_from([(Row, ("a", "n", "m", "b")), (Open, ("a", "b", "n"))]))
def test_terms_on_parts_select_just_what_they_say(data, kind):
    model, names = kind
    values = {"n": SMALL, "m": SMALL}
    objects = [model(home="h", **{name: data.draw(values.get(name, SHORT)) for name in names}) for _ in range(3)]
    given = data.draw(conditions(objects[0], names))
    for obj in objects:
        assert is_selected(PLANS[model], given, obj) == all(true_of(term, obj) for term in given)


PLANS = {model: ModelRequests(Registry().codec(model)) for model in (Row, Open)}


@pytest.mark.parametrize("op", [one for one in ORDERS if one not in {"BETWEEN", "begins_with"}])
@pytest.mark.parametrize("last", ["x", "x#", "x%", "xa", ""])
def test_a_range_of_the_last_part_is_exact_at_its_edge(op, last):
    given = [Row.a == "a", Row.n == 1, Row.m == 2, Comparison(op, ("x",), Row.b)]
    obj = Row(home="h", a="a", n=1, m=2, b=last)
    assert is_selected(PLANS[Row], given, obj) == true_of(given[-1], obj)
