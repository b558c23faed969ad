"""What a rule does to a write is the same in every verb: replaced writes with their results, forms, bounds, batches."""

import pytest

from dynamorm import Attr, Model, Presets, Unique, attr, partition_key, version
from dynamorm.errors import (
    AlreadyExists,
    ConditionFailed,
    DuplicateKey,
    ItemTooLarge,
    OutOfBounds,
    TransactionCancelled,
    ValidationError,
)
from dynamorm.plugin import ReadRule, WriteRule
from tests.support.faces import Face

from .kit import store, stored, table_of

pytestmark = pytest.mark.engine


class Order(Model, table="ordered"):
    id: Attr[str] = partition_key()
    amount: Attr[int] = attr(default=0)
    note: Attr[str] = attr(default="")
    version: Attr[int] = version()


class Plain(Model, table="plainly"):
    id: Attr[str] = partition_key()
    amount: Attr[int] = attr(default=0, le=10)
    note: Attr[str] = attr(default="")


class Needy(Model, table="needy"):
    id: Attr[str] = partition_key()
    name: Attr[str]
    amount: Attr[int] = attr(default=0)


class Tagged(Model, table="tagged"):
    id: Attr[str] = partition_key()
    tags: Attr[set[str]] = attr(default_factory=lambda: {"first"})
    few: Attr[set[str]] = attr(default_factory=lambda: {"one"}, max_length=2)


class Member(Model, table="members"):
    id: Attr[str] = partition_key()
    email: Attr[str] = attr(Unique())


class Big(Model, table="large"):
    id: Attr[str] = partition_key()
    first: Attr[str] = attr(default="")
    second: Attr[str] = attr(default="")


MODELS = [Order, Plain, Needy, Tagged, Member, Big]


class Ruled:
    """Gives models rules: each a function of a draft, for some verbs at one moment."""

    def __init__(self, model, verbs, *, transform=None, contribute=None, in_batches=False):
        self.name = "ruled"
        self.owner = model
        moments = {"transform": transform, "contribute": contribute}
        own = {name: staticmethod(moment) for name, moment in moments.items() if moment is not None}
        self.rule = type("Own", (WriteRule,), {"verbs": verbs, "in_batches": in_batches, **own})()

    def write_rule(self, schema):
        return self.rule if schema.model is self.owner else None


class Finishing:
    """Adds an update to each transaction as a whole."""

    name = "finishing"

    def __init__(self, add):
        self.add = add

    def finish(self, transaction):
        self.add(transaction)


# ------------------------------------------------------------------------------------------------ replaced writes


def merged(draft):
    """Update what is there in the place of a create."""
    return draft.instead("update", Order, draft.obj.id, Order.note.set("merged"), upsert=True)


@pytest.mark.parametrize("way", ["create", "save"])
@pytest.mark.parametrize("is_strict", [False, True])
def test_what_replaces_a_create_gives_its_result_also_where_creates_are_strict(plugged, key, is_strict, way):
    db = plugged(Ruled(Order, ("create",), transform=merged))
    one = db.save(Order(id=key)) if way == "save" else db.create(Order(id=key), strict=is_strict)
    assert (one.id, one.note) == (key, "merged")
    assert db.get(Order, key).note == "merged"


@pytest.mark.parametrize("model", [Order, Plain])
@pytest.mark.parametrize("is_strict", [False, True])
def test_what_replaces_a_create_brings_its_object_up_to_date(plugged, key, is_strict, model):
    def noted(draft):
        return draft.instead("update", draft.obj, model.note.set("x"), upsert=True)

    db = plugged(Ruled(model, ("create",), transform=noted))
    one = model(id=key, amount=3)
    assert db.create(one, strict=is_strict) is one
    assert (one.note, one.amount) == ("x", 3)
    one.amount = 4
    db.save(one)
    assert db.get(model, key).amount == 4


