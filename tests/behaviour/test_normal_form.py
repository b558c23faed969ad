"""What a validator makes of a value is the value everywhere: stored, in memory, in keys, conditions, filters and updates."""

import pytest

from dynamorm import (
    Attr,
    ConditionFailed,
    Model,
    Unique,
    ValidationError,
    attr,
    composite,
    gsi,
    partition_key,
    sort_key,
    version,
)

from .kit import stored

pytestmark = pytest.mark.engine


def lower(text):
    return text.strip().lower()


def lowers(texts):
    return type(texts)(lower(one) for one in texts)


def short(text):
    if len(text) > 9:
        raise ValueError("too long")
    return text


class Address(Model):
    city: Attr[str] = attr(validators=(lower, short))
    zip: Attr[str] = attr(default="", max_length=5)


class Member(Model, table="members"):
    team: Attr[str] = partition_key(validators=(lower,))
    email: Attr[str] = sort_key(validators=(lower,))
    name: Attr[str] = attr(default="x", validators=(lower, short))
    tags: Attr[list[str]] = attr(default_factory=list, validators=(lowers,))
    marks: Attr[set[str]] = attr(default_factory=set, validators=(lowers,))
    home: Attr[Address | None] = attr(default=None)
    homes: Attr[list[Address]] = attr(default_factory=list)
    rank: Attr[int] = attr(default=5, validators=(lambda number: min(number, 10),))
    note: Attr[str] = attr(default="", omit_empty=True, validators=(str.strip,))
    by_name = gsi("by-name", partition="name", sort="rank")


class Versioned(Model, table="versioned"):
    pk: Attr[str] = partition_key(composite("tenant", "email"))
    tenant: Attr[str] = attr(validators=(lower,))
    email: Attr[str] = attr(validators=(lower,))
    name: Attr[str] = attr(default="x", validators=(lower,))
    version: Attr[int] = version()


class Login(Model, table="logins"):
    id: Attr[str] = partition_key(validators=(lower,))
    email: Attr[str] = attr(Unique(), validators=(lower,))


MODELS = [Member, Versioned, Login]
M = Member


@pytest.fixture
def member(db, key):
    """A stored member whose values were all changed on their way."""
    return db.create(
        Member(
            team=f" {key.upper()}", email="A@X ", name=" Ann", tags=[" One"], marks={"Red "},
            home=Address(city=" Riga"), homes=[Address(city="OSLO")], rank=12, note=" n ",
        )
    )  # fmt: skip


def test_the_object_holds_what_is_stored(db, key, member):
    assert member == db.require(Member, key, "a@x", consistent=True)
    assert (member.team, member.email, member.name, member.tags, member.marks) == (key, "a@x", "ann", ["one"], {"red"})
    assert (member.home.city, member.homes[0].city, member.rank, member.note) == ("riga", "oslo", 10, "n")


def puts(db, obj):
    db.put(obj)


def batches(db, obj):
    assert db.batch_write(puts=[obj]).count == 1


def transacts(db, obj):
    with db.transaction() as tx:
        tx.create(obj)


def transacts_put(db, obj):
    with db.transaction() as tx:
        tx.put(obj)


@pytest.mark.parametrize("write", [puts, batches, transacts, transacts_put, lambda db, obj: db.save(obj)])
def test_so_it_does_after_every_write(db, key, write):
    obj = Member(team=key, email="A@X", name=" ANN ", note="  ")
    write(db, obj)
    assert obj == db.require(Member, key, "a@x", consistent=True)
    assert (obj.email, obj.name, obj.note) == ("a@x", "ann", "")
    obj.name = " EVE "
    obj.rank = 77
    db.save(obj)
    assert (obj.name, obj.rank) == ("eve", 10)
    assert stored(db, Member, key, "a@x")["name"] == {"S": "eve"}


def test_a_save_without_a_change_shows_what_is_stored(db, wire, member):
    wire.clear()
    member.name = " ANN "
    db.save(member)
    assert wire.names == []
    assert member.name == "ann"


def test_what_did_not_change_stays_the_same_object(db, key):
    home = Address(city="riga")
    tags = ["a"]
    obj = db.create(Member(team=key, email="a", home=home, tags=tags))
    assert obj.home is home
    assert obj.tags is tags


KEYED = {
    "equal": lambda key: ((M.team == key.upper()) & (M.email == "A@x"),),
    "between": lambda key: (M.team == key.upper(), M.email.between("A", "B")),
    "order": lambda key: (M.team == key.upper(), M.email >= "A@X"),
    "text": lambda key: (("team", "=", key.upper()), ("email", "=", "A@X")),
}


