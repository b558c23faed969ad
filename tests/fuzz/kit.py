"""What the targets of fuzzing are made of: the rule that holds for each of them, and how a breach of it is told.

The rule: whatever bytes come, a parser ends in a documented error or in a value. It raises nothing else, does not hang, takes
little memory, and no message of an error has a value of an item in it.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

from dynamorm.errors import DynamORMError

SECRET: Final = "kanarienvogel"
"""Stands in the values of items that seeds have. No message of an error may have it."""


class Target(NamedTuple):
    """Something that takes bytes from outside. ``run`` raises whatever breaks the rule; ``words`` are pieces of its language."""

    name: str
    seeds: Callable[[], list[bytes]]
    run: Callable[[bytes], None]
    words: tuple[bytes, ...] = ()


class Breach(AssertionError):
    """The rule was broken, without an exception of somebody else."""


class Ended(Exception):
    """An input ended in a documented error."""


@contextmanager
def documented(*also: type[BaseException]) -> Iterator[None]:
    """Let errors of the library pass, and those of ``also``, once they are looked at; end the block with them."""
    try:
        yield
    except (DynamORMError, *also) as error:
        look_at(error)
        raise Ended from None


def each(*calls: Callable[[], object]) -> None:
    """Make each call; each ends in a value or in a documented error. Raises: Ended where there was no value."""
    values = 0
    for call in calls:
        try:
            with documented():
                repr(call())
                values += 1
        except Ended:
            continue
    if not values:
        raise Ended


def look_at(error: BaseException) -> None:
    """Raises: Breach where what an error says has a value of an item in it."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:  # type: ignore[redundant-expr]  # a cause may be None
        seen.add(id(error))
        if SECRET in f"{error} {error!r}":
            raise Breach(f"{type(error).__name__} tells a value")
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)  # type: ignore[assignment]


def run(target: Target, data: bytes) -> bool:
    """Try one input; whether it ended in an error that is documented. Raises: whatever breaks the rule."""
    try:
        target.run(data)
    except Ended:
        return True
    return False


def kind_of(error: BaseException) -> str:
    """What two findings have in common: the exception, and the places in the library where it came from."""
    frames = [one for one in traceback.extract_tb(error.__traceback__) if "/dynamorm/" in one.filename]
    places = [f"{one.filename.rpartition('/dynamorm/')[2]}:{one.name}" for one in frames[-2:]]
    told = str(error)[:60] if isinstance(error, Breach) else ""
    return " ".join([type(error).__name__, *places, told]).strip()
