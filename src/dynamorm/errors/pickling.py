"""Exceptions that survive pickle and copy, whatever arguments their classes take. It must not know which errors there are.

Python unpickles an exception by calling its class with ``args``. Where that fails, the process that waits for the error
of a worker waits for ever, so nothing that an error carries may keep it from arriving.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final, TypeVar

E = TypeVar("E", bound=BaseException)

_PLAIN: Final = frozenset({type(None), bool, int, float, str, Decimal, datetime, timedelta})
_DEEP: Final = (list, dict, tuple, set, BaseException)


def rebuild(cls: type[E], args: tuple[Any, ...], state: dict[str, Any]) -> E:
    """An exception again, without a call of its __init__."""
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(state)
    return error


def luggage(error: BaseException, stays: frozenset[str]) -> dict[str, Any]:
    """The attributes that a pickle takes along, None for those of ``stays`` and those that cannot be pickled.

    Bytes never travel: they are keys and items in their stored form.
    """
    state: dict[str, Any] = {}
    for name, value in error.__dict__.items():
        taken = None if name in stays else packed(value)
        if taken is not None or value is None or not hasattr(type(error), name):
            state[name] = taken
    return state


class _Kept:
    """Gives an item that travels with its error."""

    def __init__(self, item: Any) -> None:
        self._item = item

    def __call__(self) -> Any:
        return self._item


def kept(item: Callable[[], Any]) -> _Kept | None:
    """The item of an error that is pickled; None when there is none, or it cannot travel: the error still must."""
    try:
        found = item()
    except Exception:  # noqa: BLE001 - it does not fit the model, or a validator of the program refuses it
        return None
    return _Kept(found) if found is not None and _arrives(found) else None


def packed(value: Any) -> Any:
    """The value, or what is left of it when it cannot be pickled: None, and of an exception its text."""
    kind = type(value)
    if kind in _PLAIN:
        return value
    if kind is tuple or kind is list:
        return kind([packed(one) for one in value])
    if kind is dict:
        return {key: packed(one) for key, one in value.items()}
    if not isinstance(value, (bytes, bytearray, memoryview)) and _arrives(value):
        return value
    return RuntimeError(f"{kind.__qualname__}: {value}") if isinstance(value, BaseException) else None


def _arrives(value: Any) -> bool:
    """Whether it can be pickled and unpickled: many an exception fails only at the second."""
    import pickle

    try:
        pickle.loads(pickle.dumps(value))  # noqa: S301 - our own bytes, just made
    except Exception:  # noqa: BLE001 - a foreign __reduce__ may raise anything
        return False
    return True


def copied(error: E) -> E:
    """A shallow copy. It stays in this process, so nothing is left behind."""
    twin = rebuild(type(error), error.args, error.__dict__)
    if "__notes__" in error.__dict__:
        twin.__notes__ = list(error.__notes__)
    return _with_cause(twin, error)


def deep_copied(error: E, stays: frozenset[str], memo: dict[int, Any]) -> E:
    """A copy with copies of what it holds; what belongs to the library (``stays``) is shared."""
    from copy import deepcopy

    memo[id(error)] = twin = rebuild(type(error), error.args, {})
    for name, value in error.__dict__.items():
        deep = name not in stays and isinstance(value, _DEEP)
        twin.__dict__[name] = deepcopy(value, memo) if deep else value
    return _with_cause(twin, error)


def _with_cause(twin: E, error: E) -> E:
    twin.__cause__, twin.__context__ = error.__cause__, error.__context__
    twin.__suppress_context__ = error.__suppress_context__
    return twin
