"""What records tell of an item, in the words of its model: its history, and what it was at a time. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from .fields import fields_of
from .option import Change
from .records import LATEST, Record, shown
from .values import Digest, plain

if TYPE_CHECKING:
    from .model import Tracked

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

EARLIEST = -62_135_596_800_000_000
"""The first time that Python has, in microseconds."""

OPS = {"C": "create", "U": "update", "D": "delete", "B": "baseline", "X": "external"}
"""What a record tells, by its letter."""


class AuditRecord(Struct, frozen=True, kw_only=True):
    """One record of the history of an item.

    ``version`` is its number, from 1 on without gaps, ``entity_version`` that of the item, where it is known. ``op`` is ``"create"``,
    ``"update"``, ``"delete"``, ``"baseline"`` (the first record of an item that was there before, or since other fields are tracked)
    or ``"external"`` (somebody who keeps no records had changed it). ``by``, ``ip``, ``user_agent`` and ``request_id`` are those of
    `dynamorm.actor`. ``restored_from`` is the number of the record that was gone back to.

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

    def __repr__(self) -> str:
        return f"<AuditRecord {self.version} {self.op}>"  # who it was is somebody's own


class AuditSnapshot(Struct, frozen=True, kw_only=True):
    """What was recorded of an item at a time: ``values`` by field. ``complete``: they are all that the model has.

    ``version`` is the number of the record that made it so, ``at`` its time. A value that no record shows is a `Digest`.

    Example: ``db.audit.as_of(Payment, "p1", when).values["amount"]``
    """

    values: dict[str, Any]
    complete: bool
    version: int
    at: datetime

    def __repr__(self) -> str:
        return f"<AuditSnapshot {self.version}>"


class Reader:
    """Says what records tell in the words of a model; ``decode`` makes a value of a field's stored form."""

    def __init__(self, tracked: Tracked, schema: Any, decode: Callable[[str, Any], Any]) -> None:
        self._tracked = tracked
        self._schema = schema
        self._decode = decode

    def history(self, records: Iterable[Record]) -> list[AuditRecord]:
        """Each record; what was before a record that tells a whole state is what those before it left."""
        told: list[AuditRecord] = []
        state: dict[str, Any] = {}
        for record in records:
            body = record.body
            changes = body.ch
            if body.fs is not None:
                after = {stored: new for stored, _, new in body.ch}
                names = sorted({*after, *(name for name in state if name in body.fs)})
                changes = [
                    (name, state.get(name), after.get(name)) for name in names if state.get(name) != after.get(name)
                ]
                state = {}
            for stored, _, new in body.ch:
                state[stored] = new
            told.append(self._told(record, changes))
        return told

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
        )

    def snapshot(self, records: Iterable[Record]) -> AuditSnapshot | None:
        """What these records leave; None for nothing."""
        state: dict[str, Any] = {}
        last: Record | None = None
        for record in records:
            if record.body.fs is not None:
                state = {}
            state.update({stored: new for stored, _, new in record.body.ch})
            last = record
        if last is None or last.body.op == "D" or (last.body.op == "X" and not any(state.values())):
            return None
        values = {self._name(stored): self._value(stored, wire) for stored, wire in state.items() if wire is not None}
        return AuditSnapshot(
            values=values,
            complete=self._covers() and not any(isinstance(value, Digest) for value in values.values()),
            version=last.body.n,
            at=time_of(last.body.at),
        )

    @staticmethod
    def tracked_then(records: Iterable[Record]) -> frozenset[str]:
        """The stored names of the fields that these records tell of: others were tracked only later."""
        told: frozenset[str] = frozenset()
        for record in records:
            if record.body.fs is not None:
                told = frozenset(record.body.fs)
        return told

    def _covers(self) -> bool:
        """Whether the tracked fields are all that an object of the model is made of, beside its key."""
        schema = self._schema
        own = {field.name for field in fields_of(schema)}
        wanted = {
            field.stored for field in schema.fields.values() if field.role in {"", "ttl"} and field.name not in own
        }
        return wanted <= set(self._tracked.listed)

    def _name(self, stored: str) -> str:
        return self._tracked.by_stored.get(stored, stored)

    def _value(self, stored: str, recorded: Any) -> Any:
        wire = shown(recorded)
        if wire is None or isinstance(wire, Digest):
            return wire
        name = self._tracked.by_stored.get(stored)
        try:
            return plain(wire) if name is None else self._decode(name, recorded)
        except Exception:  # noqa: BLE001 - of a field whose type was another one then
            return plain(wire)


def time_of(at: int) -> datetime:
    """The time of a record, which counts microseconds; of a forged one that Python has no time for, the last or first there is."""
    return _EPOCH + timedelta(microseconds=min(max(at, EARLIEST), LATEST))


def micros(when: datetime) -> int:
    """A time as records count it. A naive one is taken as UTC."""
    when = when.replace(tzinfo=UTC) if when.tzinfo is None else when
    return (when - _EPOCH) // timedelta(microseconds=1)