def test_a_check_may_stand_in_the_place_of_a_write(plugged, key):
    def checked(draft):
        return draft.instead("check", Order, draft.obj.id, Order.note.not_exists()) if draft.obj.note else None

    db = plugged(Ruled(Order, ("create",), transform=checked))
    db.create(Order(id=key, note="only looked"))
    assert stored(db, Order, key) is None
    db.create(Order(id=key))
    with pytest.raises(ConditionFailed):
        db.create(Order(id=key, note="only looked"))


@pytest.mark.parametrize("way", ["update", "silent", "transaction"])
def test_an_object_that_was_put_in_the_place_of_an_update_is_loaded(plugged, key, way):
    one = Order(id=key, note="put")
    db = plugged(Ruled(Order, ("update",), transform=lambda draft: draft.instead("put", one)))
    if way == "transaction":
        with db.transaction() as tx:
            tx.update(Order, key, Order.amount.set(1))
    elif way == "silent":
        assert db.update(Order, key, Order.amount.set(1), returning=None) is None
    else:
        assert db.update(Order, key, Order.amount.set(1)) is one
    one.amount = 7
    db.save(one)  # it is no new one
    assert db.get(Order, key).amount == 7


def noted(draft):
    """Another update in the place of one, with the same target."""
    if any(update.path.field.name == "note" for update in draft.updates):
        return None
    return draft.instead("update", *draft.target, Order.note.set("instead"))


def test_an_update_in_the_place_of_another_gives_what_the_caller_asked_for(plugged, key):
    db = plugged(Ruled(Order, ("update",), transform=noted))
    one = db.create(Order(id=key))
    assert db.update(Order, key, Order.amount.set(1)).note == "instead"
    assert db.update(Order, key, Order.amount.set(1), returning=None) is None
    one = db.get(Order, key)
    assert db.update(one, Order.amount.set(1)) is one
    assert one.note == "instead"
    with db.transaction() as tx:
        tx.update(one, Order.amount.set(1))
    assert one.version == db.get(Order, key).version


def test_what_replaces_a_write_takes_the_form_that_is_right(plugged, key):
    """An update with two forms, in the place of another verb's write."""
    db = plugged(
        Ruled(
            Tagged,
            ("delete",),
            transform=lambda draft: draft.instead("update", *draft.target, Tagged.tags.add({"gone"})),
        )
    )
    store(db, Tagged, {"id": {"S": key}})
    assert db.delete(Tagged, key) is None
    assert db.get(Tagged, key).tags == {"first", "gone"}


# ------------------------------------------------------------------------------------------------------------ bounds


@pytest.mark.parametrize("moment", ["transform", "contribute"])
@pytest.mark.parametrize("upsert", [False, True])
def test_what_a_rule_sets_undoes_all_that_followed_from_the_callers_update(plugged, key, moment, upsert):
    db = plugged(Ruled(Plain, ("update",), **{moment: lambda draft: draft.set("amount", 0)}))
    store(db, Plain, {"id": {"S": key}, "amount": {"N": "8"}})
    assert db.update(Plain, key, Plain.amount.add(5), Plain.note.set("x"), upsert=upsert).amount == 0
    assert db.update(Plain, key, Plain.amount.add(1)).amount == 0
    assert stored(db, Plain, key)["amount"] == {"N": "0"}


def test_a_bound_of_another_attribute_than_the_rules_holds(plugged, key):
    db = plugged(Ruled(Plain, ("update",), contribute=lambda draft: draft.set("note", "ruled")))
    store(db, Plain, {"id": {"S": key}, "amount": {"N": "8"}})
    with pytest.raises(OutOfBounds):
        db.update(Plain, key, Plain.amount.add(5))
    assert db.update(Plain, key, Plain.amount.add(2)).note == "ruled"


@pytest.mark.parametrize("way", ["alone", "transaction"])
def test_what_a_rule_sets_undoes_the_form_of_the_callers_update(plugged, key, way):
    """The caller's set is not stored, which would be another form; the rule's is set whole in any."""
    db = plugged(Ruled(Tagged, ("update",), contribute=lambda draft: draft.set("tags", {"ruled"})))
    store(db, Tagged, {"id": {"S": key}})
    if way == "transaction":
        with db.transaction() as tx:
            tx.update(Tagged, key, Tagged.tags.add({"x"}))
    else:
        db.update(Tagged, key, Tagged.tags.add({"x"}))
    assert db.get(Tagged, key).tags == {"ruled"}


