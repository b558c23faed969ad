"""What a loader is given of its database, as it sees it."""

from __future__ import annotations

from contextvars import Context
from typing import Any, Final, Protocol


class Asked(Protocol):
    """One get: what it may be read together with, and which item it is about."""

    @property
    def together(self) -> Any:
        """Equal of gets that one request may answer."""
        ...

    @property
    def item(self) -> Any:
        """Equal of gets of one item in one scope: a tuple of the model, the scope and the key."""
        ...


class Gets(Protocol):
    """Makes gets, and reads those that belong together."""

    def asked(self, model: Any, key: tuple[Any, ...], parts: dict[str, Any]) -> Any:
        """A get. Raises: ValidationError for its key."""
        ...

    def of(self, model: Any) -> Any:
        """How the ``item`` of each get of a model begins, in this scope."""
        ...

    def read(self, gets: list[Any]) -> Any:
        """The flow that gives the objects of gets that belong together, in their order."""
        ...

    def variables(self) -> Context:
        """The context variables in which gets are read."""
        ...

    def left(self) -> float | None:
        """Seconds until the deadline of who asks. Raises: DeadlineExceeded where it has passed."""
        ...


UNPICKLABLE_FOR: Final = "holds what it has read for one request of a program"
UNPICKLABLE_INSTEAD: Final = "make one with db.loader() where it is needed"
