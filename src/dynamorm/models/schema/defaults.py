"""Default values that no two objects share: which of them all objects may hold, and copies of the others.

It must not know fields.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, time, timedelta, tzinfo
from decimal import Decimal
from enum import Enum
from typing import Any, Final
from uuid import UUID

from msgspec import UNSET as U
from msgspec import Struct

from dynamorm.errors import ModelError

_UNCHANGING: Final = (
    type(None), str, int, float, complex, bytes, Decimal, date, time, timedelta, tzinfo, UUID, Enum, type,
)  # fmt: skip

_EMPTY: Final[tuple[type, ...]] = (
    list, dict, set, frozenset, tuple, str, bytes, bytearray, int, float, bool, Decimal, timedelta,
)  # fmt: skip


class Copies:
    """A default factory that gives each object a copy of one value.

    Example: ``Copies([1])() == [1]``
    """

    __slots__ = ("_value",)

    def __init__(self, value: Any) -> None:
        # A copy too: whoever holds the given one may change it.
        self._value = _copied(value)

    def __call__(self) -> Any:
        """A new copy."""
        return _copied(self._value)


def _copied(value: Any) -> Any:
    from copy import deepcopy  # only for what is no plain value

    return deepcopy(value)


def unchanging(value: object) -> bool:
    """Whether a value cannot change, so that any number of objects may hold it.

    Example: ``unchanging((1, "a")) and not unchanging(([],))``
    """
    if isinstance(value, (tuple, frozenset)):
        return all(map(unchanging, value))
    if isinstance(value, _UNCHANGING):
        return True
    if isinstance(value, Struct):
        fields = value.__struct_fields__
        return value.__struct_config__.frozen and all(unchanging(getattr(value, name)) for name in fields)
    kind: Any = type(value)
    settings = getattr(kind, "__dataclass_params__", None)
    if settings is not None and settings.frozen:
        return all(unchanging(getattr(value, name, None)) for name in kind.__dataclass_fields__)
    return False


def _is_known_to_change(value: object) -> bool:
    """Whether a value that may change is of a class that is made to: a collection, a model, a plain class of fields."""
    try:
        hash(value)
    except TypeError:
        return True
    kind = type(value)
    return isinstance(value, Struct) or hasattr(kind, "__dataclass_fields__") or hasattr(kind, "__attrs_attrs__")


def factory_of(where: str, value: object, *, shared: bool) -> Callable[[], Any] | None:
    """What makes a default for each object; None for a value that all objects may hold.

    ``shared`` says that the class itself would give all objects the one value: what is known to change is then refused.

    Raises: ModelError for such a value, and for one that cannot be copied.

    Example: ``factory_of("Order.items: ", [], shared=False) is list``
    """
    if unchanging(value):
        return None
    kind = type(value).__name__
    if shared and _is_known_to_change(value):
        given = kind if value.__class__ in _EMPTY and not value else f"lambda: {kind}(...)"
        raise ModelError(f"{where}a {kind} as default would be shared by all objects: use default_factory={given}")
    if value.__class__ in _EMPTY and not value:
        return value.__class__
    try:
        copied = _copied(value)
    except Exception:  # noqa: BLE001 - a class may refuse in any way
        copied = U
    if copied is U:
        raise ModelError(f"{where}a {kind} as default cannot be copied for each object: use default_factory")
    return None if copied is value else Copies(value)


def constant_of(factory: Callable[[], Any]) -> Any:
    """The value that a default factory is known to make each time; `U` when only a call would tell.

    Example: ``constant_of(list) == []``
    """
    if isinstance(factory, Copies) or any(factory is empty for empty in _EMPTY):
        return factory()
    return U
