"""Unique attributes: one winner, guards that follow the item, finding by value, and repair."""

import pytest

from dynamorm import (
    AlreadyExists,
    Attr,
    ConditionFailed,
    Model,
    Unique,
    ValidationError,
    attr,
    gsi,
    partition_key,
    sort_key,
)
from dynamorm import version as version_field
from dynamorm.errors import DuplicateKey, MissingItem, ModelError, NotFound, VersionConflict

from .kit import ask, store, stored, table_of
from .kit import change as changed_past

pytestmark = pytest.mark.engine


class Payment(Model, table="payments"):
    id: Attr[str] = partition_key()
    idempotency_key: Attr[str] = attr(Unique(), name="ik")
    amount: Attr[int] = attr(default=0)
    version: Attr[int] = version_field()


class User(Model, table="users"):
    """No version; a sort key that is a number; an optional unique attribute, and two that are unique together."""

    org: Attr[str] = partition_key()
    number: Attr[int] = sort_key()
    email: Attr[str | None] = attr(Unique(), default=None)
    country: Attr[str | None] = attr(Unique("passport"), default=None)
    passport: Attr[int | None] = attr(Unique("passport"), default=None)
    note: Attr[str] = attr(default="")


BUILT: list[str] = []
"""What the validator of `Member.note` has seen: one for each time that the item is made."""


def seen(value: str) -> str:
    BUILT.append(value)
    return value


class Member(Model, table="members"):
    """A set, which is stored as NULL while it is empty."""

    id: Attr[str] = partition_key()
    email: Attr[str] = attr(Unique())
    tags: Attr[set[str]] = attr(default_factory=set)
    note: Attr[str] = attr(default="", validators=(seen,))


class Holds(Model, table="holds"):
    pk: Attr[str] = partition_key()


class Device(Model, table="devices"):
    """A number as key, so its guards are in a table of their own."""

    id: Attr[int] = partition_key()
    serial: Attr[bytes] = attr(Unique(guards=Holds))


class Party(Model, table="parties", discriminator="kind"):
    """The root of a family, of which one class has a unique attribute."""

    id: Attr[str] = partition_key()


class Person(Party):
    email: Attr[str] = attr(Unique())


class Company(Party):
    name: Attr[str] = attr(default="")


class Email(Unique):
    """What a program says of its addresses everywhere: an option of its own, made of the library's."""

    def __init__(self) -> None:
        super().__init__("email")


class Reader(Model, table="readers"):
    id: Attr[str] = partition_key()
    address: Attr[str] = attr(Email())


class Short(Model, table="short"):
    """Its index keys are named as the attributes of guards are."""

    id: Attr[str] = partition_key()
    c: Attr[str] = attr(default="x")
    t: Attr[str] = attr(default="U")
    email: Attr[str] = attr(Unique())
    origin: Attr[str] = attr(default="r", name="ref")
    token: Attr[bytes] = attr(default=b"w", name="wt")
    by_c = gsi("by-c", partition="c", sort="t")
    by_ref = gsi("by-ref", partition="origin", sort="token")


MODELS = [Payment, User, Member, Holds, Device, Party, Reader, Short]


def items(db, model):
    return ask(db, "Scan", {"TableName": table_of(db, model), "ConsistentRead": True})["Items"]


def guards(db, model):
    return [one for one in items(db, model) if any("~U#" in str(value) for value in one.values())]


@pytest.fixture(autouse=True)
def _empty(db, opened, face_kind):
    yield
    for model in MODELS:
        plan = db.inner._session.plan(model)
        for one in items(db, model):
            key = {name: one[name] for name in plan.key_names}
            ask(db, "DeleteItem", {"TableName": plan.table, "Key": key})


# ------------------------------------------------------------------------------------------------------------- create


