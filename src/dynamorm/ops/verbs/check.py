"""check: a condition on an item that a transaction does not write. It must not know how transactions are sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dynamorm.errors import ValidationError
from dynamorm.expressions.compile import Placeholders, check_paths, condition_text
from dynamorm.expressions.path import Condition
from dynamorm.ops.reads.items import key_from_parts
from dynamorm.ops.requests import check_values, finish, names
from dynamorm.ops.writes.version_check import OLD_ON_FAILURE, VersionCheck
from dynamorm.ops.writes.write import Write

if TYPE_CHECKING:
    from dynamorm.session import Session


def check_write(
    session: Session, subject: Any, args: tuple[Any, ...], parts: dict[str, Any], *, condition: Condition | None
) -> Write:
    """The part of a transaction that checks one item.

    The condition is the last of ``args`` or ``condition``. Of a loaded object with a version the version is checked
    as well; by key and without a condition it is checked that the item exists.
    """
    if args and isinstance(args[-1], Condition):
        if condition is not None:
            raise ValidationError("check was given two conditions: join them with &", field="condition")
        condition, args = args[-1], args[:-1]
    by_key = isinstance(subject, type)
    plan = session.plan(subject if by_key else type(subject))
    codec = plan.codec
    if by_key:
        key_json = codec.key_json(key_from_parts(plan, args, parts) if parts else args)
        loaded = None
    else:
        if args or parts:
            raise ValidationError("check takes an object, or a model and a key, and a condition")
        key_json = codec.key_of(subject)
        loaded = codec.loaded(subject)
    places = Placeholders()
    terms = []
    expects, known, tokens = "", None, b""
    if loaded is not None and plan.version is not None:
        guard = VersionCheck(session, plan, loaded)
        terms.append(guard.condition(places))
        expects, known, tokens = "version", guard.version, guard.ring
    elif condition is None and by_key:
        terms.append(f"attribute_exists({places.name(plan.partition.stored)})")
        expects = "exists"
    elif condition is None:
        name = codec.schema.name
        why = f"{name} has no version" if plan.version is None else f"this {name} was not loaded"
        raise ValidationError(f"check has nothing to compare with, for {why}: give it a condition", field="condition")
    if codec.family is not None:
        from dynamorm.ops.reads.kin import class_terms

        terms += class_terms(plan, places, loaded, absent=not terms)
    if condition is not None:
        check_paths(codec.schema, condition)
        terms.append(f"({condition_text(condition, places, plan.operand)})")
    rest = {"ConditionExpression": " AND ".join(terms), **OLD_ON_FAILURE, **names(places)}
    body = finish(plan.key_head, key_json, rest)
    check_values(body, rest)
    return Write(
        plan, "ConditionCheck", key_json, body, _nothing,
        token=b"",
        expects=expects,
        known_version=known,
        known_ring=tokens,
        checked=len(terms) > 1 or condition is not None,
    )  # fmt: skip


def _nothing(_: bytes | None) -> None:
    """A check changes nothing, so nothing is to be brought up to date."""
