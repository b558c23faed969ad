"""The effects that only plugins yield, in threads: a second flow beside a slow one. It must not know DynamoDB.

The caller's thread only waits: so whatever a flow hangs in (a connection that does not come about, too), the caller goes on
with the result of the other one. The flow that lost is interrupted by the end of its connection, and closed in its thread.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from dynamorm.effects import Hedge, Send, Sleep
from dynamorm.io import net

from .acquire import acquire

if TYPE_CHECKING:
    from collections.abc import Callable

    from dynamorm.effects import Flow

    from .blocking import Blocking
    from .gather import Crew

_LOOK: Final = 5.0
"""Seconds after which a thread that waits looks again: an exception may have come between an end and its bell."""


class _Idle:
    """The idle slots of a pool: notes which one was taken."""

    def __init__(self, held: _Held, idle: Any) -> None:
        self._held = held
        self._idle = idle

    def pop(self) -> Any:
        slot = self._held.slot = self._idle.pop()
        return slot

    def append(self, slot: Any) -> None:
        with self._held.lock:  # whoever is about to end the connection does it before, or not at all
            self._held.slot = None
        self._idle.append(slot)

    def __len__(self) -> int:
        return len(self._idle)


class _Held:
    """Stands in for a pool, and knows the slot that is held: each side has one request under way at most."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool
        self.idle = _Idle(self, pool.idle)
        self.slot: Any = None
        self.lock = threading.Lock()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pool, name)

    def take(self) -> Any:
        slot = self.slot = self._pool.take()
        return slot

    def interrupt(self) -> None:
        """End the connection that is in use; whoever waits for its answer finds it closed."""
        with self.lock:
            slot = self.slot
            if slot is not None and slot.connection is not None:
                net.hang_up(slot.connection.sock)


class _Side:
    """One of the two flows. ``ring`` is called with its end."""

    def __init__(self, driver: Blocking, flow: Flow[Any], ring: Callable[[], None]) -> None:
        self._held = _Held(driver.pool)
        self._driver = driver.over(self._held)
        self._flow = flow
        self._ring = ring
        self._stopped = False
        self._sleeping = threading.Lock()
        self._sleeping.acquire()
        self.ended = self.succeeded = False
        self.result: Any = None
        self.error: BaseException | None = None

    def work(self) -> None:
        """Run the flow, in a thread of its own."""
        flow = self._flow
        effect: Any
        try:
            effect = None if self._stopped else next(flow)
            while not self._stopped:
                try: got = self._driver.exchange(effect) if effect.__class__ is Send else self._perform(effect)  # fmt: skip  # noqa: E701 - as in the driver
                except BaseException as error:  # noqa: BLE001 - the flow decides
                    if self._stopped:
                        break
                    effect = flow.throw(error)
                else:
                    effect = None if self._stopped else flow.send(got)  # type: ignore[redundant-expr] # others set it
        except StopIteration as stop:
            self.result, self.succeeded = stop.value, True
        except BaseException as error:  # noqa: BLE001 - raised by the caller's thread
            self.error = error
        finally:
            got = None  # it may be a permit
            try:
                flow.close()
            finally:
                self.ended = True
                self._ring()

    def _perform(self, effect: Any) -> Any:
        if effect.__class__ is Sleep:
            self._sleeping.acquire(timeout=min(effect.seconds, threading.TIMEOUT_MAX))
            return None
        return self._driver._perform(effect, self._flow)  # noqa: SLF001 - a part of the driver

    def stop(self) -> None:
        """Let it end, if it has not: it is closed in its own thread, as soon as it notices."""
        if not self.ended:
            self._stopped = True
            with suppress(RuntimeError):  # it was stopped before
                self._sleeping.release()
            self._held.interrupt()


def performed(driver: Blocking, crew: Crew, effect: Any, flow: Flow[Any]) -> Any:
    """What an effect of a plugin gives; ``flow`` is who yields it.

    Raises: what both flows of a `Hedge` have raised; as `acquire` for another effect.
    """
    return _hedged(driver, crew, effect) if effect.__class__ is Hedge else acquire(effect, flow)


def _hedged(driver: Blocking, crew: Crew, effect: Hedge) -> tuple[Any, bool]:
    """The first result, and whether it is that of the second flow. The other one is closed in its thread."""
    bell = threading.Lock()
    bell.acquire()

    def ring() -> None:
        with suppress(RuntimeError):  # it was rung already
            bell.release()

    sides = [_Side(driver, effect.first, ring)]
    try:
        task = crew.start(sides[0])
        if task is None:
            return driver.run(effect.first), False
        bell.acquire(timeout=min(effect.after, threading.TIMEOUT_MAX))
        if not task.has_begun and task.take_back():  # its thread was about to go, or has no turn
            return driver.run(effect.first), False
        second = None if sides[0].ended else effect.second()
        if second is not None:
            sides.append(_Side(driver, second, ring))
            if crew.start(sides[1]) is None:
                sides.pop()
        while True:
            for side in sides:
                if side.succeeded:
                    return side.result, side is not sides[0]
            if all(side.ended for side in sides):
                assert sides[0].error is not None
                raise sides[0].error
            bell.acquire(timeout=_LOOK)
    finally:
        for side in sides:
            side.stop()
        sides.clear()  # an error that is raised here holds this frame
