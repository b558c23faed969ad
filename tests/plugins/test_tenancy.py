"""Tenants: a view of one has nothing of another, in each verb, for each kind of key, on both faces (T01)."""

import asyncio
import json
import uuid
import warnings
from contextlib import nullcontext
from typing import Annotated
from unicodedata import normalize

import pytest

from dynamorm import DB, Attr, Mixin, Model, Presets, Tenant, Unique, actor, attr, composite, partition_key, sort_key
from dynamorm.errors import (
    AlreadyExists,
    ConditionFailed,
    ConfigError,
    DuplicateKey,
    InvalidTenant,
    MissingItem,
    ModelError,
    NotFound,
    Outcome,
    TamperedCursor,
    TenantError,
    TenantMismatch,
    TenantRequired,
    TransactionCancelled,
    ValidationError,
)
from dynamorm.plugins.tenancy import Tenancy
from dynamorm.streams import decode
from dynamorm.testing import FakeClock, reply

from ..behaviour.kit import change as changed_past
from .scripts import Scripted
from .tenancy_kit import IDS, Order, Plain, Put, Shared, Txn, outcome, tenants

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def opened(engine):
    faces = {}

    def get(kind):
        if kind not in faces:
            faces[kind] = tenants(kind, engine)
        return faces[kind]

    yield get
    for face in faces.values():
        face.close()


@pytest.fixture
def db(opened, face_kind):
    return opened(face_kind)


@pytest.fixture
def pair(db):
    """Views of two tenants that nobody else has."""
    name = uuid.uuid4().hex
    return db.with_tenant(f"{name}-a"), db.with_tenant(f"{name}-b")


@pytest.fixture
def key():
    return uuid.uuid4().hex


# ------------------------------------------------------------------------------------------------- without a tenant


@pytest.mark.parametrize(
    "verb",
    [
        lambda db: db.get(Order, "t", "1"),
        lambda db: db.require(Shared, "1"),
        lambda db: db.exists(Txn, "t#1", "0"),
        lambda db: db.create(Order(number="1")),
        lambda db: db.put(Shared(id="1")),
        lambda db: db.save(Put(id="1")),
        lambda db: db.update(Shared, "1", Shared.amount.add(1)),
        lambda db: db.upsert(Shared, "1", Shared.amount.add(1)),
        lambda db: db.increment(Shared, "1", Shared.amount),
        lambda db: db.delete(Shared, "1"),
        lambda db: db.find_by_unique(Txn, mail="m"),
        lambda db: db.batch_get(Shared, ["1"]),
        lambda db: db.batch_write(puts=[Order(number="1")]),
        lambda db: db.transact_get([(Shared, "1")]),
        lambda db: db.model(Shared).allow_scan().all(),
        lambda db: db.model(Order).where(Order.tenant_id == "t").count(),
        lambda db: db.model(Order).where("tenant_id", "=", "t").first(),
        lambda db: db.repair_unique(Txn),
        lambda db: db.partiql("SELECT * FROM {table}", model=Shared),
        lambda db: db.stream(Shared),
    ],
)
def test_a_model_of_tenants_is_refused_without_a_tenant(db, verb):
    with pytest.raises(TenantRequired) as caught:
        verb(db)
    assert caught.value.outcome is Outcome.NOT_APPLIED
    assert not caught.value.retryable


def test_other_models_need_no_tenant_and_are_the_same_for_all(db, pair, key):
    db.create(Plain(id=key))
    assert pair[0].get(Plain, key) == pair[1].get(Plain, key) == db.get(Plain, key)


# ----------------------------------------------------------------------------------------------------- keyed models


def test_the_object_gets_the_tenant_and_its_key_holds_it(pair, key):
    a, b = pair
    made = a.create(Txn(number=key))
    assert made.pk == f"{made.tenant_id}#{key}"
    assert a.get(Txn, number=key, at="0") == made
    assert b.get(Txn, number=key, at="0") is None
    order = a.create(Order(number=key))
    assert a.get(Order, key) == a.get(Order, number=key) == a.get(Order, order.tenant_id, key) == order
    assert b.get(Order, key) is None
    assert b.create(Order(number=key)) != order  # the same number is free for another tenant


def test_a_tenant_that_is_named_too_is_taken_if_it_is_the_same(pair, key):
    a, b = pair
    own = _scope(a)["tenant"]
    assert a.create(Order(tenant_id=own, number=key)).tenant_id == own
    with pytest.raises(TenantMismatch):
        b.create(Order(tenant_id=own, number=key))
    with pytest.raises(TenantMismatch):
        b.get(Order, tenant_id=own, number=key)


