"""The asyncio driver to an engine in this process; `in_process` is its mirror."""

from __future__ import annotations

import asyncio
from typing import Any

from dynamorm.effects import Reply, Send
from dynamorm.errors import ConfigError
from dynamorm.io.aio import Aio
from dynamorm.io.in_process import Answer, ProvenAnswer, Troubled, asked, reply, turn
from dynamorm.models.schema.overriding import override

__all__ = ["AioInProcess", "ProvenAnswer"]


class AioInProcess(Aio):
    """An `Aio` whose exchanges are calls of an engine. One may be used on any event loop."""

    answers: type[Answer] = Answer
    engine: Any = None
    over_the_wire: Any = Aio
    """The driver to what is not in this process."""

    @override
    async def exchange(self, send: Send) -> Reply:
        """Have the engine answer. Raises: `TransportError`, `ConfigError` once it or the driver is closed."""
        if self._pool.closed:
            raise ConfigError("this database was closed")
        await turn()
        trouble = getattr(self.engine, "trouble", None)
        if trouble is None:
            return reply(send, *self.engine.handle(*asked(send)), kind=self.answers)
        met = Troubled(trouble, send, self.answers)
        if met.seconds:
            await asyncio.sleep(met.seconds)
        return met.answer()
