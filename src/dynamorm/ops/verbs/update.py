"""update and upsert: one UpdateItem, from update expressions to a settled result. Returns flows."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from dynamorm.codec.keys import StoredKey
from dynamorm.codec.library_attributes import number_wire, text_wire, time_wire
from dynamorm.codec.placing import UNPLACED, besides
from dynamorm.codec.values.computed import check_computed
from dynamorm.codec.values.nothing import without_none
from dynamorm.codec.values.updates import check_update, with_other_names
from dynamorm.effects import Flow
from dynamorm.engine.sizes import MAX_ITEM, item_size
from dynamorm.errors import ItemTooLarge, ValidationError
from dynamorm.models.declare import did_you_mean
from dynamorm.models.expressions.compile import check_updates, condition_text, update_text
from dynamorm.models.expressions.elements import LISTS, elements_of, joined
from dynamorm.models.expressions.path import Condition, Update, system_path
from dynamorm.models.expressions.tree import Computed, Location, Node, Wire
from dynamorm.models.schema.schema import Field, Schema
from dynamorm.ops.requests import ModelRequests, check_values, finish
from dynamorm.ops.updates import known_sets
from dynamorm.ops.updates.completion import Completion
from dynamorm.ops.updates.computing import explain as explain_needed
from dynamorm.ops.updates.computing import is_strict, needed_by, started
from dynamorm.ops.updates.draft import UpdateDraft
from dynamorm.ops.updates.returned import OLD, check_returning, returned
from dynamorm.ops.updates.taken_over import explain as explain_taken_over
from dynamorm.ops.updates.whole_item import learn, with_whole
from dynamorm.ops.writes.draft import addressed
from dynamorm.ops.writes.forms import RELATIVE, Forms, States
from dynamorm.ops.writes.send import perform
from dynamorm.ops.writes.unchanged import class_of, performed_while_unchanged
from dynamorm.ops.writes.write import NOT_READ, Write

from .misuse import check_change, not_an_argument

if TYPE_CHECKING:
    from dynamorm.ops.context import Context


def update(
    context: Context,
    subject: Any,
    args: tuple[Any, ...],
    parts: dict[str, Any],
    *,
    condition: Condition | None,
    upsert: bool,
    allow: Any = (),
    returning: str | None = "new",
) -> Flow[Any]:
    """Apply updates to one item and return it as it is afterwards; by key, what ``returning`` says."""
    if returning != "new":
        check_returning(subject, returning)

    plan = context.plan(subject if isinstance(subject, type) else type(subject))
    build = partial(
        update_write, context, subject, args, parts, condition=condition, upsert=upsert, allow=allow, result=returning
    )
    if plan.needs_stored:
        return performed_while_unchanged(context, subject, build, perform)
    return perform(context, build())


def update_write(
    context: Context,
    subject: Any,
    args: tuple[Any, ...],
    parts: dict[str, Any],
    *,
    condition: Condition | None,
    upsert: bool,
    allow: Any = (),
    stored: bytes | None = NOT_READ,
    holder: Any = None,
    states: States | None = None,
    result: str | None = "new",
) -> Write:
    """The write of `update`.

    ``allow`` are the protected fields that may be changed. ``stored`` is what is there now, where that matters. ``holder`` is the
    object that an upsert by key is of. ``states`` are those of the places that the updates depend on, where they were looked at.
    """
    plain = condition is None and states is None and stored is NOT_READ and not (upsert or parts or result is None)
    if plain and allow.__class__ is tuple and not allow and (write := known_sets.known(context, subject, args)):
        return write
    draft = _addressed(context, subject, args, parts)
    if (
        context.write_rules
        and draft.obj is None
        and draft.plan.codec.family is not None
        and (draft.plan.needs_stored or stored is not NOT_READ)
    ):
        owner = class_of(context, draft.plan, draft.key, stored)
        if owner is not draft.plan.model:  # the rules are those of its own class
            key = StoredKey(draft.key, draft.plan.codec.key_names)
            return update_write(
                context, owner, (key, *draft.updates), {},
                condition=condition, upsert=upsert, allow=allow, stored=stored, holder=holder, states=states, result=result,
            )  # fmt: skip
    draft.upsert, draft.stored, draft.condition = upsert, stored, condition
    draft.gives_result, draft.returning = result is not None, "old" if result in OLD else None
    plan = draft.plan
    depends = _accept(draft, allow)
    if upsert and (draft.loaded is None or plan.version is None):  # else the version demands that there is an item
        draft.whole = whole = Completion(plan, draft.updates, holder if draft.obj is None else draft.obj)
        draft.updates = whole.updates
    if plan.transforms["update"] and (instead := draft.passed()) is not None:
        return instead
    if depends:
        draft.states = states
        draft.begin()
    _protect(draft)
    if draft.condition is not None or (plan.contributes["update"] and _is_looked_at(draft)):
        draft.contributed()
    write = _written(draft)
    if draft.begun is not None and draft.begun.other:
        build = partial(
            update_write, context, subject, args, parts,
            condition=condition, upsert=upsert, allow=allow, stored=stored, holder=holder, result=result or "new",
        )  # fmt: skip
        write.forms = Forms(draft.updates, draft.begun.states, bool(draft.begun.terms or draft.bounds), build)
    return write if result == "new" else _as_asked(draft, write, result)


def _as_asked(draft: UpdateDraft, write: Write, result: str | None) -> Write:
    """The write whose verb gives what was asked for: nothing, or another thing than the object as it is afterwards."""
    if result is None:
        return write.without_result()
    return returned(write, result, (*draft.updates, *draft.more, *draft.stamps))


def _is_looked_at(draft: UpdateDraft) -> bool:
    """Whether a rule that may add to updates has something to say of this one."""
    looked_at = draft.plan.looked_at
    if looked_at is None:
        return True
    for change in draft.updates:  # noqa: SIM110 - a generator costs more
        if change.path.field.name in looked_at:
            return True
    return False


def _addressed(context: Context, subject: Any, args: tuple[Any, ...], parts: dict[str, Any]) -> UpdateDraft:
    """The draft of the updates of an object, or of a model and a key."""
    key: tuple[Any, ...] = ()
    updates = args
    if isinstance(subject, type):
        count = next((at for at, arg in enumerate(args) if isinstance(arg, Node)), len(args))
        key, updates = args[:count], args[count:]
        if parts or not updates:
            check_change(context.plan(subject).codec.schema, key, parts, updates)
    elif parts:
        raise not_an_argument(context.plan(type(subject)).codec.schema, next(iter(parts)))
    draft = addressed(UpdateDraft, context, "update", "Update", subject, key, parts)
    draft.updates = updates
    return draft


def _accept(draft: UpdateDraft, allow: Any) -> bool:
    """Check the updates, and bring them into the form in which they are written; whether they depend on what is stored.

    Raises: ValidationError.
    """
    plan, updates = draft.plan, draft.updates
    codec, schema = plan.codec, plan.codec.schema
    if allow != ():
        allow = _allowed(schema, allow)
    check_updates(schema, updates, allow)
    for change in updates:
        if change.where is not None or change.also:
            updates = _whole_of(draft, allow)
            break
    for change in updates:
        if change.value is None and change.kind == "set":
            updates = _without_none(plan, updates, allow)
            break
    if codec.renamed:
        updates = with_other_names(updates)
    depends, begun, lists = False, False, 0
    for change in updates:
        if change.kind == "compute":
            check_computed(codec, change)
            depends = draft.asks = True
            continue
        source = change.value.parts if isinstance(change.value, Location) else None
        check_update(codec, change.kind, change.path.parts, source)
        if change.kind in RELATIVE or source is not None or change.path.parts[1:]:
            depends = True
            if change.kind in LISTS:
                lists += 1
            elif change.start is not None:
                begun = True
    if lists > 1:
        updates = joined(updates)
    if begun:
        updates = tuple(started(plan, change) for change in updates)
    if not updates:
        raise ValidationError(f"update of {schema.name} was given nothing to do: pass {schema.name}.<field>.set(...)")
    draft.updates = updates
    return depends


def _whole_of(draft: UpdateDraft, allow: Any) -> tuple[Update, ...]:
    """The updates with those that go along with them; what they demand of the item joins the draft's condition."""
    updates = tuple(one for change in draft.updates for one in (change, *change.also))
    check_updates(draft.plan.codec.schema, updates, allow)
    for change in updates:
        if change.where is not None:
            draft.condition = change.where if draft.condition is None else draft.condition & change.where
            draft.asks = draft.asks or is_strict(change)
    return updates


