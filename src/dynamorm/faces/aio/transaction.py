"""`AsyncTransaction`, the block of the asyncio face whose writes are applied together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from ...errors import InvalidUse
from ..face import wrong_block
from ..operations import Operations

if TYPE_CHECKING:
    from types import TracebackType


class AsyncTransaction(Operations):
    """Writes that are applied together or not at all. Made by `AsyncDB.transaction`.

    Only the end of the block waits for the database: the operations are gathered without ``await``.

    Example::

        async with db.transaction() as tx:
            tx.update(Account, "a1", Account.balance.add(-5), condition=Account.balance >= 5)
            tx.update(Account, "a2", Account.balance.add(5))
    """

    __slots__ = ()

    async def __aenter__(self) -> Self:
        self._draft.begin()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None:
            await self._run(self._draft.commit())
        else:
            self._draft.drop()
            if kind is TypeError and traceback is not None and traceback.tb_next is None and _awaited_nothing(error):
                raise InvalidUse(
                    "an operation of a transaction is written down, not sent: call tx.create(...) and the others without"
                    " await; the end of the `async with` block sends them all"
                ) from error

    if not TYPE_CHECKING:
        __enter__ = __exit__ = wrong_block("this is the transaction of an AsyncDB: `async with db.transaction() as tx`")


def _awaited_nothing(error: BaseException | None) -> bool:
    """Whether the block awaited None, which is what the operations return."""
    return "NoneType" in str(error) and "await" in str(error)
