"""A pass over the items of a model, which stores what is not in the form of today anew: keys, indexes, seals, plaintext.

What was done is noted behind each page, so that a pass that was stopped goes on there, in another process too. An item is
written only while what was read of it is as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import IntEnum
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar
from uuid import UUID

from dynamorm import schema_of
from dynamorm.arguments import check_takes
from dynamorm.effects import Flow
from dynamorm.errors import ConfigError, EncryptionError, KeyDisabled, KeyUnavailable
from dynamorm.plugin import NotReady, family_of

from ..envelope import framed, version_of
from ..keyring import LATEST, marks
from ..records import ACTIVE, Ring, is_record
from ..values import Read, bytes_of, is_envelope, text_of

if TYPE_CHECKING:
    from ..fields import EncryptedField
    from ..plugin import EncryptionPlugin

TRIES: Final = 8
_READY: Final = 100
_SEGMENTS: Final = 100_000
T = TypeVar("T")
Wires = Mapping[str, Any]
"""An item as it is stored: wire values by stored name."""


class InClear(IntEnum):
    """What becomes of a value in the clear; of several of one item the greatest is told."""

    ENCRYPTED = 0
    SKIPPED = 1
    OPEN = 2
    """Skipped, and perhaps of the model: the pass is not complete."""
    FAILED = 3


class ReencryptProgress(NamedTuple):
    """How far a pass is: items that were looked at, that were written anew, and that could not be."""

    items: int
    rewritten: int
    failed: int


class ReencryptReport(NamedTuple):
    """What a pass has done. ``complete``: nothing is left in a former form, whoever has written meanwhile.

    It is not where an item ``failed``, and where the pass began before `RotationReport.old_writers_until`. ``skipped`` are items
    that hold a value in the clear and are not known to be of the model: they are left as they are, and where the field has
    ``plaintext_until``, the pass is not complete. ``skipped`` are also items to which ``only`` says no while something of them
    is in a former form: then the pass is not complete.
    """

    items: int
    rewritten: int
    failed: int
    complete: bool
    skipped: int = 0


class Pass:
    """One pass over one model. ``tenant`` is that of a model whose items do not say whose they are."""

    def __init__(
        self,
        plugin: EncryptionPlugin,
        rewriting: Any,
        model: type[Any],
        tenant: str,
        progress: Callable[[ReencryptProgress], object] | None,
        only: Callable[[Wires], object] | None = None,
        segment: tuple[int, int] | None = None,
    ) -> None:
        if segment is not None:
            _check_segment(segment)
        if only is not None:
            check_takes(only, ("item",), "only", error=ConfigError)
        if progress is not None:
            check_takes(progress, ("progress",), "progress", error=ConfigError)
        self._plugin = plugin
        self._rewriting = rewriting
        self._model = model
        self._tenant = tenant
        self._progress = progress
        self._only = only
        self._segment = segment
        self._keyring = plugin.keys.keyring
        self.items: int = 0
        self.rewritten: int = 0
        self.failed: int = 0
        self.skipped: int = 0
        self._open: int = 0  # skipped, and perhaps of the model
        self._resumes: bool = True
        self._tenants: set[str] = {tenant} if tenant else set()
        self._versions: dict[str, set[bytes]] = {}
        self._fresh: set[str] = set()

    def run(self) -> Flow[ReencryptReport]:
        """Go over all items. Raises: ConfigError for a model without encrypted fields; KeyUnavailable, KeyDisabled."""
        self._rewriting.use(self._model)
        fields = self._plugin.fields_of(self._model)
        if not fields:
            raise ConfigError(
                f"{self._model.__name__} has no encrypted field, so that there is nothing to encrypt anew"
            )
        if self._tenant:
            rings = dict.fromkeys((field.home(), field.option.ring) for field in fields)
            self._tenant = yield from self._keyring.spelled(self._tenant, rings)
            self._tenants = {self._tenant}
        self._names = tuple(name for name, _ in fields[0].key_types)
        self._tenant_attribute = self._plugin.tenant_attribute(self._model)
        self._shape = Shape(self._model, fields, self._plugin.others_of(self._model))
        told = None if self._only is None else _told_by(self._only)
        self._resumes = self._only is None or told is not None
        digest = self._shape.digest + (f"/{told}" if told else "")
        name = f"pass/{fields[0].table}/{digest}"
        place = self._place(fields, name)
        position, begun = yield from self._position(place)
        yield from over_pages(
            partial(self._rewriting.page, self._model, segment=self._segment),
            position,
            lambda items, after: self._page(fields, place, begun, items, after),
        )
        others = begun if self._segment is None else (yield from self._others(fields, name))
        complete = others is not None and not self.failed and not self._open
        complete = complete and (yield from self._finish(fields, min(begun, others or 0)))
        return ReencryptReport(self.items, self.rewritten, self.failed, complete, self.skipped)

    def _place(self, fields: Sequence[EncryptedField], name: str, number: int | None = None) -> Ring:
        """Where it is noted how far the pass is, or that of a segment."""
        if self._segment is not None:
            mine, total = self._segment
            name = f"{name}/{mine if number is None else number}of{total}"
        return Ring(fields[0].home(), name, self._tenant)

    def _others(self, fields: Sequence[EncryptedField], name: str) -> Flow[int | None]:
        """When the first of all segments was begun, whose tenants are this one's, too; None where one is not done, or not wholly."""
        assert self._segment is not None  # as the caller has seen
        first: list[int] = []
        for number in range(self._segment[1]):
            noted = yield from self._keyring.get(self._place(fields, name, number), ACTIVE)
            if noted is None or noted.position is not None or noted.rotated is None:
                return None
            if noted.complete.get("failed") or noted.complete.get("open"):
                return None
            self._tenants |= set(noted.retired)
            first.append(noted.rotated)
        return min(first)

    def _page(
        self, fields: Sequence[EncryptedField], place: Ring, begun: int, items: Sequence[Any], after: bytes | None
    ) -> Flow[None]:
        """One page, behind which it is noted how far the pass is."""
        for item in items:
            yield from self._item(fields, item)
        yield from self._note(place, after, begun)
        if self._progress is not None and (after is not None or self._segment is None):  # of a segment the report tells
            self._progress(ReencryptProgress(self.items, self.rewritten, self.failed))

    def _position(self, place: Ring) -> Flow[tuple[bytes | None, int]]:
        """Where to begin: where a pass was stopped, or at the beginning."""
        noted = (yield from self._keyring.get(place, ACTIVE)) if self._resumes else None
        if noted is not None and noted.position is not None:
            self._tenants |= set(noted.retired)
            self.items, self.rewritten, self.failed, self.skipped, self._open = (
                noted.complete.get(name, 0) for name in (*ReencryptProgress._fields, "skipped", "open")
            )
            return noted.position, noted.rotated or 0
        return None, self._keyring.seconds()

    def _note(self, place: Ring, position: bytes | None, begun: int) -> Flow[None]:
        if not self._resumes:
            return
        done = {"items": self.items, "rewritten": self.rewritten, "failed": self.failed}
        done |= {"skipped": self.skipped, "open": self._open}
        yield from self._keyring.put(
            place, ACTIVE, position=position, rotated=begun, complete=done, retired=sorted(self._tenants)
        )

    def _item(self, fields: Sequence[EncryptedField], item: dict[str, Any] | None) -> Flow[None]:
        """Store an item in the form of today, unless it is. One that changes meanwhile is read again."""
        assert item is not None  # as the page has it
        if is_record(text_of(item.get(self._names[0]))) or not any(field.attribute in item for field in fields):
            return
        if (yield from self._is_foreign(fields, item)):
            return
        if self._only is not None and not self._only(item):
            left = yield from self._is_left(fields, item)
            self.skipped += left
            self._open += left
            return
        self.items += 1
        for _ in range(TRIES):
            changes, skipped, failed = yield from self._changes(fields, item)
            if not changes or (yield from self._rewriting.write(self._model, item, changes)):
                self.rewritten += bool(changes)
                self.failed += failed
                self.skipped += bool(skipped)
                self._open += skipped is InClear.OPEN
                return
            item = yield from self._rewriting.read(self._model, item)
            if item is None:
                return
        self.failed += 1

    def _is_foreign(self, fields: Sequence[EncryptedField], item: Wires) -> Flow[bool]:
        """Whether an item is of another tenant: none of its keys is one of this tenant's, where nothing else tells whose it is."""
        if not self._tenant or self._tenant_attribute is not None:
            return False
        of_others = False
        place: Any = Read(self._names, item.get, {"tenant": self._tenant})
        for field in fields:
            wire = item.get(field.attribute)
            if wire is None or not is_envelope(wire):
                continue
            if field.subject is not None:
                mine = not (yield from _when_ready(partial(field.is_of_others, wire, place)))
            else:
                mine = version_of(bytes_of(wire)) in (yield from self._known(field))
            if mine:
                return False
            of_others = True
        return of_others

    def _is_left(self, fields: Sequence[EncryptedField], item: Wires) -> Flow[bool]:
        """Whether an item to which ``only`` says no is the model's all the same, and is not in the form of today."""
        held = {
            field: item[field.attribute] for field in fields if "NULL" not in item.get(field.attribute, {"NULL": True})
        }
        plain = [field for field, wire in held.items() if field.is_plain(wire)]
        if any(field.option.plaintext_until is not None and self._shape.looks_like(field, item) for field in plain):
            return True
        if len(plain) == len(held):
            return False  # nothing of it was encrypted, so that it is of another class, as ``only`` says
        changes, _, failed = yield from self._changes(fields, item)
        return bool(changes) or failed

    def _known(self, field: EncryptedField) -> Flow[set[bytes]]:
        """All versions of the key of a field's ring."""
        name = field.option.ring
        if name not in self._versions:
            pointer = yield from self._keyring.get(Ring(field.home(), name, self._tenant), ACTIVE)
            self._versions[name] = set() if pointer is None else {UUID(one).bytes for one in pointer.versions}
        return self._versions[name]

    def _changes(self, fields: Sequence[EncryptedField], item: Wires) -> Flow[tuple[dict[str, Any], InClear, bool]]:
        """What is to be stored anew of an item; what was skipped; and whether some of it cannot be opened.

        Raises: ConfigError for a value in the clear where nobody can know whose it is; KeyUnavailable.
        """
        place = Read(self._names, item.get, self._scope(fields, item))
        changes: dict[str, Any] = {}
        skipped, failed = InClear.ENCRYPTED, False
        for field in fields:
            wire = item.get(field.attribute)
            if wire is not None and "NULL" not in wire and field.is_plain(wire):
                plain = yield from _when_ready(partial(self._plain, field, item, place))
                skipped, failed = max(skipped, plain), failed or plain is InClear.FAILED
                if plain:
                    continue
            found = yield from _opening(partial(field.changes, item, place))
            failed |= found is None
            changes |= found or {}
        seal = self._plugin.seal_of(self._model)
        if seal is not None and (not skipped or any(is_envelope(item.get(field.attribute)) for field in fields)):
            sealed = yield from _opening(partial(seal.changes, item, changes, place))
            if sealed is None:
                return {}, InClear.ENCRYPTED, True
            changes |= sealed
        return changes, InClear.ENCRYPTED if failed else skipped, failed

    def _plain(self, field: EncryptedField, item: Wires, place: Any) -> InClear:
        """What is to be done with a value in the clear. Raises: NotReady, ConfigError."""
        if field.option.plaintext_until is None:
            return InClear.SKIPPED  # of another class, or of somebody who has put it there: a read of it tells that
        if not field.takes_plaintext(place):
            return InClear.FAILED
        known = self._only is not None or self._shape.fits(field, item)
        return InClear.ENCRYPTED if known else InClear.OPEN

    def _scope(self, fields: Sequence[EncryptedField], item: Wires) -> dict[str, str]:
        """The scope of an item's tenant, whose rings are fetched anew: a key that was in use before is no form of today."""
        tenant = self._tenant
        if self._tenant_attribute is not None:
            tenant = (item.get(self._tenant_attribute) or {}).get("S", "")
        if tenant:
            self._tenants.add(tenant)
        if tenant not in self._fresh:
            self._fresh.add(tenant)
            for ring in {Ring(field.home(), field.option.ring, tenant) for field in fields}:
                self._plugin.keys.forget(ring)
                self._plugin.keys.forget(ring.blind)
        return {"tenant": tenant} if tenant else {}

    def _finish(self, fields: Sequence[EncryptedField], begun: int) -> Flow[bool]:
        """Note in the records of the rings that nothing is left; whether that may be said."""
        complete = True
        for tenant in sorted(self._tenants) or [""]:
            for name in sorted({field.option.ring for field in fields}):
                of_ring = [field for field in fields if field.option.ring == name]
                named = [field.mark_of(tag) for field in of_ring for tag in self._shape.tags]
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


