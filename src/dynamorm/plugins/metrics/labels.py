"""What a series is called: no program can make so many of them that they fill the memory of whoever keeps them."""

from __future__ import annotations

from itertools import count
from typing import Any, Final, TypeAlias

MOST_SERIES: Final = 2000
"""Series of one kind that are kept. Each model and table has some; names without end are a mistake of the program."""

RESERVED: Final = 400
"""Of these, kept for `OTHER`: of each verb and outcome there may be one, and of each operation and class."""

OTHER: Final = "other"
"""The model or table of what is counted beyond that."""


Counter: TypeAlias = "count[int]"
"""Counts by ``next``, which no other thread interrupts: so counting takes no lock."""

Counts: TypeAlias = "dict[tuple[str, str, str], Counter]"
"""Of requests: by operation, table and class."""


def counted(counter: Counter) -> int:
    """How often it has counted, without counting."""
    return int(repr(counter)[6:-1])  # "count(7)": to copy it is not allowed on all versions of Python


def name_of(model: type[Any] | None) -> str:
    """A model's name as a label; empty where a verb is about several."""
    return "" if model is None else model.__name__
