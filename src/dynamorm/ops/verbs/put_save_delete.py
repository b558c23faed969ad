"""create, put, save and delete: from an object to the one write that does it.

Each verb has a builder (``create_write`` ...) whose `Write` is sent alone by the verb's flow, or joins a transaction.
The object in memory changes only once the write is known to be applied.
"""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from dynamorm.codec.codec import ModelCodec
from dynamorm.codec.keys import StoredKey
from dynamorm.codec.library_attributes import merged, time_wire
from dynamorm.codec.state import Held
from dynamorm.codec.strict import dumps, read_object
from dynamorm.codec.types.size import MAX_ITEM
from dynamorm.effects import Flow
from dynamorm.errors import ValidationError
from dynamorm.expressions.compile import Placeholders, check_paths, condition_text
from dynamorm.expressions.path import Condition
from dynamorm.ops.reads.items import key_from_parts
from dynamorm.ops.requests import ModelRequests, check_values, finish, names
from dynamorm.ops.unstored import told, unstored
from dynamorm.ops.writes import token_ring
from dynamorm.ops.writes.send import perform
from dynamorm.ops.writes.version_check import OLD_ON_FAILURE, VersionCheck, made_at, unguarded
from dynamorm.ops.writes.write import NOT_READ, Write
from dynamorm.schema.schema import TOKEN_ATTRIBUTE

if TYPE_CHECKING:
    from dynamorm.ops.rules.composite_keys import Known
    from dynamorm.ops.rules.within import Within
    from dynamorm.session import Session


def create(session: Session, obj: Any, *, strict: bool | None) -> Flow[Any]:
    """Store a new item. Raises AlreadyExists when there is one under the key."""
    write = create_write(session, obj)
    if session.plan(type(obj)).strict if strict is None else strict:
        write.transact = True
    return perform(session, write)


def create_write(session: Session, obj: Any) -> Write:
    """The write of `create`."""
    plan = session.plan(type(obj))
    token = session.random_bytes(16)
    key, item, times = item_of(session, plan, obj, 0, token[: token_ring.TOKEN], None)
    done = partial(refresh, plan, obj, item, 0, times)
    write = Write(plan, "Put", key, plan.put_head + item + plan.create_tail, done, token, expects="absent")
    if plan.uniques:
        from dynamorm.ops.rules.unique import moves, values_of

        write.also = moves(session, plan, write.key, {}, values_of(plan, obj))
    return write


def put(session: Session, obj: Any, *, condition: Condition | None, returning: str | None) -> Flow[Any]:
    """Store an item, replacing whatever is there."""
    if session.plan(type(obj)).guarded:
        from dynamorm.ops.rules.unique_flows import guarded

        return guarded(session, obj, partial(put_write, session, obj, condition=condition, returning=returning))
    return perform(session, put_write(session, obj, condition=condition, returning=returning))


def put_write(
    session: Session,
    obj: Any,
    *,
    condition: Condition | None,
    returning: str | None = None,
    stored: bytes | None = NOT_READ,
) -> Write:
    """The write of `put`. ``stored`` is what is there now, where that matters: to a model with unique attributes."""
    plan = session.plan(type(obj))
    codec = plan.codec
    token = session.random_bytes(16)
    if plan.append_only:
        from dynamorm.ops.append_only import no_put

        raise no_put(plan)
    loaded = codec.loaded(obj)
    also: tuple[Write, ...] = ()
    kept: Condition | None = None
    if plan.kept:
        from dynamorm.ops.rules.write_once import check_put

        kept = check_put(plan, obj, loaded)
    if plan.uniques:
        from dynamorm.ops.rules.unique import known_state, moves, pinned, values_of

        key = codec.key_of(obj)
        old = known_state(plan, key, stored, loaded, returning)
        also = moves(session, plan, key, old, values_of(plan, obj))
        condition = pinned(plan, old, condition)
    number, rest = next_version(plan, obj, loaded)
    # A put without a version is sent again, or is a transaction that has a token of its own: one in the item would only
    # make a change of it each time.
    proven = plan.version is not None or (
        session.config.on_ambiguous != "transact" and (condition is not None or kept is not None)
    )
    tokens = token_ring.fresh(token[: token_ring.TOKEN]) if proven else b""
    key, item, times = item_of(session, plan, obj, number, tokens, loaded, rest=rest)
    done = partial(refresh, plan, obj, item, number, times)
    write = Write(plan, "Put", key, plan.put_head + item + b"}", done, token)
    write.traceless = not proven
    if condition is not None or kept is not None:
        places = Placeholders()
        text = ""
        if condition is not None:
            check_paths(codec.schema, condition)
            text = condition_text(condition, places, plan.operand)
        if kept is not None:
            keeping = condition_text(kept, places, plan.operand)
            text = f"({text}) AND ({keeping})" if text else keeping
        said = {"ConditionExpression": text, **OLD_ON_FAILURE, **names(places)}
        write.body = finish(plan.put_head, item, said)
        check_values(write.body, said)
    if condition is not None or returning is not None:
        write.transact, write.safety, write.single = unguarded(
            session, plan, guarded=condition is not None, returning=returning
        )
        write.done = _returning(write.done, codec, returning)
    if plan.uniques:
        write.also, write.pinned = also, True
    if kept is not None:
        from dynamorm.ops.rules.write_once import explain, wires_of

        explain(write, wires_of(plan, obj))
    return write


