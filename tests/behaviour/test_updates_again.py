"""An update of attributes that were updated before is the same request as the first one, and is refused for the same reasons."""

import json
from datetime import datetime
from itertools import permutations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dynamorm import DB, Attr, Model, Presets, attr, partition_key, sort_key, updated_at, version
from dynamorm.engine import Engine
from dynamorm.errors import ConditionFailed, DynamORMError, ValidationError, VersionConflict
from dynamorm.plugin import WriteRule

from .kit import stored


class Bill(Model, table="bills-again"):
    id: Attr[str] = partition_key()
    line: Attr[int] = sort_key()
    status: Attr[str] = attr(default="open", name="st")
    amount: Attr[int] = attr(default=0)
    note: Attr[str | None] = attr(default=None)
    tags: Attr[list[str]] = attr(default_factory=list)
    data: Attr[dict[str, str]] = attr(default_factory=dict)
    seen: Attr[set[str]] = attr(default_factory=set)
    changed_at: Attr[datetime | None] = updated_at()
    version: Attr[int] = version()


class Kept(Bill, table="bills-kept"):
    owner: Attr[str] = attr(default="me", immutable=True)
    fee: Attr[int] = attr(default=0, ge=0, le=9)
    name: Attr[str] = attr(default="", max_length=3)
    stage: Attr[str] = attr(default="new", protected=True)


class Other(Model, table="bills-other"):
    id: Attr[str] = partition_key()
    status: Attr[str] = attr(default="open", name="st")


MODELS = [Bill, Kept, Other]
TEXTS = st.text(st.characters(codec="utf-8"), max_size=10)
VALUES = {
    "status": TEXTS,
    "amount": st.integers(0, 10**30),
    "note": st.none() | TEXTS,
    "tags": st.lists(TEXTS, max_size=3),
    "data": st.dictionaries(TEXTS.filter(bool), TEXTS, max_size=3),
    "seen": st.sets(TEXTS.filter(bool), max_size=3),
}
WRONG = {
    "amount": st.sampled_from(["x", 1.5, None]),
    "fee": st.sampled_from([-1, 3, 10, "x"]),
    "name": st.sampled_from(["abc", "abcd", 1]),
    "note": st.sampled_from([5, "\ud800"]),
    "tags": st.sampled_from([None, ["\ud800"], [1], "x"]),
    "owner": st.just("you"),
    "stage": st.just("paid"),
    "id": st.just("other"),
    "version": st.just(7),
}
GOOD = {"amount": 1, "tags": ["a"], "data": {"a": "b"}, "seen": {"a"}, "fee": 1}


@pytest.fixture(scope="module")
def session():
    with Engine() as engine, DB(Presets.local_development(engine=engine)) as opened:
        made = opened._session
        made.random_bytes = lambda count: bytes(range(1, count + 1))
        yield made


def loaded(session, number=3, model=Bill):
    plan = session.plan(model)
    ring = {"B": "AQIDBAUGBwgAAAAAAAAAAA=="}
    item = {"id": {"S": "b1"}, "line": {"N": "1"}, "st": {"S": "open"}, "version": {"N": str(number)}, "_wt": ring}
    return plan.codec.decode(json.dumps(item, separators=(",", ":")).encode())


def written(session, changes, number=3, model=Bill, **more):
    """What an update becomes: all that is sent and known of it, or the error."""
    builder = session.verbs.update.update_write
    asked = {"condition": None, "upsert": False} | more
    one = loaded(session, number, model)
    try:
        write = builder(session, one, tuple(getattr(model, name).set(value) for name, value in changes), {}, **asked)
    except DynamORMError as error:
        return type(error), error.message, error.code
    body = json.loads(write.body)
    if ":v2" in body["ExpressionAttributeValues"]:
        body["ExpressionAttributeValues"] = {
            name: wire
            for name, wire in body["ExpressionAttributeValues"].items()
            if "T" not in wire.get("S", "")[10:11]
        }  # but for the time of the change
    known = write.key, write.token, write.returns, write.safety, write.transact, write.expects, write.checked
    return body, known, write.known_version, write.known_ring, write.by_key, write.together_with, write.forms


def changes_of(values):
    return st.lists(
        st.sampled_from(sorted(values)).flatmap(lambda name: values[name].map(lambda v: (name, v))), max_size=4
    )


@settings(deadline=None, max_examples=150)
@given(first=changes_of(VALUES), second=changes_of(VALUES), number=st.integers(0, 10**6))
def test_the_next_update_of_the_same_attributes_is_as_if_it_were_the_first(session, first, second, number):
    plan = session.plan(Bill)
    names = [name for name, _ in first]
    values = dict(second)
    again = [(name, values.get(name, value)) for name, value in first]
    plan.known_sets.clear()
    anew = written(session, again, number)
    plan.known_sets.clear()
    written(session, first)
    if names and len(set(names)) == len(names) and all(value is not None for _, value in first):
        assert len(plan.known_sets) == 1  # or nothing would be shown here
    assert written(session, again, number) == anew


