"""Makes the payments that ship with the demo: invented shops, plausible amounts, the same lines for the same seed.

``python -m examples.demo.make_payments > payments.jsonl`` writes the shipped file anew.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

COUNT = 2_000
SEED = 20_250_301

# Shop, currency, and the usual price range in major units.
_SHOPS = (
    ("Harbour Street Books", "GBP", 5, 60),
    ("North Quay Coffee", "GBP", 2, 18),
    ("Aalto Cycles", "EUR", 15, 2_400),
    ("Bakkerij De Molen", "EUR", 2, 35),
    ("Papeterie du Canal", "EUR", 3, 90),
    ("Kvarnholmen Garn", "SEK", 49, 1_900),
    ("Fjordlys Kajakk", "NOK", 199, 14_000),
    ("Blue Heron Outfitters", "USD", 12, 640),
    ("Juniper & Rye Kitchen", "USD", 6, 120),
    ("Prairie Vinyl", "CAD", 9, 75),
    ("Hoshizora Stationery", "JPY", 180, 22_000),
    ("Dune Line Perfumes", "KWD", 4, 95),
    ("Alpenglühen Optik", "CHF", 35, 1_150),
    ("Southern Cross Tea", "AUD", 7, 140),
)
_DIGITS = {"JPY": 0, "KWD": 3}  # ISO 4217: every other currency here has two
_METHODS = ("card", "card", "card", "transfer", "wallet")
_STATUSES = ("captured", "captured", "captured", "authorized", "pending")
_START = datetime(2025, 3, 1, 6, 0, tzinfo=UTC)


def make_payments(count: int = COUNT, seed: int = SEED) -> Iterator[dict[str, Any]]:
    """Yield ``count`` payments in order of time. ``amount`` is in minor units of the currency.

    Example: ``next(make_payments())["currency"]``
    """
    dice = random.Random(seed)
    when = _START
    for number in range(1, count + 1):
        shop, currency, low, high = dice.choice(_SHOPS)
        when += timedelta(seconds=dice.randrange(5, 900))
        # Most purchases are small: the square of an even draw gives a long, thin tail.
        major = low + (high - low) * dice.random() ** 2
        scale = 10 ** _DIGITS.get(currency, 2)
        yield {
            "id": f"pay_{number:04}{dice.getrandbits(32):08x}",
            "merchant": shop,
            "amount": round(major * scale),
            "currency": currency,
            "method": dice.choice(_METHODS),
            "status": dice.choice(_STATUSES),
            "placed_at": when.isoformat().replace("+00:00", "Z"),
        }


def digits_of(currency: str) -> int:
    """How many decimal digits a currency has (ISO 4217), of those used here.

    Example: ``digits_of("JPY") == 0``
    """
    return _DIGITS.get(currency, 2)


if __name__ == "__main__":
    sys.stdout.writelines(json.dumps(one, ensure_ascii=False) + "\n" for one in make_payments())
