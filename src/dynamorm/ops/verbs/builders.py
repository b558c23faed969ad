"""The writes of the verbs, by the arguments of a transaction's methods.

A rule names them when it adds a write, or puts another one in a write's place.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from dynamorm.errors import ValidationError
from dynamorm.ops.writes.write import NOT_READ, Write

from .check import check_write
from .delete import delete_write
from .put import create_write, put_write
from .save import save_write
from .update import update_write

if TYPE_CHECKING:
    from dynamorm.models.expressions.path import Condition
    from dynamorm.ops.context import Context


def _put(context: Context, obj: Any, *, condition: Condition | None = None) -> Write:
    return put_write(context, obj, condition=condition)


def _save(context: Context, obj: Any) -> Write:
    write = save_write(context, obj)
    if write is None:
        raise ValidationError(f"this {type(obj).__name__} was not changed, so there is nothing to save")
    return write


def _update(
    context: Context,
    subject: Any,
    /,
    *args: Any,
    condition: Condition | None = None,
    upsert: bool = False,
    allow: Any = (),
    _stored: bytes | None = NOT_READ,  # no field has such a name
    **parts: Any,
) -> Write:
    return update_write(context, subject, args, parts, condition=condition, upsert=upsert, allow=allow, stored=_stored)


def _delete(
    context: Context,
    subject: Any,
    /,
    *key: Any,
    condition: Condition | None = None,
    must_exist: bool = False,
    **parts: Any,
) -> Write:
    return delete_write(context, subject, key, parts, condition=condition, must_exist=must_exist)


def _check(context: Context, subject: Any, /, *args: Any, condition: Condition | None = None, **parts: Any) -> Write:
    return check_write(context, subject, args, parts, condition=condition)


BUILDERS: Final[dict[str, Callable[..., Write]]] = {
    "create": create_write,
    "put": _put,
    "save": _save,
    "update": _update,
    "delete": _delete,
    "check": _check,
}
"""By verb: ``BUILDERS[verb](context, *args, **options)``."""
