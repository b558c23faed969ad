"""Items of models: every type of field, keys of parts, families, guards, versions, counters, leases, cursors."""

from __future__ import annotations

import dataclasses
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Any, Literal, NamedTuple, TypedDict
from uuid import UUID

import msgspec
import pydantic

from dynamorm import (
    AppendOnly,
    Attr,
    Codec,
    Json,
    Model,
    Unique,
    attr,
    composite,
    created_at,
    gsi,
    lsi,
    partition_key,
    sort_key,
    ttl,
    updated_at,
    version,
)
from dynamorm.leases import LeaseRecord

from .kit import World, story


class Size(Enum):
    SMALL = "s"
    LARGE = "l"


class Level(IntEnum):
    LOW = 1
    HIGH = 2


class Raw(Enum):
    A = b"a"


class Address(Model):
    street: Attr[str]
    zip: Attr[str | None] = attr(default=None)


@dataclasses.dataclass
class Line:
    sku: str
    count: int = 1


class Cell(TypedDict):
    row: int
    text: str


class Point(NamedTuple):
    x: int
    y: int


class Struct(msgspec.Struct):
    name: str
    size: int = 0


class Pydantic(pydantic.BaseModel):
    name: str
    price: Decimal


class Everything(Model, table="golden-everything"):
    id: Attr[UUID] = partition_key()
    at: Attr[datetime] = sort_key()
    text: Attr[str] = attr(default="")
    whole: Attr[int] = attr(default=0)
    exact: Attr[Decimal] = attr(default=Decimal(0))
    real: Attr[float] = attr(default=0.0)
    flag: Attr[bool] = attr(default=False)
    raw: Attr[bytes] = attr(default=b"")
    day: Attr[date | None] = attr(default=None)
    hour: Attr[time | None] = attr(default=None)
    lasts: Attr[timedelta | None] = attr(default=None)
    other: Attr[UUID | None] = attr(default=None)
    size: Attr[Size | None] = attr(default=None)
    level: Attr[Level | None] = attr(default=None)
    raws: Attr[Raw | None] = attr(default=None)
    way: Attr[Literal["in", "out"]] = attr(default="in")
    names: Attr[list[str]] = attr(default_factory=list)
    pair: Attr[tuple[int, str] | None] = attr(default=None)
    many: Attr[tuple[int, ...]] = attr(default=())
    prices: Attr[dict[str, Decimal]] = attr(default_factory=dict)
    by_number: Attr[dict[int, str]] = attr(default_factory=dict)
    by_size: Attr[dict[Size, int]] = attr(default_factory=dict)
    by_id: Attr[dict[UUID, int]] = attr(default_factory=dict)
    texts: Attr[set[str]] = attr(default_factory=set)
    numbers: Attr[frozenset[int]] = attr(default_factory=frozenset)
    decimals: Attr[set[Decimal]] = attr(default_factory=set)
    blobs: Attr[set[bytes]] = attr(default_factory=set)
    address: Attr[Address | None] = attr(default=None)
    lines: Attr[list[Line]] = attr(default_factory=list)
    cell: Attr[Cell | None] = attr(default=None)
    point: Attr[Point | None] = attr(default=None)
    struct: Attr[Struct | None] = attr(default=None)
    pyd: Attr[Pydantic | None] = attr(default=None)
    either: Attr[int | str] = attr(default=0)
    anything: Attr[Any] = attr(default=None)
    document: Attr[dict[str, Any]] = attr(Json(), default_factory=dict)
    color: Attr[tuple[int, ...]] = attr(
        Codec(encode=lambda it: bytes(it).hex(), decode=lambda it: tuple(bytes.fromhex(it))), default=(0, 0, 0)
    )
    renamed: Attr[str] = attr(name="r", default="")
    left_out: Attr[str] = attr(omit_empty=True, default="")
    once: Attr[str | None] = attr(default=None, write_once=True)
    not_none: Attr[str | None] = attr(default="shown")
    expires: Attr[datetime | None] = ttl(default=None)
    created_at: Attr[datetime] = created_at()
    updated_at: Attr[datetime] = updated_at()
    version: Attr[int] = version()


