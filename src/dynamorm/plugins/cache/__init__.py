"""The query cache: answers of reads, kept in memory or in Redis, and let go of by what the program writes.

The theory. An answer is kept together with the *generations* of what it shows: random values, one for each partition of a
table and of an index, for each table and index as a whole, and one for everything (the epoch). A write replaces the
generations of what it touches, before it is sent and once more behind it. An answer is good while all of its generations
are still the ones that were there before it was read. So nothing has to be found and deleted, a slow fill of an old answer
can never pass for a new one, and whatever is lost only makes a miss.

Three things are dangerous although no generation tells: a read of a replica that lags behind a write (`CacheConfig.settle`),
a write of which nobody knows whether it may still be applied, and a Redis that goes back in time. They are told in the
guide, docs/guide/cache.md.
"""

from __future__ import annotations

from .caching import CachingPlugin
from .config import CacheConfig
from .plugin import Cache

__all__ = ["Cache", "CacheConfig", "CachingPlugin"]
