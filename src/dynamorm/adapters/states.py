"""Where objects of registered classes keep what is known of their stored item, and how they are made from stored values.

The state lives in the object's ``__dict__`` where there is one, so that it goes where the object goes (a copy, a
pickle); else beside it, by weak reference.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any, Final

from dynamorm.codec.state import Access
from dynamorm.codec.types.extras import fill
from dynamorm.errors import DynamORMError, ModelError, ValidationError

_KEY: Final = "__dynamorm_loaded__"


def access_for(
    cls: type, construct: Callable[[Any, dict[str, Any]], Any], stored_names: frozenset[str] | None = None
) -> Access:
    """The access of a class, by what its objects have room for.

    ``stored_names`` are the stored names of a class whose objects hold extra values besides its fields.

    Raises: ModelError when they have neither a ``__dict__`` nor weak references.

    Example: ``ACCESS[Order] = access_for(Order, make_order)``
    """
    careful = _explained(construct)
    if stored_names is not None:
        return Access(careful, _get_from_dict, _filling(stored_names), extras=True)
    if cls.__dictoffset__:
        return Access(careful, _get_from_dict, _set_in_dict)
    if cls.__weakrefoffset__:
        states = WeakStates()
        return Access(careful, states.get, states.set)
    raise ModelError(
        f"{cls.__name__} has no room for what is known of its stored item: give a dataclass weakref_slot=True (or leave"
        " slots=True out), a msgspec Struct dict=True or weakref=True"
    )


def _explained(construct: Callable[[Any, dict[str, Any]], Any]) -> Callable[[Any, dict[str, Any]], Any]:
    """Turn what a class's own constructor raises into one typed error; without its text, which may hold values."""

    def make(cls: Any, values: dict[str, Any]) -> Any:
        failed = ""
        try:
            return construct(cls, values)
        except DynamORMError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a user's constructor raises
            failed = type(error).__name__
        raise ValidationError(f"{cls.__name__} refused the stored item: its constructor raised {failed}")

    return make


def _get_from_dict(obj: Any) -> bytes | None:
    state: bytes | None = obj.__dict__.get(_KEY)
    return state


def _set_in_dict(obj: Any, raw: bytes | None) -> None:
    if raw is None:
        obj.__dict__.pop(_KEY, None)
    else:
        obj.__dict__[_KEY] = raw


def _filling(stored_names: frozenset[str]) -> Callable[[Any, bytes | None], None]:
    """As `_set_in_dict`; what is known of the stored item tells the extra values too."""

    def set_state(obj: Any, raw: bytes | None) -> None:
        _set_in_dict(obj, raw)
        if raw is not None:
            fill(obj, raw, stored_names)

    return set_state


class WeakStates:
    """States by the identity of their objects, which need not be hashable; each ends with its object.

    Example: ``states = WeakStates(); states.set(order, raw)``
    """

    def __init__(self) -> None:
        self._states: dict[int, tuple[weakref.ref[Any], bytes]] = {}

    def get(self, obj: Any) -> bytes | None:
        """The state of an object, or None."""
        entry = self._states.get(id(obj))
        # Between an object's end and its callback, another may have taken its address.
        return entry[1] if entry is not None and entry[0]() is obj else None

    def set(self, obj: Any, raw: bytes | None) -> None:
        """Keep the state of an object; None forgets it."""
        number = id(obj)
        if raw is None:
            self._states.pop(number, None)
            return
        states = self._states

        def forget(reference: weakref.ref[Any]) -> None:
            entry = states.get(number)
            if entry is not None and entry[0] is reference:
                del states[number]

        states[number] = (weakref.ref(obj, forget), raw)

    def __len__(self) -> int:
        return len(self._states)
