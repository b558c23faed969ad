"""Which records a signed day holds: one that comes later belongs into the next tree, and does not change a day that was signed.

A manifest stands in the store beside the records, under a partition of its day. Its parts name records by a hash of their keys,
and its head, which is written last and once, names the parts. All of it is under the key of the chains: nobody else can say
which records are left out.
"""

from __future__ import annotations

import hashlib
from base64 import b64decode, b64encode
from collections.abc import Iterable
from hmac import compare_digest
from secrets import token_hex
from typing import TYPE_CHECKING, Any, Final

from msgspec import DecodeError, Struct, ValidationError
from msgspec.json import decode, encode

from dynamorm.effects import Call, Flow
from dynamorm.errors import AuditChainBroken, ConditionFailed

from .acting import LOOKED
from .records import day_partition
from .values import joined, mac

if TYPE_CHECKING:
    from .model import Tracked
    from .trail import Trail

Key = tuple[str, str]
"""Partition and sort key of a record."""

DOMAIN: Final = b"dynamorm/audit/manifest/1"
HASH: Final = 12
"""Bytes of the hash of a key."""

IN_A_PART: Final = 15_000
"""Hashes in one part: 240 KB of base64, of the 400 KB that an item may have."""

_HEAD: Final = "0"


class _Head(Struct):
    """What the head says: the key of the chains that it was made with, its parts, and the records of days before."""

    kid: str
    id: str
    parts: int
    late: list[tuple[str, str]]


class Manifest:
    """The records of a signed day: hashes of the keys of its own, and the keys of those that came after their day was signed."""

    def __init__(self, own: frozenset[bytes], late: tuple[Key, ...]) -> None:
        self.own: frozenset[bytes] = own
        self.late: tuple[Key, ...] = late

    def holds(self, key: Key) -> bool:
        """Whether a record of the day was there when it was signed."""
        return hash_of(key) in self.own


def hash_of(key: Key) -> bytes:
    """What a manifest holds of a record."""
    return hashlib.sha256(joined(DOMAIN, key[0].encode(), key[1].encode())).digest()[:HASH]


def read_manifest(
    trail: Trail, tracked: Tracked, tenant: str | None, day: int, *, believed: bool = False
) -> Flow[Manifest | None]:
    """The manifest of a day; None where it was not signed yet. Raises: AuditChainBroken, KeyUnavailable.

    ``believed``: it is read without its key, by who compares what it names with a signed root: a wrong one is found by that.
    """
    row, pk = tracked.row, _partition(tenant, day)
    found = yield from _get(trail, row, pk, _HEAD)
    if found is None:
        return None
    head = _held(found, _Head)
    key = None if believed else tracked.keys(tenant).of(head.kid)
    _check(found, key)
    own: set[bytes] = set()
    for number in range(head.parts):
        part = yield from _get(trail, row, pk, f"{head.id}#{number}")
        if part is None:
            raise _changed()
        _check(part, key)
        hashes = b64decode(_held(part, str))
        own |= {hashes[at : at + HASH] for at in range(0, len(hashes), HASH)}
    return Manifest(frozenset(own), tuple(head.late))


def write_manifest(
    trail: Trail, tracked: Tracked, tenant: str | None, day: int, own: Iterable[Key], late: Iterable[Key]
) -> Flow[Manifest]:
    """Write down which records a day has. Where somebody has done so meanwhile, his holds and is given."""
    keys = tracked.keys(tenant)
    kid, key = keys.kid, keys.key
    pk, name = _partition(tenant, day), token_hex(8)
    hashes = sorted(map(hash_of, own))
    parts = [b"".join(hashes[at : at + IN_A_PART]) for at in range(0, len(hashes), IN_A_PART)]
    for number, part in enumerate(parts):
        made = _row(tracked, key, pk, f"{name}#{number}", encode(b64encode(part).decode()))
        yield create_row(trail, made)
    manifest = Manifest(frozenset(hashes), tuple(late))
    head = _Head(kid, name, len(parts), list(manifest.late))
    try:
        yield create_row(trail, _row(tracked, key, pk, _HEAD, encode(head)))
    except ConditionFailed:
        other = yield from read_manifest(trail, tracked, tenant, day)
        if other is None:
            raise _changed() from None
        return other
    return manifest


def _partition(tenant: str | None, day: int) -> str:
    return day_partition(tenant, day, 0).replace("~D#", "~C#", 1).rpartition("#")[0]


def _row(tracked: Tracked, key: bytes, pk: str, sk: str, body: bytes) -> Any:
    return tracked.row(pk=pk, sk=sk, body=body, mac=mac(key, DOMAIN, pk.encode(), sk.encode(), body))


def _held(row: Any, kind: Any) -> Any:
    try:
        return decode(row.body, type=kind)
    except (DecodeError, ValidationError):
        raise _changed() from None


def _check(row: Any, key: bytes | None) -> None:
    """Refuse a row that nobody with the key has made. Raises: AuditChainBroken."""
    if key is None:
        return
    if not compare_digest(mac(key, DOMAIN, row.pk.encode(), row.sk.encode(), row.body), row.mac):
        raise _changed()


def _get(trail: Trail, row: type[Any], pk: str, sk: str) -> Flow[Any]:
    get = lambda: trail.db.get(row, pk, sk, consistent=True)  # noqa: E731 - the face says how it is waited for
    return (yield Call(get, get))


def create_row(trail: Trail, row: Any) -> Call:
    """A row that is made once; who finds another one there is told so, and not that a chain is broken."""

    def blocking() -> Any:
        mark = LOOKED.set(True)
        try:
            return trail.db.create(row)
        finally:
            LOOKED.reset(mark)

    async def awaited() -> Any:
        mark = LOOKED.set(True)
        try:
            return await trail.db.create(row)
        finally:
            LOOKED.reset(mark)

    return Call(blocking, awaited)


def _changed() -> AuditChainBroken:
    return AuditChainBroken("what the store says of a signed day is not as it was made", reason="manifest")
