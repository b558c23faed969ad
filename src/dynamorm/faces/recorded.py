"""`Recorded`, a block of writes that are kept until the operation it belongs to is committed. Both faces have it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from .operations import Operations

if TYPE_CHECKING:
    from types import TracebackType

    from dynamorm.ops.verbs.open_transaction import OpenTransaction

    from ..session import Session


class Recorded(Operations):
    """Writes that are applied together with the record of an idempotent operation. Made by ``op.transaction()``.

    The end of the block sends nothing: all such blocks of an operation are one transaction, at its end. An error that
    leaves the block lets go of the block's writes. ``with`` and ``async with`` are the same here.

    Example::

        with op.transaction() as tx:
            tx.create(Payment(id="p1", amount=500))
    """

    __slots__ = ("is_kept",)

    def __init__(self, session: Session) -> None:
        super().__init__(session, _nobody, None)
        self.is_kept: bool = False

    @property
    def draft(self) -> OpenTransaction:
        """The writes."""
        return self._draft

    def __enter__(self) -> Self:
        self._draft.begin()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._draft.drop()
        self.is_kept = kind is None
        if kind is not None:
            self._refuse_awaited(error, traceback)

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, traceback)


def _nobody(_: Any) -> None:
    """A block of its own runs nothing."""
