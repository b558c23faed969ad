"""Waiting for a place of a limiter in a task."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING, Any

from dynamorm.effects import Acquire

from .acquire import check_queue, limit_of
from .aio_bell import Bell
from .no_effect import no_effect

if TYPE_CHECKING:
    from dynamorm.effects import Flow
    from dynamorm.wire.limiter import Permit


async def acquire(effect: Any, flow: Flow[Any]) -> Permit:
    """A permit, awaited; ``flow`` is who asks.

    Raises: PoolTimeout after the effect's ``timeout``; Backpressure; DeadlineExceeded; InvalidUse for what is no effect at all.
    """
    if effect.__class__ is not Acquire:
        raise no_effect(effect, flow)
    loop = asyncio.get_running_loop()
    permit = effect.limiter.permit()
    try:
        try:
            permit.home = loop
            effect.limiter.settle_in(loop)
            if not permit.take():
                check_queue(permit, effect)
                await _wait(permit, effect, loop)
            return permit  # noqa: TRY300 - at a line behind the handlers nobody would give it back
        except BaseException:
            permit.release()
            raise
    except BaseException:  # once more, if an exception came while it was given back
        permit.release()
        raise


async def _wait(permit: Permit, effect: Acquire, loop: asyncio.AbstractEventLoop) -> None:
    bell = Bell(loop)
    permit.ring = bell.ring
    seconds, late = limit_of(effect)
    end = monotonic() + seconds
    while not permit.take():
        left = end - monotonic()
        if left <= 0:
            raise late()
        await bell.wait(left)
