"""Deletes that only mark: what is deleted is read no more, is written no more, and is brought back by a restore."""

from datetime import UTC, datetime, timedelta

import pytest

from dynamorm import (
    DB,
    Attr,
    Encrypted,
    Model,
    TableSettings,
    Tenant,
    Unique,
    after_delete,
    attr,
    before_delete,
    composite,
    gsi,
    partition_key,
    sort_key,
    ttl,
    version,
)
from dynamorm.engine import Engine
from dynamorm.errors import (
    AlreadyExists,
    ConditionFailed,
    ConfigError,
    DuplicateKey,
    MissingItem,
    ModelError,
    NotFound,
    TransactionCancelled,
    ValidationError,
    VersionConflict,
)
from dynamorm.plugins import Cache, ChangeTrackingConfig, DeletedAt, LocalKeyProvider, SoftDelete, SoftDeleted

pytestmark = [pytest.mark.engine, pytest.mark.filterwarnings("ignore:no cursor_key")]


class Order(SoftDeleted, Model, table="soft-orders"):
    customer: Attr[str] = partition_key()
    number: Attr[int] = sort_key()
    status: Attr[str] = attr(default="open")
    amount: Attr[int] = attr(default=1)
    version: Attr[int] = version()
    by_status = gsi("by-status", partition="status", sort="number")
    by_amount = gsi("by-amount", partition="amount", sort="number", projection="KEYS_ONLY")


class Bare(Model, table="soft-bare"):
    id: Attr[str] = partition_key()
    text: Attr[str] = attr(default="")
    gone: Attr[datetime | None] = attr(DeletedAt(expire_after=timedelta(days=30)), default=None, name="g")
    expires: Attr[datetime | None] = ttl(default=None)


class Told(SoftDeleted, Model, table="soft-told"):
    id: Attr[str] = partition_key()
    version: Attr[int] = version()

    @before_delete
    def asked(self) -> None:
        HEARD.append("before")

    @after_delete
    def told(self) -> None:
        HEARD.append("after")


HEARD = []


class Member(SoftDeleted, Model, table="soft-members"):
    id: Attr[str] = partition_key()
    email: Attr[str] = attr(Unique())
    name: Attr[str] = attr(default="")


MODELS = [Order, Bare, Member, Told]


def made_with(db):
    db.use(SoftDelete())
    return db


@pytest.fixture
def db(plugged):
    return plugged(SoftDelete())


def orders(db, key, count=6):
    """So many orders, of which every second is deleted. The numbers of the others."""
    for number in range(count):
        order = db.create(Order(customer=key, number=number, status=f"{key}-open", amount=number))
        if number % 2:
            assert db.delete(order) is None
    return list(range(0, count, 2))


def numbers(items):
    return [item.number for item in items]


def test_reads_leave_out_what_is_deleted(db, key):
    left = orders(db, key)
    assert db.get(Order, key, 1) is None
    assert db.get(Order, key, 1, select=["status"]) is None
    assert not db.exists(Order, key, 1)
    with pytest.raises(NotFound):
        db.require(Order, key, 1)
    assert [one and one.number for one in db.batch_get(Order, [(key, n) for n in range(3)])] == [0, None, 2]
    assert [one and one.number for one in db.transact_get([(Order, key, 0), (Order, key, 1)])] == [0, None]
    query = db.model(Order).where(Order.customer == key)
    assert numbers(query.all()) == left
    assert numbers(query) == left
    assert query.count() == len(left)
    assert numbers(query.limit(2).all()) == left[:2]
    assert query.sum(Order.amount) == sum(left)
    assert numbers(db.model(Order).allow_scan().filter(Order.customer == key).all()) == left
    assert numbers(db.model(Order).where(Order.status == f"{key}-open").all()) == left
    assert db.model(Order).where(Order.status == f"{key}-open").count() == len(left)


def test_a_view_shows_what_is_deleted(db, key):
    orders(db, key)
    shown = db.with_deleted()
    found = shown.get(Order, key, 1)
    assert datetime.now(UTC) - found.deleted_at < timedelta(minutes=5)
    assert found.version == 1
    query = shown.model(Order).where(Order.customer == key)
    assert numbers(query.all()) == list(range(6))
    assert query.count() == 6
    assert numbers(query.where(Order.deleted_at != None).all()) == [1, 3, 5]  # noqa: E711 - a condition
    assert [one and one.number for one in shown.batch_get(Order, [(key, 0), (key, 1)])] == [0, 1]


