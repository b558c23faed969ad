"""`Custom`, the figures of a program's own beside those of the database."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from inspect import iscoroutinefunction
from threading import RLock
from typing import Any

from dynamorm.arguments import check_takes, check_text, is_whole
from dynamorm.errors import ValidationError
from dynamorm.errors.log import close_coroutine, interrupts, logger

LONGEST_NAME = 200
"""Characters of a name: it becomes part of a page, and of the name of a series."""


class Custom(Mapping[str, float]):
    """Numbers by name: each is asked of a function, or is the fraction of what was recorded as a success.

    Example::

        custom = db.metrics().custom
        custom.define("queue_length", queue.qsize)
        custom.record("payment_success_rate", ok=True)
        custom["payment_success_rate"]  # 1.0
    """

    def __init__(self) -> None:
        self._functions: dict[str, Callable[[], Any]] = {}
        self._recorded: dict[str, tuple[int, int]] = {}  # how many, and how many of them were successes
        self._lock = RLock()

    def define(self, name: str, function: Callable[[], float] | Any = None) -> None:
        """Ask ``function`` for the number each time it is read; without one, it is the fraction that is recorded.

        Nothing recorded is 1.0. A name that is defined again is the new one.

        Raises: ValidationError for what is no name, and no function.

        Example: ``db.metrics().custom.define("queue_length", queue.qsize)``
        """
        name = _checked(name)
        if function is None:
            with self._lock:
                self._functions.pop(name, None)
                self._recorded.setdefault(name, (0, 0))
            return
        if iscoroutinefunction(function) or not callable(function):
            kind = "a coroutine function" if iscoroutinefunction(function) else type(function).__name__
            raise ValidationError(
                f"custom.define takes a plain function without arguments that gives a number, not {kind}",
                field="function",
            )
        check_takes(function, (), "the function of custom.define")
        with self._lock:
            self._recorded.pop(name, None)
            self._functions[name] = function

    def record(self, name: str, ok: bool) -> None:  # noqa: FBT001 - one word beside the name, as it is written
        """Take in one success, or one that was none, of the fraction ``name``.

        Raises: ValidationError for what is no bool, and for a number that is asked of a function.

        Example: ``db.metrics().custom.record("payment_success_rate", charge.succeeded)``
        """
        name = _checked(name)
        if not isinstance(ok, bool):
            raise ValidationError(f"custom.record takes True or False, not {type(ok).__name__}", field="ok")
        with self._lock:
            if name in self._functions:
                raise ValidationError(
                    "this number is asked of a function: define another name for what is recorded", field="name"
                )
            count, successes = self._recorded.get(name, (0, 0))
            self._recorded[name] = count + 1, successes + ok

    def __getitem__(self, name: str) -> float:
        function = self._functions.get(name)
        if function is not None:
            found = function()
            close_coroutine(found)
            if not isinstance(found, float) and not is_whole(found):
                raise ValidationError(
                    f"the function of the custom figure {name} gave no number but {type(found).__name__}", field=name
                )
            return found
        if name in self._recorded:
            count, successes = self._recorded[name]
            return successes / count if count else 1.0
        near = get_close_matches(str(name), [*self], 1)
        hint = f"did you mean {near[0]!r}?" if near else "custom.define(name, function) or custom.record(name, ok)"
        raise KeyError(f"no custom figure {name!r}: {hint}")

    def __iter__(self) -> Iterator[str]:
        return iter(sorted({*self._functions, *self._recorded}))

    def __len__(self) -> int:
        return len({*self._functions, *self._recorded})

    def __contains__(self, name: object) -> bool:
        return name in self._functions or name in self._recorded

    def numbers(self) -> dict[str, float | None]:
        """All of them; None for one whose function fails, which is logged.

        Example: ``db.metrics().custom.numbers()``
        """
        found: dict[str, float | None] = {}
        for name in self:
            try:
                found[name] = self[name]
            except BaseException as error:
                if interrupts(error):
                    raise
                logger.warning("the function of the custom figure %s failed", name, exc_info=error)
                found[name] = None
        return found

    def forked(self) -> None:
        """Start again in a child process."""
        self._lock = RLock()
        self._recorded = dict.fromkeys(self._recorded, (0, 0))

    def __repr__(self) -> str:
        return f"<Custom {', '.join(self)}>"


def _checked(name: Any) -> str:
    return check_text("name", name, LONGEST_NAME, subject="the name of a custom figure")
