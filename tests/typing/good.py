"""Everything here must be accepted by mypy --strict and pyright."""

from __future__ import annotations

from asyncio import Future as AsyncFuture
from asyncio import create_task
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any, Generic, TypedDict, TypeVar, assert_type
from uuid import UUID

from fastapi import FastAPI

from dynamorm import (
    DB,
    AsyncDB,
    Attr,
    Audit,
    AuditableModel,
    BatchConfig,
    Cache,
    CacheConfig,
    CachingPlugin,
    ChangeTrackingConfig,
    Compressed,
    Condition,
    ConditionFailed,
    Config,
    Epoch,
    Json,
    LoggingPlugin,
    MetricsPlugin,
    Mixin,
    Model,
    Plugin,
    PluginContext,
    Presets,
    Tenant,
    TimeText,
    TracingPlugin,
    Update,
    access_pattern,
    actor,
    after_create,
    after_delete,
    after_load,
    after_save,
    attr,
    before_create,
    before_delete,
    before_save,
    composite,
    created_at,
    deadline,
    derived,
    field_validator,
    gsi,
    id_time,
    ksuid,
    lsi,
    model_validator,
    partition_key,
    raw,
    sort_key,
    ttl,
    ulid,
    updated_at,
    upgrade,
    upgraded_item,
    uuid7,
    version,
)
from dynamorm.adapters import register
from dynamorm.adapters.fastapi import Database, install, lifespan
from dynamorm.adapters.web import answer_of
from dynamorm.engine import Engine
from dynamorm.errors import DynamORMError
from dynamorm.payments import (
    Ledger,
    Money,
    Outbox,
    OutboxEvent,
    PaymentMixin,
    Posted,
    Posting,
    Reconciliation,
    Report,
    TrialBalance,
    Verification,
    ensure_tables,
    find_payment_by_idempotency_key,
    refund,
    transition,
)
from dynamorm.payments import Status as PaymentStatus
from dynamorm.plugin import Call, Operation
from dynamorm.plugins import (
    AsyncOffloadCleaner,
    Bulkhead,
    CapacityLimiter,
    CircuitBreaker,
    CostPlugin,
    DeletedAt,
    DevelopmentLint,
    Hedging,
    HotKeys,
    Metrics,
    Offload,
    OffloadCleaner,
    Offloaded,
    SoftDelete,
    SoftDeleted,
    ThrottlePacing,
    restoring,
)
from dynamorm.plugins.audit import AuditRecord, AuditVerdict, Change
from dynamorm.plugins.offload import ObjectStore, Swept
from dynamorm.streams import ChangeKind
from dynamorm.testing import AsyncTestDB, Recorder, TestDB, assert_eventually, factory, freeze_time

T = TypeVar("T")


class Status(Enum):
    PENDING = "pending"
    DONE = "done"


class Address(Model):
    city: Attr[str]
    street: Attr[str | None] = attr(default=None)


@dataclass
class Seen:
    id: str
    amount: int


class SeenDict(TypedDict):
    id: str


def _dear(id: str, *, above: int) -> Condition:
    return (Payment.id == id) & (Payment.amount > above)


class Payment(Model, table="payments"):
    id: Attr[str] = partition_key()
    created: Attr[datetime] = sort_key()
    amount: Attr[int]
    currency: Attr[str] = attr(default="USD", also_read=("Currency",))
    note: Attr[str | None] = attr(default=None)
    tags: Attr[list[str]] = attr(default_factory=list)
    flags: Attr[set[str]] = attr(default_factory=set)
    fee: Attr[Decimal | None] = attr(default=None)
    status: Attr[Status] = attr(default=Status.PENDING, name="st")
    address: Attr[Address | None] = attr(default=None)
    settings: Attr[dict[str, int]] = attr(Json(), default_factory=dict)
    expires: Attr[datetime | None] = ttl(default=None)
    made: Attr[datetime] = created_at()
    changed: Attr[datetime] = updated_at()
    version: Attr[int] = version()
    by_status = gsi("gsi-status-created", partition="status", sort="created")
    by_amount = lsi("lsi-amount", sort="amount")
    dear = access_pattern(_dear, index=by_amount, order_by="amount", direction="desc", limit=5)


