"""What a database costs: units as the service reports them, an estimate of the month in dollars, and alerts.

The questions are methods of the database: `DB.costs`, `DB.estimate_monthly_cost`, `DB.set_cost_alert`. Prices are those of
AWS's price list, with a date and a source for each Region; ``python -m dynamorm.plugins.cost refresh`` brings them up to date.
"""

from __future__ import annotations

from .alerts import CostAlert
from .estimate import CostEstimate
from .modes import Mode
from .plugin import CostPlugin
from .prices import Prices, price, prices_of
from .report import CostReport, Units

__all__ = [
    "CostAlert",
    "CostEstimate",
    "CostPlugin",
    "CostReport",
    "Mode",
    "Prices",
    "Units",
    "price",
    "prices_of",
]
