"""Whether a write may still be applied, or applied once more, behind its answer.

An attempt that was sent and not answered may arrive later. What becomes of it then is nobody's to say, so that what it
touches is not cached until it cannot arrive any more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from dynamorm.effects import Acquire, Call, Send, Sleep, relayed
from dynamorm.errors import DynamORMError, Outcome
from dynamorm.plugin import LATEST_COPY

if TYPE_CHECKING:
    from dynamorm.effects import Flow

LATE: Final = LATEST_COPY
"""It is the time of `DynamORMError.settled_by`, counted anew."""

_WAITING: Final = frozenset({Sleep, Call, Acquire})
"""What is done before an attempt, and makes none."""


class Doubt:
    """``sent``: an attempt was made. ``lost``: one was sent, and its answer was none, or none to be believed."""

    __slots__ = ("lost", "sent")

    def __init__(self) -> None:
        self.lost: bool = False
        self.sent: bool = False

    def seconds(self, error: BaseException | None, *, bound: bool) -> float:
        """How long nothing may be kept of what the write has touched.

        ``bound``: a copy that comes late is refused by its condition, or is known by its token.
        """
        if error is not None:
            outcome = getattr(error, "outcome", None)
            if outcome is Outcome.UNKNOWN:
                return LATE
            if isinstance(error, DynamORMError) and outcome is Outcome.NOT_APPLIED:
                return 0.0  # was not, and will not be
        return LATE if self.lost and not bound else 0.0


def watched(flow: Flow[Any], doubt: Doubt) -> Flow[Any]:
    """The flow of a call, with a look at what became of its attempts."""
    answered = False

    def look(effect: Any) -> Flow[Any]:
        nonlocal answered
        if effect.__class__ is not Send:
            doubt.sent |= effect.__class__ not in _WAITING  # whatever it is, attempts may be made in it
            return (yield effect)
        doubt.sent = True
        if answered:
            doubt.lost = True  # a good answer was not believed, or the request is sent again
        try:
            answer = yield effect
        except GeneratorExit:
            raise
        except BaseException as error:
            doubt.lost |= getattr(error, "sent", True)
            raise
        doubt.lost |= answer.status >= 500
        answered = answer.status == 200
        return answer

    return relayed(flow, look)
