# Generated from ../blocking/groups.py by scripts/async_face.py: change that one.
"""`AsyncGroups`, the aggregates of a query by the values of an attribute. Each end is one pass over all that matches."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from dynamorm.arguments import check_count

if TYPE_CHECKING:
    from decimal import Decimal

    from dynamorm.models.expressions.path import Holds
    from dynamorm.ops.queries.request import Request

    from ...session import Session

K = TypeVar("K")
N = TypeVar("N", int, "Decimal")
V = TypeVar("V")


class AsyncGroups(Generic[K]):
    """The groups of a query: items with one value of an attribute are one group. Those without a value are the group None.

    The order of the groups is that in which they were met. None does not count in an aggregate.

    Raises (by each end): ValidationError for an attribute that makes no groups (before anything is sent), and for more groups
    than ``most``.

    Example: ``await db.model(Payment).where(Payment.merchant == "m1").group_by(Payment.status).count()``
    """

    __slots__ = ("_field", "_most", "_request", "_run", "_session")

    def __init__(self, session: Session, run: Callable[[Any], Any], request: Request, field: Any, *, most: int) -> None:
        self._session = session
        self._run = run
        self._request = request
        self._field = field
        self._most = check_count("most", most)

    async def count(self) -> dict[K, int]:
        """How many items there are in each group. They are read: the service counts no groups.

        Example: ``await db.model(Payment).allow_scan().group_by(Payment.status).count()``
        """
        grouped = self._session.verbs.aggregate.grouped
        return await self._run(grouped(self._session, self._request, self._field, "count", None, self._most))

    @overload
    async def sum(self, field: Holds[N | None]) -> dict[K, N]: ...  # type: ignore[overload-overlap] # an int passes for a float
    @overload
    async def sum(self, field: Holds[float | None]) -> dict[K, Decimal]: ...
    @overload
    async def sum(self, field: str) -> dict[K, int | Decimal]: ...
    async def sum(self, field: Any) -> Any:
        """The sum of a number in each group, exact; 0 where none has a value.

        Example: ``await db.model(Payment).allow_scan().group_by(Payment.status).sum(Payment.amount)``
        """
        grouped = self._session.verbs.aggregate.grouped
        return await self._run(grouped(self._session, self._request, self._field, "sum", field, self._most))

    async def average(
        self, field: str | Holds[int | None] | Holds[Decimal | None] | Holds[float | None]
    ) -> dict[K, Decimal | None]:
        """The mean of a number in each group as a Decimal, None where none has a value.

        Example: ``await db.model(Payment).allow_scan().group_by(Payment.status).average(Payment.amount)``
        """
        grouped = self._session.verbs.aggregate.grouped
        return await self._run(grouped(self._session, self._request, self._field, "average", field, self._most))

    @overload
    async def min(self, field: Holds[V | None]) -> dict[K, V | None]: ...
    @overload
    async def min(self, field: str) -> dict[K, Any]: ...
    async def min(self, field: Any) -> Any:
        """The smallest value of an attribute in each group, None where none has a value.

        Example: ``await db.model(Payment).allow_scan().group_by(Payment.status).min(Payment.created_at)``
        """
        grouped = self._session.verbs.aggregate.grouped
        return await self._run(grouped(self._session, self._request, self._field, "min", field, self._most))

    @overload
    async def max(self, field: Holds[V | None]) -> dict[K, V | None]: ...
    @overload
    async def max(self, field: str) -> dict[K, Any]: ...
    async def max(self, field: Any) -> Any:
        """The largest value of an attribute in each group, None where none has a value.

        Example: ``await db.model(Payment).allow_scan().group_by(Payment.status).max(Payment.created_at)``
        """
        grouped = self._session.verbs.aggregate.grouped
        return await self._run(grouped(self._session, self._request, self._field, "max", field, self._most))
