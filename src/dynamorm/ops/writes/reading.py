"""Rules that read other items than the one that is written, or fetch something.

That is done when a rule asks for it, and then the write is built again.

What they have read lasts for one verb. A write that is refused after one of these items has changed is built of what is
there then, so a rule that counts, or that links records to a chain, misses nothing that others write meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final

from dynamorm.effects import Flow, Gather, Sleep
from dynamorm.errors import (
    AlreadyExists,
    ConditionFailed,
    ConfigError,
    DuplicateKey,
    DynamORMError,
    MissingItem,
    Outcome,
    TransactionCancelled,
    TransactionConflict,
    ValidationError,
    VersionConflict,
)
from dynamorm.models.schema.placed import NotReady
from dynamorm.ops.calls.in_time import in_time
from dynamorm.ops.reads.last import LastKey, read_last
from dynamorm.wire.reply import Kind

from .write import MustFetch, MustRead, Write, read_back, refusal

if TYPE_CHECKING:
    from dynamorm.ops.calls.op import Op
    from dynamorm.ops.context import Context
    from dynamorm.ops.requests import ModelRequests

    from .pending import Pending

MOST: Final = 200
"""Items that the rules of one verb may read: two for each of the 100 operations that a transaction has at most."""

FETCHES: Final = 100
"""Things that the fields of one verb may wait for: a transaction has at most as many writes."""

_LASTING: Final = frozenset({AlreadyExists, VersionConflict, MissingItem, DuplicateKey})
"""The refusals of a caller's own write that say what is stored under its key, whatever rules have read of other items."""


class Reads:
    """What the rules of one verb have read: the JSON by table and key, None for what is not there.

    ``late``: what is stored under a write's own key is read here too, for the write is built where others wait for it.
    ``final``: no item that was read is to blame that the transaction was refused, so it is not built again; None: there was none.
    ``pending`` is what the operations of a transaction are about to write, while these are built; ``replaced`` are the writes
    among them that another one stands for.
    """

    __slots__ = ("final", "items", "late", "pending", "plans", "replaced", "results")

    def __init__(self, *, late: bool = False) -> None:
        self.late: bool = late
        self.final: bool | None = None
        self.pending: Pending | None = None
        self.replaced: list[Write] = []
        self.results: dict[Any, Any] = {}  # of what was fetched, by its name and where it was asked for
        self.items: dict[tuple[str, bytes], bytes | None] = {}
        self.plans: dict[tuple[str, bytes], ModelRequests] = {}

    def of(self, plan: ModelRequests, key: bytes) -> bytes | None:
        """What is stored under a key. Raises: MustRead, which reads it."""
        place = plan.table, key
        if place not in self.items:
            raise MustRead(plan, key, other=True)
        return self.items[place]

    def result(self, name: str, flow: Callable[[], Flow[Any]]) -> Any:
        """What a flow has given, which is run once. Raises: MustFetch, which runs it."""
        place = name, _origin(flow)
        if place not in self.results:
            raise MustFetch(name, flow, place)
        return self.results[place]

    def refused(self, operations: Iterable[Write | None], failed: Iterable[tuple[Write, bytes | None]]) -> None:
        """A transaction was refused for the conditions of these writes, each with what is stored under its key.

        Where one of them is the caller's own, and another state of what rules have read cannot mend it, it is final: such as
        a create of an item that is there.
        """
        own = [write for write in operations if write is not None]
        own += [companion for write in own for companion in write.together_with if not companion.added_by]
        self.final = any(
            any(write is one for one in own)
            and (write.plan.table, write.key) not in self.items
            and (
                type(refusal(write, raw, {})) in _LASTING
                or not (write.demanded or write.if_unchanged or write.instead_of)
            )
            for write, raw in failed
        )

    def is_final(self, error: DynamORMError) -> bool:
        """Whether building the verb again cannot help it."""
        if self.final is None:  # it was one request, of the caller's own write
            return type(error) in _LASTING and all(table != error.table for table, _ in self.items)
        return self.final

    def read(self, context: Context, plan: ModelRequests, key: bytes) -> Flow[None]:
        """Read an item. Raises: ValidationError when these are too many."""
        if len(self.items) >= MOST:
            raise ValidationError(f"the rules of one verb read at most {MOST} other items; these read more")
        place = plan.table, key
        self.items[place] = yield from context.call(_read(plan, key))
        self.plans[place] = plan

    def changed(self, context: Context) -> Flow[bool]:
        """Read all of them again. Whether any has changed."""
        places = list(self.items)
        ops = [_read(self.plans[place], place[1]) for place in places]
        raws: list[bytes | None] = yield Gather([context.call(op) for op in ops], len(ops))
        fresh = dict(zip(places, raws, strict=True))
        before, self.items = self.items, fresh
        return fresh != before


def _read(plan: ModelRequests, key: bytes) -> Op:
    return read_last(plan, key) if isinstance(key, LastKey) else read_back(plan, key, purpose="guard")


def reading(context: Context, verb: Callable[[Context], Flow[Any]]) -> Flow[Any]:
    """Run a verb whose rules may read: ``verb`` makes its flow, as often as it is asked to."""
    context = context.bounded()
    context.reads = reads = Reads()
    channel, end, conflicts, fetched = context.channel, context.end(), 0, 0
    begin = getattr(context.random_bytes, "begin", None)  # of a write whose token was drawn before
    while True:
        reads.final = None
        if begin is not None:
            begin()
        try:
            return (yield from verb(context))
        except MustRead as unread:
            if not unread.other:
                raise unread.told() from None
            yield from reads.read(context, unread.plan, unread.under)
        except MustFetch as missing:
            reads.results[missing.place] = yield from in_time(missing.flow(), f"what a rule fetches ({missing.name})")
        except NotReady as missing:
            if (fetched := fetched + 1) > FETCHES:
                raise
            yield from in_time(missing.flow(), f"what a field needs ({missing.name})")
        except (ConditionFailed, TransactionCancelled, TransactionConflict) as error:
            if not reads.items or error.outcome is not Outcome.NOT_APPLIED or reads.is_final(error):
                raise
            delay = channel.retry.delay(Kind.CONFLICT, min(conflicts, 4), channel.random())
            if channel.clock.monotonic() + delay >= end or not (yield from reads.changed(context)):
                raise
            yield Sleep(delay)
            conflicts += 1


def _origin(flow: Callable[[], Flow[Any]]) -> Any:
    """What tells a flow from one of another rule: its code, and the object whose method it is. Raises: ConfigError."""
    function: Any = getattr(flow, "__func__", flow)
    code = getattr(function, "__code__", None)
    if code is None:
        raise ConfigError(
            f"draft.fetch takes a function that gives a flow, lambda: self.key(), not {type(flow).__name__}"
        )
    return code, id(getattr(flow, "__self__", None))
