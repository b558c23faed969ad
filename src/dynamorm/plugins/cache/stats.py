"""What the cache counts."""

from __future__ import annotations

from msgspec import Struct


class CacheStats(Struct, frozen=True):
    """What the cache did so far, in this process.

    ``hits`` and ``misses`` are of requests (a query has one for each page); ``shared`` were answered by the read of another
    flow; ``consistent`` fills were read consistently, at twice the units, and ``unsettled`` ones were not kept, because
    what they read had just been written; ``bypassed`` went past a Redis that failed; ``tampered`` answers had a wrong MAC.
    """

    hits: int = 0
    misses: int = 0
    shared: int = 0
    consistent: int = 0
    unsettled: int = 0
    bypassed: int = 0
    tampered: int = 0


class Counts:
    """The same, while it is counted."""

    __slots__ = ("bypassed", "consistent", "hits", "misses", "shared", "unsettled")

    def __init__(self) -> None:
        self.hits: int = 0
        self.misses: int = 0
        self.shared: int = 0
        self.consistent: int = 0
        self.unsettled: int = 0
        self.bypassed: int = 0

    def stats(self, tampered: int) -> CacheStats:
        """What was counted so far."""
        return CacheStats(**{name: getattr(self, name) for name in self.__slots__}, tampered=tampered)
