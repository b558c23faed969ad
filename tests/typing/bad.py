"""Every line that ends in the mark E must be rejected by mypy --strict and by pyright, and no other line."""

from __future__ import annotations

from datetime import datetime

from fastapi import FastAPI

from dynamorm import (
    DB,
    AsyncDB,
    Attr,
    BatchConfig,
    Cache,
    CacheConfig,
    Compressed,
    Condition,
    Epoch,
    Model,
    TimeText,
    access_pattern,
    after_create,
    after_delete,
    after_load,
    after_save,
    attr,
    before_create,
    before_delete,
    before_save,
    composite,
    derived,
    field_validator,
    gsi,
    id_time,
    ksuid,
    model_validator,
    partition_key,
    raw,
    sort_key,
    ttl,
    ulid,
    upgrade,
    upgraded_item,
    uuid7,
    version,
)
from dynamorm.adapters import register
from dynamorm.adapters.fastapi import install, lifespan
from dynamorm.adapters.web import answer_of
from dynamorm.errors import DynamORMError
from dynamorm.payments import Ledger, Money, Outbox, refund, transition
from dynamorm.plugins import AsyncOffloadCleaner, Offload, OffloadCleaner, Offloaded
from dynamorm.plugins import DeletedAt, SoftDelete, SoftDeleted, restoring
from dynamorm.plugins.offload import ObjectStore


def _dear(id: str, *, above: int) -> Condition:
    return (Payment.id == id) & (Payment.amount > above)


class Payment(Model, table="payments"):
    dear = access_pattern(_dear)
    dearest = access_pattern("dear")  # E no function
    id: Attr[str] = partition_key()
    amount: Attr[int]
    note: Attr[str | None] = attr(default=None)
    tags: Attr[list[str]] = attr(default_factory=list)
    version: Attr[int] = version()


async def later(obj: object) -> None: ...


class Wrong(Model):
    id: Attr[str] = partition_key()
    n: Attr[int] = attr(default="x")  # E default of the wrong type
    m: Attr[int] = attr(default_factory=list)  # E factory of the wrong type
    o: Attr[int] = 5  # E bare default is not an Attr
    made: Attr[int] = attr(default_factory=ulid)  # E a ULID is a text
    mark: Attr[str] = attr(default_factory=uuid7)  # E it is a UUID
    trace: Attr[bytes] = attr(default_factory=ksuid)  # E a KSUID is a text


class Entry(Model, table="ledger"):
    pk: Attr[str] = partition_key(composite("tenant_id"))
    tenant_id: Attr[str]


Entry(tenant_id="t", pk="t")  # E a composite is no argument
Entry(pk="t")  # E a composite is no argument
Entry(tenant_id="t").pk.add(1)  # E instance is a str
partition_key(composite(5))  # E names are text
upgrade("1")  # E a version is a number
upgrade(1, attributes=(5,))  # E names are text
upgrade(1)(5)  # E it marks a function
upgraded_item(Payment, 5)  # E an item is a dict
Epoch("minutes")  # E no such unit
TimeText(5)  # E a format is text
TimeText("%Y%m%d", zone=5)  # E a zone is text or a tzinfo
gsi("by-x", partition="x", only_if="state")  # E a condition names fields
id_time(5)  # E an identifier is a text or a UUID
partition_key(also_read=("Id",))  # E a key has one name
sort_key(default="x", uniqe=True)  # E no such limit
Compressed("lz4")  # E no such algorithm
Compressed(above="1 KB")  # E a number of bytes
Offloaded(5)  # E a bucket is a text
Offloaded("bucket", on_missing="skip")  # E raise or mark
attr(max_length="5")  # E type of a limit
attr(default=None, max_lenght=5)  # E no such limit
attr(default_factory=list, validators=len)  # E a tuple of functions
ttl(name=5)  # E type of a limit
ttl(composite("a"), init=False)  # E what is computed is no time to live
register(table="made", partition="pk", composites={"pk": "id"})  # E a key is made by composite(...)
field_validator(5)  # E names are text
model_validator(5)  # E names are text
before_create(5)  # E a method
before_save("clean")  # E a method
before_delete("check")  # E a method
after_create(None)  # E a method
after_save([])  # E a method
after_delete(len("a"))  # E a method
after_load(later)  # E a plain function
derived("price", by="total")  # E a function
Payment()  # E missing
Payment(id="x")  # E missing amount
Payment("x", 5)  # E positional
Payment(id=1, amount=5)  # E type
Payment(id="x", amount="5")  # E type
Payment(id="x", amount=5, nope=1)  # E unknown
p = Payment(id="x", amount=5)
p.id = 3  # E assign type
p.amount = None  # E assign type
p.id.begins_with("x")  # E instance is a str
p.nope  # E unknown attribute
p.amout = 6  # E unknown attribute
Payment.nope  # E unknown attribute
Payment.amount > "x"  # E operand type
Payment.amount.begins_with("x")  # E not a string attribute
Payment.amount.set("x")  # E value type
Payment.amount.set(None)  # E value type
Payment.amount.append("x")  # E not a list attribute
Payment.tags.append(5)  # E element type
Payment.note.add(5)  # E not a number
Payment.amount.between("a", "b")  # E operand type
Payment.amount.in_(["a"])  # E operand type


