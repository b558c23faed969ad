"""What the service tells of tables: their size, how they are billed, and what else is switched on. Asked every six hours.

DynamoDB itself counts anew about every six hours:
https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TableDescription.html
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any, Final

from dynamorm.effects import Call, Flow
from dynamorm.errors import ConfigError
from dynamorm.errors.log import logger

FRESH: Final = 6 * 3600.0
AGAIN: Final = 600.0
"""Seconds after which a table is asked about again that did not tell."""


class Facts:
    """The descriptions of tables (`dynamorm.DB.tables.describe`) by name; None for one that did not tell."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._known: dict[str, tuple[float, Any]] = {}
        self._lock = threading.Lock()

    def forked(self) -> None:
        """Begin with a lock of one's own."""
        self._lock = threading.Lock()

    def of(self, table: str) -> Any:
        """The description of a table, None where it is not known."""
        return self._known.get(table, (0.0, None))[1]

    def look(self, db: Any, tables: Mapping[str, tuple[type[Any], ...]]) -> Flow[None]:
        """Ask about tables that were not asked about, or too long ago. It never fails for what a table does not tell.

        Raises: ConfigError on a database that was closed.
        """
        for table, models in tables.items():
            then, found = self._known.get(table, (float("-inf"), None))
            now = self._clock()
            if not models or now - then < (AGAIN if found is None else FRESH):
                continue
            describe = db.tables.describe
            try:
                found = yield Call(lambda: describe(models[0]), lambda: describe(models[0]))  # noqa: B023 - called at once
            except ConfigError:
                raise
            except Exception as error:  # noqa: BLE001 - a cost question has an answer without it, too
                logger.info("the table %s tells nothing of its size (%s)", table, type(error).__name__)
                found = None
            with self._lock:
                self._known[table] = (now, found)
