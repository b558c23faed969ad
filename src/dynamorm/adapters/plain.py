"""A `Model` as the standard library sees a dataclass: for `dataclasses`, `pprint`, `inspect`, and FastAPI before a body."""

from __future__ import annotations

import dataclasses
import inspect
import sys
from functools import cache
from typing import Any, Final

from dynamorm.models.generated import SOURCE, masked
from dynamorm.models.schema.composite import composites_of
from dynamorm.models.schema.schema import MISSING, SCHEMAS, Field

_KEPT: Final = object()
"""Marks a field that is no dataclass field, so that `fields` and `asdict` pass over it."""

_REPLACE: Final[tuple[Any, ...]] = tuple(
    getattr(dataclasses, name).__code__ for name in ("replace", "_replace") if hasattr(dataclasses, name)
)
"""The functions of the standard library that copy an object: the second one does the work in newer versions."""


def fields_of(cls: type) -> dict[str, dataclasses.Field[Any]]:
    """What `dataclasses.fields` and `dataclasses.asdict` go by, for ``__dataclass_fields__``: all but secret fields and composites.

    Encoders read it too, so nothing secret may be in it. Only `dataclasses.replace`, which has no hook of its own and
    would drop what is left out, is given all fields, and the object whose loaded state the new one takes over.

    Example: ``fields_of(Payment)["amount"].name == "amount"``
    """
    caller = sys._getframe(1).f_back  # noqa: SLF001 - the one way to tell who asks; between is the descriptor
    return _all_fields(cls) if caller is not None and caller.f_code in _REPLACE else _shown_fields(cls)


@cache
def _shown_fields(cls: Any) -> dict[str, dataclasses.Field[Any]]:
    return {
        name: _field(name, field.annotation, dataclasses._FIELD)  # type: ignore[attr-defined]  # noqa: SLF001 - the standard library's own mark
        for name, field in _stored_fields(cls).items()
        if not masked(field)
    }


@cache
def _all_fields(cls: Any) -> dict[str, dataclasses.Field[Any]]:
    fields = {name: _field(name, field.annotation, _KEPT) for name, field in _stored_fields(cls).items()}
    return {**fields, SOURCE: _field(SOURCE, Any, _KEPT)}


def _stored_fields(cls: type) -> dict[str, Field]:
    """The fields that are arguments of the constructor."""
    computed = composites_of(SCHEMAS[cls])
    return {name: field for name, field in SCHEMAS[cls].fields.items() if name not in computed}


def _field(name: str, annotation: Any, kind: Any) -> dataclasses.Field[Any]:
    plain: Any = dataclasses.field(kw_only=True)
    plain.name, plain.type, plain._field_type = name, annotation, kind  # noqa: SLF001 - as above
    return plain  # type: ignore[no-any-return] # `field` is typed as the value that it stands for


class _Params:
    """What `dataclasses` remembers of its own classes; ``repr`` tells `pprint` that a model has its own repr."""

    init = eq = match_args = kw_only = slots = weakref_slot = True
    repr = order = unsafe_hash = frozen = False


def params_of(_: type) -> Any:
    """The value of ``__dataclass_params__``."""
    return _Params


# ------------------------------------------------------------------------------------------------------------ signature


class _Shown:
    """A default as a signature shows it."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


_OF_THE_LIBRARY: Final = frozenset({"version", "created_at", "updated_at"})


@cache
def signature_of(cls: Any) -> inspect.Signature:
    """The arguments of a model's constructor, for ``__signature__``.

    Example: ``str(signature_of(Payment)) == "(*, id: str, amount: int)"``
    """
    fields = (field for field in _stored_fields(cls).values() if field.role not in _OF_THE_LIBRARY)
    kind = inspect.Parameter.KEYWORD_ONLY
    return inspect.Signature(
        [inspect.Parameter(field.name, kind, default=_default(field), annotation=field.annotation) for field in fields]
    )


def _default(field: Field) -> Any:
    if field.default_factory is not None:
        return _Shown("<factory>")
    if field.default is MISSING:
        return inspect.Parameter.empty
    return _Shown("***") if masked(field) else field.default


# -------------------------------------------------------------------------------------------------------------- replace


def replaced(obj: Any, changes: dict[str, Any]) -> Any:
    """A new object with other values of some fields, which keeps all else: secret fields, and the loaded state.

    With another key it is a new object, which nobody has loaded.

    Raises: UnknownArgument for a name that is no field.

    Example: ``replaced(payment, {"amount": 5}).card == payment.card``
    """
    cls: Any = type(obj)
    kept = {field.name: getattr(obj, field.name) for field in _all_fields(cls).values() if field.name not in changes}
    return cls(**kept, **changes)
