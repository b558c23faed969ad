"""What an argument or a setting must be: seconds, a count, one of a few words, a text. It must not know who takes it.

Each function returns the value in its one form, or raises one error that names the argument, its limits and what was
given instead: a number or a type, never a text of the program's. Two arguments adapt the error to its place:

* ``subject`` stands in the message for the bare name: ``"composite(): shards"``.
* ``error`` is the class: ValidationError (its ``field`` is the name) for the argument of a verb, ConfigError for a
  setting, ModelError for a declaration.
"""

from __future__ import annotations

from datetime import timedelta
from math import inf
from typing import TYPE_CHECKING, Any, TypeGuard

import msgspec

from .errors import DynamORMError, UnknownSetting, ValidationError

_SHOWN = 1e15
"""Numbers below it are shown. Python refuses to write an int of thousands of digits, so a message must not try."""
_LONGEST = 1e300
"""An int beyond it may be too large for a float."""


def check_seconds(
    name: str,
    value: Any,
    low: float = 0.0,
    high: float = inf,
    *,
    positive: bool = False,
    subject: str | None = None,
    error: type[DynamORMError] = ValidationError,
) -> float:
    """A duration as float seconds: a number or a timedelta from ``low`` to ``high``, above 0 if ``positive``.

    Raises: ``error`` for anything else, a bool and NaN included.

    Example: ``check_seconds("duration", timedelta(minutes=1), 1.0, 86_400.0) == 60.0``
    """
    number = value.total_seconds() if isinstance(value, timedelta) else value
    if (isinstance(number, float) or is_whole(number)) and low <= number <= high and (number > 0 or not positive):
        return float(number) if number < _LONGEST else inf
    if positive:
        limits = "a positive number of seconds" + ("" if high == inf else f" up to {high:.12g}")
    else:
        limits = f"{low:.12g} or more seconds" if high == inf else f"{low:.12g} ... {high:.12g} seconds"
    raise _wrong(name, f"{subject or name} is {limits}, or a timedelta of that, not {_given(number)}", error)


def is_whole(value: Any) -> TypeGuard[int]:
    """Whether it is an int and no bool, which Python takes for one.

    Example: ``not is_whole(True)``
    """
    return isinstance(value, int) and not isinstance(value, bool)


def check_count(
    name: str,
    value: Any,
    low: int = 1,
    high: int | None = None,
    *,
    subject: str | None = None,
    error: type[DynamORMError] = ValidationError,
) -> int:
    """An int, not a bool, from ``low`` to ``high``.

    Raises: ``error`` for anything else.

    Example: ``check_count("segments", 4, 1, 1_000_000) == 4``
    """
    if (value.__class__ is int or is_whole(value)) and low <= value and (high is None or value <= high):
        whole: int = value
        return whole
    limits = f"of {low} or more" if high is None else f"in {low} ... {high}"
    raise _wrong(name, f"{subject or name} is a whole number {limits}, not {_given(value)}", error)


def check_choice(
    name: str,
    value: Any,
    known: tuple[Any, ...],
    *,
    subject: str | None = None,
    error: type[DynamORMError] = ValidationError,
) -> Any:
    """One of the words (True, False and None are words, too) that are ``known``.

    Raises: ``error`` for anything else, with the words that there are.

    Example: ``check_choice("on_unknown", "skip", ("raise", "skip")) == "skip"``
    """
    for word in known:
        if value is word or (isinstance(value, str) and value == word):  # 1 is not True here
            return word
    *others, last = (repr(word) for word in known if word is not None)
    given = "another text" if isinstance(value, str) else _given(value)
    raise _wrong(name, f"{subject or name} is {', '.join(others)} or {last}, not {given}", error)


def check_share(
    name: str,
    value: Any,
    *,
    may_be_all: bool = False,
    subject: str | None = None,
    error: type[DynamORMError] = ValidationError,
) -> float:
    """A share above 0 and below 1, or up to 1 if it ``may_be_all``.

    Raises: ``error`` for anything else, a percentage included.

    Example: ``check_share("share", 0.05) == 0.05``
    """
    if (isinstance(value, float) or is_whole(value)) and (0 < value < 1 or (may_be_all and value == 1)):
        return float(value)
    limits = "up to 1" if may_be_all else "below 1"
    raise _wrong(
        name,
        f"{subject or name} is a share above 0 and {limits}, such as 0.05 for 5 of 100, not {_given(value)}",
        error,
    )