def test_a_foreign_key_is_refused_before_anything_is_sent(pair, key):
    a, b = pair
    made, order = a.create(Txn(number=key, at="1")), a.create(Order(number=key))
    for verb in (
        lambda: b.get(Txn, made.pk, made.sk),
        lambda: b.exists(Txn, made.pk, made.sk),
        lambda: b.batch_get(Txn, [(made.pk, made.sk)]),
        lambda: b.transact_get([(Txn, made.pk, made.sk)]),
        lambda: b.update(Txn, made.pk, made.sk, Txn.amount.set(1)),
        lambda: b.delete(Txn, made.pk, made.sk),
        lambda: b.increment(Txn, made.pk, made.sk, Txn.amount),
        lambda: b.delete(made),
        lambda: b.save(made),
        lambda: b.put(made),
        lambda: b.update(made, Txn.amount.set(1)),
        lambda: b.batch_write(puts=[order]),
        lambda: b.batch_write(deletes=[order]),
        lambda: b.batch_write(deletes=[(Order, order.tenant_id, key)]),
        lambda: b.get(Order, order.tenant_id, key),
        lambda: b.model(Txn).where(Txn.tenant_id == made.tenant_id, Txn.number == key).all(),
        lambda: b.model(Txn).where(Txn.pk == made.pk).all(),
    ):
        with pytest.raises(TenantMismatch) as caught:
            verb()
        assert caught.value.outcome is Outcome.NOT_APPLIED
        assert made.tenant_id not in str(caught.value)
    assert a.get(Txn, made.pk, made.sk) == made


def test_the_tenant_of_an_item_never_changes(pair, key):
    a, _ = pair
    order, shared = a.create(Order(number=key)), a.create(Shared(id=key))
    for change in (
        lambda: a.update(Shared, key, Shared.tenant_id.set("other")),
        lambda: a.update(Shared, key, Shared.tenant_id.remove()),
        lambda: a.upsert(Shared, key, Shared.tenant_id.set("other")),
    ):
        assert outcome(change) is TenantMismatch
    shared.tenant_id = order.tenant_id = "other"
    for change in (lambda: a.save(shared), lambda: a.put(shared), lambda: a.save(order), lambda: a.delete(order)):
        assert outcome(change) is TenantMismatch


def test_what_an_update_makes_has_the_tenant(pair, key):
    a, b = pair
    for made in (
        a.upsert(Shared, key, Shared.amount.add(2)),
        a.upsert(Order, key, Order.amount.add(2)),
        a.upsert(Put, key, Put.amount.add(2)),
        a.update(Txn, Txn.amount.set(2), number=key, at="0", upsert=True),
    ):
        assert made.tenant_id == a.get(Order, key).tenant_id
        assert made.amount == 2
    assert b.get(Shared, key) is None


def test_a_key_with_the_tenant_before_it(db, pair, key):
    a, b = pair
    mine, theirs = a.create(Put(id=key, amount=1)), b.create(Put(id=key, amount=2))
    assert (a.get(Put, key), b.get(Put, key)) == (mine, theirs)
    mine.amount = 3
    a.save(mine)
    assert a.update(Put, key, Put.amount.add(1)).amount == 4
    assert a.increment(Put, key, Put.amount) == 5
    assert [one.amount for one in a.model(Put).where(Put.id == key).all()] == [5]
    assert [one and one.id for one in a.batch_get(Put, [key, "none"])] == [key, None]
    with a.transaction() as tx:
        tx.update(Put, key, Put.amount.set(6))
    assert b.get(Put, key).amount == 2
    with DB(db.inner.config) as plain:
        stored = {one["id"] for one in plain.partiql('SELECT * FROM "tenancy-prefixed"')}
    assert {f"T#{mine.tenant_id}#{key}", f"T#{theirs.tenant_id}#{key}"} <= stored
    assert a.batch_write(puts=[Put(id=f"{key}-2")], deletes=[(Put, key)]).ok
    assert a.get(Put, key) is None
    assert b.get(Put, key) == theirs


def test_a_save_of_a_foreign_object_under_a_changed_tenant_says_what_is_wrong(pair, key):
    a, b = pair
    a.create(Put(id=key, amount=1))
    theirs = a.require(Put, key)
    theirs.tenant_id, theirs.amount = b.require(Put, b.create(Put(id=f"{key}-b")).id).tenant_id, 999
    with pytest.raises(TenantMismatch, match=r"Put\.tenant_id is another tenant than the one that is served") as caught:
        b.save(theirs)
    assert caught.value.outcome is Outcome.NOT_APPLIED
    assert (a.get(Put, key).amount, b.get(Put, key)) == (1, None)


@pytest.mark.parametrize("verb", ["put", "transaction", "batch", "all"])
def test_an_object_of_another_tenant_is_written_under_no_key_of_that(db, pair, key, verb):
    """Its tenant was changed: it has still the key under which it is stored."""
    a, b = pair
    a.create(Put(id=key, amount=1))
    theirs = a.require(Put, key)
    theirs.tenant_id, theirs.amount = b.require(Put, b.create(Put(id=f"{key}-b")).id).tenant_id, 999

    def write():
        if verb == "put":
            b.put(theirs)
        elif verb == "transaction":
            with b.transaction() as tx:
                tx.put(theirs)
        elif verb == "batch":
            b.batch_write(puts=[theirs])
        else:
            db.all_tenants(reason="test").put(theirs)

    with pytest.raises((TenantMismatch, ValidationError)) as caught:
        write()
    assert caught.value.outcome is Outcome.NOT_APPLIED
    assert (a.get(Put, key).amount, b.get(Put, key)) == (1, None)


@pytest.mark.parametrize("option", [Tenant(), Tenant, Unique()])
def test_an_option_in_an_annotation_is_refused(db, option):
    class Wrong(Model, table="tenancy-wrong"):
        id: Attr[str] = partition_key()
        tenant_id: Attr[Annotated[str, option]] = attr(default="")

    with pytest.raises(ModelError, match="attr"):
        db.with_tenant("a").create(Wrong(id="1"))


