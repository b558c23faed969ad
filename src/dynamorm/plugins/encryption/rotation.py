"""`db.keys`: what is done with the keys of a database."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from dynamorm.effects import Flow
from dynamorm.errors import ConfigError

from .keyring import LATEST
from .records import ACTIVE, Ring
from .reencrypt import Pass, ReencryptProgress
from .shred import shredded

if TYPE_CHECKING:
    from .fields import EncryptedField
    from .plugin import EncryptionPlugin


class RotationReport(NamedTuple):
    """What `KeyActions.rotate` has done: the new ``versions``, by table, and until when others may write with the one before."""

    versions: dict[str, str]
    old_writers_until: datetime


class KeyActions:
    """The actions on the keys of a database, which it has as ``db.keys``. On the asyncio face each is awaited."""

    def __init__(self, plugin: EncryptionPlugin, run: Callable[[Any], Any], rewriting: Any) -> None:
        self._plugin = plugin
        self._run = run
        self._rewriting = rewriting

    def rotate(self, ring: str, *, tenant: str | None = None, blind_index: bool = False) -> Any:
        """Make a new key for what is written from now on. What was written before is read with its own key, as ever.

        The ring is rotated in the tables of all models that this process has used. Other processes go on with the key before
        until they fetch the ring anew: the `RotationReport` says until when.

        ``blind_index=True`` makes a new key of the ring's blind indexes in its place: from now on what is written has both
        indexes (and both guards of a unique value), and ``equals`` asks for both. `reencrypt`, begun after
        ``old_writers_until``, leaves the new one alone, and `retire` of the old version ends it.

        Raises: ConfigError for a ring of no model that was used, and where two keys of the blind index are in use already;
        KeyUnavailable, KeyDisabled.

        Example: ``report = db.keys.rotate("pci")``
        """
        return self._run(self._rotated(ring, tenant or "", blind_index=blind_index))

    def reencrypt(
        self,
        model: type[Any],
        *,
        tenant: str | None = None,
        progress: Callable[[ReencryptProgress], object] | None = None,
    ) -> Any:
        """Store every item of a model in the form of today: under the key in use, with its blind indexes and its seal.

        It reads the whole table, and writes items that are in another form, each only while it is as it was read; versions and
        times stay. What was done is noted behind each page: a pass that was stopped is gone on with by the next call.
        ``progress`` is called behind each page with a `ReencryptProgress`. ``tenant`` is that of the items of a model without a
        `Tenant` field, where a view wrote them.

        Returns: a `ReencryptReport`; with ``complete`` the key before may be retired.

        Raises: ConfigError for a model without encrypted fields; KeyUnavailable, KeyDisabled.

        Example: ``db.keys.reencrypt(Card, progress=print).complete``
        """
        return self._run(Pass(self._plugin, self._rewriting, model, tenant or "", progress).run())

    def retire(self, ring: str, version: str, *, tenant: str | None = None) -> Any:
        """Let a former key be used no more: what is still stored under it is `KeyDisabled` from then on.

        Of the old version of a blind index it ends the time in which both are in use.

        Raises: ConfigError for a key in use or one that is unknown, and where no complete `reencrypt` of each model of the ring
        that this process has used was begun after the last rotation's ``old_writers_until``.

        Example: ``db.keys.retire("pci", old)``
        """
        return self._run(self._retired(ring, str(version), tenant or ""))

    def shred(self, *, tenant: str | None = None, subject: Any = None, ring: str | None = None) -> Any:
        """Destroy the keys of a tenant, or of a subject (``Encrypted(ring, subject="customer_id")``), so that nothing of it opens.

        In two steps: the first call disables the keys, so that no process fetches them any more; a call after
        ``report.done_at`` destroys them. ``tenant`` with ``subject`` is a subject of that tenant; ``ring`` is one ring alone.

        Returns: a `ShredReport`: until when the keys can be had from backups, and what is left that was made of values.

        Raises: ConfigError.

        Example: ``report = db.keys.shred(subject="c1")``
        """
        return self._run(shredded(self._plugin, tenant=tenant, subject=subject, ring=ring))

    def _rotated(self, name: str, tenant: str, *, blind_index: bool) -> Flow[RotationReport]:
        keys = self._plugin.keys
        versions: dict[str, str] = {}
        for ring in self._rings(name, tenant):
            one = ring.blind if blind_index else ring
            versions[ring.home.table] = yield from keys.keyring.rotate(one, both=blind_index)
            keys.forget(one)
        return RotationReport(versions, keys.keyring.now() + timedelta(seconds=LATEST))

    def _retired(self, name: str, version: str, tenant: str) -> Flow[None]:
        keys = self._plugin.keys
        found = False
        for ring in self._rings(name, tenant):
            main = yield from keys.keyring.get(ring, ACTIVE)
            blind = yield from keys.keyring.get(ring.blind, ACTIVE)
            of_blind = blind is not None and version in blind.versions
            pointer, one = (blind, ring.blind) if of_blind else (main, ring)
            if pointer is None or version not in pointer.versions or version in pointer.retired:
                continue
            found = True
            if version == (pointer.other if of_blind else pointer.key_version) or (of_blind and pointer.other is None):
                raise ConfigError(f"this key of the ring {name} is the one in use: rotate the ring before")
            self._check_complete(ring, (pointer.rotated or 0) + LATEST, {} if main is None else main.complete)
            yield from keys.keyring.change(one, _retiring(version, of_blind=of_blind))
            keys.forget(one)
        if not found:
            raise ConfigError(f"the ring {name} has no key {version} that could be retired")

    def _check_complete(self, ring: Ring, since: int, complete: dict[str, int]) -> None:
        for field in self._fields(ring.name):
            if complete.get(field.mark, -1) < since:
                raise ConfigError(
                    f"values of {field.where} may still be stored under this key: run db.keys.reencrypt(...) of its model to"
                    " its end, begun after the old_writers_until of the last rotation"
                )

    def _fields(self, ring: str) -> list[EncryptedField]:
        of_all = [field for model in tuple(self._plugin.fields) for field in self._plugin.fields_of(model)]
        return [field for field in of_all if field.option.ring == ring]

    def _rings(self, name: str, tenant: str) -> Sequence[Ring]:
        fields = self._fields(name)
        if not fields:
            raise ConfigError(
                f"no model with Encrypted({name!r}) was used by this process so far, so nobody knows where its keys are: read"
                " one of its items first"
            )
        return list(dict.fromkeys(Ring(field.home(), name, tenant) for field in fields))


def _retiring(version: str, *, of_blind: bool) -> Callable[[Any], object]:
    def change(pointer: Any) -> None:
        pointer.retired = [*pointer.retired, version]
        if of_blind:
            pointer.key_version, pointer.other = pointer.other, None

    return change
