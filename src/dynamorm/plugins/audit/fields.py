"""The rule of `Audit` fields: who made an item, who wrote it last and from where, and the last changes of it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Final, Union, get_args, get_origin

from msgspec.json import decode

from dynamorm import Attr, Mixin, attr
from dynamorm.errors import ModelError, ValidationError
from dynamorm.plugin import Actor, WriteRule

from .acting import actor_of, explain_race, no_batch
from .model import is_computed, is_hidden
from .option import Audit, Change
from .protected.writing import Values
from .values import bytes_of, encode, plain

if TYPE_CHECKING:
    from dynamorm.ops.writes.draft import WriteDraft

MOST: Final = 20
LARGEST: Final = 8 * 1024
"""Changes that an item keeps, and the bytes of all of them."""

SHOWN: Final = 256
"""Bytes of a value that a change log shows."""


class AuditableModel(Mixin):
    """The fields that say who wrote an item, for any model: with `DB.enable_audit_log` they are filled in from `dynamorm.actor`.

    Example: ``class Payment(AuditableModel, Model, table="payments"): ...``
    """

    created_by: Attr[str | None] = attr(Audit("created_by"), default=None)
    updated_by: Attr[str | None] = attr(Audit("updated_by"), default=None)
    updated_ip: Attr[str | None] = attr(Audit("updated_ip"), default=None)
    change_log: Attr[list[Change]] = attr(Audit("changelog"), default_factory=list)


class AuditFields(WriteRule):
    """Fills the fields in. A value that somebody else gave is refused."""

    verbs: tuple[str, ...] = ("create", "put", "save", "update", "delete")
    needs_stored = True

    def __init__(self, schema: Any, *, require_actor: bool, hidden: frozenset[str] = frozenset()) -> None:
        self._label: str = schema.name
        self._hidden = hidden
        self._require_actor = require_actor
        self._fields: dict[str, list[Any]] = {}
        for field in schema.fields.values():
            if (option := field.option(Audit)) is not None:
                self._fields.setdefault(option.kind, []).append(field)
        self._own: dict[str, str] = {field.stored: field.name for fields in self._fields.values() for field in fields}
        self._followed: dict[str, Any] = {
            field.name: field
            for field in schema.fields.values()
            if _is_followed(field) and field.stored not in self._own
        }
        self._stored_followed = frozenset(field.stored for field in self._followed.values())
        self.last: bool = "changelog" in self._fields  # it tells what other rules have set

    def contribute(self, draft: WriteDraft) -> None:
        """Fill the fields in."""
        who = actor_of(self._label, required=self._require_actor)
        if draft.verb == "delete":
            return
        self._refuse_given(draft)
        item = self._stored(draft)
        if item is None:
            self._set(draft, "created_by", who.by)
        else:
            self._keep(draft, item)
        self._set(draft, "updated_by", who.by)
        self._set(draft, "updated_ip", who.ip)
        if "changelog" in self._fields:
            self._log(draft, item, who)

    def check_batch(self, plan: Any) -> None:
        """Refuse a batch. Raises: ValidationError."""
        raise no_batch(plan.codec.schema.name)

    def _set(self, draft: WriteDraft, kind: str, value: Any) -> None:
        for field in self._fields.get(kind, ()):
            draft.set(field.name, value)

    def _stored(self, draft: WriteDraft) -> dict[str, Any] | None:
        """What is stored, where that matters: an empty item stands for one that nobody has to look at."""
        if draft.verb == "create":
            return None
        upsert = draft.verb == "put" or getattr(draft, "upsert", False)
        if "changelog" not in self._fields and not upsert:
            return {}
        item = draft.stored_item()
        first = self._fields.get("created_by", ())
        logs = self._fields.get("changelog", ())
        names = [field.stored for field in (*first, *logs)] if upsert else [field.stored for field in logs]
        if item is None:
            draft.pin({draft.plan.partition.stored: None})
        elif names:
            draft.pin({name: item.get(name) for name in names})
        explain_race(draft, self._label)
        return item

    def _keep(self, draft: WriteDraft, item: dict[str, Any]) -> None:
        """A put keeps who made the item that it replaces."""
        if draft.verb != "put":
            return
        for field in self._fields.get("created_by", ()):
            wire = item.get(field.stored)
            draft.set(field.name, None if wire is None else draft.plan.codec.decode_field(field.name, wire))

    def _refuse_given(self, draft: WriteDraft) -> None:
        """Refuse values that are not the library's own. Raises: ValidationError."""
        some: Any = draft
        if draft.verb in {"create", "put"}:
            raw = draft.plan.codec.loaded(
                draft.obj
            )  # also of one that is created again, under the key of a deleted item
            loaded = {} if raw is None else decode(raw)
            given = [
                stored
                for stored, name in self._own.items()
                if getattr(draft.obj, name) not in (None, [])
                and (
                    raw is None
                    or bytes_of(draft.plan.codec.encode_field(name, getattr(draft.obj, name)))
                    != bytes_of(loaded.get(stored))
                )
            ]
        elif draft.verb == "save":
            given = [stored for stored in some.changes if stored in self._own]
        else:
            given = [one.path.field.stored for one in some.updates if one.path.field.stored in self._own]
        if given:
            name = self._own[given[0]]
            raise ValidationError(
                f"{self._label}.{name} is set by the library, from dynamorm.actor, and was given here: leave it out, or load the"
                " object again",
                field=name,
            )

    def _log(self, draft: WriteDraft, item: dict[str, Any] | None, who: Actor) -> None:
        """Add the changes to the log, and drop the oldest."""
        new: list[Change] = []
        if item is not None:
            after, now = draft.after(*self._followed), draft.context.now()
            values = Values(self._stored_followed, frozenset(), draft, item)
            for field in self._followed.values():
                old, left = item.get(field.stored), after[field.stored]
                if not values.same(field.stored, old, left):
                    shows = not is_hidden(field) and field.stored not in self._hidden.union(values.names)
                    new.append(_change(field, old, left, now, who, shows=shows))
        for field in self._fields["changelog"]:
            wire = None if item is None else item.get(field.stored)
            before = [] if wire is None else draft.plan.codec.decode_field(field.name, wire) or []
            draft.set(field.name, bounded([*before, *new]))