def test_a_restore_brings_it_back(db, key):
    orders(db, key)
    order = db.restore(Order, key, 1)
    assert (order.deleted_at, order.version) == (None, 2)
    assert db.get(Order, key, 1).status == f"{key}-open"
    deleted = db.with_deleted().get(Order, key, 3)
    assert db.restore(deleted).version == 2
    assert db.get(Order, key, 3).number == 3
    with pytest.raises(ConditionFailed):
        db.restore(Order, key, 1)
    with pytest.raises(MissingItem):
        db.restore(Order, key, 99)
    with pytest.raises(ConditionFailed):
        db.restore(Order, key, 5, condition=Order.amount == 4)
    assert db.restore(Order, customer=key, number=5).number == 5


def test_the_object_that_was_deleted_can_be_restored(db, key):
    order = db.create(Order(customer=key, number=1))
    db.delete(order)
    assert db.get(Order, key, 1) is None
    db.restore(Order, key, 1)
    assert db.get(Order, key, 1).version == 2


def test_a_delete_by_key_and_of_what_is_not_there(db, key):
    db.create(Bare(id=key, text="a"))
    db.delete(Bare, key)
    assert db.get(Bare, key) is None
    at = db.with_deleted().get(Bare, key)
    assert abs(at.expires - at.gone - timedelta(days=30)) < timedelta(seconds=2)  # a ttl is of whole seconds
    db.delete(Bare, key)  # once more
    assert db.with_deleted().get(Bare, key).gone == at.gone
    db.delete(Bare, key + "-missing")
    assert db.with_deleted().get(Bare, key + "-missing") is None
    with pytest.raises(MissingItem):
        db.delete(Bare, key, must_exist=True)
    with pytest.raises(MissingItem):
        db.delete(Bare, key + "-missing", must_exist=True)
    assert db.restore(Bare, key).expires is None
    with pytest.raises(ConditionFailed):
        db.delete(Bare, key, condition=Bare.text == "b")
    db.delete(Bare, key, condition=Bare.text == "a")
    assert db.get(Bare, key) is None


def test_versions_hold(db, key):
    order = db.create(Order(customer=key, number=1))
    other = db.get(Order, key, 1)
    other.amount = 7
    db.save(other)
    with pytest.raises(VersionConflict):
        db.delete(order)
    db.delete(other)
    stale = db.with_deleted().get(Order, key, 1)
    db.restore(Order, key, 1)
    with pytest.raises(VersionConflict):
        db.restore(stale)


def test_what_is_deleted_is_not_written(db, key):
    order = db.create(Order(customer=key, number=1))
    db.delete(Order, key, 1)
    order.amount = 5
    with pytest.raises(MissingItem, match=r"it is deleted, and kept; db\.restore"):
        db.save(order)
    with pytest.raises(MissingItem, match="it is deleted, and kept"):
        db.update(Order, key, 1, Order.amount.add(1))
    with pytest.raises(MissingItem, match="it is deleted, and kept"):
        db.upsert(Order, key, 1, Order.amount.add(1))
    with pytest.raises(MissingItem):
        db.increment(Order, key, 1, Order.amount)
    with pytest.raises(
        AlreadyExists, match=r"with this key is deleted, and kept: db\.restore\(\.\.\.\) brings it back"
    ) as told:
        db.create(Order(customer=key, number=1))
    assert told.value.item is None
    db.put(Order(customer=key, number=1, amount=9))  # a put replaces whatever is there
    assert db.get(Order, key, 1).amount == 9


def test_in_a_view_that_shows_it_what_is_deleted_is_written(db, key):
    db.create(Order(customer=key, number=1))
    db.delete(Order, key, 1)
    assert db.with_deleted().update(Order, key, 1, Order.amount.set(8)).deleted_at is not None
    assert db.get(Order, key, 1) is None


