"""What `DB.audit` does, as flows that serve both faces: what they read and write they do by the methods of the face."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.json import decode

from dynamorm.effects import Call, Flow
from dynamorm.errors import AuditChainBroken, ConfigError, KeyUnavailable, ValidationError

from .chain import AuditVerdict, Replay, verdict_of
from .days import anchored
from .history import AuditRecord, AuditSnapshot, Reader, micros
from .records import Unreadable, read, read_told
from .tracking import RESTORING
from .values import Digest

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping

    from .model import Place, Tracked
    from .plugin import AuditLog

SOFT = frozenset({"external", "unrecorded", "missing"})
"""What is wrong with the item, and not with its records: these can be read."""

AT_THE_END = SOFT | {"head"}
"""What is wrong where somebody has written between the reading of the item and that of its records."""

READINGS = 20
"""How often both are read again, of an item that is written all the time."""


MISSING: Any = object()
"""In the place of the value of a field that was not stored."""


class Restored(Struct, frozen=True, kw_only=True):
    """What `AuditTrail.restore` has done: the object as it is now, the fields that were written, and those that could not be.

    Example: ``db.audit.restore(Payment, "p1", version=3).left_out``
    """

    item: Any
    fields: tuple[str, ...]
    left_out: tuple[str, ...]

    def __repr__(self) -> str:
        return f"<Restored {', '.join(self.fields)}>"


class Chain:
    """One item and its records, as they were read."""

    def __init__(self, tracked: Tracked, place: Place, rows: list[bytes], item: dict[str, Any] | None) -> None:
        self.tracked: Tracked = tracked
        self.place: Place = place
        self.rows: list[bytes] = rows
        self.item: dict[str, Any] | None = item

    def may_have_changed(self) -> bool:
        """Whether the item is not of its last record, as where somebody has written between the two readings."""
        try:
            verdict, _ = self.verdict()
        except KeyUnavailable:  # for who looks at the verdict
            return False
        return verdict.reason in AT_THE_END

    def verdict(self) -> tuple[AuditVerdict, Replay]:
        """Whether it holds. Raises: KeyUnavailable."""
        keys = self.tracked.keys(self.place.tenant)
        return verdict_of(self.rows, self.place, keys, self.item)


class Trail:
    """The flows of one database or view.

    ``plan`` gives what the library knows of a model, ``address`` the JSON of a key, ``stored`` the flow that reads what is under it.
    """

    def __init__(
        self,
        log: AuditLog,
        db: Any,
        plan: Callable[[type[Any]], Any],
        address: Callable[..., tuple[str, bytes | None]],
        stored: Callable[..., Flow[bytes | None]],
        scope: Mapping[str, str],
    ) -> None:
        self._address = address
        self._stored = stored
        self.log = log
        self.db = db
        self._plan = plan
        self._scope = scope

    def tenant(self, tracked: Tracked) -> str | None:
        """Whose chains are read."""
        return tracked.tenant(self._scope, scoped=self._plan(tracked.model).codec.is_scoped)

    def refuse_view(self, what: str) -> None:
        """Refuse what is of all tenants on a view. Raises: ConfigError."""
        if self._scope:
            raise ConfigError(f"{what} is of the whole store, and this is a view: ask the database itself")

    def rows_of(self, query: Any) -> Flow[list[bytes]]:
        """The stored form of the records that a query finds, in its order."""
        found = yield Call(query.all, query.all)
        return self.raw(found)

    def raw(self, rows: Iterable[Any]) -> list[bytes]:
        """The stored form of records."""
        return [self._plan(type(row)).codec.loaded(row) for row in rows]

    def chain(self, model: type[Any], key: tuple[Any, ...], parts: dict[str, Any]) -> Flow[Chain]:
        """Read an item and its records, of one moment. Raises: ConfigError, ValidationError.

        They are read one after the other, so that somebody may write between: where the item is not of its last record, both
        are read again, until nothing has changed meanwhile.
        """
        chain = yield from self._read(model, key, parts)
        for _ in range(READINGS):
            if not chain.may_have_changed():
                break
            again = yield from self._read(model, key, parts)
            if again.item == chain.item and again.rows == chain.rows:
                break
            chain = again
        return chain

    def _read(self, model: type[Any], key: tuple[Any, ...], parts: dict[str, Any]) -> Flow[Chain]:
        tracked = self.log.of(model)
        place = tracked.chain(self.tenant(tracked), self.key(model, key, parts))
        raw = yield from self._stored(model, key, parts)  # whatever its model, and that of its records, make of it
        row = tracked.stored_row
        rows = yield from self.rows_of(self.db.model(row).where(row.pk == place.pk).consistent())
        return Chain(tracked, place, rows, None if raw is None else decode(raw))

    def key(self, model: type[Any], key: tuple[Any, ...], parts: dict[str, Any]) -> dict[str, Any]:
        """The stored form of a key. Raises: ValidationError."""
        _, address = self._address(model, key, parts)
        if address is None:
            raise ValidationError(f"the key of a {model.__name__} is missing: it is given as to db.get")
        found: dict[str, Any] = decode(address)
        return found

    def reader(self, tracked: Tracked, model: type[Any]) -> Reader:
        """What tells records in the words of a model."""
        codec = self._plan(model).codec
        return Reader(tracked, codec.schema, codec.decode_field)

    def believed(self, chain: Chain) -> Replay:
        """The records of a chain, each checked. Raises: AuditChainBroken."""
        verdict, _ = chain.verdict()
        if not verdict.ok and verdict.reason not in SOFT:
            raise broken(chain.tracked.label, verdict)
        replay = Replay(chain.place, chain.tracked.keys(chain.place.tenant))
        for raw in chain.rows:
            replay.add(raw, keep=True)
        return replay

    def history(
        self, model: type[Any], key: tuple[Any, ...], parts: dict[str, Any], *, verify: bool
    ) -> Flow[list[AuditRecord]]:
        """Every record of an item, the oldest first."""
        chain = yield from self.chain(model, key, parts)
        records = self.believed(chain).records if verify else _readable(chain.rows)
        return self.reader(chain.tracked, model).history(records)

    def verify(self, model: type[Any], key: tuple[Any, ...], parts: dict[str, Any], head: Any) -> Flow[AuditVerdict]:
        """Whether the records of an item hold."""
        chain = yield from self.chain(model, key, parts)
        verdict, _ = chain.verdict()
        if head is None:
            return verdict
        return (yield from anchored(self, chain, verdict, head))

    def as_of(
        self, model: type[Any], key: tuple[Any, ...], parts: dict[str, Any], when: datetime
    ) -> Flow[AuditSnapshot | None]:
        """What was recorded of an item at a time."""
        if not isinstance(when, datetime):
            raise ValidationError(f"as_of takes a datetime behind the key, not {type(when).__name__}", field="when")
        chain = yield from self.chain(model, key, parts)
        until = micros(when)
        records = [record for record in self.believed(chain).records if record.body.at <= until]
        return self.reader(chain.tracked, model).snapshot(records)

    def restore(self, model: type[Any], key: tuple[Any, ...], parts: dict[str, Any], version: int) -> Flow[Restored]:
        """Write what the tracked fields were."""
        chain = yield from self.chain(model, key, parts)
        verdict, replay = chain.verdict()
        if not verdict.ok and verdict.reason not in {*SOFT, "head"}:
            raise broken(chain.tracked.label, verdict)
        if version.__class__ is not int or not 1 <= version <= replay.n:
            raise ValidationError(f"there are records 1 to {replay.n} of this {chain.tracked.label}", field="version")
        records = [record for record in map(read, chain.rows) if record.body.n <= version]
        snapshot = self.reader(chain.tracked, model).snapshot(records)
        if snapshot is None:
            raise ValidationError(
                f"record {version} tells that this {chain.tracked.label} was gone: delete it, or name another one",
                field="version",
            )
        then = Reader.tracked_then(records)
        hidden = {name for name, value in snapshot.values.items() if isinstance(value, Digest)}
        left_out = tuple(sorted(hidden | {name for name, stored in chain.tracked.stored.items() if stored not in then}))
        names = tuple(name for name in chain.tracked.names if name not in left_out)
        item = yield (
            self._changed(model, key, parts, {name: snapshot.values.get(name, MISSING) for name in names}, version)
            if chain.item is not None
            else self._made(model, key, parts, snapshot, version)
        )
        return Restored(item=item, fields=names, left_out=left_out)

    def _changed(
        self, model: type[Any], key: tuple[Any, ...], parts: dict[str, Any], values: dict[str, Any], version: int
    ) -> Call:
        fields = self._plan(model).codec.schema.fields
        updates = [
            getattr(model, name).remove() if value is MISSING else getattr(model, name).set(value)
            for name, value in values.items()
        ]
        allow = tuple(name for name in values if fields[name].protected)
        return _restoring(_called(self.db.update, model, *key, *updates, allow=allow, **parts), version)

    def _made(
        self, model: type[Any], key: tuple[Any, ...], parts: dict[str, Any], snapshot: AuditSnapshot, version: int
    ) -> Call:
        names = self._plan(model).codec.schema.key.fields
        if not snapshot.complete or len(key) + len(parts) < len(names):
            raise ValidationError(
                f"this {model.__name__} is gone, and the records do not tell all of its fields, so that it cannot be made again:"
                " create it from db.audit.as_of(...).values, and give what is missing",
                field="version",
            )
        obj = model(**{**snapshot.values, **dict(zip(names, key, strict=False)), **parts})
        return _restoring(_called(self.db.create, obj), version)


def broken(label: str, verdict: AuditVerdict) -> AuditChainBroken:
    """The error for a chain that does not hold."""
    return AuditChainBroken(
        f"the records of this {label} do not hold at {verdict.first_bad}: {verdict.reason}; db.audit.history(...,"
        " verify=False) shows what is stored",
        first_bad=verdict.first_bad,
        reason=verdict.reason,
    )


def _readable(rows: Iterable[bytes]) -> Iterator[Any]:
    for raw in rows:
        try:
            yield read_told(raw)
        except Unreadable:
            continue


def _called(method: Callable[..., Any], *args: Any, **named: Any) -> Callable[[], Any]:
    return lambda: method(*args, **named)


@contextmanager
def _going_back(version: int) -> Generator[None]:
    mark = RESTORING.set(version)
    try:
        yield
    finally:
        RESTORING.reset(mark)


def _restoring(call: Callable[[], Any], version: int) -> Call:
    """A write that is recorded as one which goes back."""

    def blocking() -> Any:
        with _going_back(version):
            return call()

    async def awaited() -> Any:
        with _going_back(version):
            return await call()

    return Call(blocking, awaited)
