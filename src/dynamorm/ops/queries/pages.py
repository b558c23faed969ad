"""`Page`: some items of a query, and the text with which another program goes on after them.

It must not know requests; the cursor is sealed by a function it is given, when somebody asks for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Generic, TypeVar, overload

if TYPE_CHECKING:
    from dynamorm.errors import DynamORMError

M = TypeVar("M")


class Page(Sequence[M], Generic[M]):
    """One page of a query: a sequence of its ``items``, with the ``cursor`` to go on after them.

    ``cursor`` is None at the end, and nowhere else. It is sealed when it is first asked for: give it back to the same
    query with ``.cursor(text)``, here or in another process. ``misfits`` are the errors of stored items that do not fit
    the model, each with its ``key``, where the query said ``on_misfit("collect")``. ``capped``: the page ended because it
    had read as many items as ``read_at_most`` allows.

    Raises: ConfigError, when the cursor is asked for, in production without ``cursor_key``; also without the extra
    ``secure``.

    Example: ``page = db.model(Payment).where(Payment.merchant == "m1").limit(20).page()``, then ``page.cursor``
    """

    __slots__ = ("_cursor", "_previous", "capped", "items", "misfits")

    def __init__(
        self,
        items: list[M],
        cursor: str | Callable[[], str] | None = None,
        misfits: Sequence[DynamORMError] = (),
        previous: Callable[[], str] | None = None,
        *,
        capped: bool = False,
    ) -> None:
        self.items: list[M] = items
        self.capped: bool = capped
        self._cursor = cursor
        self._previous: str | Callable[[], str] | None = previous
        self.misfits: list[DynamORMError] = list(misfits)

    @property
    def cursor(self) -> str | None:
        """The text to go on with, None when this was the last page.

        Example: ``db.model(Payment).where(Payment.merchant == "m1").cursor(page.cursor).page()``
        """
        cursor = self._cursor
        if callable(cursor):
            self._cursor = cursor = cursor()
        return cursor

    @property
    def previous(self) -> str | None:
        """The text that leads to the page before this one, for ``.cursor(text).page()``; None where this page began at the start.

        That page ends right before the first item of this one, and holds up to as many items as its own query says.

        Raises: ValidationError for pages that have no way back: those of scans, of queries over shards, and with
        ``cursor_format("v0.1")``; ConfigError as `cursor`.

        Example: ``db.model(Payment).where(Payment.merchant == "m1").limit(20).cursor(page.previous).page()``
        """
        previous = self._previous
        if callable(previous):
            self._previous = previous = previous()
        return previous

    @property
    def has_more(self) -> bool:
        """Whether there may be items after this page: whether it has a `cursor`. None is sealed to find out.

        Example: ``if page.has_more: show_the_button()``
        """
        return self._cursor is not None

    @property
    def last(self) -> bool:
        """Whether there is nothing after this page; no cursor is sealed to find out.

        Example: ``while not page.last: ...``
        """
        return self._cursor is None

    @overload
    def __getitem__(self, index: int) -> M: ...
    @overload
    def __getitem__(self, index: slice) -> list[M]: ...
    def __getitem__(self, index: int | slice) -> M | list[M]:
        return self.items[index]

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[M]:
        return iter(self.items)

    def __repr__(self) -> str:
        return f"<Page of {len(self.items)}{', the last' if self.last else ''}>"
