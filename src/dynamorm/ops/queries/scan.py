"""Parallel scans: the segments of a table read side by side, in rounds of one page of each.

A round is read whole before the next begins, so that never more than a page of each segment is in memory, the position
is one for all of them after every round, and both faces do the same. A round that failed moved nothing: it is read
again. This module must not know how a request is planned.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from msgspec import Raw, Struct
from msgspec.json import Decoder

from dynamorm.arguments import check_count
from dynamorm.codec.strict import dumps
from dynamorm.effects import Flow, Gather
from dynamorm.errors import ValidationError
from dynamorm.models.schema.overriding import override

from .lanes import Lanes, counted, read_position, stored, width
from .page_reader import MOST, PageReader
from .prepared_query import PreparedQuery, read

if TYPE_CHECKING:
    from dynamorm.codec.codec import Page
    from dynamorm.ops.context import Context

    from .request import Request

MAX_SEGMENTS: Final = 1_000_000
"""Source: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_Scan.html"""


class _Stored(Struct, forbid_unknown_fields=True):
    """A position as JSON: how many segments, how many of them were begun, and the keys of those that go on."""

    segments: int
    begun: int
    at: dict[str, Raw]


_decode: Final = Decoder(_Stored).decode


class ScanState(Lanes):
    """Where a parallel scan stands. Segments are begun in order: one before ``begun`` that is not in ``at`` has ended.

    Example: ``ScanState.decode(state.encode(), 4)``
    """

    __slots__ = ("begun", "segments")

    def __init__(self, segments: int) -> None:
        super().__init__({})
        self.segments: int = segments
        self.begun: int = 0

    @property
    @override
    def done(self) -> bool:
        return not self.at and self.begun == self.segments

    @override
    def live(self, most: int) -> list[int]:
        """The segments to read next, at most so many; new ones are begun in the place of those that ended."""
        while len(self.at) < most and self.begun < self.segments:
            self.at[self.begun] = None
            self.begun += 1
        return super().live(most)

    def encode(self) -> bytes:
        """As JSON, for a cursor."""
        return dumps(_Stored(self.segments, self.begun, stored(self.at)))

    @classmethod
    def decode(cls, text: bytes, segments: int) -> ScanState:
        """The position in a cursor.

        Raises: ValidationError when it is none of a scan in so many segments.
        """
        position_read = read_position(_decode, text)
        if position_read is None or position_read[0].segments != segments:
            raise ValidationError(
                f"the cursor is not one of a scan in {segments} segments: a scan goes on in as many as it was begun with",
                field="cursor",
            )
        position, keys = position_read
        state = cls(segments)
        state.at, state.begun = keys, position.begun
        if not all(0 <= segment < state.begun <= segments for segment in state.at):
            raise ValidationError("the cursor names a segment that the scan does not have", field="cursor")
        return state


def check_segments(segments: Any) -> int:
    """The number of segments. Raises: ValidationError unless it is 1 to 1,000,000.

    Source: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_Scan.html
    """
    return check_count("segments", segments, 1, MAX_SEGMENTS)


class ParallelScanReader(PageReader):
    """Where a reader of a parallel scan stands. A page holds what one round brought: up to a page of each segment."""

    __slots__ = ("state",)

    done: bool
    look: int
    start: bytes | None

    def __init__(self, request: Request, *, fill: bool = False) -> None:
        super().__init__(request, fill=fill)
        self.state: ScanState | None = None

    @override
    def step(self, context: Context, prepared: PreparedQuery, size: int | None) -> Flow[list[Any]]:
        state = self.state
        if state is None:
            state = self.state = _state(self.request, self.start)
        segments = state.live(width(context))
        shares = _shares(size, len(segments))
        reading = segments[: len(shares)]
        flows = [
            read(context, prepared, state.at[segment], share, self.look, _segment(segment, state))
            for segment, share in zip(reading, shares, strict=True)
        ]
        pages: list[Page] = yield Gather(flows, len(flows))
        items: list[Any] = []
        for segment, page in zip(reading, pages, strict=True):
            state.move(segment, page.last_key)
            items += page.items
        items = self.kept(items)
        if prepared.filtered and self.look < MOST:
            self.look *= 2
        if self.left is not None:
            self.left -= len(items)
        self.done = state.done or self.left == 0
        self.start = None if state.done else state.encode()
        return items


def _state(request: Request, start: bytes | None) -> ScanState:
    segments = check_segments(request.segments)
    return ScanState(segments) if start is None else ScanState.decode(start, segments)


def _shares(size: int | None, count: int) -> list[int | None]:
    """How many items each of so many segments may bring, so that together they bring no more than ``size``."""
    if size is None:
        return [None] * count
    share, more = divmod(size, count)
    return [share + (number < more) for number in range(min(count, size))]


def _segment(number: int, state: ScanState) -> bytes:
    return b',"Segment":%d,"TotalSegments":%d' % (number, state.segments)


def count(context: Context, request: Request) -> Flow[int]:
    """How many items match, up to the limit."""
    reader = ParallelScanReader(request)
    prepared = reader.begin(context)
    if prepared.query_plan.family:
        return (yield from reader.count(context))
    counting, state = prepared.counting(), _state(request, reader.start)
    return (
        yield from counted(
            context, state, lambda segment: (counting, _segment(segment, state)), request.limit, reader.look
        )
    )
