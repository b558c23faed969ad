"""What an upsert stores in addition to its changes, so that the item it may make can be read as the model.

Attributes that the changes do not name get their default by ``if_not_exists``, or what the object holds whose upsert it
is. An item that is there keeps what it has. A field that would be missing, and must not, is refused. Used only by
upserts. It must not know how a write is sent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from dynamorm.codec.strict import parts_of
from dynamorm.codec.values.updates import location_of, spellings
from dynamorm.errors import ConditionFailed, DynamORMError, ValidationError
from dynamorm.models.expressions.compile import Placeholders
from dynamorm.models.expressions.path import system_path
from dynamorm.models.expressions.tree import Update, Wire
from dynamorm.models.schema.schema import LIBRARY_NAMES, Field
from dynamorm.ops.writes.forms import GROWING
from dynamorm.ops.writes.write import Write, explain_refusal

if TYPE_CHECKING:
    from dynamorm.ops.requests import ModelRequests

Wires = dict[str, dict[str, Any]]
"""Wire values by stored name."""


class Completion:
    """What goes along with the ``updates`` of one upsert. ``obj`` is the object that it is of, None when it is by key.

    ``wires`` are the attributes that go along. ``updates`` are the caller's; those of an object begin from what it holds, where nothing is stored: ``held``, None
    by key. ``lacking`` are the fields that must be there, and would not be.
    """

    def __init__(self, plan: ModelRequests, updates: tuple[Update, ...], obj: Any) -> None:
        self._plan = plan
        self._obj = obj
        self.updates: tuple[Update, ...] = updates
        named = {update.path.field.stored for update in updates}
        skipped = _not_of_the_caller(plan) | named
        self.lacking: list[Field] = []
        if obj is None:
            self.held: Wires | None = None
            self.wires: Wires = _defaults(plan, skipped, self.lacking)
        else:
            self.held = held = plan.codec.encode_whole(obj)
            self.wires = {name: wire for name, wire in held.items() if name not in skipped}
            self.updates = tuple(_onto_held(plan, update, held) for update in updates)
        self._keys: Wires = {}
        self._made_of: list[str] = []  # of the stored names of fields

    def check(self) -> None:
        """Refuse to make an item that could not be read. Raises: ValidationError naming the fields."""
        if self.lacking:
            raise _incomplete(self._plan, self.lacking)

    def take(self, stored: Iterable[str]) -> Wires:
        """Take out the attributes of these names that would go along; the caller decides about them."""
        return {name: self.wires.pop(name) for name in stored if name in self.wires}

    def give(self, stored: str, wire: dict[str, Any] | None) -> None:
        """Let an attribute be given (None: removed) by somebody else."""
        self.wires.pop(stored, None)
        if wire is not None:
            self.lacking = [field for field in self.lacking if field.stored != stored]

    def add_key(self, stored: str, wire: dict[str, Any], made_of: Iterable[str]) -> None:
        """Let a key of an index go along, which is made of what a new item gets.

        ``made_of`` are the stored names of what an item that is there must hold, for the key to be right.
        """
        self._keys[stored] = wire
        self._made_of += made_of

    def condition(self, places: Placeholders) -> list[str]:
        """The terms under which the index keys are right: they were made of what a new item gets, not of what is stored."""
        absent = f"attribute_not_exists({places.name(self._plan.partition.stored)})" if self._keys else ""
        needed = dict.fromkeys((*self._keys, *self._made_of))
        return [f"({absent} OR attribute_exists({places.name(name)}))" for name in needed]

    def more(self) -> list[Update]:
        """The updates that complete the item."""
        fields = {field.stored: field for field in self._plan.codec.schema.fields.values() if field.also_read}
        updates: list[Update] = []
        for name, wire in (*self.wires.items(), *self._keys.items()):
            field = fields.get(name)
            path = system_path(name)
            if field is None:
                updates.append(path.if_not_exists(Wire(wire)))
                continue
            # What is stored under another name stays what is read.
            others = [location_of(parts) for parts in spellings((field,))[1:]]
            updates.append(Update("first_of", path, (others, Wire(wire))))
        return updates

    def explain(self, write: Write) -> None:
        """Say of a write that was refused for an index key that is not stored what can be done."""
        if not self._keys:
            return
        codec = self._plan.codec

        def tell(raw: bytes | None, info: dict[str, Any], earlier: Callable[[], DynamORMError]) -> DynamORMError:
            stored = {} if raw is None else parts_of(raw)
            needed = (*self._keys, *self._made_of)
            lacking = next((name for name in needed if raw is not None and name not in stored), None)
            if lacking is None:
                return earlier()
            computed = next(
                computed
                for computed in codec.composites.values()
                if computed.stored == lacking
                or (lacking in self._made_of and lacking in dict(computed.inputs).values())
            )
            field_name = next(field.name for field in codec.schema.fields.values() if field.stored == lacking)
            return ConditionFailed(
                f"{codec.schema.name}.{field_name} is not stored, and an upsert cannot tell what it should be of an item"
                f" that is there: load the object and change that, or set {' and '.join(computed.made.components)} too",
                old=lambda: codec.decode_shown(raw or b"{}"),
                **info,
            )

        explain_refusal(write, tell)


def _not_of_the_caller(plan: ModelRequests) -> set[str]:
    """The stored names of what every write sets by itself."""
    codec = plan.codec
    own = (plan.version, plan.created, plan.updated)
    names = {*plan.key_names, *LIBRARY_NAMES, *(field.stored for field in own if field is not None)}
    if codec.schema.discriminator is not None:
        names.add(codec.schema.discriminator)
    for computed in codec.composites.values():
        names.add(computed.stored)
        if computed.primary:
            names.update(stored for _, stored in computed.sources)
    return names


def _defaults(plan: ModelRequests, skipped: set[str], lacking: list[Field]) -> Wires:
    """The defaults of the fields that are not skipped; those that have none and must be there are put into ``lacking``."""
    codec = plan.codec
    wires: Wires = {}
    for field_plan in codec.record.plans:
        if field_plan.stored in skipped:
            continue
        if field_plan.name in plan.given:
            wires[field_plan.stored] = codec.encode_field(field_plan.name, plan.given[field_plan.name]) or {}
            continue
        make = field_plan.missing()
        if make is None:
            lacking.append(field_plan.field)
        elif not field_plan.field.required:
            with suppress(ValidationError):  # a default that may not be stored is read where there is nothing
                wire = codec.encode_field(field_plan.name, make())
                if wire is not None:
                    wires[field_plan.stored] = wire
    return wires


def _incomplete(plan: ModelRequests, lacking: list[Field]) -> ValidationError:
    name = plan.codec.schema.name
    fields = [f"{name}.{field.name}" for field in lacking]
    changeable = [field for field in lacking if not field.immutable]
    by_change = f"name it in the changes, as in {name}.{lacking[0].name}.set(...), " if changeable == lacking else ""
    return ValidationError(
        f"an upsert may make the item, and without {' and '.join(fields)} it could not be read: {by_change}"
        f"{'or ' if by_change else ''}pass an object, db.upsert({name}(...), ...), or give the field a default",
        field=lacking[0].name,
    )


def _onto_held(plan: ModelRequests, update: Update, held: Wires) -> Update:
    """The update of an object's attribute, which a new item has as the object holds it."""
    field = update.path.field
    start = held.get(field.stored)
    if (
        update.start is not None
        or update.kind not in GROWING
        or len(update.path.parts) > 1
        or start is None
        or "NULL" in start
    ):
        return update
    if plan.codec.plans[field.name].hook is not None:  # what a plugin encodes cannot be computed with
        return update
    return Update(update.kind, update.path, update.value, Wire(start))
