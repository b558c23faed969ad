"""Tells plugins that their database is opened and closed. Loaded only where a plugin wants to know.

A plugin is told before the first verb that begins after it was registered, or where a ``with`` block begins; and that the
database is closed only where it was told before, or was asked when it was registered (``joined``), for it may have begun there.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from inspect import iscoroutinefunction
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from dynamorm.effects import Acquire, Call, Flow
from dynamorm.errors.log import FailureLog, interrupts, is_cancellation
from dynamorm.io.own_loop import on_a_loop
from dynamorm.ops.calls.attempt_hooks import gave_answer
from dynamorm.session import name_of
from dynamorm.wire.limiter import Limiter

if TYPE_CHECKING:
    from dynamorm.plugin import Operation, VerbFlow

_TELLING: Final[ContextVar[bool]] = ContextVar("dynamorm_telling_plugins", default=False)
"""Whether this verb was begun by a plugin that is being told: it may use its database then."""


class Life:
    """Which plugins of a database are to be told that it is opened (``waiting``), and which have been, in their order."""

    def __init__(self, face: Any) -> None:
        self.waiting: list[Any] = []
        self._opened: list[Any] = []
        self._face = face
        self._turn = Limiter(1)
        self._lock = Lock()  # a database may be closed while another thread registers a plugin

    def wait(self, plugins: list[Any]) -> None:
        """Have them told with the next verb."""
        with self._lock:
            self.waiting = [*self.waiting, *plugins]

    def withdrawn(self, plugins: list[Any]) -> list[Any]:
        """Take those back that nobody has told anything; which they are."""
        with self._lock:
            gone = [one for one in self.waiting if any(one is plugin for plugin in plugins)]
            self.waiting = [one for one in self.waiting if not any(one is plugin for plugin in gone)]
        return gone

    def layer(self, next: VerbFlow) -> VerbFlow:
        """The outermost layer around the verbs."""

        def telling(operation: Operation) -> Flow[Any]:
            yield from self.opened()
            return (yield from next(operation))

        def verb(operation: Operation) -> Flow[Any]:
            return telling(operation) if self.waiting and not _TELLING.get() else next(operation)

        return verb

    def opened(self) -> Flow[None]:
        """Tell those that wait. What one raises is raised: it and those behind it are told with the next verb."""
        permit = yield Acquire(self._turn)
        with permit:
            while self.waiting:
                plugin = self.waiting[0]
                token = _TELLING.set(True)
                try:
                    yield from _told(plugin, "opened", self._face)
                finally:
                    _TELLING.reset(token)
                with self._lock:
                    if self.waiting and self.waiting[0] is plugin:  # else it was told of the end meanwhile
                        self._opened.append(self.waiting.pop(0))

    def closed(self) -> Flow[None]:
        """Tell those that were told before or have ``joined``, the last one first.

        What fails is logged, an interrupt goes on when all were told.
        """
        stop: BaseException | None = None
        with self._lock:
            waiting, self.waiting = self.waiting, []
        self._opened += [one for one in waiting if getattr(one, "joined", None) is not None]
        while self._opened:
            plugin = self._opened.pop()
            try:
                yield from _told(plugin, "closed", self._face)
            except BaseException as error:  # the database is closed all the same
                if isinstance(error, GeneratorExit) and iscoroutinefunction(plugin.closed):
                    raise  # nothing can be awaited any more
                if is_cancellation(error) or interrupts(error):
                    stop = error
                else:
                    FailureLog(name_of(plugin), "closed")(error)
        if stop is not None:
            raise stop


def _told(plugin: Any, moment: str, face: Any) -> Flow[None]:
    hook: Callable[[Any], Any] | None = getattr(plugin, moment, None)
    if hook is None:
        return
    if iscoroutinefunction(hook):
        answer = yield Call(lambda: on_a_loop(hook, (face,)), lambda: hook(face))
    else:
        answer = hook(face)
    if answer.__class__ is bool and moment == "opened":  # it means to say whether the database may be used
        raise gave_answer(moment, name_of(plugin), answer)