class Refund(Payment):
    reason: Attr[str]


class Owned(Mixin):
    owner: Attr[str]


class Document(Model, Owned, table="documents", naming="camelCase"):
    id: Attr[str] = partition_key(default_factory=str)


class Entry(Model, table="ledger"):
    pk: Attr[str] = partition_key(composite("tenant_id", "entry_id"))
    sk: Attr[str] = sort_key(composite("ENTRY#{number:08d}"), name="SK")
    state_key: Attr[str] = attr(composite("state", "number"), init=False)
    tenant_id: Attr[str]
    entry_id: Attr[str] = attr(Json())
    number: Attr[int]
    state: Attr[str] = attr(default="open")
    by_state = gsi("by-state", partition="state_key")


class Correction(Entry):
    pk: Attr[str] = partition_key(composite("FIX#{tenant_id}#{entry_id}"))
    reason: Attr[str]


class Charge(Model, table="charges"):
    pk: Attr[str] = partition_key(composite("tenant_id", "number"))
    tenant_id: Attr[str] = attr(Tenant(), init=False)
    number: Attr[str]


class Reversal(Model, table="reversals"):
    pk: Attr[str] = partition_key(composite("tenant_id", "number"))
    tenant_id: Attr[str] = attr(Tenant(), default="")
    number: Attr[str]


class Bill(Model, table="bills"):
    tenant_id: Attr[str] = partition_key(Tenant())
    number: Attr[str] = sort_key()


class Booked(Model, table="booked", validate="always"):
    id: Attr[str] = partition_key()
    begins: Attr[int]
    ends: Attr[int]
    length: Attr[int] = attr(derived("begins", "ends", by=lambda begins, ends: ends - begins), init=False)

    @field_validator("id")
    @staticmethod
    def lower(value: str) -> str:
        return value.lower()

    @model_validator("begins", "ends")
    def in_order(self) -> None:
        assert_type(self.begins, int)

    @before_create
    @before_save
    def clean(self) -> None:
        self.ends = max(self.ends, self.begins)

    @before_delete
    async def allowed(self) -> None: ...

    @after_create
    @after_save
    @after_delete
    async def told(self) -> None: ...

    @after_load
    def read(self) -> None: ...


assert_type(Booked.lower("A"), str)
Booked(id="a", begins=1, ends=2).in_order()
assert_type(Booked(id="a", begins=1, ends=2).length, int)


@register(table="made", partition="pk", composites={"pk": composite("id")})
@dataclass
class Registered:
    id: str


assert_type(Registered("a"), Registered)


def of_a_tenant(db: DB, tenant: str) -> None:
    view = db.with_tenant(tenant)
    assert_type(view, DB)
    assert_type(view.create(Charge(number="1")).tenant_id, str)
    assert_type(db.all_tenants(reason="report").create(Reversal(number="1", tenant_id="t")), Reversal)
    assert_type(view.get(Bill, "1"), "Bill | None")
    view.create(Bill(number="1"))


class Optioned(Model, table="optioned"):
    id: Attr[str] = partition_key(Json(), init=True)


class Limited(Model, table="limited"):
    id: Attr[str] = partition_key(name="PK", min_length=1, max_length=40, pattern="[a-z]+", immutable=True)
    at: Attr[int] = sort_key(default=0, ge=0, lt=10, validators=(abs,), secret=True, init=True)
    note: Attr[str] = attr(
        default="", name="n", gt="", le="z", write_once=True, protected=True, omit_empty=True, also_read=("Note",)
    )
    price: Attr[float] = attr(Json(), allow_float=True)
    until: Attr[datetime | None] = ttl(default=None, name="ttl", also_read=["TTL"])


class Event(Model, Generic[T]):
    id: Attr[str] = partition_key()
    payload: Attr[T]


