"""Queries and scans as flows: build the request of a plan, read page after page, and stop at the limit.

A page ends where the caller's limit ends, and the next one goes on behind the last item that was handed out, also when
DynamoDB had read further. What ends a query with something else than items is in `dynamorm.ops.ends`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import replace

from dynamorm.codec.reading import Misfit
from dynamorm.codec.system import key_json_of, raw_items
from dynamorm.effects import Flow
from dynamorm.errors import DynamORMError, ValidationError
from dynamorm.expression_compile import Placeholders, condition_text, key_terms_text, projection_text
from dynamorm.expression_tree import Condition

from . import pages
from .choose import Chosen, choose
from .op import Op
from .plan import Plan, check_values, encode
from .request import Request
from .terms import check_bounds, check_prefix

if TYPE_CHECKING:
    from dynamorm.codec.generate import Page
    from dynamorm.session import Session

FEWEST: Final = 32
"""Items read at least with one request of a filtered query: reading a few more costs little, a round trip much."""
MOST: Final = 1024
"""Items read at most with one request of a filtered query with a limit, however few have matched so far."""


class Ready:
    """A request made ready to be sent: planned, and its constant part written. ``read`` decodes a page's body."""

    __slots__ = ("chosen", "filtered", "head", "hydrates", "name", "plan", "read", "request")

    read: Callable[[bytes], Page]

    def __init__(self, plan: Plan, request: Request, chosen: Chosen) -> None:
        self.plan: Plan = plan
        self.request: Request = request
        self.chosen: Chosen = chosen
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

    def counting(self) -> Ready:
        """The same request for counting alone: nothing of the items is asked for."""
        request = replace(self.request, select=(), hydrate=False)
        return Ready(self.plan, request, replace(self.chosen, holds=None))

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


def prepare(session: Session, request: Request) -> Ready:
    """Plan a request. Raises: ValidationError when it cannot be answered, before anything is sent."""
    plan = session.plan(request.model)
    return Ready(plan, request, choose(plan, request))


def page(session: Session, request: Request, start: bytes | None, most: int | None) -> Flow[Page]:
    """What one call answers: at most ``most`` matching items from behind the key ``start``; maybe none."""
    ready = prepare(session, request)
    return read(session, ready, start, most, most)


def read(session: Session, ready: Ready, start: bytes | None, most: int | None, look: int | None) -> Flow[Page]:
    """As `page`, of a request made ready. A filtered query looks at ``look`` items to find ``most``."""
    if not ready.filtered or most is None:
        found = session.call(ready.op(start, most, ready.read))
    else:
        found = session.call(ready.op(start, max(most, look or 0), lambda body: ready.cut(body, most)))
    return found if not ready.hydrates else _hydrated(session, ready, found)


def _hydrated(session: Session, ready: Ready, found: Flow[Page]) -> Flow[Page]:
    """A page of an index that holds only part of each item, as whole items; those gone meanwhile are left out."""
    from . import hydrate

    return (yield from hydrate.page(session, ready.request, (yield from found)))


