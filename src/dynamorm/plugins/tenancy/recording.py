"""What is done for all tenants at once is told in the log: each verb, with who does it and the reason of the view."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dynamorm.errors.log import logger

from .rules import ALL
from .words import in_one_line, who_acts

if TYPE_CHECKING:
    from dynamorm.plugin import Operation


class AllTenantsRecord:
    """Tells each verb of a view of all tenants, those that read and those that write; `DB.all_tenants` registers it.

    It only looks, so that a database without such a view pays nothing for it.
    """

    name: str = "all tenants"
    asks_actor: bool = True

    def joined(self, db: Any) -> None:
        """Let the views be made from now on."""
        for plugin in db.plugins:
            if getattr(plugin, "is_recorded", None) is False:
                plugin.is_recorded = True

    def began(self, operation: Operation) -> None:
        """Tell a verb. Its items are nobody's business: neither a key nor a value is told."""
        reason = operation.scope.get(ALL)
        if reason is None:
            return
        model = operation.model
        logger.info(
            "all tenants: %s of %s by %s, for this reason: %s",
            operation.verb,
            model.__name__ if isinstance(model, type) else "several models",
            who_acts(),
            in_one_line(reason),
        )