limited = Limited(id="a", price=1.0)
assert_type(limited.at, int)
assert_type(attr(default=5, ge=0), Attr[int])
assert_type(sort_key(default_factory=str, max_length=5), Attr[str])
p = Payment(id="p1", created=datetime.now(UTC), amount=5)
assert_type(p.id, str)
assert_type(p.amount, int)
assert_type(p.note, "str | None")
assert_type(p.tags, "list[str]")
assert_type(p.version, int)
assert_type(p.made, datetime)
assert_type(p.status, Status)
assert_type(Payment.id, Attr[str])
assert_type(Payment.id == "x", Condition)
assert_type(Payment.amount > 5, Condition)
assert_type(Payment.amount.between(1, 5), Condition)
assert_type(Payment.status.in_([Status.DONE]), Condition)
assert_type(Payment.id.begins_with("p"), Condition)
assert_type(Payment.note.begins_with("p"), Condition)
assert_type(Payment.note == None, Condition)  # noqa: E711 - a condition on a missing attribute
assert_type(Payment.tags.contains("x"), Condition)
assert_type(Payment.tags.size() > 3, Condition)
assert_type((Payment.amount > 5) & ~(Payment.currency == "USD"), Condition)
assert_type(Payment.amount.set(6), Update)
assert_type(Payment.amount.add(6), Update)
assert_type(Payment.fee.add(Decimal("0.5")), Update)
assert_type(Payment.flags.add({"a"}), Update)
assert_type(Payment.flags.delete({"a"}), Update)
assert_type(Payment.tags.append("x"), Update)
assert_type(Payment.tags.extend(["x", "y"]), Update)
assert_type(Payment.tags.extend_or_create(("x", "y")), Update)
assert_type(Payment.amount.set(Payment.amount + 1), Update)
assert_type(Payment.amount.set(5 - Payment.amount), Update)
assert_type(Payment.fee.set(Payment.fee - Decimal("0.5")), Update)
assert_type(Payment.fee.set(Payment.fee + Payment.amount), Update)
assert_type(Payment.tags.set(Payment.tags.concat(Payment.tags)), Update)
assert_type(Payment.tags.set(Payment.tags.concat(["x"])), Update)
assert_type(Payment.amount.add(6, strict=True), Update)
assert_type(Payment.amount.add(6, start=100), Update)
assert_type(Payment.tags[0].set("x"), Update)
assert_type(Payment.note.set(None), Update)
assert_type(Payment.note.if_not_exists("x"), Update)
assert_type(Payment.address[Address.city].set("Riga"), Update)
p.amount = 6
p.note = "hi"
p.note = None
r = Refund(id="r1", created=datetime.now(UTC), amount=1, reason="dup", currency="EUR")
assert_type(r.reason, str)
assert_type(Refund.amount, Attr[int])
entry = Entry(tenant_id="t", entry_id="e", number=1)
assert_type(entry.pk, str)
assert_type(Entry.state_key.begins_with("x"), Condition)
Correction(tenant_id="t", entry_id="e", number=1, reason="typo")
Optioned(id="x")
e = Event(id="e", payload=3)
assert_type(e, "Event[int]")
assert_type(e.payload, int)
d = Document(owner="me")
assert_type(d.owner, str)


