"""`Transaction`, the block of the blocking face whose writes are applied together."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Self

from ..face import wrong_block
from ..operations import Operations

if TYPE_CHECKING:
    from types import TracebackType


class Transaction(Operations):
    """Writes that are applied together or not at all. Made by `DB.transaction`.

    Only the end of the block waits for the database: the operations are gathered, on the asyncio face without ``await``.

    Example::

        with db.transaction() as tx:
            tx.update(Account, "a1", Account.balance.add(-5), condition=Account.balance >= 5)
            tx.update(Account, "a2", Account.balance.add(5))
    """

    __slots__ = ()

    is_async: ClassVar[bool] = False

    def __enter__(self) -> Self:
        self._draft.begin()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None:
            self._run(self._session.verbs.open_transaction.commit(self._session, self._draft))
        else:
            self._draft.drop()
            # async: self._refuse_awaited(error, traceback)

    if not TYPE_CHECKING:
        __aenter__ = __aexit__ = wrong_block("Transaction")
