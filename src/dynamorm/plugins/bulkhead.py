"""A bulkhead: so many requests at once to each table, or of each tenant, so that one that is slow takes no other along."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from datetime import timedelta
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, Final

from dynamorm.arguments import check_count, check_seconds, check_takes
from dynamorm.errors import Backpressure, ConfigError
from dynamorm.errors.log import close_coroutine, logger
from dynamorm.plugin import Acquire, Greatest, Limiter, OfOneProcess

if TYPE_CHECKING:
    from dynamorm.effects import Flow
    from dynamorm.plugin import Call, CallFlow

__all__ = ["Bulkhead"]

MOST: Final = 10_000
"""Compartments that are remembered: those in which nobody is give way, and begin anew when they are needed."""


_NO_ENTRIES: Final = {
    "tables": 'per="table"',
    "model": "per=lambda call: call.operation and call.operation.model",
    "verb": "per=lambda call: call.operation and call.operation.verb",
    "index": "per=lambda call: call.operation and call.operation.index",
}
"""What is no entry of a scope, and would put all requests into one compartment."""


class Bulkhead(OfOneProcess):
    """At most ``places`` requests at once in each compartment; others wait in order, ``queue`` of them at most.

    ``per`` says what a compartment is: ``"table"``; the name of an entry of the scope, such as ``"tenant"`` (requests of the
    database itself, without that entry, have one in common); or a function of the `dynamorm.plugin.Call`. ``timeout`` bounds
    the waiting in seconds, as the deadline of the caller does: then `PoolTimeout` or `DeadlineExceeded`. With a full queue
    it is `Backpressure`, at once. Nothing was sent in either case.

    A thread sleeps while it waits, and an event loop goes on. Several of them need a ``name`` each.

    Raises: ConfigError for a number below 1 (``queue``: below 0) and for what is no time.

    Example: ``db.use(Bulkhead(20), Bulkhead(5, per="tenant", queue=50, timeout=0.5, name="tenants"))``
    """

    def __init__(
        self,
        places: int,
        *,
        per: str | Callable[[Call], Hashable] = "table",
        queue: int = 1_000,
        timeout: float | timedelta | None = None,
        name: str = "bulkhead",
    ) -> None:
        self.name: str = name
        self._places = check_count("places", places, subject="places of a Bulkhead", error=ConfigError)
        self._queue = check_count("queue", queue, 0, subject="queue of a Bulkhead", error=ConfigError)
        if timeout is not None:
            timeout = check_seconds("timeout", timeout, subject="timeout of a Bulkhead", error=ConfigError)
        self._timeout = timeout
        self._place_of = _place_of(per, name)
        self.shows_verbs: bool = per != "table"  # which tell the scope
        self.limiters: dict[Hashable, Limiter] = {}

    def around(self, call: CallFlow) -> CallFlow:
        """Let a request wait for a place."""

        def limited(op: Call) -> Flow[Any]:
            with (yield from self._place(op)):
                return (yield from call(op))

        return limited

    def _place(self, op: Call) -> Flow[Any]:
        limiter = self._limiter(op)
        try:
            return (yield Acquire(limiter, self._timeout, queue=self._queue))
        except Backpressure:
            raise Backpressure(
                f"{limiter.held} requests are under way and {limiter.waiting} wait already (queue={self._queue} of {self.name}):"
                " nothing was sent; try again later, or give it more places",
                operation=op.name,
                table=op.table,
            ) from None

    def gauges(self) -> dict[str, float]:
        """How many requests are under way and wait, in the fullest compartment."""
        limiters = list(self.limiters.values())
        return {
            f"{self.name}_held": Greatest(max((one.held for one in limiters), default=0)),
            f"{self.name}_waiting": Greatest(max((one.waiting for one in limiters), default=0)),
        }

    def _limiter(self, op: Call) -> Limiter:
        place = self._place_of(op)
        if close_coroutine(place):  # each would be another place
            raise ConfigError(f"per of {self.name} gave a coroutine, which nobody awaits: give a plain function")
        limiter = self.limiters.get(place)
        if limiter is None:
            if len(self.limiters) >= MOST:
                for other, one in list(self.limiters.items()):
                    if not one.held and not one.waiting:
                        self.limiters.pop(other, None)
            limiter = self.limiters.setdefault(place, Limiter(self._places))
        return limiter


class _ByScope:
    """The compartments by an entry of the scope."""

    def __init__(self, entry: str, bulkhead: str) -> None:
        self._entry = entry
        self._bulkhead = bulkhead
        self._told = False

    def __call__(self, op: Call) -> Hashable:
        scope = None if op.operation is None else op.operation.scope
        if not scope:
            return None
        value = scope.get(self._entry)
        if value is None and not self._told:
            self._told = True
            logger.warning(
                "%s divides requests by the entry %s of the scope, and a view has only %s: requests without that entry share"
                " one compartment",
                self._bulkhead,
                self._entry,
                ", ".join(scope),
            )
        return value


def _place_of(per: Any, name: str) -> Callable[[Call], Hashable]:
    if per == "table":
        return lambda op: op.table
    if isinstance(per, str) and per:
        if per.lower() in _NO_ENTRIES:
            raise ConfigError(
                f'per of a Bulkhead is "table" or the name of an entry of the scope, such as "tenant"; by the {per} requests are'
                f" divided by a function: {_NO_ENTRIES[per.lower()]}"
            )
        return _ByScope(per, name)
    if not callable(per) or iscoroutinefunction(per):
        raise ConfigError(
            'per of a Bulkhead is "table", the name of an entry of the scope such as "tenant", or a plain function of a call,'
            f" not {'a coroutine function' if callable(per) else type(per).__name__}"
        )
    check_takes(per, ("call",), "per of a Bulkhead", error=ConfigError)
    function: Callable[[Call], Hashable] = per
    return function
