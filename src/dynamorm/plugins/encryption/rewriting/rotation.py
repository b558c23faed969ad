"""`db.keys`: what is done with the keys of a database."""

from __future__ import annotations

from collections.abc import Callable, Collection, Coroutine, Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar, overload
from uuid import UUID

from dynamorm import schema_of
from dynamorm.effects import Flow
from dynamorm.errors import ConfigError
from dynamorm.plugin import without_locals

from ..keyring import LATEST
from ..records import ACTIVE, Ring
from ..seal import SEAL
from ..values import bytes_of, is_envelope
from .reencrypt import Pass, ReencryptProgress, Wires, over_pages
from .shred import shredded

if TYPE_CHECKING:
    from typing_extensions import TypeVar as Defaulted

    from dynamorm import DB, AsyncDB

    from ..fields import EncryptedField
    from ..plugin import EncryptionPlugin
    from .reencrypt import ReencryptReport
    from .shred import ShredReport

    D_co = Defaulted("D_co", bound="DB | AsyncDB", default="DB", covariant=True)
else:
    D_co = TypeVar("D_co", covariant=True)


class RotationReport(NamedTuple):
    """What `KeyActions.rotate` has done: the new ``versions``, by table, and until when others may write with the one before.

    ``former`` are the versions before, by table: those that `KeyActions.retire` takes, once `reencrypt` is complete.
    """

    versions: dict[str, str]
    old_writers_until: datetime
    former: dict[str, str]


