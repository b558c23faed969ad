"""For development: warns of writes that are made beside an idempotent operation, in its block, and so may be made twice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from dynamorm.errors.log import logger

from .operation import CURRENT

if TYPE_CHECKING:
    from dynamorm.plugin import Operation

WRITES: Final = frozenset(
    {"create", "put", "save", "update", "delete", "increment", "batch_write", "delete_all", "transaction"}
)
_PLUGINS: Final = f"{__name__.rpartition('.plugins.')[0]}.plugins."


class UnprotectedWrites:
    """Looks at the verbs of a database; each model and verb is told of once. `DB.idempotent` registers it in development.

    What plugins store for themselves, such as the records of keys, is nothing that the block does.
    """

    name = "unprotected writes"

    def __init__(self, database: Any) -> None:
        self._database = database
        self._told: set[tuple[str, Any]] = set()

    def began(self, operation: Operation) -> None:
        """Look at a verb that begins."""
        if operation.verb not in WRITES or getattr(operation.model, "__module__", "").startswith(_PLUGINS):
            return
        current = CURRENT.get()
        if current is None or not current.is_of(self._database) or (operation.verb, operation.model) in self._told:
            return
        self._told.add((operation.verb, operation.model))
        name = getattr(operation.model, "__name__", "items")
        logger.warning(
            "%s of %s inside the block of an idempotent operation is not part of it, so that it may be done twice: write by"
            " `with op.transaction() as tx: tx...`, or outside of the block",
            operation.verb,
            name,
        )