def test_the_second_of_two_equal_values_is_refused_and_tells_who_has_it(db):
    db.create(Payment(id="p1", idempotency_key="k"))
    with pytest.raises(DuplicateKey) as caught:
        db.create(Payment(id="p2", idempotency_key="k"))
    assert caught.value.existing == ("p1",)
    assert caught.value.field == "idempotency_key"
    assert isinstance(caught.value, ConditionFailed)
    assert caught.value.code == "ErrDuplicateKey"
    assert db.get(Payment, "p2") is None
    assert len(guards(db, Payment)) == 1


def test_a_created_object_is_loaded(db):
    payment = db.create(Payment(id="p1", idempotency_key="k", amount=1))
    payment.amount = 2
    db.save(payment)
    assert db.require(Payment, "p1") == payment
    assert payment.version == 1


def test_an_existing_key_is_already_exists_also_with_the_same_value(db):
    db.create(Payment(id="p1", idempotency_key="k"))
    for key in ("k", "other"):
        with pytest.raises(AlreadyExists):
            db.create(Payment(id="p1", idempotency_key=key))
    assert len(guards(db, Payment)) == 1


def test_none_is_not_guarded(db):
    db.create(User(org="a", number=1))
    db.create(User(org="a", number=2))
    db.create(User(org="a", number=3, country="LV"))
    db.create(User(org="a", number=4, country="LV"))
    assert not guards(db, User)


def test_several_attributes_are_unique_together(db):
    db.create(User(org="a", number=1, country="LV", passport=7))
    db.create(User(org="a", number=2, country="LV", passport=8))
    db.create(User(org="a", number=3, country="EE", passport=7))
    with pytest.raises(DuplicateKey) as caught:
        db.create(User(org="b", number=1, country="LV", passport=7))
    assert (caught.value.field, caught.value.existing) == ("passport", ("a", 1))


def test_texts_and_numbers_that_join_alike_are_different_values(db):
    db.create(User(org="a", number=1, country="1", passport=11))
    db.create(User(org="a", number=2, country="11", passport=1))


def test_guards_may_be_in_a_table_of_their_own(db):
    db.create(Device(id=1, serial=b"\0s"))
    with pytest.raises(DuplicateKey):
        db.create(Device(id=2, serial=b"\0s"))
    assert len(items(db, Device)) == 1
    assert len(items(db, Holds)) == 1
    assert db.find_by_unique(Device, serial=b"\0s").id == 1
    db.delete(Device, 1)
    assert not items(db, Holds)


# ------------------------------------------------------------------------------------------------------------- change


def test_a_saved_change_moves_the_guard(db):
    payment = db.create(Payment(id="p1", idempotency_key="a"))
    payment.idempotency_key = "b"
    db.save(payment)
    assert len(guards(db, Payment)) == 1
    db.create(Payment(id="p2", idempotency_key="a"))
    with pytest.raises(DuplicateKey):
        db.create(Payment(id="p3", idempotency_key="b"))


def test_a_refused_change_leaves_item_object_and_guards(db):
    db.create(Payment(id="p1", idempotency_key="a"))
    other = db.create(Payment(id="p2", idempotency_key="b"))
    other.idempotency_key = "a"
    with pytest.raises(DuplicateKey):
        db.save(other)
    assert other.version == 0
    assert db.require(Payment, "p2").idempotency_key == "b"
    assert len(guards(db, Payment)) == 2
    other.idempotency_key = "c"
    db.save(other)
    assert db.find_by_unique(Payment, idempotency_key="c").id == "p2"


def test_a_save_that_leaves_the_value_alone_is_a_plain_write(db, wire):
    payment = db.create(Payment(id="p1", idempotency_key="a"))
    wire.clear()
    payment.amount = 5
    db.save(payment)
    db.update(payment, Payment.amount.add(1))
    assert set(wire.names) == {"UpdateItem"}