def test_it_is_removed_permanently(db, key):
    db.create(Order(customer=key, number=1))
    db.delete(Order, key, 1)
    db.permanently().delete(Order, key, 1)
    assert db.with_deleted().get(Order, key, 1) is None
    order = db.create(Order(customer=key, number=1))
    db.permanently().delete(order)
    assert db.with_deleted().get(Order, key, 1) is None
    db.create(Bare(id=key))
    db.permanently().batch_write(deletes=[(Bare, key)])
    assert db.with_deleted().get(Bare, key) is None


def test_in_transactions(db, key):
    for number in range(3):
        db.create(Order(customer=key, number=number))
    with db.transaction() as tx:
        tx.delete(Order, key, 0)
        tx.delete(db.get(Order, key, 1))
        tx.update(Order, key, 2, Order.amount.set(4))
    assert [db.exists(Order, key, number) for number in range(3)] == [False, False, True]
    with pytest.raises(TransactionCancelled) as told:
        _checked(db, key)
    assert isinstance(told.value.reasons[0].error, MissingItem)
    with db.permanently().transaction() as tx:
        tx.delete(Order, key, 0)
    assert db.with_deleted().get(Order, key, 0) is None


def _checked(db, key):
    with db.transaction() as tx:
        tx.check(Order, key, 0, condition=Order.amount == 1)
        tx.update(Order, key, 2, Order.amount.set(5))


def test_a_batch_cannot_mark(db, key):
    assert not db.batch_write(puts=[Bare(id=key), Bare(id=key + "2")]).failed
    with pytest.raises(ValidationError, match=r"use db\.put and db\.delete, or a transaction"):
        db.batch_write(deletes=[(Bare, key)])
    assert db.get(Bare, key) is not None


def test_a_delete_all_marks_each(db, key):
    left = orders(db, key)
    query = db.model(Order).where(Order.customer == key)
    assert query.delete_all(confirm=True) == len(left)
    assert not query.all()
    assert db.with_deleted().model(Order).where(Order.customer == key).count() == 6
    db.permanently().model(Order).where(Order.customer == key).delete_all(confirm=True)
    assert not db.with_deleted().model(Order).where(Order.customer == key).count()


def test_unique_values_stay_taken_until_it_is_removed(db, key):
    member = db.create(Member(id=key, email=f"{key}@x"))
    db.delete(member)
    assert db.find_by_unique(Member, email=f"{key}@x") is None
    with pytest.raises(DuplicateKey):
        db.create(Member(id=key + "2", email=f"{key}@x"))
    db.restore(Member, key)
    assert db.find_by_unique(Member, email=f"{key}@x").id == key
    db.delete(Member, key)
    db.delete(Member, key)
    db.delete(Member, key + "-missing")
    db.permanently().delete(Member, key)
    assert db.create(Member(id=key + "2", email=f"{key}@x")).id == key + "2"


def test_a_model_without_the_field_is_as_before(db, key):
    class Plain(Model, table="soft-bare"):
        id: Attr[str] = partition_key()

    db.create(Plain(id=key))
    db.delete(Plain, key)
    assert db.with_deleted().get(Plain, key) is None


def test_the_audit_trail_has_deletes_and_restores():
    class Filed(SoftDeleted, Model, table="soft-filed"):
        id: Attr[str] = partition_key()
        version: Attr[int] = version()

    with DB(Engine()) as db:
        db.use(SoftDelete())
        config = ChangeTrackingConfig(fields=["deleted_at"], store="soft-audit")
        db.enable_audit_log(require_actor=False)
        db.enable_change_tracking(Filed, config)
        db.tables.ensure(Filed)
        filed = db.create(Filed(id="1"))
        db.delete(filed)
        db.restore(Filed, "1")
        records = db.audit.history(Filed, "1")
        assert [record.op for record in records] == ["create", "update", "update"]
        assert [bool(change.new) for record in records[1:] for change in record.changes] == [True, False]
        assert db.audit.verify(Filed, "1").ok