def check_secret(
    name: str,
    value: Any,
    low: int,
    high: int,
    *,
    subject: str | None = None,
    error: type[DynamORMError] = ValidationError,
) -> bytes:
    """A secret of ``low`` to ``high`` bytes.

    Raises: ``error`` for anything else, which tells of the secret how many bytes it has.

    Example: ``check_secret("secret", token_bytes(16), 16, 64)``
    """
    if isinstance(value, bytes) and low <= len(value) <= high:
        return value
    given = f"{len(value)} bytes" if isinstance(value, bytes) else type_given(value)
    raise _wrong(
        name, f"{subject or name} is {low} to {high} random bytes (secrets.token_bytes({low})), not {given}", error
    )


def check_text(
    name: str,
    value: Any,
    high: int,
    *,
    subject: str | None = None,
    error: type[DynamORMError] = ValidationError,
) -> str:
    """A text of 1 to ``high`` characters.

    Raises: ``error`` for anything else.

    Example: ``check_text("consumer", "ledger", 256) == "ledger"``
    """
    if isinstance(value, str) and 0 < len(value) <= high:
        return value
    given = f"{len(value)} characters" if isinstance(value, str) else _given(value)
    raise _wrong(name, f"{subject or name} is a text of 1 to {high} characters, not {given}", error)


def nearest(given: Any, known: tuple[str, ...], cutoff: float = 0.6) -> str:
    """What to say of a name that is none of those that are known.

    Example: ``nearest("max_siz", ("max_size", "max_wait")) == "did you mean max_size?"``
    """
    from difflib import get_close_matches  # only for this message

    near = get_close_matches(given, known, n=1, cutoff=cutoff) if isinstance(given, str) else []
    return f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"


class Settings(type(msgspec.Struct)):  # type: ignore[misc] # the metaclass of msgspec's structs
    """Makes the classes of settings: what is no setting is refused with the nearest name that is one.

    Example: ``class PoolConfig(msgspec.Struct, frozen=True, metaclass=Settings): size: int = 5``
    """

    if not TYPE_CHECKING:  # a checker takes the arguments from the class

        def __call__(cls, *args: Any, **given: Any) -> Any:
            """Make settings. Raises: UnknownSetting for a name, or a number of arguments, that the class does not have."""
            problem = ""
            try:
                return super().__call__(*args, **given)
            except TypeError as error:
                problem = str(error)
            known = cls.__struct_fields__
            strange = next((name for name in given if name not in known), None)
            if strange is None:
                raise UnknownSetting(f"{cls.__name__}: {problem}; its settings are {', '.join(known)}")
            raise UnknownSetting(f"{strange} is not a setting of {cls.__name__}: {cls.instead_of(strange)}")

    def instead_of(cls, strange: str) -> str:
        """What to write in the place of a name that is no setting."""
        return nearest(strange, cls.__struct_fields__)


def check_takes(
    function: Any, arguments: tuple[str, ...], subject: str, *, error: type[DynamORMError] = ValidationError
) -> None:
    """Refuse a function that cannot be called with these arguments, in their order. What does not tell is let pass.

    Raises: ``error`` for one that needs more of them, or takes fewer.

    Example: ``check_takes(callback, ("alert",), "callback of set_cost_alert")``
    """
    from inspect import Parameter, signature  # takes a millisecond to import, and few programs give functions

    try:  # of what a decorator wraps nothing is asked: it may give further arguments
        found = signature(function, follow_wrapped=False)
    except (TypeError, ValueError):  # it is written in C
        return
    try:
        found.bind(*arguments)
    except TypeError:
        stars = {Parameter.VAR_POSITIONAL.name: "*", Parameter.VAR_KEYWORD.name: "**"}
        takes = ", ".join(stars.get(one.kind.name, "") + one.name for one in found.parameters.values())
        raise _wrong(
            "function", f"{subject} is called with ({', '.join(arguments)}), and takes ({takes})", error
        ) from None


def type_given(value: Any) -> str:
    """What stands in the place of something else, by its type alone; a coroutine is closed, for nobody awaits it.

    Example: ``type_given(3) == "int"``
    """
    if hasattr(value, "cr_code"):
        value.close()
    return "None" if value is None else type(value).__name__


def _given(value: Any) -> str:
    """What to say of a wrong value: a number that is not too long, else its type. A text may be a secret."""
    if value is None or isinstance(value, bool):
        return str(value)
    if not isinstance(value, (int, float)) or value != value:  # noqa: PLR0124 - NaN is no number to show
        return type(value).__name__ if not isinstance(value, float) else "NaN"
    return str(value) if -_SHOWN < value < _SHOWN else "a number far beyond that"


def _wrong(name: str, message: str, error: type[DynamORMError]) -> DynamORMError:
    return error(message, field=name) if issubclass(error, ValidationError) else error(message)
