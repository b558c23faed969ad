"""How a command ends: what becomes of each error, as one line and an exit code. It must not know commands."""

from __future__ import annotations

import re
from enum import IntEnum
from typing import Any, Final

from dynamorm.errors import (
    AccessDenied,
    ConfigError,
    ConnectFailed,
    CredentialsError,
    DeadlineExceeded,
    DynamORMError,
    InvalidUse,
    ModelError,
    NotFound,
    OutcomeUnknown,
    Retryable,
    TableNotFound,
    Throttled,
    Unavailable,
)


class Code(IntEnum):
    """The exit codes."""

    DONE = 0
    REFUSED = 1
    USAGE = 2
    NOT_FOUND = 3
    UNREACHABLE = 4
    RESUMABLE = 5
    INTERRUPTED = 130


class Stop(Exception):
    """Ends a command with this code. The message is one line that says what to do; an empty one says nothing."""

    def __init__(self, code: Code, message: str = "") -> None:
        super().__init__(message)
        self.code: Code = code
        self.message: str = message

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.code, self.message), self.__dict__


_REMEDIES: Final[tuple[tuple[type[Exception], Code, str], ...]] = (
    (
        TableNotFound,
        Code.NOT_FOUND,
        "`dynamorm tables list` shows the names; --region, --endpoint and --prefix say where",
    ),
    (NotFound, Code.NOT_FOUND, ""),
    (CredentialsError, Code.UNREACHABLE, "give --profile, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"),
    (ConfigError, Code.UNREACHABLE, ""),
    (ConnectFailed, Code.UNREACHABLE, "look at --endpoint and --region; `dynamorm doctor` looks at each step"),
    (AccessDenied, Code.REFUSED, "`dynamorm doctor` shows who asks, and what is allowed"),
    (Throttled, Code.REFUSED, "try again, slower"),
    (Unavailable, Code.UNREACHABLE, "`dynamorm doctor` looks at each step of the way"),
    (DeadlineExceeded, Code.UNREACHABLE, "`dynamorm doctor` looks at each step of the way"),
    (OutcomeUnknown, Code.REFUSED, "look at the item before you do it again"),
    (InvalidUse, Code.USAGE, ""),
    (ModelError, Code.REFUSED, ""),
)

_KEY_ID: Final = re.compile(r"\bA[A-Z]{2}A[A-Z0-9]{8,}([A-Z0-9]{4})\b")
"""The id of a key, of which the last four characters are shown."""

PASSING: Final = (Retryable, DeadlineExceeded, OutcomeUnknown)
"""What may go well a minute later, for a command that can go on where it stopped."""


def end_of(error: BaseException) -> Stop:
    """The end that an error makes. Of one that is none of the library's only its kind is told: its text may hold values."""
    if isinstance(error, Stop):
        return error
    if isinstance(error, KeyboardInterrupt):
        return Stop(Code.INTERRUPTED, "interrupted")
    if isinstance(error, DynamORMError):
        for kind, code, remedy in _REMEDIES:
            if isinstance(error, kind):
                return Stop(code, _line(error, remedy))
        return Stop(Code.REFUSED, _line(error, ""))
    if isinstance(error, OSError):
        where = f": {error.filename}" if error.filename else ""
        return Stop(Code.REFUSED, f"{error.strerror or type(error).__name__}{where}; look at the path and its rights")
    return Stop(Code.REFUSED, f"this should not happen ({type(error).__name__}); --debug shows where")


def _line(error: DynamORMError, remedy: str) -> str:
    text = _KEY_ID.sub(r"...\1", error.safe.partition(": ")[2] or error.code)
    return one_line(f"{text}; {remedy}" if remedy else text)


def one_line(text: str) -> str:
    """A text on one line, without characters that a terminal would act on."""
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())
