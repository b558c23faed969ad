"""`BatchItems`, what a batcher is given of its database: items that are encoded now and sent later, by the library's own flows.

It is the same on both faces. When items are sent, and in which order, is the batcher's affair; how, and whether each was
written, is this one's.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from contextvars import Context as Variables
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, Any

from dynamorm.effects import Flow
from dynamorm.errors import ConfigError
from dynamorm.ops.verbs import batch_items, batch_record, batch_replay
from dynamorm.ops.verbs.batch_items import BatchItem
from dynamorm.ops.verbs.batch_proof import Proof
from dynamorm.ops.verbs.batch_record import Known
from dynamorm.ops.verbs.batch_write import MAX_BYTES
from dynamorm.ops.writes.write import LATEST
from dynamorm.wire.acting import keep
from dynamorm.wire.deadlines import USE, lift, remaining

if TYPE_CHECKING:
    from dynamorm.ops.context import Context
    from dynamorm.session import Session


class BatchItems:
    """Makes the items of a batcher, sends them, and settles those of a process that crashed.

    ``proven``: what is stored must tell by a token whose write it is, as a spool needs it, whose ``secret`` proves that it is
    its own. ``models`` are classes that are found by the name in a spool though no module of the program has them. ``database``
    says in a spool where its items belong.

    ``max_bytes`` is the size of a request. ``latest`` are the seconds for which a copy of a request may come late.
    """

    max_bytes: int = MAX_BYTES
    latest: float = LATEST.total_seconds()

    def __init__(self, session: Session, driver: Any = None) -> None:
        self._session = session
        self._driver = driver
        self._plans: dict[type, Any] = {}
        self.proven: bool = False
        self.database: str = ""
        self.secret: bytes = b""
        self.models: tuple[type[Any], ...] = ()

    @property
    def most(self) -> int:
        """How many requests may be under way at once: as many as there are connections."""
        return self._session.config.performance.max_connections

    def put(self, obj: Any) -> BatchItem:
        """The item of an object to store, as it is now. Raises: ValidationError, ModelError."""
        return self._meant(batch_items.put(self._session, self._plans, obj, proof=self._proof()))

    def delete(self, subject: Any, key: tuple[Any, ...], parts: Mapping[str, Any]) -> BatchItem:
        """The item of an object, or of a model and a key, to delete. Raises: ValidationError, ModelError."""
        return self._meant(batch_items.delete(self._session, subject, key, parts, proof=self._proof()))

    def _proof(self) -> Proof | None:
        return Proof(self.secret) if self.proven else None

    @staticmethod
    def _meant(item: BatchItem) -> BatchItem:
        """The item with the context variables of who adds it, but for the deadline, which does not bound the write."""
        item.variables = variables = copy_context()
        if USE.ever:
            variables.run(lift)
        variables.run(keep)
        return item

    @staticmethod
    def left() -> float | None:
        """Seconds until the caller's deadline; None without one."""
        return remaining() if USE.ever else None

    def send(self, items: Sequence[BatchItem]) -> Any:
        """The flow that sends items together, or one that has a verb of its own. Each is told its end by ``on_end``."""
        first = items[0]
        if first.verb:
            return batch_items.alone(self._session, first, self._verb(first))
        return self._session.verbs.batch_items.send(self._session, items)

    def _verb(self, item: BatchItem) -> Any:
        verbs = self._session.verbs

        def flow(context: Context) -> Any:
            session: Any = context
            if item.verb == "save":
                return verbs.save.save(session, item.copy)
            if item.verb == "put":
                return verbs.put.put(session, item.copy, condition=None, returning=None)
            subject, key = batch_items.target_of(item)
            return verbs.delete.delete(session, subject, key, {}, condition=None, must_exist=False, returning=None)

        return flow

    def check_open(self) -> None:
        """Refuse an item that nobody would send any more. Raises: ConfigError once the database was closed."""
        pool = getattr(self._driver, "pool", None)  # the driver of a dry run has none
        if pool is not None and pool.closed:
            raise ConfigError(
                "the database of this batcher was closed: nothing was added; close a batcher before its database"
            )

    def spooled(self, models: tuple[type[Any], ...]) -> None:
        """From now on a spool keeps the items. Raises: ConfigError where the account is not known that they belong to."""
        self.database = self._session.config.identity().lasting("a spool")
        self.proven, self.models = True, models

    @staticmethod
    def catch_up(item: BatchItem) -> None:
        """Let an item that is added now go on from what its object was brought up to since it was encoded."""
        batch_items.catch_up(item)

    def record(self, item: BatchItem) -> bytes:
        """What a spool keeps of an item."""
        return batch_record.record(item, self._session.scope, self.database)

    def known(self, data: bytes) -> Known:
        """What a record tells of its item without its model. Raises: IntegrityError."""
        return batch_record.known(data, self._session.scope)

    def check_home(self, known: Known) -> None:
        """Refuse an item of another database. Raises: ConfigError."""
        if known.database != self.database:
            raise ConfigError(
                f"the spool holds items for the database {known.database}, and this one is {self.database}: open the database of"
                " the process that wrote the spool (endpoint, Region, table_prefix and account), or give this one a spool_dir of its own"
            )

    def revive(self, data: bytes) -> Flow[BatchItem]:
        """The flow that gives the item of a record. Raises: IntegrityError, ConfigError, ValidationError; what rules raise."""
        return batch_record.revive(self._session, data, self._model)

    def _model(self, module: str, name: str) -> type[Any]:
        """A class by its name: nothing is imported, for what a file says must not decide what is run."""
        for model in self.models:
            if (model.__module__, model.__qualname__) == (module, name):
                return model
        found: Any = sys.modules.get(module)
        for part in name.split("."):
            found = getattr(found, part, None)
        if not isinstance(found, type):
            raise ConfigError(
                f"the spool holds items of {module}.{name}, which this program does not have: import its module before, or"
                " name the class in BatchConfig(spool_models=...)"
            )
        return found

    def replay(self, item: BatchItem, kin: Sequence[BatchItem]) -> Flow[None]:
        """Settle an item that a process had added before it crashed; ``kin`` are all those of its key, in their order.

        It is done by who had added it, whoever has opened the spool.
        """
        verb = self._verb(item) if item.verb else None
        flow = batch_replay.replay(self._session, Proof(self.secret), item, kin, verb)
        return flow if item.variables is None else _within(item.variables, flow)


def _within(variables: Variables, flow: Flow[None]) -> Flow[None]:
    """A flow whose steps find these context variables, whoever drives it."""
    step: Any = partial(flow.send, None)
    while True:
        try:
            effect = variables.run(step)
        except StopIteration:
            return
        try:
            step = partial(flow.send, (yield effect))
        except GeneratorExit:
            flow.close()
            raise
        except BaseException as error:  # noqa: BLE001 - it is the flow's
            step = partial(flow.throw, error)
