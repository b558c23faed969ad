"""Queries as flows: choose the table or index, build the request, read page after page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.structs import replace

from dynamorm.effects import Flow
from dynamorm.errors import ValidationError
from dynamorm.expression_compile import Placeholders, check_paths, key_condition_text
from dynamorm.expression_tree import Comparison, Condition, terms
from dynamorm.schema import Index, Key, Schema, key_parts

from .guard import names
from .op import Op
from .plan import Plan, encode, finish

if TYPE_CHECKING:
    from dynamorm.codec.generate import Page
    from dynamorm.session import Session


class Request(Struct, frozen=True):
    """What a query builder has gathered. ``limit`` counts items in all, ``page_size`` those of one request."""

    model: Any
    conditions: tuple[Condition, ...] = ()
    index: str | None = None
    order: str | None = None
    descending: bool = False
    limit: int | None = None
    page_size: int | None = None
    consistent: bool = False


class Chosen(Struct, frozen=True):
    """Where a query goes: the table itself (``index`` None) or one index, and the terms of its key condition."""

    index: Index | None
    terms: tuple[Comparison, ...]


def choose(plan: Plan, request: Request) -> Chosen:
    """The table or index whose key the conditions name. Raises ValidationError when there is none."""
    schema = plan.codec.schema
    found = _terms(schema, request)
    if request.index is not None:
        index = _named(schema, request.index)
        if not _fits(index, found):
            raise _unfit(schema, f"index {index.name!r}", index, found)
        candidate: Index | None = index
    elif _fits(schema.key, found):
        candidate = None
    else:
        candidate = _automatic(plan, found)
    if request.consistent and candidate is not None and candidate.kind == "GSI":
        raise ValidationError(
            f"{schema.name}: index {candidate.name!r} is global, so it is only eventually consistent: leave out consistent()"
        )
    if request.order is not None:
        _check_order(schema, request, candidate)
    return Chosen(candidate, found)


def _automatic(plan: Plan, found: tuple[Comparison, ...]) -> Index:
    """The first index that answers just as the table would: with whole items, and all of them."""
    schema = plan.codec.schema
    fitting = [one for one in schema.indexes.values() if _fits(one, found)]
    asked = {term.path.field.name for term in found}
    for index in fitting:
        if index.projection == "ALL" and all(name in asked or _always_stored(plan, name) for name in index.fields):
            return index
    if fitting:
        names = " or ".join(f".index({index.name!r})" for index in fitting)
        raise ValidationError(
            f"{schema.name}: the index that fits holds only part of each item, or leaves out items without a sort key;"
            f" if that is what you want, say {names}"
        )
    raise _unfit(schema, "the table or any index", schema.key, found)


def _always_stored(plan: Plan, name: str) -> bool:
    """Whether every item has the attribute; the library's own have no value only until the first write."""
    found = plan.codec.plans[name]
    return found.field.role in {"version", "created_at", "updated_at"} or not (found.nullable or found.field.omit_empty)


def _check_order(schema: Schema, request: Request, index: Index | None) -> None:
    key = schema.key if index is None else index
    sort = () if key is None else key_parts(key)[1]
    if request.order not in sort:
        where = "the table" if index is None else f"index {index.name!r}"
        raise ValidationError(
            f"{schema.name}: {where} is sorted by {', '.join(sort) or 'nothing'}, so it cannot be ordered by"
            f" {request.order!r}"
        )


def page(session: Session, request: Request, start: bytes | None, most: int | None) -> Flow[Page]:
    """One page of at most ``most`` items, from behind the key ``start``."""
    plan = session.plan(request.model)
    chosen = choose(plan, request)
    places = Placeholders()
    key = plan.codec.schema.key if chosen.index is None else chosen.index
    assert key is not None  # a plan is made only for a model with a key
    rest: dict[str, Any] = {"KeyConditionExpression": key_condition_text(key, chosen.terms, places, plan.operand)}
    if chosen.index is not None:
        rest["IndexName"] = chosen.index.name
    if request.descending:
        rest["ScanIndexForward"] = False
    if request.consistent:
        rest["ConsistentRead"] = True
    sizes = [size for size in (request.page_size, most) if size is not None]
    if sizes:
        rest["Limit"] = min(sizes)
    rest.update(names(places))
    body = finish(b'{"TableName":', encode(plan.table), rest)
    if start is not None:
        body = body[:-1] + b',"ExclusiveStartKey":' + start + b"}"
    return session.call(Op("Query", plan.table, body, plan.codec.read_page))


class Turn:
    """Where a reader of pages stands. ``next`` makes the flow of the next page; ``done`` says that there is none."""

    __slots__ = ("done", "left", "request", "start")

    def __init__(self, request: Request) -> None:
        self.request = request
        self.start: bytes | None = None
        self.left = request.limit
        self.done = False

    def next(self, session: Session) -> Flow[list[Any]]:
        """Read one page and move on."""
        got = yield from page(session, self.request, self.start, self.left)
        self.start = got.last_key
        if self.left is not None:
            self.left -= len(got.items)
        self.done = self.start is None or self.left == 0
        return got.items


def everything(session: Session, request: Request) -> Flow[list[Any]]:
    """Every item that matches, up to the limit."""
    turn = Turn(request)
    found: list[Any] = []
    while not turn.done:
        found.extend((yield from turn.next(session)))
    return found


def first(session: Session, request: Request) -> Flow[Any]:
    """The first item that matches, or None."""
    turn = Turn(replace(request, limit=1))
    while not turn.done:
        found = yield from turn.next(session)
        if found:
            return found[0]
    return None


def _terms(schema: Schema, request: Request) -> tuple[Comparison, ...]:
    found: list[Comparison] = []
    for condition in request.conditions:
        check_paths(schema, condition)
        for term in terms(condition):
            if not isinstance(term, Comparison):
                raise ValidationError(f"{schema.name}: a key condition joins comparisons with & only")
            found.append(term)
    return tuple(found)


def _fits(key: Key | Index | None, found: tuple[Comparison, ...]) -> bool:
    """Whether the terms are just a key condition on this key: every partition attribute equal, the rest on the sort key."""
    if key is None:
        return False
    partition, sort = key_parts(key)
    by_name: dict[str, str] = {}
    for term in found:
        if len(term.path.parts) != 1 or term.path.field.name in by_name:
            return False
        by_name[term.path.field.name] = term.op
    return all(by_name.get(name) == "=" for name in partition) and set(by_name) <= {*partition, *sort}


def _named(schema: Schema, wanted: str) -> Index:
    for index in schema.indexes.values():
        if index.name == wanted:
            return index
    known = ", ".join(repr(index.name) for index in schema.indexes.values()) or "none"
    raise ValidationError(f"{schema.name} has no index {wanted!r}; its indexes: {known}")


def _unfit(schema: Schema, where: str, key: Key | Index | None, found: tuple[Comparison, ...]) -> ValidationError:
    asked = ", ".join(term.path.name for term in found) or "nothing"
    fields = ", ".join(key.fields) if key is not None else "none"
    return ValidationError(
        f"{schema.name}: conditions on {asked} are no key condition of {where}: give == on every partition attribute,"
        f" and at most a range on the sort key ({fields})"
    )