def test_items_that_are_sealed_are_marked_by_key(tmp_path):
    class Card(SoftDeleted, Model, table="soft-cards"):
        id: Attr[str] = partition_key()
        number: Attr[str | None] = attr(Encrypted("pci"), default=None)
        version: Attr[int] = version()

    with DB(Engine()) as db:
        db.set_encryption_provider(LocalKeyProvider(tmp_path / "keys"))
        db.use(SoftDelete())
        db.tables.ensure(Card)
        db.create(Card(id="1", number="4111"))
        db.delete(Card, "1")
        assert db.get(Card, "1") is None
        assert db.with_deleted().get(Card, "1").number == "4111"
        assert db.restore(Card, "1").number == "4111"
        db.delete(db.get(Card, "1"))
        db.delete(Card, "1")
        db.delete(Card, "2")
        assert db.with_deleted().get(Card, "1").version == 3
        db.permanently().delete(Card, "1")
        assert db.with_deleted().get(Card, "1") is None


def test_tenants_are_kept_apart():
    class Owned(SoftDeleted, Model, table="soft-owned"):
        tenant: Attr[str] = attr(Tenant())
        id: Attr[str] = partition_key(composite("tenant", "name"))
        name: Attr[str]
        email: Attr[str] = attr(Unique())

    with DB(Engine()) as db:
        db.enable_multi_tenancy()
        db.use(SoftDelete())
        db.tables.ensure(Owned)
        first, second = db.with_tenant("a"), db.with_tenant("b")
        owned = first.create(Owned(name="n", email="e"))
        second.create(Owned(name="n", email="e"))
        first.delete(owned)
        assert first.get(Owned, name="n") is None
        assert second.get(Owned, name="n").deleted_at is None
        assert second.find_by_unique(Owned, email="e").name == "n"
        with pytest.raises(ConditionFailed):
            second.restore(Owned, name="n")
        assert first.restore(Owned, name="n").tenant == "a"
        first.permanently().delete(Owned, name="n")
        assert first.with_deleted().get(Owned, name="n") is None
        assert second.get(Owned, name="n").name == "n"


def test_a_cache_knows_of_deletes_and_restores():
    class Cached(SoftDeleted, Model, table="soft-cached"):
        id: Attr[str] = partition_key()

    with DB(Engine()) as db:
        db.use(Cache(), SoftDelete())
        db.tables.ensure(Cached)
        db.create(Cached(id="1"))
        shown = db.with_deleted()
        for change, states in (
            (None, (True, True)),
            (db.delete, (False, True)),
            (db.restore, (True, True)),
            (db.permanently().delete, (False, False)),
        ):
            if change is not None:
                change(Cached, "1")
            for _ in range(2):
                assert (db.get(Cached, "1") is not None, shown.get(Cached, "1") is not None) == states


def test_a_stream_of_the_database_shows_the_mark_as_a_change_to_nothing():
    class Streamed(SoftDeleted, Model, table="soft-streamed", settings=TableSettings(stream="NEW_AND_OLD_IMAGES")):
        id: Attr[str] = partition_key()

    with DB(Engine()) as db:
        db.use(SoftDelete())
        db.tables.ensure(Streamed)
        db.create(Streamed(id="1"))
        db.delete(Streamed, "1")
        db.restore(Streamed, "1")
        db.delete(Streamed, "1")
        db.permanently().delete(Streamed, "1")
        seen = [
            (record.kind, record.old is not None, record.new is not None)
            for record in db.stream(Streamed, idle_timeout=0)
        ]
        assert seen == [
            ("insert", False, True),
            ("modify", True, False),
            ("modify", False, True),
            ("modify", True, False),
        ]


def test_lost_replies_are_settled():
    engine = Engine()
    with DB(engine) as db:
        db.use(SoftDelete())
        db.tables.ensure(Order, Bare)
        for model, key in ((Order, ("a", 1)), (Bare, ("a",))):
            db.put(model(**dict(zip(("customer", "number") if model is Order else ("id",), key, strict=True))))
            for times in (1, 2):
                with engine.faults.lose_reply(op="UpdateItem", times=times):
                    db.delete(model, *key)
                assert db.get(model, *key) is None
                with engine.faults.lose_reply(op="UpdateItem", times=times):
                    db.restore(model, *key)
                assert db.get(model, *key) is not None


