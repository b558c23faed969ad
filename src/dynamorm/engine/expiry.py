"""What leaves by itself: expired items, old records of streams, old tokens. It must not know requests.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/TTL.html: the attribute is a number, in seconds since 1970,
and what expired more than five years ago stays.
"""

from __future__ import annotations

from typing import Any, Final

from dynamorm.engine.answers import read_item
from dynamorm.engine.catalog.table import Table
from dynamorm.engine.core import TRIMMED, Core
from dynamorm.engine.items.transactions import TOKEN_SECONDS
from dynamorm.engine.store.store import Change
from dynamorm.engine.streams.records import HOURS, KEPT, SERVICE, record
from dynamorm.engine.values.numbers import number

FIVE_YEARS: Final = 5 * 365 * 86_400
EVERY: Final = 60.0
"""Seconds between two looks at what is old."""


def expire(core: Core, lag: float = 0.0) -> int:
    """Delete the items that expired ``lag`` seconds ago, in all tables. Returns how many there were."""
    return sum(_expire(core, core.table(name), core.now() - lag) for name in core.names())


def _expire(core: Core, table: Table, moment: float) -> int:
    name = table.expiring
    if name is None:
        return 0
    marked = b'"' + name.encode() + b'"'
    gone = [
        (key, (size, data))
        for key, size, data in table.items.range(b"", b"\xff" * 16)
        if (marked in data or not name.isascii() or '"' in name or "\\" in name)
        and _expired(read_item(data).get(name), moment)
    ]
    for key, row in gone:
        item = read_item(row[1])
        changes: list[Change] = [(table.items, key, row, None)]
        for index in table.index_list:
            index.write(item, None, key, (row[0], 0), changes)
        if table.stream is not None:
            changes.append(record(core, table, item, None, (row[0], 0), SERVICE))
        core.store.apply(changes)
    return len(gone)


def _expired(value: dict[str, Any] | None, moment: float) -> bool:
    if value is None or "N" not in value:
        return False
    at = number(value["N"])
    return moment - FIVE_YEARS <= at <= moment


class Sweeper:
    """Looks after what is old, before requests, and not at each of them."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._next = 0.0

    def __call__(self) -> None:
        """Take away what is old, where it is time to look."""
        core = self._core
        now = core.now()
        lag = core.settings.ttl_lag
        if lag is not None:
            expire(core, lag)
        if now < self._next and core.records_kept <= KEPT:
            return
        self._next = now + EVERY
        sweep(core)


def sweep(core: Core) -> None:
    """Take away the records and tokens that are too old, or too many."""
    now = core.now()
    rows = [(key, (size, data)) for key, size, data in core.records.range(b"", b"\xff" * 17) if size < now - HOURS]
    if core.records_kept - len(rows) > KEPT:
        rows = sorted(((key, (size, data)) for key, size, data in core.records.range(b"", b"\xff" * 17)), key=lambda one: one[0][-8:])[: -(KEPT * 9 // 10)]  # fmt: skip
    changes: list[Change] = [(core.records, key, row, None) for key, row in rows]
    if changes:
        core.trimmed = max(core.trimmed, *(int.from_bytes(key[-8:]) for key, _ in rows))
        changes.append((core.tokens, TRIMMED, core.tokens.get(TRIMMED), (2**60, str(core.trimmed).encode())))
    changes += [
        (core.tokens, key, (size, data), None)
        for key, size, data in core.tokens.range(b"", b"\xff" * 64)
        if size < now - TOKEN_SECONDS
    ]
    if changes:
        core.store.apply(changes)
    core.records_kept = core.records.counted()[0]