def _protect(draft: UpdateDraft) -> None:
    """The terms on the version, or that there is an item, and the library's own attributes."""
    plan, upsert = draft.plan, draft.upsert
    if draft.loaded is not None and plan.version is not None:
        draft.check_version()
        assert draft.version_check is not None  # made right now
        draft.stamps = [_set(name, wire) for name, wire in draft.version_check.stamps()[0].items()]
        return
    if not upsert:
        draft.terms.append(f"attribute_exists({draft.places.name(plan.partition.stored)})")
    draft.stamps = _by_key_stamps(draft.context, plan, upsert=upsert)


def _written(draft: UpdateDraft) -> Write:
    """The write of a draft to which all have contributed."""
    plan, begun, whole, places = draft.plan, draft.begun, draft.whole, draft.places
    changes, more = draft.updates, draft.more
    if begun is not None:
        changes = begun.updates
        for term in begun.terms:
            text = condition_text(term, places, plan.operand)
            draft.terms.append(f"({text})" if term.op == "OR" else text)
        _explain_taken_over(draft)
    if whole is not None:
        more += tuple(whole.more())
    if plan.codec.unstored:  # another program may have stored it
        more += tuple(system_path(name).remove() for name in plan.codec.unstored)
    if plan.codec.placed:
        if plan.codec.depends:
            learn(draft, (*changes, *more))
        more += _beside(draft, changes, more)
    if plan.codec.whole is not None or draft.late or draft.known is not None:
        changes, more = with_whole(draft, changes, more)
    said: dict[str, Any] = {
        "UpdateExpression": update_text((*changes, *more, *draft.stamps), places, plan.update_operand)
    }
    if whole is not None:
        whole.check()
    said.update(draft.said())
    body = finish(plan.key_head, draft.key, said)
    if len(body) > MAX_ITEM:
        _check_sizes(plan, draft.updates, body, said)
    shown = partial(known_sets.brought_up, plan.codec, draft.obj)
    done = partial(known_sets.told, plan, shown)
    if draft.version_check is not None:
        write = draft.write(body, done, settled=True, expects="version", returns="new")
        known_sets.keep(draft, said)
    else:
        draft.repeatable = draft.repeatable and _is_repeatable(draft)
        expects = "" if draft.upsert else "exists"
        write = draft.write(body, done, settled=False, expects=expects, returns="new")
    write.on_item, write.by_key = shown, draft.obj is None
    if plan.foresee is not None:
        write.changed = {
            one.path.field.stored for one in (*changes, *more) if one.kind in _WHOLE and len(one.path.parts) == 1
        }
    return write


