"""Money and payments: exact amounts, payments with their states, a ledger, an outbox. Loaded with their first use.

It stands beside the core, as plugins do, and uses public names alone.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import currencies as currencies
    from .money import Money as Money
    from .money_fields import two_attributes as two_attributes

_HOMES = {
    "Money": "money",
    "currencies": "",
    "two_attributes": "money_fields",
}

__all__ = [
    "Money",
    "currencies",
    "two_attributes",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = import_module(f".{home or name}", __name__)
    value = globals()[name] = getattr(found, name) if home else found
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
