"""Random conditions, read back from their text by an independent parser, mean what the tree means."""

import re

from hypothesis import given
from hypothesis import strategies as st

from dynamorm.models.expressions.compile import Placeholders, condition_text, update_text
from dynamorm.models.expressions.path import Comparison, Condition, Path, Update
from dynamorm.models.expressions.raw import raw
from dynamorm.models.schema.schema import Field

# Names that would wreck a text in which they stood bare.
NAMES = ["a", "A", "AND", "size", "#n0", ":v0", "x y", "b) OR (c"]
FIELDS = [Path(Field(name=name, stored=name, annotation=int, owner="M")) for name in NAMES]
NULL = object()  # stored as NULL


def encode(path, value, what):
    return {"v": value}


# What a tree means


def holds(tree, item):
    op = tree.op
    if not isinstance(tree, Comparison):
        found = [holds(one, item) for one in tree.operands]
        return {"AND": all(found), "OR": any(found), "NOT": not found[0]}[op]
    values = [item.get(one.field.stored) if isinstance(one, Path) else one for one in tree.operands]
    return apply(op, item, tree.path.field.stored, values)


def apply(op, item, stored, values):
    there = stored in item
    mine = item.get(stored)
    if op == "null":
        return not there or mine is NULL
    if op == "not null":
        return there and mine is not NULL
    if op == "attribute_exists":
        return there
    if op == "attribute_not_exists":
        return not there
    if op == "attribute_type":
        return mine is NULL
    if op == "<>":
        return not there or mine != values[0]
    if op == "=":
        return there and mine == values[0]
    if op == "IN":
        return there and mine in values
    if not there or mine is NULL or any(one is None or one is NULL for one in values):
        return False
    if op == "BETWEEN":
        return values[0] <= mine <= values[1]
    return {"<": mine < values[0], "<=": mine <= values[0], ">": mine > values[0], ">=": mine >= values[0]}[op]


# What a text means: DynamoDB's grammar, with its precedence NOT, AND, OR

TOKEN = re.compile(r"\s*(#n\d+|:v\d+|<>|<=|>=|[=<>(),]|[A-Za-z_]+)")


class Parser:
    def __init__(self, text, places, item):
        self.tokens = TOKEN.findall(text)
        assert "".join(self.tokens) == text.replace(" ", "")
        self.places, self.item = places, item
        self.redundant = self.only_parenthesis = False

    def take(self, *wanted):
        token = self.tokens.pop(0)
        assert not wanted or token in wanted, (token, wanted)
        return token

    def next(self):
        return self.tokens[0] if self.tokens else ""

    def whole(self):
        found = self.either()
        assert not self.tokens
        return found

    def either(self):
        found = [self.both()]
        while self.next() == "OR":
            self.take()
            found.append(self.both())
        self.only_parenthesis &= len(found) == 1
        return any(found)

    def both(self):
        found = [self.negated()]
        while self.next() == "AND":
            self.take()
            found.append(self.negated())
        self.only_parenthesis &= len(found) == 1
        return all(found)

    def negated(self):
        if self.next() == "NOT":
            self.take()
            found = not self.negated()
            self.only_parenthesis = False
            return found
        if self.next() == "(":
            self.take()
            found = self.either()
            self.redundant |= self.only_parenthesis
            self.take(")")
            self.only_parenthesis = True
            return found
        self.only_parenthesis = False
        return self.leaf()

    def value(self):
        token = self.take()
        return self.places.values[token]["v"] if token[0] == ":" else self.item.get(self.places.names[token])

    def leaf(self):
        token = self.take()
        if token[0] != "#":
            self.take("(")
            stored = self.places.names[self.take()]
            values = []
            if self.next() == ",":
                self.take()
                values.append(self.value())
            self.take(")")
            assert token != "attribute_type" or values == ["NULL"]
            return apply(token, self.item, stored, values)
        stored, op = self.places.names[token], self.take()
        if op == "BETWEEN":
            low = self.value()
            self.take("AND")
            return apply(op, self.item, stored, [low, self.value()])
        if op == "IN":
            self.take("(")
            values = [self.value()]
            while self.take(",", ")") == ",":
                values.append(self.value())
            return apply(op, self.item, stored, values)
        return apply(op, self.item, stored, [self.value()])


# An attribute is never compared with itself (DynamoDB refuses it): the operands are the other half.
fields = st.sampled_from(FIELDS[:5])
others = st.sampled_from(FIELDS[5:])
numbers = st.integers(0, 3)
operands = st.one_of(numbers, others)
leaves = st.one_of(
    st.builds(lambda f, v: f == v, fields, st.one_of(operands, st.none())),
    st.builds(lambda f, v: f != v, fields, st.one_of(operands, st.none())),
    st.builds(lambda f, v: f < v, fields, operands),
    st.builds(lambda f, v: f <= v, fields, operands),
    st.builds(lambda f, v: f > v, fields, operands),
    st.builds(lambda f, v: f >= v, fields, operands),
    st.builds(lambda f, low, high: f.between(low, high), fields, operands, operands),
    st.builds(lambda f, v: f.in_(v), fields, st.lists(st.one_of(numbers, st.none()), min_size=1, max_size=4)),
    st.builds(lambda f: f.exists(), fields),
    st.builds(lambda f: f.not_exists(), fields),
)
trees = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds(lambda left, right: left & right, inner, inner),
        st.builds(lambda left, right: left | right, inner, inner),
        st.builds(lambda one: ~one, inner),
    ),
    max_leaves=25,
)
items = st.dictionaries(st.sampled_from(NAMES), st.one_of(numbers, st.just(NULL)), max_size=6)


