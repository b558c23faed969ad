"""Reading an object anew: where it is stored, and how it takes over what is there. The reading is that of `get`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dynamorm.codec.keys import StoredKey
from dynamorm.errors import DynamORMError, InvalidUse, ValidationError

if TYPE_CHECKING:
    from dynamorm.ops.context import Context


def key_of(context: Context, obj: Any) -> tuple[StoredKey]:
    """The key of an object, as `get` takes it: of a loaded one that under which it is stored. Raises: ValidationError."""
    if isinstance(obj, type):
        raise InvalidUse(f"refresh takes an object of {obj.__name__}, not the class: by a key, db.get reads")
    codec = context.plan(type(obj)).codec
    return (StoredKey(codec.key_of(obj), codec.key_names),)


def taken_over(context: Context, obj: Any, fresh: Any) -> Any:
    """The object, which holds from now on what the other one holds. Raises: ValidationError where they differ in class."""
    if type(fresh) is not type(obj):
        raise ValidationError(
            f"the item of this {type(obj).__name__} is a {type(fresh).__name__} now: read it with db.get"
        )
    refused = ""
    try:
        context.plan(type(obj)).codec.assign(obj, fresh)
    except DynamORMError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever a setter of the object's own class raises
        refused = type(error).__name__
    if refused:  # the text of its error may hold values
        raise ValidationError(
            f"this {type(obj).__name__} refused what is stored, and is as it was: a setter of its class raised {refused}; let it"
            " take what is read, or read the item with db.get"
        )
    return obj