ONE, TWO, THREE = (UUID(int=number, version=4) for number in (1, 2, 3))
AT = datetime(2024, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


def _everything(db, folder, kept):
    db.tables.ensure(Everything)


@story(_everything, lambda here, kept: [here.db.require(Everything, one, AT) for one in (ONE, TWO, THREE)])
def every_type_of_field(here: World):
    here.db.create(
        Everything(
            id=ONE, at=AT, text="café €", whole=-(10**37), exact=Decimal("12.50"), real=0.1, flag=True, raw=b"\0\xff",
            day=date(2025, 3, 1), hour=time(9, 30, 15), lasts=timedelta(hours=8, milliseconds=5), other=TWO, size=Size.LARGE,
            level=Level.HIGH, raws=Raw.A, way="out", names=["a", ""], pair=(1, "x"), many=(1, 2, 3),
            prices={"tea": Decimal("2.10")}, by_number={1: "one"}, by_size={Size.SMALL: 1}, by_id={TWO: 2},
            texts={"b", "a"}, numbers=frozenset({2, 1}), decimals={Decimal("1.5")}, blobs={b"z"},
            address=Address(street="Elm"), lines=[Line("s1"), Line("s2", 2)], cell={"row": 1, "text": "t"}, point=Point(1, 2),
            struct=Struct("n", 5), pyd=Pydantic(name="p", price=Decimal("1.20")), either="text",
            anything={"list": [1, None, Decimal("0.5"), b"x", {"deep": True}], "set": {"s"}},
            document={"z": 1, "a": [None, "é"]}, color=(255, 0, 1), renamed="here", left_out="", once="set", not_none=None,
            expires=datetime(2050, 1, 1, tzinfo=UTC),
        )
    )  # fmt: skip
    here.db.create(Everything(id=TWO, at=AT))
    three = here.db.create(Everything(id=THREE, at=AT, either=7, names=["x"]))
    three.names.append("y")
    three.whole = 5
    here.db.save(three)
    here.db.update(three, Everything.whole.add(1), Everything.texts.add({"t"}), Everything.names.append("z"))


class Transaction(Model, table="golden-keys"):
    pk: Attr[str] = partition_key(composite("tenant_id", "transaction_id"))
    sk: Attr[str] = sort_key(composite("day"))
    status_key: Attr[str | None] = attr(composite("status", "day"), init=False)
    tenant_id: Attr[str]
    transaction_id: Attr[str]
    day: Attr[date]
    status: Attr[str | None] = attr(default="open")
    amount: Attr[int] = attr(default=0)
    by_status = gsi("by-status", partition="tenant_id", sort="status_key")


class Numbered(Model, table="golden-templates"):
    pk: Attr[str] = partition_key(composite("CUSTOMER#{customer_id}"))
    sk: Attr[str] = sort_key(composite("ORDER#{number:010d}"))
    customer_id: Attr[str]
    number: Attr[int]
    total: Attr[int] = attr(default=0)
    by_total = lsi("by-total", sort="total")


class Event(Model, table="golden-shards"):
    pk: Attr[str] = partition_key(composite("DAY#{day}", shards=8, by="event_id"))
    at: Attr[int] = sort_key()
    day: Attr[str]
    event_id: Attr[str]


class Charge(Model, table="golden-scoped"):
    pk: Attr[str] = partition_key(composite("TENANT#{scope.tenant}#CHARGE#{id}"))
    id: Attr[str]
    amount: Attr[int]


def _keys(db, folder, kept):
    db.tables.ensure(Transaction, Numbered, Event, Charge)


def _keys_read(here: World, kept):
    db = here.db
    return {
        "by parts": db.require(Transaction, tenant_id="acme #1", transaction_id="t-7%", day=date(2024, 1, 1)),
        "by index": db.model(Transaction).where(Transaction.tenant_id == "acme #1", Transaction.status == "open").all(),
        "out of the index": db.require(Transaction, tenant_id="b", transaction_id="t", day=date(2024, 1, 2)),
        "templates": db.model(Numbered).where(Numbered.customer_id == "c1", Numbered.number > 2).all(),
        "shards": db.model(Event).where(Event.day == "2024-01-01").order_by("at").all(),
        "scoped": db.view(tenant="t#1").get(Charge, id="c1"),
    }


@story(_keys, _keys_read)
def keys_of_parts(here: World):
    db = here.db
    db.create(Transaction(tenant_id="acme #1", transaction_id="t-7%", day=date(2024, 1, 1), amount=5))
    db.create(Transaction(tenant_id="b", transaction_id="t", day=date(2024, 1, 2), status=None))
    db.batch_write(puts=[Numbered(customer_id="c1", number=number) for number in (2, 3, 10)])
    db.batch_write(puts=[Event(day="2024-01-01", event_id=f"e{number}", at=number) for number in range(6)])
    db.view(tenant="t#1").create(Charge(id="c1", amount=5))


class Entity(Model, table="golden-family", discriminator="kind"):
    pk: Attr[str] = partition_key()
    sk: Attr[str] = sort_key()
    inverted = gsi("inverted", partition="sk", sort="pk")


class Customer(Entity):
    pk: Attr[str] = partition_key(composite("CUSTOMER#{customer_id}"))
    sk: Attr[str] = sort_key(composite("#PROFILE"))
    customer_id: Attr[str]
    name: Attr[str]


class Purchase(Entity):
    pk: Attr[str] = partition_key(composite("CUSTOMER#{customer_id}"))
    sk: Attr[str] = sort_key(composite("PURCHASE#{number:06d}"))
    customer_id: Attr[str]
    number: Attr[int]


def _family(db, folder, kept):
    db.tables.ensure(Entity)


@story(_family, lambda here, kept: here.db.model(Entity).where(Entity.pk == "CUSTOMER#c1").all())
def several_classes_in_one_table(here: World):
    here.db.create(Customer(customer_id="c1", name="Ada"))
    here.db.create(Purchase(customer_id="c1", number=1))
    here.db.create(Entity(pk="CUSTOMER#c1", sk="OTHER"))


class User(Model, table="golden-unique"):
    id: Attr[str] = partition_key()
    mail: Attr[str | None] = attr(Unique(), default=None)
    country: Attr[str] = attr(Unique("passport"))
    number: Attr[int] = attr(Unique("passport"))
    version: Attr[int] = version()


class Guard(Model, table="golden-guards"):
    pk: Attr[str] = partition_key()


class Device(Model, table="golden-devices"):
    id: Attr[int] = partition_key()
    serial: Attr[str] = attr(Unique(guards=Guard))


def _unique(db, folder, kept):
    db.tables.ensure(User, Guard, Device)


def _unique_read(here: World, kept):
    refused = []
    for double in (
        User(id="u9", mail="ada@example.com", country="EE", number=9),
        User(id="u9", country="LV", number=1),
        Device(id=9, serial="s-1"),
    ):
        try:
            here.db.create(double)
        except Exception as error:  # noqa: BLE001 - it is shown
            refused.append([type(error).__name__, list(error.existing)])
    return {
        "found": here.db.find_by_unique(User, mail="ada@example.com"),
        "together": here.db.find_by_unique(User, country="LV", number=2),
        "beside": here.db.find_by_unique(Device, serial="s-1"),
        "refused": refused,
        "faults": len(here.db.repair_unique(User).faults),
    }


@story(_unique, _unique_read)
def unique_values(here: World):
    here.db.create(User(id="u1", mail="ada@example.com", country="LV", number=1))
    second = here.db.create(User(id="u2", country="LV", number=3))
    second.number = 2
    here.db.save(second)
    here.db.create(Device(id=1, serial="s-1"))


class Account(Model, table="golden-accounts"):
    id: Attr[str] = partition_key()
    left: Attr[int] = attr(default=0)
    log: Attr[list[str]] = attr(AppendOnly(), default_factory=list)
    version: Attr[int] = version()


class Counter(Model, table="golden-counters"):
    id: Attr[str] = partition_key()
    left: Attr[int] = attr(default=0)


def _accounts(db, folder, kept):
    db.tables.ensure(Account, Counter)


def _accounts_read(here: World, kept):
    account = here.db.require(Account, "a1")
    before = repr(account)
    account.log.append("read")
    here.db.save(account)  # under the version and the ring of tokens that were stored
    return [before, account, here.db.increment(Counter, "n", Counter.left), here.db.increment(account, Account.left)]


@story(_accounts, _accounts_read)
def versions_tokens_counters_and_lists(here: World):
    account = here.db.create(Account(id="a1", log=["opened"]))
    for number in range(10):  # more than the ring of tokens holds
        account.log.append(f"line {number}")
        here.db.save(account)
    here.db.increment(Counter, "n", Counter.left, by=5, upsert=True)
    with here.db.transaction() as tx:
        tx.update(Account, "a1", Account.left.add(5))
        tx.put(Counter(id="other", left=1))


class Lock(Model, LeaseRecord, table="golden-leases"):
    pass


def _leases(db, folder, kept):
    db.tables.ensure(Lock)


def _leases_read(here: World, kept):
    try:
        here.db.lease(Lock, "held", duration=30).acquire()
    except Exception as error:  # noqa: BLE001 - it is shown
        held = type(error).__name__
    given_back, ended = (here.db.lease(Lock, name, duration=30).acquire() for name in ("given back", "ended"))
    return {"held": held, "given back": given_back.held, "ended": ended.held}


@story(_leases, _leases_read)
def leases(here: World):
    here.db.lease(Lock, "held", duration=3600).acquire()
    here.db.lease(Lock, "given back", duration=30).acquire().release()
    here.db.lease(Lock, "ended", duration=5).acquire()


class Row(Model, table="golden-cursors"):
    id: Attr[str] = partition_key()
    number: Attr[int] = sort_key()
    at: Attr[datetime] = attr(default=AT)
    by_time = gsi("by-time", partition="id", sort="at")


def _rows(db, folder, kept):
    db.tables.ensure(Row)
    if not kept:
        db.batch_write(puts=[Row(id="a", number=number) for number in range(6)])


def _rows_read(here: World, kept):
    rows = here.db.model(Row).where(Row.id == "a")
    queries = {
        "table": rows,
        "index": rows.order_by("at"),
        "scan": here.db.model(Row).allow_scan(),
        "v0.1": rows.cursor_format("v0.1"),
    }
    return {name: [row.number for row in query.limit(10).cursor(kept[name]).page()] for name, query in queries.items()}


@story(_rows, _rows_read, cursor_key=b"k" * 32)
def cursors(here: World):
    rows = here.db.model(Row).where(Row.id == "a")
    return {
        "table": rows.limit(2).page().cursor,
        "index": rows.order_by("at").limit(4).page().cursor,
        "scan": here.db.model(Row).allow_scan().limit(3).page().cursor,
        "v0.1": rows.cursor_format("v0.1").limit(1).page().cursor,
    }
