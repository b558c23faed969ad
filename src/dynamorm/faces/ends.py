"""Tells plugins of the beginning and the end of each verb: `dynamorm.plugin.EndHook`. Used only where a plugin asks for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from msgspec.structs import force_setattr

from dynamorm.log import FailureLog, interrupts, shielded

if TYPE_CHECKING:
    from dynamorm.effects import Flow
    from dynamorm.plugin import Operation, VerbFlow
    from dynamorm.wire.channel import Clock

Hooks = tuple[tuple[str, Callable[..., Any]], ...]
"""The plugins' names and their hooks, in the order in which they are told."""


class Ends:
    """The outermost layer around the verbs: ``began`` and ``ended`` in the order in which they are told."""

    def __init__(self, began: Hooks, ended: Hooks, clock: Clock) -> None:
        self._began = tuple(shielded(hook, name, "began") for name, hook in began)
        self._ended = tuple((hook, FailureLog(name, "ended")) for name, hook in ended)
        self._clock = clock

    def __call__(self, verb: VerbFlow) -> VerbFlow:
        """The verb, whose beginning and end are told."""
        beginnings, hooks, clock = self._began, self._ended, self._clock.monotonic

        def ending(operation: Operation) -> Flow[Any]:
            error: BaseException | None = None
            try:
                for began in beginnings:
                    began(operation)
                return (yield from verb(operation))
            except BaseException as failure:  # cancelled, interrupted and closed, too
                error = failure
                raise
            finally:
                force_setattr(operation, "took", clock() - operation.started)
                for ended, failed in hooks:
                    try:  # in this frame, and not `shielded`: it is done for each verb
                        ended(operation, error)
                    except BaseException as fault:  # the verb has ended
                        if interrupts(fault):
                            raise
                        failed(fault)
                error = None  # else it would hold this frame, which holds it

        return ending
