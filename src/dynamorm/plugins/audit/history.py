"""What records tell of an item, in the words of its model: its history, and what it was at a time. No I/O."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from dynamorm.errors import ValidationError

from .fields import fields_of
from .model import is_computed
from .option import Change
from .records import LATEST, Record, shown, told
from .values import Digest, Sealed, plain

if TYPE_CHECKING:
    from .model import Tracked

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

EARLIEST = -62_135_596_800_000_000
"""The first time that Python has, in microseconds."""

OPS = {"C": "create", "U": "update", "D": "delete", "B": "baseline", "X": "external", "R": "reveal"}
"""What a record tells, by its letter."""


class AuditRecord(Struct, frozen=True, kw_only=True):
    """One record of the history of an item.

    ``version`` is its number, from 1 on without gaps, ``entity_version`` that of the item, where it is known. ``op`` is ``"create"``,
    ``"update"``, ``"delete"``, ``"baseline"`` (the first record of an item that was there before, or since other fields are tracked)
    or ``"external"`` (somebody who keeps no records had changed it). ``by``, ``ip``, ``user_agent`` and ``request_id`` are those of
    `dynamorm.actor`. ``restored_from`` is the number of the record that was gone back to.

    A value of a protected field is a `Sealed`. Of a record with the op ``"reveal"`` (see `AuditTrail.reveals`) ``revealed`` are the
    fields that were opened, and ``revealed_to`` is the number of the last record of which.

    Example: ``[(record.by, record.op) for record in db.audit.history(Payment, "p1")]``
    """

    version: int
    op: str
    at: datetime
    by: str
    ip: str | None
    changes: list[Change]
    user_agent: str | None = None
    request_id: str | None = None
    entity_version: int | None = None
    restored_from: int | None = None
    revealed: tuple[str, ...] = ()
    revealed_to: int | None = None

    def __repr__(self) -> str:
        return f"<AuditRecord {self.version} {self.op}>"  # who did it is personal data, which no log shows


class AuditSnapshot(Struct, frozen=True, kw_only=True):
    """What was recorded of an item at a time: ``values`` by field. ``complete``: they are all that the model has.

    ``version`` is the number of the record that made it so, ``at`` its time. A value that no record shows is a `Digest`, one that is
    protected a `Sealed`.

    Example: ``db.audit.as_of(Payment, "p1", when).values["amount"]``
    """

    values: dict[str, Any]
    complete: bool
    version: int
    at: datetime

    def __repr__(self) -> str:
        return f"<AuditSnapshot {self.version}>"


class Reader:
    """Says what records tell in the words of a model, whose codec it is given."""

    def __init__(self, tracked: Tracked, codec: Any) -> None:
        self._tracked = tracked
        self._codec = codec

    def history(self, records: Iterable[Record]) -> list[AuditRecord]:
        """Each record; what was before a record that tells a whole state is what those before it left."""
        several: list[AuditRecord] = []
        state: dict[str, Any] = {}
        for record in records:
            body = record.body
            changes = [(name, _was(old, state.get(name)), told(new, body.n)) for name, old, new in body.ch]
            if body.fs is not None:
                after = {stored: new for stored, _, new in changes}
                names = sorted({*after, *(name for name in state if name in body.fs)})
                changes = [
                    (name, state.get(name), after.get(name))
                    for name in names
                    if state.get(name) != after.get(name)
                    and not (body.op == "B" and _both_hidden(state.get(name), after.get(name)))
                ]
                state = {}
            for stored, _, new in body.ch:
                state[stored] = told(new, body.n)
            several.append(self._told(record, changes))
        return several

    def _told(self, record: Record, changes: Iterable[tuple[str, Any, Any]]) -> AuditRecord:
        body = record.body
        return AuditRecord(
            version=body.n,
            op=OPS.get(body.op, body.op),
            at=time_of(body.at),
            by=body.by,
            ip=body.ip,
            changes=[
                Change(field=self._name(stored), old=self._value(stored, old), new=self._value(stored, new))
                for stored, old, new in changes
            ],
            user_agent=body.ua,
            request_id=body.rq,
            entity_version=body.ver,
            restored_from=body.rs,
            revealed=tuple(map(self._name, body.rv or ())),
            revealed_to=body.to,
        )

    def snapshot(self, records: Iterable[Record]) -> AuditSnapshot | None:
        """What these records leave; None for nothing."""
        several = list(records)
        state, last = self.state_of(several), several[-1] if several else None
        if last is None or last.body.op == "D" or (last.body.op == "X" and not any(state.values())):
            return None
        values = {self._name(stored): self._value(stored, wire) for stored, wire in state.items() if wire is not None}
        return AuditSnapshot(
            values=values,
            complete=not self.untold(parts_of_key(self._codec))
            and not any(isinstance(value, (Digest, Sealed)) for value in values.values()),
            version=last.body.n,
            at=time_of(last.body.at),
        )

    @staticmethod
    def state_of(records: Iterable[Record]) -> dict[str, Any]:
        """What these records leave of each attribute, as they hold it."""
        state: dict[str, Any] = {}
        for record in records:
            if record.body.fs is not None:
                state = {}
            state.update({stored: told(new, record.body.n) for stored, _, new in record.body.ch})
        return state

    @staticmethod
    def tracked_then(records: Iterable[Record]) -> frozenset[str]:
        """The stored names of the fields that these records tell of: others were tracked only later."""
        told: frozenset[str] = frozenset()
        for record in records:
            if record.body.fs is not None:
                told = frozenset(record.body.fs)
        return told

    def untold(self, known: Collection[str]) -> list[str]:
        """The fields of an object that no record tells, and that are not in its key or known otherwise."""
        schema, tracked = self._codec.schema, self._tracked
        own = {field.name for field in fields_of(schema)}
        told = {*tracked.listed, *(schema.fields[name].stored for name in known)}
        return [
            field.name
            for field in schema.fields.values()
            if field.role in {"", "ttl"}
            and field.name not in own
            and field.name != tracked.owner
            and field.stored not in told
            and field.unstored is None
            and not is_computed(field)
        ]

    def of_key(self, key: Mapping[str, Any]) -> dict[str, Any]:
        """What a stored key tells of an object: its fields, and those that they are made of."""
        codec = self._codec
        wires = dict(key)
        for computed in codec.composites.values():
            if computed.stored in wires:
                with suppress(ValidationError):  # another program may have written the text
                    wires |= computed.split(wires.pop(computed.stored)["S"])
        names = {field.stored: field.name for field in codec.schema.fields.values()}
        return {names[stored]: codec.decode_field(names[stored], wire) for stored, wire in wires.items()}

    def _name(self, stored: str) -> str:
        return self._tracked.by_stored.get(stored, stored)

    def _value(self, stored: str, recorded: Any) -> Any:
        wire = shown(recorded)
        if wire is None or isinstance(wire, (Digest, Sealed)):
            return wire
        name = self._tracked.by_stored.get(stored)
        try:
            return plain(wire) if name is None else self._codec.decode_field(name, recorded)
        except Exception:  # noqa: BLE001 - of a field whose type was another one then
            return plain(wire)


def _was(old: Any, known: Any) -> Any:
    """What was before a record: a protected value is the one that an earlier record holds."""
    return known if old is not None and "E" in old and known is not None and "E" in known else old


def _both_hidden(old: Any, new: Any) -> bool:
    """Whether two values cannot be compared: each is a digest of its own record. A baseline tells of no change then."""
    if old is None or new is None:
        return False
    return ("E" in old and "E" in new) or ("D" in old and "D" in new and bool(old["D"][0] == new["D"][0]))


def parts_of_key(codec: Any) -> set[str]:
    """The fields that the primary key of an item tells."""
    return {
        name
        for computed in codec.composites.values()
        if computed.primary
        for name in computed.made.fields
        if computed.tags[name] in {"S", "N"}
    }


def time_of(at: int) -> datetime:
    """The time of a record, which counts microseconds; of a forged one that Python has no time for, the last or first there is."""
    return _EPOCH + timedelta(microseconds=min(max(at, EARLIEST), LATEST))


def micros(when: datetime) -> int:
    """A time as records count it. A naive one is taken as UTC."""
    when = when.replace(tzinfo=UTC) if when.tzinfo is None else when
    return (when - _EPOCH) // timedelta(microseconds=1)
