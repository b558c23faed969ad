"""A Redis in this process, with a clock of the test's own: it runs the cache's real scripts, in Lua 5.1 as Redis does."""

from __future__ import annotations

from hashlib import sha1
from typing import TYPE_CHECKING, Any

from lupa.lua51 import LuaRuntime
from redis.exceptions import NoScriptError, ResponseError

if TYPE_CHECKING:
    from collections.abc import Callable

    from dynamorm.effects import Flow

_LUA = LuaRuntime(encoding=None, unpack_returned_tuples=True)
_COMPILED: dict[bytes, Any] = {}
_NAMES: dict[bytes, bytes] = {}


_RUNNING: list[FakeRedis] = []
"""Whose script is running: Lua holds no reference to any of them, for such a circle would never be freed."""


def _call(*command: Any) -> Any:
    return _RUNNING[0].call(*command)


_API = _LUA.table_from({b"call": _call, b"pcall": _call})


class FakeRedis:
    """Strings that expire, and scripts. ``clock`` gives Unix seconds. ``run_id`` is another one after a restart."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.run_id = b"server-1"
        self.data: dict[bytes, tuple[Any, float]] = {}

    def get(self, key: bytes) -> Any:
        """A value that has not expired, or None."""
        value, expires = self.data.get(key, (None, 0.0))
        return value if value is not None and self.clock() < expires else None

    def run(self, *command: Any) -> Any:
        """What Redis answers to a command."""
        name, *args = command
        if name == "MGET":
            values = [self.get(key) for key in args]
            return [value if isinstance(value, bytes) else None for value in values]
        if name == "SET":
            return self._set(*args)
        if name == "INFO":
            return b"# part\r\nrun_id:%b\r\nmaster_replid:%b\r\n" % (self.run_id, self.run_id)
        if name == "EVALSHA":
            text = _NAMES.get(args[0].encode())
            if text is None:
                raise NoScriptError("NOSCRIPT")
            return self._eval(text, *args[1:])
        assert name == "EVAL", command
        text = args[0].encode()
        _NAMES[sha1(text, usedforsecurity=False).hexdigest().encode()] = text
        return self._eval(text, *args[1:])

    def _set(self, key: bytes, value: Any, *rest: Any) -> bytes:
        milliseconds = int(rest[1]) if rest else 10**15
        assert milliseconds > 0
        self.data[key] = value, self.clock() + milliseconds / 1000
        return b"OK"

    def _eval(self, text: bytes, count: int, *args: Any) -> Any:
        script = _COMPILED.get(text)
        if script is None:
            script = _COMPILED[text] = _LUA.execute(b"return function(KEYS, ARGV, redis) " + text + b" end")
        _RUNNING[:] = [self]
        every = [arg if isinstance(arg, bytes) else str(arg).encode() for arg in args]
        answer = script(_LUA.table_from(every[:count]), _LUA.table_from(every[count:]), _API)
        return answer if isinstance(answer, (int, bytes)) else [answer[place] for place in range(1, len(answer) + 1)]

    def call(self, name: bytes, *args: Any) -> Any:
        """What a script is answered."""
        if name == b"TIME":
            seconds = self.clock()
            return _LUA.table_from([b"%d" % int(seconds), b"%06d" % int(seconds % 1 * 1e6)])
        if name == b"GET":
            value = self.get(args[0])
            if value is not None and not isinstance(value, bytes):
                return _LUA.table_from({b"err": b"WRONGTYPE"})
            return False if value is None else value
        if name == b"SET":
            return self._set(*args)
        if name == b"PTTL":
            return -2 if self.get(args[0]) is None else (self.data[args[0]][1] - self.clock()) * 1000
        assert name == b"PEXPIRE", name
        value = self.get(args[0])
        self.data[args[0]] = value, self.clock() + int(args[1]) / 1000
        return 1


class FakeLink:
    """Asks a `FakeRedis`, by way of whoever drives the flow: each command is an effect, ``(link, command)``."""

    def __init__(self, redis: FakeRedis) -> None:
        self.redis = redis
        self.down = False

    def ask(self, *command: Any) -> Flow[Any]:
        """The answer, from the scheduler."""
        return (yield self, command)

    def perform(self, command: tuple[Any, ...]) -> Any:
        """The answer. Raises what redis raises."""
        try:
            return self.redis.run(*command)
        except AssertionError:
            raise
        except ResponseError:
            raise

    def forked(self) -> None:
        """Nothing is held."""