def _check_segment(segment: Any) -> None:
    """Raises: ConfigError for what is no segment, and how many there are."""
    if isinstance(segment, tuple) and len(segment) == 2 and all(type(one) is int for one in segment):
        number, total = segment
        if 0 <= number < total <= _SEGMENTS:
            return
    raise ConfigError("segment is the number of one, from 0 on, and how many there are: segment=(0, 8)")


def over_pages(
    read: Callable[[bytes | None], Flow[tuple[list[Any], bytes | None]]],
    position: bytes | None,
    look: Callable[[list[Any], bytes | None], Flow[None]],
) -> Flow[None]:
    """Read page after page from a position on, and look at each: its items, and the position behind it."""
    while True:
        items, position = yield from read(position)
        yield from look(items, position)
        if position is None:
            return


class Shape:
    """What the items of a model look like, so that a value in the clear is known to be one of the model's."""

    def __init__(self, model: type[Any], fields: Sequence[EncryptedField], others: Sequence[Any]) -> None:
        classes = [schema_of(cls) for cls in family_of(model) if issubclass(cls, model)]
        schema = schema_of(model)
        self.tags: list[str | None] = list(dict.fromkeys(one.tag for one in classes))
        """The tags of the items that are looked at."""
        marks = sorted(f"{field.mark_of(tag)} {field.option.ring}" for field in fields for tag in self.tags)
        self.digest: str = sha256(framed(*(mark.encode() for mark in marks))).hexdigest()[:16]
        """Tells passes over the same fields from others: one goes on where the other was stopped."""
        self._discriminator = schema.discriminator
        self._name = schema.name
        self._others = others
        stored = [field for field in schema.fields.values() if field.unstored is None]
        self._names = frozenset(field.stored for field in stored)
        self._needed = frozenset(field.stored for field in stored if field.required and not field.role)

    def looks_like(self, field: EncryptedField, item: Wires) -> bool:
        """As `fits`, and False where another class stores the same attribute: then it is told from outside whose it is."""
        try:
            return self.fits(field, item)
        except ConfigError:
            return False

    def fits(self, field: EncryptedField, item: Wires) -> bool:
        """Whether an item is known to be one of the model. Raises: ConfigError where another class stores the same attribute."""
        if self._discriminator is not None and self._discriminator in item:
            return True  # those of other classes of the family are not looked at
        if not all(name in self._names or name.startswith("_") for name in item) or self._needed - item.keys():
            return False
        for schema in self._others:
            if any(one.stored == field.attribute for one in schema.fields.values()):
                raise ConfigError(
                    f"an item holds {field.where} in the clear, and {schema.name} stores that attribute of the same table, too, so"
                    f" that nobody knows whose it is: say db.keys.reencrypt({self._name}, only=...), a function of an item that"
                    f" tells those of {self._name}"
                )
        return True


