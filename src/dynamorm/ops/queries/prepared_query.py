"""A query or scan made ready: planned, its constant part written, and its pages read one call at a time.

It must not know how a reader goes on from page to page.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from dynamorm.codec.library_attributes import key_json_of, raw_items
from dynamorm.effects import Flow
from dynamorm.errors import ValidationError
from dynamorm.expressions.compile import Placeholders, condition_text, key_terms_text, projection_text
from dynamorm.expressions.tree import Condition
from dynamorm.ops.calls.op import Op
from dynamorm.ops.reads.terms import check_bounds, check_prefix
from dynamorm.ops.requests import ModelRequests, check_values, encode

from .planner import QueryPlan
from .request import Request

if TYPE_CHECKING:
    from dynamorm.codec.codec import Page
    from dynamorm.ops.context import Context


class PreparedQuery:
    """A request made ready to be sent: planned, and its constant part written. ``read`` decodes a page's body."""

    __slots__ = ("chosen", "filtered", "head", "hydrates", "name", "plan", "read", "request")

    read: Callable[[bytes], Page]

    def __init__(self, plan: ModelRequests, request: Request, chosen: QueryPlan) -> None:
        self.plan: ModelRequests = plan
        self.request: Request = request
        self.chosen: QueryPlan = chosen
        self.name = "Scan" if chosen.scan else "Query"
        self.filtered: bool = bool(chosen.filters)
        self.hydrates: bool = request.hydrate and chosen.holds is not None
        rest, self.read = _rest(plan, request, chosen)
        body = encode(rest)
        if chosen.filters:
            check_values(body, rest)
        self.head: bytes = body[:-1]

    def op(self, start: bytes | None, limit: int | None, decode: Callable[[bytes], Any], more: bytes = b"") -> Op:
        """One call: from behind ``start``, looking at ``limit`` items at most."""
        body = self.head + more
        if limit is not None:
            body += b',"Limit":%d' % limit
        if start is not None:
            body += b',"ExclusiveStartKey":' + start
        op = Op(self.name, self.plan.table, body + b"}", decode)
        op.why = self.chosen.why
        return op

    def counting(self) -> PreparedQuery:
        """The same request for counting alone: nothing of the items is asked for."""
        request = replace(self.request, select=(), hydrate=False)
        return PreparedQuery(self.plan, request, replace(self.chosen, holds=None))

    def key_of(self, raw: bytes) -> bytes:
        """The key to go on from behind an item: that of the table, and that of the index that is read."""
        return key_json_of(raw, dict(self.key_fields()))

    def key_fields(self) -> list[tuple[str, str]]:
        """Stored and field names of what a key to go on from is made of."""
        schema = self.plan.codec.schema
        assert schema.key is not None  # a plan is made only for a model with a key
        index = self.chosen.index
        names = (*schema.key.fields, *(index.fields if index is not None else ()))
        return [(schema.fields[name].stored, name) for name in names]

    def cut(self, body: bytes, most: int) -> Page:
        """A page of at most ``most`` items, with the key to go on from if some were left out."""
        page = self.read(body)
        if len(page.items) > most:
            page.last_key = self.key_of(raw_items(body)[most - 1])
            del page.items[most:]
        return page


def read(
    context: Context, ready: PreparedQuery, start: bytes | None, most: int | None, look: int | None, more: bytes = b""
) -> Flow[Page]:
    """What one call answers: at most ``most`` matching items from behind the key ``start``; maybe none.

    A filtered query looks at ``look`` items to find ``most``. ``more`` is what the request says besides.
    """
    if not ready.filtered or most is None:
        found = context.call(ready.op(start, most, ready.read, more))
    else:
        found = context.call(ready.op(start, max(most, look or 0), lambda body: ready.cut(body, most), more))
    return found if not ready.hydrates else whole(context, ready, found)


def whole(context: Context, ready: PreparedQuery, found: Flow[Page]) -> Flow[Page]:
    """A page of an index that holds only part of each item, as whole items; those gone meanwhile are left out."""
    from . import hydrate  # of such queries only

    return (yield from hydrate.page(context, ready.request, (yield from found)))


def _rest(plan: ModelRequests, request: Request, chosen: QueryPlan) -> tuple[dict[str, Any], Callable[[bytes], Page]]:
    """What every body of the request says, and the reader of the answers."""
    rest: dict[str, Any] = {"TableName": plan.table}
    places = Placeholders()
    if request.hydrate and request.misfit != "raise":
        raise ValidationError(
            f"{plan.codec.schema.name}: hydrate() reads items by their keys, and on_misfit() is of a query's own: say one",
            field="on_misfit",
        )
    index = chosen.index
    if chosen.filters or len(chosen.terms) > 1:
        check_bounds(plan, (*chosen.terms, *chosen.filters))
        if chosen.terms:
            check_prefix(plan, chosen.terms[-1])  # only the last one may be a range
    if not chosen.scan:
        rest["KeyConditionExpression"] = key_terms_text(chosen.terms, places, plan.operand)
    if chosen.filters:
        joined = chosen.filters[0] if len(chosen.filters) == 1 else Condition("AND", chosen.filters)
        rest["FilterExpression"] = condition_text(joined, places, plan.operand)
    if index is not None:
        rest["IndexName"] = index.name
    if request.descending:
        rest["ScanIndexForward"] = False
    if request.consistent:
        rest["ConsistentRead"] = True
    if request.segment is not None:
        rest["Segment"], rest["TotalSegments"] = request.segment, request.segments
    reader: Callable[..., Page] = plan.codec.read_page
    if request.select or chosen.holds is not None:
        reader = _partly(plan, request, chosen, places, rest)
    if request.misfit != "raise":
        reader = partial(reader, lenient=True)
    # DynamoDB refuses an empty map.
    if places.names:
        rest["ExpressionAttributeNames"] = places.names
    if places.values:
        rest["ExpressionAttributeValues"] = places.values
    return rest, reader


def _partly(
    plan: ModelRequests, request: Request, chosen: QueryPlan, places: Placeholders, rest: dict[str, Any]
) -> Callable[..., Page]:
    """Ask for the places selected, and read objects that hold no more than these or than the index does."""
    from dynamorm.codec.partial import reader as partly  # only selections need it

    codec, index = plan.codec, chosen.index
    if not request.select:
        assert index is not None  # only an index holds less than the item
        return partly.index_reader(codec, index).read_page
    if request.hydrate:
        raise ValidationError(f"{codec.schema.name}: hydrate() reads whole items: leave out select()", field="select")
    holds = chosen.holds
    missing = [] if holds is None else [place.name for place in request.select if place.field.name not in holds]
    if missing:
        raise ValidationError(
            f"{codec.schema.name}: index {'' if index is None else index.name!r} does not hold {', '.join(missing)}:"
            " leave it out of select(), or say .hydrate() in its place",
            field=missing[0],
        )
    reader = partly.reader(codec, request.select, () if index is None else index.fields)
    # What tells the classes of a family apart, and the components of composite keys, may not be in the index.
    asked = [place for place in reader.projection if holds is None or place.field.name in holds]
    rest["ProjectionExpression"] = projection_text(asked, places)
    return reader.read_page
