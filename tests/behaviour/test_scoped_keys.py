"""Keys that hold the scope of a view: each view reads and writes what is its own, whatever the way."""

import pytest

from dynamorm import Attr, Model, Unique, attr, composite, gsi, partition_key, sort_key, version
from dynamorm.errors import AlreadyExists, DuplicateKey, ModelError, NotFound, TamperedCursor, ValidationError

from .kit import stored

pytestmark = [pytest.mark.engine, pytest.mark.filterwarnings("ignore:no cursor_key")]


class Charge(Model, table="charges"):
    pk: Attr[str] = partition_key(composite("T#{scope.tenant}#M#{merchant}"))
    number: Attr[int] = sort_key()
    merchant: Attr[str]
    amount: Attr[int] = attr(default=0)
    version: Attr[int] = version()
    by_amount = gsi("by-amount", partition="amount", sort="number")


class Person(Model, table="persons"):
    pk: Attr[str] = partition_key(composite("scope.tenant", "id"))
    id: Attr[str]
    email: Attr[str] = attr(Unique())


class Thing(Model, table="things", discriminator="kind"):
    pk: Attr[str] = partition_key(composite("{scope.tenant}#{of}"))
    sk: Attr[str] = sort_key(composite("{name}"))
    of: Attr[str]
    name: Attr[str]


class Chair(Thing, tag="chair"):
    legs: Attr[int] = attr(default=4)


class Open(Model, table="open"):
    id: Attr[str] = partition_key()


MODELS = [Charge, Person, Thing, Open]


@pytest.fixture
def views(db, key):
    """Views of two tenants, whose texts hold what has a meaning in keys."""
    return db.scoped(tenant=f"{key}#a"), db.scoped(tenant=f"{key}%b")


def numbers(items):
    return [item.number for item in items]


def test_the_scope_is_a_part_of_the_key(db, views, key):
    one, other = views
    charge = one.create(Charge(merchant="m", number=1, amount=5))
    assert charge.pk == f"T#{key}%23a#M#m"
    assert stored(one, Charge, charge.pk, 1)["pk"] == {"S": charge.pk}
    other.create(Charge(merchant="m", number=1, amount=7))
    assert one.get(Charge, merchant="m", number=1).amount == 5
    assert other.get(Charge, merchant="m", number=1).amount == 7
    with pytest.raises(AlreadyExists):
        one.create(Charge(merchant="m", number=1))


def test_the_key_of_an_object_that_is_not_stored_is_not_known(views):
    charge = Charge(merchant="m", number=1)
    with pytest.raises(ValidationError, match="scope of a view"):
        assert charge.pk
    assert "pk=?" in repr(charge)
    views[0].create(charge)
    assert charge.pk.startswith("T#")
    assert views[0].model(Charge).where(Charge.merchant == "m").select("number").first().pk == charge.pk


def test_every_verb_keeps_to_it(views, key):
    one, other = views
    for view, amount in ((one, 1), (other, 2)):
        for number in range(3):
            view.create(Charge(merchant="m", number=number, amount=amount))
    query = one.model(Charge).where(Charge.merchant == "m")
    assert [(charge.number, charge.amount) for charge in query.all()] == [(0, 1), (1, 1), (2, 1)]
    assert query.count() == 3
    assert query.sum(Charge.amount) == 3
    assert one.update(Charge, Charge.amount.add(10), merchant="m", number=0).amount == 11
    assert one.increment(Charge, Charge.amount, by=1, merchant="m", number=0) == 12
    assert [charge.amount for charge in one.batch_get(Charge, [{"merchant": "m", "number": 0}])] == [12]
    assert one.transact_get([(Charge, {"merchant": "m", "number": 0})])[0].amount == 12
    with one.transaction() as tx:
        tx.create(Charge(merchant="m", number=3, amount=1))
        tx.update(Charge, Charge.amount.set(13), merchant="m", number=0)
    charge = one.get(Charge, merchant="m", number=1)
    charge.amount = 50
    one.save(charge)
    one.batch_write(puts=[Charge(merchant="m", number=9, amount=1)])
    one.delete(Charge, merchant="m", number=2)
    assert [(c.number, c.amount) for c in query.all()] == [(0, 13), (1, 50), (3, 1), (9, 1)]
    assert query.delete_all(confirm=True) == 4
    assert [(c.number, c.amount) for c in other.model(Charge).where(Charge.merchant == "m").all()] == [
        (0, 2), (1, 2), (2, 2),
    ]  # fmt: skip


def test_scans_and_indexes_give_what_is_of_the_scope(views, key):
    one, other = views
    amount = int(key[:8], 16)
    one.create(Charge(merchant="m", number=1, amount=amount))
    other.create(Charge(merchant="m", number=2, amount=amount))
    by_amount = one.model(Charge).index("by-amount").where(Charge.amount == amount)
    assert numbers(by_amount.all()) == [1]
    assert by_amount.count() == 1
    assert by_amount.select("number").first().number == 1
    scan = one.model(Charge).allow_scan().filter(Charge.amount == amount)
    assert numbers(scan.all()) == [1]
    assert scan.count() == 1
    assert numbers(scan.segments(2).all()) == [1]
    assert by_amount.delete_all(confirm=True) == 1
    assert other.get(Charge, merchant="m", number=2) is not None


