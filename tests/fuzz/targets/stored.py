"""What is stored, and may have been changed by others: items, envelopes, records of the audit and of idempotent operations, stream records.

The engine is given what a database has stored, changed, under the keys that are read; whatever it takes, the library must bear.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import dynamorm
from dynamorm import (
    DB,
    Attr,
    Encrypted,
    Model,
    Presets,
    Unique,
    attr,
    created_at,
    partition_key,
    sort_key,
    ttl,
    updated_at,
    version,
)
from dynamorm.engine import Engine
from dynamorm.payments import Money, ensure_tables
from dynamorm.plugins import EncryptionPlugin
from dynamorm.plugins.audit import ChangeTrackingConfig
from dynamorm.streams import decode, decode_event
from tests.fuzz.kit import SECRET, Ended, Target, each
from tests.plugins.encryption_kit import Provider

Json = dict[str, Any]


class _Store:
    """An engine, and what is under some keys of it."""

    def __init__(self, **settings: Any) -> None:
        self.engine = Engine()
        self.db = DB(Presets.local_development(engine=self.engine, operation_timeout=5.0, **settings))
        self._keys: list[tuple[str, tuple[str, ...], Json]] = []
        self._start: Any = None

    def ask(self, operation: str, **request: Any) -> Json:
        _, body = self.engine.handle(operation, json.dumps(request).encode())
        return json.loads(body)  # type: ignore[no-any-return]

    def seed(self, *tables: str) -> bytes:
        """All items of some tables, whose places are kept."""
        items = []
        for table in tables:
            names = [one["AttributeName"] for one in self.ask("DescribeTable", TableName=table)["Table"]["KeySchema"]]
            for item in self.ask("Scan", TableName=table)["Items"]:
                self._keys.append((table, tuple(names), item))
                items.append({name: value for name, value in item.items() if name not in names})
        self._start = self.engine.snapshot()
        return json.dumps(items).encode()

    def put(self, data: bytes) -> None:
        """Store changed items in the places of the right ones. Raises: Ended for what is no list of items."""
        self.engine.restore(self._start)
        try:
            items = json.loads(data)
        except (ValueError, RecursionError):
            raise Ended from None
        if not isinstance(items, list):
            raise Ended
        for (table, names, right), item in zip(self._keys, items, strict=False):
            if isinstance(item, dict):
                whole = item | {name: right[name] for name in names}
                self.engine.handle("PutItem", json.dumps({"TableName": table, "Item": whole}).encode())
            else:
                self.engine.handle(
                    "DeleteItem",
                    json.dumps({"TableName": table, "Key": {name: right[name] for name in names}}).encode(),
                )


class Rich(Model, table="rich"):
    """With everything that a field may be."""

    id: Attr[str] = partition_key()
    at: Attr[int] = sort_key()
    both: Attr[str] = attr(default="")
    state: Attr[str] = attr(default="open")
    amount: Attr[int] = attr(default=0)
    price: Attr[Decimal | None] = attr(default=None)
    paid: Attr[Money | None] = attr(default=None)
    note: Attr[str | None] = attr(default=None)
    mail: Attr[str | None] = attr(Unique(), default=None)
    tags: Attr[set[str]] = attr(default_factory=set)
    numbers: Attr[frozenset[int]] = attr(default_factory=frozenset)
    raw: Attr[bytes | None] = attr(default=None)
    due: Attr[datetime | None] = attr(default=None)
    lines: Attr[list[dict[str, Any]]] = attr(default_factory=list)
    names: Attr[dict[str, int]] = attr(default_factory=dict)
    ends: Attr[datetime | None] = ttl(default=None)
    made: Attr[datetime] = created_at()
    changed: Attr[datetime] = updated_at()
    version: Attr[int] = version()


def items() -> Target:
    """Items of a model, and the guard of a unique value."""
    store = _Store()
    db = store.db
    db.tables.ensure(Rich)
    db.create(
        Rich(
            id="a", at=1, both="x", amount=5, price=Decimal("1.5"), paid=Money(500, "EUR"), note=SECRET, mail="m@x.org", tags={"a", SECRET}, numbers=frozenset({1, 2}),
            raw=b"\0\1", due=datetime.fromisoformat("2026-01-01T00:00:00+00:00"), lines=[{"a": 1, "b": None, "c": [True, SECRET]}], names={"x": 1},
        )
    )  # fmt: skip
    seed = store.seed("rich")

    def save() -> None:
        found = db.get(Rich, "a", 1, consistent=True)
        if found is not None:
            found.amount = 7
            db.save(found)

    def run(data: bytes) -> None:
        store.put(data)
        each(
            lambda: db.get(Rich, "a", 1),
            lambda: list(db.model(Rich).where(Rich.id == "a").all()),
            lambda: db.find_by_unique(Rich, mail="m@x.org"),
            lambda: db.update(Rich, "a", 1, Rich.amount.add(1), Rich.tags.add({"z"})),
            save,
            lambda: db.increment(Rich, "a", 1, Rich.amount),
            lambda: db.create(Rich(id="a", at=1)),
            lambda: db.delete(Rich, "a", 1, returning="old"),
        )

    return Target("items", lambda: [seed], run)


class Card(Model, table="cards"):
    """With encrypted fields."""

    token: Attr[str] = partition_key()
    number: Attr[str | None] = attr(Encrypted("pci"), default=None)
    holder: Attr[dict[str, Any]] = attr(Encrypted("pii"), default_factory=dict)
    codes: Attr[list[int]] = attr(Encrypted("pci"), default_factory=list)
    plain: Attr[str] = attr(default="")
    version: Attr[int] = version()


def envelopes() -> Target:
    """What is sealed opens as it was, or not at all."""
    store = _Store()
    db = store.db
    db.use(EncryptionPlugin(Provider()))
    db.tables.ensure(Card)
    right = {"number": SECRET, "holder": {"name": SECRET, "zip": 12}, "codes": [1, 2]}
    db.create(Card(token="a", plain="x", **right))
    seed = store.seed(*store.ask("ListTables")["TableNames"])

    def read() -> None:
        found = db.get(Card, "a")
        if found is not None:
            for name, value in right.items():
                assert getattr(found, name) in (value, None, {}, []), f"{name} was opened as something else"

    def run(data: bytes) -> None:
        store.put(data)
        each(
            read,
            lambda: list(db.model(Card).where(Card.token == "a").all()),
            lambda: db.update(Card, "a", Card.number.set("1")),
        )

    return Target("envelopes", lambda: [seed], run, (b'{"B":"', b"1wEBAA"))


class Tracked(Model, table="tracked"):
    """Whose changes are recorded."""

    id: Attr[str] = partition_key()
    amount: Attr[int] = attr(default=0)
    state: Attr[str] = attr(default="open")
    version: Attr[int] = version()


def audit() -> Target:
    """Records of changes, and the item that they are of."""
    store = _Store()
    db = store.db
    db.enable_audit_log(audit_key=b"k" * 32, require_actor=False)
    db.enable_change_tracking(Tracked, ChangeTrackingConfig(fields=["amount", "state"], store="records"))
    db.tables.ensure(Tracked)
    with dynamorm.actor("user:1"):
        db.create(Tracked(id="a", state=SECRET))
        db.update(Tracked, "a", Tracked.amount.add(5))
        db.update(db.get(Tracked, "a"), Tracked.state.set("done"))
    seed = store.seed("tracked", "records")

    def run(data: bytes) -> None:
        store.put(data)
        each(
            lambda: db.audit.verify(Tracked, "a").ok,
            lambda: db.audit.history(Tracked, "a"),
            lambda: db.audit.history(Tracked, "a", verify=False),
            lambda: db.audit.as_of(Tracked, "a", datetime.fromisoformat("2100-01-01T00:00:00+00:00")),
            lambda: db.update(Tracked, "a", Tracked.amount.add(1)),
        )

    return Target("audit", lambda: [seed], run)


class Made(Model, table="made"):
    """What an idempotent operation makes."""

    id: Attr[str] = partition_key()
    amount: Attr[int]


def idempotency() -> Target:
    """The record of an idempotent operation that is done, and of one that has steps."""
    store = _Store()
    db = store.db
    ensure_tables(db)
    db.tables.ensure(Made)

    def pay(key: str, amount: int = 5) -> Any:
        with db.idempotent(key, payload={"amount": amount}, scope="charge") as op:
            if not op.replayed:
                charge = op.step("charge", lambda _: SECRET)
                with op.transaction() as tx:
                    tx.put(Made(id=key, amount=amount))
                op.respond({"charge": charge, "lines": [1, None, "x"]})
        return op.response

    pay("k")
    seed = store.seed(db.config.idempotency_table)

    def run(data: bytes) -> None:
        store.put(data)
        each(lambda: pay("k"), lambda: pay("k", 6))

    return Target("idempotency", lambda: [seed], run)


_RECORD: Final[Json] = {
    "eventID": "1", "eventName": "MODIFY", "eventVersion": "1.1", "eventSource": "aws:dynamodb", "awsRegion": "eu-west-1",
    "eventSourceARN": "arn:aws:dynamodb:eu-west-1:123456789012:table/rich/stream/2026-01-01T00:00:00.000",
    "dynamodb": {
        "ApproximateCreationDateTime": 1700000000.0, "Keys": {"id": {"S": "a"}, "at": {"N": "1"}}, "SequenceNumber": "111", "SizeBytes": 26,
        "StreamViewType": "NEW_AND_OLD_IMAGES", "OldImage": {"id": {"S": "a"}, "at": {"N": "1"}, "amount": {"N": "1"}, "version": {"N": "0"}},
        "NewImage": {"id": {"S": "a"}, "at": {"N": "1"}, "note": {"S": SECRET}, "tags": {"SS": ["a"]}, "raw": {"B": "AAEC"}, "version": {"N": "1"},
                     "lines": {"L": [{"M": {"d": {"S": SECRET}}}]}, "due": {"S": "2026-01-01T00:00:00+00:00"}},
    },
    "userIdentity": {"type": "Service", "principalId": "dynamodb.amazonaws.com"},
}  # fmt: skip


def streams() -> Target:
    """Records of streams, and events of Lambda."""

    def run(data: bytes) -> None:
        try:
            document = json.loads(data)
        except (ValueError, RecursionError):
            raise Ended from None
        each(
            lambda: decode(document, Rich),
            lambda: [(one.kind, one.old, one.new, one.keys) for one in decode_event(document, Rich)],
            lambda: list(decode_event(document, {"rich": Rich}, on_unknown="skip")),
        )

    seeds = [json.dumps(_RECORD).encode(), json.dumps({"Records": [_RECORD]}).encode()]
    return Target("streams", lambda: seeds, run)


TARGETS: Final[dict[str, Callable[[], Target]]] = {
    "items": items, "envelopes": envelopes, "audit": audit, "idempotency": idempotency, "streams": streams,
}  # fmt: skip
