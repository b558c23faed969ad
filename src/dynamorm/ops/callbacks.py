"""The functions that a program gives to be called: checked before the first request, not after it."""

from __future__ import annotations

from typing import Any

from dynamorm.arguments import check_takes
from dynamorm.errors import ValidationError


def check_progress(progress: Any, argument: str) -> None:
    """Refuse a ``progress`` that cannot be called. ``argument`` is what it takes, in words. Raises: ValidationError."""
    if not callable(progress):
        raise ValidationError(
            f"progress is a function that takes {argument}, not {type(progress).__name__}", field="progress"
        )
    check_takes(progress, ("done",), f"progress, which takes {argument},")
