"""Leases: the right to do something alone for a while, kept in an item that Go services can read and take as well.

`LeaseRecord` is the mixin for the model of the item, `Lease` what `DB.lease` gives. A clock decides only how long others
wait; that nothing is done by two is decided by the token, inside the transaction that does it: see `Held.guard`.
"""

from __future__ import annotations

from datetime import datetime

from dynamorm.models.declare import Attr, attr, partition_key, sort_key, ttl
from dynamorm.models.model import Mixin

from .faces.blocking.lease import Lease
from .faces.held import Held

__all__ = ["Held", "Lease", "LeaseRecord"]


class LeaseRecord(Mixin):
    """The attributes of a lease as they are stored, under the names that the Go library uses.

    ``lease_expires_at`` is in epoch seconds; DynamoDB may delete the item one hour later (``ttl``). ``lease_fence`` is
    ours: it grows with every acquisition.

    Example::

        class Lock(Model, LeaseRecord, table="locks"):
            pass
    """

    pk: Attr[str] = partition_key()
    sk: Attr[str] = sort_key(default="LOCK")
    lease_token: Attr[str | None] = attr(default=None, secret=True)
    lease_expires_at: Attr[int | None] = attr(default=None)
    lease_fence: Attr[int | None] = attr(default=None)
    ttl: Attr[datetime | None] = ttl(default=None)
