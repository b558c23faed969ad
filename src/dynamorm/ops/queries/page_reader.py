"""`PageReader`: reads a query page after page, and stops at its limit.

A page ends where the caller's limit ends, and the next one goes on behind the last item that was handed out, also when
DynamoDB had read further.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeAlias

from dynamorm.codec.replies.reading import Misfit
from dynamorm.effects import Flow
from dynamorm.errors import DynamORMError, ValidationError
from dynamorm.models.schema.placed import NotReady
from dynamorm.ops.reads.fetching import when_ready

from . import pages
from .planner import choose
from .prepared_query import PreparedQuery, read
from .request import Request

if TYPE_CHECKING:
    from dynamorm.codec.codec import Page
    from dynamorm.ops.context import Context

Step: TypeAlias = "Callable[[PageReader, Context, PreparedQuery, int | None], Flow[list[Any]]]"
"""Reads some of the items that come next, and moves the reader on."""

FEWEST: Final = 32
"""Items read at least with one request of a filtered query: reading a few more costs little, a round trip much."""
MOST: Final = 1024
"""Items read at most with one request of a filtered query with a limit, however few have matched so far."""


class PageReader:
    """Reads the pages of one request, in order. ``next`` makes the flow of the next page; ``done`` says that there is none.

    ``start`` is the key, as JSON, after which the next page begins; ``left`` how many items the limit still allows;
    ``look`` how many items the next request of a filtered query reads at least.

    ``fill`` makes full pages: a page of the size asked for, or of what is left of the limit, is read on for until it
    is full, the end is reached, or the time of one operation is over. ``misfits`` are the errors of items that do not
    fit the model, where they are collected, which only ``page`` hands out (``paged``). ``spread`` makes the step of a
    query over a partition that is spread over shards, which ``shards`` keeps the state of. ``one_page``: no more than one page
    is asked for, so its cursor may lead ``back``. ``seen`` is what is known of where the page begins, where there is a way
    back. ``cap`` is how many items the page may still read.
    """

    __slots__ = (
        "back", "cap", "done", "fill", "left", "look", "misfits", "one_page", "paged", "prepared", "request", "seen", "shards", "spread",
        "start",
    )  # fmt: skip

    most: ClassVar[int] = MOST

    def __init__(self, request: Request, *, fill: bool = False, spread: Step | None = None) -> None:
        self.request: Request = request
        self.spread: Step | None = spread
        self.start: bytes | None = request.start
        self.left = request.limit
        self.done: bool = False
        self.fill: bool = fill
        self.look: int = FEWEST
        self.prepared: PreparedQuery | None = None
        self.misfits: list[DynamORMError] = []
        self.paged: bool = False
        self.shards: Any = None
        self.one_page: bool = False
        self.back: bool = False
        self.seen: Any = None
        self.cap: int | None = None

    def begin(self, context: Context) -> PreparedQuery:
        """Plan the request and open its cursor, once."""
        prepared = self.prepared
        if prepared is None:
            if self.request.misfit == "collect" and not self.paged:
                raise ValidationError(
                    'on_misfit("collect") hands out what does not fit by page(), pages() and collect(): end the query'
                    ' with one of them, or say on_misfit("skip")',
                    field="on_misfit",
                )
            plan = context.plan(self.request.model)
            request = self.request
            if request.unexpired:
                request = _turning().living(plan, request, context.now())
            prepared = PreparedQuery(plan, self.request, choose(plan, request))
            if self.request.cursor is not None:
                self.start, self.back = _turning().cursors.open_cursor(context, prepared, self.request.cursor)
                if self.back:
                    prepared = _turning().backward(self, prepared)
            elif self.request.after or self.request.after_parts:
                self.start = _turning().start_after(prepared)
            if self.request.cap is not None:
                _turning().check_cap(self, prepared)
            self.prepared = prepared
        return prepared

    def next(self, context: Context) -> Flow[list[Any]]:
        """Read one page and move on."""
        prepared = self.prepared
        if prepared is None:
            try:
                prepared = self.begin(context)
            except NotReady:
                prepared = yield from when_ready(lambda: self.begin(context))
        size, left = self.request.page_size, self.left
        if left is not None and (size is None or left < size):
            size = left
        items = yield from self.step(context, prepared, size)
        if self.fill:
            monotonic = context.channel.clock.monotonic
            end = monotonic() + context.config.operation_timeout
            while not self.done and len(items) < (size or 1) and monotonic() < end:
                items += yield from self.step(context, prepared, None if size is None else size - len(items))
        return items if self.request.view is None else self.request.view.objects(items)

    def page(self, context: Context) -> Flow[pages.Page[Any]]:
        """Read one page and move on; the page can be gone on from."""
        self.paged = True
        if (
            self.start is not None
            or self.request.cursor is not None
            or self.request.after
            or self.request.cap is not None
        ):
            page: pages.Page[Any] = yield from _turning().page(self, context)
            return page
        items = yield from self.next(context)
        misfits, self.misfits = self.misfits, []
        return pages.Page(items, self.cursor(context), misfits)

    def count(self, context: Context) -> Flow[int]:
        """How many items are left, found by reading them: for a query that only the items themselves can decide."""
        total = 0
        while not self.done:
            total += len((yield from self.next(context)))
        return total

    def kept(self, items: list[Any]) -> list[Any]:
        """The items that fit the model, and what the conditions ask for. What does not fit is kept apart, or left out."""
        matches = None if self.prepared is None else self.prepared.matches
        if matches is not None:
            items = [item for item in items if item.__class__ is Misfit or matches(item)]
        if self.request.misfit == "raise":
            return items
        if self.request.misfit == "collect":
            self.misfits += [item.error for item in items if item.__class__ is Misfit]
        return [item for item in items if item.__class__ is not Misfit]

    def cursor(self, context: Context) -> Callable[[], str] | None:
        """What seals the cursor to go on with; None at the end."""
        prepared, start = self.begin(context), self.start
        if start is None:
            return None
        key = start

        def seal() -> str:
            text: str = _turning().cursors.seal(context, prepared, key)
            return text

        return seal

    def step(self, context: Context, prepared: PreparedQuery, size: int | None) -> Flow[list[Any]]:
        """One call; ``left`` and ``start`` move on."""
        if prepared.query_plan.partitions:
            assert self.spread is not None  # `dynamorm.ops.queries.query` gives it
            return (yield from self.spread(self, context, prepared, size))
        page: Page
        if prepared.filtered or prepared.hydrates:
            page = yield from read(context, prepared, self.start, size, self.look)
        else:  # without a detour: this is what most queries are
            page = yield from context.call(prepared.op(self.start, size, prepared.read))
        self.start = page.last_key
        plain = self.request.misfit == "raise" and prepared.matches is None
        items = page.items if plain else self.kept(page.items)
        if prepared.filtered and self.look < MOST:
            self.look *= 2
        if self.left is not None:
            self.left -= len(items)
        self.done = page.last_key is None or self.left == 0
        return items


def _turning() -> ModuleType:
    """What knows where pages begin, and what opens and seals cursors."""
    from . import turning  # only pages that are gone on from, that begin behind others, and those with a cap

    return turning
