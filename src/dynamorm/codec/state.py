"""Where an object keeps what is known of its stored item: in a slot of a Model, or through an `Access`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple, TypeAlias

from msgspec import Struct

from dynamorm.errors import ValidationError

Place: TypeAlias = tuple[str | int, ...]
"""Where a value stands in an item: stored names, the keys of maps, indexes of lists."""


class Holder(NamedTuple):
    """A nested object whose stored map has members that its class does not know: those, and where it stood."""

    obj: Any
    place: Place
    unknown: dict[str, Any]


class Held(bytes):
    """The JSON of a stored item, with what is held for the nested objects in it; see `dynamorm.codec.values.inner`.

    It is copied and pickled with its objects.
    """

    holders: tuple[Holder, ...]

    def __new__(cls, raw: bytes, holders: tuple[Holder, ...] = ()) -> Held:  # noqa: PYI034 - Self would be imported for it
        """The state of an item with these holders."""
        held = super().__new__(cls, raw)
        held.holders = holders
        return held


class Access(Struct, frozen=True):
    """How objects of a registered class that is no `Model` are made and keep their state.

    ``construct(cls, values)`` makes an object from a dict of field values, ``get_state(obj)`` returns the bytes that
    ``set_state(obj, raw)`` kept, or None. ``extras`` says that its objects hold values besides their fields.
    """

    construct: Callable[[Any, dict[str, Any]], Any]
    get_state: Callable[[Any], bytes | None]
    set_state: Callable[[Any, bytes | None], None]
    extras: bool = False


ACCESS: Final[dict[type, Access]] = {}
"""By registered class; `dynamorm.adapters` fills it."""


def has_slot(cls: type) -> bool:
    """Whether objects of the class keep their state in the slot ``__loaded__``, as every Model does."""
    return any("__loaded__" in vars(base).get("__slots__", ()) for base in cls.__mro__)


def construct_slots(cls: Any, values: dict[str, Any]) -> Any:
    """Make a Model from its field values, without its constructor. Raises: ValidationError for an abstract class."""
    if cls.__abstractmethods__:
        raise ValidationError(
            f"a stored item is of the class {cls.__name__}, which is abstract, so no object can be made of it: give each"
            " item a class that is not"
        )
    obj = object.__new__(cls)
    for name, value in values.items():
        setattr(obj, name, value)
    obj.__loaded__ = None  # last: until then nobody looks at what is set
    return obj


def _get_slot(obj: Any) -> bytes | None:
    state: bytes | None = getattr(obj, "__loaded__", None)
    return state


def _set_slot(obj: Any, raw: bytes | None) -> None:
    obj.__loaded__ = raw


SLOTS: Final = Access(construct_slots, _get_slot, _set_slot)
"""The access of a Model."""
