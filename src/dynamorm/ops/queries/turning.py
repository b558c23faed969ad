"""Pages that begin behind others: where each begins, the way back, a start behind a known key, and a cap on what is read.

A page is between two positions: right before its first item, and right after its last one. The cursor of the way on names
the last item, that of the way back the first one. A page that leads back is read against the order of its query, from that
item on, and turned round. One item more than it holds is read there, so that it is known whether there is anything before.
What does not fit the model lies on the page that goes on from there, so the first page has what lies before all items.

It must not know how a cursor is sealed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from msgspec import Raw, Struct
from msgspec.json import Decoder
from msgspec.structs import replace

from dynamorm.codec.library_attributes import is_key, text_wire
from dynamorm.codec.state import SLOTS
from dynamorm.codec.strict import decoded, dumps, parts_of, read_object
from dynamorm.effects import Flow
from dynamorm.errors import ValidationError
from dynamorm.models.schema.placed import NotReady
from dynamorm.ops.reads.expiry import field_of, unexpired
from dynamorm.ops.reads.fetching import when_ready
from dynamorm.ops.reads.items import key_from_parts

from . import cursor as cursors
from . import hydrate, pages
from .prepared_query import PreparedQuery, whole

if TYPE_CHECKING:
    from datetime import datetime

    from dynamorm.codec.codec import ModelCodec, Page
    from dynamorm.ops.context import Context
    from dynamorm.ops.requests import ModelRequests

    from .page_reader import PageReader
    from .request import Request


class _Items(Struct, gc=False):
    Items: list[Raw]


_items: Final = Decoder(_Items).decode


class Seen:
    """What is known of where a page begins: the JSON of its ``first`` item, and how many items the last answer held.

    ``origin`` is the request as it was asked for, in its own direction: cursors are sealed for that.
    """

    __slots__ = ("count", "first", "origin")

    def __init__(self, origin: PreparedQuery) -> None:
        self.origin: PreparedQuery = origin
        self.first: bytes | None = None
        self.count: int = 0

    def watch(self, prepared: PreparedQuery) -> None:
        """Note what the answers to this request hold."""
        plain = prepared.read

        def read(body: bytes) -> Page:
            page = plain(body)
            self.count = len(page.items)
            if self.first is None and page.items:
                self.first = bytes(_items(body).Items[0 if page.places is None else page.places[0]])
            return page

        prepared.read = read


def backward(reader: PageReader, prepared: PreparedQuery) -> PreparedQuery:
    """The request against its order, for a cursor that leads back. Raises: ValidationError for ends that go on from it."""
    if not reader.one_page:
        raise ValidationError(
            "this cursor leads back, to the page before the one that it came with: end the query with page()",
            field="cursor",
        )
    request = replace(prepared.request, descending=not prepared.request.descending)
    turned = PreparedQuery(prepared.plan, request, prepared.query_plan)
    size = reader.request.page_size
    if size is not None:
        # One more than asked for tells whether there is anything before.
        reader.look = max(reader.look, size + 1) if turned.filtered else size + 1
        turned.filtered = True
    reader.seen = Seen(prepared)
    reader.seen.watch(turned)
    return turned


def page(reader: PageReader, context: Context) -> Flow[pages.Page[Any]]:
    """One page, which begins behind another one, leads back, or reads no more than its cap."""
    try:
        prepared = reader.begin(context)
    except NotReady:
        prepared = yield from when_ready(lambda: reader.begin(context))
    is_behind = reader.start is not None or reader.back
    if is_behind and reader.seen is None and not _one_way(prepared):
        reader.seen = Seen(prepared)
        reader.seen.watch(prepared)
    seen: Seen | None = reader.seen
    if seen is not None:
        seen.first = None
    reader.cap = reader.request.cap
    size = reader.request.page_size
    if reader.left is not None and (size is None or reader.left < size):
        size = reader.left
    clock = context.channel.clock.monotonic
    end = clock() + context.config.operation_timeout
    items: list[Any] = []
    want = size
    while True:
        items += yield from _step(reader, context, prepared, want)
        if not reader.fill or reader.done or _spent(reader) or len(items) >= (size or 1) or clock() >= end:
            break
        want = None if size is None else size - len(items)
    capped = _spent(reader) and not reader.done and (size is None or len(items) < size)
    misfits, reader.misfits = reader.misfits, []
    if reader.request.view is not None:
        items = reader.request.view.objects(items)
    if not reader.back:
        back = None if not is_behind else _way_back(reader, context, prepared)
        return pages.Page(items, reader.cursor(context), misfits, back, capped=capped)
    assert seen is not None  # of what leads back it is known
    start = reader.start
    if start is not None and (size is None or len(items) >= size) and not _is_sure(reader, prepared, want):
        is_more = yield from _has_more(reader, context, prepared, end)
        if not is_more:
            start = None
            misfits += reader.misfits  # there is no page before, which would have them
        reader.misfits = []
    items.reverse()
    misfits.reverse()
    on = start if seen.first is None else seen.origin.key_of(seen.first)
    return pages.Page(
        items,
        _sealed(context, seen.origin, on, back=False),
        misfits,
        None if start is None else _sealed(context, seen.origin, start, back=True),
        capped=capped,
    )


def _has_more(reader: PageReader, context: Context, prepared: PreparedQuery, end: float) -> Flow[bool]:
    """Whether there is one item more, or may be: it is looked for until the time or the cap is over."""
    while not reader.done:
        if _spent(reader) or context.channel.clock.monotonic() >= end:
            return True
        items = yield from _step(reader, context, prepared, 1)
        if items:
            return True
    return False


def _is_sure(reader: PageReader, prepared: PreparedQuery, want: int | None) -> bool:
    """Whether the last answer held an item more than was handed out."""
    is_plain = reader.request.misfit == "raise" and prepared.matches is None and not prepared.hydrates
    return is_plain and want is not None and reader.seen.count > want


def _spent(reader: PageReader) -> bool:
    """Whether the page has read as much as it may."""
    return reader.cap is not None and reader.cap <= 0


def _step(reader: PageReader, context: Context, prepared: PreparedQuery, want: int | None) -> Flow[list[Any]]:
    """One call, which reads no more than the cap allows."""
    if reader.cap is None:
        return (yield from reader.step(context, prepared, want))
    limit = reader.cap
    decode: Callable[[bytes], Page] = prepared.read
    if want is not None:
        limit = min(limit, max(want, reader.look) if prepared.filtered else want)
        decode = lambda body: prepared.cut(body, want)  # noqa: E731 - as everywhere where a page is cut
    flow = context.call(prepared.op(reader.start, limit, decode))
    answer: Page = yield from (whole(context, prepared, flow) if prepared.hydrates else flow)
    reader.cap -= answer.scanned
    reader.start = answer.last_key
    items = reader.kept(answer.items)
    if prepared.filtered and reader.look < reader.most:
        reader.look *= 2
    if reader.left is not None:
        reader.left -= len(items)
    reader.done = answer.last_key is None or reader.left == 0
    return items


def check_cap(reader: PageReader, prepared: PreparedQuery) -> None:
    """Refuse a cap where nothing could tell that it was met. Raises: ValidationError."""
    if not reader.paged:
        raise ValidationError(
            "read_at_most() ends a page before all that matches was read: end the query with page() or pages(), which say so",
            field="read_at_most",
        )
    if _is_spread(prepared):
        raise ValidationError(
            "read_at_most() counts what one request after the other reads, and here several places are read side by side: read"
            " one of them, a segment of a scan by segment(number, of=count), a shard by its own partition key",
            field="read_at_most",
        )


# -------------------------------------------------------------------------------------------------------- the way back


def _way_back(reader: PageReader, context: Context, prepared: PreparedQuery) -> Callable[[], str]:
    """What seals the cursor that leads to the page before. Nothing of it is worked out before it is asked for."""
    seen: Seen | None = reader.seen
    if seen is None:
        return lambda: _refuse(prepared)
    first, start, origin = seen.first, reader.start, seen.origin

    def seal() -> str:
        key = start if first is None else origin.key_of(first)
        return cursors.seal(context, origin, key, back=True)

    return seal


def _sealed(context: Context, origin: PreparedQuery, key: bytes | None, *, back: bool) -> Callable[[], str]:
    return lambda: cursors.seal(context, origin, key, back=back)


def _is_spread(prepared: PreparedQuery) -> bool:
    """Whether several places are read side by side."""
    request = prepared.request
    return bool(prepared.query_plan.partitions) or (request.segments is not None and request.segment is None)


def _one_way(prepared: PreparedQuery) -> bool:
    """Whether there is no way back."""
    return prepared.query_plan.scan or bool(prepared.query_plan.partitions) or prepared.request.cursor_format != "c1"


def _refuse(prepared: PreparedQuery) -> str:
    """Raise what is wrong with a way back that there is none."""
    if prepared.request.cursor_format != "c1":
        raise ValidationError(
            'a v0.1 cursor only leads on: leave out cursor_format("v0.1") for pages that lead back',
            field="cursor_format",
        )
    what = "a scan is" if prepared.query_plan.scan else "a query over shards is"
    raise ValidationError(
        f"{what} read one way only, so no page leads back: keep the cursors of the pages that were shown, or query one"
        " partition of a table or index",
        field="previous",
    )


# ------------------------------------------------------------------------------------------------------- a known start


def start_after(prepared: PreparedQuery) -> bytes:
    """The raw JSON of the key to begin after, of an object or the parts of a key. Raises: ValidationError."""
    plan, request = prepared.plan, prepared.request
    name = plan.codec.schema.name
    if _is_spread(prepared):
        raise ValidationError(
            "start_after() is one position, and a scan in segments and a query over shards have several: go on with the"
            " cursor of a page",
            field="start_after",
        )
    parts = dict(request.after_parts)
    subject: Any = request.after[0] if request.after else None
    if isinstance(subject, plan.model) or hasattr(subject, "__partial_of__"):
        if len(request.after) > 1 or parts:
            raise ValidationError(f"start_after() takes one {name}, or the parts of its key", field="start_after")
        key = _key_of(prepared, subject)
    else:
        index = prepared.query_plan.index
        if index is not None:
            raise ValidationError(
                f"the query reads the index {index.name!r}, whose positions are made of {', '.join(index.fields)} and the key"
                f" of {name}: give start_after() the object, or the cursor of a page",
                field="start_after",
            )
        given = key_from_parts(plan, request.after, parts) if parts else request.after
        key = read_object(plan.codec.key_json(given))
    for term in prepared.query_plan.terms:
        if not hydrate.fits(plan, term, key.get(term.path.field.stored)):
            raise ValidationError(
                f"start_after() was given a {name} that the conditions on {term.path.field.name} leave out: begin after one"
                " that they find, or leave start_after() out",
                field=term.path.field.name,
            )
    return dumps(key)


def _key_of(prepared: PreparedQuery, obj: Any) -> dict[str, Any]:
    """The key to go on from after an object: that of the table, and that of the index that is read."""
    codec = prepared.plan.codec
    raw = SLOTS.get_state(obj) if hasattr(obj, "__partial_of__") else codec.loaded(obj)
    parts: dict[str, Any] = {} if raw is None else parts_of(raw)
    key: dict[str, Any] = {}
    for stored, name in prepared.key_fields():
        wire = decoded(parts[stored]) if stored in parts else None
        if raw is None:
            wire = _key_field(codec, obj, name)
        if not is_key({stored: wire}, {stored: prepared.plan.key_type(name)}):
            raise ValidationError(
                f"start_after() was given a {codec.schema.name} without a value of {name}, by which the items are found:"
                " give one that was read by this query, or that has it",
                field=name,
            )
        key[stored] = wire
    return key


def _key_field(codec: ModelCodec, obj: Any, name: str) -> dict[str, Any] | None:
    """What would be stored of a key field of a new object, as it stands in JSON; None without a value. Raises: ValidationError."""
    computed = codec.composites.get(name)
    if computed is None:
        value = getattr(obj, name, None)
        wire = None if value is None else codec.encode_field(name, value)
    else:
        parts = {stored: codec.encode_field(part, getattr(obj, part, None)) for part, stored in computed.sources}
        text = computed.text(parts)
        wire = None if text is None else text_wire(text)
    return None if wire is None else read_object(dumps(wire))


# --------------------------------------------------------------------------------- items whose time to live is over


def living(plan: ModelRequests, request: Request, now: datetime) -> Request:
    """The request with what is true of items whose time is not over. Raises: ValidationError for a model without such a time.

    Of an index that is sorted by the time it is a part of the key condition, for a filter may not name a key.
    """
    schema = plan.codec.schema
    field = field_of(schema)
    index = next((index for index in schema.indexes.values() if index.name == request.index), None)
    if request.order == field.name or (index is not None and field.name in index.fields):
        return replace(request, conditions=(*request.conditions, unexpired(field, now, is_key=True)))
    return replace(request, filters=(*request.filters, unexpired(field, now)))
