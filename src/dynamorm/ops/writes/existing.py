"""Whose unique value it is, in the error of a refused write: told only of an item that the rules for what is read give out.

Used for models that have such rules and unique attributes, behind a refusal. It must not know which rules there are.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from dynamorm.effects import Flow
from dynamorm.errors import DuplicateKey, DynamORMError

from .write import is_shown, read_back

if TYPE_CHECKING:
    from dynamorm.ops.context import Context


def tell_existing(context: Context, error: DynamORMError, end: float) -> Flow[None]:
    """Look at the items that have the values, and tell the keys of those that may be read, until the time ``end``."""
    for duplicate in _duplicates(error):
        plan, key = duplicate._asked  # noqa: SLF001 - given by the rule of unique attributes
        duplicate._asked = None  # noqa: SLF001 - as above
        look = read_back(plan, key, end, purpose="guard")
        look.prepare = None  # it is looked at, and not decoded
        with suppress(DynamORMError):  # what refused the write says more; the key is not told
            raw = yield from context.call(look)
            if raw is not None and is_shown(plan.codec, raw):
                duplicate.existing = plan.codec.key_values(key)


def _duplicates(error: DynamORMError) -> Iterator[DuplicateKey]:
    """The errors of unique values that still have to be asked about, those of a transaction's operations too."""
    errors = [error, *(reason.error for reason in getattr(error, "reasons", ()) if reason is not None)]
    for one in errors:
        if isinstance(one, DuplicateKey) and one._asked is not None:  # noqa: SLF001 - as above
            yield one
