"""The estimate of a month: what was measured, as if it went on so for 730 hours, and what tables cost by themselves.

Each amount is a cell by component, model and scope, rounded to 1e-10 dollars; every sum is a sum of the same cells.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, Literal

from msgspec import Struct

from .ledger import MISSING, REPORTED, UNCERTAIN, Key
from .modes import Mode, mode_of
from .report import Tables, place_of
from .times import HOURS, LITTLE, MUCH

if TYPE_CHECKING:
    from .plugin import CostPlugin
    from .prices import Prices

COMPONENTS: Final = ("read", "write", "storage", "streams", "backup", "replicas", "kms")
GIGABYTE: Final = 1024**3
OVERHEAD: Final = 100
"""Bytes that are stored with each item, and with each entry of an index.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
"""
KEY_ASKED: Final = 12 * HOURS
"""Requests to KMS for a table with a key of one's own: its key is kept for five minutes.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/encryption.usagenotes.html
"""
_CELL: Final = Decimal("1e-10")
_SHORTEST: Final = 1.0
"""Seconds of the shortest window: what was measured for less is taken for what a second brings."""

Confidence = Literal["low", "medium", "high"]


class CostEstimate(Struct, frozen=True, kw_only=True):
    """What a month costs, in ``currency``, as ``format(cost, ".2f")`` writes it.

    ``total`` is the sum of ``breakdown``, by component: ``read``, ``write``, ``storage``, ``streams``, ``backup`` (recovery to
    a point in time), ``replicas`` (writes in the other Regions of global tables), ``kms``; None for one of which nothing is
    known, because no table tells it or its price is not known: ``unknown`` says what is missing, in words. ``by_model`` has the names of models, and of tables that
    several share; ``by_scope`` those of scopes (``"tenant=t1"``), ``""`` for what has none. The sum of each is the total.

    ``window`` is how long it was measured. ``confidence`` is ``"low"`` below 10 minutes and where the size of a table or a price
    of requests or storage is not known, ``"high"`` from 24 hours on. ``uncertain`` is what attempts without an answer may cost besides, and no
    part of the total. ``priced_on`` is the day of the prices. ``modes`` compares on-demand and provisioned for each table.

    Nothing is subtracted for free tiers, savings plans and reserved capacity, and what other processes do is not in it.

    Example: ``print(f"{db.estimate_monthly_cost():.2f}")``
    """

    total: Decimal
    breakdown: dict[str, Decimal | None]
    by_model: dict[str, Decimal]
    by_scope: dict[str, Decimal]
    window: timedelta
    confidence: Confidence
    priced_on: date
    currency: str
    uncertain: Decimal = Decimal(0)
    unknown: tuple[str, ...] = ()
    modes: dict[str, Mode] = {}
    fixed: Decimal = Decimal(0)
    """What of the total does not depend on the window: storage, recovery, keys, provisioned units."""

    def __format__(self, spec: str) -> str:
        return format(self.total, spec) if spec else str(self)

    def __str__(self) -> str:
        return f"{self.total:.2f} {self.currency} a month ({self.confidence} confidence)"


class Cells:
    """The amounts, by component, model and scope."""

    def __init__(self) -> None:
        self.amounts: dict[tuple[str, str, str], Decimal] = {}
        self.known: set[str] = set()
        self.unknown: dict[str, None] = {}
        self.lacks: bool = False
        """Whether a large part may be missing: requests or storage."""
        self.fixed: Decimal = Decimal(0)

    def add(self, component: str, model: str, scope: str, amount: Decimal, *, fixed: bool = False) -> None:
        """Add dollars of a month."""
        amount = amount.quantize(_CELL)
        self.known.add(component)
        where = component, model, scope
        self.amounts[where] = self.amounts.get(where, Decimal(0)) + amount
        if fixed:
            self.fixed += amount

    def priced(self, component: str, price: Decimal | None, what: str) -> Decimal:
        """The price, 0 where it is not known, which is said."""
        if price is None:
            self.unknown[f"the price of {what}"] = None
            self.lacks |= component in {"read", "write", "storage"}
            return Decimal(0)
        self.known.add(component)
        return price

    def sums(self, of: Callable[[tuple[str, str, str]], str]) -> dict[str, Decimal]:
        """The cells added up by one of their names."""
        found: dict[str, Decimal] = {}
        for where, amount in self.amounts.items():
            found[of(where)] = found.get(of(where), Decimal(0)) + amount
        return found


def estimate_of(
    plugin: CostPlugin, rows: Iterable[tuple[Key, tuple[float, ...]]], tables: Tables, prices: Prices
) -> CostEstimate:
    """The estimate, of the entries of the books and of what is known of the tables."""
    seconds = max(0.0, plugin.times.steady() - plugin.ledger.since)
    factor = Decimal(HOURS * 3600) / Decimal(repr(max(seconds, _SHORTEST)))
    cells = Cells()
    cells.known.update(("read", "write", "streams"))
    rows = list(rows)
    uncertain = Decimal(0)
    for key, units in rows:
        uncertain += _requests(plugin, cells, key, units, tables, prices, factor)
    if plugin.ledger.streams:
        each = cells.priced("streams", prices.of("streams"), f"streams in {prices.region}")
        cells.add("streams", "", "", plugin.ledger.streams * each * factor)
    used = {key.table for key, _ in rows}
    for table in sorted(used | (tables.keys() if not used else set())):
        _table(plugin, cells, table, tables, prices)
    window = timedelta(seconds=seconds)
    by_component = cells.sums(lambda where: where[0])
    return CostEstimate(
        total=sum(cells.amounts.values(), Decimal(0)),
        breakdown={name: by_component.get(name, Decimal(0) if name in cells.known else None) for name in COMPONENTS},
        by_model=cells.sums(lambda where: where[1]),
        by_scope=cells.sums(lambda where: where[2]),
        window=window,
        confidence="low" if window < LITTLE or cells.lacks else "high" if window >= MUCH else "medium",
        priced_on=prices.priced_on,
        currency=prices.currency,
        uncertain=uncertain.quantize(_CELL),
        unknown=tuple(cells.unknown),
        modes={
            table: mode_of(
                plugin.ledger.traffic.get(table), _of_table(rows, table), plugin.facts.of(table), prices, window
            )
            for table in sorted(used)
        },
        fixed=cells.fixed,
    )


def unit_prices(plugin: CostPlugin, cells: Cells, table: str, prices: Prices) -> tuple[Decimal, Decimal, Decimal]:
    """What a read unit and a write unit of a table cost by themselves, and the write once more in its other Regions.

    A provisioned table is paid by the hour: its units cost nothing by themselves.
    """
    found = plugin.facts.of(table)
    infrequent = found is not None and found.table_class != "STANDARD"
    elsewhere = Decimal(0)
    for region in () if found is None else found.replicas:
        there = plugin.price_of_region(region)
        price = None if there is None else there.of("replicated_write", infrequent=infrequent)
        elsewhere += cells.priced("replicas", price, f"replicated writes in {region}")
    if found is not None and found.billing_mode == "PROVISIONED":
        return Decimal(0), Decimal(0), elsewhere
    kind = "Standard-IA " if infrequent else ""
    return (
        cells.priced("read", prices.of("read", infrequent=infrequent), f"{kind}reads in {prices.region}"),
        cells.priced("write", prices.of("write", infrequent=infrequent), f"{kind}writes in {prices.region}"),
        elsewhere,
    )


def _requests(
    plugin: CostPlugin,
    cells: Cells,
    key: Key,
    units: tuple[float, ...],
    tables: Tables,
    prices: Prices,
    factor: Decimal,
) -> Decimal:
    """One entry of the books. Returns what it may cost besides."""
    read, write, elsewhere = unit_prices(plugin, cells, key.table, prices)
    where = place_of(key, tables)
    reads = Decimal(units[REPORTED]) + Decimal(units[MISSING])
    writes = Decimal(units[REPORTED + 1]) + Decimal(units[MISSING + 1])
    if reads:
        cells.add("read", *where, reads * read * factor)
    if writes:
        cells.add("write", *where, writes * write * factor)
        if elsewhere:
            cells.add("replicas", *where, writes * elsewhere * factor)
    return (Decimal(units[UNCERTAIN]) * read + Decimal(units[UNCERTAIN + 1]) * (write + elsewhere)) * factor


def _table(plugin: CostPlugin, cells: Cells, table: str, tables: Tables, prices: Prices) -> None:
    """What a table costs by itself, as far as it tells."""
    found = plugin.facts.of(table)
    if found is None:
        cells.unknown[f"the size of the table {table}"] = None
        cells.lacks = True
        return
    models = tables.get(table, ())
    name = models[0].__name__ if len(models) == 1 else table
    infrequent = found.table_class != "STANDARD"
    own = found.size_bytes + OVERHEAD * found.item_count
    stored = own + sum(index.size_bytes + OVERHEAD * index.item_count for index in found.indexes.values())
    each = cells.priced("storage", prices.of("storage", infrequent=infrequent), f"storage in {prices.region}")
    cells.add("storage", name, "", Decimal(stored) / GIGABYTE * each * (1 + len(found.replicas)), fixed=True)
    cells.known.update(("replicas", "kms"))
    if found.point_in_time_recovery is None:
        cells.unknown[f"whether the table {table} is recovered to a point in time"] = None
    elif found.point_in_time_recovery:
        local = sum(index.size_bytes for index in found.indexes.values() if index.kind == "LSI")
        each = cells.priced("backup", prices.of("pitr"), f"recovery to a point in time in {prices.region}")
        cells.add("backup", name, "", Decimal(found.size_bytes + local) / GIGABYTE * each, fixed=True)
    else:
        cells.known.add("backup")
    if found.encryption != "AWS_OWNED":
        each = cells.priced("kms", prices.of("kms_request"), f"requests to KMS in {prices.region}")
        key = Decimal(0)
        if found.encryption != "AWS_MANAGED":
            key = cells.priced("kms", prices.of("kms_key"), f"a key of KMS in {prices.region}")
        cells.add("kms", name, "", key + KEY_ASKED * each, fixed=True)
    if found.billing_mode == "PROVISIONED":
        _provisioned(cells, name, found, prices, infrequent=infrequent)


def _provisioned(cells: Cells, name: str, found: Any, prices: Prices, *, infrequent: bool) -> None:
    bought = [found.throughput, *(index.throughput for index in found.indexes.values())]
    for component in ("read", "write"):
        units = sum(getattr(one, component) or 0 for one in bought if one is not None)
        price = prices.of(f"provisioned_{component}", infrequent=infrequent)
        each = cells.priced(component, price, f"provisioned {component} units in {prices.region}")
        cells.add(component, name, "", units * each * HOURS, fixed=True)


def _of_table(rows: list[tuple[Key, tuple[float, ...]]], table: str) -> tuple[float, float]:
    """Read and write units of a table with its indexes."""
    of = [units for key, units in rows if key.table == table]
    return (
        sum(units[REPORTED] + units[MISSING] for units in of),
        sum(units[REPORTED + 1] + units[MISSING + 1] for units in of),
    )
