"""`Cache`: the moments at which answers are kept, given, and let go of."""

from __future__ import annotations

from contextlib import suppress
from hashlib import blake2b
from random import random
from typing import TYPE_CHECKING, Any, Final, Never

from msgspec.structs import asdict

from dynamorm.errors import ConfigError, MalformedResponse, Outcome, PoolTimeout
from dynamorm.plugin import Acquire, OfOneProcess, WriteRule

from .answers import is_kept
from .bounded import GROUP, Bounded, identity_cost, names_cost
from .config import FAMILIES, CacheConfig, check_settings
from .doubt import LATE, Doubt, watched
from .flights import WAIT, Flights
from .generations import EVERYTHING, Reading
from .memory import Memory
from .reads import READS, reading
from .stats import CacheStats, Counts
from .tables import Tables
from .writes import foreign, writing

if TYPE_CHECKING:
    from dynamorm.config.identity import DatabaseIdentity
    from dynamorm.effects import Flow
    from dynamorm.models.schema.schema import Schema
    from dynamorm.plugin import Call, CallFlow, Operation

    from .memory import Begun, Identity
    from .shared import Shared

MAX_READINGS: Final = 4_096
"""Requests of which it is remembered what their answers depend on."""
_UNREAD: Final = Reading(())


class Cache(OfOneProcess):
    """Keeps the answers of reads in this process. See `CacheConfig` for what is kept, and docs/guide/cache.md.

    Objects are made anew from the kept answer each time, so that none is shared; fields that are encrypted stay so.
    An answer is never older than a write of this database that has ended; writes of others are seen when ``ttl`` is over.
    Objects of one database may share a cache, a DB and an AsyncDB too; another database is refused.
    Answers to ``consistent=True`` are not kept, nor is anything that a write relies on.

    Raises: ConfigError for a config that is none; and from ``db.use`` for a database that it does not suit.

    Example: ``db.use(Cache(CacheConfig(ttl=30.0)))``
    """

    name: str = "cache"
    shows_verbs = True
    unpicklable_for = "holds what is kept in this process, or connections"
    unpicklable_instead = "send its CacheConfig (cache.config), and make another {name} on the other side"

    def __init__(self, config: CacheConfig | None = None, **settings: Never) -> None:
        check_settings(type(self).__name__, settings)
        if config is not None and not isinstance(config, CacheConfig):
            raise ConfigError(f"Cache takes a CacheConfig, not {type(config).__name__}: Cache(CacheConfig(ttl=30.0))")
        self.config: CacheConfig = config or CacheConfig()
        verbs = self.config.cacheable_operations
        self._verbs = verbs | {"require"} if "get" in verbs else verbs
        self._listed = None if self.config.invalidate_on == frozenset(FAMILIES) else self.config.invalidate_on
        self._tables = Tables()
        self._readings = Bounded(MAX_READINGS, self.config.max_bytes // 8)
        self._models: dict[type[Any], str] = {}
        self._told: set[type[Any]] = set()
        self._flights = Flights()
        self._counts = Counts()
        self._store: Memory | Shared = Memory(self.config)
        self._place: DatabaseIdentity | None = None
        self._prefix = ""

    def stats(self) -> CacheStats:
        """What the cache did so far.

        Example: ``cache.stats().hits``
        """
        return self._counts.stats(tampered=0 if isinstance(self._store, Memory) else self._store.tampered)

    # ----------------------------------------------------------------------------------------------- moments of plugins

    def joined(self, db: Any) -> None:
        """Refuse a database that it does not suit. Raises: ConfigError."""
        place = db.config.identity()
        if self._place not in (None, place):
            raise ConfigError(
                f"this {type(self).__name__} is in use for another database, or for one of which nobody knows whether it is the"
                " same (another endpoint, Region, table_prefix or account, or other credentials): make one for each, or name"
                " the account of both, Config(account_id='123456789012')"
            )
        self._place, self._prefix = place, place.table_prefix

    def write_rule(self, schema: Schema) -> WriteRule | None:
        """Learn a model; for one with indexes and a version, take note of items as they were loaded."""
        if schema.key is None or not schema.table:
            return None
        if self._tables.learn(self._prefix + schema.table, schema):
            self._store.owe_everything()  # what was written before did not know of this index
        self._readings.clear()
        self._models[schema.model] = _mark(schema)
        version = schema.version
        if version is None or all(index.kind == "LSI" for index in schema.indexes.values()):
            return None
        names = {schema.fields[name].stored for name in schema.index_fields} | {version.stored, "_wt"}
        return _Loaded(self._tables, names, version.stored)

    def around(self, call: CallFlow) -> CallFlow:
        """Answer reads from what is kept, and let go of it with each write."""
        verbs = self._verbs

        def cached(op: Call) -> Flow[Any]:
            if op.name in READS:
                operation = op.operation
                if operation is None or operation.verb not in verbs or op.purpose != "verb" or operation.model is None:
                    return call(op)
                return self._read(call, op, operation)
            replaced = writing(op, self._tables, self._listed)
            return call(op) if replaced is None else self._write(call, op, replaced.generations, bound=replaced.bound)

        return cached

    def gauges(self) -> dict[str, float]:
        """The figures of `stats`, and what is kept in memory: entries, and their bytes."""
        numbers = {f"cache_{name}": float(value) for name, value in asdict(self.stats()).items()}
        if isinstance(self._store, Memory):
            numbers |= {"cache_entries": len(self._store), "cache_bytes": self._store.size}
        return numbers

    def forked(self) -> None:
        """Start again in a child process."""
        self._store.forked()
        self._flights.clear()

    def let_go(self, address: tuple[str, bytes | None] | None) -> Flow[None]:
        """Let go of what shows an item that somebody else has written: see `DB.invalidate_cache`; None: of everything.

        What it costs a cache in Redis that fails is owed, as with a write.
        """
        yield from self._store.replace((EVERYTHING,) if address is None else foreign(*address, self._tables))

    # ------------------------------------------------------------------------------------------------------------ reads

    def _read(self, call: CallFlow, op: Call, operation: Operation) -> Flow[Any]:
        model, scope, store = operation.model, operation.scope, self._store
        name = self._models.get(model)  # type: ignore[arg-type] # of one model, as was looked at
        identity = op.name, op.body, name, tuple(sorted(scope.items())) if scope else ()
        if isinstance(store, Memory):
            answer = store.find(identity)
            if answer is not None:
                self._counts.hits += 1
                return (yield from op.read(answer))
        ttl = self.config.ttl_of(model, self._told)  # type: ignore[arg-type] # likewise
        depends = self._readings.get(identity, _UNREAD)
        if depends is _UNREAD:
            depends = self._depends(op, identity)
        if depends is None or not ttl or name is None:
            return (yield from call(op))
        if not isinstance(store, Memory):
            answer = yield from store.look(identity, depends.generations)
            if answer is not None:
                with suppress(MalformedResponse):  # it was of another version of the model: read anew
                    result = yield from op.read(answer)
                    self._counts.hits += 1
                    return result
            if not store.usable:
                self._counts.bypassed += 1
                return (yield from call(op))
        return (yield from self._together(call, op, identity, depends, ttl))

    def _depends(self, op: Call, identity: Identity) -> Reading | None:
        """What an answer depends on; remembered for Redis, where each hit needs it, and not for a hit in memory."""
        depends = reading(op, self._tables)
        if not isinstance(self._store, Memory):
            names = () if depends is None else depends.generations
            self._readings.put(identity, depends, identity_cost(identity) + GROUP + names_cost(names))
        return depends

    def _together(self, call: CallFlow, op: Call, identity: Identity, depends: Reading, ttl: float) -> Flow[Any]:
        """The answer of a flight: our own, or another's."""
        flight = self._flights.join(identity)
        permit = flight.limiter.permit()
        try:
            if not permit.take():
                permit.release()
                try:
                    permit = yield Acquire(flight.limiter, timeout=WAIT)
                except PoolTimeout:
                    return (yield from self._fill(call, op, identity, depends, ttl))[2]
                if flight.answer is not None and flight.begun is not None and self._store.still(flight.begun):
                    self._counts.shared += 1
                    return (yield from op.read(flight.answer))
            begun, answer, result = yield from self._fill(call, op, identity, depends, ttl)
            if begun is not None:
                flight.land(begun, answer)
            else:  # Redis has failed: nobody needs to wait for it in turn
                flight.part()
            return result
        finally:
            permit.release()
            self._flights.leave(identity, flight)

    def _fill(
        self, call: CallFlow, op: Call, identity: Identity, depends: Reading, ttl: float
    ) -> Flow[tuple[Begun | None, bytes, Any]]:
        """Read, and keep the answer where it is sure to be as new as its generations."""
        self._counts.misses += 1
        store = self._store
        begun = yield from store.begin(depends.generations)
        if begun is None:
            self._counts.bypassed += 1
            return None, b"", (yield from call(op))
        kept = not begun.blocked
        asked = op
        if kept and begun.recent:
            if depends.lags:
                kept = False
            else:
                asked = op.consistent()
                self._counts.consistent += 1
        answer, result = yield from call(asked.with_wire())
        if not kept:
            self._counts.unsettled += 1
        elif len(answer) <= store.largest and is_kept(op, answer, missing=self.config.missing):
            jitter = 0.9 + random() / 5  # noqa: S311 - jitter is no secret
            yield from store.install(identity, begun, answer, ttl * jitter)
        return begun, answer, result

    # ----------------------------------------------------------------------------------------------------------- writes

    def _write(self, call: CallFlow, op: Call, names: tuple[Any, ...], *, bound: bool) -> Flow[Any]:
        """Replace the generations before the write is sent, and behind it, whatever became of it."""
        store, doubt = self._store, Doubt()
        yield from store.replace(names)
        try:
            result = yield from watched(call(op), doubt)
        except GeneratorExit:  # nothing can be asked of anybody any more
            if doubt.sent:
                store.owe(names, LATE)
            raise
        except BaseException as error:
            if not doubt.sent:  # as by a deadline that was over: nothing has changed
                raise
            yield from store.replace(names, doubt.seconds(error, bound=bound), behind=True)
            raise
        try:
            yield from store.replace(names, doubt.seconds(None, bound=bound), behind=True)
        except BaseException as stop:  # cancelled: the write is applied all the same
            stop.outcome = Outcome.APPLIED  # type: ignore[attr-defined] # a note for the caller
            raise
        return result


class _Loaded(WriteRule):
    """Takes note of the keys of indexes as they were loaded. It changes nothing.

    So a write that is bound to that state lets go of the partitions only that the item leaves and enters.
    """

    verbs: tuple[str, ...] = ("save", "update", "delete")
    in_batches: bool = True
    passive: bool = True

    def __init__(self, tables: Tables, names: set[str], version: str) -> None:
        self._tables = tables
        self._names = names
        self._version = version

    def contribute(self, draft: Any) -> None:
        if draft.version_check is not None:
            stored = draft.stored_item()
            if stored is not None:
                item = {name: wire for name, wire in stored.items() if name in self._names}
                self._tables.remember(item, self._version)


def _mark(schema: Schema) -> str:
    """A model's name, and a digest of what its fields are called and stored like."""
    fields = "|".join(f"{field.name}={field.stored}:{field.annotation}" for field in schema.fields.values())
    name = f"{schema.model.__module__}.{schema.model.__qualname__}"
    return f"{name}#{blake2b(f'{schema.table}|{fields}'.encode(), digest_size=8).hexdigest()}"