def blocking(db: DB) -> None:
    assert_type(db.get(Payment, "p1"), "Payment | None")
    assert_type(db.get(Payment, id="p1", created=datetime.now(UTC)), "Payment | None")
    assert_type(db.require(Payment, "p1", consistent=True), Payment)
    assert_type(db.exists(Payment, "p1"), bool)
    assert_type(db.get(Entry, tenant_id="t", entry_id="e", number=1), "Entry | None")
    buckets = db.model(Entry).where(Entry.tenant_id == "t", Entry.entry_id == "e").collect(Entry, Correction)
    assert_type(buckets[Correction], "list[Correction]")
    assert_type(db.create(p), Payment)
    assert_type(db.put(p), Payment)
    assert_type(db.put(p, condition=Payment.amount > 5), Payment)
    assert_type(db.save(r), Refund)
    assert_type(db.update(p, Payment.amount.set(7)), Payment)
    assert_type(db.update(Payment, "p1", Payment.amount.set(7), condition=Payment.amount > 5, upsert=True), Payment)
    assert_type(db.update(Payment, "p1", Payment.amount.set(7), returning="new"), Payment)
    assert_type(db.update(Payment, "p1", Payment.amount.set(7), returning="updated_new"), Payment)
    assert_type(db.update(Payment, "p1", Payment.amount.set(7), returning="old"), Payment)
    assert_type(db.update(Payment, "p1", Payment.amount.set(7), upsert=True, returning="old"), "Payment | None")
    assert_type(db.upsert(Payment, "p1", Payment.amount.set(7), returning="updated_old"), "Payment | None")
    db.delete(p)
    db.delete(Payment, "p1", condition=Payment.amount > 5)
    assert_type(db.delete(Payment, "p1", returning="old"), "Payment | None")
    query = db.model(Payment).where(Payment.id == "p1", Payment.created > datetime.now(UTC))
    assert_type(query.order_by("created", "desc").limit(5).all(), "list[Payment]")
    assert_type(query.index(Payment.by_status).first(), "Payment | None")
    assert_type(db.batch_get(Payment, ["p1"], on_misfit="skip"), "list[Payment | None]")
    assert_type(
        db.model(Entry).where(Entry.tenant_id == "t").on_misfit("collect").collect(Entry).misfits[0].message, str
    )
    assert_type(query.without_expired().count(), int)
    assert_type(query.select_as(Seen).all(), "list[Seen]")
    assert_type(query.select_as(SeenDict).page().items, "list[SeenDict]")
    asked = Payment.dear("p1", above=5)
    assert_type(db.query(asked).first(), "Payment | None")
    assert_type(db.query(Refund.dear("p1", above=5)).all(), "list[Refund]")
    by_note = query.group_by(Payment.note)
    assert_type((by_note.count(), by_note.sum(Payment.amount)), "tuple[dict[str | None, int], dict[str | None, int]]")
    assert_type(
        (by_note.min(Payment.id), by_note.average("amount")),
        "tuple[dict[str | None, str | None], dict[str | None, Decimal | None]]",
    )
    page = query.start_after(p).read_at_most(100).page()
    assert_type((page.previous, page.has_more, page.capped), "tuple[str | None, bool, bool]")
    assert_type(query.cursor(page.previous).start_after(id="p1").segment(3, of=64).all(), "list[Payment]")
    for one in query:
        assert_type(one, Payment)
    assert_type(db.tables.ensure(Payment).status, str)
    backup = db.tables.create_backup(Payment, "before-7")
    assert_type(db.tables.restore_backup(backup, Payment).status, str)
    assert_type([one.ready for one in db.tables.list_backups()], "list[bool]")
    db.tables.delete_backup(backup.arn)
    with db.transaction(token="t1") as tx:
        tx.create(p, label="first")
        tx.put(p, condition=Payment.amount > 5)
        tx.save(r)
        tx.update(p, Payment.amount.set(7), upsert=True)
        tx.update(Payment, "p1", Payment.amount.set(7), condition=Payment.amount > 5, label="by key")
        tx.update(Payment, Payment.amount.set(7), id="p1")
        tx.delete(p)
        tx.delete(Payment, "p1", must_exist=True)
        tx.check(p)
        tx.check(Payment, "p1", Payment.amount > 5, label="enough")
    db.update(
        p,
        raw("SET amount = :v", values={":v": 1}, model=Payment),
        condition=raw("#a > :v", names={"#a": Payment.amount}),
    )
    assert_type(db.batch_get(Payment, ["p1"], select=["amount", Payment.note]), "list[Payment | None]")
    assert_type(db.transact_get([(Payment, "p1")], select={Payment: [Payment.amount]}), "list[Payment | None]")
    assert_type(db.transact_get([(Payment, "p1"), (Payment, {"id": "p2"})]), "list[Payment | None]")
    for kind, old, new in db.stream(Payment):
        assert_type(kind, ChangeKind)
        assert_type(old, "Payment | None")
        assert_type(new, "Payment | None")
    assert_type(query.sum(Payment.amount), int)
    assert_type(query.sum(Payment.fee), Decimal)
    assert_type(query.sum("amount"), "int | Decimal")
    assert_type(query.average(Payment.amount), "Decimal | None")
    assert_type(query.average("amount"), "Decimal | None")
    assert_type(query.min(Payment.amount), "int | None")
    assert_type(query.max(Payment.note), "str | None")
    assert_type(query.max(Payment.created), "datetime | None")
    assert_type(db.increment(p, Payment.amount), int)
    assert_type(db.increment(Payment, "p1", Payment.amount, by=-1, minimum=0), int)
    assert_type(db.increment(Payment, "p1", datetime.now(UTC), Payment.fee, by=Decimal("0.5")), Decimal)
    assert_type(db.increment(Payment, Payment.amount, id="p1", created=datetime.now(UTC), upsert=True), int)
    db.update(Payment, Payment.amount.set(7), id="p1")
    assert_type(db.config, Config)
    try:
        db.create(p)
    except ConditionFailed as error:
        assert_type(error.item_as(Payment), "Payment | None")
        if error.item is not None:
            error.item.amount


