"""What every adapter is: one method per piece of work, which makes whatever can be made beforehand and returns the call
to be measured. It imports nothing, since import time is measured too."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Operation = Callable[[], Any]


class Unsupported(Exception):
    """The library cannot do this, or this version of it cannot do it yet."""


class Library:
    """A library connected to the canned server.

    ``face`` is ``sync`` or ``async``: with the latter an operation returns an awaitable. ``flavour`` says how it stores
    a time (see `benchmarks.payload`), and begins the names of its tables.
    """

    face = "sync"
    flavour = "iso"
    concurrent = True
    """Whether threads or tasks may share it."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint

    async def start(self) -> None:
        """Connect what can only be connected inside an event loop."""

    async def stop(self) -> None:
        """Close what `start` opened."""

    def close(self) -> None:
        """Close what a blocking library has opened."""

    def get(self) -> Operation:
        """Read one payment."""
        raise Unsupported

    def put(self) -> Operation:
        """Write one payment, replacing what is there."""
        raise Unsupported

    def update(self) -> Operation:
        """Set two attributes if the version is the one that was read, and get the new item back."""
        raise Unsupported

    def query(self, count: int) -> Operation:  # noqa: ARG002 - what the others take
        """Read all ``count`` payments of one merchant."""
        raise Unsupported

    def batch_get(self) -> Operation:
        """Read 100 payments by their keys."""
        raise Unsupported

    def batch_write(self) -> Operation:
        """Write 100 payments in batches of 25."""
        raise Unsupported

    def transaction(self) -> Operation:
        """Write 10 payments in one transaction."""
        raise Unsupported

    def protected_get(self) -> Operation:
        """Read one payment of a tenant that has an encrypted attribute, with metrics for Prometheus."""
        raise Unsupported

    def wide_get(self) -> Operation:
        """Read an item of 60 attributes."""
        raise Unsupported

    def wide_put(self) -> Operation:
        """Write an item of 60 attributes."""
        raise Unsupported

    def blob_get(self, size: int) -> Operation:  # noqa: ARG002 - likewise
        """Read an item of ``size`` bytes."""
        raise Unsupported

    def blob_put(self, size: int) -> Operation:  # noqa: ARG002 - likewise
        """Write an item of ``size`` bytes."""
        raise Unsupported

    def scan(self) -> Operation:
        """Read a whole table, its 4 segments side by side where the library can, and return how many items came."""
        raise Unsupported

    def read(self, number: int) -> Operation:  # noqa: ARG002 - what the others take
        """The amount of payment ``number``."""
        raise Unsupported

    def add(self, number: int) -> Operation:  # noqa: ARG002 - likewise
        """Add 1 to the amount of payment ``number``, whatever it is."""
        raise Unsupported

    def create(self, number: int) -> Operation:  # noqa: ARG002 - likewise
        """Store payment ``number`` unless there is one."""
        raise Unsupported


class Threaded(Library):
    """A blocking library whose users start the threads of a parallel scan themselves."""

    def together(self, segment: Callable[[int], int], segments: range) -> Operation:
        """Every segment in a thread of its own; the sum of what they return."""
        from concurrent.futures import ThreadPoolExecutor

        def run() -> int:
            with ThreadPoolExecutor(len(segments)) as pool:
                return sum(pool.map(segment, segments))

        return run
