"""The settings of a batcher: plain data, checked when they are made."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

from msgspec import Struct

from dynamorm.arguments import Settings, check_choice, check_count, check_seconds
from dynamorm.errors import ConfigError

_KEY = 32
"""Bytes of a key of AES-256."""


class BatchConfig(Struct, frozen=True, kw_only=True, metaclass=Settings):
    """How a batcher works. Times are seconds, or timedeltas.

    Attributes:
        max_size: items of one request, 1 to 25. Source:
            https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchWriteItem.html
        max_wait: how long an item waits for others, 0 to 60 seconds.
        parallelism: requests that are under way at once; never more than the database has connections.
        queue_size: items that are added and have not ended. A full queue holds up who adds, or refuses him.
        on_full: ``"block"`` waits for a place, ``"raise"`` raises `Backpressure`.
        on_ambiguous: after an unconditional write whose answer was lost, a copy of it may come late, for nine minutes, and
            overwrite what is newer. ``"wait"`` holds back the next write of that key for so long; ``"resend"`` does not.
        keep: the result of `close` lists what was written. False only counts it, so that memory stays bounded.
        close_timeout: seconds in which `close` writes what is left.
        spool_dir: a directory in which items are kept until they are written, so that they survive a crash. One
            process has it at a time. None: there is no spool.
        spool_key: 32 bytes; with it the spool is encrypted (AES-256-GCM, by the extra ``spool``).
        spool_models: classes whose names no module has, so that a spool cannot find them.

    Raises: ConfigError for a value that cannot be.

    Example: ``BatchConfig(max_size=25, max_wait=0.1, parallelism=4)``
    """

    max_size: int = 25
    max_wait: float | timedelta = 0.1
    parallelism: int = 4
    queue_size: int = 10_000
    on_full: Literal["block", "raise"] = "block"
    on_ambiguous: Literal["wait", "resend"] = "wait"
    keep: bool = True
    close_timeout: float | timedelta = 30.0
    spool_dir: str | os.PathLike[str] | None = None
    spool_key: bytes | None = None
    spool_models: tuple[type[Any], ...] = ()

    def __post_init__(self) -> None:
        check_count("max_size", self.max_size, 1, 25, error=ConfigError)
        check_seconds("max_wait", self.max_wait, 0.0, 60.0, error=ConfigError)
        check_count("parallelism", self.parallelism, 1, 1000, error=ConfigError)
        check_count("queue_size", self.queue_size, 1, error=ConfigError)
        check_choice("on_full", self.on_full, ("block", "raise"), error=ConfigError)
        check_choice("on_ambiguous", self.on_ambiguous, ("wait", "resend"), error=ConfigError)
        check_seconds("close_timeout", self.close_timeout, 0.0, 86_400.0, error=ConfigError)
        keep: Any = self.keep
        directory: Any = self.spool_dir
        key: Any = self.spool_key
        models: Any = self.spool_models
        if not isinstance(keep, bool):
            raise ConfigError(f"keep is True or False, not {type(keep).__name__}")
        if directory is not None and not (isinstance(directory, (str, os.PathLike)) and str(directory)):
            raise ConfigError("spool_dir is the path of a directory, or None")
        if key is not None and not (isinstance(key, bytes) and len(key) == _KEY):
            raise ConfigError(
                f"spool_key is {_KEY} bytes: os.urandom({_KEY}), the same after each start: kept where other keys are"
            )
        if key is not None and directory is None:
            raise ConfigError("spool_key encrypts a spool: give spool_dir too")
        if not isinstance(models, tuple) or not all(isinstance(one, type) for one in models):
            raise ConfigError("spool_models is a tuple of model classes")

    def __repr__(self) -> str:
        shown = {name: getattr(self, name) for name in self.__struct_fields__ if name != "spool_key"}
        return f"BatchConfig({', '.join(f'{name}={value!r}' for name, value in shown.items())})"

    @property
    def wait(self) -> float:
        """``max_wait`` in seconds."""
        return check_seconds("max_wait", self.max_wait)

    @property
    def path(self) -> Path | None:
        """``spool_dir`` as a path."""
        return None if self.spool_dir is None else Path(self.spool_dir)


def checked(config: BatchConfig | None) -> BatchConfig:
    """The settings, or the usual ones. Raises: ConfigError for anything else."""
    if config is None:
        return BatchConfig()
    if not isinstance(config, BatchConfig):
        raise ConfigError(f"new_batcher takes a BatchConfig, not {type(config).__name__}: BatchConfig(max_size=25)")
    return config
