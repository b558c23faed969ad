"""batch_write: any number of puts and deletes of any models, and what became of each. Returns a flow.

Items are packed into requests, several of which are under way at once. Each item ends as written, failed or unknown;
`dynamorm.ops.verbs.batch_send` sends a request and says which.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from functools import partial
from importlib import import_module
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, TypeVar

from dynamorm.effects import Flow, Gather
from dynamorm.errors import DynamORMError, ValidationError
from dynamorm.models.schema.placed import NotReady
from dynamorm.models.schema.schema import tags_of
from dynamorm.ops.callbacks import check_progress, told
from dynamorm.ops.calls.backoff import workers
from dynamorm.ops.calls.in_time import in_time
from dynamorm.ops.reads.batch_get import at
from dynamorm.ops.reads.items import key_from_parts
from dynamorm.ops.requests import ModelRequests
from dynamorm.ops.writes import token_ring
from dynamorm.ops.writes.draft import WriteDraft
from dynamorm.ops.writes.reading import FETCHES
from dynamorm.ops.writes.rules import AsksHooks, gave

from .batch_result import BatchFailure, BatchResult
from .batch_send import FAILED, OVERHEAD, WRITTEN, Entry, Load
from .put import item_of, next_version

if TYPE_CHECKING:
    from datetime import datetime

    from dynamorm.ops.context import Context

E = TypeVar("E", bound=Entry)

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
    context: Context,
    puts: Iterable[Any],
    deletes: Iterable[Any],
    *,
    concurrency: int,
    keep: bool,
    progress: Callable[[int], Any] | None,
) -> Flow[BatchResult]:
    """Write everything and account for it."""
    limit = workers(context, concurrency)
    if context.finishers:
        raise ValidationError(
            f"the plugin {context.finishers[0][0]} adds to each transaction, and a batch is none: use single writes, or a"
            " transaction"
        )
    if progress is not None:
        check_progress(progress, "the number of items dealt with so far")
    for name, given in (("puts", puts), ("deletes", deletes)):
        if isinstance(given, (str, bytes, dict)) or not isinstance(given, Iterable):
            raise ValidationError(
                f"batch_write: {name} is a list of objects, not a {type(given).__name__}: write [obj]", field=name
            )
    try:
        removals = [removal(context, target, f"deletes[{place}]", Entry) for place, target in enumerate(deletes)]
        removed = {entry.address: entry for entry in removals}
        if isinstance(puts, Collection):  # everything is checked, and duplicates are found, before anything is sent
            entries = _put_entries(context, puts, removed, strict=True)
            if context.rules_may_read:
                return _when_ready(
                    context, entries, removals, limit, keep=keep, progress=progress,
                    hooked=lambda: _hooked(context, puts, deletes, concurrency=concurrency, keep=keep, progress=progress),
                )  # fmt: skip
            every: list[Any] = [*entries, *removals]
            _supersede(every)
            return _all(context, iter(every), limit, stream=False, keep=keep, progress=progress)
        _supersede(removals)
        entries = chain(removals, _put_entries(context, puts, removed, strict=False))
        return _all(context, entries, limit, stream=True, keep=keep, progress=progress)
    except AsksHooks:
        if iter(puts) is puts or iter(deletes) is deletes:
            raise
        return _hooked(context, puts, deletes, concurrency=concurrency, keep=keep, progress=progress)


def _hooked(context: Context, puts: Any, deletes: Any, *, keep: bool, **options: Any) -> Flow[BatchResult]:
    """The batch with the hooks of its objects around it."""
    again = partial(write, puts=puts, deletes=deletes, **options)
    # By name: only where a model has hooks.
    flow: Flow[BatchResult] = import_module("dynamorm.ops.verbs.hooked").batch(context, puts, deletes, again, keep=keep)
    return flow


def _when_ready(
    context: Context,
    entries: Iterator[Entry | NotReady],
    removals: list[Entry],
    limit: int,
    *,
    keep: bool,
    progress: Callable[[int], Any] | None,
    hooked: Callable[[], Flow[BatchResult]],
) -> Flow[BatchResult]:
    """As `_all`, of a list of puts, some of which may wait for something. ``hooked`` is the batch with hooks, where it needs any."""
    every: list[Entry] = []
    try:
        for entry in entries:
            if isinstance(entry, NotReady):
                yield from fetched(entry)
            else:
                every.append(entry)
    except AsksHooks:
        return (yield from hooked())
    every += removals
    _supersede(every)
    return (yield from _all(context, iter(every), limit, stream=False, keep=keep, progress=progress))


def fetched(waiting: NotReady) -> Flow[None]:
    """Fetch what a field needs."""
    yield from in_time(waiting.flow(), f"what a field needs ({waiting.name})")


def _all(
    context: Context,
    entries: Iterator[Entry | NotReady],
    limit: int,
    *,
    stream: bool,
    keep: bool,
    progress: Callable[[int], Any] | None,
) -> Flow[BatchResult]:
    load = Load(context, limit)
    result = BatchResult()
    done = 0
    waves = _waves(entries, limit)
    while (wave := _next(waves, done)) is not None:
        if wave.__class__ is not list and isinstance(wave, NotReady):
            yield from fetched(wave)
            continue
        if stream:
            _supersede(wave)
        chunks = [load.send(chunk) for chunk in _chunks(wave)]
        if chunks:
            yield Gather(chunks, limit)
        account(result, wave, keep=keep)
        done += len(wave)
        if progress is not None:
            told(progress, done)
        if stream and any(error_ends(entry.error) for entry in wave):
            result.unread = True
            break
        if load.stopped is not None and stream:
            # Whatever is left is refused too: an endless stream must not be read to its end for that.
            if (more := next((entry for entry in entries if isinstance(entry, Entry)), None)) is not None:
                load.refuse([more])
                account(result, [more], keep=keep)
                result.unread = True
            break
    return result


def _next(waves: Iterator[list[Entry] | NotReady], done: int) -> Any:
    try:
        return next(waves, None)
    except Exception as error:
        error.add_note(f"batch_write had dealt with {done} items before; what was read since was not sent.")
        raise


def _waves(entries: Iterator[Entry | NotReady], limit: int) -> Iterator[list[Entry] | NotReady]:
    """The entries in lists that are sent one after the other, so that of two writes to one item the later one is last.

    Between them what the next entry waits for.
    """
    wave: list[Entry] = []
    size = 0
    entry: Any  # or what the next one waits for
    for entry in entries:
        if entry.__class__ is not Entry and isinstance(entry, NotReady):
            yield entry
            continue
        wave.append(entry)
        size += len(entry.content) + OVERHEAD
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
        more = len(entry.content) + OVERHEAD
        if entry.checked:  # a batch has no conditions
            yield [entry]
            continue
        if len(chunk) >= MAX_ITEMS or (chunk and size + more > MAX_BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append(entry)
        size += more
    if chunk:
        yield chunk


def account(result: BatchResult, wave: list[Entry], *, keep: bool) -> None:
    """Put each entry into the list it belongs to. One that was superseded shares the fate of the one in its place."""
    for entry in wave:
        last = entry
        while last.heir is not None:
            last = last.heir
        if last.state == WRITTEN:
            last.content = b""  # what a long list holds of it is not needed any more
            result.count += 1
            if keep:
                result.written.append(entry.item)
            continue
        assert last.error is not None  # whatever is not written says why
        (result.failed if last.state == FAILED else result.unknown).append(BatchFailure(entry.item, last.error))


def _supersede(entries: list[Entry]) -> None:
    """Of several writes to one item only the last is sent."""
    last: dict[Any, Entry] = {}
    for entry in entries:
        if entry.state:
            continue
        earlier = last.get(entry.address)
        if earlier is not None and earlier is not entry and _same_write(earlier, entry):
            earlier.heir = entry
        last[entry.address] = entry


def _same_write(earlier: Entry, later: Entry) -> bool:
    """Whether two writes to one item do the same: deletes of two classes, where one is checked, may end otherwise."""
    return earlier.plan is later.plan or not (earlier.checked or later.checked)


def _put_entries(
    context: Context, puts: Iterable[Any], removed: dict[Any, Entry], *, strict: bool
) -> Iterator[Entry | NotReady]:
    """The entries of the objects to store. What cannot be stored raises if ``strict``, else it is an entry that failed.

    Where an object waits for something, that comes first, and is to be fetched before the next one is asked for.
    """
    share = Share(context, len(puts) if isinstance(puts, Collection) else MAX_ITEMS)
    for place, obj in enumerate(puts):
        error: Exception | None = None
        for _ in range(FETCHES):
            try:
                entry = put_entry(share, obj, Entry)
                if removed and (removal := removed.get(entry.address)) is not None:
                    raise ValidationError(
                        f"the {entry.plan.codec.schema.name} is also to be deleted, by {removal.place}: a batch has no"
                        " order, so name each item in one of the lists"
                    )
            except NotReady as waiting:
                error = waiting
                yield waiting
                continue
            except (DynamORMError, TypeError) as failure:
                error = failure
            else:
                error = None
                yield entry
            break
        if error is None:
            continue
        wrong = at(error, f"puts[{place}]")
        if strict:
            raise wrong
        yield Entry.refused(obj, wrong)
        if error_ends(wrong):
            return


def error_ends(error: Any) -> bool:
    """Whether nothing of a stream is read any more behind an object that failed with this error."""
    return isinstance(error, DynamORMError) and error.ends_stream


class Share:
    """What the puts of one batch have in common: plans, the time, and random bytes drawn for ``count`` puts at once.

    ``proven``: each item stores the token of its put, also one without a version, so that what is stored tells whose it is.
    """

    def __init__(
        self,
        context: Context,
        count: int,
        *,
        plans: dict[type, ModelRequests] | None = None,
        proven: bool = False,
    ) -> None:
        self.context = context
        self.plans: dict[type, ModelRequests] = {} if plans is None else plans
        self.proven: bool = proven
        self._count = count
        self._tokens: Iterator[bytes] = iter(())
        self.now: datetime | None = None

    def plan(self, model: type) -> ModelRequests:
        """The plan of a model whose objects a batch can store. Raises: ValidationError."""
        plan = self.context.plan(model)
        _check(plan, "put")
        self.plans[model] = plan
        return plan

    def token(self) -> bytes:
        """A new token for one write."""
        token = next(self._tokens, None)
        if token is None:
            drawn, size = self.context.random_bytes(token_ring.TOKEN * self._count), token_ring.TOKEN
            self._tokens = iter([drawn[start : start + size] for start in range(0, len(drawn), size)])
            self.now = self.context.now()
            token = next(self._tokens)
        return token


def put_entry(share: Share, obj: Any, entry: type[E]) -> E:
    """The entry of an object to store, encoded now. Raises: ValidationError, NotInABatch."""
    kind = type(obj)
    plan = share.plans.get(kind) or share.plan(kind)
    loaded = plan.codec.loaded(obj)
    number, kept = (0, None) if loaded is None else next_version(plan, obj, loaded)
    token = share.token()
    # As of a single put, unless what is stored has to tell whose it is.
    tokens = token_ring.fresh(token) if share.proven or plan.version is not None else b""
    draft = _ruled(share.context, plan, obj, loaded) if plan.rules["put"] else None
    key, content, times = item_of(
        share.context, plan, obj, number, tokens, loaded, kept=kept, now=share.now, draft=draft
    )
    if draft is not None and (draft.terms or draft.together_with):
        raise _not_in_a_batch(plan)
    return entry(obj, plan, "Put", key, content, (plan.table, key), number, times)


def _ruled(context: Context, plan: ModelRequests, obj: Any, loaded: bytes | None) -> WriteDraft:
    """The draft of a put, which the rules have seen: only those that a batch can keep."""
    draft = WriteDraft(context, plan, "put", "Put", obj, loaded)
    if draft.passed() is not None:
        raise _not_in_a_batch(plan)
    return draft


class NotInABatch(ValidationError):
    """A write that only conditions or other writes make right, which a batch cannot have."""


def _not_in_a_batch(plan: ModelRequests) -> ValidationError:
    return NotInABatch(
        f"a rule of {plan.codec.schema.name} adds a condition or another write, which a batch cannot have: use db.put and"
        " db.delete, or a transaction"
    )


def removal(context: Context, given: Any, place: str, entry: type[E]) -> E:
    """The entry of an object, or of a model with a key, to delete. Raises: ValidationError."""
    error: Exception
    try:
        if given.__class__ is tuple:
            if len(given) < 2:
                raise ValidationError("a delete is an object, or a tuple of a model and its key")
            model, *key = given
            plan = context.plan(model)
            _check(plan, "delete")
            parts = key[0] if len(key) == 1 and key[0].__class__ is dict else {}
            json = plan.codec.key_json(key_from_parts(plan, (), parts) if parts else tuple(key))
            is_loaded = False
        else:
            plan = context.plan(type(given))
            _check(plan, "delete")
            json = plan.codec.key_of(given)
            is_loaded = plan.codec.loaded(given) is not None
    except (DynamORMError, TypeError) as failure:
        error = failure
    else:
        checked = not is_loaded and bool(tags_of(plan.codec.schema))
        if plan.rules_of_batch_deletes:
            try:
                _check_removal(context, plan, None if given.__class__ is tuple else given, json)
            except DynamORMError as refused:
                raise at(refused, place) from refused.__cause__
        return entry(given, plan, "Delete", json, json, (plan.table, json), place=place, checked=checked)
    raise at(error, place)


def _check_removal(context: Context, plan: ModelRequests, obj: Any, key: bytes) -> None:
    """Let the rules of plugins see a delete in a batch. Raises: ValidationError for what a batch cannot keep."""
    draft = WriteDraft(context, plan, "delete", "Delete", obj, None if obj is None else plan.codec.loaded(obj))
    draft.key = key
    if draft.passed(plan.rules_of_batch_deletes) is not None:
        raise _not_in_a_batch(plan)
    draft.contributed(plan.rules_of_batch_deletes)
    if draft.terms or draft.together_with:
        raise _not_in_a_batch(plan)


def remove(
    context: Context, plan: ModelRequests, keys: Iterable[tuple[Any, ...]], *, concurrency: int
) -> Flow[BatchResult]:
    """Delete the items of a model that have just been read, whose keys these are, without a condition."""
    entries = []
    for key in keys:
        json = plan.codec.key_json(key)
        entries.append(Entry((plan.model, *key), plan, "Delete", json, json, (plan.table, json)))
    return _all(context, iter(entries), workers(context, concurrency), stream=False, keep=False, progress=None)


def _check(plan: ModelRequests, verb: str) -> None:
    """Refuse models whose writes need a transaction, or have rules for the verb that a batch cannot keep.

    Raises: ValidationError.
    """
    if plan.guarded:
        raise _together(plan)
    for rule in plan.rules[verb]:
        check: Callable[[ModelRequests], Any] = rule.check_batch
        answer = check(plan)
        if answer is not None:
            raise gave(rule, "check_batch", answer)


def _together(plan: ModelRequests) -> ValidationError:
    name = plan.codec.schema.name
    return ValidationError(
        f"each write of a {name} must be applied together with others (a unique attribute, for one), which a batch"
        " cannot do: use db.create, db.put and db.delete, or a transaction"
    )