def bounded(changes: list[Change]) -> list[Change]:
    """The last changes, as many as an item keeps; the first of them says how many were dropped before it."""
    sizes = [_size(change) for change in changes]
    first, total = len(changes), 0
    while first and len(changes) - first < MOST and total + sizes[first - 1] <= LARGEST:
        first -= 1
        total += sizes[first]
    kept = changes[first:]
    if kept and first:
        oldest = kept[0]
        dropped = oldest.dropped + sum(1 + change.dropped for change in changes[:first])
        kept[0] = Change(
            field=oldest.field, old=oldest.old, new=oldest.new, at=oldest.at, by=oldest.by, dropped=dropped
        )
    return kept


def _size(change: Change) -> int:
    """Its bytes as JSON, which are more than are stored of it."""
    return len(encode(change)) + 1


def _change(field: Any, old: Any, new: Any, now: datetime, who: Actor, *, shows: bool) -> Change:
    return Change(field=field.name, old=_shown(old, shows=shows), new=_shown(new, shows=shows), at=now, by=who.by)


def _shown(wire: Any, *, shows: bool) -> Any:
    if wire is None or not shows or len(bytes_of(wire)) > SHOWN:
        return None
    return plain(wire)


def _is_followed(field: Any) -> bool:
    """Whether a field is one whose changes a log tells: no part of the key, and nothing that the library makes."""
    return field.role in {"", "ttl"} and not is_computed(field) and getattr(field, "unstored", None) is None


def check_type(field: Any) -> None:
    """Refuse a field whose type cannot hold what its `Audit` option keeps. Raises: ModelError."""
    kind = field.option(Audit).kind
    wanted: type[Any] = list if kind == "changelog" else str
    alternatives = get_args(field.annotation) if get_origin(field.annotation) in {Union, UnionType} else ()
    for one in alternatives or (field.annotation,):
        plain = get_origin(one) or one
        if plain is not NoneType and isinstance(plain, type) and not issubclass(plain, wanted):
            declared = "list[Change]" if kind == "changelog" else "str | None"
            raise ModelError(f'{field.owner}.{field.name} has Audit("{kind}"): declare it as Attr[{declared}]')


def fields_of(schema: Any) -> Iterable[Any]:
    """The `Audit` fields of a model."""
    return (field for field in schema.fields.values() if field.options and field.option(Audit) is not None)


__all__ = ["AuditFields", "AuditableModel", "bounded", "encode", "fields_of"]