class Seen:
    def observe(self, call: object, reply: object) -> None: ...


def f(db: DB, when: datetime) -> None:
    db.model(Payment).where(p.id == "x")  # E bool, not Condition
    db.model(Payment).where(True)  # E
    db.update(p, Payment.amount > 5)  # E Condition, not Update
    db.update(Payment, "x", Payment.amount == 5)  # E Condition, not Update
    db.update(Payment, Payment.amount == 5, id="x")  # E Condition, not Update
    db.upsert(Payment, "x", Payment.amount == 5)  # E Condition, not Update
    db.update(Payment, "x", Payment.amount.set(5), returning="all_old")  # E no such result
    db.upsert(Payment, "x", Payment.amount.set(5), returning="old").amount  # E may be None
    db.update(p, Payment.amount.set(5), returning="old")  # E by key only
    db.update(Payment, "x", {"amount": 5})  # E a dict, not updates
    db.model(Payment).where(id="x")  # E no keywords
    db.query(Payment.dear("x"))  # E above is missing
    db.query(Payment.dear(5, above=5))  # E id is a text
    db.query(Payment.dear("x", above=5)).one().nothing  # E no such field
    db.query(Payment)  # E no pattern
    db.model(Payment).select_as(5)  # E no class
    db.model(Payment).select_as(Wrong).first().amount  # E not of this class, and may be None
    db.model(Payment).group_by(Payment.note).sum(Payment.id)  # E not a number
    db.model(Payment).group_by(5).count()  # E no attribute
    db.model(Payment).group_by(Payment.note).count().get(5) + "x"  # E a count
    db.batch_get(Payment, ["x"], on_misfit="collect")  # E raise or skip
    db.model(Payment).collect(Payment).misfits()  # E a list
    db.model(Payment).without_expired(5)  # E takes nothing
    db.model(Payment).segment(3)  # E of how many
    db.model(Payment).read_at_most("5")  # E a count
    db.model(Payment).start_after(p).next()  # E no such step
    db.model(Payment).page().previous.upper()  # E may be None
    db.model(Payment).page().has_more()  # E no method
    db.model(Payment).page().capped = "no"  # E a bool
    db.model(Payment).filter(amount=5)  # E no keywords
    db.model(Payment).sum(Payment.id)  # E not a number
    db.model(Payment).average(Payment.tags)  # E not a number
    db.increment(Payment, "x", Payment.note)  # E not a number
    total: str = db.model(Payment).sum(Payment.amount)  # E an int
    least: int = db.model(Payment).min(Payment.amount)  # E may be None
    left: str = db.increment(Payment, "x", Payment.amount)  # E an int
    raw(5)  # E a text
    raw("a = :v", values=[1])  # E a mapping
    raw("#a = :v", names={"#a": 5})  # E an attribute
    db.batch_get(Payment, ["x"], select=5)  # E no list of attributes
    db.transact_get([(Payment, "x")], select=[5])  # E no attribute
    db.transact_get([("x", Payment)])  # E the model comes first
    Payment.id + 1  # E not a number
    Payment.amount + "x"  # E not a number
    Payment.amount.set(Payment.amount + 1.5)  # E a float
    Payment.id.set(Payment.amount + 1)  # E an int, not a str
    Payment.tags.concat(Payment.id)  # E not a list
    Payment.tags.set(Payment.tags.concat([5]))  # E element type
    Payment.amount.add(1, strict="yes")  # E a bool
    Payment.amount.add(1, start="x")  # E a number
    Payment.tags.add({"x"}, start=1)  # E no number
    db.update(p, Payment.amount + 1)  # E computed, not an Update
    db.update(Payment, "p1", Payment.amount + 1)  # E computed, not an Update
    Payment.id.startswith("x")  # E begins_with
    Payment.tags.extend([5])  # E element type
    Payment.tags.extend_or_create("x", "y")  # E one list
    Payment.amount.extend([5])  # E not a list attribute
    Payment.id == "x" & Payment.amount  # E parentheses
    CacheConfig(cacheable_operations=["frist"])  # E no such verb
    CacheConfig(invalidate_on=["Create"])  # E no such family
    CacheConfig(tll=5)  # E no such setting
    Cache(ttl=5)  # E a setting of its config
    db.new_batcher(BatchConfig(max_siz=5))  # E no such setting
    db.new_batcher().add(5)  # E no object of a model
    with AsyncDB() as wrong:  # E async with
        wrong.close
    x: int = db.get(Payment, "x")  # E
    y: Condition = Payment.amount  # E
    db.get(Payment, "x").amount  # E may be None
    db.model(Payment).where(Payment.id == 5)  # E operand type of ==
    db.model(Payment).where(Payment.amount == "5")  # E operand type of ==
    db.put(p, condition=True)  # E bool, not Condition
    z: Payment | None = db.model(Payment).all()  # E a list
    db.refresh(p).nope  # E unknown attribute
    db.tables.create_backup(Payment)  # E no name
    db.tables.restore_backup(Payment, "x")  # E the backup comes first
    db.tables.list_backups("payments")  # E a model, not its table
    db.tables.delete_backup(5)  # E no backup
    db.patch(Payment, "x", 5)  # E no mapping
    db.patch(p, [("amount", 5)])  # E no mapping
    db.save_all(p)  # E a list of objects
    db.loader().get(Payment, "x").amount  # E may be None
    db.loader().later(Payment, "x").amount  # E to be asked for
    db.loader(max_size=5)  # E no such argument
    db.save_all([p]).writen  # E no such field
    db.populate([p], "note", Payment)  # E a field, not its name
    db.populate([p], Payment.note, Payment).get(p).amount  # E may be None
    with db.transaction() as tx:
        tx.patch(Payment, "x", 5)  # E no mapping
        tx.create()  # E no object
        tx.update(p, Payment.amount > 5)  # E Condition, not Update
        tx.put(p, condition=True)  # E bool, not Condition
        tx.create(p, label=5)  # E a label is a str
    db.transaction(token=5)  # E a token is a str
    db.use(5)  # E no plugin
    db.use("outbox")  # E no plugin
    db.use([Seen()])  # E one by one
    DB("http://127.0.0.1:8000")  # E no Config
    db.config.replace(log_requests=True).log_request  # E no such setting
    db.breaker.isolate("writes")  # E "write"
    db.breaker.reset("reads")  # E "read"
    db.breaker.listen(5)  # E no function
    db.breaker.listen(lambda: None)  # E takes the change


