"""What a field of a plugin needs is fetched before a read is made: its conditions, or the values that are looked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from dynamorm.effects import Flow
from dynamorm.models.schema.placed import NotReady
from dynamorm.ops.calls.in_time import in_time

T = TypeVar("T")

FETCHES: Final = 100
"""Things that the conditions of a request may wait for."""


def when_ready(make: Callable[[], T]) -> Flow[T]:
    """What a function gives, once what it waits for has been fetched. Raises: NotReady where that has no end."""
    waited = 0
    while True:
        try:
            return make()
        except NotReady as waiting:
            if (waited := waited + 1) > FETCHES:
                raise
            missing = waiting
        yield from in_time(missing.flow(), f"what a field needs ({missing.name})")
