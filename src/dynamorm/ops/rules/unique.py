"""Unique attributes: the guard item of a value, and the writes of guards that go with a write of the item.

An index cannot keep values unique: it is filled later, and takes duplicates. So each value has a guard, an item whose key
is made of the value, written in the same transaction as the item: DynamoDB lets only one of two such writes happen.
It must not know how a transaction is sent.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from typing import TYPE_CHECKING, Any, Final

from dynamorm.codec.composites import scope_in_keys
from dynamorm.codec.library_attributes import GUARD_PREFIX, bytes_wire, is_guard_key, number_wire, text_wire
from dynamorm.codec.placing import Place
from dynamorm.codec.strict import dumps, read_object
from dynamorm.codec.types.document import bytes_of
from dynamorm.errors import ConditionFailed, DuplicateKey, DynamORMError, ModelError, ValidationError
from dynamorm.models.expressions.path import Path
from dynamorm.models.expressions.tree import Location, Update, Wire
from dynamorm.models.schema.overriding import override
from dynamorm.models.schema.schema import Field
from dynamorm.ops.updates.draft import UpdateDraft
from dynamorm.ops.writes import token_ring
from dynamorm.ops.writes.draft import WriteDraft
from dynamorm.ops.writes.save_draft import SaveDraft
from dynamorm.ops.writes.version_check import OLD_ON_FAILURE
from dynamorm.ops.writes.write import NOT_READ, MustRead, Write
from dynamorm.plugin import WriteRule

from .constraints import WITHIN, Constraint, Wires, constraints

if TYPE_CHECKING:
    from dynamorm.ops.context import Context
    from dynamorm.ops.requests import ModelRequests

_WIRES: Final[dict[str, Callable[[str], dict[str, Any]]]] = {
    "S": text_wire,
    "B": lambda text: bytes_wire(text.encode()),
    "N": lambda _: number_wire(0),  # a sort key that is a number: all guards have the same
}


_NAMES: Final = ("ref", "wt", "c", "t")
"""Attributes of a guard: the key of the item, the token of the write, when it was made (ms), and what it is."""


def _free(name: str, taken: set[str]) -> str:
    while name in taken:
        name = f"_{name}"
    return name


class Guards:
    """Makes the guards of one constraint in one table."""

    def __init__(self, context: Context, plan: ModelRequests, constraint: Constraint) -> None:
        self.context = context
        self.owner = plan
        self.constraint = constraint
        self.plan: ModelRequests = plan if constraint.guards is None else context.plan(constraint.guards)
        if self.plan.prepare is not None:  # a guard is no item of the model: what decoding those needs, it does not
            self.plan = copy(self.plan)
            self.plan.prepare = None
        schema = self.plan.codec.schema
        assert schema.key is not None  # a plan is made only for a model with a key
        self.types: list[str] = [self.plan.key_type(name) for name in schema.key.fields]
        if self.types[0] == "N":
            raise ModelError(
                f"{plan.codec.schema.name}.{constraint.name}: a guard's key is text, and the partition key is a number: "
                "give Unique(guards=...) a model with a text partition key"
            )
        self._scope = scope_in_keys(plan.codec, context.scope)
        # A guard must lie in no index, whose keys have types of their own.
        taken = {*self.plan.key_names, *(schema.fields[name].stored for name in schema.index_fields)}
        self.names: dict[str, str] = {name: _free(name, taken) for name in _NAMES}

    def key(self, value: str) -> dict[str, dict[str, Any]]:
        """The wire key of the guard of a value."""
        place, end, digest = value.rpartition("#")
        texts = (f"{GUARD_PREFIX}{self._scope}{place}{end}{self.constraint.title}#{digest}", GUARD_PREFIX)
        return {
            name: _WIRES[kind](text) for name, kind, text in zip(self.plan.key_names, self.types, texts, strict=False)
        }

    def take(self, value: str, owner: dict[str, Any]) -> Write:
        """Put the guard of a value, unless there is one."""
        key = self.key(value)
        token = self.context.random_bytes(token_ring.TOKEN)
        names = self.names
        item = {
            **key,
            names["ref"]: {"M": owner},
            names["wt"]: bytes_wire(token),
            names["c"]: number_wire(int(self.context.now().timestamp() * 1000)),
            names["t"]: text_wire("U"),
        }
        body = {
            "TableName": self.plan.table,
            "Item": item,
            "ConditionExpression": "attribute_not_exists(#k)",
            "ExpressionAttributeNames": {"#k": self.plan.key_names[0]},
            **OLD_ON_FAILURE,
        }
        return self._write("Put", key, body, token, self._taken)

    def free(self, value: str, owner: dict[str, Any]) -> Write:
        """Delete the guard of a value that this item has; one that is missing does no harm."""
        key = self.key(value)
        body = {
            "TableName": self.plan.table,
            "Key": key,
            "ConditionExpression": "attribute_not_exists(#k) OR #r = :me",
            "ExpressionAttributeNames": {"#k": self.plan.key_names[0], "#r": self.names["ref"]},
            "ExpressionAttributeValues": {":me": {"M": owner}},
            **OLD_ON_FAILURE,
        }
        return self._write("Delete", key, body, b"", self._strange)

    def _write(
        self,
        kind: str,
        key: dict[str, Any],
        body: dict[str, Any],
        token: bytes,
        refused: Callable[[bytes | None, dict[str, Any]], DynamORMError],
    ) -> Write:
        write = Write(self.plan, kind, dumps(key), dumps(body), lambda _: None, token=token)
        write.refused_as = refused
        return write

    def _taken(self, raw: bytes | None, info: dict[str, Any]) -> DynamORMError:
        name, owner = self.constraint.name, self.owner.codec.schema.name
        error = DuplicateKey(
            f"another {owner} has this {name}: look it up with db.find_by_unique({owner}, {name}=...)",
            field=name,
            existing=self.reference(raw) if self.owner.codec.keeps is None else None,
            **info,
        )
        if self.owner.codec.keeps is not None and raw is not None and (key := self.owner_of(raw)) is not None:
            error._asked = self.owner, dumps(key)  # noqa: SLF001 - see `dynamorm.ops.writes.existing`
        return error

    def _strange(self, _: bytes | None, info: dict[str, Any]) -> DynamORMError:
        name, owner = self.constraint.name, self.owner.codec.schema.name
        return ConditionFailed(
            f"the guard of this {owner}'s {name} belongs to another item, so something was written past the library: "
            f"see db.repair_unique({owner})",
            **info,
        )

    def drop(self, item: dict[str, Any]) -> Write:
        """Delete the very guard that was read: not one that was made since for the same value and the same item."""
        key = {name: item[name] for name in self.plan.key_names}
        terms, values = [], {}
        for name, wire in zip(("#ref", "#wt"), self.identity(item), strict=True):
            terms.append(f"attribute_not_exists({name})" if wire is None else f"{name} = :{name[1:]}")
            if wire is not None:
                values[f":{name[1:]}"] = wire
        body = {
            "TableName": self.plan.table,
            "Key": key,
            "ConditionExpression": " AND ".join(terms),
            "ExpressionAttributeNames": {"#ref": self.names["ref"], "#wt": self.names["wt"]},
            "ExpressionAttributeValues": values,
            **OLD_ON_FAILURE,
        }
        return self._write("Delete", key, body, b"", self._strange)

    def identity(self, item: dict[str, Any]) -> tuple[Any, Any]:
        """What tells a guard from every other one: whose it is, and the token of the write that made it."""
        return item.get(self.names["ref"]), item.get(self.names["wt"])

    def reference(self, raw: bytes | None) -> tuple[Any, ...] | None:
        """The key of the item that a guard stands for, as Python values."""
        owner = None if raw is None else self.owner_of(raw)
        return None if owner is None else self.owner.codec.key_values(dumps(owner))

    def owner_of(self, raw: bytes) -> dict[str, Any] | None:
        """The wire key of the item that a guard stands for."""
        wire = read_object(raw).get(self.names["ref"]) or {}
        owner: dict[str, Any] | None = wire.get("M")
        return owner

    def made(self, item: dict[str, Any]) -> bool:
        """Whether a stored item is a guard of this constraint."""
        key, title = item.get(self.plan.partition.stored), f"{self.constraint.title}#"
        # One from before the attribute was unique within another one is of this constraint, too.
        return is_guard_key(key, title) or (self.constraint.within is not None and _is_within(key, title))

    def is_for(self, item: dict[str, Any], value: str) -> bool:
        """Whether a guard of this constraint is that of the value."""
        return all(item.get(name) == wire for name, wire in self.key(value).items())


def _is_within(key: dict[str, Any] | None, title: str) -> bool:
    """Whether the value of a partition key is that of a guard within something, of the constraint of this title."""
    start = GUARD_PREFIX + WITHIN
    if not is_guard_key(key, WITHIN):
        return False
    assert key is not None  # or it would be no guard's
    text = bytes_of(key["B"]).decode() if "B" in key else key["S"]
    return bool(text[len(start) :].partition("#")[2].startswith(title))


def moves(context: Context, plan: ModelRequests, key: bytes, old: Wires, new: Wires) -> tuple[Write, ...]:
    """The writes of guards that go with a change of an item's unique values from ``old`` to ``new``."""
    writes: list[Write] = []
    owner: dict[str, Any] | None = None
    for constraint in plan.uniques:
        before, after = constraint.values(old), constraint.values(new)
        if before == after:
            if not after and any(old.get(name) != new.get(name) for name in constraint.stored_names()):
                constraint.check(new)  # what is left of the item makes no guard for what is new
            continue
        owner = read_object(key) if owner is None else owner
        guards = Guards(context, plan, constraint)
        writes += [guards.free(value, owner) for value in before if value not in after]
        writes += [guards.take(value, owner) for value in after if value not in before]
    return tuple(writes)


