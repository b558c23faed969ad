"""Repair of unique attributes while others write: whatever happens between its requests, no two items hold one value."""

import itertools
from base64 import b64encode

import pytest

from dynamorm import DB, Attr, Model, Presets, Unique, attr, partition_key
from dynamorm.codec.library_attributes import GUARD_PREFIX
from dynamorm.errors import DuplicateKey, TransactionConflict
from dynamorm.features.unique_repair import UniqueFault

from .kit import ask, store, table_of

pytestmark = pytest.mark.engine


class User(Model, table="users"):
    id: Attr[str] = partition_key()
    email: Attr[str | None] = attr(Unique(), default=None)


class Guard(Model, table="guards"):
    id: Attr[str] = partition_key()


class Device(Model, table="devices"):
    """Its guards are in a table of their own, and two attributes are unique together."""

    id: Attr[str] = partition_key()
    maker: Attr[str | None] = attr(Unique("serial", guards=Guard), default=None)
    number: Attr[int | None] = attr(Unique("serial", guards=Guard), default=None)


MODELS = [User, Guard, Device]


class Between:
    """An extension that lets something happen before a certain request of the repair, counted from 1."""

    name = "between"

    def __init__(self):
        self.at = {}
        self.sent = 0

    def around(self, call):
        def watched(op):
            self.sent += 1
            for act in self.at.pop(self.sent, ()):
                act()
            return call(op)

        return watched


@pytest.fixture
def others(engine, made):
    """The program that writes meanwhile."""
    with DB(Presets.local_development(endpoint=engine.endpoint, table_prefix=made)) as db:
        yield db
        for model in MODELS:
            for item in rows(db, model):
                ask(_Plain(db), "DeleteItem", {"TableName": table_of(_Plain(db), model), "Key": {"id": item["id"]}})


class _Plain:
    """A blocking database as the kit wants it."""

    def __init__(self, db):
        self.inner = db
        self.run = db._io.run


def past(db, model, **item):
    """Store an item without its guard, as a program does that knows of none."""
    store(_Plain(db), model, {name: {"N" if isinstance(one, int) else "S": str(one)} for name, one in item.items()})


def vanish(db, model, key):
    """Remove an item and leave its guard."""
    ask(_Plain(db), "DeleteItem", {"TableName": table_of(_Plain(db), model), "Key": {"id": {"S": key}}})


def rows(db, model):
    return ask(_Plain(db), "Scan", {"TableName": table_of(_Plain(db), model), "ConsistentRead": True})["Items"]


def is_guard(item):
    return item["id"]["S"].startswith(GUARD_PREFIX)


def holders(db, model, *names):
    """Who has each value, as the items say and as the guards say."""
    items = [one for one in rows(db, model) if not is_guard(one)]
    of_items = [one["id"]["S"] for one in items if all(name in one for name in names)]
    of_guards = [one["ref"]["M"]["id"]["S"] for one in rows(db, Guard if model is Device else User) if is_guard(one)]
    return sorted(of_items), sorted(of_guards)


START = {
    "guarded": lambda db: db.create(User(id="a", email="v")),
    "unguarded": lambda db: past(db, User, id="a", email="v"),
    "orphaned": lambda db: (db.create(User(id="a", email="v")), vanish(db, User, "a")),
    "other value": lambda db: (db.create(User(id="a", email="v")), past(db, User, id="a", email="w")),
}

MEANWHILE = {
    "deleted and made anew": (lambda db: db.delete(User, "a"), lambda db: db.create(User(id="a", email="v"))),
    "deleted, and another takes the value": (
        lambda db: db.delete(User, "a"),
        lambda db: db.create(User(id="b", email="v")),
    ),
    "changed and changed back": (
        lambda db: db.update(User, "a", User.email.set("x")),
        lambda db: db.update(User, "a", User.email.set("v")),
    ),
    "changed, and another takes the value": (
        lambda db: db.update(User, "a", User.email.set("x")),
        lambda db: db.create(User(id="b", email="v")),
    ),
}

LIVE = [
    *(("guarded", what) for what in MEANWHILE),
    *(("unguarded", what) for what in MEANWHILE if "another" in what),
    ("orphaned", "deleted and made anew"),
    ("other value", "deleted and made anew"),
]


@pytest.mark.parametrize(("start", "meanwhile"), LIVE)
def test_whatever_happens_between_two_requests_each_value_has_one_item_and_its_guard(
    open_db, engine, made, others, start, meanwhile
):
    between = Between()
    db = open_db(engine.endpoint, extensions=(between,), table_prefix=made)
    steps = [lambda act=act: _tried(act, others) for act in MEANWHILE[meanwhile]]
    for first, second in itertools.combinations_with_replacement(range(2, 8), 2):
        for item in rows(others, User):
            vanish(others, User, item["id"]["S"])
        START[start](others)
        between.sent = 0
        between.at = {first: steps} if first == second else {first: steps[:1], second: steps[1:]}
        db.repair_unique(User, apply=True)
        between.at.clear()
        of_items, of_guards = holders(others, User, "email")
        if of_items != of_guards:  # what the run had passed by when it became wrong, or what others were refused for
            assert start != "guarded", (first, second)
            db.repair_unique(User, apply=True)
            of_items, of_guards = holders(others, User, "email")
        assert of_items == of_guards, (first, second)
        values = [one["email"]["S"] for one in rows(others, User) if "email" in one]
        assert len(values) == len(set(values)), (first, second)


