"""The values of one write, as its record holds them: those of protected fields are compared, and sealed, by their plugin.

What can be opened no more, for its key is gone, hinders no write: the record says that there was a value.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Collection, Mapping
from itertools import count
from typing import TYPE_CHECKING, Any, Final

from dynamorm.errors import KeyUnavailable
from dynamorm.plugin import NotReady, Unread

from ..values import Wire, bytes_of, canonical, joined
from .asking import T, is_gone, unless_gone

if TYPE_CHECKING:
    from dynamorm.ops.writes.draft import WriteDraft


def purpose(n: int) -> bytes:
    """What a value is sealed for: record ``n``."""
    return joined(b"audit", n.to_bytes(8, "big"))


class Values:
    """The values of one write that somebody follows, by their stored ``names``; of those that are ``redacted`` none is sealed."""

    def __init__(
        self,
        names: Collection[str],
        redacted: Collection[str],
        draft: WriteDraft | None,
        item: Mapping[str, Any] | None,
    ) -> None:
        placed = () if draft is None else draft.plan.codec.placed
        self._plans = {plan.stored: plan for plan in placed if plan.stored in names}
        self._redacted = redacted
        self._draft: Any = draft
        self._item = item or {}
        self._places: tuple[Any, Any] | None = None
        self._opened: dict[str, Any] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """The stored names of the protected fields among those that are tracked."""
        return tuple(self._plans)

    def fields(self) -> list[str]:
        """The names of these fields in the class."""
        return [plan.name for plan in self._plans.values()]

    def same(self, stored: str, old: Wire | None, new: Wire | None) -> bool:
        """Whether a write leaves a value as it is."""
        plan = self._plans.get(stored)
        if plan is None or not plan.waits(new):
            return bytes_of(old) == bytes_of(new)
        if old is None or "NULL" in old:
            return False
        was, will_be = self._value(stored, old), self._value(stored, new)
        return was is not None and will_be is not None and canonical(was) == canonical(will_be)

    def size(self, stored: str, wire: Wire | None) -> int:
        """Bytes that a value takes in a record."""
        if stored in self._plans and wire is not None and "NULL" not in wire:
            return 0 if self._plans[stored].waits(wire) else len(bytes_of(wire))
        return len(bytes_of(wire))

    def was(self, stored: str, wire: Wire | None) -> Any:
        """What a record tells of a protected value that was there: which one it was an earlier record has."""
        if wire is None or stored not in self._plans:
            return None
        return wire if "NULL" in wire else {"E": None}

    def sealed(self, n: int, stored: str, wire: Wire | None, largest: int) -> Any:
        """What record ``n`` holds of a protected value; None for what is none."""
        if wire is None or stored not in self._plans:
            return None
        if "NULL" in wire:
            return wire
        data = None if stored in self._redacted else self._sealed(n, stored, wire, largest)
        return {"E": None if data is None else b64encode(data).decode()}

    def _sealed(self, n: int, stored: str, wire: Any, largest: int) -> bytes | None:
        value = self._value(stored, wire)
        if value is None or len(bytes_of(value)) > largest:
            return None
        plan, place = self._plans[stored], self._place(after=self._plans[stored].waits(wire))
        return self._unless_gone(f"sealing {stored}", lambda: plan.hook.elsewhere(value, place, purpose(n)))

    def _value(self, stored: str, wire: Any) -> Any:
        """A value before it has the form in which it is stored; None where it can be opened no more. Raises: KeyUnavailable."""
        plan = self._plans[stored]
        if plan.waits(wire):
            value: Any = plan.before(wire, None)  # it waits for its place
        else:
            name = f"{stored} of the item"
            if name not in self._opened:
                place = self._place(after=False)
                self._opened[name] = self._unless_gone(name, lambda: plan.before(wire, place))
            value = self._opened[name]
        if not isinstance(value, Unread):
            return value
        why = getattr(value, "error", None)
        if isinstance(why, KeyUnavailable):
            raise why
        return None

    def _unless_gone(self, what: str, ask: Callable[[], T]) -> T | None:
        """What a function gives; None where that needs a key that is gone. Raises: NotReady, KeyUnavailable."""
        asking = unless_gone(ask)
        try:
            missing = next(asking)
            for tried in count():
                missing = asking.send(self._is_gone(f"{missing.name} ({what}, {tried})", missing))
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return] # what was asked for
        raise AssertionError  # it ends by then

    def _is_gone(self, name: str, missing: NotReady) -> bool:
        """Fetch what is missing, once for the verb; whether it is gone."""
        return bool(self._draft.fetch(name, lambda: is_gone(missing)))

    def _place(self, *, after: bool) -> Any:
        """Where the item is stored, with what is there before the write, or after it."""
        if self._places is None:
            draft, codec = self._draft, self._draft.plan.codec
            needed = {name for plan in self._plans.values() for name in plan.hook.depends_on({})}
            names = [plan.name for plan in codec.plans.values() if plan.stored in needed]
            left = {} if draft.verb == "delete" or not names else draft.after(*names)
            made = {**self._item, **{name: wire for name, wire in left.items() if wire is not None}}
            scope = draft.context.scope
            self._places = codec.place(draft.key, scope, self._item), codec.place(draft.key, scope, made)
        return self._places[after]


NONE_PROTECTED: Final = Values((), (), None, None)
"""The values of a write of which none is protected."""
