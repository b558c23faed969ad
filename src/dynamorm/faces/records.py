"""`Records`, what idempotent operations are given of their database: one record each, and the transaction that it goes with.

It is the same on both faces. What is written into a record, and what its answers mean, is the operation's affair.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dynamorm.errors import ConditionFailed, TransactionCancelled
from dynamorm.features import records
from dynamorm.features.records import Answer
from dynamorm.ops.verbs.open_transaction import joined

from .following import in_scope
from .recorded import Recorded

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dynamorm.config.settings import Config
    from dynamorm.effects import Flow
    from dynamorm.session import Session


class Records:
    """The records of a database, in the scope of a view. ``model`` is the class that says in which table they are.

    The record belongs to the whole database, whatever the scope is; what is written with it is written within the scope.
    """

    def __init__(self, session: Session, model: type[Any]) -> None:
        self._session = session
        self._model = model

    def in_scope(self) -> Records:
        """The same for the scope that the caller is in. Raises: what refuses a view there, such as TenantMismatch."""
        session = in_scope(self._session)
        return self if session is self._session else Records(session, self._model)

    @property
    def scope(self) -> Mapping[str, str]:
        """The scope of the view; empty for the database itself."""
        return self._session.scope

    @property
    def config(self) -> Config:
        """The settings of the database."""
        return self._session.config

    @property
    def database(self) -> Any:
        """What stands for the database, whatever the view."""
        return self._session.root

    @property
    def tenant(self) -> str:
        """The tenant of the view; empty where it has none."""
        return self._session.scope.get("tenant", "")

    def monotonic(self) -> float:
        """Seconds since some time, by a clock that is never set."""
        return self._session.channel.clock.monotonic()

    def wall(self) -> float:
        """Seconds since 1970 by the clock of this machine, corrected as far as signatures need it."""
        return self._session.now().timestamp()

    def random_bytes(self, count: int) -> bytes:
        """Random bytes."""
        return self._session.random_bytes(count)

    def dice(self) -> float:
        """A random number from 0 to 1, for the delay before another look."""
        return self._session.channel.random()

    def send(self, key: str, change: Any) -> Flow[Answer]:
        """Send one change of a record."""
        plan = self._session.root.plan(self._model)
        return records.send(self._session, plan, key, change)

    def recorded(self) -> Recorded:
        """A block whose writes are kept, for `commit`. Raises: what refuses a view in the scope that the caller is in."""
        if self._session.scope:
            in_scope(self._session)
        return Recorded(self._session)

    def commit(self, key: str, change: Any, blocks: Sequence[Recorded]) -> Flow[Answer]:
        """Send all writes of the blocks and one change of the record as one transaction.

        A change that was refused gives an `Answer`; what else is refused raises, as a transaction does.
        """
        session = self._session
        write = records.write(session, session.root.plan(self._model), key, change)
        transaction = joined(session, [block.draft for block in blocks], write)
        try:
            return (yield from records.timed(session, session.verbs.open_transaction.commit(session, transaction)))
        except TransactionCancelled as error:
            why = error.reasons[-1]
            if why is not None and type(why.error) is ConditionFailed:
                return Answer(applied=False, item=why.error.item)
            raise
