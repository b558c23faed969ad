"""Waiting for a place of a limiter in a task."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING

from .acquire import limit_of
from .aio_bell import Bell

if TYPE_CHECKING:
    from dynamorm.effects import Acquire
    from dynamorm.limiter import Permit


async def acquire(effect: Acquire) -> Permit:
    """A permit, awaited. Raises: PoolTimeout after the effect's ``timeout``; DeadlineExceeded."""
    loop = asyncio.get_running_loop()
    permit = effect.limiter.permit()
    try:
        try:
            permit.home = loop
            effect.limiter.settle_in(loop)
            if not permit.take():
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
