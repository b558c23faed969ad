"""batch_write: any number of puts and deletes of any models, and what became of each. Returns a flow.

Items are packed into requests, several of which are under way at once. Each item ends as written, failed or unknown;
`dynamorm.ops.batch_send` sends a request and says which.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

from dynamorm.batch_result import BatchFailure, BatchResult
from dynamorm.effects import Flow, Gather
from dynamorm.errors import DynamORMError, ValidationError

from .batch_get import at
from .batch_send import FAILED, WRITTEN, Entry, Load
from .pace import workers
from .plan import Plan
from .verbs import delete_write, put_write
from .write import Write

if TYPE_CHECKING:
    from dynamorm.session import Session

MAX_ITEMS: Final = 25
"""Items of one request.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchWriteItem.html
"""
MAX_BYTES: Final = 2 * 1024 * 1024
"""Bytes of JSON of one request, unless a single item has more. DynamoDB takes 16 MB: smaller ones share the work better
and are done within a request's time-out."""

_TURNS: Final = 10
_WAVE_BYTES: Final = 32 * 1024 * 1024
"""What is encoded ahead: so many requests for each worker, and so many bytes. This bounds the memory of a stream."""


def write(
    session: Session,
    puts: Iterable[Any],
    deletes: Iterable[Any],
    *,
    concurrency: int,
    keep: bool,
    progress: Callable[[int], Any] | None,
) -> Flow[BatchResult]:
    """Write everything and account for it."""
    limit = workers(session, concurrency)
    for name, given in (("puts", puts), ("deletes", deletes)):
        if isinstance(given, (str, bytes, dict)) or not isinstance(given, Iterable):
            raise ValidationError(
                f"batch_write: {name} is a list of objects, not a {type(given).__name__}: write [obj]", field=name
            )
    removals = [_removal(session, one, f"deletes[{place}]") for place, one in enumerate(deletes)]
    removed = {entry.address: entry for entry in removals}
    if isinstance(puts, Collection):  # everything is checked, and duplicates are found, before anything is sent
        every = [*_put_entries(session, puts, removed, strict=True), *removals]
        _supersede(every)
        return _all(session, iter(every), limit, stream=False, keep=keep, progress=progress)
    _supersede(removals)
    entries = chain(removals, _put_entries(session, puts, removed, strict=False))
    return _all(session, entries, limit, stream=True, keep=keep, progress=progress)


def _all(
    session: Session,
    entries: Iterator[Entry],
    limit: int,
    *,
    stream: bool,
    keep: bool,
    progress: Callable[[int], Any] | None,
) -> Flow[BatchResult]:
    load = Load(session, limit)
    result = BatchResult()
    done = 0
    waves = _waves(entries, limit)
    while (wave := _next(waves, done)) is not None:
        _supersede(wave)
        chunks = [load.send(chunk) for chunk in _chunks(wave)]
        if chunks:
            yield Gather(chunks, limit)
        for entry in wave:
            _account(result, entry, keep=keep)
        done += len(wave)
        if progress is not None:
            progress(done)
        if load.stopped is not None and stream:
            # Whatever is left is refused too: an endless stream must not be read to its end for that.
            if (more := next(entries, None)) is not None:
                load.refuse([more])
                _account(result, more, keep=keep)
                result.unread = True
            break
    return result


def _next(waves: Iterator[list[Entry]], done: int) -> list[Entry] | None:
    try:
        return next(waves, None)
    except Exception as error:
        error.add_note(f"batch_write had dealt with {done} items before; what was read since was not sent.")
        raise


def _waves(entries: Iterator[Entry], limit: int) -> Iterator[list[Entry]]:
    """The entries in lists that are sent one after the other, so that of two writes to one item the later one is last."""
    wave: list[Entry] = []
    size = 0
    for entry in entries:
        wave.append(entry)
        size += len(entry.request)
        if len(wave) >= limit * MAX_ITEMS * _TURNS or size >= _WAVE_BYTES:
            yield wave
            wave, size = [], 0
    if wave:
        yield wave


