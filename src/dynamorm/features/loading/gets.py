"""What a loader is given of its database: whose item a get asks for, checked at once, and the flow that reads many together."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Context as Variables
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, NamedTuple

from dynamorm.codec.keys import StoredKey
from dynamorm.effects import Flow
from dynamorm.errors import DeadlineExceeded
from dynamorm.ops.calls.backoff import workers
from dynamorm.ops.reads.items import key_from_parts
from dynamorm.wire.acting import current_actor, keep
from dynamorm.wire.deadlines import USE, lift, remaining

if TYPE_CHECKING:
    from dynamorm.session import Session


class Asked(NamedTuple):
    """One get. ``together``: what is equal of gets that one request may answer: model, scope, and who acts. ``key`` is its JSON."""

    session: Session
    together: Any
    key: bytes

    @property
    def item(self) -> Any:
        """What is equal of gets of one item in one scope."""
        return (*self.together[:2], self.key)


class Gets:
    """Makes and reads the gets of a loader. ``session_of`` gives the session of the place in which it is asked, with its scope."""

    def __init__(self, session_of: Callable[[], Session], *, consistent: bool, concurrency: int) -> None:
        self._session_of = session_of
        self._consistent = consistent
        self._limit = workers(session_of(), concurrency)

    def asked(self, model: Any, key: tuple[Any, ...], parts: dict[str, Any]) -> Asked:
        """A get, by its key as `get` takes it. Raises: ValidationError for a key that does not fit the model."""
        session = self._session_of()
        plan = session.plan(model)
        raw = plan.codec.key_json(key_from_parts(plan, key, parts) if parts else key)
        scope = frozenset(session.scope.items())
        return Asked(session, (model, scope, current_actor()), raw)

    def of(self, model: Any) -> Any:
        """What is equal of all gets of a model, in this scope."""
        session = self._session_of()
        session.plan(model)
        return model, frozenset(session.scope.items())

    def read(self, gets: list[Asked]) -> Flow[list[Any]]:
        """The flow that reads gets that belong together, in their order; None where there is no item."""
        session, (model, *_), _ = gets[0]
        names = session.plan(model).codec.key_names
        keys = [StoredKey(get.key, names) for get in gets]
        flow: Flow[list[Any]] = session.verbs.batch.get(
            session, model, keys, consistent=self._consistent, concurrency=self._limit
        )
        return flow

    @staticmethod
    def variables() -> Variables:
        """The context variables of who asks, but for the deadline, which bounds its own waiting alone."""
        variables = copy_context()
        if USE.ever:
            variables.run(lift)
        variables.run(keep)
        return variables

    @staticmethod
    def left() -> float | None:
        """Seconds until the deadline of who asks; None without one. Raises: DeadlineExceeded where it has passed."""
        left = remaining() if USE.ever else None
        if left is not None and left <= 0:
            raise late()
        return left


def late() -> DeadlineExceeded:
    """The error of a get whose deadline has passed before it was answered."""
    return DeadlineExceeded("the deadline has passed before the loader had read the item")
