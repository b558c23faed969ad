"""Parallel scans: the segments of a table read side by side, in rounds of one page of each.

A round is read whole before the next begins, so that never more than a page of each segment is in memory, the position
is one for all of them after every round, and both faces do the same. A round that failed moved nothing: it is read
again. This module must not know how a request is planned.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from msgspec import DecodeError, Raw, Struct
from msgspec.json import Decoder

from dynamorm.codec.replies import dumps, read_count, read_object
from dynamorm.effects import Flow, Gather
from dynamorm.errors import DynamORMError, ValidationError
from dynamorm.overriding import override

from .page_reader import MOST, Turn
from .prepared import Ready

if TYPE_CHECKING:
    from dynamorm.codec.generate import Page
    from dynamorm.session import Session

    from .request import Request

MAX_SEGMENTS: Final = 1_000_000
"""Source: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_Scan.html"""
MAX_AT_ONCE: Final = 8
"""Segments read side by side, however many there are: the pages in memory. More pages a second than these bring, one
process cannot decode (measured: 50 ms for a page of 1 MB, against 100 to 200 ms until it is there)."""


class _Stored(Struct, forbid_unknown_fields=True):
    """A position as JSON: how many segments, how many of them were begun, and the keys of those that go on."""

    segments: int
    begun: int
    at: dict[str, Raw]


_decode: Final = Decoder(_Stored).decode


class ScanState:
    """Where a parallel scan stands: of each segment that was begun and has not ended, the key to go on from behind.

    Segments are begun in order. One that is in ``at`` with None is begun at its start; one before ``begun`` that is
    not in ``at`` has ended.

    Example: ``ScanState.decode(state.encode(), 4)``
    """

    __slots__ = ("at", "begun", "segments")

    def __init__(self, segments: int) -> None:
        self.segments: int = segments
        self.begun: int = 0
        self.at: dict[int, bytes | None] = {}

    @property
    def done(self) -> bool:
        """Whether every segment has ended."""
        return not self.at and self.begun == self.segments

    def live(self, most: int) -> list[int]:
        """The segments to read next, at most so many; new ones are begun in the place of those that ended."""
        while len(self.at) < most and self.begun < self.segments:
            self.at[self.begun] = None
            self.begun += 1
        return list(self.at)[:most]

    def move(self, segment: int, key: bytes | None) -> None:
        """Say that a page of a segment was handed out; ``key`` None means that it was the last."""
        if key is None:
            del self.at[segment]
        else:
            self.at[segment] = key

    def encode(self) -> bytes:
        """As JSON, for a cursor."""
        at = {str(segment): Raw(b"null" if key is None else key) for segment, key in self.at.items()}
        return dumps(_Stored(self.segments, self.begun, at))

    @classmethod
    def decode(cls, text: bytes, segments: int) -> ScanState:
        """The position in a cursor.

        Raises: ValidationError when it is none of a scan in so many segments.
        """
        stored: _Stored | None = None
        known: dict[int, bytes | None] = {}
        try:
            stored = _decode(text)
            known = {int(segment): _key(bytes(raw)) for segment, raw in stored.at.items()}
        except (DecodeError, DynamORMError, ValueError):
            stored = None
        if stored is None or stored.segments != segments:
            raise ValidationError(
                f"the cursor is not one of a scan in {segments} segments: a scan goes on in as many as it was begun with",
                field="cursor",
            )
        state = cls(segments)
        state.begun = stored.begun
        state.at = known
        if not all(0 <= segment < state.begun <= segments for segment in known):
            raise ValidationError("the cursor names a segment that the scan does not have", field="cursor")
        return state


def _key(raw: bytes) -> bytes | None:
    if raw == b"null":
        return None
    read_object(raw)
    return raw


def check_segments(count: Any) -> int:
    """The number of segments. Raises: ValidationError unless it is 1 to 1,000,000.

    Source: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_Scan.html
    """
    if not isinstance(count, int) or isinstance(count, bool) or not 1 <= count <= MAX_SEGMENTS:
        raise ValidationError(f"segments is a whole number from 1 to {MAX_SEGMENTS:,}", field="segments")
    return count


class ScanTurn(Turn):
    """Where a reader of a parallel scan stands. A page holds what one round brought: up to a page of each segment."""

    __slots__ = ("state",)

    done: bool
    look: int
    start: bytes | None

    def __init__(self, request: Request, *, fill: bool = False) -> None:
        super().__init__(request, fill=fill)
        self.state: ScanState | None = None

    @override
    def _step(self, session: Session, ready: Ready, size: int | None) -> Flow[list[Any]]:
        state = self.state
        if state is None:
            state = self.state = _state(self.request, self.start)
        segments = state.live(width(session))
        shares = _shares(size, len(segments))
        reading = segments[: len(shares)]
        flows = [
            _page(session, ready, segment, state, share, self.look)
            for segment, share in zip(reading, shares, strict=True)
        ]
        pages: list[Page] = yield Gather(flows, len(flows))
        items: list[Any] = []
        for segment, page in zip(reading, pages, strict=True):
            state.move(segment, page.last_key)
            items += page.items
        items = self.kept(items)
        if ready.filtered and self.look < MOST:
            self.look *= 2
        if self.left is not None:
            self.left -= len(items)
        self.done = state.done or self.left == 0
        self.start = None if state.done else state.encode()
        return items


def _state(request: Request, start: bytes | None) -> ScanState:
    segments = check_segments(request.segments)
    return ScanState(segments) if start is None else ScanState.decode(start, segments)


def width(session: Session) -> int:
    """How many segments are read side by side: no more than there are connections."""
    return min(MAX_AT_ONCE, session.config.performance.max_connections)


def _shares(size: int | None, count: int) -> list[int | None]:
    """How many items each of so many segments may bring, so that together they bring no more than ``size``."""
    if size is None:
        return [None] * count
    each, more = divmod(size, count)
    return [each + (number < more) for number in range(min(count, size))]


def _page(session: Session, ready: Ready, segment: int, state: ScanState, most: int | None, look: int) -> Flow[Page]:
    """A page of one segment, of at most ``most`` items."""
    start, more = state.at[segment], _segment(segment, state)
    if not ready.filtered or most is None:
        found = yield from session.call(ready.op(start, most, ready.read, more))
    else:
        found = yield from session.call(ready.op(start, max(most, look), lambda body: ready.cut(body, most), more))
    if ready.hydrates:
        from . import hydrate

        found = yield from hydrate.page(session, ready.request, found)
    page: Page = found
    return page


def _segment(segment: int, state: ScanState) -> bytes:
    return b',"Segment":%d,"TotalSegments":%d' % (segment, state.segments)


def count(session: Session, request: Request) -> Flow[int]:
    """How many items match, up to the limit."""
    turn = ScanTurn(request)
    ready = turn.begin(session)
    if ready.chosen.family:
        total = 0
        while not turn.done:
            total += len((yield from turn.next(session)))
        return total
    counting = ready.counting()
    state = _state(request, turn.start)
    total, look = 0, turn.look
    while not state.done and (request.limit is None or total < request.limit):
        segments = state.live(width(session))
        left = None if request.limit is None else request.limit - total
        most = left if left is None or not ready.filtered else max(left, look)
        ops = [
            counting.op(state.at[one], most, read_count, _segment(one, state) + b',"Select":"COUNT"')
            for one in segments
        ]
        look = min(look * 2, MOST)
        pages: list[tuple[int, int, bytes | None]] = yield Gather([session.call(op) for op in ops], len(ops))
        for segment, (found, _, key) in zip(segments, pages, strict=True):
            total += found
            state.move(segment, key)
    return total if request.limit is None else min(total, request.limit)