def test_without_the_plugin_the_model_is_refused_and_so_are_the_verbs():
    with DB(Engine()) as db:
        with pytest.raises(
            ModelError,
            match=r"no installed plugin handles DeletedAt on Order\.deleted_at; call db\.use\(SoftDelete\(\)\)",
        ):
            db.get(Order, "1", 1)
        for call in (db.with_deleted, db.permanently, lambda: db.restore(Order, "1", 1)):
            with pytest.raises(ConfigError, match=r"db\.use\(SoftDelete\(\)\)"):
                call()


def wrong(**fields):
    names = {
        "__annotations__": {"id": Attr[str], **dict.fromkeys(fields, Attr[datetime | None])},
        "__module__": __name__,
    }
    return type(Model)("M", (Model,), {**names, "id": partition_key(), **fields}, table="soft-wrong")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        (
            {"a": attr(DeletedAt(), default=None), "b": attr(DeletedAt(), default=None)},
            "M has two fields with DeletedAt: a and b",
        ),
        ({"a": attr(DeletedAt())}, "M.a is None while an item is not deleted"),
        ({"a": attr(DeletedAt(), default=None, immutable=True)}, "M.a is set by deletes"),
        ({"a": attr(DeletedAt(expire_after=60), default=None)}, "M.a has expire_after, which needs a ttl() field"),
    ],
    ids=range(4),
)
def test_a_field_that_cannot_be_set_by_deletes_is_refused(fields, words):
    with DB(Engine()) as db:
        db.use(SoftDelete())
        with pytest.raises(ModelError) as told:
            db.get(wrong(**fields), "1")
        assert words in str(told.value)


def saved_together(view, obj):
    with view.transaction() as tx:
        tx.save(obj)


BRING_BACK = {
    "save": lambda view, obj: view.save(obj),
    "save with a time of its own": lambda view, obj: (setattr(obj, "expires", LATER), view.save(obj)),
    "update": lambda view, obj: view.update(obj, Bare.gone.remove()),
    "update to None": lambda view, obj: view.update(Bare, obj.id, Bare.gone.set(None)),
    "update with a time of its own": lambda view, obj: view.update(obj, Bare.gone.set(None), Bare.expires.set(LATER)),
    "transaction": saved_together,
}
LATER = datetime(2090, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("way", BRING_BACK)
def test_what_is_brought_back_by_a_write_is_not_left_to_expire(db, key, way):
    db.create(Bare(id=key, text="t"))
    db.delete(Bare, key)
    view = db.with_deleted()
    obj = view.require(Bare, key)
    assert obj.expires is not None
    if "update" not in way:
        obj.gone = None
    BRING_BACK[way](view, obj)
    found = db.require(Bare, key)
    assert (found.gone, found.text) == (None, "t")
    assert found.expires == (LATER if "own" in way else None)
    view.update(Bare, key, Bare.text.set("u"), Bare.expires.set(LATER))
    assert db.require(Bare, key).expires == LATER


def test_wrong_arguments(db):
    for given in (0, -1, "a month", True):
        with pytest.raises(ModelError, match="expire_after"):
            DeletedAt(expire_after=given)
    with pytest.raises(ConfigError, match='"shown" or "removed"'):
        db.view(deleted="yes")
    with pytest.raises(ModelError, match="no field with DeletedAt"):
        db.restore(
            type(Model)(
                "N", (Model,), {"__annotations__": {"id": Attr[str]}, "id": partition_key()}, table="soft-bare"
            ),
            "1",
        )


def test_a_delete_of_what_is_not_there_calls_no_hook_behind_it(db, key):
    obj = Told(id=key)
    db.create(obj)
    HEARD.clear()
    db.delete(Told(id=f"{key}-never"))
    assert HEARD == ["before"]
    db.delete(obj)
    assert HEARD == ["before", "before", "after"]
    db.delete(obj)
    assert HEARD == ["before", "before", "after", "before"]


def test_a_batch_that_is_refused_asks_no_hook(db, key):
    obj = Told(id=key)
    db.create(obj)
    HEARD.clear()
    with pytest.raises(ValidationError, match="which a batch cannot have"):
        db.batch_write(deletes=[obj])
    assert HEARD == []
    assert db.require(Told, key).id == key
