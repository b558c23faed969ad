"""What `DB.audit` does, as flows that serve both faces: what they read and write they do by the methods of the face."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from msgspec.json import decode
from msgspec.structs import replace

from dynamorm.effects import Call, Flow
from dynamorm.errors import AuditChainBroken, ConfigError, KeyUnavailable, ValidationError

from .chain import AuditVerdict, Replay, verdict_of
from .days import anchored
from .history import AuditRecord, AuditSnapshot, Reader, micros
from .protected.revealing import protected, revealed, reveals, told, without_values
from .records import Unreadable, read_told

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from .model import Place, Tracked
    from .plugin import AuditLog

SOFT = frozenset({"external", "unrecorded", "missing"})
"""What is wrong with the item, and not with its records: these can be read."""

AT_THE_END = SOFT | {"head"}
"""What is wrong where somebody has written between the reading of the item and that of its records."""

READINGS = 20
"""How often both are read again, of an item that is written all the time."""


class Chain:
    """One item and its records, as they were read."""

    def __init__(
        self,
        tracked: Tracked,
        place: Place,
        rows: list[bytes],
        item: dict[str, Any] | None,
        protected: frozenset[str] = frozenset(),
    ) -> None:
        self._protected = protected
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
        return verdict_of(self.rows, self.place, keys, self.item, self._protected)


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
        self.scope: Mapping[str, str] = scope

    def codec(self, model: type[Any]) -> Any:
        """The codec of a model, in this view."""
        return self._plan(model).codec

    @property
    def serves_all(self) -> bool:
        """Whether this is a view of no single tenant."""
        return bool(self.scope) and "tenant" not in self.scope

    def place(self, model: type[Any], key: tuple[Any, ...], parts: dict[str, Any]) -> Flow[Place]:
        """Where the chain of an item is. Raises: ConfigError, ValidationError."""
        tracked = self.log.of(model)
        wires = self.key(model, key, parts)
        obj = None
        if self.serves_all:  # the item says whose it is, where its key does not
            get = called(self.db.get, model, *key, consistent=True, **parts)
            obj = yield Call(get, get)
        codec = self.codec(model)
        tenant = tracked.tenant(
            self.scope, scoped=codec.is_scoped, named=lambda: tracked.named(codec, wires, obj, parts)
        )
        return tracked.chain(tenant, wires)

    def refuse_view(self, what: str) -> None:
        """Refuse what is of all tenants on a view. Raises: ConfigError."""
        if self.scope:
            raise ConfigError(f"{what} is of the whole store, and this is a view: ask the database itself")

    def rows_of(self, query: Any) -> Flow[list[bytes]]:
        """The stored form of the records that a query finds, in its order."""
        found = yield Call(query.all, query.all)
        return self.raw(found)

    def raw(self, rows: Iterable[Any]) -> list[bytes]:
        """The stored form of records."""
        return [self.codec(type(row)).loaded(row) for row in rows]

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
        place = yield from self.place(model, key, parts)
        tracked = self.log.of(model)
        raw = yield from self._stored(model, key, parts)  # whatever its model, and that of its records, make of it
        row = tracked.stored_row
        rows = yield from self.rows_of(self.db.model(row).where(row.pk == place.pk).consistent())
        placed = frozenset(plan.stored for plan in self.codec(model).placed)
        return Chain(tracked, place, rows, None if raw is None else decode(raw), placed)

    def key(self, model: type[Any], key: tuple[Any, ...], parts: dict[str, Any]) -> dict[str, Any]:
        """The stored form of a key. Raises: ValidationError."""
        found: dict[str, Any] = decode(self.address(model, key, parts))
        return found

    def address(self, model: type[Any], key: tuple[Any, ...], parts: dict[str, Any]) -> bytes:
        """The stored form of a key, as JSON. Raises: ValidationError."""
        _, address = self._address(model, key, parts)
        if address is None:
            raise ValidationError(f"the key of a {model.__name__} is missing: it is given as to db.get")
        return address

    def reader(self, tracked: Tracked, model: type[Any]) -> Reader:
        """What tells records in the words of a model."""
        return Reader(tracked, self.codec(model))

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
        self, model: type[Any], key: tuple[Any, ...], parts: dict[str, Any], *, verify: bool, reveal: bool = False
    ) -> Flow[list[AuditRecord]]:
        """Every record of an item, the oldest first. ``reveal``: with the protected values in them, which is recorded."""
        if reveal and not verify:
            raise ValidationError("reveal=True opens records that hold alone: leave out verify=False", field="reveal")
        chain = yield from self.chain(model, key, parts)
        records = self.believed(chain).records if verify else _readable(chain.rows)
        found = self.reader(chain.tracked, model).history(records)
        if not reveal or not found:
            return found
        address = self.address(model, key, parts)
        return (yield from without_values(revealed(self, model, chain, address, found, found[-1].version)))

    def reveals(self, model: type[Any], key: tuple[Any, ...], parts: dict[str, Any]) -> Flow[list[AuditRecord]]:
        """The records of who has looked at protected values in the records of an item."""
        place = yield from self.place(model, key, parts)
        return (yield from told(self, model, Chain(self.log.of(model), place, [], None)))

    def verify(self, model: type[Any], key: tuple[Any, ...], parts: dict[str, Any], head: Any) -> Flow[AuditVerdict]:
        """Whether the records of an item hold."""
        chain = yield from self.chain(model, key, parts)
        verdict, _ = chain.verdict()
        if verdict.ok and protected(self, chain.tracked, model):
            replay, reason = yield from reveals(self, chain)
            if reason:
                verdict = replace(verdict, ok=False, first_bad=replay.n + 1, reason="reveals")
        if head is None:
            return verdict
        return (yield from anchored(self, chain, verdict, head))

    def as_of(
        self, model: type[Any], key: tuple[Any, ...], parts: dict[str, Any], when: datetime
    ) -> Flow[AuditSnapshot | None]:
        """What was recorded of an item at a time."""
        if not isinstance(when, datetime):
            raise ValidationError(
                f"as_of takes a datetime behind the key, or when=..., and got {type(when).__name__}", field="when"
            )
        chain = yield from self.chain(model, key, parts)
        until = micros(when)
        records = [record for record in self.believed(chain).records if record.body.at <= until]
        return self.reader(chain.tracked, model).snapshot(records)


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


def called(method: Callable[..., Any], *args: Any, **named: Any) -> Callable[[], Any]:
    """A call that is made later."""
    return lambda: method(*args, **named)
