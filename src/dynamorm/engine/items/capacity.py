"""What a request consumed, as its answer says it.

An index that was not changed is not named. Only transactions tell read from write units; what the indexes of a transaction cost
is not doubled, and a check alone costs 2.

Sources: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_ConsumedCapacity.html; the rest was observed on AWS
(Parity Suite, July 2026; dynoxide, issue 178).
"""

from __future__ import annotations

from typing import Any

from dynamorm.engine.answers import encode
from dynamorm.engine.catalog.table import Table


class Consumed:
    """The units that one table's part of a request consumed: ``of_table``, and by index."""

    __slots__ = ("of_indexes", "of_table", "table")

    of_table: float
    table: Table

    def __init__(self, table: Table, of_table: float = 0.0) -> None:
        self.table = table
        self.of_table = of_table
        self.of_indexes: dict[str, float] = {}

    def add(self, index: str | None, units: float) -> None:
        """Count units of an index, or of the table (None)."""
        if index is None:
            self.of_table += units
        elif units:
            self.of_indexes[index] = self.of_indexes.get(index, 0.0) + units

    def shown(self, mode: str, transactional: str = "") -> dict[str, Any]:
        """The ConsumedCapacity of an answer. ``transactional``: Read or Write, of a transaction."""
        total = self.of_table + sum(self.of_indexes.values())
        found: dict[str, Any] = {"TableName": self.table.name, **_units(total, transactional)}
        if mode == "INDEXES":
            found["Table"] = _units(self.of_table, transactional)
            for member, is_global in (("GlobalSecondaryIndexes", True), ("LocalSecondaryIndexes", False)):
                arms = {
                    name: _units(units, transactional)
                    for name, units in self.of_indexes.items()
                    if self.table.indexes[name].is_global is is_global
                }
                if arms:
                    found[member] = arms
        return found


def _units(units: float, transactional: str) -> dict[str, float]:
    return (
        {"CapacityUnits": units, f"{transactional}CapacityUnits": units} if transactional else {"CapacityUnits": units}
    )


def wanted(request: dict[str, Any]) -> str | None:
    """INDEXES or TOTAL, None where nobody asked."""
    mode = request.get("ReturnConsumedCapacity")
    return None if mode is None or mode == "NONE" else mode


def member(consumed: Consumed, mode: str, transactional: str = "") -> bytes:
    """ConsumedCapacity as bytes."""
    return encode(consumed.shown(mode, transactional))