@pytest.mark.parametrize("moment", ["transform", "contribute"])
def test_an_upsert_lacks_nothing_that_a_rule_gives(plugged, key, moment):
    db = plugged(Ruled(Needy, ("update",), **{moment: lambda draft: draft.set("name", "given")}))
    assert db.upsert(Needy, key, Needy.amount.add(1)).name == "given"
    assert db.get(Needy, key).name == "given"


# ------------------------------------------------------------------------------------------------------------- forms


@pytest.mark.parametrize("verb", ["create", "put", "save", "update", "delete", "transaction"])
def test_an_update_that_a_rule_adds_takes_the_form_that_is_right(plugged, key, verb):
    def note(draft):
        draft.add("update", Tagged, f"{key}t", Tagged.tags.add({verb}))

    plain = plugged(kind="blocking")
    plain.create(Order(id=key))
    store(plain, Tagged, {"id": {"S": f"{key}t"}})
    db = plugged(Ruled(Order, ("create", "put", "save", "update", "delete"), contribute=note))
    one = db.get(Order, key)
    one.amount = 5
    if verb == "transaction":
        with db.transaction() as tx:
            tx.save(one)
    elif verb == "create":
        db.create(Order(id=f"{key}o"))
    elif verb == "update":
        assert db.update(Order, key, Order.amount.add(1)).amount == 1
    else:
        getattr(db, verb)(one)
    assert db.get(Tagged, f"{key}t").tags == {"first", verb}


def test_an_update_of_another_update_that_rules_add_takes_its_form_too(plugged, key):
    def outer(draft):
        draft.add("update", Plain, f"{key}p", Plain.note.set("x"), upsert=True)

    def inner(draft):
        draft.add("update", Tagged, f"{key}t", Tagged.tags.add({"inner"}))

    plain = plugged(kind="blocking")
    store(plain, Tagged, {"id": {"S": f"{key}t"}})
    second = Ruled(Plain, ("update",), contribute=inner)
    second.name = "second"
    db = plugged(Ruled(Order, ("create",), contribute=outer), second)
    db.create(Order(id=key))
    assert db.get(Tagged, f"{key}t").tags == {"first", "inner"}
    assert db.get(Plain, f"{key}p").note == "x"


@pytest.mark.parametrize("way", ["create", "transaction"])
def test_an_update_that_a_plugin_adds_to_the_whole_takes_the_form_that_is_right(plugged, key, way):
    asked = []

    def add(transaction):
        asked.append(len(transaction.writes))
        transaction.add("update", Tagged, f"{key}t", Tagged.tags.add({"whole"}))

    plain = plugged(kind="blocking")
    store(plain, Tagged, {"id": {"S": f"{key}t"}})
    db = plugged(Finishing(add))
    if way == "create":
        db.create(Order(id=key))
    else:
        with db.transaction() as tx:
            tx.create(Order(id=key))
    assert db.get(Tagged, f"{key}t").tags == {"first", "whole"}
    assert asked == [1]


@pytest.mark.parametrize("way", ["create", "transaction"])
def test_an_added_update_that_would_lead_past_a_bound_says_so(plugged, key, way):
    def note(draft):
        draft.add("update", Tagged, f"{key}t", Tagged.few.add({"two", "three"}))

    plain = plugged(kind="blocking")
    store(plain, Tagged, {"id": {"S": f"{key}t"}})
    db = plugged(Ruled(Order, ("create",), contribute=note))

    def refused():
        if way == "create":
            db.create(Order(id=key))
            return
        with db.transaction() as tx:
            tx.create(Order(id=key))

    with pytest.raises((OutOfBounds, TransactionCancelled)) as caught:
        refused()
    error = caught.value if way == "create" else caught.value.reasons[0].error
    assert isinstance(error, OutOfBounds)
    assert "added by the rule Own of Order" in str(error)
    assert db.get(Order, key) is None


