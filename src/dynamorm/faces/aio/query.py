# Generated from ../blocking/query.py by scripts/async_face.py: change that one.
"""`AsyncQuery`, the query of the asyncio face: the builder with the ends of a query."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, overload

from dynamorm.ops.queries import query

from .. import aio  # its modules are loaded with their first use
from ..builder import MAX_GROUPS, Builder
from ..face import wrong_block

if TYPE_CHECKING:
    from decimal import Decimal

    from dynamorm.features.collect import Buckets
    from dynamorm.models.expressions.path import Holds
    from dynamorm.ops.calls.explain import Explain
    from dynamorm.ops.queries.pages import Page

    from .groups import AsyncGroups

M = TypeVar("M")
N = TypeVar("N", int, "Decimal")
V = TypeVar("V")
K = TypeVar("K")


class AsyncQuery(Builder[M]):
    """A query of the asyncio face. End it with `all`, `first`, `page`, ..., or an async for loop, which holds one page at a time.

    Example: ``async for payment in db.model(Payment).where(Payment.merchant == "m1"): ...``
    """

    __slots__ = ()

    is_async: ClassVar[bool] = True

    async def all(self) -> list[M]:
        """Every item that matches, up to the limit, read page by page.

        Raises: ValidationError, before anything is sent, when no table or index answers the query and no scan is allowed.

        Example: ``await db.model(Payment).where(Payment.merchant == "m1").all()``
        """
        return await self._run(self._session.verbs.query.everything(self._session, self._request))

    async def first(self) -> M | None:
        """The first item that matches, or None.

        Example: ``await db.model(Payment).where(Payment.merchant == "m1").first()``
        """
        return await self._run(self._session.verbs.terminals.first(self._session, self._request))

    async def one(self) -> M:
        """The only item that matches.

        Raises: NotFound when there is none; MultipleFound when there are more.

        Example: ``await db.model(Payment).where(Payment.key == "k1").one()``
        """
        return await self._run(self._session.verbs.terminals.one(self._session, self._request))

    async def count(self) -> int:
        """How many items match, up to the limit. They are read (and paid for), but not fetched.

        Example: ``await db.model(Payment).where("status", "=", "completed").count()``
        """
        return await self._run(self._session.verbs.terminals.count(self._session, self._request))

    async def exists(self) -> bool:
        """Whether any item matches. Nothing is fetched, and no more is read than it takes to find one.

        Example: ``await db.model(Payment).where(Payment.merchant == "m1").exists()``
        """
        return await self._run(self._session.verbs.terminals.exists(self._session, self._request))

    async def page(self) -> Page[M]:
        """One page of items, with the cursor to go on behind it.

        It holds as many matching items as ``limit`` or ``page_size`` say (without either, what one answer brings), fewer
        only at the end, or when finding them takes longer than ``operation_timeout``.

        Example: ``page = await db.model(Payment).where(Payment.merchant == "m1").limit(20).page()``
        """
        return await self._run(self._session.verbs.terminals.page(self._session, self._request))

    async def pages(self) -> AsyncIterator[Page[M]]:
        """The pages, one after the other; a page may be empty.

        Example: ``async for page in db.model(Payment).where(Payment.merchant == "m1").pages(): ...``
        """
        reader = self._session.verbs.query.page_reader_of(self._request, fill=self._request.page_size is not None)
        while not reader.done:
            yield await self._run(reader.page(self._session))

    @overload
    async def sum(self, field: Holds[N | None]) -> N: ...  # type: ignore[overload-overlap] # an int passes for a float
    @overload
    async def sum(self, field: Holds[float | None]) -> Decimal: ...
    @overload
    async def sum(self, field: str) -> int | Decimal: ...
    async def sum(self, field: Any) -> Any:
        """The sum of a number over all items that match: exact, an int or a Decimal; 0 of nothing.

        Example: ``await db.model(Payment).where(Payment.merchant == "m1").sum(Payment.amount)``
        """
        return await self._run(self._session.verbs.aggregate.total(self._session, self._request, field))

    async def average(
        self, field: str | Holds[int | None] | Holds[Decimal | None] | Holds[float | None]
    ) -> Decimal | None:
        """The mean of a number as a Decimal, None of nothing. Items whose value is None do not count.

        Example: ``await db.model(Payment).where(Payment.merchant == "m1").average("amount")``
        """
        return await self._run(self._session.verbs.aggregate.average(self._session, self._request, field))

    @overload
    async def min(self, field: Holds[V | None]) -> V | None: ...
    @overload
    async def min(self, field: str) -> Any: ...
    async def min(self, field: Any) -> Any:
        """The smallest value of an attribute, None of nothing.

        Example: ``await db.model(Payment).where(Payment.merchant == "m1").min(Payment.amount)``
        """
        return await self._run(self._session.verbs.aggregate.least(self._session, self._request, field))

    @overload
    async def max(self, field: Holds[V | None]) -> V | None: ...
    @overload
    async def max(self, field: str) -> Any: ...
    async def max(self, field: Any) -> Any:
        """The largest value of an attribute, None of nothing.

        Example: ``await db.model(Payment).where(Payment.merchant == "m1").max(Payment.amount)``
        """
        return await self._run(self._session.verbs.aggregate.greatest(self._session, self._request, field))

    def select_as(self, view: type[V], /) -> AsyncQuery[V]:
        """Fetch only the attributes that a class names, as objects of this class: a dataclass, TypedDict, NamedTuple, a model ...

        Its types must be those of the model. What is fetched is that of `select`; conditions may be added as before.

        Raises: ValidationError for a name that the model does not have, or another type.

        Example: ``await db.model(Payment).where(Payment.merchant == "m1").select_as(Line).all()``
        """
        return AsyncQuery(self._session, self._run, self._request.model, self._seen_as(view))

    @overload
    def group_by(self, field: Holds[K], *, most: int = ...) -> AsyncGroups[K]: ...
    @overload
    def group_by(self, field: str, *, most: int = ...) -> AsyncGroups[Any]: ...
    def group_by(self, field: Any, *, most: int = MAX_GROUPS) -> AsyncGroups[Any]:
        """Aggregate by the values of an attribute: a dict of each value's ``count()``, ``sum(...)``, ``average``, ``min``, ``max``.

        Only the groups are in memory, ``most`` of them at most.

        Example: ``await db.model(Payment).where(Payment.merchant == "m1").group_by(Payment.status).sum(Payment.amount)``
        """
        return aio.groups.AsyncGroups(self._session, self._run, self._request, field, most=most)

    async def delete_all(self, *, confirm: bool = False, progress: Callable[[int], Any] | None = None) -> int:
        """Delete every item that matches, page by page, and return how many; ``confirm=True`` must be given.

        ``progress`` is called after each page with the number of items deleted so far.

        Raises: ValidationError without ``confirm``.

        Example: ``await db.model(Event).where(Event.stream == "s1").delete_all(confirm=True)``
        """
        return await self._run(
            self._session.verbs.delete_all.delete_all(self._session, self._request, confirm=confirm, progress=progress)
        )

    async def collect(self, *models: type[Any]) -> Buckets:
        """Read items of several models that share the table by one query, into a bucket for each model.

        The models are subclasses of the one that is queried; or of its family, when conditions are on the key alone: the whole
        partition, or the part of it whose sort keys begin with the parts that are given.
        ``buckets[Order]`` is the list of orders, ``buckets.other`` what is of no model named here.

        Raises: ValidationError for a model that does not share the items.

        Example: ``(await db.model(Entity).where(Entity.pk == "CUSTOMER#c1").collect(Customer, Order))[Order]``
        """
        return await self._run(self._session.verbs.collect.collect(self._session, self._request, models))

    async def explain(self, *, values: bool = False) -> Explain:
        """What the query would send for its first page, and why it goes where it goes. Nothing is sent.

        Values are shown as ``"?"`` unless ``values``.

        Example: ``print(await db.model(Payment).where(Payment.merchant == "m1").explain())``
        """
        reader = query.page_reader_of(self._request)
        reader.one_page = True
        return await self._run(self._session.verbs.explain.explained(self._session, reader.page, values=values))

    if not TYPE_CHECKING:
        __iter__ = wrong_block("AsyncQuery")
        __await__ = wrong_block("awaited query")

    async def __aiter__(self) -> AsyncIterator[M]:
        reader = self._session.verbs.query.page_reader_of(self._request)
        while not reader.done:
            for item in await self._run(reader.next(self._session)):
                yield item