@pytest.mark.parametrize("how", KEYED)
def test_in_the_key_of_a_query(db, key, member, how):
    query = db.model(Member)
    for term in KEYED[how](key):
        query = query.where(*term) if isinstance(term, tuple) else query.where(term)
    assert query.all() == [member]


FILTERS = {
    "equal": lambda: M.name == " ANN",
    "not equal": lambda: ~(M.name != "Ann"),
    "order": lambda: (M.name >= "ANN") & (M.name <= "ANN"),
    "between": lambda: M.name.between("ANN", "ANN "),
    "in": lambda: M.name.in_(["EVE", "ANN"]),
    "number": lambda: M.rank == 400,
    "in of a list": lambda: M.tags.contains(" ONE "),
    "in of a set": lambda: M.marks.contains("RED"),
    "whole list": lambda: M.tags == ["ONE"],
    "whole set": lambda: M.marks == {"RED"},
    "nested": lambda: M.home[Address.city] == "RIGA ",
    "nested in a list": lambda: M.homes[0][Address.city] == "OSLO ",
    "whole nested": lambda: M.home == Address(city="RIGA"),
}


@pytest.mark.parametrize("how", FILTERS)
def test_in_filters_and_conditions(db, key, member, how):
    assert db.model(Member).where(M.team == key).filter(FILTERS[how]()).all() == [member]
    assert db.update(Member, key, "a@x", M.note.set("ok"), condition=FILTERS[how]()).note == "ok"
    with pytest.raises(ConditionFailed):
        db.update(Member, key, "a@x", M.note.set("ok"), condition=~FILTERS[how]())
    with db.transaction() as tx:
        tx.check(Member, key, "a@x", condition=FILTERS[how]())


def test_in_the_key_of_an_index(db, key):
    name = key[:8]
    obj = db.create(Member(team=key, email="a", name=name.upper(), rank=50))
    assert db.model(Member).where(M.name == name.upper()).where(M.rank == 60).all() == [obj]


def test_by_the_parts_of_a_composite_key(db, key):
    obj = Versioned(tenant=key.upper(), email="A@X")
    assert obj.pk == f"{key}#a@x"
    db.create(obj)
    assert db.get(Versioned, tenant=key.upper(), email=" A@x", consistent=True) == obj
    assert db.model(Versioned).where(Versioned.tenant == key.upper()).where(Versioned.email == "A@X").all() == [obj]
    db.update(obj, Versioned.name.set(" EVE"))
    assert obj.name == "eve"
    db.delete(obj)
    assert db.get(Versioned, tenant=key, email="a@x", consistent=True) is None


def test_in_updates(db, key, member):
    fresh = db.update(
        Member, key, "A@X", M.name.set("EVE"), M.tags.append(" TWO"), M.marks.add({" BLUE"}),
        M.home[Address.city].set("ROME"), M.rank.if_not_exists(1),
    )  # fmt: skip
    assert (fresh.name, fresh.tags, fresh.marks, fresh.home.city) == ("eve", ["one", "two"], {"red", "blue"}, "rome")
    assert db.update(Member, key, "a@x", M.marks.delete({"BLUE "})).marks == {"red"}


@pytest.mark.parametrize(
    "bad",
    [
        lambda: M.home[Address.city].set("much too long"),
        lambda: M.home[Address.zip].set("123456"),
        lambda: M.homes[0][Address.zip].set("123456"),
        lambda: M.home[Address.zip].if_not_exists("123456"),
        lambda: M.name.set("much too long"),
    ],
)
def test_constraints_hold_inside_an_attribute_too(wire, db, key, bad):
    with pytest.raises(ValidationError) as caught:
        db.update(Member, key, "a@x", bad())
    assert wire.names == []
    assert "much" not in str(caught.value)


def test_a_condition_may_ask_for_what_may_not_be_stored(db, key, member):
    assert db.model(Member).where(M.team == key).filter(M.name != "much too long").all() == [member]
    with pytest.raises(ValidationError, match=r"Member\.name"):
        db.model(Member).where(M.team == key).filter(M.name == 5).all()


def test_a_prefix_is_taken_as_it_is(db, key, member):
    assert db.model(Member).where(M.team == key).where(M.email.begins_with("a@")).all() == [member]
    assert db.model(Member).where(M.team == key).filter(M.name.begins_with("A")).all() == []


def test_of_unique_attributes(db, key):
    obj = db.create(Login(id=key, email=f" {key.upper()}@X"))
    assert db.find_by_unique(Login, email=f"{key.upper()}@x") == obj
    assert obj.email == f"{key}@x"
