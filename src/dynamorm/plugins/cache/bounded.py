"""What can be made anew at any time, kept within so many entries and bytes, and what the parts of a cache take of memory.

Bytes are estimates for CPython on 64 bits, held against `tracemalloc` by the tests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

TEXT: Final = 45
"""A string or bytes, without what is in it."""
GROUP: Final = 56
"""A tuple, without its members."""
SLOT: Final = 60
"""One more entry of a dict, on the average of its growth."""


def names_cost(names: Iterable[tuple[str, ...]]) -> int:
    """Bytes that the names of generations take."""
    return sum(GROUP + 8 * len(name) + TEXT + len(name[-1]) for name in names)


def identity_cost(identity: tuple[Any, ...]) -> int:
    """Bytes that what is asked takes: its request, and the scope of its view."""
    _, body, _, scope = identity
    cost = GROUP + 4 * 8 + TEXT + len(body)
    for pair in scope:
        cost += GROUP + sum(TEXT + len(text) for text in pair)
    return cost


class Bounded(dict[Any, Any]):
    """A dict that is emptied when it is full. What is larger than a part of it is not kept."""

    def __init__(self, most: int, most_bytes: int) -> None:
        super().__init__()
        self.size: int = 0
        self._most = most
        self._most_bytes = most_bytes

    def put(self, key: Any, value: Any, cost: int) -> Any:
        """Keep something that takes so many bytes. It is given back."""
        cost += SLOT
        if cost > self._most_bytes // 16:
            return value
        if len(self) >= self._most or self.size + cost > self._most_bytes:
            self.clear()
        self[key] = value
        self.size += cost
        return value

    def clear(self) -> None:
        """Forget all."""
        super().clear()
        self.size = 0
