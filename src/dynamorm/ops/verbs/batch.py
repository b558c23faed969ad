"""Reading and writing many items at once: the flows behind `DB.batch_get`, `DB.batch_write` and a batcher's requests."""

from __future__ import annotations

from dynamorm.ops.reads.batch_get import get

from .batch_items import send
from .batch_write import write

__all__ = ["get", "send", "write"]