def _chunks(wave: list[Entry]) -> Iterator[list[Entry]]:
    """The entries that are to be sent, packed into requests."""
    chunk: list[Entry] = []
    size = 0
    for entry in wave:
        if entry.state or entry.heir is not None:
            continue
        if len(chunk) >= MAX_ITEMS or (chunk and size + len(entry.request) > MAX_BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append(entry)
        size += len(entry.request)
    if chunk:
        yield chunk


def _account(result: BatchResult, entry: Entry, *, keep: bool) -> None:
    """Put an entry into the list it belongs to. One that was superseded shares the fate of the one that took its place."""
    last = entry
    while last.heir is not None:
        last = last.heir
    if last.state == WRITTEN:
        last.request = b""  # what a long list holds of it is not needed any more
        result.count += 1
        if keep:
            result.written.append(entry.item)
        return
    assert last.error is not None  # whatever is not written says why
    (result.failed if last.state == FAILED else result.unknown).append(BatchFailure(entry.item, last.error))


def _supersede(entries: list[Entry]) -> None:
    """Of several writes to one item only the last is sent."""
    last: dict[Any, Entry] = {}
    for entry in entries:
        if entry.state:
            continue
        earlier = last.get(entry.address)
        if earlier is not None and earlier is not entry:
            earlier.heir = entry
        last[entry.address] = entry


def _put_entries(session: Session, puts: Iterable[Any], removed: dict[Any, Entry], *, strict: bool) -> Iterator[Entry]:
    """The entries of the objects to store. What cannot be stored raises if ``strict``, else it is an entry that failed."""
    for place, obj in enumerate(puts):
        error: Exception
        try:
            yield _put(session, obj, f"puts[{place}]", removed)
            continue
        except (DynamORMError, TypeError) as found:
            error = found
        wrong = at(error, f"puts[{place}]")
        if strict:
            raise wrong
        yield Entry.refused(obj, wrong)


def _put(session: Session, obj: Any, place: str, removed: dict[Any, Entry]) -> Entry:
    plan = session.plan(type(obj))
    _check(plan)
    write = put_write(session, obj, condition=None)
    head = plan.put_head
    assert write.body.startswith(head)  # without a condition a put says nothing but its item
    entry = _entry(obj, plan, write, b'{"PutRequest":{"Item":' + write.body[len(head) : -1] + b"}}")
    other = removed.get(entry.address)
    if other is not None:
        raise ValidationError(
            f"the {plan.codec.schema.name} is also to be deleted, by {other.place}: a batch has no order,"
            " so name each item in one of the lists"
        )
    entry.place = place
    return entry


def _removal(session: Session, given: Any, place: str) -> Entry:
    """The entry of an object, or of a model with a key, to delete."""
    error: Exception
    try:
        if given.__class__ is tuple:
            if len(given) < 2:
                raise ValidationError("a delete is an object, or a tuple of a model and its key")
            model, *key = given
            plan = session.plan(model)
            _check(plan)
            parts = key[0] if len(key) == 1 and key[0].__class__ is dict else {}
            write = delete_write(
                session, model, () if parts else tuple(key), parts, condition=None, must_exist=False, returning=None
            )
        else:
            plan = session.plan(type(given))
            _check(plan)
            write = delete_write(session, given, (), {}, condition=None, must_exist=False, returning=None)
        entry = _entry(given, plan, write, b'{"DeleteRequest":{"Key":' + write.key + b"}}")
    except (DynamORMError, TypeError) as found:
        error = found
    else:
        entry.place = place
        return entry
    raise at(error, place)


def _entry(item: Any, plan: Plan, write: Write, request: bytes) -> Entry:
    if write.also:
        raise _together(plan)
    return Entry(item, plan, write.kind, write.key, request, write.done)


def _check(plan: Plan) -> None:
    """Refuse models whose writes need a transaction."""
    if plan.guarded:
        raise _together(plan)


def _together(plan: Plan) -> ValidationError:
    name = plan.codec.schema.name
    return ValidationError(
        f"each write of a {name} must be applied together with others (a unique attribute, for one), which a batch"
        " cannot do: use db.create, db.put and db.delete, or a transaction"
    )