def _beside(draft: UpdateDraft, changes: Iterable[Update], more: Iterable[Update]) -> tuple[Update, ...]:
    """The updates of what plugins store beside the attributes that are set or removed."""
    codec, key, scope = draft.plan.codec, draft.key, draft.context.scope
    set_here = {one.path.field.stored: _wire_of(draft, one) for one in (*changes, *more) if one.kind in _WHOLE}
    found = besides(codec, set_here, key, scope, draft.known)
    here = tuple(system_path(name).remove() if wire is None else _set(name, wire) for name, wire in found.items())
    made = {} if draft.whole is None else besides(codec, draft.whole.wires, key, scope, draft.known)
    return (*here, *(system_path(name).if_not_exists(Wire(wire)) for name, wire in made.items() if wire is not None))


_WHOLE: Final = frozenset({"set", "remove"})


def _wire_of(draft: UpdateDraft, change: Update) -> dict[str, Any] | None:
    """The value of an attribute that is set, before it has the form that it has in its item; None where it is removed."""
    value = change.value
    if not isinstance(value, Node):
        return None if value is None else draft.plan.update_operand(change.path, value, "value")
    return value.value if isinstance(value, Wire) else None


def _is_repeatable(draft: UpdateDraft) -> bool:
    """Whether an update has the effect of once when it is sent twice, as far as it is the updates that tell."""
    if draft.plan.version is not None:  # it is raised by one with each attempt
        return False
    if draft.begun is not None and draft.begun.states:  # in the form for these it would meet its own condition no more
        return False
    return all(change.absolute for change in draft.updates)


