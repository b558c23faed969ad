"""`deadline`: one limit for everything that is done inside a ``with`` block, on both faces. It must not know DynamoDB."""

from __future__ import annotations

from contextvars import ContextVar, Token
from datetime import timedelta
from time import monotonic
from typing import Any, Final, Self

from .arguments import check_seconds

_end: Final[ContextVar[float | None]] = ContextVar("dynamorm deadline", default=None)

_LONGEST: Final = 1e9
"""Seconds, 31 years: the clocks of all platforms can still add them to the present."""


class _Use:
    """Whether a deadline was ever set in this process: until then no call looks for one."""

    ever = False


USE: Final = _Use()


class deadline:  # noqa: N801 - used as a function is, like contextlib.suppress
    """Bound every verb in the block, with all its requests and retries: ``with dynamorm.deadline(0.8): ...``.

    ``seconds`` is a float or a timedelta, counted from the beginning of the block. A deadline inside another one can
    only shorten it. It belongs to the thread or task that set it, and to the tasks started inside. What is begun after
    its end raises `DeadlineExceeded` and sends nothing; what is under way ends as by ``operation_timeout``: a write
    whose answer was lost raises `OutcomeUnknown`, never a bare time-out.

    Raises: ValidationError for a number of seconds that is not positive.

    Example::

        with dynamorm.deadline(0.8):
            payment = await db.require(Payment, "p1")
            await db.update(payment, Payment.amount.add(5))
    """

    __slots__ = ("_seconds", "_tokens")

    def __init__(self, seconds: float | timedelta) -> None:
        self._seconds: float = check_seconds("seconds", seconds, 0.0, _LONGEST, positive=True, subject="a deadline")
        self._tokens: list[Token[float | None]] = []

    @classmethod
    def from_lambda(cls, context: Any, margin: float | timedelta = 0.5) -> Self:
        """The time that AWS Lambda still gives this invocation, less ``margin`` seconds for what comes after.

        ``context`` is the second argument of the handler. With less than ``margin`` left, verbs send nothing and raise
        `DeadlineExceeded`.

        Raises: ValidationError for a margin that is no time.

        Source: https://docs.aws.amazon.com/lambda/latest/dg/python-context.html

        Example: ``with deadline.from_lambda(context): db.create(payment)``
        """
        return cls(max(context.get_remaining_time_in_millis() / 1000.0 - check_seconds("margin", margin), 1e-6))

    def __enter__(self) -> Self:
        """Begin to count."""
        end, outer = monotonic() + self._seconds, _end.get()
        self._tokens.append(_end.set(end if outer is None else min(end, outer)))
        USE.ever = True
        return self

    def __exit__(self, *_: object) -> None:
        """Return to the deadline around this one, if there is one."""
        _end.reset(self._tokens.pop())


def remaining() -> float | None:
    """Seconds until the innermost deadline of this thread or task ends, negative behind it; None without one."""
    end = _end.get()
    return None if end is None else end - monotonic()


def lift() -> None:
    """Let what is done from now on in this context have no deadline: for work that is put off, which outlives its caller."""
    _end.set(None)
