"""One record of a chain: what is stored of it, what is hashed, and how it is read.

A record is an item of the store with four attributes: ``pk`` (whose chain it is), ``sk`` (its number, with zeros), ``b`` (its body, as
JSON) and ``h``, the HMAC of these three. Every attribute is under the HMAC, and any other one is a fault. A store with
checkpoints adds ``d``, the day and shard, which follows from the others.
"""

from __future__ import annotations

import hashlib
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Mapping
from functools import cache
from hmac import compare_digest
from typing import Any, Final

from msgspec import DecodeError, Struct, ValidationError
from msgspec.json import Decoder

from dynamorm import Attr, Model, TableSettings, attr, gsi, partition_key, sort_key
from dynamorm.plugin import system_part, tenant_prefix

from .values import Digest, Sealed, Wire, encode, joined, mac, plain, state_bytes

DOMAIN: Final = b"dynamorm/audit/1"
GENESIS: Final = b"dynamorm/audit/genesis/1"
STATE: Final = b"dynamorm/audit/state/1"
REVEALS: Final = b"dynamorm/audit/reveals/1"
VALUE: Final = b"dynamorm/audit/value/1"
"""What is hashed: a record, the beginning of a chain, the state of an item, a value that is not shown."""

LONGEST_KEY: Final = 512
"""Bytes of an item's key in the key of its records; a longer one is replaced by its hash."""

SHARDS: Final = 16

LATEST: Final = 253_402_300_799_999_999
"""The last time that a record may have, in microseconds: Python and the texts of times end with the year 9999."""


class Body(Struct):
    """What a record says. ``ch`` are the changes: stored name, value before, value after; ``fs`` the stored names that are tracked.

    ``tn`` are these names in a record that tells an update. ``dy``: it is stored with its day, so that a signed head can name it.
    ``rv`` are the stored names of the protected fields that were revealed, of the records up to ``to``.
    """

    v: int
    t: str | None
    m: str
    k: str
    n: int
    op: str
    at: int
    by: str
    ip: str | None
    ua: str | None
    rq: str | None
    ver: int | None
    ph: str
    kid: str
    ch: list[tuple[str, dict[str, Any] | None, dict[str, Any] | None]]
    fs: list[str] | None = None
    rs: int | None = None
    dy: bool = False
    tn: list[str] | None = None
    rv: list[str] | None = None
    to: int | None = None


_body: Final = Decoder(Body).decode


class _S(Struct, forbid_unknown_fields=True):
    S: str


class _B(Struct, forbid_unknown_fields=True):
    B: bytes


class Stored(Struct, forbid_unknown_fields=True):
    """A record as it is stored, and nothing besides."""

    pk: _S
    sk: _S
    b: _B
    h: _B
    d: _S | None = None


_stored: Final = Decoder(Stored).decode


class Unreadable(Exception):
    """What is stored is no record."""


class Record(Struct):
    """One record: where it is, its body as bytes and as data, and its HMAC."""

    pk: str
    sk: str
    raw: bytes
    h: bytes
    body: Body
    day: str | None = None

    @property
    def leaf(self) -> bytes:
        """Its leaf in the tree of a day (RFC 6962): who has no key can compute it."""
        return hashlib.sha256(b"\x00" + self.raw + self.h).digest()


def read(item: bytes) -> Record:
    """The record in the JSON of an item of the store. Raises: Unreadable."""
    try:
        stored = _stored(item)
        return Record(
            stored.pk.S,
            stored.sk.S,
            stored.b.B,
            stored.h.B,
            _body(stored.b.B),
            None if stored.d is None else stored.d.S,
        )
    except (DecodeError, ValidationError, ValueError, RecursionError):
        raise Unreadable from None


def read_told(item: bytes) -> Record:
    """The record in the JSON of an item, whoever made it, whose values can be told. Raises: Unreadable."""
    record = read(item)
    try:
        for _, *wires in record.body.ch:
            for value in map(shown, wires):
                if not isinstance(value, (Digest, Sealed)):
                    plain(value)
    except Exception:  # noqa: BLE001 - anything may stand in what somebody else has written
        raise Unreadable from None
    return record


def is_authentic(record: Record, key: bytes) -> bool:
    """Whether a record is as it was made: by who has the key, for this place."""
    made = mac(key, DOMAIN, record.pk.encode(), record.sk.encode(), record.raw)
    return (
        compare_digest(made, record.h)
        and record.sk == f"{record.body.n:020d}"
        and (record.day is not None) is record.body.dy
        and (record.day is None or record.day == day_of(record.body.t, record.body.at, record.h))
    )


