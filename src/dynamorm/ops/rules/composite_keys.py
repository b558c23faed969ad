"""What a change of fields does to the composite keys that are made of them: they change in the same request.

The other components of a key are taken from what is known: the loaded item, the primary key, or the same update. What
is not known is refused before anything is sent. It must not know how a write is sent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import reduce
from operator import and_
from typing import TYPE_CHECKING, Any

from dynamorm.codec.composites import Computed, recovered
from dynamorm.codec.strict import read_object
from dynamorm.codec.types.starts import start_of
from dynamorm.errors import DynamORMError, ValidationError, VersionConflict
from dynamorm.models.expressions.path import Update, system_path
from dynamorm.models.expressions.tree import Comparison, Condition, Location, Node, Wire
from dynamorm.models.schema.overriding import override
from dynamorm.ops.requests import ModelRequests
from dynamorm.ops.updates.draft import UpdateDraft
from dynamorm.ops.writes.draft import Wires, WriteDraft
from dynamorm.ops.writes.save_draft import SaveDraft
from dynamorm.ops.writes.write import Write, explain_refusal
from dynamorm.plugin import WriteRule

if TYPE_CHECKING:
    from dynamorm.ops.updates.completion import Completion


class Known:
    """What is known of the item that is to be changed, and what of it was ``relied`` on: it may have changed since.

    ``whole``: the loaded item is known, so what is not in it is not there.
    """

    def __init__(
        self, plan: ModelRequests, item: Mapping[str, dict[str, Any] | None], fixed: Iterable[str], *, whole: bool
    ) -> None:
        self.versioned: bool = plan.version is not None
        self.item = item
        self.fixed: frozenset[str] = frozenset(fixed)
        self.whole = whole
        self.relied: Wires = {}

    def has(self, stored: str) -> bool:
        """Whether it is known what is stored under this name."""
        return self.whole or stored in self.item

    def take(self, stored: str) -> dict[str, Any] | None:
        """What is stored under this name."""
        wire = self.item.get(stored)
        if stored not in self.fixed:
            self.relied[stored] = wire
        return wire

    def condition(self) -> Condition | None:
        """That what was relied on, and no version protects, is still so."""
        if self.versioned or not self.relied:
            return None
        terms: list[Condition] = [
            Comparison("attribute_not_exists", (), system_path(name))
            if wire is None
            else Comparison("=", (Wire(wire),), system_path(name))
            for name, wire in self.relied.items()
        ]
        return reduce(and_, terms)

    def explain(self, write: Write) -> None:
        """Say of a write that was refused because of what was relied on that the item was changed."""

        def tell(raw: bytes | None, info: dict[str, Any], earlier: Callable[[], DynamORMError]) -> DynamORMError:
            stored = None if raw is None else read_object(raw)
            if stored is not None and any(stored.get(name) != wire for name, wire in self.relied.items()):
                codec = write.plan.codec
                return VersionConflict(
                    f"the {codec.schema.name} was changed since it was loaded, and a key of an index is made of what"
                    " changed; load it again",
                    old=lambda: codec.decode_shown(raw or b"{}"),
                    **info,
                )
            return earlier()

        explain_refusal(write, tell)


class CompositeKeysRule(WriteRule):
    """The keys of indexes that are made of fields change with these."""

    verbs: tuple[str, ...] = ("save", "update")

    @override
    def contribute(self, draft: WriteDraft) -> None:
        if isinstance(draft, SaveDraft):
            known = known_of(draft.plan, draft.key, draft.loaded)
            draft.changes |= after_save(draft.plan, {**draft.changes, **draft.shown}, draft.stamped, known)
            _rely(draft, known)
        elif isinstance(draft, UpdateDraft):
            known = known_of(draft.plan, draft.key, draft.loaded, draft.obj, draft.key_parts)
            draft.more += tuple(after_update(draft.plan, draft.updates, draft.stamps, known, upsert=draft.upsert))
            _rely(draft, known)
            if draft.whole is not None:
                _complete(draft, draft.whole, known)


def _rely(draft: WriteDraft, known: Known) -> None:
    """Let the write happen only while what is relied on is still so. After the write itself that may not be so any more."""
    condition = known.condition()
    if condition is not None:
        draft.require(condition)
        draft.explain.append(known.explain)


def _complete(draft: UpdateDraft, whole: Completion, known: Known) -> None:
    """Let the index keys go along with an upsert that the changes do not touch: of an item that it makes."""
    plan = draft.plan
    item = {**known.item, **whole.wires}
    touched = {update.path.field.stored for update in draft.more}
    for computed in plan.codec.composites.values():
        if computed.primary or computed.stored in touched:
            continue
        text = computed.text(item)
        if text is None:
            continue
        made_of: list[str] = []
        if whole.held is not None:  # of an item that is there, a key was made of what was shown: of defaults
            parts = [(name, stored) for name, stored in computed.inputs if stored in whole.wires]
            made_of = [stored for name, stored in parts if whole.wires[stored] != default_wire(plan, name)]
        whole.add_key(computed.stored, {"S": text}, made_of)
    draft.terms += whole.condition(draft.places)
    draft.explain.append(whole.explain)


def known_of(
    plan: ModelRequests, key: bytes, loaded: bytes | None, obj: Any = None, parts: Mapping[str, Any] = {}
) -> Known:
    """What is known of an item from its loaded state; or from its key and the object or the parts that gave the key."""
    codec = plan.codec
    of_key = _key_items(plan, key)
    names = [name for name in parts if name not in codec.composites]
    if obj is not None and loaded is None:
        names = [name for computed in codec.composites.values() if computed.primary for name, _ in computed.sources]
        parts = {name: getattr(obj, name) for name in names}
    for name in names:
        wire = codec.encode_field(name, parts[name])
        if wire is not None:
            of_key[codec.field(name).stored] = wire
    if loaded is None:
        return Known(plan, of_key, of_key, whole=False)
    never_changed = [
        field.stored for field in codec.schema.fields.values() if field.immutable or field.role == "created_at"
    ]
    return Known(plan, of_key | read_object(loaded), (*of_key, *never_changed), whole=True)


def _key_items(plan: ModelRequests, key: bytes) -> dict[str, Any]:
    item = read_object(key)
    return item | recovered(plan.codec, item)


def after_save(plan: ModelRequests, changes: Wires, stamped: Mapping[str, Any], known: Known) -> Wires:
    """The index keys that change with a save: new wire values, None to remove."""
    touched: Wires = {**changes, **stamped}
    key_wires: Wires = {}
    for computed in plan.codec.composites.values():
        if not computed.primary and any(stored in touched for _, stored in computed.inputs):
            key_wires[computed.stored] = _text_wire(plan, computed, touched, known)
    return key_wires


def after_update(
    plan: ModelRequests, updates: Iterable[Update], stamps: list[Update], known: Known, *, upsert: bool
) -> list[Update]:
    """The updates of every index key that changes with these updates; an upsert also sets the parts of the key.

    Stamps that would set a part of the key again are taken out of ``stamps``.

    Raises: ValidationError when a key changes and not everything in it is known, and for an update of a key itself.
    """
    codec = plan.codec
    touched: dict[str, Update] = {}
    for update in updates:
        _check(plan, update)
        touched[update.path.field.stored] = update
    key_updates: list[Update] = []
    extra: Wires = {}
    if upsert:
        extra = _key_fields(plan, known)
        stamps[:] = [stamp for stamp in stamps if stamp.path.field.stored not in extra]
        key_updates += [_set(stored, wire) for stored, wire in extra.items()]
    touched |= {stamp.path.field.stored: stamp for stamp in stamps}
    for computed in codec.composites.values():
        if computed.primary:
            continue
        changed = [name for name, stored in computed.inputs if stored in touched]
        if changed:
            wires: Wires = {**extra, **_new_wires(plan, computed, touched)}
            if computed.tests and computed.fails(wires):  # whatever the rest of it is, it leaves the index
                key_updates.append(_set(computed.stored, None))
                continue
            _check_known(plan, computed, changed, wires, known)
            key_updates.append(_set(computed.stored, _text_wire(plan, computed, wires, known)))
        elif extra and all(stored in extra for _, stored in computed.inputs):
            key_updates.append(_set(computed.stored, _text_wire(plan, computed, extra, known)))
    return key_updates


def _check(plan: ModelRequests, update: Update) -> None:
    """Refuse an update of a composite, or of a part of the primary key."""
    codec, name = plan.codec, update.path.field.name
    for computed in codec.composites.values():
        parts = ", ".join(computed.made.components)
        if computed.field.name == name:
            raise ValidationError(
                f"{codec.schema.name}.{name} is computed from {parts}: update those, and it changes with them",
                field=name,
            )
        if computed.primary and name in computed.made.components:
            raise ValidationError(
                f"{codec.schema.name}.{name} is part of the key ({computed.field.name}), which cannot change: delete"
                " the item and create it under the new key",
                field=name,
            )


def _key_fields(plan: ModelRequests, known: Known) -> Wires:
    """The fields that the primary key is made of, as the attributes that every item has."""
    wires: Wires = {}
    for computed in plan.codec.composites.values():
        if not computed.primary:
            continue
        for name, stored in computed.sources:
            if not known.has(stored):
                raise ValidationError(
                    f"{computed.owner}.{name} is not known from the text of the key, and a new item needs it: give the"
                    f" key by its parts, {name}=...",
                    field=name,
                )
            wires[stored] = known.item.get(stored)
    return wires


def _new_wires(plan: ModelRequests, computed: Computed, touched: Mapping[str, Update]) -> Wires:
    """The new values of a key's components, where this update sets them."""
    wires: Wires = {}
    for name, stored in computed.inputs:
        update = touched.get(stored)
        if update is None:
            continue
        value = update.value
        if update.kind == "remove":
            wires[stored] = None
        elif update.kind == "set" and isinstance(value, Wire):
            wires[stored] = value.value
        elif update.kind == "set" and not isinstance(value, Node):
            wires[stored] = plan.update_operand(update.path, value, "value")
        else:
            how = "another attribute" if isinstance(value, Location) else f"{update.kind}()"
            raise ValidationError(
                f"{computed.owner}.{computed.field.name} is computed from {', '.join(computed.made.components)}, and"
                f" this update leaves {name} to the database ({how}): load the object, and give {name} its new value with"
                " .set(value)",
                field=name,
            )
    return wires