# ------------------------------------------------------------------------------------------------------ shared keys


def test_a_foreign_item_under_a_shared_key_counts_as_absent(pair, key):
    a, b = pair
    mine = a.create(Shared(id=key, amount=5))
    for verb, told in (
        (lambda: b.get(Shared, key), None),
        (lambda: b.get(Shared, key, select=["amount"]), None),
        (lambda: b.require(Shared, key), NotFound),
        (lambda: b.exists(Shared, key), False),
        (lambda: b.batch_get(Shared, [key]), [None]),
        (lambda: b.transact_get([(Shared, key)]), [None]),
        (lambda: b.model(Shared).where(Shared.id == key).all(), []),
        (lambda: b.create(Shared(id=key)), AlreadyExists),
        (lambda: b.put(Shared(id=key)), AlreadyExists),
        (lambda: b.save(Shared(id=key)), AlreadyExists),
        (lambda: b.update(Shared, key, Shared.amount.set(1)), MissingItem),
        (lambda: b.upsert(Shared, key, Shared.amount.set(1)), MissingItem),
        (lambda: b.update(Shared, key, Shared.amount.set(1), condition=Shared.amount == 5), MissingItem),
        (lambda: b.increment(Shared, key, Shared.amount, maximum=1), MissingItem),
        (lambda: b.delete(Shared, key), None),
        (lambda: b.delete(Shared, key, must_exist=True), MissingItem),
        (lambda: b.delete(Shared, key, returning="old"), None),
        (lambda: b.delete(Shared, key, condition=Shared.amount == 5), ConditionFailed),
    ):
        assert outcome(verb) == told
    assert a.get(Shared, key) == mine


def _together(db, *adds):
    with db.transaction() as tx:
        for add in adds:
            add(tx)


def test_a_transaction_tells_nothing_of_a_foreign_item(pair, key):
    a, b = pair
    mine = a.create(Shared(id=key))
    for add in (
        lambda tx: tx.put(Shared(id=key)),
        lambda tx: tx.update(Shared, key, Shared.amount.set(1)),
        lambda tx: tx.delete(Shared, key),
        lambda tx: tx.check(Shared, key),
        lambda tx: tx.check(Shared, key, Shared.amount == 0),
    ):
        with pytest.raises(TransactionCancelled) as caught:
            _together(b, add, lambda tx: tx.create(Order(number=f"{key}-2")))
        first, second = caught.value.reasons
        assert isinstance(first.error, (AlreadyExists, ConditionFailed, MissingItem))
        assert first.error.item is None
        assert second is None
    assert a.get(Shared, key) == mine


def test_what_is_refused_of_a_foreign_item_is_refused_as_of_an_absent_one(pair, key):
    a, b = pair
    a.create(Shared(id=key, amount=5))

    def told(verb, number):
        try:
            return verb(number)
        except (ConditionFailed, TransactionCancelled) as error:
            return type(error), error.codes

    for verb in (
        lambda number: b.delete(Shared, number),
        lambda number: b.delete(Shared, number, must_exist=True),
        lambda number: b.delete(Shared, number, returning="old"),
        lambda number: b.delete(Shared, number, condition=Shared.amount == 5),
        lambda number: b.update(Shared, number, Shared.amount.set(1)),
        lambda number: b.update(Shared, number, Shared.amount.set(1), condition=Shared.amount == 5),
        lambda number: _together(b, lambda tx: tx.check(Shared, number, Shared.amount == 5)),
        lambda number: _together(b, lambda tx: tx.check(Shared, number)),
        lambda number: _together(b, lambda tx: tx.update(Shared, number, Shared.amount.set(1))),
    ):
        assert told(verb, key) == told(verb, f"{key}-absent")
    assert a.get(Shared, key).amount == 5


def test_declaring_a_shared_key_warns_once(engine):
    class Warned(Model, table="tenancy-warned"):
        id: Attr[str] = partition_key()
        tenant_id: Attr[str] = attr(Tenant())

    warned = pytest.warns(UserWarning, match="does not begin with its tenant")
    for expected in (warned, nullcontext()):
        with DB(Presets.local_development(endpoint=engine.endpoint)) as db, expected:
            db.with_tenant("t").model(Warned).where(Warned.id == "1").explain()


def test_a_batch_of_shared_keys_is_refused(pair, key):
    a, b = pair
    mine = a.create(Shared(id=key))
    assert outcome(lambda: b.batch_write(puts=[Shared(id=key)])) is TenantMismatch
    assert outcome(lambda: b.batch_write(deletes=[(Shared, key)])) is TenantMismatch
    assert a.get(Shared, key) == mine


# ------------------------------------------------------------------------------------------------------------ batches


def test_a_list_with_a_foreign_object_is_refused_whole(pair, key):
    a, _ = pair
    puts = [Order(number=f"{key}{n}") for n in range(60)]
    puts[40].tenant_id = "other"
    assert outcome(lambda: a.batch_write(puts=puts)) is TenantMismatch
    assert a.model(Order).where(Order.number.begins_with(key)).count() == 0


