"""On-demand against provisioned: what the same traffic costs in both modes, and which one to take."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from math import ceil
from typing import TYPE_CHECKING, Any, Final, Literal

from msgspec import Struct

from .times import HOURS, MUCH

if TYPE_CHECKING:
    from .ledger import Traffic
    from .prices import Prices

USED: Final = Decimal("0.7")
"""How much of what is provisioned is used at the peak: what AWS's auto scaling aims at by default.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/AutoScaling.html
"""
_BETTER: Final = Decimal("0.9")
"""A mode is recommended instead of the present one when it saves at least a tenth: else the change is not worth it."""


class Mode(Struct, frozen=True, kw_only=True):
    """The requests of one table for a month in both modes: ``on_demand`` and ``provisioned`` dollars, None without a price.

    Provisioned is what the busiest minute needs, used to 70 %, held all the month: without auto scaling, and without
    reserved capacity. ``current`` is the mode of the table, None where it does not tell. ``recommended`` is None until a whole
    day has been measured: ``why`` says it.

    Example: ``db.estimate_monthly_cost().modes["payments"].recommended``
    """

    on_demand: Decimal | None
    provisioned: Decimal | None
    current: Literal["on_demand", "provisioned"] | None
    recommended: Literal["on_demand", "provisioned"] | None
    read_capacity: int
    write_capacity: int
    why: str


def mode_of(traffic: Traffic | None, units: tuple[float, float], found: Any, prices: Prices, window: timedelta) -> Mode:
    """The comparison for one table with its indexes."""
    infrequent = found is not None and found.table_class != "STANDARD"
    seconds = Decimal(repr(max(1.0, window.total_seconds())))
    most = (0.0, 0.0) if traffic is None else traffic.most
    capacity = [max(1, ceil(Decimal(peak) / 60 / USED)) for peak in most]
    on_demand = _sum(prices, "{}", [Decimal(of) * HOURS * 3600 / seconds for of in units], infrequent=infrequent)
    provisioned = _sum(prices, "provisioned_{}", [Decimal(of * HOURS) for of in capacity], infrequent=infrequent)
    current: Any = None if found is None else "provisioned" if found.billing_mode == "PROVISIONED" else "on_demand"
    recommended, why = _recommended(on_demand, provisioned, current, window)
    return Mode(
        on_demand=on_demand,
        provisioned=provisioned,
        current=current,
        recommended=recommended,
        read_capacity=capacity[0],
        write_capacity=capacity[1],
        why=why,
    )


def _sum(prices: Prices, form: str, units: list[Decimal], *, infrequent: bool) -> Decimal | None:
    each = [prices.of(form.format(kind), infrequent=infrequent) for kind in ("read", "write")]
    total = Decimal(0)
    for count, price in zip(units, each, strict=True):
        if price is None:
            return None
        total += count * price
    return total.quantize(Decimal("0.0001"))


def _recommended(
    on_demand: Decimal | None, provisioned: Decimal | None, current: Any, window: timedelta
) -> tuple[Any, str]:
    if on_demand is None or provisioned is None:
        return None, "a price of this Region is not known: python -m dynamorm.plugins.cost refresh"
    if window < MUCH:
        return None, "a day has hours that are busier than others: ask again when 24 hours have been measured"
    cheaper: Any = "provisioned" if provisioned < on_demand else "on_demand"
    low, high = sorted((on_demand, provisioned))
    if current is not None and current != cheaper and low > high * _BETTER:
        return current, f"the other mode would save less than a tenth ({low:.2f} to {high:.2f} dollars a month)"
    words = {"provisioned": "provisioned", "on_demand": "on-demand"}
    return cheaper, f"{words[cheaper]} costs {low:.2f} dollars a month, the other mode {high:.2f}"
