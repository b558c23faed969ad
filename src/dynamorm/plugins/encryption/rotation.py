"""`db.keys`: what is done with the keys of a database."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from dynamorm.effects import Flow
from dynamorm.errors import ConfigError

from .records import Ring

if TYPE_CHECKING:
    from .plugin import EncryptionPlugin

LATEST: Final = timedelta(seconds=3600 + 900)
"""For how long another process may go on writing with the key before: the longest ttl, and the longest grace."""


class RotationReport(NamedTuple):
    """What `KeyActions.rotate` has done: the new ``versions``, by table, and until when others may write with the one before."""

    versions: dict[str, str]
    old_writers_until: datetime


class KeyActions:
    """The actions on the keys of a database, which it has as ``db.keys``. On the asyncio face each is awaited."""

    def __init__(self, plugin: EncryptionPlugin, run: Callable[[Any], Any]) -> None:
        self._plugin = plugin
        self._run = run

    def rotate(self, ring: str, *, tenant: str | None = None) -> Any:
        """Make a new key for what is written from now on. What was written before is read with its own key, as ever.

        The ring is rotated in the tables of all models that this process has used. Other processes go on with the key before
        until they fetch the ring anew: the `RotationReport` says until when.

        Raises: ConfigError for a ring of no model that was used; KeyUnavailable, KeyDisabled.

        Example: ``report = db.keys.rotate("pci")``
        """
        return self._run(self._rotated(ring, tenant or ""))

    def _rotated(self, name: str, tenant: str) -> Flow[RotationReport]:
        keys = self._plugin.keys
        versions: dict[str, str] = {}
        for ring in self._rings(name, tenant):
            versions[ring.home.table] = yield from keys.keyring.rotate(ring)
            keys.forget(ring)
        return RotationReport(versions, datetime.now(UTC) + LATEST)

    def _rings(self, name: str, tenant: str) -> Sequence[Ring]:
        fields = [field for fields in self._plugin.fields.values() for field in fields if field.option.ring == name]
        if not fields:
            raise ConfigError(
                f"no model with Encrypted({name!r}) was used by this process so far, so nobody knows where its keys are: read"
                " one of its items first"
            )
        return list(dict.fromkeys(Ring(field.home(), name, tenant) for field in fields))