def test_an_iterator_is_read_no_further_than_a_foreign_object(pair, key):
    a, _ = pair
    read = []

    def puts():
        for number in range(1000):
            read.append(number)
            yield Order(number=f"{key}{number:04}", tenant_id="other" if number == 7 else None)

    result = a.batch_write(puts=puts())
    assert len(read) == 8
    assert result.count == 7
    assert isinstance(result.failed[0].error, TenantMismatch)
    assert len(result.failed) == 1
    assert a.model(Order).where(Order.number.begins_with(key)).count() == 7


def test_a_batch_of_a_view_is_of_its_tenant(pair, key):
    a, b = pair
    puts = [Order(number=f"{key}{n}") for n in range(30)]
    assert a.batch_write(puts=puts).count == 30
    assert {one.tenant_id for one in puts} == {a.get(Order, f"{key}0").tenant_id}
    assert b.batch_get(Order, [(f"{key}{n}",) for n in range(30)]) == [None] * 30
    assert a.batch_write(deletes=puts[:3]).count == 3
    assert a.model(Order).delete_all(confirm=True) == 27


def test_a_batcher_writes_for_the_tenant_of_its_view(pair, key):
    a, b = pair
    with a.new_batcher() as batcher:
        for number in range(5):
            batcher.add(Order(number=f"{key}{number}"))
    assert a.model(Order).where(Order.number.begins_with(key)).count() == 5
    assert b.model(Order).where(Order.number.begins_with(key)).count() == 0


# ------------------------------------------------------------------------------------------------------------ queries


def test_a_query_reads_partitions_of_its_tenant_alone(pair, key):
    a, b = pair
    a.create(Txn(number=key, status="paid", amount=1))
    b.create(Txn(number=key, status="paid", amount=2))
    a.create(Shared(id=key, amount=1))
    b.create(Shared(id=f"{key}-b", amount=2))
    assert [one.amount for one in a.model(Txn).where(Txn.status == "paid").all()] == [1]
    assert [one.amount for one in a.model(Txn).where(Txn.number == key).all()] == [1]
    assert b.model(Txn).where(Txn.status == "paid").sum("amount") == 2
    assert [one.id for one in a.model(Shared).all()] == [key]
    assert a.model(Shared).count() == 1
    assert [one.id for page in b.model(Shared).pages() for one in page.items] == [f"{key}-b"]
    assert [one.id for one in a.model(Shared).allow_scan().all()] == [key]  # the index of tenants answers it
    assert "gsi-tenant" in str(a.model(Shared).explain())


@pytest.mark.parametrize(
    "query",
    [
        lambda view: view.model(Txn).index("gsi-bare-status").where(Txn.status == "paid"),
        lambda view: view.model(Txn).where(Txn.amount > 1).allow_scan(),
        lambda view: view.model(Txn).allow_scan().segments(2),
        lambda view: view.model(Shared).index("gsi-shared-status").where(Shared.status == "new"),
        lambda view: view.model(Shared).index("gsi-shared-status").where(Shared.status == "new", Shared.id == "x"),
        lambda view: view.model(Put).allow_scan(),
    ],
)
@pytest.mark.parametrize("end", ["all", "count", "first", "page"])
def test_what_is_not_within_a_partition_of_the_tenant_is_refused(pair, query, end):
    with pytest.raises(TenantError):
        getattr(query(pair[0]), end)()


def test_a_foreign_tenant_in_a_query_is_refused_in_each_form(pair):
    for query in (
        lambda: pair[0].model(Shared).where(Shared.tenant_id == "other").all(),
        lambda: pair[0].model(Shared).where("tenant_id", "=", "other").all(),
        lambda: pair[0].model(Order).where((Order.tenant_id == "other") & (Order.number == "1")).all(),
        lambda: pair[0].model(Shared).filter(Shared.tenant_id == "other").all(),
    ):
        assert outcome(query) is TenantMismatch
    assert outcome(lambda: pair[0].model(Order).where(Order.tenant_id.in_(["x", "y"])).all()) is not None


FOREIGN_LISTS = [
    (Order, Order.tenant_id.in_(["other"]), Order.number == "1"),
    (Order, Order.tenant_id.in_(["other"]), None),
    (Txn, Txn.pk.in_(["other#1"]), Txn.sk == "1"),
    (Txn, Txn.pk.in_(["other#1"]), Txn.sk > "1"),
    (Txn, Txn.pk.in_(["other#1"]) & (Txn.sk == "1"), None),
    (Txn, Txn.tenant_id.in_(["other"]), Txn.number == "1"),
    (Shared, Shared.tenant_id.in_(["other"]), Shared.id == "1"),
]


@pytest.mark.filterwarnings("ignore:the partition key of Shared")
@pytest.mark.parametrize(("model", "term", "other"), FOREIGN_LISTS)
@pytest.mark.parametrize("end", ["all", "first", "count", "exists", "page", "filter"])
def test_a_list_of_one_foreign_key_is_refused_as_the_key_is(face_kind, model, term, other, end):
    made = Scripted(
        face_kind, Tenancy(), answer=lambda _: reply({"Items": [], "Count": 0, "ScannedCount": 0}), clock=FakeClock()
    )
    terms = (term,) if other is None else (other, term)
    query = made.db.with_tenant("a").model(model)
    query = query.where(*terms[:-1]).filter(term) if end == "filter" else query.where(*terms)
    assert outcome(query.all if end == "filter" else getattr(query, end)) is TenantMismatch
    assert not made.driver.requests


