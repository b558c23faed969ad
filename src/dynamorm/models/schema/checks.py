"""Runs the validators of several fields (`Check`): on an object, or on the values of their fields alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dynamorm.errors import DynamORMError, ValidationError

from .schema import Check, Schema


def checked(schema: Schema, explain: Callable[[Any], object] | None = None) -> Callable[[Any], None]:
    """A function that asks all validators of several fields that a model has about an object.

    It raises ValidationError, without the text of what they raise, which may hold values. Where one fails otherwise than by refusing,
    ``explain(obj)`` says first whether a value is of a wrong type.
    """
    name, checks = schema.name, schema.checks

    def check(obj: Any) -> None:
        try:
            for one in checks:
                ask(name, one, obj)
        except Failed:
            if explain is not None:
                explain(obj)
            raise

    return check


class Failed(ValidationError):
    """A validator raised what says nothing of the values, such as a TypeError."""


def ask(owner: str, check: Check, obj: Any) -> None:
    """Ask one validator about an object. Raises: ValidationError that names the fields."""
    kind = ValidationError
    try:
        answer = check.function(obj)
    except DynamORMError:
        raise
    except (ValueError, AssertionError):
        why = "do not fit together"
    except Exception as error:  # noqa: BLE001 - of values of wrong types, which the codec explains where it is asked next
        kind, why = Failed, f"could not be looked at ({type(error).__name__})"
    else:
        if answer is None:
            return
        why = f"were given to a validator that returned a {type(answer).__name__}: it returns nothing, and raises ValueError"
    names = " and ".join(check.fields)
    raise kind(f"{owner}: {names} {why}, by the validator {check.name}", field=check.fields[0])