class UniqueRule(WriteRule):
    """The guard items of unique values are written with each write that sets or removes these."""

    verbs: tuple[str, ...] = ("create", "put", "save", "update", "delete")

    needs_stored = True

    def __init__(self, plan: ModelRequests) -> None:
        """Raises: ModelError for what cannot be kept unique."""
        plan.uniques = constraints(plan)

    @override
    def transform(self, draft: WriteDraft) -> None:
        if draft.verb == "put":
            key = draft.plan.codec.key_of(draft.obj)
            old = _known_values(draft, key)
            draft.together_with += moves(draft.context, draft.plan, key, old, values_of(draft.plan, draft.obj))
            draft.pin(old)
        elif isinstance(draft, UpdateDraft):
            self._of_update(draft)

    def _of_update(self, draft: UpdateDraft) -> None:
        plan, whole = draft.plan, draft.whole
        if whole is not None:
            fields = fields_of(plan)
            wires = whole.take([field.stored for field in fields])  # their values, whatever stands beside them
            if wires:
                if draft.stored is NOT_READ:
                    raise MustRead(plan, draft.key)
                draft.upsert = draft.stored is None
                if draft.upsert:  # an item that is there keeps its own
                    decode = plan.codec.decode_field
                    draft.updates += tuple(
                        Path(field).set(decode(field.name, wires[field.stored]))
                        for field in fields
                        if field.stored in wires
                    )
        if not touches(plan, draft.updates):
            return
        old = _known_values(draft, draft.key)
        draft.together_with += moves(draft.context, plan, draft.key, old, changed_by(plan, old, draft.updates))
        if draft.loaded is None or plan.version is None:  # else the version says that nothing has changed
            draft.pin(old)

    @override
    def contribute(self, draft: WriteDraft) -> None:
        plan, versioned = draft.plan, draft.version_check is not None and draft.plan.version is not None
        if draft.verb == "create":
            draft.together_with += moves(draft.context, plan, draft.key, {}, values_of(plan, draft.obj))
        elif isinstance(draft, SaveDraft):
            old = values_in(plan, draft.loaded)
            new = {**values_of(plan, draft.obj), **_left(plan, old, draft.changes)}
            writes = moves(draft.context, plan, draft.key, old, new)
            draft.together_with += writes
            if writes and not versioned:
                draft.pin(old)
        elif draft.verb == "delete":
            old = _known_values(draft, draft.key)
            draft.together_with += moves(draft.context, plan, draft.key, old, {})
            if not versioned:
                draft.pin(old)

    @override
    def relies_on(self, plan: ModelRequests, raw: bytes | None) -> Any:
        return values_in(plan, raw)


