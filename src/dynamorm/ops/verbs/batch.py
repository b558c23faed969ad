"""Reading and writing many items at once: the two flows behind `DB.batch_get` and `DB.batch_write`."""

from __future__ import annotations

from dynamorm.ops.reads.batch_get import get

from .batch_write import write

__all__ = ["get", "write"]
