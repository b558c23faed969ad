# Generated from ../blocking/transaction.py by scripts/async_face.py: change that one.
"""`AsyncTransaction`, the block of the asyncio face whose writes are applied together."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Self

from ..face import wrong_block
from ..operations import Operations

if TYPE_CHECKING:
    from types import TracebackType


class AsyncTransaction(Operations):
    """Writes that are applied together or not at all. Made by `AsyncDB.transaction`.

    Only the end of the block waits for the database: the operations are gathered, on the asyncio face without ``await``.

    Example::

        async with db.transaction() as tx:
            tx.update(Account, "a1", Account.balance.add(-5), condition=Account.balance >= 5)
            tx.update(Account, "a2", Account.balance.add(5))
    """

    __slots__ = ()

    is_async: ClassVar[bool] = True

    async def __aenter__(self) -> Self:
        self._draft.begin()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None:
            await self._run(self._session.verbs.open_transaction.commit(self._session, self._draft))
        else:
            self._draft.drop()
            self._refuse_awaited(error, traceback)

    if not TYPE_CHECKING:
        __enter__ = __exit__ = wrong_block("AsyncTransaction")
