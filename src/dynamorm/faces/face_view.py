"""Views of a face: the same `DB` or `AsyncDB` over a session that writes down instead of sending.

A view shares the face's connections and plans; it must not know what the operations do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from types import TracebackType
from typing import Any, Generic, TypeVar

from dynamorm.ops.calls.explain import Explain, Planned, PlannedRequest, Recorder, stopping

from ..effects import Flow
from ..errors import ValidationError
from . import verbs

__all__ = ["DryRun", "Explain", "Planned", "Recorder", "Watched", "check_operation", "face_on"]

F = TypeVar("F")


class Watched:
    """Stands in for a face's driver. With ``through`` a stopped operation ends the caller's code too."""

    def __init__(self, run: Callable[[Flow[Any]], Any], *, through: bool) -> None:
        self._run = run
        self._through = through

    def run(self, flow: Flow[Any]) -> Any:
        """Drive a flow of a recording session; an awaitable of its result on the asyncio face."""
        return self._run(_ending(stopping(flow)) if self._through else stopping(flow))


def check_operation(operation: object) -> None:
    """Refuse what cannot be explained. Raises: ValidationError."""
    if not callable(operation):
        raise ValidationError(
            f"explain takes a function of the database, not {type(operation).__name__}: db.explain(lambda db: db.save(obj))"
        )


def _ending(flow: Flow[Any]) -> Flow[Any]:
    found = yield from flow
    if found is None:
        raise Planned
    return found


def face_on(face: F, recorder: Recorder, *, through: bool) -> F:
    """A view of a face on a recorder's session."""
    view: Any = copy(face)
    view._io = Watched(view._io.run, through=through)  # noqa: SLF001 - the view is made of the face's own parts
    session: Any = recorder.view()
    view._session = session  # noqa: SLF001 - as above
    flows: Any = verbs  # nothing is done, so plugins that look at verbs are told nothing
    if session.rules_may_read:
        from .surrounded import Surrounded  # only where plugins have rules

        flows = Surrounded(verbs, ())
    session.stand_in(flows)
    return view  # type: ignore[no-any-return] # a copy of the face


class DryRun(Generic[F]):
    """A dry run, made by `DB.dry_run`: ``with`` and ``async with`` give the view to work on. ``requests`` are the writes so far.

    Example::

        run = db.dry_run()
        with run as dry:
            dry.delete(Payment, "p1")
        print(*run.requests)
    """

    def __init__(self, face: F, recorder: Recorder) -> None:
        self._recorder = recorder
        self._view = face_on(face, recorder, through=False)

    @property
    def requests(self) -> Sequence[PlannedRequest]:
        """The writes that were asked for and not sent, in order."""
        return tuple(self._recorder.requests)

    def __enter__(self) -> F:
        return self._view

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Nothing is left to do: nothing was written."""

    async def __aenter__(self) -> F:
        return self._view

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """As on the blocking face."""
