"""A server that answers with items of another tenant, on every operation that reads or shows an item (T02)."""

import pytest

from dynamorm.errors import IntegrityError, Outcome, OutcomeUnknown, TenantMismatch

from .tenancy_kit import Order, Put, Shared, Txn
from .tenancy_world import World, database


@pytest.fixture
def world():
    return World(seed=1)


@pytest.fixture
def db(face_kind, world):
    """A database with the items of two tenants, which lies to both of them."""
    made = database(face_kind, world)
    for tenant in ("a", "b"):
        view = made.with_tenant(tenant)
        for number in ("1", "2"):
            view.create(Txn(number=number, mail=f"{number}@x", status="paid"))
            view.create(Order(number=number))
            view.create(Put(id=number))
            view.create(Shared(id=f"{tenant}{number}"))
    world.tenant = "a"
    yield made
    made.close()


KEYED = [
    lambda a: a.get(Txn, number="1", at="0"),
    lambda a: a.get(Txn, "a#1", "0", consistent=True),
    lambda a: a.get(Txn, "a#1", "0", select=["amount"]),
    lambda a: a.require(Order, "1"),
    lambda a: a.get(Put, "1"),
    lambda a: a.exists(Order, "1"),
    lambda a: a.batch_get(Order, [("1",), ("2",)]),
    lambda a: a.batch_get(Txn, [("a#1", "0")]),
    lambda a: a.transact_get([(Order, "1"), (Txn, "a#1", "0")]),
    lambda a: a.model(Order).all(),
    lambda a: a.model(Order).first(),
    lambda a: a.model(Order).page(),
    lambda a: list(a.model(Order)),
    lambda a: list(a.model(Order).pages()),
    lambda a: a.model(Order).sum("amount"),
    lambda a: a.model(Order).select("amount").all(),
    lambda a: a.model(Txn).where(Txn.number == "1").all(),
    lambda a: a.model(Txn).where(Txn.status == "paid").all(),
    lambda a: a.model(Put).where(Put.id == "1").all(),
    lambda a: a.model(Order).on_misfit("skip").all(),
    lambda a: a.model(Order).delete_all(confirm=True),
]


@pytest.mark.parametrize("read", KEYED)
def test_a_keyed_model_gives_no_foreign_item(db, world, read):
    """It is a lie of the server, and is told."""
    a = db.with_tenant("a")
    read(a)
    world.lies = 1.0
    with pytest.raises(TenantMismatch) as caught:
        read(a)
    assert caught.value.outcome is Outcome.NOT_APPLIED
    assert not hasattr(caught.value, "item")
    assert world.told >= 1


ENDS = [
    lambda query: query.exists(),
    lambda query: query.count(),
    lambda query: query.all(),
    lambda query: query.first(),
    lambda query: query.one(),
    lambda query: query.page(),
    list,
    lambda query: list(query.pages()),
    lambda query: query.sum("amount"),
    lambda query: query.select("amount").all(),
    lambda query: query.delete_all(confirm=True),
]
QUERIES = {
    "whole key": lambda a: a.model(Order).where(Order.amount > 5),
    "composite": lambda a: a.model(Txn).where(Txn.number == "1").where(Txn.amount > 5),
    "index": lambda a: a.model(Txn).where(Txn.status == "paid").where(Txn.mail == "nobody"),
    "prefixed": lambda a: a.model(Put).where(Put.id == "1").where(Put.amount > 5),
    "shared, by the tenant": lambda a: a.model(Shared).where(Shared.status == "none"),
}


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES)
def test_no_query_goes_on_behind_the_key_of_a_foreign_item(db, world, query, end):
    """Nothing of such a page is shown, for its filter leaves all out: what it ends with is looked at all the same."""
    answer, sent = world._Query, []

    def lied(body):
        status, told = answer(body)
        sent.append(body)
        foreign = next(item for item in world.tables[body["TableName"]].values() if item.get("tenant_id") == {"S": "b"})
        names = (*world.keys[body["TableName"]], *(("tenant_id", "amount") if "gsi-tenant" in str(body) else ()))
        told["LastEvaluatedKey"] = {name: foreign[name] for name in names}
        return status, told

    world._Query = lied
    with pytest.raises(TenantMismatch) as caught:
        end(query(db.with_tenant("a")))
    assert caught.value.outcome is Outcome.NOT_APPLIED
    assert len(sent) == 1
    assert "ExclusiveStartKey" not in sent[0]


