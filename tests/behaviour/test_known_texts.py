"""`ReadRule.known_by`: items that are known by their texts need no call of ``check``, and no other item is ever taken for one."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynamorm import Attr, Model, attr, composite, partition_key, sort_key
from dynamorm.errors import ConfigError, DynamORMError, MalformedResponse, TransactionCancelled
from dynamorm.plugin import KnownText, ReadRule
from dynamorm.testing import FakeClock, reply
from tests.plugins.scripts import Scripted


class Memo(Model, table="memos"):
    of: Attr[str] = partition_key()
    number: Attr[int] = sort_key()
    owner: Attr[str | None] = attr(default=None)
    place: Attr[str] = attr(default="here", name="p")
    made_of: Attr[str] = attr(composite("owner", "place"), init=False)


class Animal(Model, table="known-animals", discriminator="kind"):
    of: Attr[str] = partition_key()
    number: Attr[int] = sort_key()
    owner: Attr[str | None] = attr(default=None)


class Cat(Animal, tag="cat"):
    pass


def whose(item):
    return (item.get("owner") or {}).get("S")


class Mine(ReadRule):
    """Gives what is mine, or of a part of me."""

    attributes = ("owner",)
    known = (KnownText("owner", "me", "me/"),)

    def __init__(self):
        self.asked = 0

    def check(self, item, scope):
        self.asked += 1
        owner = whose(item)
        return owner is not None and (owner == "me" or owner.startswith("me/"))

    def known_by(self, scope):
        return self.known


class Here(Mine):
    """Gives what is mine and here, or in no place."""

    attributes = ("owner", "p")
    known = (KnownText("owner", "me"), KnownText("p", "here", may_be_missing=True))

    def check(self, item, scope):
        self.asked += 1
        return whose(item) == "me" and (item.get("p") or {"S": "here"}).get("S") == "here"


class Unmarked(Mine):
    """Gives what has no mark in its owner."""

    known = (KnownText("owner", without="e/"),)

    def check(self, item, scope):
        self.asked += 1
        return "e/" not in (whose(item) or "")


class Every(Mine):
    """Gives everything, and knows it."""

    known = ()

    def check(self, item, scope):
        self.asked += 1
        return True


class Plugin:
    name = "mine"

    def __init__(self, rule):
        self.rule = rule

    def read_rule(self, schema):
        return self.rule


def item(number, owner="me", **more):
    wires = {"of": {"S": "k"}, "number": {"N": str(number)}}
    if owner is not None:
        wires["owner"] = {"S": owner} if isinstance(owner, str) else owner
    return wires | more


def opened(kind, rule, answer):
    return Scripted(kind, Plugin(rule), answer=answer, clock=FakeClock())


def page_of(items):
    return {"Items": items, "Count": len(items), "ScannedCount": len(items)}


def numbers(found):
    return [one.number for one in found if one is not None]


READS = {
    "get": (lambda db: [db.get(Memo, "k", 0)], lambda one: {"Item": one}),
    "query": (lambda db: db.model(Memo).where(Memo.of == "k").all(), lambda one: page_of([one])),
    "batch_get": (
        lambda db: db.batch_get(Memo, [("k", 0)]),
        lambda one: {"Responses": {"memos": [one]}, "UnprocessedKeys": {}},
    ),
    "transact_get": (lambda db: db.transact_get([(Memo, "k", 0)]), lambda one: {"Responses": [{"Item": one}]}),
}


@pytest.mark.parametrize("read", READS)
def test_what_is_known_is_given_and_nobody_is_asked(face_kind, read):
    verb, answer = READS[read]
    for owner in ("me", "me/x"):
        rule = Mine()
        db = opened(face_kind, rule, lambda _, owner=owner: reply(answer(item(0, owner)))).db
        assert numbers(verb(db)) == [0]
        assert rule.asked == 0


@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize(
    "owner",
    ["other", "m", "mex", "ME", "", "me\u0000", None, {"N": "5"}, {"NULL": True}, {"B": "bWU="}, {"SS": ["me"]}],
)
def test_of_what_is_not_known_the_rule_is_asked(face_kind, read, owner):
    verb, answer = READS[read]
    rule = Mine()
    db = opened(face_kind, rule, lambda _: reply(answer(item(0, owner)))).db
    assert numbers(verb(db)) == []
    assert rule.asked > 0


@pytest.mark.parametrize("read", READS)
def test_an_answer_in_another_style_is_asked_of_the_rule(face_kind, read):
    """With spaces, as no DynamoDB writes it: it is read with care, and the rule is asked."""
    verb, answer = READS[read]
    for owner, left in (("me", [0]), ("other", [])):
        rule = Mine()
        text = json.dumps(answer(item(0, owner)), indent=1).encode()
        db = opened(face_kind, rule, lambda _, text=text: reply(text)).db
        assert numbers(verb(db)) == left


@pytest.mark.parametrize("read", READS)
def test_an_owner_that_comes_twice_is_believed_neither_time(face_kind, read):
    verb, answer = READS[read]
    text = json.dumps(answer(item(0, "other")), separators=(",", ":"))
    twice = text.replace('"owner":{"S":"other"}', '"owner":{"S":"other"},"owner":{"S":"me"}').encode()
    db = opened(face_kind, Mine(), lambda _: reply(twice)).db
    with pytest.raises(MalformedResponse):
        verb(db)


def test_a_page_of_which_one_item_is_not_known_is_looked_at_item_by_item(face_kind):
    rule, items = Mine(), [item(number) for number in range(5)]
    db = opened(face_kind, rule, lambda _: reply(page_of(items))).db

    def read():
        rule.asked = 0
        return numbers(db.model(Memo).where(Memo.of == "k").all()), rule.asked

    assert read() == ([0, 1, 2, 3, 4], 0)
    items[3]["owner"] = {"S": "other"}
    assert read() == ([0, 1, 2, 4], 5)
    items[3]["owner"] = {"S": "me/too"}
    assert read() == ([0, 1, 2, 3, 4], 0)


def test_a_text_that_may_be_missing(face_kind):
    rule, found = Here(), {}
    db = opened(face_kind, rule, lambda _: reply({"Item": found["item"]})).db
    for more, left, asked in (
        ({}, [0], 0),
        ({"p": {"S": "here"}}, [0], 0),
        ({"p": {"S": "there"}}, [], 1),
        ({"p": {"S": ""}}, [], 1),
    ):
        rule.asked, found["item"] = 0, item(0, **more)
        assert (numbers([db.get(Memo, "k", 0)]), rule.asked) == (left, asked)


def test_a_text_without_a_mark_is_known(face_kind):
    rule = Unmarked()
    items = [item(0), item(1, "other"), item(2, "me/x"), item(3, "me")]
    db = opened(face_kind, rule, lambda _: reply(page_of(items))).db
    assert numbers(db.model(Memo).where(Memo.of == "k").all()) == [0, 1, 3]
    del items[2]
    rule.asked = 0
    assert numbers(db.model(Memo).where(Memo.of == "k").all()) == [0, 1, 3]
    assert rule.asked == 0


def test_without_any_text_all_is_known(face_kind):
    rule = Every()
    db = opened(face_kind, rule, lambda _: reply(page_of([item(0, "x"), item(1, None)]))).db
    assert numbers(db.model(Memo).where(Memo.of == "k").all()) == [0, 1]
    assert rule.asked == 0


@pytest.mark.parametrize(
    "known",
    [
        (KnownText("number", "5"),),  # no text
        (KnownText("owner", "me"), KnownText("nowhere", "x")),  # an attribute of another program
        None,
    ],
)
def test_where_texts_cannot_tell_the_rule_is_asked(face_kind, known):
    rule = Mine()
    rule.known = known
    db = opened(face_kind, rule, lambda _: reply(page_of([item(0), item(1, "other")]))).db
    assert numbers(db.model(Memo).where(Memo.of == "k").all()) == [0]
    assert rule.asked == 2


def test_a_computed_attribute_tells_too(face_kind):
    rule = Mine()
    rule.known = (KnownText("made_of", "x", "me#"),)
    found = item(0, made_of={"S": "me#here"})
    db = opened(face_kind, rule, lambda _: reply({"Item": found})).db
    assert numbers([db.get(Memo, "k", 0)]) == [0]
    assert rule.asked == 0


def test_several_classes_of_a_table_are_asked_of_their_rules(face_kind):
    rule = Mine()
    items = [item(0, kind={"S": "cat"}), item(1, "other", kind={"S": "cat"})]
    db = opened(face_kind, rule, lambda _: reply(page_of(items))).db
    assert numbers(db.model(Animal).where(Animal.of == "k").all()) == [0]
    assert rule.asked == 2


def test_two_rules_are_both_known_or_both_asked(face_kind):
    mine, here = Mine(), Here()

    class Second(Plugin):
        name = "here"

    items = [item(0), item(1, "me/x"), item(2, p={"S": "there"})]
    db = Scripted(face_kind, Plugin(mine), Second(here), answer=lambda _: reply(page_of(items)), clock=FakeClock()).db
    assert numbers(db.model(Memo).where(Memo.of == "k").all()) == [0]
    assert (mine.asked, here.asked) == (3, 3)
    mine.asked = here.asked = 0
    del items[1:]
    assert numbers(db.model(Memo).where(Memo.of == "k").all()) == [0]
    assert (mine.asked, here.asked) == (0, 0)


def test_a_moment_that_is_a_coroutine_is_refused():
    class Late(Mine):
        async def known_by(self, scope):
            return ()

    db = opened("blocking", Late(), lambda _: reply({})).db
    with pytest.raises(ConfigError, match="known_by"):
        db.get(Memo, "k", 0)


def test_a_cancelled_read_of_many_is_told_as_ever(face_kind):
    refused = reply(
        {
            "__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
            "message": "cancelled",
            "CancellationReasons": [{"Code": "ValidationError", "Message": "wrong"}],
        },
        400,
    )
    db = opened(face_kind, Mine(), lambda _: refused).db
    with pytest.raises(TransactionCancelled):
        db.transact_get([(Memo, "k", 0)])


TEXTS = st.sampled_from(["me", "me/", "me/x", "m", "mee", "other", "", "me#", "here", "there"])
WIRES = st.one_of(TEXTS.map(lambda text: {"S": text}), st.just({"NULL": True}), st.just({"N": "1"}), st.none())


@given(items=st.lists(st.tuples(WIRES, WIRES), max_size=6), kind=st.sampled_from([Mine, Here, Unmarked]))
def test_what_is_read_is_what_check_keeps(items, kind):
    """Whatever is stored: a read with `known_by` gives what one without it gives, or fails as that does."""
    found = []
    wires = [
        item(number, owner, **({} if place is None else {"p": place})) for number, (owner, place) in enumerate(items)
    ]

    class Asked(kind):
        def known_by(self, scope):
            return None

    for rule in (kind(), Asked()):
        db = opened("blocking", rule, lambda _: reply(page_of(wires))).db
        try:
            found.append(numbers(db.model(Memo).where(Memo.of == "k").all()))
        except DynamORMError as error:  # of an item that does not fit the model
            found.append(type(error))
    assert found[0] == found[1]
