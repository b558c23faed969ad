"""The settings of the cache, and what each of them may be. It must not know how anything is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any, Final, TypeAlias

from dynamorm.arguments import check_count, check_seconds
from dynamorm.errors import ConfigError, UnknownSetting
from dynamorm.log import logger

OPERATIONS: Final = ("get", "batch_get", "first", "one", "all", "count", "exists", "page")
"""The verbs whose answers may be kept; ``require`` goes with ``get``."""
FAMILIES: Final = ("create", "update", "delete")
"""The families of writes: see `CacheConfig`."""
DEFAULT_OPERATIONS: Final = ("get", "first", "all", "count")
LONGEST_TTL: Final = 7 * 86_400.0
"""Seconds: more than a week is a mix-up of units rather than a cache."""
SHORTEST_KEY: Final = 16
"""Bytes of a ``mac_key``: 128 bits cannot be guessed."""

Ttl: TypeAlias = "Callable[[type[Any]], float | timedelta | None]"


class CacheConfig:
    """What is kept, for how long, and which writes let go of it.

    - ``cacheable_operations``: verbs whose answers are kept, of get, batch_get, first, one, all, count, exists and page.
    - ``ttl``: seconds (or a timedelta) for which an answer is kept, up to a week; each time 10 % more or less, so that not
      all expire at once. ``ttl_func(model)`` gives it for a model's class; 0 or None there: its answers are not kept.
    - ``invalidate_on``: the families of writes that let go of answers. ``create``: create and put; ``update``: save, update,
      upsert, increment, put and the puts of batches; ``delete``: delete and delete_all; each in transactions and batches, too.
      To leave one out is to read stale answers behind such writes, for up to ``ttl``.
    - ``settle``: seconds behind a write for which what it touched is read consistently before it is kept, for replicas may lag;
      so is what Redis knows nothing of, for it may have been written.
    - ``max_bytes``: of the cache in memory, with all that stands around the answers; the least recently used ones go first.
      Redis has its own ``maxmemory``.
    - ``mac_key``: at least 16 secret bytes, the same in all processes that share a Redis. Without it each process reads only
      what it has written itself; ``Presets.production()`` requires it for Redis.
    - ``missing``: keep also that nothing was found.
    - ``namespace``: goes into each key, for several programs or accounts with one Redis.
    - ``timeout``: seconds that Redis may take for one command; then it is left alone for a while. A deadline may end it sooner.

    Raises: ConfigError for what is none of these.

    Example::

        CacheConfig(
            cacheable_operations=["first", "all", "count"],
            ttl_func=lambda model: {User: 300.0, Setting: 3600.0}.get(model, 60.0),
            invalidate_on=["create", "update", "delete"],
        )
    """

    def __init__(
        self,
        *,
        cacheable_operations: Iterable[str] = DEFAULT_OPERATIONS,
        ttl: float | timedelta = 60.0,
        ttl_func: Ttl | None = None,
        invalidate_on: Iterable[str] = FAMILIES,
        settle: float | timedelta = 5.0,
        max_bytes: int = 64 * 1024 * 1024,
        mac_key: bytes | None = None,
        missing: bool = False,
        namespace: str = "",
        timeout: float | timedelta = 0.05,
        **unknown: Any,
    ) -> None:
        for name in unknown:
            raise UnknownSetting(f"{name} is not a setting of CacheConfig: {_hint(name, _SETTINGS)}")
        self.cacheable_operations: frozenset[str] = _words("cacheable_operations", cacheable_operations, OPERATIONS)
        self.ttl: float = check_seconds("ttl", ttl, 0.0, LONGEST_TTL, positive=True, error=ConfigError)
        if ttl_func is not None and not callable(ttl_func):
            raise ConfigError(
                f"ttl_func is a function of a model's class that gives seconds, not {type(ttl_func).__name__}"
            )
        self.ttl_func: Ttl | None = ttl_func
        self.invalidate_on: frozenset[str] = _words("invalidate_on", invalidate_on, FAMILIES)
        self.settle: float = check_seconds("settle", settle, 0.0, 3600.0, error=ConfigError)
        self.max_bytes: int = check_count("max_bytes", max_bytes, 1, error=ConfigError)
        self.mac_key: bytes | None = None if mac_key is None else _key(mac_key)
        if not isinstance(missing, bool):
            raise ConfigError(f"missing is True or False, not {type(missing).__name__}")
        self.missing: bool = missing
        self.namespace: str = _namespace(namespace)
        self.timeout: float = check_seconds("timeout", timeout, 0.001, 10.0, error=ConfigError)
        self._told: set[type[Any]] = set()
        if absent := [name for name in FAMILIES if name not in self.invalidate_on]:
            logger.warning("the cache keeps answers behind writes of %s: they are stale for up to the TTL", absent)

    def ttl_of(self, model: type[Any]) -> float:
        """Seconds for which answers of a model are kept; 0 for not at all. Raises: ConfigError for what is no time."""
        if self.ttl_func is None:
            return self.ttl
        try:
            ttl = self.ttl_func(model)
        except Exception as error:  # noqa: BLE001 - a function of the user's; without a time nothing is kept
            if model not in self._told:
                self._told.add(model)
                logger.warning("ttl_func failed for %s (%s): it is not cached", model.__name__, type(error).__name__)
            return 0.0
        if ttl is None:
            return 0.0
        return check_seconds(
            "ttl_func", ttl, 0.0, LONGEST_TTL, subject=f"what ttl_func gives for {model.__name__}", error=ConfigError
        )


_SETTINGS: Final = (
    "cacheable_operations", "ttl", "ttl_func", "invalidate_on", "settle", "max_bytes", "mac_key", "missing", "namespace",
    "timeout",
)  # fmt: skip


def _key(given: Any) -> bytes:
    """A key. Raises: ConfigError, which does not show it."""
    if isinstance(given, bytes) and len(given) >= SHORTEST_KEY:
        return given
    shown = f"{len(given)} bytes" if isinstance(given, bytes) else type(given).__name__
    raise ConfigError(f"mac_key is at least {SHORTEST_KEY} secret bytes, such as of os.urandom(32), not {shown}")


def _namespace(given: Any) -> str:
    if isinstance(given, str) and len(given) <= 100 and given.isprintable():
        return given
    raise ConfigError("namespace is a printable text of up to 100 characters")


def _words(name: str, given: Any, known: tuple[str, ...]) -> frozenset[str]:
    """The words of a list, of those that are known. Raises: ConfigError."""
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise ConfigError(f"{name} is a list of words, of {', '.join(known)}, not {type(given).__name__}")
    words = tuple(given)
    for word in words:
        if word not in known:
            shown = repr(word) if isinstance(word, str) else type(word).__name__
            raise ConfigError(f"{shown} in {name}: {_hint(word, known)}")
    return frozenset(words)


def _hint(given: Any, known: tuple[str, ...]) -> str:
    from difflib import get_close_matches  # only for this message

    near = get_close_matches(given.lower(), known, n=1, cutoff=0.5) if isinstance(given, str) else []
    return f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
