"""Whether a chain of records holds: each record, their order, and that the item is as the last one left it. No I/O.

And what a write follows: what the item says of its last record, and what the store says.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Iterable
from hmac import compare_digest
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from dynamorm.errors import AuditChainBroken

from .records import LATEST, Record, Unreadable, is_authentic, read, seal_of, value_mac
from .values import bytes_of

if TYPE_CHECKING:
    from .config import Keys
    from .model import Place


class AuditVerdict(Struct, frozen=True, kw_only=True):
    """Whether the records of an item hold, and the item with them.

    ``checked`` records were looked at, each of them. ``first_bad`` is the number of the first that does not hold, and ``reason``
    why: ``"unreadable"``, ``"forged"`` (not made with the key, or changed since), ``"moved"`` (made for another place), ``"gap"`` (records
    before it are missing), ``"link"`` (it follows another one), ``"head"`` (the item is of another record than the last one),
    ``"missing"`` (the item is gone, and no record tells that it was deleted), ``"unrecorded"`` (there is an item and no record),
    ``"external"`` (the item's tracked fields are not as recorded), ``"reveals"`` (a record of who has looked at protected values does not
    hold), ``"head of the day"`` (the signed head does not hold).
    ``external`` are the numbers of records that tell of a change by others. ``anchored_to`` is the number of the last record
    under the signed head that was given: behind it a chain could have been cut off; None without one.

    Example: ``if not (verdict := db.audit.verify(Payment, "p1")): alert(verdict.first_bad, verdict.reason)``
    """

    ok: bool
    checked: int
    first_bad: int | None = None
    reason: str = ""
    anchored_to: int | None = None
    external: tuple[int, ...] = ()

    def __bool__(self) -> bool:
        return self.ok


class Replay:
    """What the records of a chain say, one after the other: ``state`` is what they leave, by stored name.

    Each value is (the value as recorded, the number of its record, the key of that).
    """

    def __init__(self, place: Place, keys: Keys, protected: frozenset[str] = frozenset()) -> None:
        """``protected``: the attributes whose stored form changes while the value stays, so that the seal alone tells of them."""
        self._place = place
        self._protected = protected
        self._pk = place.pk
        self._head = (place.tenant, place.table, place.entity)
        self._by_kid: dict[str, bytes] = {}
        self._keys = keys
        self.n: int = 0
        self.h: bytes = place.genesis
        self.op: str = ""
        self.at: int = 0
        self._key: bytes = b""
        self.state: dict[str, tuple[Any, int, bytes]] = {}
        self.tracked: list[str] = []
        self.external: list[int] = []
        self.records: list[Record] = []

    def add(self, raw: bytes, *, keep: bool = False) -> str:
        """Check the next record, and apply it. Returns why it does not hold, empty where it does. Raises: KeyUnavailable."""
        try:
            record = read(raw)
        except Unreadable:
            return "unreadable"
        body = record.body
        key = self._by_kid.get(body.kid)
        if key is None:
            key = self._by_kid[body.kid] = self._keys.of(body.kid)
        if not is_authentic(record, key):
            return "forged"
        if record.pk != self._pk or (body.t, body.m, body.k) != self._head:
            return "moved"
        if body.n != self.n + 1:
            return "gap"
        if body.ph != self.h.hex():
            return "link"
        self.n, self.h, self.op, self.at, self._key = body.n, record.h, body.op, body.at, key
        self._apply(body, key)
        if keep:
            self.records.append(record)
        return ""

    def _apply(self, body: Any, key: bytes) -> None:
        n, state = body.n, self.state
        if body.op == "X" or (body.op == "B" and self._contradicts(body)):
            self.external.append(n)
        if body.fs is not None:
            self.tracked = body.fs
            state.clear()
        for stored, _, new in body.ch:
            if new is None:
                state.pop(stored, None)
            else:
                state[stored] = (new, n, key)

    def _contradicts(self, body: Any) -> bool:
        """Whether a baseline, where other fields are tracked from then on, tells other values than were recorded before."""
        told = {stored: new for stored, _, new in body.ch}
        both = set(self.tracked) & set(body.fs or ())
        values = ((self.state.get(stored, (None,))[0], told.get(stored)) for stored in both)
        return any(old != new and not {"D", "E"} & {*(old or {}), *(new or {})} for old, new in values)

    def fault_of(self, item: dict[str, Any] | None) -> str:
        """Why the item is not as the records leave it; empty where it is."""
        if item is None:
            return "" if self.op in {"", "D"} or not self.state_is_there else "missing"
        if not self.n:
            return "unrecorded" if "_ah" not in item and "_an" not in item else "head"
        found = item.get("_an", {}).get("N"), item.get("_ah", {}).get("B")
        if found != (str(self.n), _text(self.h)):
            return "external" if found == (None, None) else "head"
        if not all(self._is_as_recorded(stored, item.get(stored)) for stored in self.tracked):
            return "external"
        if item.get("_as", {}).get("B") == _text(self._seal_of(item)):
            return ""
        # Of a protected value the records tell that there is one; which one it is the seal alone tells.
        untold = any("E" in recorded or name in self._protected for name, (recorded, _, _) in self.state.items())
        return "external" if untold else "head"

    def _seal_of(self, item: dict[str, Any]) -> bytes:
        """What the last write has stored of the tracked fields, where they are as it left them."""
        return seal_of(self._key, self.h, self.n, self.at, self.tracked, item)

    @property
    def state_is_there(self) -> bool:
        """Whether the last record leaves an item: one that tells of a deletion by others leaves none."""
        return self.op != "X" or bool(self.state)

    def _is_as_recorded(self, stored: str, wire: dict[str, Any] | None) -> bool:
        known = self.state.get(stored)
        if known is None or wire is None:
            return known is None and wire is None
        recorded, n, key = known
        if "E" in recorded or (stored in self._protected and "NULL" not in recorded):
            return "NULL" not in wire
        if "D" in recorded:
            return compare_digest(value_mac(key, self._pk, n, stored, bytes_of(wire)), b64decode(recorded["D"][1]))
        return bytes_of(recorded) == bytes_of(wire)


def _text(h: bytes) -> str:
    return b64encode(h).decode()


def verdict_of(
    rows: Iterable[bytes],
    place: Place,
    keys: Keys,
    item: dict[str, Any] | None,
    protected: frozenset[str] = frozenset(),
) -> tuple[AuditVerdict, Replay]:
    """The verdict on the records in these rows, in their order, and on the item that is stored. Raises: KeyUnavailable."""
    replay, checked = Replay(place, keys, protected), 0
    for raw in rows:
        checked += 1
        reason = replay.add(raw)
        if reason:
            bad = AuditVerdict(ok=False, checked=checked, first_bad=replay.n + 1, reason=reason)
            return bad, replay
    reason = replay.fault_of(item)
    if reason:
        at = replay.n + 1 if reason in {"head", "missing", "unrecorded", "external"} else None
        return AuditVerdict(
            ok=False, checked=checked, first_bad=at, reason=reason, external=tuple(replay.external)
        ), replay
    return AuditVerdict(ok=True, checked=checked, external=tuple(replay.external)), replay


LONGEST: Final = 10**15
"""Records of one chain, more than which no item has."""


class Tip:
    """What a write follows: the number, HMAC and time of the last record, and what has to be recorded before it."""

    __slots__ = ("at", "first", "h", "key", "looked", "n")

    def __init__(self, n: int, h: bytes, at: int, first: str = "", *, looked: bool = False, key: bytes = b"") -> None:
        self.n: int = n
        self.h: bytes = h
        self.at: int = at
        self.first: str = first
        self.looked: bool = looked
        self.key: bytes = key  # with which the last record was made, where there is one


def known(item: dict[str, Any]) -> tuple[int, bytes, int, bytes, bytes] | None:
    """What an item says of its chain; None where that is nothing, or no such thing."""
    try:
        n, h, state = int(item["_an"]["N"]), b64decode(item["_ah"]["B"]), b64decode(item["_as"]["B"])
    except (KeyError, TypeError, ValueError):
        return None
    at = int.from_bytes(state[:8], "big")
    if not 1 <= n <= LONGEST or at > LATEST or len(h) != 32 or len(state) != 44:
        return None
    return n, h, at, state[8:12], state[12:]


def believed(raw: bytes | None, keys: Keys, label: str) -> Record:
    """The last record of a chain. Raises: AuditChainBroken for one that was not made so, KeyUnavailable."""
    try:
        record = read(raw or b"")
        if is_authentic(record, keys.of(record.body.kid)):
            return record
    except Unreadable:
        pass
    raise AuditChainBroken(
        f"the last record of this {label} is not as it was made: nothing goes behind it", reason="forged"
    )
