"""The engines that tests name. Those in child processes are started once, when first asked for. It must not know of pytest."""

from __future__ import annotations

import atexit
import pathlib
import tempfile
import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, Final

from dynamorm.engine import Engine
from dynamorm.errors import ConfigError
from dynamorm.testing.engines import SHORT_RUN, DynamoDBLocal, Ministack

NAMES: Final = ("memory", "sqlite", "ministack", "local")
"""``memory`` and ``sqlite`` are engines inside the process, the others run in processes of their own."""

_started: dict[str, Any] = {}
_lock = threading.Lock()


class UnavailableError(Exception):
    """There is no such engine here; the text says why."""


@contextmanager
def engine_named(name: str) -> Generator[Any, None, None]:
    """The engine of this name: one of its own inside the process, or the one that this process has started.

    Raises: UnavailableError with the reason why there is none.
    """
    if name == "memory":
        with Engine() as engine:
            yield engine
    elif name == "sqlite":
        with tempfile.TemporaryDirectory() as folder, Engine(pathlib.Path(folder) / "engine.db") as engine:
            yield engine
    else:
        yield _child(name)


def _child(name: str) -> Any:
    try:
        return child_engine(name)
    except ConfigError as error:
        raise UnavailableError(f"{name}: {error}") from None


def child_engine(name: str) -> Any:
    """The engine in a child process, ``local`` or ``ministack``: it is started once, and ends with this process.

    Raises: ConfigError where it cannot be started.
    """
    with _lock:
        if name not in _started:
            _started[name] = DynamoDBLocal(jvm=SHORT_RUN) if name == "local" else Ministack()
            atexit.register(_started[name].stop)
    return _started[name]