@pytest.mark.parametrize("by_key", [True, False])
def test_an_update_moves_the_guard(db, by_key):
    payment = db.create(Payment(id="p1", idempotency_key="a"))
    change = Payment.idempotency_key.set("b")
    found = db.update(Payment, "p1", change) if by_key else db.update(payment, change)
    assert (found.idempotency_key, found.version) == ("b", 1)
    assert db.find_by_unique(Payment, idempotency_key="a") is None
    assert db.find_by_unique(Payment, idempotency_key="b") == found
    assert len(guards(db, Payment)) == 1


def test_an_update_without_a_version_moves_the_guard_of_what_is_stored_now(db):
    user = db.create(User(org="a", number=1, email="x"))
    db.update(User, "a", 1, User.email.set("y"))
    found = db.update(user, User.email.set("z"), User.note.set("n"))  # it was loaded with x
    assert (found.email, found.note) == ("z", "n")
    assert len(guards(db, User)) == 1
    db.update(user, User.email.remove())
    assert not guards(db, User)


def test_a_save_without_a_version_does_not_move_what_it_has_not_seen(db):
    user = db.create(User(org="a", number=1, email="x"))
    db.update(User, "a", 1, User.email.set("y"))
    user.email = "z"
    with pytest.raises(ConditionFailed):
        db.save(user)
    assert db.find_by_unique(User, email="y") is not None


def test_a_stale_version_is_a_version_conflict(db):
    payment = db.create(Payment(id="p1", idempotency_key="a"))
    db.update(Payment, "p1", Payment.amount.set(3))
    payment.idempotency_key = "b"
    with pytest.raises(VersionConflict):
        db.save(payment)
    assert db.find_by_unique(Payment, idempotency_key="b") is None


def test_an_update_of_what_is_missing_leaves_no_guard(db):
    with pytest.raises(MissingItem):
        db.update(Payment, "p1", Payment.idempotency_key.set("b"))
    assert not items(db, Payment)


def test_an_upsert_makes_item_and_guard(db):
    db.upsert(User, "a", 1, User.email.set("x"))
    assert db.find_by_unique(User, email="x").number == 1
    with pytest.raises(DuplicateKey):
        db.upsert(User, "a", 2, User.email.set("x"))


def test_a_condition_of_the_caller_still_counts(db):
    db.create(User(org="a", number=1, email="x"))
    with pytest.raises(ConditionFailed):
        db.update(User, "a", 1, User.email.set("y"), condition=User.note == "other")
    with pytest.raises(ConditionFailed):
        db.delete(User, "a", 1, condition=User.note == "other")
    assert db.find_by_unique(User, email="x") is not None


def test_a_value_that_only_the_server_knows_is_refused(db, wire):
    user = db.create(User(org="a", number=1, country="LV", passport=1))
    wire.clear()
    for change in (User.passport.add(1), User.email.if_not_exists("x"), User.email.set(User.note)):
        with pytest.raises(ValidationError, match=r"Unique.*\.set\(value\)"):
            db.update(user, change)
    assert not wire.names


@pytest.mark.parametrize("by_key", [True, False])
@pytest.mark.parametrize("email", ["y", "x"])
def test_an_update_adds_to_an_empty_set_along_with_a_unique_value(db, email, by_key):
    member = db.create(Member(id="m1", email="x"))
    subject = (Member, "m1") if by_key else (member,)
    found = db.update(*subject, Member.email.set(email), Member.tags.add({"a"}))
    assert (found.email, found.tags) == (email, {"a"})
    assert db.find_by_unique(Member, email=email) == found
    assert len(guards(db, Member)) == 1


# ------------------------------------------------------------------------------------------------------ put and delete


def test_a_write_of_a_loaded_object_is_made_once(db, wire):
    member = db.create(Member(id="m1", email="x"))
    wire.clear()
    BUILT.clear()
    member.email = "y"
    db.put(member)
    assert (wire.names, len(BUILT)) == (["TransactWriteItems"], 1)
    db.update(member, Member.email.set("z"), Member.note.set("n"))
    assert wire.names[1:] == ["TransactWriteItems", "GetItem"]
    assert len(BUILT) == 2
    db.delete(member)
    assert len(wire.names) == 4
    assert not items(db, Member)