def _check_known(plan: ModelRequests, computed: Computed, changed: list[str], wires: Wires, known: Known) -> None:
    unknown = [name for name, stored in computed.inputs if stored not in wires and not known.has(stored)]
    if not unknown:
        return
    roles = {plan.codec.field(name).role for name in unknown}
    both = "" if roles & {"created_at", "updated_at"} else f", or set {' and '.join(unknown)} in the same update"
    raise ValidationError(
        f"{computed.owner}.{computed.field.name} is computed from {', '.join(computed.made.components)}: this update"
        f" changes {' and '.join(changed)}, and {' and '.join(unknown)} is not known here; load the object and update"
        f" that{both}",
        field=unknown[0],
    )


def _text_wire(plan: ModelRequests, computed: Computed, wires: Wires, known: Known) -> dict[str, Any] | None:
    item = {stored: wires[stored] if stored in wires else known.take(stored) for _, stored in computed.inputs}
    for name, stored in computed.inputs:
        if item[stored] is None:
            item[stored] = default_wire(plan, name)
    text = computed.text(item)
    return None if text is None else {"S": text}


def default_wire(plan: ModelRequests, name: str) -> dict[str, Any] | None:
    """What a new item stores of a field that is not given: a key is made of what is shown, stored or not."""
    codec = plan.codec
    wire = start_of(codec.plans[name])
    return None if wire is None else codec.encode_field(name, codec.decode_field(name, wire))


def _set(stored: str, wire: dict[str, Any] | None) -> Update:
    path = system_path(stored)
    return Update("remove", path) if wire is None else path.set(Wire(wire))
