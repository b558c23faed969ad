"""Queries and scans as flows: which reader of pages a request needs, and every item that matches.

What ends a query with something else than items is in `dynamorm.ops.queries.terminals`.
"""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING, Any

from dynamorm.effects import Flow

from .page_reader import PageReader
from .prepared_query import PreparedQuery
from .request import Request

if TYPE_CHECKING:
    from dynamorm.ops.context import Context


def page_reader_of(request: Request, *, fill: bool = False) -> PageReader:
    """The reader of the pages of a request: one after the other, or those of all segments of a scan side by side."""
    if request.segments is None or request.segment is not None:
        return PageReader(request, fill=fill, spread=spread)
    reader: PageReader = scans().ParallelScanReader(request, fill=fill)
    return reader


def scans() -> ModuleType:
    """What reads the segments of a scan side by side."""
    from . import scan  # of parallel scans only

    return scan


def shards() -> ModuleType:
    """What reads the shards of a partition side by side."""
    from . import shards as of_partitions  # of such partitions only

    return of_partitions


def spread(reader: PageReader, context: Context, prepared: PreparedQuery, size: int | None) -> Flow[list[Any]]:
    """A step of a query over a partition that is spread over shards."""
    step: Flow[list[Any]] = shards().step(reader, context, prepared, size)
    return step


def everything(context: Context, request: Request) -> Flow[list[Any]]:
    """Every item that matches, up to the limit."""
    reader = PageReader(request, spread=spread) if request.segments is None else page_reader_of(request)
    items: list[Any] = yield from reader.next(context)
    while not reader.done:
        items += yield from reader.next(context)
    return items
