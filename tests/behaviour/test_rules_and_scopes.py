"""Where rules for what is read and scopes of views meet the rest: families, indexes, misfits, cursors, streams, memory."""

import enum
import linecache
from datetime import UTC, datetime, timedelta

import pytest

from dynamorm import Attr, Model, Unique, attr, composite, gsi, partition_key, sort_key
from dynamorm.errors import ConfigError, ModelError, TamperedCursor, ValidationError
from dynamorm.faces.stream_link import _named
from dynamorm.plugin import ReadRule
from dynamorm.session import MAX_VIEWS

from .kit import Recorder, store, stored

pytestmark = [pytest.mark.engine, pytest.mark.filterwarnings("ignore:no cursor_key")]


class Note(Model, table="notes"):
    of: Attr[str] = partition_key()
    number: Attr[int] = sort_key()
    hidden: Attr[bool | None] = attr(name="gone", default=None)
    text: Attr[str] = attr(default="t")
    until: Attr[datetime | None] = attr(default=None)
    by_text = gsi("by-text", partition="text", sort="number", projection=["hidden"])


class Animal(Model, table="animals", discriminator="kind"):
    of: Attr[str] = partition_key()
    number: Attr[int] = sort_key()
    name: Attr[str] = attr(default="")
    by_name = gsi("by-name", partition="name", sort="number", projection="KEYS_ONLY")


class Cat(Animal, tag="cat"):
    secret: Attr[bool | None] = attr(default=None)


class Charge(Model, table="charges"):
    pk: Attr[str] = partition_key(composite("{scope.tenant}#{id}"))
    id: Attr[str]
    status: Attr[str] = attr(default="open")
    amount: Attr[int] = attr(default=1)
    by_status = gsi("by-status", partition="status", projection="KEYS_ONLY")
    by_amount = gsi("by-amount", partition="amount", projection=["id"])


class Family(Model, table="families", discriminator="kind"):
    pk: Attr[str] = partition_key(composite("{scope.tenant}#{of}"))
    sk: Attr[str] = sort_key(composite("{name}"))
    of: Attr[str]
    name: Attr[str]


class Chair(Family, tag="chair"):
    sk: Attr[str] = sort_key(composite("CHAIR#{name}"))


class Person(Model, table="persons"):
    pk: Attr[str] = partition_key(composite("{scope.tenant}#{id}"))
    id: Attr[str]
    email: Attr[str] = attr(Unique())


class Indexed(Model, table="indexed"):
    id: Attr[str] = partition_key()
    status: Attr[str] = attr(default="open")
    ik: Attr[str] = attr(composite("{scope.tenant}#{status}"), init=False)
    by_status = gsi("by-status", partition="ik")


MODELS = [Note, Animal, Charge, Family, Person, Indexed]


class NotGone(ReadRule):
    attributes = ("gone",)

    def check(self, item, scope):
        return item.get("gone") != {"BOOL": True}


class NotSecret(ReadRule):
    attributes = ("secret",)

    def __init__(self):
        self.prepared = []

    def check(self, item, scope):
        return item.get("secret") != {"BOOL": True}

    def prepare(self, items, scope):
        self.prepared += [item.model for item in items]
        yield from ()


class Rules:
    """Gives models their rules."""

    name = "rules"

    def __init__(self, **rules):
        self.rules = rules

    def read_rule(self, schema):
        return self.rules.get(schema.model.__name__)


def numbers(items):
    return [item.number for item in items]


def test_a_rule_names_what_is_stored(plugged, key):
    db = plugged(Rules(Note=NotGone()))
    for number in range(4):
        db.create(Note(of=key, number=number, text=key, hidden=number % 2 == 0))
    query = db.model(Note).index("by-text").where(Note.text == key)
    assert numbers(query.all()) == numbers(query.select("number").all()) == [1, 3]
    assert query.sum(Note.number) == 4
    assert query.count() == 2
    assert query.delete_all(confirm=True) == 2
    assert [stored(db, Note, key, number) is None for number in range(4)] == [False, True, False, True]


@pytest.fixture
def cats(plugged, key):
    """Animals of which some are cats that only a rule of cats leaves out."""
    rule = NotSecret()
    db = plugged(Rules(Cat=rule))
    for number in range(3):
        db.create(Cat(of=key, number=number, name=key, secret=number == 0))
    db.create(Animal(of=key, number=3, name=key))
    rule.prepared.clear()
    return db, rule