def _allowed(schema: Schema, allow: Any) -> frozenset[str]:
    """The names of the protected fields that an update may change. Raises: ValidationError."""
    if isinstance(allow, (str, bytes, Location)) or not isinstance(allow, Iterable):
        raise ValidationError('allow takes the names of fields: allow=("status",)', field="allow")
    allowed = frozenset(field.field.name if isinstance(field, Location) else field for field in allow)
    for name in allowed:
        if name not in schema.fields:
            raise ValidationError(
                f"allow names {name!r}, which is no field of {schema.name}{did_you_mean(str(name), schema.fields)}",
                field="allow",
            )
    return allowed


def _without_none(plan: ModelRequests, updates: tuple[Update, ...], allow: Any) -> tuple[Update, ...]:
    """The updates with what `dynamorm.codec.values.nothing` makes of those to None, checked as they are then."""
    changed = without_none(plan.codec, updates)
    check_updates(plan.codec.schema, changed, allow)
    return changed


def _explain_taken_over(draft: UpdateDraft) -> None:
    """Let the error of a refused write name the attribute that is None or missing, and was to be taken over or computed with."""
    if draft.asks:
        needed = needed_by(draft.plan, draft.updates, None if draft.whole is None else draft.whole.held)
        draft.explain.append(partial(explain_needed, needed=needed))
    if (
        draft.begun is not None
        and draft.begun.terms
        and any(isinstance(change.value, Location) for change in draft.updates)
    ):
        draft.explain.append(partial(explain_taken_over, updates=draft.updates))


def _check_sizes(plan: ModelRequests, updates: tuple[Update, ...], body: bytes, parameters: dict[str, Any]) -> None:
    """Refuse a single value that cannot be in any item, and too many large ones."""
    schema = plan.codec.schema
    for change in updates:
        if change.value is None or isinstance(change.value, (Location, Computed)):
            continue
        if change.kind in LISTS:
            wire: Any = {"L": [plan.update_operand(change.path, one, "element") for one in elements_of(change)]}
        else:
            wire = None if change.kind == "add" else plan.update_operand(change.path, change.value, "value")
        size = 0 if wire is None or UNPLACED in wire else item_size({change.path.field.stored: wire})
        if size > MAX_ITEM:
            raise ItemTooLarge(
                f"{schema.name}.{change.path.name} alone has {size} bytes; an item may have {MAX_ITEM}",
                field=change.path.name,
                size=size,
                limit=MAX_ITEM,
                table=plan.table,
            )
    check_values(body, parameters)


def _set(stored: str, wire: dict[str, Any]) -> Update:
    return system_path(stored).set(Wire(wire))


def _by_key_stamps(context: Context, plan: ModelRequests, *, upsert: bool) -> list[Update]:
    """The library-owned attributes when the stored version is not known: it is raised by one, whatever it is."""
    codec = plan.codec
    stamps: list[Update] = []
    created = plan.created if upsert else None
    if plan.updated is not None or created is not None:
        now = time_wire(context.now())
        if plan.updated is not None:
            stamps.append(_set(plan.updated.stored, now))
        if created is not None:
            stamps.append(_if_missing(created, now))
    if upsert and codec.schema.discriminator is not None and codec.schema.tag is not None:
        # An item that is there keeps its class, which may be a subclass.
        stamps.append(system_path(codec.schema.discriminator).if_not_exists(Wire(text_wire(codec.schema.tag))))
    if plan.version is not None:
        # An item that is made by this very update gets 0, as one made by create does: it starts from -1.
        stamps.append(_raise_version(plan.version, number_wire(1), number_wire(-1) if upsert else None))
    return stamps


def _if_missing(field: Field, wire: dict[str, Any]) -> Update:
    return system_path(field.stored).if_not_exists(Wire(wire))


def _raise_version(field: Field, step: dict[str, Any], start: dict[str, Any] | None) -> Update:
    path = system_path(field.stored)
    return Update("add", path, Wire(step), None if start is None else Wire(start))