def test_a_refusal_is_told_once_when_another_form_would_not_help(plugged, key):
    def note(draft):
        draft.add("update", Tagged, f"{key}t", Tagged.tags.add({"x"}))

    plain = plugged(kind="blocking")
    store(plain, Tagged, {"id": {"S": f"{key}t"}})
    plain.create(Order(id=key))
    db = plugged(Ruled(Order, ("create",), contribute=note))
    with pytest.raises(AlreadyExists):
        db.create(Order(id=key))
    assert stored(db, Tagged, f"{key}t") == {"id": {"S": f"{key}t"}}


# ----------------------------------------------------------------------------------------- one-item transactions


@pytest.mark.parametrize("is_conditional", [False, True], ids=["update", "transaction"])
def test_an_update_that_makes_an_item_too_large_is_the_same_error_in_each_way_it_is_sent(plugged, key, is_conditional):
    db = plugged()
    db.put(Big(id=key, first="x" * 300_000))
    with pytest.raises(ItemTooLarge):
        db.update(Big, key, Big.second.set("y" * 200_000), condition=(Big.first != "") if is_conditional else None)


# ----------------------------------------------------------------------------------------------------------- batches


def test_a_batch_asks_the_rules_of_the_verb_at_hand(plugged, key):
    db = plugged(Ruled(Order, ("delete",), contribute=lambda draft: draft.require(Order.amount == 0)))
    assert db.batch_write(puts=[Order(id=key)]).ok
    with pytest.raises(ValidationError, match=r"Own looks at each write of a Order.*db\.create"):
        db.batch_write(deletes=[(Order, key)])
    other = plugged(Ruled(Order, ("put",), contribute=lambda draft: draft.require(Order.amount == 0)))
    with pytest.raises(ValidationError, match=r"Own looks at each write of a Order"):
        other.batch_write(puts=[Order(id=key)])
    assert other.batch_write(deletes=[(Order, key)]).ok


# ---------------------------------------------------------------------------------------------------- unique guards


class Preparing:
    """Notes the stored names of all items that decoding is prepared for."""

    name = "preparing"

    def __init__(self):
        self.seen = []

    def read_rule(self, schema):
        plugin = self

        class Prepare(ReadRule):
            def prepare(self, items, scope):
                plugin.seen += [set(item.attributes) for item in items]
                yield from ()

        return Prepare() if schema.model is Member else None


def test_a_guard_of_a_unique_attribute_is_not_shown_to_rules_of_the_model(plugged, key):
    preparing = Preparing()
    db = plugged(preparing)
    one = db.create(Member(id=key, email=f"{key}@x"))
    assert db.find_by_unique(Member, email=f"{key}@x").id == key
    with pytest.raises(DuplicateKey):
        db.create(Member(id=f"{key}2", email=f"{key}@x"))

    def refused():
        with db.transaction() as tx:
            tx.create(Member(id=f"{key}3", email=f"{key}@x"))

    with pytest.raises(TransactionCancelled):
        refused()
    one.email = f"{key}@y"
    db.save(one)
    assert preparing.seen
    assert all("email" in names for names in preparing.seen)


# ------------------------------------------------------------------------------------------------ tokens of puts


@pytest.mark.parametrize("moment", ["transform", "contribute", "caller", "none"])
def test_a_put_with_a_condition_stores_its_token_whoever_demands_it(engine, made, face_kind, key, moment):
    rule = None
    if moment in {"transform", "contribute"}:
        rule = Ruled(Plain, ("put",), **{moment: lambda draft: draft.require(Plain.note.not_exists())})
    config = Presets.local_development(endpoint=engine.endpoint, table_prefix=made, on_ambiguous="raise")
    db = Face(face_kind, config, extensions=() if rule is None else (rule,))
    try:
        db.put(Plain(id=key), condition=Plain.note.not_exists() if moment == "caller" else None)
        assert ("_wt" in stored(db, Plain, key)) is (moment != "none")
        assert table_of(db, Plain).endswith("plainly")
    finally:
        db.close()