def save(session: Session, obj: Any) -> Flow[Any]:
    """Create a new object; write only what changed of a loaded one."""
    write = save_write(session, obj)
    if write is None:
        return _nothing(obj)
    if write.expects == "absent" and write.plan.strict:
        write.transact = True
    return perform(session, write)


def save_write(session: Session, obj: Any) -> Write | None:  # noqa: PLR0915 - the hot path stays in one frame
    """The write of `save`; None when nothing changed."""
    plan = session.plan(type(obj))
    codec = plan.codec
    loaded = codec.loaded(obj)
    if loaded is None:
        return create_write(session, obj)
    changes, old = codec.compare(obj)
    if codec.composites or not codec.keys.exact:
        codec.key_of(obj)  # names the part of the key that was changed, though it may be stored as the same text
    own: dict[str, Any] | None = None
    if (
        plan.created is not None and plan.created.stored in changes
    ):  # the library's own: set once, when the item was made
        del changes[plan.created.stored]
        own = made_at(plan, obj)
    if not changes:
        if own is not None:
            codec.set_value(obj, *own.popitem())
        codec.as_stored(obj, loaded)
        return None
    once = _refuse_frozen(plan, obj, changes)
    tails: dict[str, Any] = {}
    if plan.append_only:
        from dynamorm.ops.append_only import tails_of

        tails = tails_of(plan, obj, changes, old)
    inside: Within | None = None
    for name in changes:
        if name in codec.branching:
            from dynamorm.ops.rules.within import within

            inside = within(plan, changes, old, loaded, tails)
            break
    key = codec.key_of(obj)
    guard = VersionCheck(session, plan, loaded)
    places = Placeholders()
    shown = unstored(plan, obj, loaded, changes) if plan.shown else {}
    sets: list[str] = told(shown, places) if shown else []
    removes: list[str] = []
    stamped, times = guard.stamps()
    if own is not None:
        times |= own
    known: Known | None = None
    if codec.composites:
        from dynamorm.ops.rules.composite_keys import after_save, known_of

        known = known_of(plan, key, loaded)
        changes |= after_save(plan, {**changes, **shown}, stamped, known)
    if inside is not None:
        inside.write(places, sets, removes)
    for name, wire in {**changes, **stamped}.items():
        if inside is not None and name in inside.edits:
            continue
        if wire is None:
            removes.append(places.name(name))
        elif name in tails:
            sets.append(f"{places.name(name)} = list_append({places.name(name)}, {places.value(tails[name])})")
        else:
            sets.append(f"{places.name(name)} = {places.value(wire)}")
    text = " ".join(
        [*(["SET " + ", ".join(sets)] if sets else []), *(["REMOVE " + ", ".join(removes)] if removes else [])]
    )
    demanded = alone = guard.condition(places)
    also: tuple[Write, ...] = ()
    if plan.uniques:
        from dynamorm.ops.rules.unique import moves, pinned, values_in, values_of

        taken = values_in(plan, loaded)
        also = moves(session, plan, key, taken, values_of(plan, obj))
        if also and plan.version is None and (pins := pinned(plan, taken, None)) is not None:
            demanded += f" AND ({condition_text(pins, places, plan.operand)})"
    if once is not None:
        demanded += f" AND ({condition_text(once, places, plan.operand)})"
    if known is not None:
        demanded = " AND ".join((demanded, *known.condition(places)))
    if codec.family is not None:
        from dynamorm.ops.reads.kin import class_terms

        demanded = " AND ".join((demanded, *class_terms(plan, places, loaded, absent=False)))
    if inside is not None:
        demanded += f" AND {inside.condition(places)}"
        changes |= inside.afterwards()
    rest = {"UpdateExpression": text, "ConditionExpression": demanded, **OLD_ON_FAILURE, **names(places)}
    item = merged(loaded, {**shown, **changes, **stamped})
    if len(item) > MAX_ITEM:
        codec.item_bytes(read_object(item))
    if loaded.__class__ is Held:
        item = codec.inner.held(obj, item)

    done = partial(refresh, plan, obj, item, guard.next_version, times)
    write = guard.write("Update", key, finish(plan.key_head, key, rest), done)
    write.also, write.checked = also, demanded != alone
    if known is not None and known.unprotected:
        known.protect(session, write)
    if once is not None:
        from dynamorm.ops.rules.write_once import explain, wires_of

        explain(write, wires_of(plan, obj))
    if inside is not None:
        inside.explain(write)
    return write