@given(trees, st.lists(items, min_size=1, max_size=5))
def test_the_text_means_what_the_tree_means(tree, stored):
    for item in stored:
        places = Placeholders()
        text = condition_text(tree, places, encode)
        parser = Parser(text, places, item)
        assert parser.whole() is holds(tree, item), text
        assert not parser.redundant, text  # DynamoDB refuses ((...))


@given(trees, trees, items)
def test_two_texts_of_one_request_keep_their_own_values(first, second, item):
    places = Placeholders()
    texts = [condition_text(tree, places, encode) for tree in (first, second)]
    for tree, text in zip((first, second), texts, strict=True):
        assert Parser(text, places, item).whole() is holds(tree, item)
    joined = f"({texts[0]}) AND ({texts[1]})"
    parser = Parser(joined, places, item)
    assert parser.whole() is holds(first & second, item)
    assert not parser.redundant, joined  # a text may be put into parentheses as it is


@given(trees)
def test_every_placeholder_is_used_and_every_used_one_is_defined(tree):
    places = Placeholders()
    text = condition_text(tree, places, encode)
    assert set(re.findall(r"#n\d+", text)) == set(places.names)
    assert set(re.findall(r":v\d+", text)) == set(places.values)
    assert len(set(places.names.values())) == len(places.names)


@given(trees)
def test_groups_are_flat_and_nothing_is_negated_twice(tree):
    waiting = [tree]
    while waiting:
        one = waiting.pop()
        if not isinstance(one, Comparison):
            assert isinstance(one, Condition)
            assert all(inner.op != one.op for inner in one.operands)
            waiting += one.operands


@given(trees, trees, trees)
def test_grouping_by_the_caller_does_not_change_the_text(first, second, third):
    def text(tree):
        return condition_text(tree, Placeholders(), encode)

    assert text((first & second) & third) == text(first & (second & third))
    assert text((first | second) | third) == text(first | (second | third))


changes = st.one_of(
    st.builds(lambda f, v: f.set(v), fields, st.one_of(operands, st.none())),
    st.builds(lambda f, v: f.add(v), fields, numbers),
    st.builds(lambda f, v: f.add({v}), fields, numbers),
    st.builds(lambda f, v: f.delete({v}), fields, numbers),
    st.builds(lambda f, v: f.append_or_create(v), fields, numbers),
    st.builds(lambda f, v: f.if_not_exists(v), fields, operands),
    st.builds(lambda f: f.remove(), fields),
)


@given(st.lists(changes, min_size=1, max_size=len(NAMES), unique_by=lambda one: one.path.field.stored))
def test_every_update_is_in_the_text_once_and_in_order(updates):
    places = Placeholders()
    text = update_text(updates, places, encode)
    assert text == update_text(updates, Placeholders(), encode)
    targets = []
    for clause in re.split(r" ?\b(?=SET |REMOVE |ADD |DELETE )", text):
        if clause:
            keyword, actions = clause.split(" ", 1)
            for action in re.split(r", (?![^()]*\))", actions):
                targets.append((keyword, places.names[action.split(" ")[0]]))
    order = {"SET": 0, "REMOVE": 1, "ADD": 2, "DELETE": 3}
    assert sorted(targets, key=lambda one: order[one[0]]) == targets
    wanted = [(clause_of(one), one.path.field.stored) for one in updates]
    assert targets == sorted(wanted, key=lambda one: order[one[0]])
    assert set(re.findall(r":v\d+", text)) == set(places.values)
    assert set(re.findall(r"#n\d+", text)) == set(places.names)


def clause_of(update):
    assert isinstance(update, Update)
    return {"remove": "REMOVE", "add": "ADD", "add_to_set": "ADD", "delete_from_set": "DELETE"}.get(update.kind, "SET")


# What `raw` reads of a text is what the text was made of


def read_back(text, places):
    names = {placeholder: FIELDS[NAMES.index(stored)] for placeholder, stored in places.names.items()}
    return raw(text, names=names, values={placeholder: plain(wire) for placeholder, wire in places.values.items()})


def plain(wire):
    ((tag, value),) = wire.items()
    return [plain(one) for one in value] if tag == "L" else value


@given(trees, items)
def test_a_condition_that_is_read_from_its_text_means_the_same(tree, item):
    places = Placeholders()
    text = condition_text(tree, places, encode)
    found = read_back(text, places)
    assert holds(found, item) == holds(tree, item)
    condition_text(found, Placeholders(), encode)


@given(st.lists(changes, min_size=1, max_size=len(NAMES), unique_by=lambda one: one.path.field.stored))
def test_an_update_that_is_read_from_its_text_is_written_again_as_it_was(updates):
    places, again = Placeholders(), Placeholders()
    updates = sorted(updates, key=lambda one: ("SET", "REMOVE", "ADD", "DELETE").index(clause_of(one)))
    text = update_text(updates, places, encode)
    found = read_back(text, places)
    assert update_text((found, *found.also), again, encode) == text
    assert (again.names, again.values) == (places.names, places.values)
