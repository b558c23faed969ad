"""The query builder of the asyncio face: the ends of a query, awaitable. The builder itself is in `dynamorm.query`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TypeVar

from .ops import query
from .query import Builder

M = TypeVar("M")


class AsyncQuery(Builder[M]):
    """A query of the asyncio face. End it with `all`, `first`, `pages`, or an async for loop, which holds one page at a time.

    Example: ``async for payment in db.model(Payment).where(Payment.merchant == "m1"): ...``
    """

    __slots__ = ()

    async def all(self) -> list[M]:
        """Every item that matches, up to the limit, read page by page.

        Example: ``db.model(Payment).where(Payment.merchant == "m1").all()``
        """
        return await self._run(query.everything(self._session, self._request))

    async def first(self) -> M | None:
        """The first item that matches, or None.

        Example: ``db.model(Payment).where(Payment.merchant == "m1").first()``
        """
        return await self._run(query.first(self._session, self._request))

    async def pages(self) -> AsyncIterator[list[M]]:
        """The pages, as lists; a page may be empty.

        Example: ``for page in db.model(Payment).where(Payment.merchant == "m1").pages(): ...``
        """
        turn = query.Turn(self._request)
        while not turn.done:
            yield await self._run(turn.next(self._session))

    async def __aiter__(self) -> AsyncIterator[M]:
        async for page in self.pages():
            for item in page:
                yield item
