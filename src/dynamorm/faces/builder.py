"""`Builder`, what the queries of both faces share: immutable, every call returns a new one. It sends nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, NoReturn, Self, TypeVar, overload

from msgspec.structs import replace

from dynamorm.models.expressions.compile import check_paths
from dynamorm.models.expressions.tree import Location
from dynamorm.models.schema.other_ways import BUILDER, teach
from dynamorm.models.schema.schema import Index
from dynamorm.ops.queries.request import Request

from ..arguments import check_choice, check_count
from ..errors import InvalidUse, ValidationError

if TYPE_CHECKING:
    from dynamorm.models.access_patterns import Asked
    from dynamorm.models.expressions.path import Condition, Path

    from ..session import Session

M = TypeVar("M")

_NO_CONDITIONS: Final = (str, dict)
"""What is given in the place of a condition: the text form, and a mistake."""

MAX_COUNT: Final = 2**31 - 1
"""The largest count of DynamoDB's, which has 32 bits.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_Query.html
"""


MAX_GROUPS: Final = 10_000
"""Groups that are held in memory where the caller does not say how many there may be."""

MAX_SEGMENTS: Final = 1_000_000
"""Source: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_Scan.html"""


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
        if conditions and conditions[0].__class__ in _NO_CONDITIONS:
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
        if conditions and conditions[0].__class__ in _NO_CONDITIONS:
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

    @overload
    def order_by(self, field: str, direction: Literal["asc", "desc"] = "asc") -> Self: ...
    @overload
    def order_by(self, field: Path[Any], direction: Literal["asc", "desc"] = "asc") -> Self: ...
    def order_by(self, field: Any = None, direction: str = "asc", **named: Any) -> Self:
        """Set the order: ``field`` is the sort key of the table or of an index, which is then the one that is read.

        Example: ``.order_by("created_at", "desc")``
        """
        if named or field is None:
            raise self._unordered(field, named)
        attribute: Any = field
        turned = check_choice("direction", str(direction).lower(), ("asc", "desc"))
        if not isinstance(field, (str, Location)):
            raise ValidationError(
                f"order_by takes an attribute or its name, got {type(field).__name__}; an index is chosen by index()",
                field="order_by",
            )
        name = self._place(field).name if isinstance(field, str) else field.name
        if not isinstance(field, str):
            check_paths(self._session.plan(self._request.model).codec.schema, attribute.exists())
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

    def read_at_most(self, count: int) -> Self:
        """Let a page read ``count`` items at most (1 or more), matching or not: what is read is what is paid for.

        It is for `page` and `pages`. A page that ended so is `Page.capped`, may be empty, and can be gone on from.

        Raises (when the query ends): ValidationError for another end, a scan in several segments, a query over shards.

        Example: ``db.model(Payment).where(Payment.note.exists()).allow_scan().limit(20).read_at_most(1000).page()``
        """
        return self._with(cap=_positive("read_at_most", count))

    def select(self, *fields: str | Path[Any]) -> Self:
        """Fetch only these attributes (and the key). The objects are partial: they can be read, never saved.

        It saves transfer, not read capacity, unless an index that holds just these can be read.

        Raises: ValidationError for a name that is no field.

        Example: ``.select("id", Payment.amount)``
        """
        if not fields:
            raise ValidationError("select() names at least one attribute", field="select")
        if self._request.view is not None:
            raise ValidationError("select_as() says all that is fetched: leave out select()", field="select")
        places = tuple(self._place(one) if isinstance(one, str) else one for one in fields)
        return self._with(select=(*self._request.select, *places))

    def consistent(self) -> Self:
        """Read the latest state, at twice the cost. Not possible on a global index.

        Example: ``db.model(Order).where(Order.customer == "c1").consistent()``
        """
        return self._with(consistent=True)

    def without_expired(self) -> Self:
        """Leave out items whose time to live is over: the service deletes them within days, and gives them until then.

        A model with ``hide_expired=True`` leaves them out of all reads.

        Raises (when the query ends): ValidationError for a model without a `ttl` field.

        Example: ``db.model(Ticket).where(Ticket.owner == "o1").without_expired().count()``
        """
        return self._with(unexpired=True)

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
        if cursor is not None and (self._request.after or self._request.after_parts):
            raise ValidationError("a query begins at one place: leave out cursor() or start_after()", field="cursor")
        return self._with(cursor=cursor)

    def start_after(self, *key: Any, **parts: Any) -> Self:
        """Begin behind a known item: an object, or the parts of its key. The item need not be there any more.

        Of a query on an index it takes an object, for its position holds the key of the index too.

        Raises (when the query ends): ValidationError for a key that the conditions leave out, for a scan in segments and
        for a query over shards.

        Example: ``db.model(Order).where(Order.customer == "c1").start_after("c1", 7).limit(20).page()``
        """
        if not key and not parts:
            raise ValidationError("start_after() takes an object, or the parts of its key", field="start_after")
        if self._request.cursor is not None:
            raise ValidationError(
                "a query begins at one place: leave out cursor() or start_after()", field="start_after"
            )
        return self._with(after=key, after_parts=tuple(parts.items()))

    def cursor_format(self, version: Literal["c1", "v0.1"]) -> Self:
        """Make and take cursors of the Go library: ``"v0.1"``. Anybody can read and change these.

        Example: ``db.model(Payment).where(Payment.merchant == "m1").cursor_format("v0.1").cursor(text).page()``
        """
        return self._with(
            cursor_format=check_choice("cursor_format", version, ("c1", "v0.1"), subject="a cursor format")
        )

    def allow_scan(self) -> Self:
        """Let the whole table (or index) be read and filtered when no key serves. Every item read is paid for.

        Example: ``db.model(Payment).where(Payment.note.contains("test")).allow_scan().count()``
        """
        return self._with(scan_allowed=True)

    def on_misfit(self, what: Literal["raise", "skip", "collect"]) -> Self:
        """Say what becomes of stored items that do not fit the model; without this the first one raises.

        ``"skip"`` leaves them out; ``"collect"`` puts their errors into `Page.misfits`, each with the ``key`` of its item,
        for `page` and `pages`, and into `Buckets.misfits` for `collect`. `count` and `exists` read no items, so they count them too.

        Example: ``for page in db.model(Payment).allow_scan().on_misfit("collect").pages(): report(page.misfits)``
        """
        return self._with(misfit=check_choice("on_misfit", what, ("raise", "skip", "collect")))

    def segments(self, count: int, *, only: int | None = None) -> Self:
        """Scan in ``count`` segments side by side (1 to 1,000,000). Items come in no order.

        ``only`` reads one of them, 0 to ``count - 1``: for who spreads a scan over several machines.

        Raises (when the query ends): ValidationError without `allow_scan`.

        Example: ``for payment in db.model(Payment).allow_scan().segments(4): ...``
        """
        count = _positive("segments", count)
        if only is not None and check_count("only", only, 0) >= count:
            raise ValidationError(f"only is a number from 0 to {count - 1}: there are {count} segments", field="only")
        return self._with(segments=count, segment=only)

    def segment(self, number: int, *, of: int) -> Self:
        """Scan one of ``of`` segments, 0 to ``of - 1``: for a worker that has its share of a table. It can be paged.

        Raises (when the query ends): ValidationError without `allow_scan`.

        Example: ``for payment in db.model(Payment).allow_scan().segment(3, of=64): ...``
        """
        count = _positive("of", of)
        if count > MAX_SEGMENTS:
            raise ValidationError(f"of is at most {MAX_SEGMENTS}, the segments of a scan", field="of")
        if check_count("segment", number, 0) >= count:
            raise ValidationError(
                f"segment is a number from 0 to {count - 1}: there are {count} segments", field="segment"
            )
        return self._with(segments=count, segment=number)

    @classmethod
    def by_pattern(cls, session: Session, run: Callable[[Any], Any], asked: Asked[M]) -> Self:
        """The query that an access pattern asks for; `DB.query` begins with it. Raises: InvalidUse for what is none."""
        settings: Any = getattr(asked, "settings", None)
        if settings is None or not hasattr(asked, "conditions"):
            raise InvalidUse(
                "db.query() takes an access pattern with its arguments, such as Order.open_orders(...); a query of your own"
                " begins with db.model(Order)",
                field="query",
            )
        query = cls(session, run, asked.model).where(*asked.conditions)
        if settings.index is not None:
            query = query.index(settings.index)
        if settings.order_by is not None:
            query = query.order_by(settings.order_by, settings.direction)
        return query if settings.limit is None else query.limit(settings.limit)

    def _seen_as(self, cls: Any) -> Request:
        """The request for objects of another class."""
        if self._request.select or self._request.view is not None:
            raise ValidationError("select_as() says all that is fetched: leave out select()", field="select_as")
        view = self._session.verbs.views.view_of(self._session.plan(self._request.model).codec.schema, cls)
        return replace(self._request, select=tuple(map(self._place, view.names)), view=view)

    def _unordered(self, field: Any, named: dict[str, Any]) -> ValidationError:
        model = self._request.model.__name__
        name = getattr(field, "name", field) or "<sort key>"
        given = f"has no argument {next(iter(named))}=" if named else "needs an attribute"
        return InvalidUse(
            f'order_by {given}: write .order_by({model}.{name}), or .order_by({model}.{name}, "desc") to sort downwards',
            field="order_by",
        )

    def _named(self, given: dict[str, Any]) -> ValidationError:
        name = next(iter(given)).split("__")[0]  # name__gt=... is Django's way
        name = self._place(name).name  # raises for a name that is no field
        model = self._request.model.__name__
        return InvalidUse(
            f"conditions are no keyword arguments, and no dict: write .where({model}.{name} == value), or"
            f' .where("{name}", "=", value)',
            field=name,
        )

    def _textual(self, given: tuple[Any, ...]) -> tuple[Condition, ...]:
        if isinstance(given[0], dict):
            raise self._named({str(name): None for name in given[0]} or {"": None})
        return (self._session.verbs.textual.condition(self._session.plan(self._request.model), given[0], given[1:]),)

    def _place(self, name: str) -> Path[Any]:
        path: Path[Any] = self._session.verbs.textual.place(self._session.plan(self._request.model), name)
        return path

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


def _positive(name: str, count: Any) -> int:
    whole = check_count(name, count)
    if whole > MAX_COUNT:
        raise ValidationError(f"{name} is at most {MAX_COUNT}, as DynamoDB counts", field=name)
    return whole
