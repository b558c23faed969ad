"""The query builder: immutable, every call returns a new one. The blocking face's ends are here too."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, NoReturn, Self, TypeVar, overload

from msgspec.structs import replace

from .errors import InvalidUse, ValidationError
from .expression_compile import check_paths
from .expression_tree import Location
from .face import wrong_block
from .ops import query
from .ops.request import Request
from .other_ways import BUILDER, teach
from .schema import Index

if TYPE_CHECKING:
    from decimal import Decimal

    from .expression import Condition, Holds, Path
    from .ops.collect import Buckets
    from .ops.explain import Explain
    from .ops.pages import Page
    from .session import Session

M = TypeVar("M")
N = TypeVar("N", int, "Decimal")
V = TypeVar("V")

MAX_COUNT: Final = 2**31 - 1
"""The largest count of DynamoDB's, which has 32 bits.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_Query.html
"""


class Builder(Generic[M]):
    """What `Query` and `AsyncQuery` share: gathering the request."""

    __slots__ = ("_request", "_run", "_session")

    def __init__(
        self, session: Session, run: Callable[[Any], Any], model: type[M], request: Request | None = None
    ) -> None:
        self._session = session
        self._run = run
        self._request = Request(model) if request is None else request

    @overload
    def where(self, *conditions: Condition) -> Self: ...
    @overload
    def where(self, field: str, operator: str, /, *values: Any) -> Self: ...
    def where(self, *conditions: Any, **named: Any) -> Self:
        """Add what must be true of the items: conditions, or a field's name, an operator and its values.

        Terms on the key of the table or of an index become the key condition, the others a filter; the order in which
        they are given is free. An item that a filter leaves out is read and paid for all the same.

        Operators as text, in any letter case: ``= == EQ``, ``!= <> NE``, ``< LT``, ``<= LE``, ``> GT``, ``>= GE``,
        ``BETWEEN``, ``IN``, ``NOT_IN``, ``BEGINS_WITH`` (``STARTS_WITH``), ``CONTAINS``, ``NOT_CONTAINS``, ``EXISTS``,
        ``NOT_EXISTS``, ``ATTRIBUTE_TYPE``, and ``SIZE =`` ... ``SIZE BETWEEN``.

        Raises: ValidationError for a name or an operator that does not exist (code ``ErrInvalidOperator``).

        Example: ``db.model(Order).where(Order.customer == "c1", Order.number > 100)``
        or ``db.model(Order).where("customer", "=", "c1").where("number", ">", 100)``
        """
        if named:
            raise self._named(named)
        if conditions and conditions[0].__class__ is str:
            conditions = self._textual(conditions)
        request = replace(self._request, conditions=(*self._request.conditions, *conditions))
        return type(self)(self._session, self._run, request.model, request)

    @overload
    def filter(self, *conditions: Condition) -> Self: ...
    @overload
    def filter(self, field: str, operator: str, /, *values: Any) -> Self: ...
    def filter(self, *conditions: Any, **named: Any) -> Self:
        """As `where`, but never a key condition: DynamoDB looks at the items that were read and leaves some out.

        Example: ``db.model(Order).where(Order.customer == "c1").filter(Order.total > 5)``
        """
        if named:
            raise self._named(named)
        if conditions and conditions[0].__class__ is str:
            conditions = self._textual(conditions)
        return self._with(filters=(*self._request.filters, *conditions))

    def index(self, index: str | Index) -> Self:
        """Read through this index, given by name or as declared. Without it the table goes before its indexes.

        An index that was asked for may lack items (those without its key) and attributes (which it does not project:
        the objects are then partial, unless you `hydrate`).

        Example: ``db.model(Payment).index(Payment.by_status).where(Payment.status == "held")``
        """
        if not isinstance(index, (str, Index)):
            model = self._request.model.__name__
            raise ValidationError(
                f"index takes a name, or an index as declared ({model}.<index>), got {type(index).__name__}",
                field="index",
            )
        return self._with(index=index.name if isinstance(index, Index) else index)

    def order_by(self, field: str | Path[Any], direction: Literal["asc", "desc"] = "asc") -> Self:
        """Set the order: ``field`` is the sort key of the table or of an index, which is then the one that is read.

        Example: ``.order_by("created_at", "desc")``
        """
        turned = str(direction).lower()
        if turned not in ("asc", "desc"):
            raise ValidationError(f"a direction is 'asc' or 'desc', not {direction!r}", field="direction")
        if not isinstance(field, (str, Location)):
            raise ValidationError(
                f"order_by takes an attribute or its name, got {type(field).__name__}; an index is chosen by index()",
                field="order_by",
            )
        name = self._place(field).name if isinstance(field, str) else field.name
        if not isinstance(field, str):
            check_paths(self._session.plan(self._request.model).codec.schema, field.exists())
        return self._with(order=name, descending=turned == "desc")

    def limit(self, count: int) -> Self:
        """Return at most ``count`` matching items in all (1 or more), however many are read to find them.

        Example: ``db.model(Payment).where(Payment.id == "p1").limit(20)``
        """
        return self._with(limit=_positive("limit", count))

    def page_size(self, count: int) -> Self:
        """Make pages of ``count`` matching items (1 or more). Without it a page ends at 1 MB, DynamoDB's own limit.

        Example: ``.page_size(100)``
        """
        return self._with(page_size=_positive("page_size", count))

    def select(self, *fields: str | Path[Any]) -> Self:
        """Fetch only these attributes (and the key). The objects are partial: they can be read, never saved.

        It saves transfer, not read capacity, unless an index that holds just these can be read.

        Raises: ValidationError for a name that is no field.

        Example: ``.select("id", Payment.amount)``
        """
        if not fields:
            raise ValidationError("select() names at least one attribute", field="select")
        places = tuple(self._place(one) if isinstance(one, str) else one for one in fields)
        return self._with(select=(*self._request.select, *places))

    def consistent(self) -> Self:
        """Read the latest state, at twice the cost. Not possible on a global index.

        Example: ``db.model(Order).where(Order.customer == "c1").consistent()``
        """
        return self._with(consistent=True)

    def hydrate(self) -> Self:
        """Fetch whole items where the index that is read holds only part of each: by their keys, from the table.

        Items deleted since the index was last brought up to date are left out.

        Example: ``db.model(Payment).index("gsi-idempotency").where(Payment.key == "k1").hydrate()``
        """
        return self._with(hydrate=True)

    def cursor(self, cursor: str | None) -> Self:
        """Go on behind the page that this cursor came with. It fits the same query only; limits may differ.

        None starts at the beginning.

        Raises (when the query ends): TamperedCursor for a cursor that was changed, has expired (24 hours), or is not of
        this query.

        Example: ``db.model(Payment).where(Payment.merchant == "m1").limit(20).cursor(page.cursor).page()``
        """
        if cursor is not None and not isinstance(cursor, str):
            raise ValidationError(f"a cursor is a text, not {type(cursor).__name__}", field="cursor")
        return self._with(cursor=cursor)

    def cursor_format(self, version: Literal["c1", "v0.1"]) -> Self:
        """Make and take cursors of the Go library: ``"v0.1"``. Anybody can read and change these.

        Example: ``db.model(Payment).where(Payment.merchant == "m1").cursor_format("v0.1").cursor(text).page()``
        """
        if version not in ("c1", "v0.1"):
            raise ValidationError(f"a cursor format is 'c1' or 'v0.1', not {version!r}", field="cursor_format")
        return self._with(cursor_format=version)

    def allow_scan(self) -> Self:
        """Let the whole table (or index) be read and filtered when no key serves. Every item read is paid for.

        Example: ``db.model(Payment).where(Payment.note.contains("test")).allow_scan().count()``
        """
        return self._with(scan_allowed=True)

    def on_misfit(self, what: Literal["raise", "skip", "collect"]) -> Self:
        """Say what becomes of stored items that do not fit the model; without this the first one raises.

        ``"skip"`` leaves them out; ``"collect"`` puts their errors into `Page.misfits`, each with the ``key`` of its item,
        for `page` and `pages`. `count` and `exists` read no items, so they count them too.

        Example: ``for page in db.model(Payment).allow_scan().on_misfit("collect").pages(): report(page.misfits)``
        """
        if what not in ("raise", "skip", "collect"):
            raise ValidationError("on_misfit takes 'raise', 'skip' or 'collect'", field="on_misfit")
        return self._with(misfit=what)

    def segments(self, count: int) -> Self:
        """Scan in ``count`` segments side by side (1 to 1,000,000). Items come in no order.

        Raises (when the query ends): ValidationError without `allow_scan`.

        Example: ``for payment in db.model(Payment).allow_scan().segments(4): ...``
        """
        return self._with(segments=_positive("segments", count))

    def _named(self, given: dict[str, Any]) -> ValidationError:
        from .ops import textual

        name = next(iter(given)).split("__")[0]  # name__gt=... is Django's way
        found = textual.place(self._session.plan(self._request.model), name)  # raises for a name that is no field
        model = self._request.model.__name__
        return InvalidUse(
            f"conditions are no keyword arguments: write .where({model}.{found.name} == value), or"
            f' .where("{found.name}", "=", value)',
            field=found.name,
        )

    def _textual(self, given: tuple[Any, ...]) -> tuple[Condition, ...]:
        from .ops import textual

        return (textual.condition(self._session.plan(self._request.model), given[0], given[1:]),)

    def _place(self, name: str) -> Path[Any]:
        from .ops import textual

        return textual.place(self._session.plan(self._request.model), name)

    def _with(self, **changes: Any) -> Self:
        return type(self)(self._session, self._run, self._request.model, replace(self._request, **changes))

    if not TYPE_CHECKING:

        def __getitem__(self, _: object) -> NoReturn:
            raise InvalidUse(
                "a query is no list: end it with .first(), .limit(n).all() or .page(); .all() gives a list, which has indexes"
            )

    def __bool__(self) -> NoReturn:
        raise InvalidUse("a query has read nothing yet, so it is neither true nor false: say .exists() or .first()")

    def __reduce__(self) -> NoReturn:
        raise InvalidUse("a query belongs to its DB and cannot be pickled: send what it is made of, or page().cursor")

    def __repr__(self) -> str:
        request = self._request
        count = len(request.conditions) + len(request.filters)
        return f"<{type(self).__name__} {getattr(request.model, '__name__', '?')}: {count} conditions>"


teach(Builder, BUILDER)


class Query(Builder[M]):
    """A query of the blocking face. End it with `all`, `first`, `page`, ..., or a for loop, which holds one page at a time.

    Example: ``for payment in db.model(Payment).where(Payment.merchant == "m1"): ...``
    """

    __slots__ = ()

    def all(self) -> list[M]:
        """Every item that matches, up to the limit, read page by page.

        Raises: ValidationError, before anything is sent, when no table or index answers the query and no scan is allowed.

        Example: ``db.model(Payment).where(Payment.merchant == "m1").all()``
        """
        return self._run(query.everything(self._session, self._request))

    def first(self) -> M | None:
        """The first item that matches, or None.

        Example: ``db.model(Payment).where(Payment.merchant == "m1").first()``
        """
        from .ops import ends

        return self._run(ends.first(self._session, self._request))

    def one(self) -> M:
        """The only item that matches.

        Raises: NotFound when there is none; MultipleFound when there are more.

        Example: ``db.model(Payment).where(Payment.key == "k1").one()``
        """
        from .ops import ends

        return self._run(ends.one(self._session, self._request))

    def count(self) -> int:
        """How many items match, up to the limit. They are read (and paid for), but not fetched.

        Example: ``db.model(Payment).where("status", "=", "completed").count()``
        """
        from .ops import ends

        return self._run(ends.count(self._session, self._request))

    def exists(self) -> bool:
        """Whether any item matches. Nothing is fetched, and no more is read than it takes to find one.

        Example: ``db.model(Payment).where(Payment.merchant == "m1").exists()``
        """
        from .ops import ends

        return self._run(ends.exists(self._session, self._request))

    def page(self) -> Page[M]:
        """One page of items, with the cursor to go on behind it.

        It holds as many matching items as ``limit`` or ``page_size`` say (without either, what one answer brings), fewer
        only at the end, or when finding them takes longer than ``operation_timeout``.

        Example: ``page = db.model(Payment).where(Payment.merchant == "m1").limit(20).page()``
        """
        from .ops import ends

        return self._run(ends.page(self._session, self._request))

    def pages(self) -> Iterator[Page[M]]:
        """The pages, one after the other; a page may be empty.

        Example: ``for page in db.model(Payment).where(Payment.merchant == "m1").pages(): ...``
        """
        turn = query.turn_of(self._request, fill=self._request.page_size is not None)
        while not turn.done:
            yield self._run(turn.page(self._session))

    @overload
    def sum(self, field: Holds[N | None]) -> N: ...  # type: ignore[overload-overlap] # an int passes for a float
    @overload
    def sum(self, field: Holds[float | None]) -> Decimal: ...
    @overload
    def sum(self, field: str) -> int | Decimal: ...
    def sum(self, field: Any) -> Any:
        """The sum of a number over all items that match: exact, an int or a Decimal; 0 of nothing.

        Example: ``db.model(Payment).where(Payment.merchant == "m1").sum(Payment.amount)``
        """
        from .ops import aggregate

        return self._run(aggregate.total(self._session, self._request, field))

    def average(self, field: str | Holds[int | None] | Holds[Decimal | None] | Holds[float | None]) -> Decimal | None:
        """The mean of a number as a Decimal, None of nothing. Items whose value is None do not count.

        Example: ``db.model(Payment).where(Payment.merchant == "m1").average("amount")``
        """
        from .ops import aggregate

        return self._run(aggregate.average(self._session, self._request, field))

    @overload
    def min(self, field: Holds[V | None]) -> V | None: ...
    @overload
    def min(self, field: str) -> Any: ...
    def min(self, field: Any) -> Any:
        """The smallest value of an attribute, None of nothing.

        Example: ``db.model(Payment).where(Payment.merchant == "m1").min(Payment.amount)``
        """
        from .ops import aggregate

        return self._run(aggregate.least(self._session, self._request, field))

    @overload
    def max(self, field: Holds[V | None]) -> V | None: ...
    @overload
    def max(self, field: str) -> Any: ...
    def max(self, field: Any) -> Any:
        """The largest value of an attribute, None of nothing.

        Example: ``db.model(Payment).where(Payment.merchant == "m1").max(Payment.amount)``
        """
        from .ops import aggregate

        return self._run(aggregate.greatest(self._session, self._request, field))

    def delete_all(self, *, confirm: bool = False, progress: Callable[[int], Any] | None = None) -> int:
        """Delete every item that matches, page by page, and return how many; ``confirm=True`` must be given.

        ``progress`` is called after each page with the number of items deleted so far.

        Raises: ValidationError without ``confirm``.

        Example: ``db.model(Event).where(Event.stream == "s1").delete_all(confirm=True)``
        """
        from .ops import purge

        return self._run(purge.delete_all(self._session, self._request, confirm=confirm, progress=progress))

    def collect(self, *models: type[Any]) -> Buckets:
        """Read items of several models that share the table by one query, into a bucket for each model.

        The models are subclasses of the one that is queried; or of its family, when only the partition key is given.
        ``buckets[Order]`` is the list of orders, ``buckets.other`` what is of no model named here.

        Raises: ValidationError for a model that does not share the items.

        Example: ``db.model(Entity).where(Entity.pk == "CUSTOMER#c1").collect(Customer, Order)[Order]``
        """
        from .ops import collect

        return self._run(collect.collect(self._session, self._request, models))

    def explain(self, *, values: bool = False) -> Explain:
        """What the query would send for its first page, and why it goes where it goes. Nothing is sent.

        Values are shown as ``"?"`` unless ``values``.

        Example: ``print(db.model(Payment).where(Payment.merchant == "m1").explain())``
        """
        from .ops import explain

        turn = query.turn_of(self._request)
        turn.paged = True
        return self._run(explain.explained(self._session, turn.next, values=values))

    if not TYPE_CHECKING:
        __aiter__ = wrong_block("a {name} of a blocking DB is read by `for`; `async for` is for AsyncDB")

    def __iter__(self) -> Iterator[M]:
        turn = query.turn_of(self._request)
        while not turn.done:
            yield from self._run(turn.next(self._session))


def _positive(name: str, count: Any) -> int:
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise ValidationError(f"{name} is a whole number of 1 or more", field=name)
    if count > MAX_COUNT:
        raise ValidationError(f"{name} is at most {MAX_COUNT}, as DynamoDB counts", field=name)
    return count