def _tried(act, db):
    """What others do may be refused, for a value that is still guarded; that is no fault of the repair."""
    try:
        act(db)
    except DuplicateKey:
        return


def test_a_table_in_use_shows_no_faults_that_it_does_not_have(open_db, engine, made, others):
    between = Between()
    db = open_db(engine.endpoint, extensions=(between,), table_prefix=made)
    for steps in MEANWHILE.values():
        for first, second in itertools.combinations(range(2, 7), 2):
            for item in rows(others, User):
                vanish(others, User, item["id"]["S"])
            others.create(User(id="a", email="v"))
            between.sent = 0
            between.at = {at: [lambda act=act: act(others)] for at, act in zip((first, second), steps, strict=True)}
            report = db.repair_unique(User)
            between.at.clear()
            assert report.faults == (), (first, second)


def test_a_guard_in_a_table_of_its_own_is_dropped_only_while_its_item_is_as_it_was_read(open_db, engine, made, others):
    between = Between()
    db = open_db(engine.endpoint, extensions=(between,), table_prefix=made)
    others.create(Device(id="a", maker="m", number=1))
    vanish(others, Device, "a")
    others.create(Device(id="b", maker="m", number=2))
    between.at = {6: [lambda: past(others, Device, id="a", maker="m", number=1)]}
    report = db.repair_unique(Device, apply=True)
    assert between.at == {}
    assert report.repaired == 0
    assert holders(others, Device, "maker") == (["a", "b"], ["a", "b"])
    assert not db.repair_unique(Device).faults


@pytest.mark.parametrize(
    ("stored", "kind"), [({}, "orphaned"), ({"maker": "m"}, "orphaned"), ({"number": 1}, "orphaned")]
)
def test_a_guard_is_dropped_for_an_item_that_lacks_a_part_of_the_value(open_db, engine, made, others, stored, kind):
    db = open_db(engine.endpoint, table_prefix=made)
    others.create(Device(id="a", maker="m", number=1))
    past(others, Device, id="a", **stored)
    report = db.repair_unique(Device, apply=True)
    assert [one.kind for one in report.faults] == [kind]
    assert report.repaired == 1
    assert not db.repair_unique(Device).faults


def test_a_guard_without_a_token_is_dropped_too(open_db, engine, made, others):
    db = open_db(engine.endpoint, table_prefix=made)
    others.create(User(id="a", email="v"))
    guard = next(one for one in rows(others, User) if is_guard(one))
    del guard["wt"]
    store(_Plain(others), User, guard)
    vanish(others, User, "a")
    assert db.repair_unique(User, apply=True).repaired == 1
    assert rows(others, User) == []


def test_what_changes_under_each_try_is_reported_and_left(open_db, engine, made, others):
    """Somebody makes the orphaned guard anew each time before it can be dropped."""
    between = Between()
    db = open_db(engine.endpoint, extensions=(between,), table_prefix=made)
    START["orphaned"](others)

    def anew():
        guard = rows(others, User)[0]
        guard["wt"] = {"B": b64encode(str(between.sent).encode()).decode()}
        store(_Plain(others), User, guard)

    between.at = {at: [anew] for at in range(2, 60)}
    report = db.repair_unique(User, apply=True)
    between.at.clear()
    assert report.repaired == 0
    assert report.faults == (UniqueFault("undecided", "email", ("a",)),)
    assert len(rows(others, User)) == 1
    assert db.repair_unique(User, apply=True).repaired == 1


class Busy:
    """An extension with which another transaction always holds what is read at one moment."""

    name = "busy"

    def around(self, call):
        def held(op):
            if op.name == "TransactGetItems":
                raise TransactionConflict("held by another", operation=op.name, table=op.table)
            return call(op)

        return held


@pytest.mark.parametrize("apply", [False, True], ids=["look", "apply"])
@pytest.mark.parametrize("start", ["unguarded", "orphaned"])
def test_what_could_never_be_looked_at_is_reported_as_undecided(open_db, engine, made, others, start, apply):
    START[start](others)
    db = open_db(engine.endpoint, extensions=(Busy(),), table_prefix=made)
    before = rows(others, User)
    report = db.repair_unique(User, apply=apply)
    assert (report.faults, report.repaired) == ((UniqueFault("undecided", "email", ("a",)),), 0)
    assert rows(others, User) == before
