"""The query builder: immutable, every call returns a new one. The blocking face's ends are here too."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Generic, Literal, Self, TypeVar

from msgspec.structs import replace

from .errors import ValidationError
from .ops import query
from .ops.query import Request
from .schema import Index

if TYPE_CHECKING:
    from .expression import Condition, Path
    from .session import Session

M = TypeVar("M")


class Builder(Generic[M]):
    """What `Query` and `AsyncQuery` share: gathering the request."""

    __slots__ = ("_request", "_run", "_session")

    def __init__(
        self, session: Session, run: Callable[[Any], Any], model: type[M], request: Request | None = None
    ) -> None:
        self._session = session
        self._run = run
        self._request = Request(model) if request is None else request

    def where(self, *conditions: Condition) -> Self:
        """Add key conditions: ``==`` on the partition key, and at most a range on the sort key. Their order is free.

        Example: ``db.model(Order).where(Order.customer == "c1", Order.number > 100)``
        """
        return self._with(conditions=(*self._request.conditions, *conditions))

    def index(self, index: str | Index) -> Self:
        """Read through this index, given by name or as declared. Without it the table goes before its indexes.

        Example: ``db.model(Payment).index(Payment.by_status).where(Payment.status == "held")``
        """
        return self._with(index=index.name if isinstance(index, Index) else index)

    def order_by(self, field: str | Path[Any], direction: Literal["asc", "desc"] = "asc") -> Self:
        """Set the direction of the sort key; ``field`` must be the sort key of what is read.

        Example: ``.order_by("created_at", "desc")``
        """
        if direction not in ("asc", "desc"):
            raise ValidationError(f"a direction is 'asc' or 'desc', not {direction!r}", field="direction")
        name = field if isinstance(field, str) else field.name
        return self._with(order=name, descending=direction == "desc")

    def limit(self, count: int) -> Self:
        """Return at most ``count`` items in all (1 or more).

        Example: ``db.model(Payment).where(Payment.id == "p1").limit(20)``
        """
        return self._with(limit=_positive("limit", count))

    def page_size(self, count: int) -> Self:
        """Read ``count`` items with each request (1 or more). A page also ends at 1 MB, DynamoDB's own limit.

        Example: ``.page_size(100)``
        """
        return self._with(page_size=_positive("page_size", count))

    def consistent(self) -> Self:
        """Read the latest state, at twice the cost. Not possible on a global index.

        Example: ``db.model(Order).where(Order.customer == "c1").consistent()``
        """
        return self._with(consistent=True)

    def _with(self, **changes: Any) -> Self:
        return type(self)(self._session, self._run, self._request.model, replace(self._request, **changes))

    def __repr__(self) -> str:
        request = self._request
        return f"<{type(self).__name__} {request.model.__name__}: {len(request.conditions)} conditions>"


class Query(Builder[M]):
    """A query of the blocking face. End it with `all`, `first`, `pages`, or a for loop, which holds one page at a time.

    Example: ``for payment in db.model(Payment).where(Payment.merchant == "m1"): ...``
    """

    __slots__ = ()

    def all(self) -> list[M]:
        """Every item that matches, up to the limit, read page by page.

        Example: ``db.model(Payment).where(Payment.merchant == "m1").all()``
        """
        return self._run(query.everything(self._session, self._request))

    def first(self) -> M | None:
        """The first item that matches, or None.

        Example: ``db.model(Payment).where(Payment.merchant == "m1").first()``
        """
        return self._run(query.first(self._session, self._request))

    def pages(self) -> Iterator[list[M]]:
        """The pages, as lists; a page may be empty.

        Example: ``for page in db.model(Payment).where(Payment.merchant == "m1").pages(): ...``
        """
        turn = query.Turn(self._request)
        while not turn.done:
            yield self._run(turn.next(self._session))

    def __iter__(self) -> Iterator[M]:
        for page in self.pages():
            yield from page


def _positive(name: str, count: Any) -> int:
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise ValidationError(f"{name} is a whole number of 1 or more", field=name)
    return count
