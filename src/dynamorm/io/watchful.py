"""The blocking driver of a development machine: it warns once when it blocks an event loop."""

from __future__ import annotations

import sys
import warnings
from typing import TypeVar

from dynamorm.effects import Flow
from dynamorm.models.schema.overriding import override

from .blocking import Blocking

T = TypeVar("T")


class Watchful(Blocking):
    """A `Blocking` that warns with its first call inside a running event loop, which runs nothing else meanwhile.

    A notebook runs its cells inside a loop of its own, where nothing else waits: there it says nothing.
    """

    told: bool = False

    @override
    def run(self, flow: Flow[T]) -> T:
        if not self.told and _in_a_loop():
            self.told = True
            warnings.warn(
                "a DB was called inside a running event loop, which stands still until the answer is there: use AsyncDB,"
                " or asyncio.to_thread(...)",
                stacklevel=3,
            )
        return super().run(flow)


def _in_a_loop() -> bool:
    """Whether this thread runs an event loop. asyncio is never loaded for it."""
    asyncio = sys.modules.get("asyncio")
    return asyncio is not None and asyncio._get_running_loop() is not None and "ipykernel" not in sys.modules  # noqa: SLF001 - the one that does not raise
