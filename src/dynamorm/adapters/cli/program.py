"""A program's own database, by its name: ``module:name``, a `DB` or what opens one. It must not know commands."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Final

from dynamorm import DB
from dynamorm.errors import DynamORMError

from .ends import Code, Stop
from .settings import Settings, module_of

_OPENED: Final[dict[str, DB]] = {}
"""Of a worker's process: a worker does many parts of a command."""
_OPENING: Final = threading.Lock()


class Program:
    """The database of a program, which a worker in another process opens by its name."""

    def __init__(self, name: str, db: DB) -> None:
        self._name = name
        self.db: DB = db

    def __reduce__(self) -> tuple[Any, ...]:
        return _there, (self._name,)


def _there(name: str) -> Program:
    with _OPENING:
        if name not in _OPENED:
            _OPENED[name] = database(None, name)
        return Program(name, _OPENED[name])


def database(settings: Settings | None, name: str) -> DB:
    """The database of a program, which ``settings`` close at the end. Raises: Stop for what is none, and where opening it fails."""
    module_name, _, wanted = name.partition(":")
    if not module_name or not wanted:
        raise Stop(Code.USAGE, f"--db {name[:60]!r} is no database: write module:name")
    found = getattr(module_of(module_name), wanted, None)
    if found is not None and not isinstance(found, (DB, type)) and callable(found):
        found = _opened(name, found)
        if isinstance(found, DB) and settings is not None:
            settings.own(found)
    if not isinstance(found, DB):
        raise Stop(Code.USAGE, f"--db {name[:60]!r} is no DB, and gives none: name a DB, or a function that opens one")
    return found


def _opened(name: str, function: Callable[[], Any]) -> Any:
    try:
        return function()
    except DynamORMError:
        raise
    except Exception as error:
        raise Stop(
            Code.REFUSED, f"--db {name[:60]!r} raised {type(error).__name__}: mend it; --debug shows where"
        ) from error
