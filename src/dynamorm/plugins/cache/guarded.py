"""Redis, asked carefully: whatever it does is an answer or `Failed`, and behind a failure it is left alone for a while."""

from __future__ import annotations

from random import random
from typing import TYPE_CHECKING, Any, Final

from redis.exceptions import NoScriptError, ResponseError

from dynamorm.errors.log import logger

from .connections.patience import OutOfTime
from .scripts import NAMES

if TYPE_CHECKING:
    from collections.abc import Callable

    from dynamorm.effects import Flow

FIRST_REST: Final = 0.25
LONGEST_REST: Final = 5.0
"""Seconds for which Redis is left alone after a failure: doubled each time, up to the second."""


class Failed(Exception):
    """Redis gave no answer that can be used."""


class Hurried(Failed):
    """There was no time to wait for one: nothing is wrong with Redis, and nothing is counted."""


class Guarded:
    """Asks by a link, and counts what fails. ``clock`` gives monotonic seconds."""

    def __init__(self, link: Any, clock: Callable[[], float]) -> None:
        self.link: Any = link
        self.clock = clock
        self.failures: int = 0
        self.fails: int = 0
        self.retry_at: float = 0.0
        self._warned_until = 0.0

    @property
    def usable(self) -> bool:
        """Whether Redis is asked at all now."""
        return self.clock() >= self.retry_at

    def try_now(self) -> bool:
        """Whether this one may ask. Behind a failure one tries, and the others go on without."""
        now = self.clock()
        if now < self.retry_at:
            return False
        if self.fails:
            self.retry_at = now + FIRST_REST
        return True

    def ask(self, *command: Any) -> Flow[Any]:
        """The answer of Redis. Raises: Failed."""
        try:
            try:
                answer = yield from self.bare(*command)
            except NoScriptError:
                answer = yield from self.bare(*_whole(command))
        except ResponseError as error:
            raise self._failed(error) from None
        return answer

    def bare(self, *command: Any) -> Flow[Any]:
        """The same, where Redis may refuse. Raises: Failed, ResponseError."""
        try:
            answer = yield from self.link.ask(*command)
        except ResponseError:
            raise
        except OutOfTime:
            raise Hurried from None
        except Exception as error:  # noqa: BLE001 - whatever it is, the cache is left alone for a while
            raise self._failed(error) from None
        if self.fails:
            self.fails, self.retry_at = 0, 0.0
        return answer

    def listed(self, length: int, *command: Any) -> Flow[list[Any]]:
        """An answer that is a list of so many."""
        answer = yield from self.ask(*command)
        if not isinstance(answer, list) or len(answer) != length:
            raise self._failed(TypeError())
        return answer

    def _failed(self, error: Exception) -> Failed:
        now = self.clock()
        self.failures += 1
        self.fails += 1
        rest = min(FIRST_REST * 2 ** min(self.fails - 1, 10), LONGEST_REST)
        self.retry_at = now + rest * (0.75 + random() / 2)  # noqa: S311 - jitter is no secret
        if now >= self._warned_until:
            self._warned_until = now + 60.0
            logger.warning("Redis failed (%s): the cache is left alone for a while", type(error).__name__)
        return Failed()


def script(text: str, keys: list[bytes], *arguments: Any) -> tuple[Any, ...]:
    """The command that runs a script by its name."""
    return ("EVALSHA", NAMES[text], len(keys), *keys, *arguments)


def _whole(command: tuple[Any, ...]) -> tuple[Any, ...]:
    """The same command with the script's text: Redis does not have it yet."""
    text = next(text for text, name in NAMES.items() if name == command[1])
    return ("EVAL", text, *command[2:])
