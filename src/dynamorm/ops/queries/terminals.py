"""The ends of a query that read no more than they need: the first item, the one item, how many, whether any.

It must not know how a request is planned.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from dynamorm.codec.strict import read_count
from dynamorm.effects import Flow
from dynamorm.errors import MultipleFound, NotFound
from dynamorm.ops.reads.fetching import when_ready

from .page_reader import MOST, PageReader
from .query import page_reader_of, scans, shards, spread

if TYPE_CHECKING:
    from dynamorm.ops.context import Context

    from .pages import Page
    from .request import Request


def first(context: Context, request: Request) -> Flow[Any]:
    """The first item that matches, or None."""
    reader = page_reader_of(replace(request, limit=1))
    while not reader.done:
        items = yield from reader.next(context)
        if items:
            return items[0]
    return None


def one(context: Context, request: Request) -> Flow[Any]:
    """The only item that matches. Raises: NotFound, MultipleFound."""
    reader = page_reader_of(replace(request, limit=2 if request.limit is None else min(request.limit, 2)))
    items: list[Any] = []
    while not reader.done:
        items += yield from reader.next(context)
    if len(items) == 1:
        return items[0]
    plan = reader.begin(context).plan
    name = plan.codec.schema.name
    if items:
        raise MultipleFound(
            f"more than one {name} matches, where one() expects one: narrow the query, or say first()",
            operation="Query",
            table=plan.table,
        )
    raise NotFound(f"no {name} matches", operation="Query", table=plan.table)


def page(context: Context, request: Request) -> Flow[Page[Any]]:
    """One page, full unless it is the last or time ran out."""
    reader = page_reader_of(_paged(request), fill=True)
    reader.one_page = True
    return reader.page(context)


def _paged(request: Request) -> Request:
    """A page is as long as the smaller of limit and page size; what is left of the limit is of no interest."""
    sizes = [size for size in (request.limit, request.page_size) if size is not None]
    return replace(request, limit=None, page_size=min(sizes)) if sizes else request


def count(context: Context, request: Request) -> Flow[int]:
    """How many items match, up to the limit."""
    rules = context.plan(request.model).read_rules
    reads = rules is not None and (rules.counts_by_reading or request.hydrate)
    if reads and (request.hydrate or request.segments is not None):
        return (yield from page_reader_of(request).count(context))
    if request.segments is not None and request.segment is None:
        in_all: int = yield from scans().count(context, request)
        return in_all
    reader = PageReader(request, spread=spread)
    prepared = (yield from when_ready(lambda: reader.begin(context))) if reads else reader.begin(context)
    if prepared.query_plan.family or prepared.counts_by_reading:
        return (yield from reader.count(context))
    if prepared.query_plan.partitions:
        of_shards: int = yield from shards().count(context, reader)
        return of_shards
    counting = prepared.counting()
    start, left, look = reader.start, request.limit, reader.look
    total: int = 0
    while True:
        limit = left if left is None or not prepared.filtered else max(left, look)
        matching: int
        matching, _, start = yield from context.call(counting.op(start, limit, read_count, b',"Select":"COUNT"'))
        total += matching
        if left is not None:
            left -= matching
        if start is None or (left is not None and left <= 0):
            return total if request.limit is None else min(total, request.limit)
        look = min(look * 2, MOST)


def exists(context: Context, request: Request) -> Flow[bool]:
    """Whether any item matches."""
    return (yield from count(context, replace(request, limit=1))) > 0