class KeyActions(Generic[D_co]):
    """The actions on the keys of a database, which it has as ``db.keys``. On the asyncio face each is awaited."""

    def __init__(self, plugin: EncryptionPlugin, run: Callable[[Any], Any], rewriting: Any) -> None:
        self._plugin = plugin
        self._run: Callable[[Any], Any] = lambda flow: run(_clean(flow))
        self._rewriting = rewriting

    @overload
    def rotate(
        self: KeyActions[DB], ring: str, *, tenant: str | None = None, blind_index: bool = False
    ) -> RotationReport: ...
    @overload
    def rotate(
        self: KeyActions[AsyncDB], ring: str, *, tenant: str | None = None, blind_index: bool = False
    ) -> Coroutine[Any, Any, RotationReport]: ...
    def rotate(self, ring: str, *, tenant: str | None = None, blind_index: bool = False) -> Any:
        """Make a new key for what is written from now on. What was written before is read with its own key, as ever.

        The ring is rotated in the tables of all models that this process has used. Other processes go on with the key before
        until they fetch the ring anew: the `RotationReport` says until when, and which version was in use before.

        ``blind_index=True`` makes a new key of the ring's blind indexes in its place: from now on what is written has both
        indexes (and both guards of a unique value), and ``equals`` asks for both. `reencrypt`, begun after
        ``old_writers_until``, leaves the new one alone, and `retire` of the old version ends it.

        Raises: ConfigError for a ring of no model that was used, for one that has no key yet, and where two keys of the blind index are in use already;
        KeyUnavailable, KeyDisabled.

        Example: ``report = db.keys.rotate("pci")``
        """
        return self._run(self._rotated(ring, tenant or "", blind_index=blind_index))

    @overload
    def reencrypt(
        self: KeyActions[DB],
        model: type[Any],
        *,
        tenant: str | None = None,
        only: Callable[[Wires], object] | None = None,
        progress: Callable[[ReencryptProgress], object] | None = None,
        segment: tuple[int, int] | None = None,
    ) -> ReencryptReport: ...
    @overload
    def reencrypt(
        self: KeyActions[AsyncDB],
        model: type[Any],
        *,
        tenant: str | None = None,
        only: Callable[[Wires], object] | None = None,
        progress: Callable[[ReencryptProgress], object] | None = None,
        segment: tuple[int, int] | None = None,
    ) -> Coroutine[Any, Any, ReencryptReport]: ...
    def reencrypt(
        self,
        model: type[Any],
        *,
        tenant: str | None = None,
        only: Callable[[Wires], object] | None = None,
        progress: Callable[[ReencryptProgress], object] | None = None,
        segment: tuple[int, int] | None = None,
    ) -> Any:
        """Store every item of a model in the form of today: under the key in use, with its blind indexes and its seal.

        It reads the whole table, and writes items that are in another form, each only while it is as it was read; versions and
        times stay. What was done is noted behind each page: a pass that was stopped is gone on with by the next call.
        ``progress`` is called behind each page with a `ReencryptProgress`. ``tenant`` is that of the items of a model without a
        `Tenant` field, where a view wrote them: items under keys of others are passed over.

        A value in the clear is encrypted where its field has ``plaintext_until`` and its item is known to be of the model: by
        its discriminator; or because the item has what the model needs and nothing else, and no other class that was used
        stores the same attribute of the table. ``only`` tells that instead: it is called with each item as it is stored, and
        those to which it says no are passed over; where one of them is the model's all the same and something of it is in a
        former form, it counts as ``skipped``, and the pass is not complete. A pass with an ``only`` goes on under the same
        function alone, and begins anew where that is a closure, a method or an object.

        ``segment=(0, 8)`` is one of eight parts of the table, for who spreads a pass over several processes: each has a note of
        its own, and the last one to be done tells that all are complete; ``progress`` is called behind each page but the last.

        Returns: a `ReencryptReport`; with ``complete`` the key before may be retired.

        Raises: ConfigError for a model without encrypted fields, and for a value in the clear of which nobody knows whose it is;
        KeyUnavailable, KeyDisabled.

        Example: ``db.keys.reencrypt(User, only=lambda item: item["id"]["S"].startswith("USER#")).complete``
        """
        return self._run(Pass(self._plugin, self._rewriting, model, tenant or "", progress, only, segment).run())

    @overload
    def retire(self: KeyActions[DB], ring: str, version: str, *, tenant: str | None = None) -> None: ...
    @overload
    def retire(
        self: KeyActions[AsyncDB], ring: str, version: str, *, tenant: str | None = None
    ) -> Coroutine[Any, Any, None]: ...
    def retire(self, ring: str, version: str, *, tenant: str | None = None) -> Any:
        """Let a former key be used no more: what is still stored under it is `KeyDisabled` from then on.

        It reads the tables of the ring, and looks at every envelope and seal in them, whatever class has written it. Of the old
        version of a blind index it ends the time in which both are in use, after a complete `reencrypt` of each class that has it.

        Raises: ConfigError for a key in use or one that is unknown; before the last rotation's ``old_writers_until``; and where
        something is stored under the key, or a blind index of it was not made anew since.

        Example: ``for version in report.former.values(): db.keys.retire("pci", version)``
        """
        return self._run(self._retired(ring, str(version), tenant or ""))

    @overload
    def shred(
        self: KeyActions[DB], *, tenant: str | None = None, subject: Any = None, ring: str | None = None
    ) -> ShredReport: ...
    @overload
    def shred(
        self: KeyActions[AsyncDB], *, tenant: str | None = None, subject: Any = None, ring: str | None = None
    ) -> Coroutine[Any, Any, ShredReport]: ...
    def shred(self, *, tenant: str | None = None, subject: Any = None, ring: str | None = None) -> Any:
        """Destroy the keys of a tenant, or of a subject (``Encrypted(ring, subject="customer_id")``), so that nothing of it opens.

        In two steps: the first call disables the keys, so that no process fetches them any more; a call after
        ``report.done_at`` destroys them. ``tenant`` with ``subject`` is a subject of that tenant; ``ring`` is one ring alone.

        Returns: a `ShredReport`: until when the keys can be had from backups, and what is left that was made of values.

        Raises: ConfigError, also where there is no such key: then nothing was shredded.

        Example: ``report = db.keys.shred(subject="c1")``
        """
        return self._run(shredded(self._plugin, tenant=tenant, subject=subject, ring=ring))

    def _rotated(self, name: str, tenant: str, *, blind_index: bool) -> Flow[RotationReport]:
        keys = self._plugin.keys
        versions: dict[str, str] = {}
        former: dict[str, str] = {}
        if not blind_index and all(field.subject is not None for field in self._fields(name)) and self._fields(name):
            raise ConfigError(
                f"each subject has a key of its own, and nothing else lies under the key of the ring {name}, so that a rotation of"
                " it would change nothing"
            )
        for ring in (yield from self._rings(name, tenant)):
            one = ring.blind if blind_index else ring
            pointer = yield from keys.keyring.get(one, ACTIVE)
            if pointer is None:
                continue  # nothing was written there
            former[ring.home.table] = pointer.key_version
            versions[ring.home.table] = yield from keys.keyring.rotate(one, both=blind_index)
            keys.forget(one)
        if not versions:
            whose = "of this tenant " if tenant else ""
            raise ConfigError(
                f"the ring {name} {whose}has no key in the tables of the models that this process has used, so that there is"
                " nothing to rotate; is it written so?"
            )
        return RotationReport(versions, keys.keyring.now() + timedelta(seconds=LATEST), former)

    def _retired(self, name: str, version: str, tenant: str) -> Flow[None]:
        keys = self._plugin.keys
        found = False
        for ring in (yield from self._rings(name, tenant)):
            main = yield from keys.keyring.get(ring, ACTIVE)
            blind = yield from keys.keyring.get(ring.blind, ACTIVE)
            of_blind = blind is not None and version in blind.versions
            pointer, one = (blind, ring.blind) if of_blind else (main, ring)
            if pointer is None or version not in pointer.versions or version in pointer.retired:
                continue
            found = True
            if version == (pointer.other if of_blind else pointer.key_version) or (of_blind and pointer.other is None):
                raise ConfigError(f"this key of the ring {name} is the one in use: rotate the ring before")
            if version in pointer.copied:
                raise ConfigError(
                    f"values in records of an audit trail lie under this key of the ring {name}, and records are never written"
                    " anew: nothing new is encrypted with it since the rotation, and it goes with its tenant"
                )
            since = (pointer.rotated or 0) + LATEST
            if keys.keyring.seconds() < since:
                raise ConfigError(
                    f"others may still write with this key of the ring {name}: run db.keys.reencrypt(...) of each model of the"
                    " ring, and this, after the old_writers_until of the last rotation"
                )
            found_in = yield from self._found(ring, UUID(version).bytes, of_blind=of_blind, since=since)
            if found_in:
                raise ConfigError(
                    f"there may be values under this key in {', '.join(sorted(found_in))}: run db.keys.reencrypt(...) of each"
                    " model that has them to its end, begun after the old_writers_until of the last rotation"
                )
            yield from keys.keyring.change(one, _retiring(version, of_blind=of_blind))
            keys.forget(one)
        if not found:
            raise ConfigError(f"the ring {name} has no key {version} that could be retired")

    def _found(self, ring: Ring, version: bytes, *, of_blind: bool, since: int) -> Flow[set[str]]:
        """Where something is, or may be, stored under a version of a key: it looks at every item of every table of the ring."""
        main = yield from self._plugin.keys.keyring.get(ring, ACTIVE)
        blind = yield from self._plugin.keys.keyring.get(ring.blind, ACTIVE)
        noted = {table for pointer in (main, blind) if pointer is not None for table in pointer.tables}
        complete = {} if main is None else {mark for mark, begun in main.complete.items() if begun >= since}
        fields = self._fields(ring.name)
        found: set[str] = set()
        for table in sorted(noted | {field.table for field in fields if field.home() == ring.home}):
            model = self._plugin.model_of(table)
            if model is None:
                raise ConfigError(
                    f"the ring {ring.name} is used in the table {table}, too, and no model of that was used by this process so"
                    " far: read one of its items first"
                )
            look: Callable[[Wires], set[str]] = partial(_under, table, version)
            if of_blind:
                look = partial(self._indexed, ring, model, complete)
            read = partial(self._rewriting.page, model, whole_table=True)
            yield from over_pages(read, None, partial(_noted, found, look))
        return found

    def _indexed(self, ring: Ring, model: type[Any], complete: Collection[str], item: Wires) -> set[str]:
        """The blind indexes of an item that no complete pass has made anew, but those of other rings and tenants."""
        schema = schema_of(model)
        tag = (item.get(schema.discriminator or "") or {}).get("S")
        found = set()
        for name in item:
            start, _, attribute = name[1:].partition("_")
            if name[:1] != "_" or start not in {"bi", "bi2"}:
                continue
            known = [
                field
                for field in self._plugin.all_fields()
                if (field.table, field.attribute) == (schema.table, attribute)
            ]
            mine = [field for field in known if field.option.ring == ring.name and _is_of(field, ring, item)]
            if not known or any(field.mark_of(tag) not in complete for field in mine):
                found.add(f"{schema.table}.{attribute}")
        return found

    def _fields(self, ring: str) -> list[EncryptedField]:
        return [field for field in self._plugin.all_fields() if field.option.ring == ring]

    def _rings(self, name: str, tenant: str) -> Flow[Sequence[Ring]]:
        fields = self._fields(name)
        if not fields:
            raise ConfigError(
                f"no model with Encrypted({name!r}) was used by this process so far, so nobody knows where its keys are: read"
                " one of its items first"
            )
        if not tenant and all(field.tenant_attribute is not None for field in fields):
            raise ConfigError(f"each tenant has keys of the ring {name} of its own: say tenant=...")
        homes = list(dict.fromkeys(field.home() for field in fields))
        if tenant:
            tenant = yield from self._plugin.keys.keyring.spelled(tenant, [(home, name) for home in homes])
        return [Ring(home, name, tenant) for home in homes]