def test_a_rule_of_a_subclass_holds_where_its_items_are_read_by_the_base(cats, key):
    db, rule = cats
    query = db.model(Animal).where(Animal.of == key)
    assert numbers(query.all()) == numbers(query.select("number").all()) == [1, 2, 3]
    assert set(rule.prepared) == {Cat}
    assert query.count() == 3
    assert db.get(Animal, key, 0) is None
    assert db.get(Animal, key, 0, select=["number"]) is None
    assert not db.exists(Animal, key, 0)
    assert [one and one.number for one in db.batch_get(Animal, [(key, 0), (key, 1)])] == [None, 1]
    assert db.transact_get([(Animal, key, 0)]) == [None]
    of_cats = db.model(Cat).where(Cat.of == key)
    assert numbers(of_cats.collect(Cat, Animal)[Cat]) == [1, 2]
    by_name = db.model(Cat).index("by-name").where(Cat.name == key).hydrate()
    assert numbers(by_name.all()) == [1, 2]
    assert query.delete_all(confirm=True) == 3
    assert stored(db, Animal, key, 0) is not None


def test_a_class_that_comes_too_late_for_its_rule_is_refused(plugged, key):
    rules = Rules()
    db = plugged(rules)
    db.create(Animal(of=key, number=1))

    class Late(Animal, tag=f"late-{key}"):
        pass

    rules.rules["Late"] = NotSecret()
    plugged().create(Late(of=key, number=2))
    with pytest.raises(ConfigError, match="import all classes of a table before"):
        db.model(Animal).where(Animal.of == key).all()


def test_what_is_left_out_need_not_be_readable(plugged, key):
    db = plugged(Rules(Note=NotGone()))
    db.create(Note(of=key, number=1))
    wrong = {"of": {"S": key}, "number": {"N": "2"}, "gone": {"BOOL": True}, "until": {"N": "5"}}
    store(db, Note, wrong)
    query = db.model(Note).where(Note.of == key)
    assert numbers(query.all()) == numbers(query.on_misfit("skip").all()) == [1]
    assert query.on_misfit("collect").page().misfits == []
    assert query.count() == 1
    assert db.get(Note, key, 2) is None
    assert db.batch_get(Note, [(key, 2)]) == [None]
    assert db.transact_get([(Note, key, 2)]) == [None]
    assert db.partiql('SELECT * FROM {table} WHERE "of" = ?', key, model=Note)[0].number == 1


def test_what_is_anothers_need_not_be_readable(db, key):
    one, other = db.scoped(tenant=f"{key}a"), db.scoped(tenant=f"{key}b")
    one.create(Charge(id="1", status=key))
    other.create(Charge(id="bob@example.com", status=key))
    query = one.model(Charge).index("by-status").where(Charge.status == key)
    assert [charge.pk for charge in query.all()] == [f"{key}a#1"]
    assert query.count() == 1
    store(db, Charge, {"pk": {"S": f"{key}b#x"}, "id": {"N": "5"}, "status": {"S": key}})
    scan = one.model(Charge).allow_scan().filter(Charge.status == key)
    assert [charge.id for charge in scan.all()] == ["1"]
    assert scan.on_misfit("collect").page().misfits == []
    assert query.delete_all(confirm=True) == 1


def test_an_index_is_hydrated_in_a_view(db, key):
    one, other = db.scoped(tenant=f"{key}a"), db.scoped(tenant=f"{key}b")
    amount = int(key[:8], 16)
    for view in (one, other):
        view.create(Charge(id="1", amount=amount))
    query = one.model(Charge).index("by-amount").where(Charge.amount == amount)
    assert [charge.pk for charge in query.hydrate().all()] == [f"{key}a#1"]
    assert query.hydrate().count() == 1
    assert len(query.hydrate().page().items) == 1


def test_a_subclass_makes_the_rest_of_its_key_in_its_own_way(db, key):
    view = db.scoped(tenant=key)
    view.create(Chair(of="r", name="c"))
    assert type(view.get(Family, f"{key}#r", "CHAIR#c")) is Chair
    assert view.exists(Family, f"{key}#r", "CHAIR#c")
    assert len(view.model(Family).where(Family.of == "r").all()) == 1
    assert len(view.model(Chair).where(Chair.of == "r").collect(Family, Chair)[Chair]) == 1


def test_classes_of_one_table_hold_the_same_scope(db, key):
    class Plain(Model, table=f"plain-{key}", discriminator="kind"):
        pk: Attr[str] = partition_key()

    class Scoped(Plain, tag="scoped"):
        pk: Attr[str] = partition_key(composite("{scope.tenant}#{id}"))
        id: Attr[str]

    for model in (Plain, Scoped):
        with pytest.raises(ModelError, match="let the keys of all hold it"):
            db.scoped(tenant="t").get(model, "x")


def test_without_its_scope_a_model_has_no_keys(db, key):
    view = db.scoped(tenant=key)
    person = view.create(Person(id="1", email=f"{key}@x"))
    for wrong in (
        lambda: db.delete(Person, person.pk),
        lambda: db.update(Person, person.pk, Person.email.set("new")),
        lambda: db.get(Person, person.pk),
        lambda: db.delete(person),
        lambda: db.scoped(region="eu").delete(Person, person.pk),
    ):
        with pytest.raises(ValidationError, match="scope of a view"):
            wrong()
    assert view.find_by_unique(Person, email=f"{key}@x").pk == person.pk


