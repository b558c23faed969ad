"""What every operation works with: the store, the tables, the clock, the settings. It must not know operations."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from msgspec import Struct, json

from dynamorm.engine.catalog.table import Table
from dynamorm.engine.refusal import Refusal, invalid, not_found
from dynamorm.engine.store.past import Earlier, Past
from dynamorm.engine.store.store import Change, Map, Store
from dynamorm.errors import ConfigError

ACCOUNT: Final = "000000000000"
REGION: Final = "us-east-1"

CATALOG: Final = 1
TOKENS: Final = 2
RECORDS: Final = 3
"""The maps that are not of one table: the tables, the tokens of transactions, the records of streams."""

_OF_NO_TABLE: Final = frozenset((CATALOG, TOKENS, RECORDS))

TRIMMED: Final = b"\0trimmed"
"""Where, among the tokens, is written which records of streams were taken away: no token begins so."""

BACKUP: Final = b"\0backup/"
"""How the rows of backups begin, which are among the tokens, too: their ARN follows."""

FOR_GOOD: Final = 2**60
"""The time of a row among the tokens that never becomes too old."""

NAME_LIMITS: Final = range(3, 256)
_table_name = re.compile(r"[A-Za-z0-9_.-]+\Z").match


_THROUGHPUTS: Final = ("off", "enforced")
_SECONDS: Final = ("staleness", "gsi_delay", "creating", "ttl_lag")


class Settings(Struct, frozen=True, kw_only=True):
    """How an engine behaves where the service leaves it open. See `dynamorm.engine.Engine`."""

    throughput: str = "off"
    staleness: float = 0.0
    gsi_delay: float = 0.0
    creating: float = 0.0
    seed: int = 0
    ttl_lag: float | None = None
    region: str = REGION
    account: str = ACCOUNT

    def checked(self) -> Settings:
        """The same, looked at. Raises: ConfigError."""
        if self.throughput not in _THROUGHPUTS:
            raise ConfigError(f"throughput is 'off' or 'enforced', not {self.throughput!r}")
        for name in _SECONDS:
            value: object = getattr(self, name)
            if name == "ttl_lag" and value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < float("inf"):
                raise ConfigError(f"{name} is a number of seconds from 0 on, not {value!r}")
        return self


class Core:
    """The state of an engine."""

    prefix: str
    sequence: int
    records_kept: int
    trimmed: int

    def __init__(self, store: Store, settings: Settings) -> None:
        self.store = store
        self.settings = settings
        self.prefix = f"arn:aws:dynamodb:{settings.region}:{settings.account}"
        self.catalog: Map = store.map(CATALOG)
        self.tokens: Map = store.map(TOKENS)
        self.records: Map = store.map(RECORDS)
        self._tables: dict[str, Table] = {}
        self.sequence = max((_sequence(key) for key, _, _ in self.records.range(b"", b"\xff" * 40)), default=0)
        """The number of the last record of any stream; it never goes back."""
        self.records_kept = self.records.counted()[0]
        row = self.tokens.get(TRIMMED)
        self.trimmed = 0 if row is None else int(row[1])
        """The number of the last record that was taken away."""
        self.past: Past | None = None
        if settings.staleness or settings.gsi_delay:
            self.past = Past(settings.staleness, settings.gsi_delay, settings.seed, self.now)
            store.watch = self.past.note
        self.meter: Any = None
        """What counts units where throughput is enforced: a `dynamorm.engine.items.throughput.Meter`."""
        self.due: Callable[[], None] | None = None
        """What is looked after before each request."""

    def refresh(self) -> None:
        """Look at everything anew: the store was changed behind this."""
        self._tables.clear()
        if self.past is not None:
            self.past.clear()
        self.records_kept = self.records.counted()[0]
        row = self.tokens.get(TRIMMED)
        self.trimmed = 0 if row is None else int(row[1])

    now: Callable[[], float] = staticmethod(time.time)

    def table(self, name: str) -> Table:
        """The table of a name or an ARN. Raises: Refusal."""
        found = self._tables.get(name)
        if found is None:
            if name.startswith("arn:"):
                name = name.rpartition("table/")[2].partition("/")[0]
            row = self.catalog.get(name.encode())
            if row is None:
                raise not_found()
            found = self._tables[name] = Table(json.decode(row[1]), self.store, self.prefix)
        return found

    def usable(self, name: str | None) -> Table:
        """A table whose items may be read and written. Raises: Refusal."""
        found = self._tables.get(name) if name is not None else None
        if found is None:
            found = self.table(checked_name(name))
        if found.ready and found.ready > self.now():
            raise not_found(f"Cannot do operations on a non-existent table: {found.name} is not active yet")
        return found

    def read(self, table: Table, *, consistent: bool) -> Map | Earlier:
        """The items of a table, for reads that may be old unless they are ``consistent``."""
        return table.items if consistent or self.past is None else self.past.of_items(table.items)

    def known(self, name: str) -> Table | None:
        """The table of a name, None without one."""
        try:
            return self.table(name)
        except Refusal:
            return None

    def names(self) -> list[str]:
        """The names of all tables, in order."""
        return [key.decode() for key, _, _ in self.catalog.range(b"", b"\xff")]

    def keep(self, record: dict[str, Any], changes: Sequence[Change] = ()) -> Table:
        """Store what is known of a table, together with other changes, and return it anew."""
        name = record["definition"]["TableName"]
        self._tables.pop(name, None)  # before: who is interrupted behind the change reads it anew
        self.store.apply([*changes, self.catalog_change(name, record)])
        return self.table(name)

    def catalog_change(self, name: str, record: dict[str, Any] | None) -> Change:
        """The change of the catalog that stores, or removes, a table."""
        key = name.encode()
        return (self.catalog, key, self.catalog.get(key), None if record is None else (0, json.encode(record)))

    def clear_orphans(self) -> None:
        """Give back the room of tables and indexes that are gone, unless a snapshot may still need it.

        Which they are is read from the catalog each time: a restore may have brought them back.
        """
        if not self.store.held:
            records = (json.decode(data) for _, _, data in self.catalog.range(b"", b"\xff"))
            named = {
                number for one in (*records, *self.backups()) for number in (one["map"], *one["index_maps"].values())
            }
            self.store.drop(self.store.numbers - named - _OF_NO_TABLE)

    def backups(self) -> list[dict[str, Any]]:
        """What is stored of each backup."""
        return [json.decode(data) for _, _, data in self.tokens.range(BACKUP, BACKUP + b"\xff")]

    def forget(self, name: str | None = None) -> None:
        """Read a table, or every one, anew from the catalog."""
        if name is None:
            self._tables.clear()
        else:
            self._tables.pop(name, None)


def checked_name(name: str | None) -> str:
    """The name of a table. Raises: Refusal for one that is none."""
    if name is None:
        raise invalid(
            "1 validation error detected: Value null at 'tableName' failed to satisfy constraint: Member must not be null"
        )
    if name.startswith("arn:"):
        return name
    wrong = None if len(name) in NAME_LIMITS and _table_name(name) else _rule(name)
    if wrong is not None:
        raise invalid(
            f"1 validation error detected: Value '{name}' at 'tableName' failed to satisfy constraint: {wrong}"
        )
    return name


def _rule(name: str) -> str:
    """The rule that a table's name breaks."""
    if len(name) < NAME_LIMITS.start:
        return f"Member must have length greater than or equal to {NAME_LIMITS.start}"
    if len(name) >= NAME_LIMITS.stop:
        return f"Member must have length less than or equal to {NAME_LIMITS.stop - 1}"
    return "Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+"


def _sequence(key: bytes) -> int:
    return int.from_bytes(key[-8:])