def test_a_list_of_the_own_key_is_asked_for(db, key):
    a = db.with_tenant("a")
    a.create(Order(number=key))
    a.create(Txn(number=key))
    found = a.model(Order).where(Order.tenant_id.in_(["a"]), Order.number == key).all()
    assert [one.number for one in found] == [key]
    for terms in ((Txn.pk.in_([f"a#{key}"]),), (Txn.pk.in_([f"a#{key}"]), Txn.sk == "0")):
        assert [one.number for one in a.model(Txn).where(*terms).all()] == [key]


def test_a_cursor_is_good_for_its_tenant_alone(pair, key):
    a, b = pair
    for number in range(5):
        a.create(Order(number=f"{key}{number}"))
    page = a.model(Order).page_size(2).page()
    assert outcome(lambda: b.model(Order).page_size(2).cursor(page.cursor).page()) is TamperedCursor
    behind = a.model(Order).page_size(2).cursor(page.cursor).page()
    assert len(behind.items) == 2
    assert outcome(lambda: b.model(Order).page_size(2).cursor(behind.previous).page()) is TamperedCursor
    back = a.model(Order).page_size(2).cursor(behind.previous).page()
    assert [one.number for one in back] == [one.number for one in page]
    assert outcome(lambda: b.model(Order).start_after(behind[0]).all()) is ValidationError  # it is of another tenant


# ------------------------------------------------------------------------------------------------------------- unique


def test_a_value_is_unique_within_its_tenant(pair, key):
    a, b = pair
    mine = a.create(Txn(number="1", mail=key))
    theirs = b.create(Txn(number="1", mail=key))
    assert outcome(lambda: a.create(Txn(number="2", mail=key))) is DuplicateKey
    assert a.find_by_unique(Txn, mail=key) == mine
    assert b.find_by_unique(Txn, mail=key) == theirs
    a.delete(mine)
    assert a.create(Txn(number="2", mail=key)).number == "2"
    assert b.find_by_unique(Txn, mail=key) == theirs


class Row(Model, table="tenancy-ledger"):
    """The table as a program that knows of no tenants sees it."""

    pk: Attr[str] = partition_key()
    sk: Attr[str] = sort_key()


@pytest.mark.parametrize("foreign", [{"N": "1"}, {"L": []}, {"M": {}}, {"BOOL": True}], ids=lambda one: next(iter(one)))
def test_a_tenant_of_a_foreign_type_is_told_of_where_a_unique_value_is_asked_for(db, pair, key, foreign):
    def spoil():
        changed_past(db, Row, (mine.pk, mine.sk), "SET tenant_id = :v", v=foreign)

    a = pair[0]
    mine = a.create(Txn(number="1", mail=key))
    for verb in (
        lambda: a.find_by_unique(Txn, mail=key),
        lambda: a.update(Txn, mine.pk, mine.sk, Txn.mail.set("b")),
    ):
        spoil()
        with pytest.raises(ValidationError, match=r"Txn\.tenant_id") as told:
            verb()
        assert told.value.field == "tenant_id"
    a.put(Txn(number="1", mail=f"{key}-c"))
    assert a.find_by_unique(Txn, mail=f"{key}-c").number == "1"
    spoil()
    a.delete(Txn, mine.pk, mine.sk)
    assert not a.exists(Txn, mine.pk, mine.sk)


def test_a_value_may_be_unique_across_tenants(pair, key):
    a, b = pair
    a.create(Txn(number="1", place=key))
    with pytest.raises(DuplicateKey) as caught:
        b.create(Txn(number="1", place=key))
    assert caught.value.existing is None
    assert outcome(lambda: b.find_by_unique(Txn, place=key)) in {None, TenantMismatch}


def test_guards_from_before_there_were_tenants_are_moved(engine, key):
    """Adding a Tenant() to a model with Unique() is mended by repair_unique."""
    table = f"tenancy-{key}"

    class Before(Model, table=table):
        pk: Attr[str] = partition_key()
        tenant_id: Attr[str]
        mail: Attr[str] = attr(Unique())

    After = type(Model)(  # the same class, which has a tenant now
        "Before",
        (Model,),
        {
            "__annotations__": {"pk": Attr[str], "tenant_id": Attr[str], "mail": Attr[str]},
            "__module__": __name__,
            "pk": partition_key(composite("tenant_id", "mail")),
            "tenant_id": attr(Tenant()),
            "mail": attr(Unique()),
        },
        table=table,
    )
    with DB(Presets.local_development(endpoint=engine.endpoint)) as db:
        db.tables.ensure(Before)
        db.create(Before(pk="a#m", tenant_id="a", mail="m"))
    with DB(Presets.local_development(endpoint=engine.endpoint)) as db:
        db.enable_multi_tenancy()
        assert any("repair_unique" in note for note in db.tables.plan(After).notes)
        every = db.all_tenants(reason="test")
        found = every.repair_unique(After)
        assert {fault.kind for fault in found.faults} == {"missing", "orphaned"}
        every.repair_unique(After, apply=True)
        assert not every.repair_unique(After).faults
        assert db.with_tenant("a").find_by_unique(After, mail="m").mail == "m"
        db.with_tenant("b").create(After(mail="m"))
        assert outcome(lambda: db.with_tenant("a").find_by_unique(After, mail="n")) is None