def test_put_replaces_the_guards_of_what_was_there(db):
    db.create(User(org="a", number=1, email="x"))
    db.put(User(org="a", number=1, email="y", country="LV", passport=1))
    assert len(guards(db, User)) == 2
    assert db.find_by_unique(User, email="x") is None
    assert db.find_by_unique(User, country="LV", passport=1).email == "y"
    db.create(User(org="a", number=2, email="x"))
    with pytest.raises(DuplicateKey):
        db.put(User(org="a", number=1, email="x"))


def test_put_of_a_loaded_object_does_not_mind_who_wrote_meanwhile(db):
    payment = db.create(Payment(id="p1", idempotency_key="a"))
    db.update(Payment, "p1", Payment.idempotency_key.set("b"))
    payment.idempotency_key = "c"
    db.put(payment)
    assert db.require(Payment, "p1").idempotency_key == "c"
    assert len(guards(db, Payment)) == 1


@pytest.mark.parametrize("how", ["object", "key", "stale object"])
def test_delete_takes_the_guards_along(db, how):
    user = db.create(User(org="a", number=1, email="x", country="LV", passport=1))
    if how == "stale object":
        db.update(User, "a", 1, User.email.set("y"))
    db.delete(User, "a", 1) if how == "key" else db.delete(user)
    assert not items(db, User)
    payment = db.create(Payment(id="p1", idempotency_key="a"))
    db.delete(payment) if how == "object" else db.delete(Payment, "p1")
    assert not items(db, Payment)


def test_delete_of_what_is_not_there(db):
    db.delete(Payment, "none")
    with pytest.raises(MissingItem):
        db.delete(Payment, "none", must_exist=True)


def test_returning_the_old_item_is_refused(db):
    with pytest.raises(ValidationError, match="returning"):
        db.delete(Payment, "p1", returning="old")
    with pytest.raises(ValidationError, match="returning"):
        db.put(Payment(id="p1", idempotency_key="a"), returning="old")


def test_delete_all_takes_the_guards_along(db):
    for number in range(7):
        db.create(User(org="a", number=number, email=f"e{number}"))
    db.create(User(org="b", number=1, email="other"))
    seen = []
    assert db.model(User).where(User.org == "a").delete_all(confirm=True, progress=seen.append) == 7
    assert seen[-1] == 7
    assert len(items(db, User)) == 2
    assert db.find_by_unique(User, email="other").org == "b"


def test_a_batch_is_refused(db, wire):
    for batch in ({"puts": [User(org="a", number=1)]}, {"deletes": [(User, "a", 1)]}, {"deletes": [(Party, "a")]}):
        with pytest.raises(ValidationError, match="unique"):
            db.batch_write(**batch)
    assert not wire.names


def test_guards_follow_items_that_are_met_under_the_name_of_a_base_class(db):
    db.create(Person(id="p1", email="a"))
    db.create(Person(id="p2", email="b"))
    db.create(Company(id="c1"))
    assert {one.id for one in db.model(Party).allow_scan()} == {"p1", "p2", "c1"}
    db.delete(Party, "p1")
    db.delete(Party, "none")
    assert db.find_by_unique(Person, email="a") is None
    assert len(guards(db, Party)) == 1
    assert db.model(Party).allow_scan().delete_all(confirm=True) == 2
    assert not items(db, Party)


# --------------------------------------------------------------------------------------------------------------- races


def test_of_many_racers_one_wins(db):
    def create(number):
        try:
            db.create(Payment(id=f"p{number}", idempotency_key="k"))
        except DuplicateKey:
            return 0
        return 1

    assert sum(db.concurrently(create, 24)) == 1
    assert len(items(db, Payment)) == 2
    owner = db.find_by_unique(Payment, idempotency_key="k")
    assert db.require(Payment, owner.id) == owner


