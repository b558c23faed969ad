"""The settings of the cache, and what each of them may be. It must not know how anything is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, get_args

from msgspec import Struct
from msgspec.structs import force_setattr

from dynamorm.arguments import Settings, check_count, check_seconds, nearest
from dynamorm.errors import ConfigError, UnknownSetting
from dynamorm.errors.log import close_coroutine, interrupts, logger

CacheableOperation: TypeAlias = Literal["get", "batch_get", "first", "one", "all", "count", "exists", "page"]
OPERATIONS: Final = get_args(CacheableOperation)
"""The verbs whose answers may be kept; ``require`` goes with ``get``."""
Family: TypeAlias = Literal["create", "update", "delete"]
FAMILIES: Final = get_args(Family)
"""The families of writes: see `CacheConfig`."""
DEFAULT_OPERATIONS: Final = ("get", "first", "all", "count")
LONGEST_TTL: Final = 7 * 86_400.0
"""Seconds: more than a week is a mix-up of units rather than a cache."""
SHORTEST_KEY: Final = 16
"""Bytes of a ``mac_key``: 128 bits cannot be guessed."""

Ttl: TypeAlias = Callable[[type[Any]], float | timedelta | None]


class CacheConfig(Struct, frozen=True, kw_only=True, metaclass=Settings):
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
    - ``namespace``: goes into each key, for several programs with one Redis, or accounts that are not named: one for each.
    - ``timeout``: seconds that Redis may take for one command; then it is left alone for a while. A deadline may end it sooner.

    Raises: ConfigError for what is none of these.

    Example::

        seconds: dict[type, float] = {User: 300.0, Setting: 3600.0}
        CacheConfig(
            cacheable_operations=["first", "all", "count"],
            ttl_func=lambda model: seconds.get(model, 60.0),
            invalidate_on=["create", "update", "delete"],
        )
    """

    if TYPE_CHECKING:  # attributes are sets and float seconds; arguments may be more

        def __init__(
            self,
            *,
            cacheable_operations: Iterable[CacheableOperation] = ...,
            ttl: float | timedelta = 60.0,
            ttl_func: Ttl | None = None,
            invalidate_on: Iterable[Family] = ...,
            settle: float | timedelta = 5.0,
            max_bytes: int = ...,
            mac_key: bytes | None = None,
            missing: bool = False,
            namespace: str = "",
            timeout: float | timedelta = 0.05,
        ) -> None: ...

    cacheable_operations: frozenset[str] = frozenset(DEFAULT_OPERATIONS)
    ttl: float = 60.0
    ttl_func: Ttl | None = None
    invalidate_on: frozenset[str] = frozenset(FAMILIES)
    settle: float = 5.0
    max_bytes: int = 64 * 1024 * 1024
    mac_key: bytes | None = None
    missing: bool = False
    namespace: str = ""
    timeout: float = 0.05

    def __post_init__(self) -> None:
        seconds = {
            "ttl": check_seconds("ttl", self.ttl, 0.0, LONGEST_TTL, positive=True, error=ConfigError),
            "settle": check_seconds("settle", self.settle, 0.0, 3600.0, error=ConfigError),
            "timeout": check_seconds("timeout", self.timeout, 0.001, 10.0, error=ConfigError),
        }
        words = {
            "cacheable_operations": _words("cacheable_operations", self.cacheable_operations, OPERATIONS),
            "invalidate_on": _words("invalidate_on", self.invalidate_on, FAMILIES),
        }
        for name, value in (seconds | words).items():
            force_setattr(self, name, value)
        ttl_func: Any = self.ttl_func
        missing: Any = self.missing
        if ttl_func is not None and not callable(ttl_func):
            raise ConfigError(
                f"ttl_func is a function of a model's class that gives seconds, not {type(ttl_func).__name__}"
            )
        check_count("max_bytes", self.max_bytes, 1, error=ConfigError)
        if self.mac_key is not None:
            _check_key(self.mac_key)
        if not isinstance(missing, bool):
            raise ConfigError(f"missing is True or False, not {type(missing).__name__}")
        _check_namespace(self.namespace)
        if absent := [name for name in FAMILIES if name not in self.invalidate_on]:
            logger.warning("the cache keeps answers behind writes of %s: they are stale for up to the TTL", absent)

    def __repr__(self) -> str:
        shown = []
        for name, default in zip(self.__struct_fields__, self.__struct_defaults__, strict=True):
            value = getattr(self, name)
            if value != default:
                text = sorted(value) if isinstance(value, frozenset) else value
                shown.append(f"{name}={'***' if name == 'mac_key' else repr(text)}")
        return f"CacheConfig({', '.join(shown)})"

    def ttl_of(self, model: type[Any], told: set[type[Any]]) -> float:
        """Seconds for which answers of a model are kept; 0 for not at all. Raises: ConfigError for what is no time.

        ``told`` are the models of which it was logged that ``ttl_func`` has failed.
        """
        if self.ttl_func is None:
            return self.ttl
        try:
            ttl = self.ttl_func(model)
            close_coroutine(ttl)
        except BaseException as error:  # a function of the user's; without a time nothing is kept
            if interrupts(error):
                raise
            if model not in told:
                told.add(model)
                logger.warning("ttl_func failed for %s (%s): it is not cached", model.__name__, type(error).__name__)
            return 0.0
        if ttl is None:
            return 0.0
        return check_seconds(
            "ttl_func", ttl, 0.0, LONGEST_TTL, subject=f"what ttl_func gives for {model.__name__}", error=ConfigError
        )


def check_settings(name: str, given: Mapping[str, Any]) -> None:
    """Refuse what was given to a cache in the place of a `CacheConfig`. Raises: UnknownSetting."""
    for setting in given:
        if setting in CacheConfig.__struct_fields__:
            raise UnknownSetting(
                f"{name} takes a CacheConfig: CacheConfig({setting}=...) in the place of {setting}=..."
            )
        raise UnknownSetting(
            f"{setting} is not a setting of CacheConfig, which {name} takes: {CacheConfig.instead_of(setting)}"
        )


def _check_key(given: Any) -> None:
    """Raises: ConfigError, which does not show the key."""
    if isinstance(given, bytes) and len(given) >= SHORTEST_KEY:
        return
    shown = f"{len(given)} bytes" if isinstance(given, bytes) else type(given).__name__
    raise ConfigError(f"mac_key is at least {SHORTEST_KEY} secret bytes, such as of os.urandom(32), not {shown}")


def _check_namespace(given: Any) -> None:
    if not (isinstance(given, str) and len(given) <= 100 and given.isprintable()):
        raise ConfigError("namespace is a printable text of up to 100 characters")


def _words(name: str, given: Any, known: tuple[str, ...]) -> frozenset[str]:
    """The words of a list, of those that are known. Raises: ConfigError."""
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise ConfigError(f"{name} is a list of words, of {', '.join(known)}, not {type(given).__name__}")
    words = tuple(given)
    for word in words:
        if word not in known:
            shown = repr(word) if isinstance(word, str) else type(word).__name__
            raise ConfigError(
                f"{shown} in {name}: {nearest(word.lower() if isinstance(word, str) else word, known, 0.5)}"
            )
    return frozenset(words)
