"""What the rules of one transaction are about to write of items that they have read: the next rule goes on from there.

DynamoDB takes one write of an item in a transaction. So where several operations move one head, such as that of a chain, each
reads it as the one before leaves it, and the last write of it is the one that is sent: it holds what all have changed.
Used while the operations of a transaction are built whose rules read. It must not know which rules there are.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import TYPE_CHECKING, Any

from msgspec import Struct

if TYPE_CHECKING:
    from dynamorm.ops.context import Context
    from dynamorm.ops.requests import ModelRequests

    from .reading import Reads
    from .write import Write


class _Entry(Struct, eq=False):
    """One item: the write of it so far, and the values of its object then; None for a check, which changes nothing."""

    model: type[Any]
    write: Write
    raw: bytes | None
    values: dict[str, Any] | None


class Pending:
    """The writes of items that were read, by table and key. ``replaced`` are those in whose place there is a later one."""

    __slots__ = ("_entries", "_given", "replaced")

    def __init__(self, entries: dict[tuple[str, bytes], _Entry] | None = None) -> None:
        self._entries: dict[tuple[str, bytes], _Entry] = {} if entries is None else entries
        self._given: list[Any] = []  # the objects that were given out as they will be
        self.replaced: list[Write] = []

    def copy(self) -> Pending:
        """What is pending now, apart from what comes after."""
        return Pending(dict(self._entries))

    def as_will_be(self, context: Context, plan: ModelRequests, key: bytes, obj: Any) -> Any:
        """The object of an item as it will be; ``obj`` is the one that is stored."""
        entry = self._entries.get((plan.table, key))
        if entry is None:
            return obj
        if entry.values is not None:
            codec, values = context.plan(entry.model).codec, deepcopy(entry.values)
            if entry.raw is None:
                obj = codec.new(**values)
            else:
                obj = codec.decode(entry.raw)
                codec.give(obj, values)
        self._given.append(obj)
        return obj

    def takes(self, context: Context, verb: str, obj: Any, write: Write) -> bool:
        """Note a write of an object that a rule adds. Whether it is to be sent: a check of what is written or checked is not."""
        place = write.plan.table, write.key
        reads = context.reads
        if verb not in {"save", "create", "check"} or reads is None or place not in reads.items or write.instead_of:
            return True
        entry = self._entries.get(place)
        if entry is not None:
            if not any(obj is given for given in self._given):
                return True  # it does not go on from there: two writes of one item, which are refused
            if verb == "check":
                return False
            self.replaced.append(entry.write)
        codec = context.plan(type(obj)).codec
        values = None
        if verb != "check":
            plans = codec.record.plans
            values = deepcopy({plan.name: getattr(obj, plan.name) for plan in plans if hasattr(obj, plan.name)})
        raw = None if codec.loaded(obj) is None else reads.items[place]
        self._entries[place] = _Entry(type(obj), write, raw, values)
        return True


def keep_others(reads: Reads, before: Pending, write: Write) -> None:
    """Let an operation that is built in another form be built of what was pending then, with such writes beside it."""
    assert write.forms is not None  # else it has one form only
    write.forms.build = _Again(reads, before, write, write.forms.build)


class _Again:
    """Builds an operation again."""

    def __init__(self, reads: Reads, before: Pending, write: Write, build: Callable[..., Write]) -> None:
        self._reads, self._before, self._write, self._build = reads, before, write, build

    def __call__(self, **states: Any) -> Write:
        reads = self._reads
        reads.pending = self._before.copy()
        try:
            other = self._build(**states)
        finally:
            reads.pending = None
        self._stand_in(other)
        if other.forms is not None:
            keep_others(reads, self._before, other)
        return other

    def _stand_in(self, other: Write) -> None:
        """Let what goes along with the other form stand where that of the first one stood.

        It is built anew, for it may tell what the form writes, and that of the first form is never sent. What a later operation
        of the transaction writes in its place is not sent either.
        """
        replaced = self._reads.replaced
        places = {(old.plan.table, old.key) for old in self._write.together_with if any(old is one for one in replaced)}
        replaced += [new for new in other.together_with if (new.plan.table, new.key) in places]
