"""The aspects of a live table that a plan changes, each with a value that can be compared. Plain data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dynamorm.codec.replies.table_description import IndexDescription, TableDescription
from dynamorm.models.schema.table_settings import Throughput

from .wanted import WantedIndex, WantedTable

EXISTENCE = "existence"
"""The aspect of a table that is to be made: its key and indexes."""
WARM = "warm throughput"


def aspects(live: TableDescription | None) -> dict[str, Any]:
    """Every aspect of a table by name; an index that is not there has none."""
    if live is None:
        return {EXISTENCE: None}
    by_name: dict[str, Any] = {
        EXISTENCE: shape(live),
        "key": (live.partition, live.sort),
        "billing": (live.billing_mode, *pair(live.throughput)),
        "maximum throughput": pair(live.max_throughput),
        WARM: pair(live.warm_throughput),
        "stream": live.stream,
        "encryption": live.encryption,
        "deletion protection": live.deletion_protection,
        "table class": live.table_class,
        "expiry": live.ttl,
        "recovery": (live.point_in_time_recovery, live.recovery_days),
        "tags": live.tags,
    }
    for index in live.indexes.values():
        by_name[of_index(index.name)] = index_shape(index)
        by_name[of_index(index.name, "units")] = pair(index.throughput)
        by_name[of_index(index.name, "maximum throughput")] = pair(index.max_throughput)
        by_name[of_index(index.name, WARM)] = pair(index.warm_throughput)
    return by_name


def of_index(name: str, aspect: str = "") -> str:
    """The name of an index's aspect."""
    return f"{aspect} of index {name}" if aspect else f"index {name}"


def pair(units: Throughput | None) -> tuple[int | None, int | None]:
    """Throughput as a plain pair."""
    return (None, None) if units is None else (units.read, units.write)


def index_shape(index: IndexDescription | WantedIndex) -> tuple[Any, ...]:
    """What an index is, without its state."""
    return (index.kind, index.partition, index.sort, index.projection, tuple(sorted(index.projected)))


def shape(table: TableDescription | WantedTable) -> tuple[Any, ...]:
    """What a table is, without its settings and its state."""
    indexes = tuple((name, index_shape(table.indexes[name])) for name in sorted(table.indexes))
    return (table.partition, table.sort, tuple(sorted(table.key_types.items())), indexes)


def reached(aspect: str, now: Any, goal: Any) -> bool:
    """Whether an aspect is as a step wants it."""
    compare = _COMPARISONS.get(aspect.partition(" of index ")[0], _same)
    return compare(now, goal)


def _same(now: Any, goal: Any) -> bool:
    return bool(now == goal)


def _at_least(now: Any, goal: Any) -> bool:
    """Warm throughput grows by itself."""
    now = now or (None, None)
    return all(wanted is None or (has or 0) >= wanted for has, wanted in zip(now, goal, strict=True))


def _has(now: Any, goal: Any) -> bool:
    return bool(goal.items() <= (now or {}).items())


def _recovers(now: Any, goal: Any) -> bool:
    """An engine that tells no days counts as right."""
    on, days = now or (None, None)
    return on is goal[0] and (goal[1] is None or days in (None, goal[1]))


def _encrypts(now: str, goal: str) -> bool:
    """DynamoDB tells the ARN of a key only: an alias, and AWS's own key, count as equal to any."""
    unseen = goal == "AWS_MANAGED" or "alias/" in goal
    return bool(now == goal) or now.endswith(f"/{goal}") or (unseen and now != "AWS_OWNED")


_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    WARM: _at_least,
    "tags": _has,
    "recovery": _recovers,
    "encryption": _encrypts,
}
