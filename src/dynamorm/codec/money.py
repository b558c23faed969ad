"""Which field names say that a number is money, so that it is guarded as money."""

from __future__ import annotations

import re
from typing import Final

MONEY: Final = frozenset(
    [
        "amount",
        "price",
        "fee",
        "balance",
        "total",
        "subtotal",
        "cost",
        "tax",
        "vat",
        "refund",
        "charge",
        "payout",
        "deposit",
        "discount",
        "salary",
        "revenue",
        "money",
    ]
)
_WORDS: Final = r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])"


def says_money(name: str) -> bool:
    """Whether one of the words of a field's name is a word for money, also in the plural.

    Example: ``says_money("refund_total")`` is true, ``says_money("totally")`` is not.
    """
    words = [word.lower() for word in re.findall(_WORDS, name)]
    return not MONEY.isdisjoint(
        [*words, *(word.removesuffix("s") for word in words), *(word.removesuffix("es") for word in words)]
    )
