"""What goes wrong with values that lie in S3. None of these errors has a value, nor the key of an object, which has the hash of one."""

from __future__ import annotations

from .base import DynamORMError


class OffloadError(DynamORMError):
    """S3 did not do what was asked: an object could be neither stored nor fetched. ``outcome`` says whether a write was applied."""

    code = "ErrOffload"
    retryable = True


class ObjectMissing(OffloadError):
    """An item names an object that is not there. Where the value was replaced since the item was read, another read shows it."""

    code = "ErrObjectMissing"


class ObjectDamaged(OffloadError):
    """An object is not what was stored, or not the one of this item. The same read will be refused again."""

    code = "ErrObjectDamaged"
    retryable = False
