"""The outbox: events that leave with the transaction they tell of, and who delivers them when."""

from __future__ import annotations

from .items import Delivered as Delivered
from .items import OutboxEvent as OutboxEvent
from .items import OutboxQueue as OutboxQueue
from .outbox import Outbox as Outbox

__all__ = ["Delivered", "Outbox", "OutboxEvent", "OutboxQueue"]