@settings(deadline=None, max_examples=100)
@given(wrong=changes_of(VALUES | WRONG), model=st.sampled_from([Bill, Kept]))
@example(wrong=[("note", "\ud800"), ("amount", "x")], model=Bill)
def test_what_is_refused_is_refused_with_the_same_error(session, wrong, model):
    plan = session.plan(model)
    wrong = [one for one in wrong if one[0] in plan.codec.plans]
    plan.known_sets.clear()
    anew = written(session, wrong, model=model)
    plan.known_sets.clear()
    written(session, [(name, GOOD.get(name, "a")) for name, _ in wrong], model=model)
    assert written(session, wrong, model=model) == anew


@pytest.mark.parametrize("name", ["status", "fee", "name"])
def test_what_a_model_says_of_other_attributes_takes_nothing_from_it(session, name):
    plan = session.plan(Kept)
    plan.known_sets.clear()
    written(session, [(name, GOOD.get(name, "a"))], model=Kept)
    assert len(plan.known_sets) == 1
    plan.known_sets.clear()
    written(session, [("stage", "paid")], model=Kept, allow=("stage",))
    assert not plan.known_sets


def test_a_protected_attribute_is_named_each_time(session):
    allowed = written(session, [("stage", "paid")], model=Kept, allow=("stage",))
    assert "UpdateExpression" in allowed[0]
    assert written(session, [("stage", "paid")], model=Kept)[0] is ValidationError


def test_an_attribute_of_another_model_is_refused_also_where_one_of_its_name_is_known(session):
    written(session, [("status", "done")])
    builder = session.verbs.update.update_write
    with pytest.raises(ValidationError, match="is an attribute of Other"):
        builder(session, loaded(session), (Other.status.set("done"),), {}, condition=None, upsert=False)


def test_a_changed_key_is_refused_each_time(session):
    written(session, [("status", "done")])
    one = loaded(session)
    one.line = 2
    with pytest.raises(ValidationError, match="key"):
        session.verbs.update.update_write(session, one, (Bill.status.set("x"),), {}, condition=None, upsert=False)


def test_a_condition_is_sent_with_each_update(session):
    written(session, [("status", "done")])
    body = written(session, [("status", "done")], condition=Bill.amount > 5)[0]
    assert " > " in body["ConditionExpression"]


def test_the_sets_of_attributes_that_are_kept_are_bounded(session):
    plan = session.plan(Bill)
    plan.known_sets.clear()
    for names in permutations(["status", "amount", "tags", "data", "seen"]):
        written(session, [(name, GOOD.get(name, "a")) for name in names])
    assert 0 < len(plan.known_sets) <= 100


@pytest.mark.engine
def test_updates_one_after_the_other_store_what_they_say_and_conflict_with_others(db, key):
    bill = db.create(Bill(id=key, line=1))
    for number in range(1, 5):
        db.update(bill, Bill.status.set(f"s{number}"), Bill.amount.set(number))
        assert (bill.status, bill.amount, bill.version) == (f"s{number}", number, number)
    item = stored(db, Bill, key, 1)
    assert (item["st"], item["amount"], item["version"]) == ({"S": "s4"}, {"N": "4"}, {"N": "4"})
    mine = db.get(Bill, key, 1, consistent=True)
    db.update(bill, Bill.status.set("theirs"), Bill.amount.set(9))
    with pytest.raises(VersionConflict):
        db.update(mine, Bill.status.set("mine"), Bill.amount.set(8))
    assert stored(db, Bill, key, 1)["st"] == {"S": "theirs"}


@pytest.mark.engine
def test_in_a_transaction_too(db, key):
    for number in range(3):
        db.create(Bill(id=key, line=number))
    bills = [db.get(Bill, key, number, consistent=True) for number in range(3)]
    for turn in ("a", "b"):
        with db.transaction() as tx:
            for bill in bills:
                tx.update(bill, Bill.status.set(turn))
        bills = [db.get(Bill, key, number, consistent=True) for number in range(3)]
        assert [(bill.status, bill.version) for bill in bills] == [(turn, 1 if turn == "a" else 2)] * 3


class Watching(WriteRule):
    """Is asked of each update: refuses large amounts, stores a mark beside the item, and writes the other item with it."""

    verbs = ("update",)

    def contribute(self, draft):
        amount = int(draft.after("amount")["amount"]["N"])
        if amount > 100:
            raise ValidationError("that is too much", field="amount")
        if amount > 50:
            draft.require(Bill.status == "open")
        draft.stamp("_mark", amount)
        draft.add("put", Other(id=draft.plan.codec.key_values(draft.key)[0], status=f"s{amount}"))


class Watcher:
    name = "watcher"

    def write_rule(self, schema):
        return Watching() if schema.model is Bill else None


@pytest.mark.engine
def test_the_rules_of_plugins_are_asked_each_time(plugged, key):
    db = plugged(Watcher())
    bill = db.create(Bill(id=key, line=1))
    for amount in (1, 2, 3):
        db.update(bill, Bill.amount.set(amount))
        assert stored(db, Bill, key, 1)["_mark"] == {"N": str(amount)}
        assert db.get(Other, key, consistent=True).status == f"s{amount}"
    with pytest.raises(ValidationError, match="too much"):
        db.update(bill, Bill.amount.set(101))
    db.update(bill, Bill.amount.set(60))
    db.update(bill, Bill.status.set("done"), Bill.amount.set(4))
    with pytest.raises(ConditionFailed):
        db.update(bill, Bill.amount.set(61))
