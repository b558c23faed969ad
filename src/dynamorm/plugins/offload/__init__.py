"""Large values in S3: an item holds a pointer to an object that was stored before it.

`Offloaded` is the option of a field, `Offload` the plugin, and `OffloadCleaner` removes what no item names any more.
"""

from __future__ import annotations

from .cleaning import AsyncOffloadCleaner, OffloadCleaner, Swept
from .field import MissingObject
from .option import Offloaded
from .plugin import Offload
from .store import ObjectStore

__all__ = ["AsyncOffloadCleaner", "MissingObject", "ObjectStore", "Offload", "OffloadCleaner", "Offloaded", "Swept"]
