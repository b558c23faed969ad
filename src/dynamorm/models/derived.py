"""`derived`: a field whose value is computed of other fields, with each write. It must not know how a write is made."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any

from dynamorm.errors import ModelError
from dynamorm.models.schema.composite import composites_of
from dynamorm.models.schema.overriding import override
from dynamorm.models.schema.schema import Field, RuledOption, Schema

from .declare import did_you_mean

if TYPE_CHECKING:
    from dynamorm.plugin import WriteRule


class Derived(RuledOption):
    """The option of a derived field: the names of its fields, and the function of their values. Made by `derived`."""

    __slots__ = ("by", "components", "fields")

    filled_in: bool = True
    initial: None = None
    given_later: bool = True
    """It is None until the first write, whatever its type."""

    def __init__(self, fields: tuple[str, ...], by: Callable[..., Any]) -> None:
        self.fields: tuple[str, ...] = fields
        self.components: tuple[str, ...] = fields
        self.by: Callable[..., Any] = by

    @override
    def write_rule(self, schema: Schema, field: Field) -> WriteRule:
        _check(schema, field, self)
        # By name: what rules do with drafts is above.
        rule: WriteRule = import_module("dynamorm.ops.rules.derived").DerivedRule(field, self.fields, self.by)
        return rule


def derived(*fields: str, by: Callable[..., Any]) -> Derived:
    """Let a field be computed of others: ``by`` is called with the values of ``fields``, in this order, and gives that of the field.

    It is stored with each write, and kept right by ``create``, ``put``, ``save``, batches, transactions, and by each update that changes
    one of the fields: these must all be known then, as those of a composite key; else the update is refused, and says what to do. The
    object has it behind the write; before the first one it is None. ``by`` depends on its arguments alone.

    Raises: ModelError for names that are none, and, with the first use of the model, for fields that cannot be derived of.

    Example: ``total: Attr[int] = attr(derived("price", "count", by=lambda price, count: price * count), init=False)``
    """
    if not fields or not all(isinstance(name, str) for name in fields) or len(set(fields)) < len(fields):
        raise ModelError('derived takes the names of its fields, each once: derived("price", "count", by=total)')
    if not callable(by):
        raise ModelError(f"by of derived is a function of the values of its fields, not a {type(by).__name__}")
    if hasattr(by, "__code__") and by.__code__.co_flags & _WAITS:
        raise ModelError(
            f"by of derived is a plain function, and {by.__name__} is a coroutine function, which nobody awaits"
        )
    return Derived(fields, by)


_WAITS = 0x80 | 0x20 | 0x200  # `inspect.CO_COROUTINE`, of generators too, whose module takes long to import
_OWNED = ("version", "created_at", "updated_at")


def _check(schema: Schema, field: Field, option: Derived) -> None:
    """Refuse what could not be kept right. Raises: ModelError."""
    where = f"{schema.name}.{field.name}"
    composites = composites_of(schema)
    if len(field.options) > 1:
        raise ModelError(f"{where}: derived(...) stands alone: it takes no other options")
    if field.role in {"partition", "sort", *_OWNED} or any(field.name in one.components for one in composites.values()):
        raise ModelError(
            f"{where} is derived, so it is no part of a key that is made of fields: use composite(...) of {', '.join(option.fields)}"
        )
    for flag in ("immutable", "write_once", "protected"):
        if getattr(field, flag):
            raise ModelError(f"{where} is derived, and changes with its fields: leave out {flag}")
    for name in option.fields:
        if name not in schema.fields:
            raise ModelError(f"{where} is derived of {name!r}, which is no field{did_you_mean(name, schema.fields)}")
        of = schema.fields[name]
        why = ""
        if of.role in _OWNED:
            why = "is kept by the library"
        elif name in composites or of.option(Derived) is not None:
            why = "is computed itself: name its fields"
        elif of.secret or any(getattr(one, "secret", False) for one in of.options):
            why = "is secret, and what is made of it would show"
        elif of.unstored is not None or of.filled_in:
            why = "is not what an object holds before a write"
        if why:
            raise ModelError(f"{where} is derived of {name}, which {why}")