def test_an_object_or_key_of_another_scope_is_refused(views):
    one, other = views
    mine = one.create(Charge(merchant="m", number=1, amount=5))
    for wrong in (
        lambda: other.save(changed(mine)),
        lambda: other.put(mine),
        lambda: other.update(mine, Charge.amount.set(1)),
        lambda: other.delete(mine),
        lambda: other.increment(mine, Charge.amount),
        lambda: other.get(Charge, mine.pk, 1),
        lambda: other.delete(Charge, mine.pk, 1),
        lambda: other.update(Charge, mine.pk, 1, Charge.amount.set(1)),
        lambda: other.batch_get(Charge, [(mine.pk, 1)]),
        lambda: other.batch_write(deletes=[(Charge, mine.pk, 1)]),
        lambda: other.transact_get([(Charge, mine.pk, 1)]),
        lambda: other.exists(Charge, mine.pk, 1),
    ):
        with pytest.raises(ValidationError):
            wrong()
    assert other.model(Charge).where(Charge.pk == mine.pk).all() == []
    found = one.get(Charge, merchant="m", number=1)
    assert found.amount == 5


def changed(charge):
    charge.amount += 1
    return charge


def test_without_a_scope_there_is_no_key(db, key):
    for wrong in (
        lambda: db.create(Charge(merchant="m", number=1)),
        lambda: db.get(Charge, merchant="m", number=1),
        lambda: db.model(Charge).where(Charge.merchant == "m").all(),
        lambda: db.scoped(region="eu").create(Charge(merchant="m", number=1)),
    ):
        with pytest.raises(ValidationError, match=r"db\.view\(tenant=\.\.\.\)"):
            wrong()
    assert db.scoped(region="eu").scoped(tenant=key).create(Charge(merchant="m", number=1)).merchant == "m"
    db.scoped(tenant=key).create(Open(id=key))
    assert db.get(Open, key) is not None


def test_a_unique_value_is_unique_in_its_scope(views, key):
    one, other = views
    first = one.create(Person(id="p", email="e@x"))
    other.create(Person(id="p", email="e@x"))
    with pytest.raises(DuplicateKey):
        one.create(Person(id="q", email="e@x"))
    assert one.find_by_unique(Person, email="e@x").pk == first.pk
    one.delete(first)
    assert one.find_by_unique(Person, email="e@x") is None
    assert other.find_by_unique(Person, email="e@x") is not None


def test_guards_of_all_scopes_are_not_compared(views):
    with pytest.raises(ValidationError, match="scope of a view"):
        views[0].repair_unique(Person)


def test_the_classes_of_a_family(views):
    one, other = views
    one.create(Chair(of="room", name="c", legs=3))
    other.create(Thing(of="room", name="c"))
    (chair,) = one.model(Thing).where(Thing.of == "room").all()
    assert (type(chair), chair.legs) == (Chair, 3)
    chair.legs = 2
    one.save(chair)
    assert one.get(Thing, of="room", name="c").legs == 2
    assert one.model(Chair).where(Chair.of == "room").count() == 1
    with pytest.raises(NotFound):
        one.require(Chair, of="room", name="d")
    with pytest.raises(ValidationError):
        other.delete(chair)


def test_a_cursor_is_of_its_scope(views):
    one, other = views
    for number in range(4):
        one.create(Charge(merchant="c", number=number))
    cursor = one.model(Charge).where(Charge.merchant == "c").page_size(2).page().cursor
    assert numbers(one.model(Charge).where(Charge.merchant == "c").page_size(2).cursor(cursor).page().items) == [2, 3]
    with pytest.raises(TamperedCursor):
        other.model(Charge).where(Charge.merchant == "c").page_size(2).cursor(cursor).page()


def test_plans_of_views_are_kept_by_their_scope(db, key):
    session = db.scoped(tenant=key).inner._session
    assert db.scoped(tenant=key).inner._session.plan(Charge) is session.plan(Charge)
    assert db.scoped(tenant=key + "x").inner._session.plan(Charge) is not session.plan(Charge)
    assert session.plan(Open) is db.inner._session.plan(Open)


def test_a_recording_view_of_a_view_sends_nothing(db, key):
    seen = db.scoped(tenant=key).explain(lambda view: view.view(tenant=key).create(Charge(merchant="m", number=1)))
    assert "PutItem" in str(seen) or "TransactWriteItems" in str(seen)
    assert db.scoped(tenant=key).get(Charge, merchant="m", number=1) is None


@pytest.mark.parametrize(
    "parts", [("scope.tenant",), ("{scope.tenant}{id}",), ("{scope.}#x",), ("{scope.a:03d}#{id}",)]
)
def test_a_form_that_makes_no_key_is_refused(parts):
    with pytest.raises(ModelError):
        composite(*parts)