def test_a_page_ends_with_the_key_of_an_own_item(db, world):
    """And with whatever key where tenants share them, so that an item of any may be the last one that a filter leaves out."""
    a, answer = db.with_tenant("a"), world._Query
    world._Query = lambda body: answer({**body, "Limit": 1})
    assert [one.number for one in a.model(Order).all()] == ["1", "2"]
    assert a.model(Txn).where(Txn.number == "1").count() == 1
    assert a.model(Put).where(Put.id == "1").exists()
    assert {one.id for one in a.model(Shared).all()} == {"a1", "a2"}


SHARED = [
    lambda a: a.get(Shared, "a1"),
    lambda a: a.get(Shared, "b1"),
    lambda a: a.get(Shared, "a1", select=["amount"]),
    lambda a: a.exists(Shared, "a1") or None,
    lambda a: a.batch_get(Shared, ["a1"])[0],
    lambda a: a.transact_get([(Shared, "a1")])[0],
]


@pytest.mark.parametrize("read", SHARED)
def test_a_shared_key_model_gives_none_either(db, world, read):
    """Under the key that was asked for it is as if there were none; with another key the answer is not believed."""
    a = db.with_tenant("a")
    world.lies = 1.0
    seen = set()
    for _ in range(20):
        try:
            seen.add(read(a))
        except IntegrityError:
            seen.add(IntegrityError)
    assert seen <= {None, IntegrityError}


def test_a_query_of_a_shared_key_model_leaves_it_out(db, world):
    a = db.with_tenant("a")
    world.lies = 1.0
    assert {one.id for one in a.model(Shared).all()} == {"a1", "a2"}
    assert {one.id for page in a.model(Shared).pages() for one in page.items} == {"a1", "a2"}


def test_an_update_that_shows_a_foreign_item_is_not_believed(db, world):
    """Nobody can tell what was written."""
    a, answer = db.with_tenant("a"), world._UpdateItem

    def lied(body):
        _, told = answer(body)
        return 200, {"Attributes": {**told["Attributes"], "tenant_id": {"S": "b"}}}

    world._UpdateItem = lied
    with pytest.raises((TenantMismatch, IntegrityError, OutcomeUnknown)) as caught:
        a.update(Txn, "a#1", "0", Txn.amount.set(5))
    assert caught.value.outcome is Outcome.UNKNOWN
    assert not caught.value.retryable


def test_a_refused_write_shows_no_foreign_item(db, world):
    """The item that comes with a refusal is of another tenant."""
    a = db.with_tenant("a")
    for write in (lambda: a.create(Shared(id="b1")), lambda: a.update(Shared, "b1", Shared.amount.set(1))):
        with pytest.raises(Exception) as caught:
            write()
        assert caught.value.item is None
        assert "b" not in str(caught.value).split("(")[0].replace("table", "").split()


def test_what_is_kept_by_a_cache_is_kept_for_one_tenant(face_kind, world):
    from dynamorm import Cache, CacheConfig
    from dynamorm.plugins.tenancy import Tenancy
    from tests.faults.scripted import Scripted

    made = Scripted(face_kind, world, cursor_key=b"k" * 32)
    made.db.inner.use(Tenancy(), Cache(CacheConfig(cacheable_operations=["get", "first", "all", "count"])))
    a, b = made.db.with_tenant("a"), made.db.with_tenant("b")
    a.create(Order(number="1", amount=1))
    b.create(Order(number="1", amount=2))
    for _ in range(3):
        assert [one.amount for one in a.model(Order).all()] == [1]
        assert [one.amount for one in b.model(Order).all()] == [2]
        assert (a.get(Order, "1").amount, b.get(Order, "1").amount) == (1, 2)
    made.db.close()
