"""What the `MetricsPlugin`s on one registry share: the collectors, and the series that there are. It needs `prometheus_client`."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import prometheus_client
from prometheus_client import values

from dynamorm.errors import ConfigError

from .families import Families, Gauges, Kept, Mapped, Series


class Shared:
    """What all plugins on one registry share: the collectors, and the series that there are."""

    def __init__(self, registry: Any, bounds: tuple[float, ...], scope: str | None) -> None:
        self.settings: tuple[Any, ...] = (bounds, scope)
        more = () if scope is None else ("scope",)
        self.families: Families
        if getattr(values.ValueClass, "_multiprocess", False):
            self.families = Mapped(registry, bounds, more)
        else:
            self.families = kept = Kept(bounds, more)
            registry.register(kept)
        self.gauges: Gauges = Gauges()
        registry.register(self.gauges)
        self._begin()

    def _begin(self) -> None:
        self.durations: dict[tuple[Any, ...], Series] = {}
        self.counters: dict[tuple[str, str, str, str], Iterator[Any]] = {}
        self.units: dict[tuple[str, str | None, str], Series] = {}

    def forked(self) -> None:
        """Begin anew in a child process. The databases are there as before."""
        self.families.forked()
        self._begin()

    def show_on(self, registry: Any) -> None:
        """Be on a registry again, where a program has taken everything off it: else nobody would see what is counted."""
        for collector in (*self.families.collectors(), self.gauges):
            with suppress(ValueError):  # it is there
                registry.register(collector)


_shared: weakref.WeakKeyDictionary[Any, Shared] = weakref.WeakKeyDictionary()
_sharing = threading.Lock()


def shared_on(given: Any, bounds: tuple[float, ...], scope: str | None) -> Shared:
    """What is shared on a registry (None: the default one), made with the first plugin on it. Raises: ConfigError."""
    registry: Any = prometheus_client.REGISTRY if given is None else given
    if isinstance(registry, type) or not callable(getattr(registry, "register", None)):
        raise ConfigError(
            "registry of a MetricsPlugin is a prometheus_client.CollectorRegistry, such as prometheus_client.REGISTRY, not"
            f" {registry.__name__ if isinstance(registry, type) else type(registry).__name__}"
        )
    with _sharing:
        known = _shared.get(registry)
        if known is None:
            try:
                known = _shared[registry] = Shared(registry, bounds, scope)
            except ValueError as error:
                raise ConfigError(
                    "this registry has collectors called dynamorm_... that are not of a MetricsPlugin: give it another"
                    " registry, or unregister them"
                ) from error
        else:
            known.show_on(registry)
        if known.settings != (bounds, scope):
            raise ConfigError(
                "another MetricsPlugin on this registry has other buckets, or another scope, and they share one collector:"
                " give both the same, or another registry to one of them"
            )
        return known
