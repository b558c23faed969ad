"""The replay of a spool: what a process has left there is settled, in order for each key, and accounted for.

What cannot be written now stays where it is and is reported; it holds up no other key. It must not know how an item is sent.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from dynamorm import BatchFailure, BatchResult
from dynamorm.effects import Flow, Gather
from dynamorm.errors import DynamORMError, Outcome, Spooled, Superseded
from dynamorm.errors.log import logger

from .keeping import Kept, is_last_word, kept
from .pending import stands_for

if TYPE_CHECKING:
    from .spool import Spool
    from .work import Items

_OVER: Final = "over"
_STAYS: Final = "stays"


class Entry:
    """One item of a spool. ``state`` is empty until it is known whether it is over, or stays in the spool."""

    __slots__ = ("address", "error", "given", "item", "seq", "state", "verb")

    def __init__(self, seq: int, address: Any, verb: str, given: Any) -> None:
        self.seq: int = seq
        self.address: Any = address
        self.verb: str = verb
        self.given: Any = given
        self.item: Any = None
        self.error: DynamORMError | None = None
        self.state: str = ""


class Replay:
    """Settles what is left in a spool; where the service cannot be asked, as much as it could, and the rest the next time."""

    def __init__(self, items: Items, spool: Spool, kept: Kept) -> None:
        self._items, self._spool, self._kept = items, spool, kept
        self._over: list[Entry] = []  # of all times
        self._lines: dict[Any, list[Entry]] = {}
        self._others: list[Entry] = []  # of other scopes

    def flow(self, parallelism: int) -> Flow[None]:
        """The flow. Raises: what shows that the service cannot be asked now."""
        self._kept.clear()
        self._lines, self._others = {}, []
        for seq, data in sorted(self._spool.left.items()):
            entry = yield from self._entry(seq, data)
            if entry is not None:
                self._lines.setdefault(entry.address, []).append(entry)
        if self._others:
            logger.warning(
                "%d items of a spool belong to other scopes than that of this database or view, and stay there: a batcher of the"
                " view that added them writes them",
                len(self._others),
            )
        yield Gather([self._line(line) for line in self._lines.values()], parallelism)

    def _entry(self, seq: int, data: bytes) -> Flow[Entry | None]:
        """The entry of a record; none for one of another scope, which only stays. Raises: ConfigError for another database."""
        try:
            known = self._items.known(data)
        except DynamORMError as error:
            entry = Entry(seq, seq, "", None)
            self._stays([entry], self._blocked(entry, error))
            return entry
        self._items.check_home(known)  # before anything is sent: the spool stays as it is
        if not known.is_mine:
            self._kept.stay(known.address, (seq,), known.verb, None)
            self._others.append(Entry(seq, known.address, known.verb, None))
            return None
        entry = Entry(seq, known.address, known.verb, known.given)
        try:
            entry.item = yield from self._items.revive(data)
        except Exception as error:  # noqa: BLE001 - one that cannot be read keeps no other from being written
            entry.error = self._blocked(entry, error)
        else:
            entry.given = entry.item.item
            entry.item.sent = seq in self._spool.begun
        return entry

    def _blocked(self, entry: Entry, error: Exception) -> Spooled:
        """What is said of an item that cannot be replayed."""
        path = self._spool.home(entry.seq)
        why = error.message if isinstance(error, DynamORMError) else f"{type(error).__name__} was raised"
        found = kept(
            f"{why}; it is kept in the spool file {path}, as item {entry.seq}: mend that, and open the batcher again, or move"
            " the file away and look after its items yourself",
            error,
        )
        logger.warning("an item of a spool cannot be replayed: %s", found.safe)
        return found

    def _line(self, line: list[Entry]) -> Flow[None]:
        """Settle the items of one key."""
        kin = [entry.item for entry in line if entry.item is not None]
        waiting: list[Entry] = []  # whose end is that of the one that stands for them
        stuck: list[Entry] = []  # that stay, as far as it is known
        is_open = False  # an answer was lost: a late copy must find no later write
        for place, entry in enumerate(line):
            after = line[place + 1].item if place + 1 < len(line) else None
            if entry.item is None:
                stuck.append(entry)
            elif is_open or (stuck and entry.verb):
                entry.error = kept(
                    "an item of the same key was added before it, and is not settled; it is kept in the spool, and the next"
                    " batcher of the directory writes it",
                    None,
                )
                stuck.append(entry)
            elif after is not None and stands_for(after, entry.item):
                waiting.append(entry)
            else:
                yield from self._one(entry, kin)
                for before in waiting:
                    before.error, before.item.sent = entry.error, before.item.sent or entry.item.sent
                some, waiting = [*waiting, entry], []
                if entry.error is None:  # what stays before it is not missing now
                    self._end([*stuck, *some], None)
                    stuck = []
                elif is_last_word(entry.error):
                    self._end(some, entry.error)
                else:
                    is_open = entry.error.outcome is Outcome.UNKNOWN and not isinstance(entry.error, Spooled)
                    stuck += some
        self._stays(stuck, None)

    def _one(self, entry: Entry, kin: list[Any]) -> Flow[None]:
        """Write one item, or find out why not. Raises: what shows that the service cannot be asked now."""
        item = entry.item
        try:
            yield from self._items.replay(item, kin)
        except DynamORMError as error:
            if _cannot_be_asked(error):
                raise
            entry.error = self._blocked(entry, error)
        except Exception as error:  # noqa: BLE001 - of a rule: it is none of the others' business
            entry.error = self._blocked(entry, error)
        else:
            found = item.error
            if found is not None and _cannot_be_asked(found):
                item.state, item.error = "", None
                raise found
            if found is not None and found.outcome is Outcome.NOT_APPLIED and not is_last_word(found):
                found = self._blocked(entry, found)
            entry.error = found

    def _end(self, entries: list[Entry], error: DynamORMError | None) -> None:
        """These are over: the spool forgets them at once."""
        for entry in entries:
            entry.state, entry.error = _OVER, error
        self._over += entries
        self._spool.end(entry.seq for entry in entries)

    def _stays(self, entries: list[Entry], error: DynamORMError | None) -> None:
        """These stay in the spool."""
        for entry in entries:
            entry.state, entry.error = _STAYS, error or entry.error
            self._kept.stay(entry.address, (entry.seq,), entry.verb, None)

    def _entries(self) -> Iterator[Entry]:
        yield from self._over
        for line in self._lines.values():
            yield from (entry for entry in line if entry.state == _STAYS)

    def result(self, *, keep: bool) -> BatchResult:
        """What became of them, in the order in which they were added."""
        result = BatchResult()
        for entry in sorted(self._entries(), key=lambda one: one.seq):
            error = entry.error
            if error is None:
                result.count += 1
                if keep:
                    result.written.append(entry.given)
                continue
            of = result.unknown if error.outcome is Outcome.UNKNOWN else result.failed
            if isinstance(error, Superseded):
                of = result.superseded
            elif isinstance(error, Spooled):
                of = result.kept
            of.append(BatchFailure(entry.given, error))
        return result

    def doubtful(self) -> list[Any]:
        """The addresses of which a copy may still come late."""
        begun = self._spool.begun
        return [
            entry.address
            for entry in (*self._entries(), *self._others)
            if (entry.item is not None and entry.item.doubt) or (entry.seq in begun and not entry.verb)
        ]


def _cannot_be_asked(error: DynamORMError) -> bool:
    """Whether the service is away, or the time is over: the others would fare no better."""
    return error.retryable and error.outcome is Outcome.NOT_APPLIED
