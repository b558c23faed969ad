"""`CachingPlugin`: a `Cache` whose memory is Redis. What redis gives is imported with its first use."""

from __future__ import annotations

from inspect import iscoroutinefunction
from os import urandom
from typing import TYPE_CHECKING, Any, Final, Never

from dynamorm.errors import ConfigError
from dynamorm.errors.log import logger

from .config import CacheConfig
from .memory import Memory
from .plugin import Cache

if TYPE_CHECKING:
    from collections.abc import Callable

    from .shared import Shared


_KEY: Final = urandom(32)
"""The key of this process, where the program gives none: nobody else knows it."""


class CachingPlugin(Cache):
    """Keeps the answers of reads in Redis, for all processes that share it: a `Cache` with another memory.

    ``redis`` is a client of the face: ``redis.Redis`` for DB, ``redis.asyncio.Redis`` for AsyncDB. Its address, user and TLS
    are used, over connections of the plugin's own; a Redis that fails is left alone for a while, and what it says is
    believed only under the MAC of ``CacheConfig.mac_key``. Redis 5 or newer.

    Raises: ConfigError for what is no such client; from ``db.use`` for a client of the other face, where
    ``Presets.production()`` finds no ``mac_key``, and where nothing names the AWS account.

    Example: ``db.use(CachingPlugin(redis.Redis(), CacheConfig(mac_key=key)))``
    """

    closed: Callable[[Any], Any]
    """Ends the connections, with the database: a coroutine function for asyncio, so it is given by the client's face."""

    def __init__(self, redis: Any, config: CacheConfig | None = None, **settings: Never) -> None:
        super().__init__(config, **settings)
        if isinstance(redis, (CacheConfig, str, type)) or not callable(getattr(redis, "execute_command", None)):
            given = redis.__name__ if isinstance(redis, type) else type(redis).__name__
            raise ConfigError(
                f"CachingPlugin takes a client, such as redis.Redis(host=...), and then a CacheConfig, not {given};"
                " db.use(Cache(config)) keeps answers in memory"
            )
        self._redis = redis
        self._keeper: Any = None

    def joined(self, db: Any) -> None:
        """Refuse a client of the other face. Raises: ConfigError."""
        super().joined(db)
        is_async: bool = db.is_async
        if is_async is not iscoroutinefunction(self._redis.execute_command):
            right = "redis.asyncio.Redis" if db.is_async else "redis.Redis"
            raise ConfigError(f"{type(db).__name__} needs a client of its own face: CachingPlugin({right}(...))")
        key = self.config.mac_key
        if key is None and db.config.preset == "production":
            raise ConfigError(
                "CachingPlugin in production needs CacheConfig(mac_key=...), at least 16 secret bytes that are the same in all"
                " processes: without it, whoever can write Redis could forge what is read"
            )
        assert self._place is not None  # joined
        space = self.config.namespace
        place = self._place.lasting(
            "a cache in Redis (which CacheConfig(namespace=...) may keep apart, a name for each account)",
            named=bool(space),
        )
        if isinstance(self._store, Memory):
            if key is None:
                logger.info(
                    "CachingPlugin has no mac_key: this process reads from Redis only what it has written itself"
                )
            self._store = self._opened(key or _KEY, (space, place), is_async=is_async)
        self._keeper.joined()

    def _opened(self, mac_key: bytes, place: tuple[str, ...], *, is_async: bool) -> Shared:
        from .shared import Shared  # needs the package redis, as does who has a client

        kinds: Any
        if is_async:
            from .connections import aio_link as kinds  # one of the two is loaded
        else:
            from .connections import keeper as kinds  # likewise
        link, keeper = kinds.KINDS
        try:
            made = link(self._redis, self.config.timeout)
        except TypeError as error:
            raise ConfigError(f"the connections of this redis client cannot be made like its own: {error}") from None
        shared = Shared(self.config, made, mac_key, place)
        self._keeper = keeper(made, shared.tend)
        shared.wake, self.closed = self._keeper.wake, self._keeper.closed
        return shared

    def forked(self) -> None:
        """Start again in a child process."""
        super().forked()
        if self._keeper is not None:
            self._keeper.forked()