# ---------------------------------------------------------------------------------------------------- ids (T01)


def test_no_id_is_taken_for_another(db, key):
    """Each tenant writes what looks like the keys of the others, and finds its own alone."""
    views = {normalize("NFC", tenant): db.with_tenant(tenant) for tenant in IDS}
    parts = sorted({f"{tenant}{end}" for tenant in IDS for end in ("", "#", f"#{key}", "%23")})
    for view in views.values():
        for part in parts:
            view.put(Txn(number=f"{part}{key}", at=part, status=f"{part}{key}"))
            view.put(Order(number=f"{part}{key}"))
            view.put(Put(id=f"{part}{key}"))
    for tenant, view in views.items():
        for part in parts[::7]:
            found = [
                view.get(Txn, number=f"{part}{key}", at=part),
                view.get(Order, f"{part}{key}"),
                view.get(Put, f"{part}{key}"),
                *view.model(Txn).where(Txn.number == f"{part}{key}").all(),
                *view.model(Txn).where(Txn.status == f"{part}{key}").all(),
                *view.model(Put).where(Put.id == f"{part}{key}").all(),
            ]
            assert len(found) == 6
            assert {one.tenant_id for one in found} == {tenant}
        assert {one.tenant_id for one in view.model(Order).all()} == {tenant}
        assert view.model(Order).count() >= len(parts)


def test_two_forms_of_one_text_are_one_tenant(db, key):
    one, other = db.with_tenant("caf\u00e9"), db.with_tenant("cafe\u0301")
    one.create(Order(number=key))
    assert other.get(Order, key).tenant_id == "caf\u00e9"
    assert other.create(Order(number=f"{key}2", tenant_id="cafe\u0301")).tenant_id == "caf\u00e9"


@pytest.mark.parametrize(
    "tenant", [None, "", 7, b"t", "a\nb", "a\0", "a\u202eb", "\ud800", "x" * 129, "\u00e9" * 65, ["t"], "T", "~U"]
)
def test_what_is_no_id_is_refused(db, tenant):
    with pytest.raises(InvalidTenant) as caught:
        db.with_tenant(tenant)
    assert isinstance(caught.value, (ValidationError, TenantRequired))
    if tenant and not isinstance(tenant, (int, list)) and len(tenant) > 2:
        assert str(tenant) not in str(caught.value)


def test_a_view_by_its_entry_is_checked_too(db):
    for scope in ({"tenant": ""}, {"tenant": "a\nb"}, {"all_tenants": " "}):
        with pytest.raises(ValidationError):
            db.view(**scope)
    assert json.dumps(dict(_scope(db.view(tenant="e\u0301")))) == json.dumps({"tenant": "\u00e9"})


def _scope(view):
    return getattr(view, "_subject", view)._session.scope


# -------------------------------------------------------------------------------------------------------- all tenants


def test_all_tenants_are_read_and_written_with_a_reason(db, pair, key, caplog):
    a, b = pair
    mine = a.create(Shared(id=key))
    b.create(Shared(id=f"{key}-b"))
    with actor("user:42"):
        every = db.all_tenants(reason="monthly\nreport")
    assert [(record.levelname, record.getMessage()) for record in told(caplog)] == [
        ("WARNING", "all tenants may be read and written now by user:42, for this reason: monthly?report")
    ]
    found = every.model(Shared).allow_scan().where(Shared.id.begins_with(key)).all()
    assert {one.tenant_id for one in found} == {mine.tenant_id, b.get(Shared, f"{key}-b").tenant_id}
    assert every.get(Shared, key) == mine
    mine.amount = 7
    every.save(mine)
    assert a.get(Shared, key).amount == 7
    other = every.create(Order(tenant_id="c", number=key))
    assert db.with_tenant("c").get(Order, key) == other


def test_a_view_of_all_tenants_keeps_its_reason_and_another_one_is_neither_taken_nor_told(db, caplog):
    every = db.all_tenants(reason="monthly report")
    caplog.clear()
    every.all_tenants(reason="monthly report")
    for reason in ("repair", " "):
        with pytest.raises(ValidationError, match="already"):
            every.all_tenants(reason=reason)
    assert not told(caplog)


def told(caplog):
    """What the library has logged; others may tell of what they leave behind."""
    return [record for record in caplog.records if record.name.startswith("dynamorm")]


def test_a_tenant_that_an_object_names_is_stored_in_its_normal_form(db, key):
    made = db.all_tenants(reason="x").create(Order(tenant_id="cafe\u0301", number=key))
    assert made.tenant_id == "caf\u00e9"
    assert db.with_tenant("caf\u00e9").get(Order, key) == made


