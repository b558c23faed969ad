"""Queries and scans as flows: which reader of pages a request needs, and every item that matches.

What ends a query with something else than items is in `dynamorm.ops.queries.terminals`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dynamorm.effects import Flow

from .page_reader import PageReader
from .prepared_query import PreparedQuery
from .request import Request

if TYPE_CHECKING:
    from dynamorm.ops.context import Context


def turn_of(request: Request, *, fill: bool = False) -> PageReader:
    """The reader of the pages of a request: one after the other, or those of all segments of a scan side by side."""
    if request.segments is None or request.segment is not None:
        return PageReader(request, fill=fill, spread=spread)
    from .scan import ScanTurn  # of parallel scans only

    return ScanTurn(request, fill=fill)


def spread(turn: PageReader, context: Context, ready: PreparedQuery, size: int | None) -> Flow[list[Any]]:
    """A step of a query over a partition that is spread over shards."""
    from . import shards  # of such partitions only

    return shards.step(turn, context, ready, size)


def everything(context: Context, request: Request) -> Flow[list[Any]]:
    """Every item that matches, up to the limit."""
    turn = PageReader(request, spread=spread) if request.segments is None else turn_of(request)
    found: list[Any] = yield from turn.next(context)
    while not turn.done:
        found += yield from turn.next(context)
    return found