def _retiring(version: str, *, of_blind: bool) -> Callable[[Any], object]:
    def change(pointer: Any) -> None:
        pointer.retired = [*pointer.retired, version]
        if of_blind:
            pointer.key_version, pointer.other = pointer.other, None

    return change


def _is_of(field: EncryptedField, ring: Ring, item: Wires) -> bool:
    """Whether an item may be one of the ring's tenant."""
    if field.tenant_attribute is None:
        return True
    return (item.get(field.tenant_attribute) or {}).get("S") == ring.tenant


def _noted(found: set[str], look: Callable[[Wires], set[str]], items: Sequence[Wires], _: bytes | None) -> Flow[None]:
    """Look at the items of a page."""
    found.update(*map(look, items))
    yield from ()


def _under(table: str, version: bytes, item: Wires) -> set[str]:
    return {f"{table}.{name}" for name in under(item, version)}


def under(item: Wires, version: bytes) -> Iterator[str]:
    """The attributes of an item that lie under a version of a key, whatever class has written them."""
    for name, wire in item.items():
        if is_envelope(wire) and (bytes_of(wire) or b"")[4:20] == version:
            yield name
    if version in (bytes_of(item.get(SEAL)) or b""):
        yield SEAL


def _clean(flow: Flow[Any]) -> Flow[Any]:
    """A flow whose errors hold no key, and no value, in the frames of the library."""
    try:
        return (yield from flow)
    except BaseException as error:
        without_locals(error)
        raise