def delete(
    session: Session,
    subject: Any,
    key: tuple[Any, ...],
    parts: dict[str, Any],
    *,
    condition: Condition | None,
    must_exist: bool,
    returning: str | None,
) -> Flow[Any]:
    """Remove an item; its version is checked when it is known."""
    plan = session.plan(subject if isinstance(subject, type) else type(subject))
    if plan.guarded:
        from dynamorm.ops.rules.unique_flows import guarded

        build = partial(
            delete_write, session, subject, key, parts,
            condition=condition, must_exist=must_exist, returning=returning,
        )  # fmt: skip
        return guarded(session, subject, build)
    write = delete_write(session, subject, key, parts, condition=condition, must_exist=must_exist, returning=returning)
    return perform(session, write)


def delete_write(
    session: Session,
    subject: Any,
    key: tuple[Any, ...],
    parts: dict[str, Any],
    *,
    condition: Condition | None,
    must_exist: bool,
    returning: str | None = None,
    stored: bytes | None = NOT_READ,
) -> Write:
    """The write of `delete`. ``stored`` is what is there now, where that matters: to a model with unique attributes."""
    by_key = isinstance(subject, type)
    plan = session.plan(subject if by_key else type(subject))
    codec = plan.codec
    if by_key:
        key_json = codec.key_json(key_from_parts(plan, key, parts) if parts else key)
        loaded = None
        if plan.guarded and codec.family is not None:
            from dynamorm.ops.rules.unique import class_of

            real = class_of(plan, key_json, stored)
            if real is not plan.model:
                return delete_write(
                    session, real, (StoredKey(key_json, codec.key_names),), {},
                    condition=condition, must_exist=must_exist, returning=returning, stored=stored,
                )  # fmt: skip
    else:
        if key or parts:
            raise ValidationError("delete takes an object, or a model and a key, not both")
        key_json = codec.key_of(subject)
        loaded = codec.loaded(subject)

    def done(_: bytes | None) -> Any:
        if not by_key:
            codec.mark(subject, None)

    places = Placeholders()
    terms = []
    # Without a version there is nothing to check: what is to be deleted may have been changed.
    guard = VersionCheck(session, plan, loaded) if loaded is not None and plan.version is not None else None
    also: tuple[Write, ...] = ()
    if plan.uniques:
        from dynamorm.ops.rules.unique import known_state, moves, pinned

        old = known_state(plan, key_json, stored, loaded, returning)
        also = moves(session, plan, key_json, old, {})
        if guard is None:
            condition = pinned(plan, old, condition)
    if guard is not None:
        terms.append(guard.condition(places))
    elif must_exist:
        terms.append(f"attribute_exists({places.name(plan.partition.stored)})")
    if codec.family is not None:
        from dynamorm.ops.reads.kin import class_terms

        terms += class_terms(plan, places, loaded, absent=not terms)
    if condition is not None:
        check_paths(codec.schema, condition)
        terms.append(f"({condition_text(condition, places, plan.operand)})")
    rest = {"ConditionExpression": " AND ".join(terms), **OLD_ON_FAILURE, **names(places)} if terms else {}
    body = finish(plan.key_head, key_json, rest)
    if condition is not None:
        check_values(body, rest)
    if guard is not None and condition is None and not must_exist and returning is None:
        write = guard.write("Delete", key_json, body, done)
        write.also, write.checked = also, len(terms) > 1
        return write
    transact, safety, single = unguarded(
        session, plan, guarded=condition is not None or must_exist or guard is not None, returning=returning
    )
    write = Write(
        plan, "Delete", key_json, body, _returning(done, codec, returning),
        token=session.random_bytes(16),
        single=single,
        safety=safety,
        transact=transact,
        expects="version" if guard else "exists" if must_exist else "",
        known_version=guard.version if guard else None,
        known_ring=guard.ring if guard else b"",
    )  # fmt: skip
    write.also, write.pinned = also, bool(plan.uniques) and guard is None
    write.checked = len(terms) > 1 or condition is not None
    return write