def loaded(db: DB, p: Payment, changes: dict[str, object]) -> None:
    assert_type(db.refresh(p), Payment)
    assert_type(db.patch(Payment, "p1", datetime.now(UTC), {"note": None}), Payment)
    assert_type(db.patch(Payment, "p1", changes, condition=Payment.amount > 5), Payment)
    assert_type(db.patch(Payment, changes, id="p1"), Payment)
    assert_type(db.patch(p, changes), Payment)
    assert_type(db.save_all([p]).ok, bool)
    payments = db.populate([p], Payment.note, Payment)
    assert_type(payments[p], Payment)
    assert_type(payments.get(p), "Payment | None")
    loader = db.loader(consistent=True)
    assert_type(loader.get(Payment, "p1"), "Payment | None")
    assert_type(loader.later(Payment, "p1").get(), "Payment | None")
    loader.clear(Payment, "p1")
    with db.transaction() as tx:
        tx.patch(p, changes, label="note")
        tx.patch(Payment, "p1", {"note": None})


async def loaded_there(db: AsyncDB, p: Payment) -> None:
    assert_type(await db.refresh(p), Payment)
    assert_type(await db.patch(p, {"note": None}), Payment)
    assert_type((await db.save_all([p])).count, int)
    assert_type(await db.loader().get(Payment, "p1"), "Payment | None")
    assert_type((await db.populate([p], Payment.note, Payment)).get(p), "Payment | None")


def kept_and_collected(db: DB, p: Payment) -> None:
    seconds: dict[type, float] = {Payment: 300.0, Address: 3600.0}
    config = CacheConfig(
        cacheable_operations=["get", "first"],
        ttl_func=lambda model: seconds.get(model, 60.0),
        invalidate_on=("create", "update", "delete"),
    )
    db.use(Cache(config))
    with db.new_batcher(BatchConfig(max_size=25)) as batcher:
        assert_type(batcher.add(p), Future[Payment])
        batcher.delete(Payment, "p1")


async def collected(db: AsyncDB, p: Payment) -> None:
    async with db.new_batcher() as batcher:
        future: AsyncFuture[Payment] = await batcher.add(p)
        assert_type(await future, Payment)


async def aio(db: AsyncDB) -> None:
    assert_type(await db.get(Payment, "p1"), "Payment | None")
    assert_type(await db.update(p, Payment.amount.set(7)), Payment)
    assert_type(await db.model(Payment).where(Payment.id == "p1").all(), "list[Payment]")
    async for one in db.model(Payment).where(Payment.id == "p1"):
        assert_type(one, Payment)
    async with db.transaction() as tx:
        tx.update(p, Payment.amount.set(7))
    assert_type(await db.transact_get([(Payment, "p1")]), "list[Payment | None]")
    assert_type(await db.model(Payment).sum(Payment.amount), int)
    assert_type(await db.model(Payment).min(Payment.created), "datetime | None")
    assert_type(await db.increment(Payment, "p1", Payment.amount), int)
    async for kind, old, new in db.stream(Payment):
        assert_type(kind, ChangeKind)
        assert_type(new, "Payment | None")
        assert old is None
    async with AsyncDB(Presets.local_development()) as other:
        assert_type(await other.exists(Payment, "p1"), bool)


def answered(error: DynamORMError) -> int:
    answer = answer_of(error)
    return 500 if answer is None else answer.status