def test_each_verb_for_all_tenants_is_recorded_with_who_does_it(db, pair, key, caplog):
    a, _ = pair
    mine = a.create(Shared(id=key))
    every = db.all_tenants(reason="repair")
    caplog.clear()
    with caplog.at_level("INFO", logger="dynamorm"):
        with actor("user:42"):
            every.get(Shared, key)
            mine.amount = 3
            every.save(mine)
        every.model(Shared).allow_scan().where(Shared.id == key).all()
        every.batch_get(Shared, [key])
        a.get(Shared, key)
    told = [record.getMessage() for record in caplog.records if "all tenants:" in record.getMessage()]
    assert told == [
        "all tenants: get of Shared by user:42, for this reason: repair",
        "all tenants: save of Shared by user:42, for this reason: repair",
        "all tenants: all of Shared by nobody who is named, for this reason: repair",
        "all tenants: batch_get of Shared by nobody who is named, for this reason: repair",
    ]
    assert key not in "".join(told)


def test_no_view_of_all_tenants_passes_by_the_record(open_db, engine):
    db = open_db(engine.endpoint)
    db.enable_multi_tenancy()
    with pytest.raises(TenantError, match="all_tenants"):
        db.view(all_tenants="x")


@pytest.mark.parametrize("statement", ['SELECT * FROM "tenancy-shared"', 'DELETE FROM "tenancy-shared" WHERE id = ?'])
def test_a_statement_that_names_its_table_is_refused(db, pair, key, statement):
    a, _ = pair
    mine = a.create(Shared(id=key))
    values = (key,) if "?" in statement else ()
    for refused in (
        lambda: db.partiql(statement, *values),
        lambda: db.partiql_transaction([(statement, *values)]),
        lambda: db.view(region="eu").partiql(statement, *values),
        lambda: db.all_tenants(reason="test").partiql(statement, *values),
    ):
        with pytest.raises(TenantRequired, match="names its table"):
            refused()
    assert a.get(Shared, key) == mine
    with pytest.raises(TenantError):
        a.partiql(statement, *values)


def test_each_write_for_all_tenants_names_its_own(db, pair, key):
    a, _ = pair
    mine = a.create(Shared(id=key))
    every = db.all_tenants(reason="repair")
    for verb in (
        lambda: every.create(Shared(id=f"{key}-2")),
        lambda: every.put(Order(number=key)),
        lambda: every.update(Shared, key, Shared.amount.set(1)),
        lambda: every.delete(Shared, key),
        lambda: every.get(Put, key),
        lambda: every.batch_write(puts=[Order(number=key)]),
    ):
        assert outcome(verb) is TenantRequired
    own = Shared.tenant_id == mine.tenant_id
    assert every.update(Shared, key, Shared.amount.set(1), condition=own).amount == 1
    with pytest.raises(ConditionFailed):
        every.update(Shared, key, Shared.amount.set(1), condition=Shared.tenant_id == "x")
    every.delete(Shared, key, condition=own)
    assert a.get(Shared, key) is None


@pytest.mark.parametrize("reason", ["", "  ", None, 5])
def test_all_tenants_need_a_reason(db, reason):
    with pytest.raises(InvalidTenant):
        db.all_tenants(reason=reason)


def test_a_view_never_widens(db, pair):
    a, _ = pair
    for widen in (
        lambda: a.with_tenant("other"),
        lambda: a.all_tenants(reason="x"),
        lambda: a.view(all_tenants="x"),
        lambda: a.view(tenant="other"),
        lambda: db.all_tenants(reason="x").with_tenant("t"),
        lambda: db.view(tenant="t", all_tenants="x"),
    ):
        with pytest.raises(TenantError):
            widen()
    assert a.with_tenant(_scope(a)["tenant"]) is not None


def test_administration_is_for_the_database_itself(pair):
    a, _ = pair
    for verb in (
        lambda: a.tables.ensure(Order),
        lambda: a.tables.plan(Order),
        lambda: a.tables.delete(Order),
        lambda: a.repair_unique(Txn),
        lambda: a.stream(Order),
        lambda: a.partiql("SELECT * FROM {table}", model=Plain),
        lambda: a.partiql_transaction([]),
    ):
        assert outcome(verb) is TenantError


# ----------------------------------------------------------------------------------------------------------- streams


def _record(model, **values):
    image = {name: {"S": value} if isinstance(value, str) else {"N": str(value)} for name, value in values.items()}
    keys = (
        {name: image[name] for name in ("id",)}
        if model is Shared
        else {name: image[name] for name in ("tenant_id", "number")}
    )
    return {
        "eventID": "1",
        "eventName": "INSERT",
        "dynamodb": {"Keys": keys, "NewImage": image, "SequenceNumber": "1", "StreamViewType": "NEW_IMAGE"},
    }


def test_a_record_of_another_tenant_is_refused(db):
    record = _record(Shared, id="1", tenant_id="a", amount=1, status="new")
    order = _record(Order, number="1", tenant_id="a", amount=1, version=0)
    with pytest.raises(ModelError):
        decode(record, Shared)
    for given, model in ((record, Shared), (order, Order)):
        assert decode(given, model, db=db.inner.view(tenant="a")).new.amount == 1
        assert decode(given, model, db=db.inner.all_tenants(reason="stream")).new.amount == 1
        with pytest.raises(TenantMismatch):
            decode(given, model, db=db.inner.view(tenant="b"))
        with pytest.raises(TenantRequired):
            decode(given, model, db=db.inner)


# ------------------------------------------------------------------------------------------------ models and plugins


