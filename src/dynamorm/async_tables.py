"""`AsyncTables`, the part of the asyncio face that makes, checks and deletes tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .ops import tables

if TYPE_CHECKING:
    from collections.abc import Callable

    from dynamorm.session import Session

    from .ops.tables import TableDescription


class AsyncTables:
    """The tables of a database. Made by `AsyncDB.tables`."""

    __slots__ = ("_run", "_session")

    def __init__(self, session: Session, run: Callable[[Any], Any]) -> None:
        self._session = session
        self._run = run

    async def create(self, model: type[Any], /, *, timeout: float = tables.WAIT) -> TableDescription:
        """Create the model's table with its indexes (on demand billing) and wait until it is ready.

        Raises: ClientError with code ``ResourceInUseException`` when it exists; DeadlineExceeded after ``timeout`` seconds.

        Example: ``db.tables.create(Payment)``
        """
        return await self._run(tables.create(self._session, model, timeout))

    async def ensure(self, model: type[Any], /, *, timeout: float = tables.WAIT) -> TableDescription:
        """Create the model's table unless it is there; then check that its keys and indexes fit the model.

        Raises: ModelError when the live table does not fit, saying in what; DeadlineExceeded after ``timeout`` seconds.

        Example: ``db.tables.ensure(Payment)``
        """
        return await self._run(tables.ensure(self._session, model, timeout))

    async def describe(self, model: type[Any], /) -> TableDescription:
        """The live table: status, keys, indexes, billing.

        Raises: TableNotFound.

        Example: ``db.tables.describe(Payment).status``
        """
        return await self._run(tables.describe(self._session, model))

    async def delete(self, model: type[Any], /, *, timeout: float = tables.WAIT) -> None:
        """Delete the model's table with all its items, and wait until it is gone. Nothing happens when there is none.

        Example: ``db.tables.delete(Payment)``
        """
        return await self._run(tables.delete(self._session, model, timeout))
