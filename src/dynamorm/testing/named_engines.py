"""The engines that tests name, each started once in a process when it is first asked for. It must not know of pytest."""

from __future__ import annotations

import atexit
import threading
from typing import Any, Final

from dynamorm.errors import ConfigError
from dynamorm.testing.engines import SHORT_RUN, DynamoDBLocal, EmbeddedEngine

NAMES: Final = ("memory", "sqlite", "embedded", "local")
"""``memory`` and ``sqlite`` are engines inside the process, ``embedded`` is ministack, ``local`` Amazon's DynamoDB Local."""

_started: dict[str, Any] = {}
_lock = threading.Lock()


class UnavailableError(Exception):
    """There is no such engine here; the text says why."""


def engine_named(name: str) -> Any:
    """The engine of this name.

    Raises: UnavailableError with the reason why there is none.
    """
    if name in ("memory", "sqlite"):
        raise UnavailableError(f"{name}: this version of dynamorm has no engine inside the process")
    with _lock:
        if name not in _started:
            try:
                _started[name] = DynamoDBLocal(jvm=SHORT_RUN) if name == "local" else EmbeddedEngine()
            except ConfigError as error:
                raise UnavailableError(f"{name}: {error}") from None
            atexit.register(_started[name].stop)
    return _started[name]