def test_the_plugin_must_come_before_the_first_call(engine, face_kind, open_db):
    face = open_db(engine.endpoint)
    face.tables.ensure(Plain)
    for late in (face.enable_multi_tenancy, lambda: face.with_tenant("t"), lambda: face.all_tenants(reason="x")):
        with pytest.raises(ConfigError, match="enable_multi_tenancy"):
            late()


def test_a_model_of_tenants_is_refused_without_the_plugin(engine, face_kind, open_db):
    with pytest.raises(ModelError, match=r"no installed plugin handles Tenant.*call db\.enable_multi_tenancy\(\)"):
        open_db(engine.endpoint).get(Shared, "1")


def test_enabling_twice_is_enabling_once(engine, face_kind, open_db):
    face = open_db(engine.endpoint)
    face.enable_multi_tenancy()
    face.enable_multi_tenancy()
    assert [type(plugin).__name__ for plugin in face.inner._session.plugins] == ["Tenancy"]
    assert type(face.inner).__name__ == ("DB" if face_kind == "blocking" else "AsyncDB")
    assert repr(face.inner).startswith("<")


def _declared(**fields):
    annotations = {name: fields.pop(f"{name}_type", Attr[str]) for name in tuple(fields) if not name.endswith("_type")}
    return type(Model)(
        "Declared",
        (Model,),
        {"__annotations__": annotations, "__module__": __name__, **fields},
        table="tenancy-declared",
    )


@pytest.mark.parametrize(
    "make",
    [
        lambda: _declared(id=partition_key(), one=attr(Tenant()), two=attr(Tenant())),
        lambda: _declared(id=partition_key(), tenant=attr(Tenant()), tenant_type=Attr[int]),
        lambda: _declared(id=partition_key(), tenant=sort_key(Tenant())),
        lambda: _declared(id=partition_key(), tenant=attr(Tenant(), secret=True)),
        lambda: _declared(tenant=partition_key(Tenant(prefix=True))),
        lambda: _declared(id=partition_key(composite("tenant", "x")), tenant=attr(Tenant(prefix=True)), x=attr()),
        lambda: _declared(id=partition_key(), id_type=Attr[int], tenant=attr(Tenant(prefix=True))),
        lambda: Tenant(prefix=1),
    ],
)
def test_what_is_declared_wrongly_is_refused(engine, make):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with DB(Presets.local_development(endpoint=engine.endpoint)) as db, pytest.raises(ModelError):
            db.with_tenant("t").get(make(), "1")


def test_the_tenant_of_an_item_is_stored_plainly_under_one_name(engine):
    for options in ({"secret": True}, {"omit_empty": True}, {"also_read": ("T",)}, {"validators": (len,)}):
        model = _declared(id=partition_key(), tenant=attr(Tenant(), **options))
        with (
            DB(Presets.local_development(endpoint=engine.endpoint)) as db,
            pytest.raises(ModelError, match=r"tenant is the tenant: leave out secret, omit_empty, also_read and valid"),
        ):
            db.with_tenant("t").get(model, "1")


def test_a_mixin_gives_models_their_tenant(engine, face_kind, key):
    class TenantAware(Mixin):
        tenant_id: Attr[str] = attr(Tenant())

    class Invoice(TenantAware, Model, table=f"tenancy-{key}"):
        pk: Attr[str] = partition_key(composite("scope.tenant", "id"))
        id: Attr[str]

    from tests.support.faces import Face

    face = Face(face_kind, Presets.local_development(endpoint=engine.endpoint), extensions=(Tenancy(),))
    face.tables.ensure(Invoice)
    a, b = face.with_tenant("a"), face.with_tenant("b")
    made = a.create(Invoice(id="1"))
    assert (made.tenant_id, a.get(Invoice, id="1")) == ("a", made)
    assert b.get(Invoice, id="1") is None
    face.close()


def test_tasks_of_one_database_have_their_own_tenants(db, key):
    views = [db.with_tenant(f"{key}-{number}") for number in range(8)]
    db.concurrently(lambda n: views[n].create(Order(number=key, amount=n)), 8)
    assert [view.get(Order, key).amount for view in views] == list(range(8))
    assert asyncio.iscoroutinefunction(db.inner.get) is (db.kind == "asyncio")


def test_type_checkers_may_be_told_that_the_argument_is_not_needed(engine, face_kind, open_db, key):
    class Told(Model, table="tenancy-told"):
        pk: Attr[str] = partition_key(composite("tenant_id", "id"))
        tenant_id: Attr[str] = attr(Tenant(), init=False)
        id: Attr[str]

    class Empty(Model, table="tenancy-told"):
        pk: Attr[str] = partition_key(composite("tenant_id", "id"))
        tenant_id: Attr[str] = attr(Tenant(), default="")
        id: Attr[str]

    face = open_db(engine.endpoint)
    face.enable_multi_tenancy()
    face.tables.ensure(Told)
    view = face.with_tenant("t")
    assert view.create(Told(id=key)).tenant_id == view.get(Empty, id=key).tenant_id == "t"
    assert view.put(Empty(id=key)).tenant_id == "t"
    assert outcome(lambda: face.all_tenants(reason="x").create(Empty(id=key))) is TenantRequired
