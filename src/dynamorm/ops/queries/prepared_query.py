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
from dynamorm.models.expressions.compile import Placeholders, condition_text, key_terms_text, projection_text
from dynamorm.models.expressions.tree import Condition
from dynamorm.models.schema.schema import key_parts
from dynamorm.ops.calls.op import Op
from dynamorm.ops.reads.searched import exactly, looked_at
from dynamorm.ops.reads.terms import check_bounds, check_prefix, flat
from dynamorm.ops.requests import ModelRequests, check_values, encode

from .planner import QueryPlan
from .request import Request

if TYPE_CHECKING:
    from dynamorm.codec.codec import Page
    from dynamorm.ops.context import Context
    from dynamorm.ops.reads.read_rules import ReadRules


class PreparedQuery:
    """A request made ready to be sent: planned, and its constant part written. ``read`` decodes a page's body."""

    __slots__ = (
        "counts_by_reading",
        "filtered",
        "head",
        "hydrates",
        "matches",
        "name",
        "plan",
        "query_plan",
        "read",
        "request",
    )

    read: Callable[[bytes], Page]

    def __init__(self, plan: ModelRequests, request: Request, query_plan: QueryPlan) -> None:
        if request.select and plan.codec.placed:
            request = _with_looks(plan, request)
        self.plan: ModelRequests = plan
        self.request: Request = request
        self.query_plan: QueryPlan = query_plan
        self.name = "Scan" if query_plan.scan else "Query"
        self.hydrates: bool = request.hydrate and query_plan.holds is not None
        self.matches: Callable[[Any], bool] | None = _exactly(plan, request) if plan.codec.placed else None
        parameters, self.read = _parameters(plan, request, query_plan)
        body = encode(parameters)
        if query_plan.filters:
            check_values(body, parameters)
        self.head: bytes = body[:-1]
        rules = plan.read_rules
        self.counts_by_reading: bool = (
            rules is not None and rules.counts_by_reading and not self._keeps_all(rules, query_plan, body)
        )
        # What rules leave out is left out behind the service's limit, as with a filter.
        self.filtered: bool = (
            bool(query_plan.filters)
            or self.counts_by_reading
            or (rules is not None and request.hydrate and plan.codec.keeps is not None)
        )

    def _keeps_all(self, rules: ReadRules, query_plan: QueryPlan, body: bytes) -> bool:
        """Whether the rules are known to leave out nothing of a query in one partition."""
        schema = self.plan.codec.schema
        if not query_plan.terms or query_plan.partitions or schema.key is None:
            return False
        partition, _ = key_parts(query_plan.index or schema.key)
        return rules.keeps_all(tuple(schema.fields[name].indexed_as for name in partition), body)

    def op(self, start: bytes | None, limit: int | None, decode: Callable[[bytes], Any], more: bytes = b"") -> Op:
        """One call: it starts after ``start``, looking at ``limit`` items at most."""
        body = self.head + more
        if limit is not None:
            body += b',"Limit":%d' % limit
        if start is not None:
            rules = self.plan.read_rules
            if rules is not None:
                rules.check_start(start)
            body += b',"ExclusiveStartKey":' + start
        op = Op(self.name, self.plan.table, body + b"}", decode)
        op.why = self.query_plan.why
        op.prepare = self.plan.prepare
        return op

    def counting(self) -> PreparedQuery:
        """The same request for counting alone: nothing of the items is asked for."""
        request = replace(self.request, select=(), hydrate=False)
        return PreparedQuery(self.plan, request, replace(self.query_plan, holds=None))

    def key_of(self, raw: bytes) -> bytes:
        """The key to go on from after an item: that of the table, and that of the index that is read."""
        return key_json_of(raw, dict(self.key_fields()))

    def key_fields(self) -> list[tuple[str, str]]:
        """Stored and field names of what a key to go on from is made of."""
        schema = self.plan.codec.schema
        assert schema.key is not None  # a plan is made only for a model with a key
        index = self.query_plan.index
        names = (*schema.key.fields, *(index.fields if index is not None else ()))
        return [(schema.fields[name].indexed_as, name) for name in names]

    def cut(self, body: bytes, most: int) -> Page:
        """A page of at most ``most`` items, with the key to go on from if some were left out."""
        page = self.read(body)
        if len(page.items) > most:
            last = most - 1 if page.places is None else page.places[most - 1]
            page.last_key = self.key_of(raw_items(body)[last])
            del page.items[most:]
        return page


def read(
    context: Context,
    prepared: PreparedQuery,
    start: bytes | None,
    most: int | None,
    look: int | None,
    more: bytes = b"",
) -> Flow[Page]:
    """What one call answers: at most ``most`` matching items after the key ``start``; maybe none.

    A filtered query looks at ``look`` items to find ``most``. ``more`` is the rest of the request.
    """
    if not prepared.filtered or most is None:
        flow = context.call(prepared.op(start, most, prepared.read, more))
    else:
        flow = context.call(prepared.op(start, max(most, look or 0), lambda body: prepared.cut(body, most), more))
    return flow if not prepared.hydrates else whole(context, prepared, flow)


