"""What stops items of other schema versions. As `retryable`."""

from __future__ import annotations

from .conditions import ConditionFailed
from .rejected import ValidationError


class UpgradeFailed(ValidationError):
    """A stored item could not be brought to the schema version of its model: nothing was changed. ``key`` tells which item.

    Its function raised or gave what does not fit, or the item was stored by a newer program.

    Example: ``except UpgradeFailed as error: look_at(error.key)``
    """

    code = "ErrUpgradeFailed"


class NotUpgraded(ConditionFailed):
    """An item is stored in an older schema version, so that an update of some attributes, or a read of some, would mix two forms.

    Load it and save it, which stores it in the newest version; then do it again.

    Example: ``except NotUpgraded: db.save(db.require(Payment, "p1"))``
    """

    code = "ErrNotUpgraded"
