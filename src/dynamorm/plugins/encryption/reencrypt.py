"""A pass over the items of a model, which stores what is not in the form of today anew: keys, indexes, seals, plaintext.

What was done is noted behind each page, so that a pass that was stopped goes on there, in another process too. An item is
written only while what was read of it is as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from dynamorm.arguments import check_takes
from dynamorm.effects import Flow
from dynamorm.errors import ConfigError, EncryptionError
from dynamorm.plugin import NotReady

from .keyring import LATEST, marks
from .records import ACTIVE, Ring, is_record
from .undecryptable import lasts
from .values import Read, text_of

if TYPE_CHECKING:
    from .fields import EncryptedField
    from .plugin import EncryptionPlugin

TRIES: Final = 8
_READY: Final = 100


class ReencryptProgress(NamedTuple):
    """How far a pass is: items that were looked at, that were written anew, and that could not be."""

    items: int
    rewritten: int
    failed: int


class ReencryptReport(NamedTuple):
    """What a pass has done. ``complete``: nothing is left in a former form, whoever has written meanwhile.

    It is not where an item ``failed``, and where the pass began before `RotationReport.old_writers_until`.
    """

    items: int
    rewritten: int
    failed: int
    complete: bool


class Pass:
    """One pass over one model. ``tenant`` is that of a model whose items do not say whose they are."""

    def __init__(
        self,
        plugin: EncryptionPlugin,
        rewriting: Any,
        model: type[Any],
        tenant: str,
        progress: Callable[[ReencryptProgress], object] | None,
    ) -> None:
        if progress is not None:
            check_takes(progress, ("progress",), "progress", error=ConfigError)
        self._plugin = plugin
        self._rewriting = rewriting
        self._model = model
        self._tenant = tenant
        self._progress = progress
        self._keyring = plugin.keys.keyring
        self.items: int = 0
        self.rewritten: int = 0
        self.failed: int = 0
        self._tenants: set[str] = {tenant} if tenant else set()

    def run(self) -> Flow[ReencryptReport]:
        """Go over all items. Raises: ConfigError for a model without encrypted fields; KeyUnavailable, KeyDisabled."""
        self._rewriting.use(self._model)
        fields = self._plugin.fields_of(self._model)
        if not fields:
            raise ConfigError(
                f"{self._model.__name__} has no encrypted field, so that there is nothing to encrypt anew"
            )
        self._names = tuple(name for name, _ in fields[0].key_types)
        self._tenant_attribute = self._plugin.tenant_attribute(self._model)
        place = Ring(fields[0].home(), f"pass/{fields[0].crypto_name}", self._tenant)
        position, begun = yield from self._position(place)
        while True:
            items, position = yield from self._rewriting.page(self._model, position)
            for item in items:
                yield from self._item(fields, item)
            yield from self._note(place, position, begun)
            if self._progress is not None:
                self._progress(ReencryptProgress(self.items, self.rewritten, self.failed))
            if position is None:
                break
        complete = not self.failed and (yield from self._finish(fields, begun))
        return ReencryptReport(self.items, self.rewritten, self.failed, complete)

    def _position(self, place: Ring) -> Flow[tuple[bytes | None, int]]:
        """Where to begin: where a pass was stopped, or at the beginning."""
        noted = yield from self._keyring.get(place, ACTIVE)
        if noted is not None and noted.position is not None:
            self._tenants |= set(noted.retired)
            self.items, self.rewritten, self.failed = (
                noted.complete.get(name, 0) for name in ReencryptProgress._fields
            )
            return noted.position, noted.rotated or 0
        return None, self._keyring.seconds()

    def _note(self, place: Ring, position: bytes | None, begun: int) -> Flow[None]:
        done = {"items": self.items, "rewritten": self.rewritten, "failed": self.failed}
        yield from self._keyring.put(
            place, ACTIVE, position=position, rotated=begun, complete=done, retired=sorted(self._tenants)
        )

    def _item(self, fields: Sequence[EncryptedField], item: dict[str, Any] | None) -> Flow[None]:
        """Store an item in the form of today, unless it is. One that changes meanwhile is read again."""
        assert item is not None  # as the page has it
        if is_record(text_of(item.get(self._names[0]))) or not any(field.attribute in item for field in fields):
            return
        self.items += 1
        for _ in range(TRIES):
            try:
                changes = yield from self._changes(fields, item)
            except EncryptionError as error:
                if not lasts(error):
                    raise
                break
            if not changes:
                return
            if (yield from self._rewriting.write(self._model, item, changes)):
                self.rewritten += 1
                return
            item = yield from self._rewriting.read(self._model, item)
            if item is None:
                return
        self.failed += 1

    def _changes(self, fields: Sequence[EncryptedField], item: Mapping[str, Any]) -> Flow[dict[str, Any]]:
        scope = self._scope(item)
        place = Read(self._names, item.get, scope)
        seal = self._plugin.seal_of(self._model)
        waited = 0
        while True:
            try:
                changes: dict[str, Any] = {}
                for field in fields:
                    changes |= field.changes(item, place)
                if seal is not None:
                    changes |= seal.changes(item, changes, place)
            except NotReady as waiting:
                if (waited := waited + 1) > _READY:
                    raise
                missing = waiting
            else:
                return changes
            yield from missing.flow()

    def _scope(self, item: Mapping[str, Any]) -> dict[str, str]:
        tenant = self._tenant
        if self._tenant_attribute is not None:
            tenant = (item.get(self._tenant_attribute) or {}).get("S", "")
        if tenant:
            self._tenants.add(tenant)
        return {"tenant": tenant} if tenant else {}

    def _finish(self, fields: Sequence[EncryptedField], begun: int) -> Flow[bool]:
        """Note in the records of the rings that nothing is left; whether that may be said."""
        complete = True
        for tenant in sorted(self._tenants) or [""]:
            for name in sorted({field.option.ring for field in fields}):
                named = [field.mark for field in fields if field.option.ring == name]
                ring = Ring(fields[0].home(), name, tenant)
                if (yield from self._began_late_enough(ring, begun)):
                    yield from self._keyring.change(ring, marks(named, begun))
                    self._plugin.keys.forget(ring)
                else:
                    complete = False
        return complete

    def _began_late_enough(self, ring: Ring, begun: int) -> Flow[bool]:
        for one in (ring, ring.blind):
            pointer = yield from self._keyring.get(one, ACTIVE)
            if pointer is not None and len(pointer.versions) > 1 and begun < (pointer.rotated or 0) + LATEST:
                return False
        return True
