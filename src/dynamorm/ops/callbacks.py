"""The functions that a program gives to be called: checked before the first request, not after it."""

from __future__ import annotations

from collections.abc import Callable
from inspect import iscoroutinefunction
from typing import Any

from dynamorm.arguments import check_takes
from dynamorm.errors import ValidationError
from dynamorm.errors.log import close_coroutine, logger


def check_progress(progress: Any, argument: str) -> None:
    """Refuse a ``progress`` that cannot be called, or would have to be awaited. ``argument`` is what it takes, in words. Raises: ValidationError."""
    if not callable(progress):
        raise ValidationError(
            f"progress is a function that takes {argument}, not {type(progress).__name__}", field="progress"
        )
    if iscoroutinefunction(progress):
        raise ValidationError(
            f"progress is a plain function that takes {argument}: nobody awaits a coroutine", field="progress"
        )
    check_takes(progress, ("done",), f"progress, which takes {argument},")


def told(progress: Callable[[Any], Any], what: Any) -> None:
    """Call a ``progress``. What it raises ends the verb that it is told of; that it gives a coroutine is said in the log."""
    if close_coroutine(progress(what)):
        logger.error("progress gave a coroutine, which nobody awaits: give a plain function")
