"""Tells plugins of the end of each verb: `dynamorm.plugin.EndHook`. Used only where a plugin has such a hook."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from dynamorm.log import FailureLog

if TYPE_CHECKING:
    from dynamorm.effects import Flow
    from dynamorm.plugin import Operation, VerbFlow
    from dynamorm.wire.channel import Clock


class Ends:
    """The outermost layer around the verbs: ``hooks`` are the plugins' names and their hooks."""

    def __init__(self, hooks: tuple[tuple[str, Callable[..., Any]], ...], clock: Clock) -> None:
        self._hooks = tuple((ended, FailureLog(name, "ended")) for name, ended in hooks)
        self._clock = clock

    def __call__(self, verb: VerbFlow) -> VerbFlow:
        """The verb, whose end is told."""
        hooks, clock = self._hooks, self._clock.monotonic

        def ending(operation: Operation) -> Flow[Any]:
            error: BaseException | None = None
            try:
                return (yield from verb(operation))
            except BaseException as failure:  # cancelled, interrupted and closed, too
                error = failure
                raise
            finally:
                operation.took = clock() - operation.started
                for ended, failed in hooks:
                    try:  # in this frame, and not `shielded`: it is done for each verb
                        ended(operation, error)
                    except Exception as fault:  # noqa: BLE001 - the verb has ended
                        failed(fault)
                error = None  # else it would hold this frame, which holds it

        return ending