class Sale(Model, table="sales"):
    id: Attr[str] = partition_key()
    price: Attr[Money]


def money(one: Money) -> None:
    one + 1  # E no money
    one * 1.5  # E a float
    _ = one < 5  # E no money
    Sale(id="s", price=5)  # E no money
    Sale.price.add(5)  # E no money
    Money(1.5, "EUR")  # E a float
    Money.minor("5", "EUR")  # E minor units are an int
    one.times(2)  # E says how it rounds


def paid(db: DB, async_db: AsyncDB, one: Money) -> None:
    ledger = Ledger(db)
    ledger.post([("cash", one)])  # E no id
    ledger.post([("cash", 5)], id="o1").at  # E no money
    ledger.post([("cash", one)], id="o1").when  # E no such field
    ledger.balance("cash").cents  # E may be several
    Outbox(db).run(print).sent  # E no such figure
    Outbox(async_db).run(print).delivered  # E is awaited
    transition(db, Sale(id="s", price=one), 5)  # E no state
    refund(db, Sale(id="s", price=one), one)  # E no id
    kept: Outbox = Outbox(async_db)  # E is one of an AsyncDB
    Ledger("db")  # E no database


def offloading(db: DB, async_db: AsyncDB, offload: Offload) -> None:
    OffloadCleaner(async_db, offload, Payment)  # E is one of an AsyncDB
    AsyncOffloadCleaner(db, offload, Payment)  # E is one of a DB
    OffloadCleaner(db, offload, Payment).clean("record")  # E no record
    Offload(Shelf(), grace="a day")  # E no time
    kept: ObjectStore = Shelf()  # E lacks list


class Shelf:
    def put(self, bucket: str, key: str, data: bytes, /) -> None: ...
    def get(self, bucket: str, key: str, largest: int, /) -> bytes | None: ...
    def delete(self, bucket: str, key: str, /) -> None: ...


def softly(db: DB, async_db: AsyncDB, one: Payment) -> None:
    db.restore(one, "p1", key=5).missing  # E no such field
    db.restore(one, condition="deleted")  # E no condition
    async_db.restore(one).id  # E is awaited
    db.with_deleted(True)  # E takes nothing
    db.permanently(one)  # E takes nothing
    DeletedAt(expire_after="a month")  # E no time
    SoftDelete(Payment)  # E takes nothing
    restoring("Payment")  # E no model
    one.deleted_at = None  # E has no such field
    SoftDeleted.deleted_at.append("x")  # E is no list


def in_fastapi() -> None:
    FastAPI(lifespan=lifespan("eu-west-1"))  # E no Config
    FastAPI(lifespan=lifespan(lambda: DB()))  # E is a blocking one
    install("app")  # E no application
    answer_of(5)  # E no error
    answer_of(DynamORMError("x")).status  # E may be None