def next_version(plan: ModelRequests, obj: Any, loaded: bytes | None) -> tuple[int, dict[str, Any]]:
    """The version that a put stores, and the attributes it keeps of what was loaded: those the model does not know."""
    if loaded is None:
        return 0, {}
    known, rest = plan.own.version_and_rest(obj, loaded)
    return (known or 0) + 1, rest


def item_of(
    session: Session,
    plan: ModelRequests,
    obj: Any,
    number: int,
    tokens: bytes,
    loaded: bytes | None,
    *,
    rest: dict[str, Any] | None = None,
    now: datetime | None = None,
) -> tuple[bytes, bytes, dict[str, Any] | None]:
    """The key and the item to store, with the library-owned attributes of this write, and the times among them.

    Without ``tokens`` none are stored. ``rest`` is what the item keeps of the one it was loaded from.
    """
    codec = plan.codec
    wire = codec.encode(obj)
    if loaded.__class__ is Held:
        codec.inner.fill(obj, wire, loaded)
    if plan.version is not None:
        wire[plan.version.stored] = {"N": f"{number}"}
    times: dict[str, Any] | None = None
    if plan.created is not None or plan.updated is not None:
        times = _stamp(plan, obj, wire, loaded, session.now() if now is None else now)
    if tokens and plan.tokens:
        wire[TOKEN_ATTRIBUTE] = {"B": tokens}
    if rest:
        wire = {**rest, **wire}
    key = b""
    if codec.composites:
        key = codec.compose(wire, None if loaded is None else obj)
    elif loaded is not None:
        key = codec.keys.kept(obj, loaded)
        if not codec.keys.exact:
            wire |= read_object(key)
    item = codec.item_bytes(wire)
    if loaded.__class__ is Held:
        item = codec.inner.held(obj, item)
    if codec.composites or loaded is not None:
        return key, item, times
    try:
        return dumps({name: wire[name] for name in plan.key_names}), item, times
    except KeyError:  # a key attribute is empty, and left out: that is explained where a key is made
        return codec.key_of(obj), item, times


def _stamp(plan: ModelRequests, obj: Any, wire: dict[str, Any], loaded: bytes | None, now: datetime) -> dict[str, Any]:
    """Put the times of this write into the item. Returns them by the names of their fields."""
    codec, created, updated = plan.codec, plan.created, plan.updated
    stamp = time_wire(now)
    times: dict[str, Any] = {}
    if created is not None:
        known = None if loaded is None else codec.stored(obj, created.stored)
        wire[created.stored] = stamp if known is None else known
        times[created.name] = now if known is None else codec.decode_field(created.name, known)
    if updated is not None:
        wire[updated.stored] = stamp
        times[updated.name] = now
    return times


def refresh(
    plan: ModelRequests, obj: Any, item: bytes, number: int, times: dict[str, Any] | None, raw: bytes | None
) -> Any:
    """Bring the object up to date once ``item`` is stored, under this version and with these times. Returns it.

    ``raw`` is the item where the write was settled from what is stored, which may be newer.
    """
    codec = plan.codec
    if raw is not None:
        codec.assign(obj, codec.decode(raw))
        return obj
    if plan.version is not None:
        codec.set_value(obj, plan.version.name, number)
    if times:
        for name, value in times.items():
            codec.set_value(obj, name, value)
    codec.mark(obj, item)
    if codec.changing:
        codec.as_stored(obj, item)
    return obj


def _returning(done: Any, codec: ModelCodec, returning: str | None) -> Any:
    """With ``returning="old"`` the reply holds the old item: it is the result, not the new state."""
    if returning is None:
        return done

    def old(raw: bytes | None) -> Any:
        done(None)
        return None if raw is None else codec.decode(raw)

    return old


def _refuse_frozen(plan: ModelRequests, obj: Any, changes: dict[str, Any]) -> Condition | None:
    """The key of a loaded object does not change, nor what keeps its value. The condition that goes with a first value."""
    schema = plan.codec.schema
    for field in schema.fields.values():
        if field.stored in changes and field.role in ("partition", "sort"):
            raise ValidationError(
                f"{schema.name}.{field.name} is part of the key and was changed: create a new object instead",
                field=field.name,
            )
    if not plan.kept:
        return None
    from dynamorm.ops.rules.write_once import check_save

    return check_save(plan, obj, changes)


def _nothing(obj: Any) -> Flow[Any]:
    """A flow that has nothing to do."""
    return obj
    yield
