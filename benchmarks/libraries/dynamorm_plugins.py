"""DynamORM's blocking face with one plugin that does next to nothing: what the hook itself costs."""

from __future__ import annotations

from benchmarks.libraries.dynamorm_models import settings
from benchmarks.libraries.dynamorm_sync import DynamORM

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dynamorm.effects import Flow, Reply
    from dynamorm.plugin import Call, CallFlow


class Observing:
    """Counts the replies, as a plugin for metrics does."""

    name = "counts-replies"

    def __init__(self) -> None:
        self.count = 0

    def observe(self, operation: Call, reply: Reply, /) -> None:  # noqa: ARG002 - what every observer is given
        """One more."""
        self.count += 1


class Around:
    """Counts the calls and passes them on."""

    name = "passes-on"

    def __init__(self) -> None:
        self.count = 0

    def around(self, call: CallFlow, /) -> CallFlow:
        """The call with ours around it."""

        def passed(operation: Call) -> Flow[object]:
            self.count += 1
            return (yield from call(operation))

        return passed


class Plugged(DynamORM):
    """DynamORM with these extensions."""

    def __init__(self, endpoint: str, extensions: tuple[object, ...]) -> None:
        super().__init__(endpoint)
        from dynamorm import DB

        self.db.close()
        self.extensions = extensions
        self.db = DB(settings(endpoint), extensions=extensions)


def observed(endpoint: str) -> Plugged:
    """With a plugin that only observes."""
    return Plugged(endpoint, (Observing(),))


def surrounded(endpoint: str) -> Plugged:
    """With a plugin around each call."""
    return Plugged(endpoint, (Around(),))