def _told_by(only: Callable[[Wires], object]) -> str | None:
    """What tells a function from another one, in another process too; None for one that also depends on what is around it."""
    code = getattr(only, "__code__", None)
    around = ("__self__", "__closure__", "__defaults__", "__kwdefaults__")
    if code is None or any(getattr(only, name, None) is not None for name in around):
        return None
    parts = only.__module__, only.__qualname__, repr(code.co_consts), repr(code.co_names), repr(code.co_varnames)
    return sha256(framed(code.co_code, *(part.encode() for part in parts))).hexdigest()[:16]


def _when_ready(ask: Callable[[], T]) -> Flow[T]:
    """The answer to a question for which keys may have to be fetched. Raises: as that."""
    waited = 0
    while True:
        try:
            return ask()
        except NotReady as waiting:
            if (waited := waited + 1) > _READY:
                raise
            missing = waiting
        try:
            yield from missing.flow()
        except (KeyDisabled, KeyUnavailable) as error:
            if not error.lasts or waited > 1:
                raise
            # who asks again is told the same, of this one value


def _opening(ask: Callable[[], T]) -> Flow[T | None]:
    """As `_when_ready`; None where something does not open for good."""
    try:
        return (yield from _when_ready(ask))
    except EncryptionError as error:
        if not error.lasts:
            raise
        return None