def test_values_that_are_swapped_and_recreated_at_once_stay_consistent(db):
    for number in range(3):
        db.create(User(org="a", number=number, email=f"e{number}"))

    def work(number):
        for turn in range(6):
            row, value = (number + turn) % 3, f"e{(number * 7 + turn) % 4}"
            try:
                if turn == 3:
                    db.delete(User, "a", row)
                elif turn == 4:
                    db.create(User(org="a", number=row, email=value))
                else:
                    db.update(User, "a", row, User.email.set(value))
            except (ConditionFailed, NotFound):  # not found: deleted between the update and reading it back
                pass

    db.concurrently(work, 6)
    report = db.repair_unique(User)
    assert not report.faults
    emails = [one["email"]["S"] for one in items(db, User) if "email" in one]
    assert len(emails) == len(set(emails)) == report.guards


# -------------------------------------------------------------------------------------------------- finding and mending


def test_find_by_unique_reads_consistently_and_only_two_items(db, wire):
    db.create(Payment(id="p1", idempotency_key="k", amount=3))
    wire.clear()
    assert db.find_by_unique(Payment, idempotency_key="k").amount == 3
    assert [(name, body["ConsistentRead"]) for name, body in wire.calls] == [("GetItem", True)] * 2
    assert db.find_by_unique(Payment, idempotency_key="none") is None


@pytest.mark.parametrize(
    ("model", "values", "text"),
    [
        (Payment, {"amount": 3}, "no unique constraint on amount"),
        (Payment, {}, "no unique constraint on nothing"),
        (User, {"country": "LV"}, "its constraints: email; country, passport"),
        (User, {"email": None}, "None is not guarded"),
        (Payment, {"idempotency_key": 5}, "idempotency_key"),
        (Holds, {"pk": "a"}, "declare one"),
    ],
)
def test_a_wrong_search_is_refused_before_the_wire(db, wire, model, values, text):
    with pytest.raises(ValidationError, match=text):
        db.find_by_unique(model, **values)
    assert not wire.names


def test_repair_finds_and_mends_what_was_written_past_the_library(db):
    db.create(User(org="a", number=1, email="x"))
    store(db, User, {"org": {"S": "a"}, "number": {"N": "2"}, "email": {"S": "y"}})  # no guard
    store(db, User, {"org": {"S": "a"}, "number": {"N": "3"}, "email": {"S": "x"}})  # the guard is another's
    db.create(User(org="a", number=4, email="z"))
    ask(
        db,
        "DeleteItem",
        {"TableName": table_of(db, User), "Key": {"org": {"S": "a"}, "number": {"N": "4"}}},
    )  # leaves a guard behind
    seen = []
    report = db.repair_unique(User, progress=seen.append)
    assert {(one.kind, one.constraint, one.key) for one in report.faults} == {
        ("missing", "email", ("a", 2)),
        ("taken", "email", ("a", 3)),
        ("orphaned", "email", ("a", 4)),
    }
    assert (report.items, report.guards, report.repaired) == (3, 2, 0)
    assert seen[-1] == 5
    assert db.repair_unique(User, apply=True).repaired == 2
    assert [one.kind for one in db.repair_unique(User).faults] == ["taken"]
    assert db.find_by_unique(User, email="y").number == 2
    assert db.find_by_unique(User, email="z") is None


def test_a_guard_that_points_elsewhere_is_not_believed(db):
    db.create(Payment(id="p1", idempotency_key="k"))
    store(db, Payment, {"id": {"S": "p1"}, "ik": {"S": "changed"}, "amount": {"N": "1"}, "version": {"N": "0"}})
    assert db.find_by_unique(Payment, idempotency_key="k") is None


