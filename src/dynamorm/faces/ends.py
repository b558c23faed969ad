"""Tells plugins of the end of each verb: `dynamorm.plugin.EndHook`. Used only where a plugin has such a hook."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from dynamorm.log import shielded

if TYPE_CHECKING:
    from dynamorm.effects import Flow
    from dynamorm.plugin import Operation, VerbFlow
    from dynamorm.wire.channel import Clock


class Ends:
    """The outermost layer around the verbs: ``hooks`` are the plugins' names and their hooks."""

    def __init__(self, hooks: tuple[tuple[str, Callable[..., Any]], ...], clock: Clock) -> None:
        self._hooks = tuple(shielded(ended, name, "ended") for name, ended in hooks)
        self._clock = clock

    def __call__(self, verb: VerbFlow) -> VerbFlow:
        """The verb, whose end is told."""
        hooks, clock = self._hooks, self._clock.monotonic

        def told(operation: Operation, error: BaseException | None) -> None:
            operation.took = clock() - operation.started
            for ended in hooks:
                ended(operation, error)

        def ending(operation: Operation) -> Flow[Any]:
            try:
                result = yield from verb(operation)
            except BaseException as error:  # cancelled, interrupted and closed, too
                told(operation, error)
                raise
            told(operation, None)
            return result

        return ending