def _known_values(draft: WriteDraft, key: bytes) -> Wires:
    """The unique values that a blind write replaces: as just read, or as the object was loaded. Raises MustRead."""
    plan = draft.plan
    if draft.returning is not None:
        raise ValidationError(
            f"returning= is not possible for {plan.codec.schema.name}, whose unique attributes make the write a"
            " transaction: read it before",
            field="returning",
        )
    if draft.stored is not NOT_READ:
        return values_in(plan, draft.stored)
    if draft.loaded is None:
        raise MustRead(plan, key)
    return values_in(plan, draft.loaded)


def values_of(plan: ModelRequests, obj: Any) -> Wires:
    """The unique attributes of an object as they will be stored."""
    values: dict[str, dict[str, Any] | None] = {}
    for field in fields_of(plan):
        values |= stored_value(plan, field, getattr(obj, field.name))
    return values


def _left(plan: ModelRequests, old: Wires, changes: Any) -> Wires:
    """What a save leaves of what is stored beside fields, and of values from before: that of those that it does not write."""
    left: dict[str, dict[str, Any] | None] = {}
    for field in fields_of(plan):
        if field.indexed_as != field.stored and field.stored not in changes:
            names = (*plan.codec.plans[field.name].beside_names, field.stored)
            left |= {name: old[name] for name in names if name in old}
    return left


