"""The names of generations, and what a read depends on or a write replaces. It must not know requests.

A generation is named by a tuple: ``EVERYTHING``; a table (``table``: something in it may have changed that nobody can name;
``any``: it was written at all, for scans; ``indexes``: what all its indexes show, also those that a process does not know of);
a partition of a table; an index as a whole; and a partition of an index.
"""

from __future__ import annotations

from typing import Final, TypeAlias

from msgspec import Struct

Generation: TypeAlias = "tuple[str, ...]"

EVERYTHING: Final[Generation] = ("epoch",)
"""The generation that all answers depend on."""


class Reading(Struct):
    """What an answer depends on. ``lags``: it cannot be read consistently, for it is of a global index."""

    generations: tuple[Generation, ...]
    lags: bool = False


class Writing(Struct):
    """What a write replaces. ``bound``: a copy of it that comes late is refused, or applied only once, by the service."""

    generations: tuple[Generation, ...]
    bound: bool = False