def whole(context: Context, prepared: PreparedQuery, flow: Flow[Page]) -> Flow[Page]:
    """A page of an index that holds only part of each item, as whole items; those gone meanwhile are left out."""
    from . import hydrate  # of such queries only

    return (yield from hydrate.page(context, prepared.request, (yield from flow)))


def _exactly(plan: ModelRequests, request: Request) -> Callable[[Any], bool] | None:
    """What leaves out items that a term found by what is stored beside an attribute, which says less than that."""
    terms = flat(plan.codec.schema, (*request.conditions, *request.filters))
    return exactly(plan, terms)


def _with_looks(plan: ModelRequests, request: Request) -> Request:
    """A request for parts of items, with the fields that tell which of them are left out."""
    terms = flat(plan.codec.schema, (*request.conditions, *request.filters))
    names = {place.field.name for place in request.select if len(place.parts) == 1}
    more = tuple(path for path in looked_at(plan, terms) if path.field.name not in names)
    return replace(request, select=(*request.select, *more)) if more else request


def _parameters(
    plan: ModelRequests, request: Request, query_plan: QueryPlan
) -> tuple[dict[str, Any], Callable[[bytes], Page]]:
    """What every body of the request says, and the reader of the answers."""
    parameters: dict[str, Any] = {"TableName": plan.table}
    placeholders = Placeholders()
    index = query_plan.index
    if query_plan.filters or len(query_plan.terms) > 1:
        check_bounds(plan, (*query_plan.terms, *query_plan.filters))
        if query_plan.terms:
            check_prefix(plan, query_plan.terms[-1])  # only the last one may be a range
    if not query_plan.scan:
        parameters["KeyConditionExpression"] = key_terms_text(query_plan.terms, placeholders, plan.operand)
    if query_plan.filters:
        joined = query_plan.filters[0] if len(query_plan.filters) == 1 else Condition("AND", query_plan.filters)
        parameters["FilterExpression"] = condition_text(joined, placeholders, plan.operand)
    if index is not None:
        parameters["IndexName"] = index.name
    if request.descending:
        parameters["ScanIndexForward"] = False
    if request.consistent or (plan.is_consistent and (index is None or index.kind == "LSI")):
        parameters["ConsistentRead"] = True
    if request.segment is not None:
        parameters["Segment"], parameters["TotalSegments"] = request.segment, request.segments
    reader: Callable[..., Page] = plan.codec.read_page
    if request.select or query_plan.holds is not None:
        reader = _partly(plan, request, query_plan, placeholders, parameters)
    elif request.hydrate and index is not None and index.projection != "ALL":
        parameters["Select"] = "ALL_ATTRIBUTES"  # of a local index: what it does not hold comes with the same answer
    if request.misfit != "raise":
        reader = partial(reader, lenient=True)
    # DynamoDB refuses an empty map.
    if placeholders.names:
        parameters["ExpressionAttributeNames"] = placeholders.names
    if placeholders.values:
        parameters["ExpressionAttributeValues"] = placeholders.values
    return parameters, reader


def _partly(
    plan: ModelRequests, request: Request, query_plan: QueryPlan, placeholders: Placeholders, parameters: dict[str, Any]
) -> Callable[..., Page]:
    """Ask for the places selected, and read objects that hold no more than these or than the index does."""
    from dynamorm.codec.partial import reader as partly  # only selections need it

    codec, index = plan.codec, query_plan.index
    if not request.select:
        assert index is not None  # only an index holds less than the item
        # What is hydrated is read whole, and the rules look at it then.
        return partly.index_reader(codec.keyed if request.hydrate else codec, index).read_page
    if request.hydrate:
        raise ValidationError(f"{codec.schema.name}: hydrate() reads whole items: leave out select()", field="select")
    holds = query_plan.holds
    missing = [] if holds is None else [place.name for place in request.select if place.field.name not in holds]
    if missing:
        raise ValidationError(
            f"{codec.schema.name}: index {'' if index is None else index.name!r} does not hold {', '.join(missing)}:"
            " leave it out of select(), or say .hydrate() in its place",
            field=missing[0],
        )
    also = () if index is None else index.fields
    reader = partly.reader(codec, request.select, also, whole=not request.any_version)
    # What tells the classes of a family apart, and the components of composite keys, may not be in the index.
    stored = None if holds is None else {codec.schema.fields[name].stored for name in holds}
    selected = [place for place in reader.projection if stored is None or place.field.stored in stored]
    parameters["ProjectionExpression"] = projection_text(selected, placeholders)
    return reader.read_page
