"""Whether the wall clock of this process stands still, as tests let it. It must not know who stops it."""

from __future__ import annotations

from typing import Final


class Stopped:
    """Counts who has stopped the clock: while there is anybody, expired items leave with the next request."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count: int = 0


STOPPED: Final = Stopped()