class Turn:
    """Where a reader of pages stands. ``next`` makes the flow of the next page; ``done`` says that there is none.

    ``fill`` makes full pages: a page of the size asked for, or of what is left of the limit, is read on for until it
    is full, the end is reached, or the time of one operation is over. ``misfits`` are the errors of items that do not
    fit the model, where they are collected, which only ``page`` hands out (``paged``).
    """

    __slots__ = ("done", "fill", "left", "look", "misfits", "paged", "ready", "request", "shards", "start")

    def __init__(self, request: Request, *, fill: bool = False) -> None:
        self.request: Request = request
        self.start: bytes | None = request.start
        self.left = request.limit
        self.done: bool = False
        self.fill: bool = fill
        self.look: int = FEWEST
        self.ready: Ready | None = None
        self.misfits: list[DynamORMError] = []
        self.paged: bool = False
        self.shards: Any = None  # kept by `dynamorm.ops.shards`, for a partition that is spread

    def begin(self, session: Session) -> Ready:
        """Plan the request and open its cursor, once."""
        ready = self.ready
        if ready is None:
            if self.request.misfit == "collect" and not self.paged:
                raise ValidationError(
                    'on_misfit("collect") hands out what does not fit by page() and pages(): end the query with one of'
                    ' them, or say on_misfit("skip")',
                    field="on_misfit",
                )
            plan = session.plan(self.request.model)
            ready = Ready(plan, self.request, choose(plan, self.request))
            if self.request.cursor is not None:
                from . import cursor

                self.start = cursor.open_cursor(session, ready, self.request.cursor)
            self.ready = ready
        return ready

    def next(self, session: Session) -> Flow[list[Any]]:
        """Read one page and move on."""
        ready = self.ready or self.begin(session)
        size, left = self.request.page_size, self.left
        if left is not None and (size is None or left < size):
            size = left
        items = yield from self._step(session, ready, size)
        if self.fill:
            monotonic = session.channel.clock.monotonic
            end = monotonic() + session.config.operation_timeout
            while not self.done and len(items) < (size or 1) and monotonic() < end:
                items += yield from self._step(session, ready, None if size is None else size - len(items))
        return items

    def page(self, session: Session) -> Flow[pages.Page[Any]]:
        """Read one page and move on; the page can be gone on from."""
        self.paged = True
        items = yield from self.next(session)
        misfits, self.misfits = self.misfits, []
        return pages.Page(items, self._cursor(session), misfits)

    def kept(self, items: list[Any]) -> list[Any]:
        """The items that fit the model. What does not is kept apart, or left out."""
        if self.request.misfit == "raise":
            return items
        if self.request.misfit == "collect":
            self.misfits += [one.error for one in items if one.__class__ is Misfit]
        return [one for one in items if one.__class__ is not Misfit]

    def _cursor(self, session: Session) -> Callable[[], str] | None:
        ready, start = self.begin(session), self.start
        if start is None:
            return None
        key = start

        def seal() -> str:
            from . import cursor

            return cursor.seal(session, ready, key)

        return seal

    def _step(self, session: Session, ready: Ready, size: int | None) -> Flow[list[Any]]:
        """One call; ``left`` and ``start`` move on."""
        if ready.chosen.partitions:
            from . import shards

            return (yield from shards.step(self, session, ready, size))
        got: Page
        if ready.filtered or ready.hydrates:
            got = yield from read(session, ready, self.start, size, self.look)
        else:  # without a detour: this is what most queries are
            got = yield from session.call(ready.op(self.start, size, ready.read))
        self.start = got.last_key
        items = got.items if self.request.misfit == "raise" else self.kept(got.items)
        if ready.filtered and self.look < MOST:
            self.look *= 2
        if self.left is not None:
            self.left -= len(items)
        self.done = got.last_key is None or self.left == 0
        return items


def turn_of(request: Request, *, fill: bool = False) -> Turn:
    """The reader of the pages of a request: one after the other, or those of all segments of a scan side by side."""
    if request.segments is None or request.segment is not None:
        return Turn(request, fill=fill)
    from .scan import ScanTurn

    return ScanTurn(request, fill=fill)


def everything(session: Session, request: Request) -> Flow[list[Any]]:
    """Every item that matches, up to the limit."""
    turn = Turn(request) if request.segments is None else turn_of(request)
    found: list[Any] = yield from turn.next(session)
    while not turn.done:
        found += yield from turn.next(session)
    return found


def _rest(plan: Plan, request: Request, chosen: Chosen) -> tuple[dict[str, Any], Callable[[bytes], Page]]:
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
    plan: Plan, request: Request, chosen: Chosen, places: Placeholders, rest: dict[str, Any]
) -> Callable[..., Page]:
    """Ask for the places selected, and read objects that hold no more than these or than the index does."""
    from dynamorm.codec import partial as partly

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
