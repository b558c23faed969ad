"""Throughput as the settings of tables allow it: a request that finds nothing left is refused. It must not know requests.

A table, and each global index, has a bucket for reads and one for writes: so many units flow in each second, unused ones are kept
for five minutes, and whoever finds something in it may take more than is left. One partition key has 3,000 read units and 1,000
write units a second. On-demand tables are bounded by their maximum alone, where they have one.

Sources: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/burst-adaptive-capacity.html,
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/bp-partition-key-design.html,
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/throttling-diagnosing.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple

from dynamorm.engine.catalog.table import Table
from dynamorm.engine.faults import throttled
from dynamorm.engine.items.writes import Outcome
from dynamorm.engine.refusal import Refusal
from dynamorm.engine.values.keys import HASH

BURST: Final = 300.0
"""Seconds for which unused units are kept."""

OF_ONE_KEY: Final = {"Read": 3000.0, "Write": 1000.0}
MAX_KEYS: Final = 10_000
"""Partition keys that are counted; those that rest are forgotten first."""

_MEMBERS: Final = {
    "Read": ("ReadCapacityUnits", "MaxReadRequestUnits"),
    "Write": ("WriteCapacityUnits", "MaxWriteRequestUnits"),
}
_PROVISIONED: Final = "ProvisionedThroughputExceededException"
_ON_DEMAND: Final = "ThrottlingException"


class Demand(NamedTuple):
    """What a request takes of one bucket: ``rate`` flows into it, ``most`` is what it holds."""

    bucket: tuple[Any, ...]
    rate: float
    most: float
    units: float
    code: str
    reason: str
    resource: str


class Meter:
    """The buckets of all tables."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._levels: dict[tuple[Any, ...], tuple[float, float]] = {}

    def of_write(self, outcome: Outcome, factor: float = 1.0) -> list[Demand]:
        """What a write takes."""
        write = outcome.write
        table = write.table
        found = _demands(table, None, "Write", factor * outcome.units, write.key[:HASH])
        for name, units in outcome.arms.items():
            index = table.indexes[name]
            if index.is_global:
                item = outcome.new if outcome.new is not None else outcome.old
                key = None if item is None else index.key(item)
                found += _demands(table, name, "Write", float(units), None if key is None else key[:HASH])
            else:
                found += _demands(table, None, "Write", float(units), write.key[:HASH])
        return found

    def of_read(self, table: Table, index: str | None, units: float, partition: bytes | None) -> list[Demand]:
        """What a read takes of a table or an index; ``partition`` is the hash of its one key, if it has one."""
        of = None if index is None or not table.indexes[index].is_global else index
        return _demands(table, of, "Read", units, partition)

    def refused(self, demands: Iterable[Demand]) -> Refusal | None:
        """The refusal of a request that finds a bucket empty, None for one that may be carried out."""
        empty = [one for one in demands if self._level(one) <= 0]
        if not empty:
            return None
        reasons = [{"reason": one.reason, "resource": one.resource} for one in empty]
        refused = throttled(empty[0].code, list({tuple(one.items()): one for one in reasons}.values()))
        return Refusal(refused.code, refused.message, **refused.members)

    def take(self, demands: Iterable[Demand]) -> None:
        """Take what was asked for."""
        now = self._now()
        for one in demands:
            self._levels[one.bucket] = self._level(one) - one.units, now
        if len(self._levels) > MAX_KEYS:
            self._levels = {
                bucket: level for bucket, level in self._levels.items() if len(bucket) == 3 or now - level[1] < 1.0
            }

    def admit(self, demands: list[Demand]) -> None:
        """Take what was asked for. Raises: Refusal."""
        refusal = self.refused(demands)
        if refusal is not None:
            raise refusal
        self.take(demands)

    def _level(self, demand: Demand) -> float:
        now = self._now()
        level, at = self._levels.get(demand.bucket, (demand.rate, now))
        return min(demand.most, level + (now - at) * demand.rate)


def reason_code(refusal: Refusal) -> str:
    """What a transaction that is cancelled for it says of the item."""
    return "ProvisionedThroughputExceeded" if refusal.name == _PROVISIONED else "ThrottlingError"


def _demands(table: Table, index: str | None, kind: str, units: float, partition: bytes | None) -> list[Demand]:
    """What is taken of a table, or of a global index, and of one of its partition keys."""
    record = table.record
    provisioned = record["mode"] == "PROVISIONED"
    of = "Table" if index is None else "Index"
    resource = table.arn if index is None else f"{table.arn}/index/{index}"
    code = _PROVISIONED if provisioned else _ON_DEMAND
    found: list[Demand] = []
    bucket = record["id"], index, kind
    rate = _rate(record, index, kind, provisioned=provisioned)
    if rate is not None:
        limit = "ProvisionedThroughputExceeded" if provisioned else "MaxOnDemandThroughputExceeded"
        most = rate * (BURST if provisioned else 1.0)
        found.append(Demand(bucket, rate, most, units, code, f"{of}{kind}{limit}", resource))
    if partition is not None:
        rate = OF_ONE_KEY[kind]
        reason = f"{of}{kind}KeyRangeThroughputExceeded"
        found.append(Demand((*bucket, partition), rate, rate, units, code, reason, resource))
    return found


def _rate(record: dict[str, Any], index: str | None, kind: str, *, provisioned: bool) -> float | None:
    """The units that flow in each second, None where nothing bounds them."""
    definition: dict[str, Any] = record["definition"]
    if index is not None:
        definition = next(one for one in definition["GlobalSecondaryIndexes"] if one["IndexName"] == index)
    of_provisioned, of_on_demand = _MEMBERS[kind]
    if provisioned:
        given = (definition.get("ProvisionedThroughput") or {}).get(of_provisioned)
    else:
        given = (definition.get("OnDemandThroughput") or {}).get(of_on_demand)
    return None if given is None or given < 0 else float(given)