def sealed(pk: str, body: dict[str, Any], key: bytes) -> tuple[str, bytes, bytes]:
    """The sort key, the bytes and the HMAC of a new record."""
    raw, sk = encode(body), f"{body['n']:020d}"
    return sk, raw, mac(key, DOMAIN, pk.encode(), sk.encode(), raw)


def genesis(tenant: str | None, model: str, key: str, domain: bytes = GENESIS) -> bytes:
    """What the first record of a chain follows."""
    return hashlib.sha256(joined(domain, (tenant or "").encode(), model.encode(), key.encode())).digest()


def state_mac(key: bytes, h: bytes, n: int, at: int, state: bytes) -> bytes:
    """What an item stores of its tracked fields: it holds while they are as record ``n`` left them."""
    return mac(key, STATE, h, n.to_bytes(8, "big"), at.to_bytes(8, "big"), state)


def seal_of(key: bytes, h: bytes, n: int, at: int, names: list[str], item: Mapping[str, Any]) -> bytes:
    """What an item stores as ``_as``: the time of its last record, which fields are tracked, and the MAC of their values."""
    state = state_mac(key, h, n, at, state_bytes(names, item))
    return at.to_bytes(8, "big") + fingerprint(names) + state


def fingerprint(names: list[str]) -> bytes:
    """Four bytes that tell other tracked fields from these."""
    return hashlib.sha256(joined(*(name.encode() for name in names))).digest()[:4]


def value_mac(key: bytes, pk: str, n: int, name: str, value: bytes) -> bytes:
    """What record ``n`` holds of a value that it does not show."""
    return mac(key, VALUE, pk.encode(), n.to_bytes(8, "big"), name.encode(), value)[:16]


def told(wire: Any, n: int) -> Any:
    """A value as record ``n`` holds it, which says so of one that is sealed."""
    return {**wire, "n": n} if wire is not None and "E" in wire else wire


def shown(wire: Any) -> Wire | Digest | Sealed | None:
    """A value as a record holds it: the stored form, a `Digest`, or, sealed, a `Sealed`."""
    if wire is None:
        return None
    if "E" in wire:
        return Sealed(wire.get("n", 0), None if wire["E"] is None else b64decode(wire["E"]))
    if "D" in wire:
        size, digest = wire["D"]
        return Digest(size, b64decode(digest))
    value: Wire = {"B": b64decode(wire["B"])} if "B" in wire else wire
    return value


def entity_of(key: dict[str, Wire]) -> str:
    """The key of an item as one text, from which no other key has the same."""
    text = "#".join(tag + system_part(value) for wire in key.values() for tag, value in wire.items())
    if len(text.encode()) > LONGEST_KEY:
        return "H" + urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return text


def partition_of(tenant: str | None, model: str, entity: str, kind: str = "A") -> str:
    """The partition of a chain in the store: that of an item (``A``), or of the reveals of its records (``R``)."""
    of_tenant = "" if tenant is None else tenant_prefix(tenant)
    return f"{of_tenant}~{kind}#{system_part(model)}#{entity}"


def day_of(tenant: str | None, at: int, h: bytes) -> str:
    """The partition of the index by which the records of a day are found: one of sixteen."""
    return day_partition(tenant, at // 86_400_000_000, h[0] % SHARDS)


def day_partition(tenant: str | None, day: int, shard: int) -> str:
    """The partition of a day, counted from 1970, and shard."""
    return f"{'' if tenant is None else tenant_prefix(tenant)}~D#{day}#{shard:x}"


@cache
def row_of(store: str, *, by_day: bool) -> type[Any]:
    """The model of the records in a store."""
    settings = TableSettings(deletion_protection=True, point_in_time_recovery=True)
    if by_day:

        class DatedAuditRow(Model, table=store, write_tokens=False, settings=settings):
            pk: Attr[str] = partition_key()
            sk: Attr[str] = sort_key()
            body: Attr[bytes] = attr(name="b")
            mac: Attr[bytes] = attr(name="h")
            day: Attr[str | None] = attr(name="d", default=None, omit_empty=True)
            by_day = gsi("by_day", partition="day", sort="sk", projection="KEYS_ONLY")

        return DatedAuditRow

    class AuditRow(Model, table=store, write_tokens=False, settings=settings):
        pk: Attr[str] = partition_key()
        sk: Attr[str] = sort_key()
        body: Attr[bytes] = attr(name="b")
        mac: Attr[bytes] = attr(name="h")

    return AuditRow


@cache
def stored_row_of(store: str) -> type[Any]:
    """The model of what is stored in a store, which may be no record: it has the key, and keeps the rest as it is."""

    class StoredAuditRow(Model, table=store, write_tokens=False):
        pk: Attr[str] = partition_key()
        sk: Attr[str] = sort_key()

    return StoredAuditRow