def test_what_is_left_out_costs_no_request_for_each(plugged, key):
    wire = Recorder()
    db = plugged(Rules(Note=NotGone()), wire)
    db.batch_write(puts=[Note(of=key, number=number, hidden=number < 60) for number in range(61)])
    wire.clear()
    query = db.model(Note).where(Note.of == key)
    assert query.first().number == 60
    assert len(wire.names) <= 3
    wire.clear()
    assert query.limit(1).count() == 1
    assert len(query.page_size(1).page().items) == 1
    assert len(wire.names) <= 6


def test_a_plain_cursor_is_refused_in_a_view(db, key):
    view = db.scoped(tenant=key)
    for number in range(3):
        view.create(Charge(id=f"{number}", status=key))
    query = view.model(Charge).index("by-status").where(Charge.status == key).page_size(1).cursor_format("v0.1")
    page = query.page()
    with pytest.raises(ValidationError, match="leave out cursor_format"):
        assert page.cursor
    with pytest.raises(ValidationError, match="leave out cursor_format"):
        query.cursor("e30=").page()


class Lasting(ReadRule):
    """A filter that changes with the time."""

    def contribute(self, draft):
        draft.filter(Note.until.not_exists() | (Note.until > datetime.now(UTC)))


def test_a_filter_may_change_from_page_to_page(plugged, key):
    db = plugged(Rules(Note=Lasting()))
    later = datetime.now(UTC) + timedelta(days=1)
    for number in range(4):
        db.create(Note(of=key, number=number, until=later))
    query = db.model(Note).where(Note.of == key).page_size(2)
    cursor = query.page().cursor
    assert numbers(query.cursor(cursor).page().items) == [2, 3]
    with pytest.raises(TamperedCursor):
        query.filter(Note.text == "t").cursor(cursor).page()


def test_views_leave_nothing_behind(db, key):
    def lines():
        return sum("partial" in name for name in linecache.cache)

    for number in range(MAX_VIEWS + 5):
        db.scoped(tenant=f"{key}{number}").exists(Charge, id="x")
    before = lines()
    for number in range(MAX_VIEWS + 5):
        db.scoped(tenant=f"{key}{number}y").exists(Charge, id="x")
    assert lines() <= before + 10


def test_nobody_changes_a_scope(db, key):
    view = db.inner.view(tenant=key)
    with pytest.raises(TypeError):
        view._session.scope["tenant"] = "other"


def test_a_scope_is_plain_text(db, key):
    class Shown(str):
        __slots__ = ()

        def __str__(self):
            return "other"

        def isalnum(self):
            return True

    class Tenant(str, enum.Enum):  # noqa: UP042 - a str that shows itself in another way
        A = "a#b"

    assert db.scoped(tenant=Shown(f"{key}#1")).create(Charge(id="1")).pk == f"{key}%231#1"
    assert type(db.inner.view(tenant=Tenant.A)._session.scope["tenant"]) is str
    assert db.inner.view(tenant=Tenant.A)._session.scope["tenant"] == "a#b"
    with pytest.raises(ValidationError, match="not valid Unicode"):
        db.inner.view(tenant="\ud800")


def test_a_check_of_the_object_is_asked(plugged, key):
    rule = ReadRule()
    rule.attributes = ()
    rule.check = lambda item, scope: item.get("number") != {"N": "1"}
    db = plugged(Rules(Note=rule))
    for number in range(3):
        db.create(Note(of=key, number=number))
    assert numbers(db.model(Note).where(Note.of == key).all()) == [0, 2]


def test_a_scope_in_the_key_of_an_index_alone(db, key):
    one, other = db.scoped(tenant=f"{key}a"), db.scoped(tenant=f"{key}b")
    one.create(Indexed(id=f"{key}1"))
    other.create(Indexed(id=f"{key}2"))
    found = one.model(Indexed).index("by-status").where(Indexed.status == "open").all()
    assert [item.id for item in found] == [f"{key}1"]
    assert one.get(Indexed, f"{key}2") is not None  # its key holds no scope
    with pytest.raises(ValidationError, match=r"db\.view\(tenant=\.\.\.\)"):
        db.create(Indexed(id=f"{key}3"))


def test_readers_of_a_stream_in_two_views_share_no_checkpoint(db, key):
    def consumer(**scope):
        view = db.inner.view(**scope) if scope else db.inner
        return _named(view._session.plan(Note).table, view._session.scope)

    names = [consumer(), consumer(tenant=key), consumer(tenant=f"{key}2"), consumer(tenant=key, region="eu")]
    assert len(set(names)) == 4
    assert names[0] == db.inner._session.plan(Note).table
    assert consumer(tenant=key) == names[1]