def test_a_guard_of_somebody_else_is_not_deleted(db):
    user = db.create(User(org="a", number=1, email="x"))
    guard = guards(db, User)[0]
    guard["ref"] = {"M": {"org": {"S": "b"}, "number": {"N": "9"}}}
    store(db, User, guard)
    with pytest.raises(ConditionFailed, match="repair_unique"):
        db.delete(user)
    assert stored(db, User, "a", 1) is not None


# ---------------------------------------------------------------------------------------------------------- declaration


FOREIGN = [{"L": []}, {"M": {}}, {"BOOL": True}, {"SS": ["a"]}]
"""What another program has made of a text: no guard can be made of it."""


@pytest.mark.parametrize("foreign", FOREIGN, ids=lambda one: next(iter(one)))
def test_a_value_of_a_foreign_type_is_told_of_where_it_is_asked_for_and_hinders_no_other_write(db, foreign):
    def spoil():
        changed_past(db, Payment, ("p1",), "SET ik = :v", v=foreign)

    db.create(Payment(id="p1", idempotency_key="a"))
    spoil()
    with pytest.raises(ValidationError, match=r"Payment\.idempotency_key") as told:
        db.find_by_unique(Payment, idempotency_key="a")
    assert told.value.field == "idempotency_key"
    db.update(Payment, "p1", Payment.amount.set(2), Payment.idempotency_key.set("b"))
    assert db.find_by_unique(Payment, idempotency_key="b").amount == 2
    spoil()
    db.put(Payment(id="p1", idempotency_key="c"))
    assert db.find_by_unique(Payment, idempotency_key="c").id == "p1"
    spoil()
    db.delete(Payment, "p1")
    assert stored(db, Payment, "p1") is None
    db.repair_unique(Payment, apply=True)
    assert not guards(db, Payment)


def test_a_part_of_a_foreign_type_is_told_of_where_another_part_is_changed(db):
    db.create(User(org="a", number=1, country="NL", passport=1))
    changed_past(db, User, ("a", 1), "SET country = :v", v={"L": []})
    with pytest.raises(ValidationError, match=r"User\.country") as told:
        db.update(User, "a", 1, User.passport.set(2))
    assert told.value.field == "country"
    db.update(User, "a", 1, User.email.set("x"), User.country.set("BE"))
    assert db.find_by_unique(User, country="BE", passport=1).email == "x"


def test_what_cannot_be_unique_is_refused(db):
    class Whole(Model, table="whole"):
        id: Attr[str] = partition_key(Unique())

    class Listed(Model, table="listed"):
        id: Attr[str] = partition_key()
        tags: Attr[list[str]] = attr(Unique(), default_factory=list)

    class Numbered(Model, table="numbered"):
        id: Attr[int] = partition_key()
        name: Attr[str] = attr(Unique())

    with pytest.raises(ModelError, match="whole key"):
        db.create(Whole(id="a"))
    with pytest.raises(ModelError, match="text, number or bytes"):
        db.create(Listed(id="a"))
    with pytest.raises(ModelError, match="guards="):
        db.create(Numbered(id=1, name="a"))


def test_a_subclass_of_the_option_keeps_values_unique(db, key):
    reader = db.create(Reader(id=key, address=f"{key}@x"))
    with pytest.raises(DuplicateKey) as caught:
        db.create(Reader(id=f"{key}-2", address=f"{key}@x"))
    assert (caught.value.field, caught.value.existing) == ("email", (key,))
    db.delete(reader)
    db.create(Reader(id=f"{key}-2", address=f"{key}@x"))


def test_guards_lie_in_no_index_of_the_model(db, key):
    short = db.create(Short(id=key, email=key, c=key, origin=key))
    assert db.model(Short).where(Short.c == key).all() == [short]
    assert db.model(Short).where(Short.origin == key).all() == [short]
    with pytest.raises(DuplicateKey):
        db.create(Short(id=f"{key}-2", email=key))
    assert db.find_by_unique(Short, email=key) == short
    db.delete(short)
    assert db.create(Short(id=f"{key}-2", email=key)).email == key
