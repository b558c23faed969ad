"""`deadline`: one limit for everything that is done inside a ``with`` block, on both faces. It must not know DynamoDB."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from datetime import timedelta
from sys import _getframe
from time import monotonic
from types import FrameType
from typing import Any, Final, ParamSpec, Self, TypeVar

from dynamorm.arguments import check_seconds
from dynamorm.errors import InvalidUse

from .bounded import bounded

P = ParamSpec("P")
R = TypeVar("R")

_LONGEST: Final = 1e9
"""Seconds, 31 years: the clocks of all platforms can still add them to the present."""


class _Block:
    """One block that has been entered. It is over for everybody at once, whichever context it is left in.

    For a generator may be closed in another one, and two of them may be left in another order than they were entered.
    ``by`` is who entered it, and alone leaves it, for one object may be entered by many at once: the frame of a ``with``
    statement, or a stack of contextlib.
    """

    __slots__ = ("by", "end", "is_over", "of", "outer")

    def __init__(self, of: deadline, end: float, outer: _Block | None, by: Any) -> None:
        self.of: deadline = of
        self.end: float = end
        self.outer: _Block | None = outer
        self.by: Any = by
        self.is_over: bool = False


_block: Final[ContextVar[_Block | None]] = ContextVar("dynamorm deadline", default=None)
"""The innermost block of this thread or task; those that are over are passed by."""


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

    As a decorator of a function or a coroutine function it bounds each call of it; ``async with`` is the same as ``with``.
    One that is made and neither entered nor given a function bounds nothing, and warns (`RuntimeWarning`).

    Raises: ValidationError for a number of seconds that is not positive.

    Example::

        with dynamorm.deadline(0.8):
            payment = await db.require(Payment, "p1")
            await db.update(payment, Payment.amount.add(5))
    """

    __slots__ = ("_blocks", "_is_used", "_seconds")

    def __init__(self, seconds: float | timedelta) -> None:
        self._seconds: float = check_seconds("seconds", seconds, 0.0, _LONGEST, positive=True, subject="a deadline")
        self._blocks: list[_Block] = []
        self._is_used = False

    @classmethod
    def from_lambda(cls, context: Any, margin: float | timedelta = 0.5) -> Self:
        """The time that AWS Lambda still gives this invocation, less ``margin`` seconds for what comes after.

        ``context`` is the second argument of the handler. With less than ``margin`` left, verbs send nothing and raise
        `DeadlineExceeded`.

        Raises: ValidationError for a margin that is no time; InvalidUse for what is no context of Lambda.

        Source: https://docs.aws.amazon.com/lambda/latest/dg/python-context.html

        Example: ``with deadline.from_lambda(context): db.create(payment)``
        """
        margin = check_seconds("margin", margin)
        try:
            left = context.get_remaining_time_in_millis() / 1000.0
        except (AttributeError, TypeError):
            raise InvalidUse(
                "deadline.from_lambda takes the context of the invocation, the second argument of the handler, not"
                f" {type(context).__name__}: def handler(event, context)"
            ) from None
        return cls(max(left - margin, 1e-6))

    def __enter__(self) -> Self:
        """Begin to count."""
        self._enter(_getframe(1))
        return self

    def __exit__(self, *_: object) -> None:
        """Return to the deadline around this one, if there is one.

        Raises: InvalidUse where it was entered several times by hand, and nothing says which of them ends.
        """
        self._leave(_getframe(1))

    def __aenter__(self) -> Coroutine[Any, Any, Self]:
        """As `__enter__`: nothing is waited for."""
        self._enter(_getframe(1))
        return _done(self)

    def __aexit__(self, *_: object) -> Coroutine[Any, Any, None]:
        """As `__exit__`."""
        self._leave(_getframe(1))
        return _done(None)

    def _enter(self, frame: FrameType) -> None:
        block = _Block(self, monotonic() + self._seconds, _innermost(), _stack_of(frame) or frame)
        self._blocks.append(block)
        self._is_used = True
        _block.set(block)
        USE.ever = True

    def _leave(self, frame: FrameType) -> None:
        block, here = self._entered(frame), _innermost()
        block.is_over = True
        block.by = None  # tasks may keep the block, and are not to keep the frame with it
        self._blocks.remove(block)
        if block is here:
            _block.set(_innermost())

    def _entered(self, frame: FrameType) -> _Block:
        """The block that this ``with`` statement or this stack has entered; where it was done by hand, the only one there is."""
        by = _stack_of(frame) or frame
        blocks = tuple(self._blocks)
        for block in reversed(blocks):
            if block.by is by:
                return block
        if by is not frame:  # a stack that has taken over what another one entered
            blocks = tuple(block for block in blocks if not isinstance(block.by, FrameType))
        if len(blocks) == 1:
            return blocks[0]
        raise InvalidUse(
            "this deadline was entered several times, and left where it was not entered, so that nobody knows which of its blocks"
            " ends: enter it by `with`, or make one for each, stack.enter_context(deadline(seconds))"
        )

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """The function, each call of which is bounded; its seconds begin with the call.

        What a call gives to be awaited is bounded, too, from the call on.

        Raises: InvalidUse for what is no function, and for a generator, which runs when it is read; in the call, where it
        gives a generator, or what else is awaited than a coroutine, such as a task, which runs by itself.
        """
        made = bounded(function, self._seconds, deadline)
        self._is_used = True
        return made

    def __del__(self) -> None:
        if not getattr(self, "_is_used", True):  # without it the arguments were refused
            import warnings  # a mistake pays for it

            warnings.warn(
                "a deadline was made and never entered, so that it bounds nothing: with deadline(seconds): ...",
                RuntimeWarning,
                stacklevel=2,
            )


def _stack_of(frame: FrameType) -> Any:
    """The stack of contextlib whose method this frame is: it enters and leaves for somebody else."""
    return frame.f_locals.get("self") if frame.f_globals.get("__name__") == "contextlib" else None


async def _done(value: R) -> R:
    return value


def _innermost() -> _Block | None:
    """The innermost block that is not over."""
    block = _block.get()
    while block is not None and block.is_over:
        block = block.outer
    return block


def remaining() -> float | None:
    """Seconds until the nearest deadline of this thread or task ends, negative behind it; None without one."""
    block = _innermost()
    if block is None:
        return None
    end, outer = block.end, block.outer
    while outer is not None:
        if outer.end < end and not outer.is_over:
            end = outer.end
        outer = outer.outer
    return end - monotonic()


def lift() -> None:
    """Let what is done from now on in this context have no deadline: for work that is put off, which outlives its caller."""
    _block.set(None)
