"""What may not be asked of DynamoDB, found before the request is sent: limits, overlaps, and fields that are not one's own.

It must not know wire types.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from dynamorm.errors import ExpressionTooLarge
from dynamorm.models.schema.schema import AppendOnly, Field, Schema

from .elements import SEVERAL, Elements
from .tree import Comparison, Condition, Location, Update, not_an_update, paths, refuse

MAX_TEXT: Final = 4096
"""Bytes of one expression. Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html"""

MAX_OPERATORS: Final = 300
"""Operators and functions of one expression, of any kind; AND, OR, NOT, BETWEEN and IN count too. Source: as above."""

# No operator takes fewer than 6 characters of our text, so a shorter one need not be counted.
COUNT_FROM: Final = 6 * MAX_OPERATORS


_LIBRARY_OWNED: Final[dict[str, str]] = {
    "partition": "is part of the key, which cannot change: delete the item and create it under the new key",
    "sort": "is part of the key, which cannot change: delete the item and create it under the new key",
    "version": "is the version, which every write raises by itself: leave it out",
    "created_at": "is set once, when the item is created: leave it out",
    "updated_at": "is set by every write: leave it out",
}


def check_paths(schema: Schema, expression: Condition | Update) -> None:
    """Refuse an expression that names an attribute of another model.

    Raises: ValidationError naming the attribute and both models.

    Example: ``check_paths(schema_of(Payment), Payment.amount > 5)``
    """
    for path in paths(expression):
        _check_owner(schema, path)


_GROWING: Final = frozenset({"append", "append_or_create", *SEVERAL})
_FIRST: Final = frozenset({"set", "if_not_exists"})

PROTECTED: Final = "ErrProtectedFieldMutation"
"""The code of errors about an attribute that keeps its value."""


def check_updates(schema: Schema, updates: Sequence[Update], allow: Collection[str] = ()) -> None:
    """Refuse updates by a caller of what a caller may not update: keys, library-owned and kept fields, other models.

    ``allow`` are the names of the protected fields that may be changed.

    Raises: ValidationError naming the field and what to do instead.

    Example: ``check_updates(schema_of(Payment), [Payment.amount.add(5)])``
    """
    keys = schema.key.fields if schema.key else ()
    for update in updates:
        if not isinstance(update, Update):
            raise not_an_update(update)
        path = update.path
        field = path.field
        _check_owner(schema, path)
        if isinstance(update.value, Location):
            _check_owner(schema, update.value)
        elif update.kind == "compute":
            for source in update.value.sources:
                _check_owner(schema, source)
        problem = _LIBRARY_OWNED.get("partition" if field.name in keys else field.role)
        if problem is not None:
            raise refuse(path, problem, *(("ErrInvalidModel",) if field.name not in keys else ()))
        if field.options and update.kind not in _GROWING and field.option(AppendOnly):
            raise refuse(path, "is append-only: it takes .append(x), .extend([...]) and .append_or_create(x)")
        for part in path.parts:
            if isinstance(part, Field) and (part.immutable or part.write_once or part.protected):
                _check_kept(update, part, allow)


def _check_kept(update: Update, field: Field, allow: Collection[str]) -> None:
    """Refuse the change of an attribute that keeps its value."""
    problem = ""
    if field.immutable:
        problem = "is declared immutable: it keeps the value the item was created with"
    elif field.protected and field.name not in allow:
        problem = f'is protected: it is changed only by an update that says allow=("{field.name}",)'
    elif field.write_once and (update.kind not in _FIRST or len(update.path.parts) > 1):
        problem = "is written once, as a whole: it takes .set(x) and .if_not_exists(x), and keeps its value"
    if problem:
        error = refuse(update.path, problem)
        error.code = PROTECTED
        raise error


def _check_owner(schema: Schema, path: Location) -> None:
    field = path.field
    own = schema.fields.get(field.name)
    # A field may be described anew by a subclass or a plugin; owner and stored name then still agree.
    if own is field or (own is not None and own.owner == field.owner and field.stored in (own.stored, *own.also_read)):
        return
    if not field.owner:
        raise refuse(path, f"is kept by the library and is no field of {schema.name}")
    raise refuse(path, f"is an attribute of {field.owner}, not of {schema.name}")


def check_overlap(places: Sequence[Location]) -> None:
    """Refuse two paths of which one is, or lies inside, the other: DynamoDB would refuse the request."""
    seen: dict[tuple[str | int, ...], Location] = {}
    for one in places:
        if one.stored in seen:
            raise refuse(one, "is named twice; DynamoDB takes one action for each place: join them into one")
        seen[one.stored] = one
    inside: dict[tuple[str | int, ...], Location] = {}
    for stored, one in seen.items():
        for length in range(1, len(stored)):
            outer = seen.get(stored[:length])
            if outer is not None:
                raise refuse(one, f"lies inside {outer.name}, which is named too: keep one of them")
            other = inside.setdefault(stored[:length], one)
            if isinstance(other.stored[length], int) != isinstance(stored[length], int):
                raise refuse(
                    one, f"takes for a list what {other.name} takes for a map, or the reverse: keep one of them"
                )


def check_size(what: str, text: str, nodes: Sequence[Condition | Update]) -> None:
    """Refuse the text of an expression that is over 4 KB or has over 300 operators."""
    if len(text) > MAX_TEXT:
        raise too_long(what, text, paths(nodes[-1])[-1])
    count = sum(operators(one) for one in nodes)
    if count > MAX_OPERATORS:
        raise ExpressionTooLarge(
            f"the {what} has {count} operators (AND, OR and NOT count), the limit is {MAX_OPERATORS}: "
            "use in_([...]) for many values of one attribute, or split the operation",
            field=paths(nodes[-1])[-1].name,
        )


def too_long(what: str, text: str, last: Location) -> ExpressionTooLarge:
    """The error for a text over 4 KB."""
    return ExpressionTooLarge(
        f"the {what} ending with {last.name} is {len(text)} bytes of text, the limit is {MAX_TEXT}: "
        "name fewer attributes, or split the operation",
        field=last.name,
    )


_UPDATE_OPERATORS: Final = {"if_not_exists": 1, "append": 1, "prepend": 1, "append_or_create": 2}


def operators(expression: Condition | Update) -> int:
    """Operators and functions as DynamoDB counts them."""
    if isinstance(expression, Update):
        started = expression.start is not None
        if expression.kind == "first_of":
            return 1 + len(expression.value[0])
        if expression.kind == "compute":
            return 1 + sum(start is not None for start in expression.value.starts)
        if expression.kind == "add":
            return 2 if started or len(expression.path.parts) > 1 else 0
        if isinstance(expression.value, Elements):
            return 1 + (started or expression.kind == "extend_or_create")
        own = _UPDATE_OPERATORS.get(expression.kind, 0)
        return own + (started and expression.kind != "append_or_create")
    count = 0
    waiting = [expression]
    while waiting:
        one = waiting.pop()
        if isinstance(one, Comparison):
            count += {"null": 3, "not null": 4}.get(one.op, 2 if one.op.startswith("size ") else 1)
        else:
            count += 1 if one.op == "NOT" else len(one.operands) - 1
            waiting += one.operands
    return count