def logged() -> Config:
    return Config(log_requests=True)


def configured() -> DB:
    make: Callable[[], Config] = Presets.production
    with DB(make()) as db:
        return db


class Article(Model, table="articles"):
    id: Attr[str] = partition_key()
    text: Attr[str] = attr(Compressed("zstd", above=100, limit=5000), default="")

    page: Attr[bytes] = attr(Offloaded("bucket", above=5, on_missing="mark"), default=b"")


assert_type(Article(id="a").text, str)
assert_type(Article(id="a").page, bytes)


class Shelf:
    def put(self, bucket: str, key: str, data: bytes, /) -> None: ...
    def get(self, bucket: str, key: str, largest: int, /) -> bytes | None: ...
    def delete(self, bucket: str, key: str, /) -> None: ...
    def list(self, bucket: str, prefix: str, /) -> list[tuple[str, float]]:
        return []


def offloading(db: DB) -> None:
    store: ObjectStore = Shelf()
    offload = Offload(store, grace=7200)
    db.use(offload)
    cleaner = OffloadCleaner(db, offload, Article)
    assert_type(cleaner.clean({}), int)
    for record in db.stream(Article):
        cleaner.clean(record)
        assert_type(record.images["Keys"], "dict[str, Any]")
    assert_type(cleaner.sweep().removed, int)


async def offloading_too(db: AsyncDB, offload: Offload) -> None:
    assert_type(await AsyncOffloadCleaner(db, offload, Article).sweep(), Swept)


class Kept(SoftDeleted, Model, table="kept"):
    id: Attr[str] = partition_key()
    gone: Attr[datetime | None] = attr(DeletedAt(expire_after=5), default=None)


def softly(db: DB, kept: Kept) -> None:
    db.use(SoftDelete())
    assert_type(kept.deleted_at, "datetime | None")
    assert_type(db.restore(kept), Kept)
    assert_type(db.restore(Kept, "k1", condition=Kept.id == "k1"), Kept)
    assert_type(db.with_deleted().get(Kept, "k1"), "Kept | None")
    db.permanently().delete(kept)
    updates, is_deleted = restoring(Kept)
    db.update(kept, *updates, condition=is_deleted)


async def softly_too(db: AsyncDB, kept: Kept) -> None:
    assert_type(await db.restore(Kept, "k1"), Kept)
    assert_type(await db.with_deleted().restore(kept), Kept)


class Mark:
    """A field option."""


class Slow(Plugin):
    async def post_query(self, ctx: PluginContext, query: Operation, result: object) -> None: ...


class Looking:
    name = "looking"

    def __init__(self) -> None:
        self.ended: Callable[[Operation, BaseException | None], None] = lambda operation, error: None

    @staticmethod
    def observe(call: Call, reply: object) -> None: ...


class Claiming:
    options = (Mark,)


@dataclass
class Asking:
    return_consumed_capacity: str = "TOTAL"


def plugged(db: DB, plugins: list[Slow]) -> None:
    db.use(Slow(), Looking(), Claiming(), Asking(), on_error="raise_after")
    db.use(*plugins)
    db.use(
        Bulkhead(5), Cache(), CachingPlugin(object()), CapacityLimiter(requests=5, tables=(Payment, "x")), CircuitBreaker(),
        CostPlugin(), DevelopmentLint(), Hedging(), HotKeys(), LoggingPlugin(None), Metrics(), MetricsPlugin(), ThrottlePacing(),
        TracingPlugin(),
    )  # fmt: skip
    db.breaker.isolate("write")
    db.breaker.reset()
    db.breaker.listen(lambda change: change.after)


@deadline(0.8)
def bounded(db: DB, key: str) -> Payment | None:
    return db.get(Payment, key)


@deadline(0.8)
async def bounded_there(db: AsyncDB, key: str) -> Payment | None:
    async with deadline(0.5):
        return await db.get(Payment, key)


def called(db: DB) -> None:
    assert_type(bounded(db, "p1"), "Payment | None")


class Audited(AuditableModel, Model, table="audited"):
    id: Attr[str] = partition_key()
    amount: Attr[int]
    approved_by: Attr[str | None] = attr(Audit("updated_by"), default=None)


