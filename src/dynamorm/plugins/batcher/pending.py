"""What waits in the queue of a batcher: an item, and who has added it. It must not know when it is sent."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from math import inf
from typing import Any, Protocol

from dynamorm.errors import DynamORMError, OutcomeUnknown
from dynamorm.errors.log import logger


class Item(Protocol):
    """An item as the database gives it: encoded, and told its end by ``on_end``.

    ``address`` names its place, ``size`` is bytes, ``verb`` is not empty for one that is sent alone. ``error`` is None once
    it is written. ``doubt``: a copy of its request may come late.
    """

    item: Any
    kind: str
    address: Any
    verb: str
    error: DynamORMError | None
    state: str
    result: Any
    doubt: bool
    follows: Any
    variables: Any
    on_end: Callable[[Any], None] | None
    sent: bool

    @property
    def model(self) -> type[Any]:
        """The class it is of."""
        ...

    @property
    def size(self) -> int:
        """Bytes that it adds to a request."""
        ...

    def end(self, error: DynamORMError) -> None:
        """It was not written, or nobody knows."""
        ...


class Part:
    """What one call of ``add`` or ``delete`` has added. ``seq`` is its number in the spool."""

    __slots__ = ("future", "given", "item", "number", "seq")

    def __init__(self, number: int, item: Item, given: Any, future: Any, seq: int) -> None:
        self.number: int = number
        self.item: Item | None = (
            item if seq else None
        )  # that of a joined one stands again where the spool refuses the later
        self.given: Any = given
        self.future: Any = future
        self.seq: int = seq


class Pending:
    """One write that is to be sent, with the parts whose outcome it is: several where puts were joined.

    ``replaced`` are the numbers of items that the spool has kept before, and that need no writing when this one is written.
    """

    __slots__ = ("deadline", "due", "is_over", "is_sent", "item", "parts", "replaced")

    def __init__(self, item: Item, part: Part, due: float, deadline: float) -> None:
        self.item: Item = item
        self.parts: list[Part] = [part]
        self.due: float = due
        self.deadline: float = deadline
        self.is_sent: bool = False
        self.is_over: bool = False
        self.replaced: list[int] = []

    def resolve(self) -> None:
        """Tell the futures. Not to be called where a lock is held: what hangs on a future runs here."""
        error, result = self.item.error, self.item.result
        for part in self.parts:
            if part.future is None or part.future.done():
                continue  # an asyncio future may have been cancelled with the task that waited for it
            try:
                if error is None:
                    part.future.set_result(result)
                else:
                    part.future.set_exception(error)
                    part.future.exception()  # it is in the result of the batcher too: nothing that nobody has seen
            except BaseException:  # raised by a callback of one caller: it says nothing of another one's item
                logger.exception("a callback of a batcher's future failed")

    def abandon(self) -> None:
        """End the futures in a child process, where nobody else would. What hangs on them runs in the parent."""
        for part in self.parts:
            future = part.future
            if isinstance(future, Future):
                future.__init__()  # type: ignore[misc] # its lock may be held by a thread that is not here; anew, it is not
            elif future is None or future.done():
                continue
            with suppress(RuntimeError):  # its loop is closed
                future.set_exception(
                    OutcomeUnknown(
                        "this future belongs to a batcher of the parent of this process, which alone is told what becomes of the"
                        " item: ask for it there"
                    )
                )
                future.exception()  # as above


def may_join(last: Pending, item: Item, *, bounded: bool) -> bool:
    """Whether an item takes the place of the last one in its line, which was not sent, so that nobody could have seen it.

    What has a deadline (``bounded``: the item) waits for itself: its end is not that of who added before it.
    """
    return not (bounded or last.deadline < inf or last.is_sent) and stands_for(item, last.item)


def stands_for(item: Item, before: Item) -> bool:
    """Whether nothing is lost when an item is written and the one before is not: both are puts of one model without guards."""
    return item.kind == before.kind == "Put" and not (item.verb or before.verb) and item.model is before.model
