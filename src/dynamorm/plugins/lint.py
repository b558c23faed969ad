"""For development: warns of scans, and of many single reads in the place of one batch, with the line that asked for them.

Each place in the program is told once. It walks the stack for each read, which is no thing to do in production.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from dynamorm.arguments import check_count, check_seconds, check_takes, type_given
from dynamorm.errors import ConfigError
from dynamorm.errors.log import close_coroutine, interrupts, logger

if TYPE_CHECKING:
    from types import FrameType

    from dynamorm.effects import Flow
    from dynamorm.plugin import Call, CallFlow, Operation, VerbFlow

__all__ = ["DevelopmentLint", "LintWarning"]

READS: Final = frozenset({"get", "require", "exists"})
"""The verbs that read one item by its key, which `db.batch_get` does for many. A query's ``exists`` has no key."""
MOST: Final = 1_000
"""Places whose reads are counted: the one that was met longest ago gives way."""

_OURS: Final = str(Path(__file__).resolve().parents[1])
_LIBRARY: Final = Path(os.__file__).parent
_BETWEEN: Final = (_OURS, *(str(_LIBRARY / name) for name in ("contextlib.py", "functools.py")), "<")
"""What may stand between a verb and the line that calls it."""
_LOOP: Final = str(_LIBRARY / "asyncio")
"""Below it is the line that runs the loop, which has called nothing."""

Place = tuple[str, int]
"""A file, and a line of it."""


class LintWarning(UserWarning):
    """What `DevelopmentLint` warns of. Example: ``warnings.filterwarnings("error", category=LintWarning)``."""


class DevelopmentLint:
    """Warns, with the file and the line of the caller, of what works in a test and is slow or costly in production.

    A scan reads, and pays for, all items of a table. ``many`` (10) reads of single items of one model in one place within
    ``within`` (1.0) seconds are the N+1 of a loop: `db.batch_get` asks for 100 in a request. Each place is told once, by
    `warnings` (`LintWarning`), or by ``tell(message, file, line)``. ``allow`` are parts of paths of files that may.

    Raises: ConfigError for numbers below 2, what is no time, and what is no part of a path.

    Example: ``db.use(DevelopmentLint(allow=("migrations/",)))``
    """

    name = "lint"

    def __init__(
        self,
        *,
        many: int = 10,
        within: float = 1.0,
        allow: Iterable[str] = (),
        tell: Callable[[str, str, int], object] | None = None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._many = check_count("many", many, 2, subject="many of DevelopmentLint", error=ConfigError)
        self._within = check_seconds(
            "within", within, positive=True, subject="within of DevelopmentLint", error=ConfigError
        )
        self._allow = _checked_parts(allow)
        if tell is not None and not callable(tell):
            raise ConfigError("tell of DevelopmentLint is a function of a message, a file and a line")
        if tell is not None:
            check_takes(tell, ("message", "file", "line"), "tell of DevelopmentLint", error=ConfigError)
        self._tell = _warn if tell is None else tell
        self._clock = clock
        self._told: set[tuple[str, Place]] = set()
        self._reads: dict[tuple[Place, Any], list[float]] = {}
        self._places: dict[int, Place | None] = {}  # of the verbs that are under way, by their id

    def operation(self, next: VerbFlow) -> VerbFlow:
        """Note where a verb was called, and count reads of single items."""

        def noted(operation: Operation) -> Flow[Any]:
            place = _caller(sys._getframe(1))  # noqa: SLF001 - there is no other way to the line of the caller
            if place is not None and operation.verb in READS and operation.key is not None:
                self._count(place, operation)
            self._places[id(operation)] = place
            try:
                return (yield from next(operation))
            finally:
                self._places.pop(id(operation), None)

        return noted

    def around(self, call: CallFlow) -> CallFlow:
        """Notice scans."""

        def noticed(op: Call) -> Flow[Any]:
            if op.name == "Scan" and op.operation is not None:
                self._scan(op, self._places.get(id(op.operation)))
            return call(op)

        return noticed

    def _scan(self, op: Call, place: Place | None) -> None:
        if place is not None:
            model = getattr(op.operation.model, "__name__", op.table) if op.operation is not None else op.table
            self._once(
                "scan",
                place,
                f"this scans the whole of {op.table}: every item is read and paid for. Ask for {model} by a key or an index"
                " (.where(...) on their fields), or count and export where it does not matter",
            )

    def _count(self, place: Place, operation: Operation) -> None:
        now = self._clock()
        spot = place, operation.model
        reads = self._reads.pop(spot, [])
        reads = [*(when for when in reads if now - when < self._within), now][-self._many :]
        self._reads[spot] = reads  # at the end of the order
        if len(self._reads) > MOST:
            self._reads.pop(next(iter(self._reads)), None)
        if len(reads) >= self._many:
            model = getattr(operation.model, "__name__", "item")
            self._once(
                "n+1",
                place,
                f"{len(reads)} times in {reads[-1] - reads[0]:.2g} s one {model} was read here by {operation.verb}(): read them at"
                f" once, db.batch_get({model}, keys), 100 of them in a request",
            )

    def _once(self, what: str, place: Place, message: str) -> None:
        if (what, place) in self._told or any(part in place[0] for part in self._allow):
            return
        self._told.add((what, place))
        try:
            close_coroutine(self._tell(message, *place))
        except LintWarning:  # the program asks for errors in the place of warnings
            raise
        except BaseException as error:
            if interrupts(error):
                raise
            logger.exception("tell of DevelopmentLint failed")


def _checked_parts(allow: Any) -> tuple[str, ...]:
    """The parts of paths. Raises: ConfigError."""
    parts: tuple[Any, ...] = tuple(allow) if isinstance(allow, (tuple, list, set, frozenset)) else (None,)
    if not all(isinstance(part, str) and part for part in parts):
        strange = next((part for part in parts if not isinstance(part, str)), allow)
        raise ConfigError(
            "allow of DevelopmentLint are parts of paths as texts: a tuple, allow=('migrations/',), not"
            f" {type_given(allow if strange is None else strange)}"
        )
    return parts


def _warn(message: str, file: str, line: int) -> None:
    warnings.warn_explicit(message, LintWarning, file, line)


def _caller(frame: FrameType | None) -> Place | None:
    """The nearest place outside the library; None where a task of its own runs the verb."""
    while frame is not None:
        file = frame.f_code.co_filename
        if not file.startswith(_BETWEEN):
            return None if file.startswith(_LOOP) else (file, frame.f_lineno)
        frame = frame.f_back
    return None
