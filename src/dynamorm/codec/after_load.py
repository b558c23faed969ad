"""The hooks of a model for objects that are made of stored items. Loaded with the first model that has any."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dynamorm.models.hooks import loaded
from dynamorm.models.schema.schema import Schema

from .values.unhooked import QUIET


def of(schema: Schema) -> Callable[[Any], None]:
    """A function that calls the hooks of an object, where somebody is given it.

    Example: ``of(schema_of(Post))(post)``
    """
    call, quiet = loaded(schema), QUIET.get

    def called(obj: Any) -> None:
        if not quiet():
            call(obj)

    return called
