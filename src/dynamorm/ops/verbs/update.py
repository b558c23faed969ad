"""update and upsert: one UpdateItem, from update expressions to a settled result. Returns flows."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from dynamorm.codec.library_attributes import number_wire, text_wire, time_wire
from dynamorm.codec.types.size import MAX_ITEM, item_size
from dynamorm.codec.values.updates import check_update, with_other_names
from dynamorm.effects import Flow
from dynamorm.errors import ItemTooLarge, NotFound, Outcome, ValidationError
from dynamorm.expressions.compile import Placeholders, check_paths, check_updates, condition_text, update_text
from dynamorm.expressions.path import Condition, Update, system_path
from dynamorm.expressions.tree import Location, Node, Wire
from dynamorm.ops.calls.op import Safety
from dynamorm.ops.reads.items import key_from_parts
from dynamorm.ops.requests import ModelRequests, check_values, finish, names
from dynamorm.ops.rules.begin import Begun, begin
from dynamorm.ops.writes.forms import RELATIVE, Forms, States
from dynamorm.ops.writes.send import performed
from dynamorm.ops.writes.version_check import OLD_ON_FAILURE, VersionCheck
from dynamorm.ops.writes.write import NOT_READ, Write
from dynamorm.schema.schema import Field

if TYPE_CHECKING:
    from dynamorm.ops.rules.bound import Bound
    from dynamorm.ops.rules.completion import Completion
    from dynamorm.ops.rules.composite_keys import Known
    from dynamorm.session import Session

_ALL_NEW = {"ReturnValues": "ALL_NEW"}


def update(
    session: Session,
    subject: Any,
    args: tuple[Any, ...],
    parts: dict[str, Any],
    *,
    condition: Condition | None,
    upsert: bool,
    allow: Any = (),
    returning: str | None = "new",
) -> Flow[Any]:
    """Apply updates to one item and return it as it is afterwards; by key, nothing with ``returning=None``."""
    if returning != "new":
        _check_returning(subject, returning)

    def build(stored: bytes | None = NOT_READ) -> Write:
        write = update_write(
            session, subject, args, parts, condition=condition, upsert=upsert, allow=allow, stored=stored
        )
        return write if returning is not None else without_result(write)

    plan = session.plan(subject if isinstance(subject, type) else type(subject))
    if plan.uniques:
        from dynamorm.ops.rules.unique_flows import guarded

        return guarded(session, subject, build, performed)
    return performed(session, build())


def update_write(  # noqa: PLR0915 - the hot path stays in one frame
    session: Session,
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
) -> Write:
    """The write of `update`.

    ``allow`` are the protected fields that may be changed. ``stored`` is what is there now, where that matters: when a
    unique attribute is changed. ``holder`` is the object that an upsert by key is of. ``states`` are those of the places
    that the updates depend on (see `dynamorm.ops.rules.begin`), where they were looked at.
    """
    by_key = isinstance(subject, type)
    plan = session.plan(subject if by_key else type(subject))
    codec, schema = plan.codec, plan.codec.schema
    if by_key:
        count = next((at for at, one in enumerate(args) if isinstance(one, Node)), len(args))
        key, updates = args[:count], args[count:]
        if parts or not updates:
            from .misuse import check_change

            check_change(schema, key, parts, updates)
        key_json = codec.key_json(key_from_parts(plan, key, parts) if parts else key)
        loaded = None
    else:
        if parts:
            from .misuse import not_an_argument

            raise not_an_argument(schema, next(iter(parts)))
        updates = args
        key_json = codec.key_of(subject)
        loaded = codec.loaded(subject)
    if allow != ():
        from dynamorm.ops.rules.write_once import allowed

        allow = allowed(schema, allow)
    check_updates(schema, updates, allow)
    for one in updates:
        if one.value is None and one.kind == "set":
            updates = _without_none(plan, updates, allow)
            break
    if codec.renamed:
        updates = with_other_names(updates)
    depends = False
    for one in updates:
        source = one.value.parts if isinstance(one.value, Location) else None
        check_update(codec, one.kind, one.path.parts, source)
        if one.kind in RELATIVE or source is not None or one.path.parts[1:]:
            depends = True
    asked, wanted = condition, upsert
    if not updates:
        raise ValidationError(f"update of {schema.name} was given nothing to do: pass {schema.name}.<field>.set(...)")
    whole: Completion | None = None
    if upsert and (loaded is None or plan.version is None):  # else the version demands that there is an item
        from dynamorm.ops.rules.completion import Completion

        whole = Completion(plan, updates, holder if by_key else subject)
        updates = whole.updates
    also: tuple[Write, ...] = ()
    pinned = False
    if plan.uniques:
        from dynamorm.ops.rules.unique import joined

        if whole is not None and whole.is_of_unique:
            upsert = whole.has_no_item(key_json, stored)
            updates += whole.of_unique(upsert)
        also, condition, pinned = joined(session, plan, key_json, updates, stored, loaded, condition)
    places = Placeholders()
    guard = None if loaded is None else VersionCheck(session, plan, loaded)
    if guard is not None and plan.version is not None:
        terms = [guard.condition(places)]
        stamps = [_set(name, wire) for name, wire in guard.stamps()[0].items()]
    else:
        terms = [] if upsert else [f"attribute_exists({places.name(plan.partition.stored)})"]
        stamps = _by_key_stamps(session, plan, upsert=upsert)
    if codec.family is not None:
        from dynamorm.ops.reads.kin import class_terms

        terms += class_terms(plan, places, loaded, absent=upsert)
    more: list[Update] = []
    relied: Known | None = None
    if codec.composites:
        from dynamorm.ops.rules.composite_keys import after_update, known_of

        known = known_of(plan, key_json, loaded, None if by_key else subject, parts)
        more = after_update(plan, updates, stamps, known, upsert=upsert)
        relied = known.unprotected
        terms += known.condition(places)
        if whole is not None:
            whole.with_index_keys(known, more)
            terms += whole.condition(places)
    once: Condition | None = None
    if plan.kept:
        from dynamorm.ops.rules.write_once import check_update as check_once

        once = check_once(plan, updates)
        if once is not None:
            terms.append(f"({condition_text(once, places, plan.operand)})")
    begun: Begun | None = None
    changes = updates
    if depends:
        begun = begin(plan, updates, loaded, states, None if whole is None else whole.held)
        changes = begun.updates
    bounds: list[Bound] = []
    if codec.bounded and begun is not None:
        from dynamorm.ops.rules.limited import bounds_of

        bounds = bounds_of(plan, begun.left)
        terms += [f"({condition_text(one.condition, places, plan.operand)})" for one in bounds]
    if condition is not None:
        check_paths(schema, condition)
        terms.append(f"({condition_text(condition, places, plan.operand)})")
    if begun is not None:
        terms += [condition_text(one, places, plan.operand) for one in begun.terms]
    if whole is not None:
        more += whole.more()
    rest: dict[str, Any] = {"UpdateExpression": update_text((*changes, *more, *stamps), places, plan.update_operand)}
    if whole is not None:
        whole.check()
    if terms:
        rest["ConditionExpression"] = " AND ".join(terms)
        rest.update(OLD_ON_FAILURE)
    rest.update(names(places))
    body = finish(plan.key_head, key_json, rest)

    forms: Forms | None = None
    if begun is not None and begun.other:
        build = partial(
            update_write, session, subject, args, parts,
            condition=asked, upsert=wanted, allow=allow, stored=stored, holder=holder,
        )  # fmt: skip
        forms = Forms(updates, begun.states, bool(begun.terms or bounds), build)
    if len(body) > MAX_ITEM:
        _check_sizes(plan, updates, body, rest)

    def done(raw: bytes | None) -> Any:
        if raw is None:
            raise NotFound(
                f"the {schema.name} was updated, and gone when it was read back",
                outcome=Outcome.APPLIED,
                table=plan.table,
            )
        return shown(codec.decode(raw))

    def shown(fresh: Any) -> Any:
        if by_key:
            return fresh
        codec.assign(subject, fresh)
        return subject

    if guard is not None and plan.version is not None:
        write = guard.write("Update", key_json, body, done, dict(_ALL_NEW))
        write.also, write.shown, write.forms, write.checked = also, shown, forms, len(terms) > 1
        if once is not None or bounds or (begun is not None and begun.terms):
            _explain(write, updates, once, bounds)
        return write
    repeatable = plan.version is None and condition is None and relied is None and all(one.absolute for one in updates)
    if begun is not None and begun.states:
        repeatable = False  # sent again, it would meet its own condition no more
    transact = not repeatable and plan.tokens and session.config.on_ambiguous == "transact"
    write = Write(
        plan, "Update", key_json, body, done,
        token=session.random_bytes(16),
        single=None if transact else dict(_ALL_NEW),
        safety=Safety.RESEND if repeatable or transact else Safety.ONCE,
        transact=transact,
        refresh=transact,
        expects="" if upsert else "exists",
    )  # fmt: skip
    write.also, write.shown, write.forms = also, shown, forms
    write.pinned = pinned
    if relied is not None:
        relied.explain(write)
    if whole is not None:
        whole.explain(write)
    if once is not None or bounds or (begun is not None and begun.terms):
        _explain(write, updates, once, bounds)
    return write


def _check_returning(subject: Any, returning: Any) -> None:
    if returning is not None:
        raise ValidationError(f"returning is 'new' or None, not {returning!r}", field="returning")
    if not isinstance(subject, type):
        raise ValidationError(
            "returning=None is for a model and a key: an object is brought up to date by its update", field="returning"
        )


def _without_none(plan: ModelRequests, updates: tuple[Update, ...], allow: Any) -> tuple[Update, ...]:
    """The updates with what `dynamorm.codec.values.nothing` makes of those to None, checked as they are then."""
    from dynamorm.codec.values.nothing import without_none

    found = without_none(plan.codec, updates)
    check_updates(plan.codec.schema, found, allow)
    return found


def without_result(write: Write) -> Write:
    """The write, made so that it neither asks for the item nor reads it back."""
    write.refresh, write.single, write.done, write.shown = False, None, _nothing, None
    if write.forms is not None:
        build = write.forms.build
        write.forms.build = lambda **states: without_result(build(**states))
    return write


def _nothing(_: bytes | None) -> None:
    """There is no object to bring up to date."""


def _explain(write: Write, updates: tuple[Update, ...], once: Condition | None, bounds: list[Bound]) -> None:
    """Let the error of a refused write name the attribute that it is about."""
    if once is not None:
        from dynamorm.ops.rules.write_once import explain, wires_in

        explain(write, wires_in(write.plan, updates))
    if bounds:
        from dynamorm.ops.rules.limited import explain as explain_bounds

        explain_bounds(write, bounds)
    if any(isinstance(one.value, Location) for one in updates):
        from dynamorm.ops.rules.taken_over import explain as explain_none

        explain_none(write, updates)


def _check_sizes(plan: ModelRequests, updates: tuple[Update, ...], body: bytes, rest: dict[str, Any]) -> None:
    """Refuse a single value that cannot be in any item, and too many large ones."""
    schema = plan.codec.schema
    for one in updates:
        if one.value is None or isinstance(one.value, Location):
            continue
        what = "element" if one.kind in {"append", "prepend", "append_or_create"} else "value"
        wire = None if one.kind == "add" else plan.update_operand(one.path, one.value, what)
        size = 0 if wire is None else item_size({one.path.field.stored: wire})
        if size > MAX_ITEM:
            raise ItemTooLarge(
                f"{schema.name}.{one.path.name} alone has {size} bytes; an item may have {MAX_ITEM}",
                field=one.path.name,
                size=size,
                limit=MAX_ITEM,
                table=plan.table,
            )
    check_values(body, rest)


def _set(stored: str, wire: dict[str, Any]) -> Update:
    return system_path(stored).set(Wire(wire))


def _by_key_stamps(session: Session, plan: ModelRequests, *, upsert: bool) -> list[Update]:
    """The library-owned attributes when the stored version is not known: it is raised by one, whatever it is."""
    codec = plan.codec
    found: list[Update] = []
    created = plan.created if upsert else None
    if plan.updated is not None or created is not None:
        now = time_wire(session.now())
        if plan.updated is not None:
            found.append(_set(plan.updated.stored, now))
        if created is not None:
            found.append(_if_missing(created, now))
    if upsert and codec.schema.discriminator is not None and codec.schema.tag is not None:
        # An item that is there keeps its class, which may be a subclass.
        found.append(system_path(codec.schema.discriminator).if_not_exists(Wire(text_wire(codec.schema.tag))))
    if plan.version is not None:
        # An item that is made by this very update gets 0, as one made by create does: it starts from -1.
        found.append(_raise_version(plan.version, number_wire(1), number_wire(-1) if upsert else None))
    return found


def _if_missing(field: Field, wire: dict[str, Any]) -> Update:
    return system_path(field.stored).if_not_exists(Wire(wire))


def _raise_version(field: Field, one: dict[str, Any], start: dict[str, Any] | None) -> Update:
    path = system_path(field.stored)
    return Update("add", path, Wire(one), None if start is None else Wire(start))
