"""What a registration of plugins is done within: one at a time in a process, and nothing of one that fails goes on.

Code of plugins runs inside of it, which may register others, and fail. Loaded only where there are plugins.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, Final, TypeVar

from dynamorm.errors import ConfigError
from dynamorm.errors.log import FailureLog, interrupts
from dynamorm.io.net import watch_forks
from dynamorm.io.own_loop import Flight, on_a_loop
from dynamorm.ops.calls.attempt_hooks import gave_answer
from dynamorm.ops.calls.own_credentials import OwnWays
from dynamorm.session import name_of

if TYPE_CHECKING:
    from dynamorm.session import Session

T = TypeVar("T")

LONGEST_TURN: Final = 60.0
"""Seconds for which a registration waits for another one: a plugin may wait for a thread that registers, and so for itself."""

LONGEST_END: Final = 5.0
"""Seconds for a `closed` that is a coroutine, of a plugin whose database is refused: inside an event loop nothing awaits it."""


class _Turn:
    """The turn of one registration, of whatever database: a plugin may be registered with several at once."""

    def __init__(self) -> None:
        self.forked()
        watch_forks(self)

    def forked(self) -> None:
        """The thread whose turn it was does not exist in a child process."""
        self.lock = threading.RLock()
        self.composing: Session | None = None


_TURN: Final = _Turn()


def in_turn(work: Callable[[], T]) -> T:
    """Do it while nobody else registers plugins; what is done inside may register more. Raises: ConfigError."""
    lock, taken = _TURN.lock, False
    try:
        taken = lock.acquire(timeout=LONGEST_TURN)
        if not taken:
            raise ConfigError(
                f"another thread has been registering plugins for {LONGEST_TURN:.0f} seconds: joined(db) of a plugin must not wait"
                " for a thread that calls db.use(), db.metrics() or db.costs()"
            )
        return work()
    finally:
        if taken:
            lock.release()


def is_composing(session: Session) -> bool:
    """Whether the plugins of a session are being composed, so that its list of them is not settled."""
    return _TURN.composing is session


def composed(session: Session, compose: Callable[[], None]) -> None:
    """Compose what the plugins of a session add. Raises: ConfigError where a plugin registers others meanwhile."""
    if is_composing(session):
        raise ConfigError(
            "db.use() was called while the plugins of this database are put together, such as in operation(next) or around(call) of"
            " one: call it in joined(db), or before"
        )
    before, _TURN.composing = _TURN.composing, session
    try:
        compose()
    finally:
        _TURN.composing = before


def own_ways() -> OwnWays:
    """What keeps the credentials of views, where plugins give some."""
    return OwnWays(on_a_loop, Flight)


def join(added: Iterable[Any], face: Any, joined: list[Any], check: Callable[[], None]) -> None:
    """Ask the plugins whether they join; ``joined`` are those that did, and ``check`` what must hold before each."""
    for plugin in added:
        check()
        hook = getattr(plugin, "joined", None)
        if hook is None:
            continue
        joined.append(plugin)
        try:
            answer = hook(face)
        except Exception:
            joined.pop()  # after an interrupt nobody knows what it has begun
            raise
        if answer is not None:
            raise gave_answer("joined", name_of(plugin), answer)
    check()


def let_go(joined: list[Any], face: Any) -> None:
    """Tell plugins that joined a database that it is over, the last one first. What fails is logged."""
    stop: BaseException | None = None
    while joined:
        plugin = joined.pop()
        hook = getattr(plugin, "closed", None)
        if hook is None:
            continue
        try:
            if iscoroutinefunction(hook):
                _awaited(hook, face)
            else:
                hook(face)
        except BaseException as error:  # noqa: BLE001 - logged; the others are told all the same
            if interrupts(error):
                stop = error
            else:
                FailureLog(name_of(plugin), "closed")(error)
    if stop is not None:
        raise stop


def _awaited(hook: Callable[[Any], Any], face: Any) -> None:
    """Run a coroutine to its end, in a thread: there may be a running event loop in this one."""
    failed: list[BaseException] = []

    def run() -> None:
        try:
            on_a_loop(hook, (face,))
        except BaseException as error:  # noqa: BLE001 - it is raised where it is waited for
            failed.append(error)

    thread = threading.Thread(target=run, name="dynamorm closed", daemon=True)
    thread.start()
    thread.join(LONGEST_END)
    if thread.is_alive():
        raise TimeoutError(f"closed(db) did not end within {LONGEST_END:.0f} seconds")
    if failed:
        raise failed[0]
