"""Tells plugins of the end of each verb: `dynamorm.plugin.EndHook`. Used only where a plugin has such a hook."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from dynamorm.log import logger

if TYPE_CHECKING:
    from dynamorm.effects import Flow
    from dynamorm.plugin import Operation, VerbFlow
    from dynamorm.wire.channel import Clock

QUIET: Final = 60.0
"""Seconds for which a plugin whose hook has failed is not named in the log again."""


class Ends:
    """The outermost layer around the verbs: ``hooks`` are the plugins' names and their hooks."""

    def __init__(self, hooks: tuple[tuple[str, Callable[..., Any]], ...], clock: Clock) -> None:
        self._hooks = hooks
        self._clock = clock
        self._silent: dict[str, float] = {}  # until when, by plugin

    def __call__(self, verb: VerbFlow) -> VerbFlow:
        """The verb, whose end is told."""
        hooks, clock, failed = self._hooks, self._clock.monotonic, self._log

        def told(operation: Operation, error: BaseException | None) -> None:
            operation.took = clock() - operation.started
            for name, ended in hooks:
                try:
                    ended(operation, error)
                except Exception as fault:  # noqa: BLE001 - the verb has ended
                    failed(name, fault)

        def ending(operation: Operation) -> Flow[Any]:
            try:
                result = yield from verb(operation)
            except BaseException as error:  # cancelled, interrupted and closed, too
                told(operation, error)
                raise
            told(operation, None)
            return result

        return ending

    def _log(self, name: str, error: Exception) -> None:
        now = monotonic()
        if now >= self._silent.get(name, now):
            self._silent[name] = now + QUIET
            logger.warning("ended of the plugin %s failed", name, exc_info=error)