def audit_trail(db: DB) -> None:
    db.enable_audit_log(audit_key=b"k" * 32)
    db.enable_change_tracking(Audited, ChangeTrackingConfig(fields=["amount"], store="audit-log-table"))
    with actor("user:42", ip="203.0.113.7", user_agent="curl/8", request_id="r1"):
        payment = db.create(Audited(id="p1", amount=5))
    assert_type(payment.created_by, str | None)
    assert_type(payment.change_log, list[Change])
    assert_type(db.audit.history(Audited, "p1"), list[AuditRecord])
    assert_type(db.audit.verify(Audited, "p1"), AuditVerdict)


async def async_audit_trail(db: AsyncDB) -> None:
    async with actor("user:42"):
        await db.create(Audited(id="p1", amount=5))
    assert_type(await db.audit.history(Audited, "p1"), list[AuditRecord])


# ------------------------------------------------------------------------------------------------------------- testing


async def asked() -> int:
    return 5


async def tested(db: TestDB, async_db: AsyncTestDB) -> None:
    assert_type(assert_eventually(lambda: 5), int)
    assert_type(await assert_eventually(asked, timeout=1), int)
    assert_type(factory(Payment, amount=5)(), Payment)
    assert_type(factory(Payment).batch(3), list[Payment])
    db.load_fixture("payments.yaml", models=[Payment])
    await async_db.load_fixture("payments.yaml")
    db.dump_fixture("payments.yaml", [Payment])
    with freeze_time("2024-01-01T00:00:00Z") as clock, Recorder(db) as r:
        assert_type(clock.tick(5), datetime)
        assert_type(r.no_scans().at_most(5).capacity.read, Decimal)


@freeze_time("2024-01-01T00:00:00Z")
def frozen(key: str) -> int:
    return len(key)


assert_type(frozen("p1"), int)


class Sale(Model, table="sales"):
    id: Attr[str] = partition_key()
    price: Attr[Money]
    tip: Attr[Money | None] = attr(default=None)
    total: Attr[Money] = attr(money="amount,currency")


class Paid(Model, PaymentMixin, table="paid"):
    id: Attr[str] = partition_key()


def money(db: DB, one: Money) -> None:
    sale = Sale(id="s1", price=one, total=one)
    db.update(
        Sale, "s1", Sale.price.add(one), Sale.tip.add(-one), Sale.total.set(one), condition=(Sale.total >= one) & (Sale.price == one)
    )  # fmt: skip
    assert_type(sale.price + one * 2, Money)
    assert_type(one.allocate([1, 2]), list[Money])
    paid = Paid(id="p1", amount=5, currency="EUR", status=PaymentStatus.PENDING)
    assert_type(paid.money, Money)


def paid(db: DB, one: Money, day: date) -> None:
    ensure_tables(db).name
    assert_type(find_payment_by_idempotency_key(db, Paid, "k"), "Paid | None")
    sold = transition(db, Paid(id="p1", amount=5, currency="EUR"), "captured", id="c1", amount=one)
    assert_type(sold, Paid)
    assert_type(refund(db, sold, one, id="r1", tx=None), Paid)
    ledger = Ledger(db)
    ledger.open("cash", "EUR", at_least=one)
    assert_type(ledger.post([Posting("cash", one), ("sales", -one)], id="o1"), Posted)
    assert_type(ledger.reverse("o1", by="o2"), Posted)
    assert_type(ledger.balance("cash", currency="EUR"), Money)
    assert_type(ledger.balance("cash"), "Money | dict[str, Money]")
    assert_type(ledger.trial_balance(), TrialBalance)
    assert_type(ledger.verify(), Verification)
    assert_type(Outbox(db, lease=5).run(lambda event: event.headers("s"), limit=5).delivered, int)
    kept: Outbox = Outbox(db.with_tenant("t"))
    assert_type(kept.dead(), list[OutboxEvent])
    kept.redrive(kept.dead()[0])
    assert_type(Reconciliation(db, Paid).run(day, [""], tz="UTC"), Report)


