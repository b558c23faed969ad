"""What gives and opens data keys: the interface of `LocalKeyProvider` and of a service."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from dynamorm.effects import Flow


class KeyProvider(Protocol):
    """Makes data keys of 32 bytes, and opens those that it has wrapped. Both are flows, which wait by ``yield Call(...)``.

    ``context`` is authenticated: a wrapped key opens with the same one alone. ``ttl`` are the seconds for which an opened key is
    kept, and ``grace`` those for which it is used beyond that while the provider does not answer; ``max_keys`` is how many are
    kept. ``keyring_table`` is the table of the records of keys (None: that of the model). ``is_for_production``: it may be used
    with ``Presets.production()``.
    """

    ttl: float
    grace: float
    max_keys: int
    keyring_table: str | None
    is_for_production: bool

    def generate(self, context: Mapping[str, str]) -> Flow[tuple[bytes, bytes]]:
        """A new key, and the same wrapped. Raises: KeyUnavailable, KeyDisabled."""
        ...

    def unwrap(self, wrapped: bytes, context: Mapping[str, str]) -> Flow[bytes]:
        """The key that was wrapped. Raises: KeyUnavailable, KeyDisabled."""
        ...