def stored_value(plan: ModelRequests, field: Field, value: Any) -> Wires:
    """What guards are made of for a value of a field: its own stored form, or what is stored beside it."""
    wire = plan.codec.encode_field(field.name, value)
    if field.indexed_as == field.stored:
        return {field.stored: wire}
    field_plan = plan.codec.plans[field.name]
    beside = field_plan.beside(wire, Place(None, (), plan.codec.scope))
    return {name: beside.get(name) for name in field_plan.beside_names}


def values_in(plan: ModelRequests, raw: bytes | None) -> Wires:
    """The unique attributes of a stored item."""
    item = {} if raw is None else read_object(raw)
    names = {name for constraint in plan.uniques for name in constraint.stored_names()}
    names |= {field.stored for constraint in plan.uniques for field in constraint.plain_in(item)}
    return {name: item.get(name) for name in sorted(names)}


def fields_of(plan: ModelRequests) -> tuple[Field, ...]:
    """The fields that are part of a constraint, each once."""
    return tuple({field.name: field for constraint in plan.uniques for field in constraint.fields}.values())


def changed_by(plan: ModelRequests, old: Wires, updates: tuple[Update, ...]) -> Wires:
    """The unique attributes after updates, given those before. Raises ValidationError for what only the server can tell."""
    new = dict(old)
    unique = {field.name for field in fields_of(plan)}
    for update in updates:
        field = update.path.field
        if field.name not in unique:
            continue
        if update.kind == "remove":
            new |= stored_value(plan, field, None) if field.indexed_as != field.stored else {field.stored: None}
        elif update.kind == "set" and len(update.path.parts) == 1 and not isinstance(update.value, (Location, Wire)):
            new |= stored_value(plan, field, update.value)
        else:
            raise ValidationError(
                f"{field.owner}.{field.name} is Unique, so its new value must be known here: use .set(value) or .remove()",
                field=field.name,
            )
    return new


def touches(plan: ModelRequests, updates: tuple[Update, ...]) -> bool:
    """Whether updates name a unique attribute."""
    unique = {field.name for field in fields_of(plan)}
    return any(update.path.field.name in unique for update in updates)