async def async_paid(db: AsyncDB, one: Money, day: date) -> None:
    (await ensure_tables(db)).name
    assert_type(await find_payment_by_idempotency_key(db, Paid, "k"), "Paid | None")
    sold = await transition(db, Paid(id="p1", amount=5, currency="EUR"), "captured", id="c1")
    assert_type(sold, Paid)
    assert_type(await refund(db, sold, one, id="r1"), Paid)
    ledger = Ledger(db)
    posting = create_task(ledger.post([Posting("cash", one), ("sales", -one)], id="o1"))
    assert_type(await posting, Posted)
    assert_type(await ledger.balance("cash", currency="EUR"), Money)
    assert_type(await ledger.balance("cash"), "Money | dict[str, Money]")
    assert_type(await ledger.trial_balance(), TrialBalance)
    kept: Outbox[AsyncDB] = Outbox(db)
    assert_type((await kept.run(print)).failed, int)
    assert_type(await kept.dead(limit=5), list[OutboxEvent])
    assert_type(await Reconciliation(db, Paid).run(day, [""], tz="UTC"), Report)


def in_test(db: TestDB, one: Money) -> None:
    assert_type(Ledger(db).post([], id="o1"), Posted)
    assert_type(transition(db, Paid(id="p1", amount=5, currency="EUR"), PaymentStatus.CAPTURED), Paid)


def on_engines(engine: Engine) -> None:
    with DB(engine) as db:
        db.create(p)
    AsyncDB(engine, extensions=())
    DB(Config(engine=engine))


def keys(db: DB) -> None:
    report = db.keys.rotate("pci", blind_index=True)
    assert_type(report.former, dict[str, str])
    db.keys.retire("pci", report.former["cards"])
    assert_type(db.keys.reencrypt(Payment).complete, bool)
    assert_type(db.keys.shred(subject="c1").done_at, datetime)


async def async_keys(db: AsyncDB) -> None:
    report = await db.keys.rotate("pci")
    assert_type(report.old_writers_until, datetime)
    await db.keys.retire("pci", report.former["cards"])
    assert_type((await db.keys.reencrypt(Payment)).complete, bool)


async def in_fastapi(db: Database) -> None:
    app = FastAPI(lifespan=lifespan(Presets.production()))
    FastAPI(lifespan=lifespan(lambda: AsyncDB(Presets.production())))
    install(app)
    assert_type(await db.require(Payment, "p1"), Payment)


class Made(Model, table="made"):
    id: Attr[str] = partition_key(default_factory=ulid)
    trace: Attr[str] = attr(default_factory=ksuid)
    mark: Attr[UUID] = attr(default_factory=uuid7)


assert_type(id_time(Made().mark), datetime)
assert_type(id_time(Made().id), datetime)


class Versioned(Model, table="versioned", schema_version=2):
    id: Attr[str] = partition_key()
    version: Attr[int] = version()

    @staticmethod
    @upgrade(1, attributes=("a", "b"))
    def to_b(item: dict[str, Any]) -> None:
        item["b"] = item.pop("a")


Versioned.to_b({"a": 1})
assert_type(upgraded_item(Versioned, {"a": 1}), dict[str, Any] | None)


class Formed(Model, table="formed"):
    pk: Attr[str] = partition_key(composite("{email:lower}#{balance:number}"))
    email: Attr[str]
    balance: Attr[Decimal]


assert_type(Formed(email="A", balance=Decimal(1)).pk, str)


class Timed(Model, table="timed"):
    id: Attr[str] = partition_key()
    at: Attr[datetime] = sort_key(Epoch("milliseconds"), init=True)
    day: Attr[datetime | None] = attr(TimeText("%Y%m%d", zone=UTC), default=None)


assert_type(Timed(id="a", at=datetime.now(UTC)).day, datetime | None)


class Sparse(Model, table="sparse"):
    id: Attr[str] = partition_key()
    state: Attr[str]
    open_pk: Attr[str | None] = attr(composite("id"), init=False)
    by_open = gsi("by-open", partition="open_pk", only_if={"state": ("open", "held"), "id": lambda key: key > ""})


assert_type(Sparse(id="a", state="open").open_pk, str | None)
