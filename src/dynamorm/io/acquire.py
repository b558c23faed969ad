"""Waiting for a place of a limiter in a thread, and the time that may be waited in either driver."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from math import inf
from time import monotonic
from typing import Any

from dynamorm.effects import Acquire, Flow
from dynamorm.errors import Backpressure, DeadlineExceeded, DynamORMError, PoolTimeout
from dynamorm.wire.deadlines import USE, remaining
from dynamorm.wire.limiter import Permit

from .no_effect import no_effect


def limit_of(effect: Acquire) -> tuple[float, Callable[[], DynamORMError]]:
    """The seconds that may be waited (infinite without any limit), and what makes the error when they are over."""
    timeout = inf if effect.timeout is None else effect.timeout
    left = remaining() if USE.ever else None
    places = effect.limiter.places
    if left is not None and left < timeout:
        return left, lambda: DeadlineExceeded(
            f"the deadline passed while all {places} places of a limiter were taken: give more time, or the limiter more places"
        )
    return timeout, lambda: PoolTimeout(
        f"all {places} places of a limiter stayed taken for timeout={timeout:.3g} s: try again later, or give the limiter more"
        " places"
    )


def check_queue(permit: Permit, effect: Acquire) -> None:
    """Whether it may wait. Raises: Backpressure behind as many as may."""
    if effect.queue is not None and permit.exceeds(effect.queue):
        raise Backpressure(
            f"all {effect.limiter.places} places of a limiter are taken and {effect.queue} wait already: nothing was sent; try"
            " again later, or give the limiter more places or a longer queue"
        )


def acquire(effect: Any, flow: Flow[Any]) -> Permit:
    """A permit, waited for in this thread; ``flow`` is who asks.

    Raises: PoolTimeout after the effect's ``timeout``; Backpressure; DeadlineExceeded; InvalidUse for what is no effect at all.
    """
    if effect.__class__ is not Acquire:
        raise no_effect(effect, flow)
    permit = effect.limiter.permit()
    try:
        try:
            if not permit.take():
                check_queue(permit, effect)
                _wait(permit, effect)
            return permit  # noqa: TRY300 - at a line behind the handlers nobody would give it back
        except BaseException:
            permit.release()
            raise
    except BaseException:  # once more, if an exception came while it was given back
        permit.release()
        raise


def _wait(permit: Permit, effect: Acquire) -> None:
    bell = threading.Lock()
    bell.acquire()

    def ring() -> None:
        with suppress(RuntimeError):  # it was rung already
            bell.release()

    permit.ring = ring
    seconds, late = limit_of(effect)
    end = monotonic() + seconds
    while not permit.take():
        left = end - monotonic()
        if left <= 0:
            raise late()
        bell.acquire(timeout=min(left, threading.TIMEOUT_MAX))
