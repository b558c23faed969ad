"""What generated code raises when a value does not fit; the codec turns it into a `ValidationError` with a field."""

from __future__ import annotations

from typing import Any, NoReturn


class Mismatch(Exception):
    """``value`` is not what was expected. ``found`` describes it without showing it."""

    def __init__(self, expected: str, value: Any, found: str | None = None, hint: str = "") -> None:
        super().__init__()
        self.expected = expected
        self.value = value
        self.found: str = type(value).__name__ if found is None else found
        self.hint = hint

    def __reduce__(self) -> tuple[Any, ...]:
        # The value may be protected, so it is not kept.
        return (Mismatch, (self.expected, None, self.found, self.hint), self.__dict__ | {"value": None})

    @property
    def text(self) -> str:
        """The sentence about the value, to follow the name of a field."""
        return f"must be {self.expected}, got {self.found}{self.hint}"


def misfit(expected: str, value: Any, found: str | None = None, hint: str = "") -> NoReturn:
    """Raise `Mismatch`; a function, so that an expression can do it."""
    raise Mismatch(expected, value, found, hint)
