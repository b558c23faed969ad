"""``.set(None)``: what an update stores for None is what `create` and `save` store for it.

Where absence is read as None, the attribute is taken away; where it is read as another value, NULL is stored; where None
is not allowed, it is refused before anything is sent.
"""

from __future__ import annotations

from typing import Any

from dynamorm.codec.types.starts import encoder_of, plan_at
from dynamorm.errors import DynamORMError
from dynamorm.models.expressions.tree import Update

from .updates import refusal, takes_none


def without_none(codec: Any, updates: tuple[Update, ...]) -> tuple[Update, ...]:
    """The updates; those that set a field to None remove it where that is how None is stored.

    Raises: ValidationError, naming the field and the remedy, for one that allows no None.
    """
    return tuple(_settled(codec, one) if one.kind == "set" and one.value is None else one for one in updates)


def _settled(codec: Any, update: Update) -> Update:
    parts = update.path.parts
    plan = plan_at(codec, parts)
    if plan is None:
        if not takes_none(codec, parts):
            raise refusal(codec, parts, "cannot be None: allow None in its type, or take the entry away with .remove()")
        return update
    failed: Exception
    try:
        stored = encoder_of(plan)(None)
    except Exception as error:  # noqa: BLE001 - every failure becomes one typed error
        failed = error
    else:
        return Update("remove", update.path) if stored is None else update
    if isinstance(failed, DynamORMError):  # a plugin's, or why it cannot be stored although the type allows it
        raise failed
    remedy = "allow None in its type"
    if plan.missing() is not None:
        remedy += ", or take the attribute away with .remove(): then its default is read"
    raise refusal(codec, parts, f"cannot be None: {remedy}")
