"""`DB`, the blocking face: one line per method, each runs a flow. `AsyncDB` is its mirror.

The faces are the top of the house: everything they do is in `dynamorm.ops`.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Never, Self, TypeVar, overload

from .. import blocking  # its modules are loaded with their first use
from ..drivers.blocking_driver import open_driver
from ..face import wrong_block
from ..opening import add_plugins, open_session
from .shipped import Shipped

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Sequence
    from datetime import timedelta
    from decimal import Decimal
    from types import ModuleType, TracebackType

    from dynamorm.config.settings import Config
    from dynamorm.features.unique_repair import UniqueReport
    from dynamorm.models.expressions.path import Condition, Holds, Path

    from ...codec.keys import StoredKey
    from ..face_view import DryRun, Explain
    from ..opening import InProcessEngine
    from .lease import Lease
    from .query import Query
    from .tables import Tables

M = TypeVar("M")
N = TypeVar("N", int, "Decimal")


class DB(Shipped):
    """A DynamoDB database, for blocking code. Safe to share between threads; a forked child opens its own connections.

    ``DB()`` reads its settings from the environment (`Config.from_env`); ``DB(engine)`` is on a `dynamorm.engine.Engine`, in this process.
    Use it as a context manager, or call `close`.

    Raises: ConfigError for settings that are wrong or unsafe. No connection is made before the first call.

    Example::

        with DB(Presets.local_development()) as db:
            db.tables.ensure(Payment)
            db.create(Payment(id="p1", amount=5))
            db.get(Payment, "p1")
    """

    is_async: ClassVar[bool] = False
    """Whether its verbs are awaited."""

    def __init__(self, config: Config | InProcessEngine | None = None, *, extensions: tuple[Any, ...] = ()) -> None:
        self._session = session = open_session(config, extensions)
        self._io = open_driver(session)
        session.run = self._io.run
        add_plugins(self, extensions)

    @property
    def tables(self) -> Tables:
        """Create, check, describe and delete tables.

        Example: ``db.tables.ensure(Payment)``
        """
        return blocking.tables.Tables(self._session, self._io.run)

    def model(self, model: type[M], /) -> Query[M]:
        """Start a query on a model.

        Example: ``db.model(Payment).where(Payment.merchant == "m1").all()``
        """
        return blocking.query.Query(self._session, self._io.run, model)

    def get(
        self,
        model: type[M],
        /,
        *key: Any,
        consistent: bool = False,
        select: Sequence[str | Path[Any]] | None = None,
        **parts: Any,
    ) -> M | None:
        """Read one item. Returns the object, or None when there is none.

        The key is given in order, or by field names. ``consistent=True`` reads the latest state, at twice the cost.
        ``select`` names the attributes to fetch: the object is then a partial one, which holds these and the key, and
        cannot be saved.

        Raises: ValidationError for a key or selection that does not fit the model, or a stored item that does not.

        Example: ``db.get(Payment, "p1")`` or ``db.get(Order, customer="c1", number=7)``
        """
        session = self._session
        return self._io.run(session.verbs.items.get(session, model, key, parts, consistent=consistent, select=select))

    def require(
        self,
        model: type[M],
        /,
        *key: Any,
        consistent: bool = False,
        select: Sequence[str | Path[Any]] | None = None,
        **parts: Any,
    ) -> M:
        """Read one item that must exist; otherwise as `get`.

        Raises: NotFound when there is none.

        Example: ``db.require(Payment, "p1").amount``
        """
        session = self._session
        return self._io.run(
            session.verbs.items.require(session, model, key, parts, consistent=consistent, select=select)
        )

    def exists(self, model: type[Any], /, *key: Any, consistent: bool = False, **parts: Any) -> bool:
        """Whether an item of the model is stored under the key; a sibling's is none. Only its key is fetched.

        Example: ``db.exists(Payment, "p1")``
        """
        session = self._session
        return self._io.run(session.verbs.items.exists(session, model, key, parts, consistent=consistent))

    def create(self, obj: M, /, *more: Never, strict: bool | None = None, **named: Never) -> M:
        """Store a new item, exactly once even when replies are lost. Returns the object, now loaded.

        With ``strict`` it is sent as a transaction with a token, at twice the write units (None: as the model or the
        `Config` says). Without it, an AlreadyExists after a lost answer has the outcome UNKNOWN until ``settled_by``,
        for a copy of the request may come late, and find that the item was deleted meanwhile.

        Raises: AlreadyExists when there is an item under the key; ValidationError, before anything is sent, for a value
        that cannot be stored; OutcomeUnknown when the outcome could not be settled.

        Example: ``db.create(Payment(id="p1", amount=5))``
        """
        session = self._session
        return self._io.run(session.verbs.put.create(session, obj, *more, strict=strict, **named))

    @overload
    def put(self, obj: M, /, *, condition: Condition | None = ..., returning: None = ...) -> M: ...
    @overload
    def put(self, obj: M, /, *, condition: Condition | None = ..., returning: Literal["old"]) -> M | None: ...
    def put(
        self,
        obj: Any,
        /,
        *more: Any,
        condition: Condition | None = None,
        returning: Literal["old"] | None = None,
        **named: Any,
    ) -> Any:
        """Store an item, replacing whatever is there; the stored version is not checked.

        Attributes the model does not know are kept when the object was loaded. Without a condition the last writer
        wins, also when it is a late repetition of this very call: use `save` for a versioned model.
        ``returning="old"`` returns the item that was replaced (or None); such a call is never repeated.

        Raises: ConditionFailed when ``condition`` does not hold.

        Example: ``db.put(payment, condition=Payment.status == "pending")``
        """
        session = self._session
        return self._io.run(
            session.verbs.put.put(session, obj, *more, condition=condition, returning=returning, **named)
        )

    def save(self, obj: M, /) -> M:
        """Create a new object; write only what changed of a loaded one, under its version. Returns the object.

        Without a change nothing is sent.

        Raises: VersionConflict when somebody else wrote the item since it was loaded; MissingItem when it is gone;
        AlreadyExists when a new object's key is taken.

        Example: ``payment.note = "checked"; db.save(payment)``
        """
        session = self._session
        return self._io.run(session.verbs.save.save(session, obj))

    @overload
    def delete(
        self,
        subject: type[M],
        /,
        *key: Any,
        condition: Condition | None = ...,
        must_exist: bool = ...,
        returning: Literal["old"],
        **parts: Any,
    ) -> M | None: ...
    @overload
    def delete(
        self, subject: M, /, *, condition: Condition | None = ..., must_exist: bool = ..., returning: Literal["old"]
    ) -> M | None: ...
    @overload
    def delete(
        self,
        subject: object,
        /,
        *key: Any,
        condition: Condition | None = ...,
        must_exist: bool = ...,
        returning: None = ...,
        **parts: Any,
    ) -> None: ...
    def delete(
        self,
        subject: Any,
        /,
        *key: Any,
        condition: Condition | None = None,
        must_exist: bool = False,
        returning: Literal["old"] | None = None,
        **parts: Any,
    ) -> Any:
        """Remove one item: an object (its version is checked when it was loaded), or a model and a key.

        An item that is not there counts as deleted, unless ``must_exist``. ``returning="old"`` returns what was
        removed (or None); such a call is never repeated.

        Raises: VersionConflict when somebody else wrote the item since it was loaded; ConditionFailed; MissingItem
        with ``must_exist``.

        Example: ``db.delete(payment)`` or ``db.delete(Payment, "p1", condition=Payment.status == "void")``
        """
        session = self._session
        flow = session.verbs.delete.delete(
            session, subject, key, parts, condition=condition, must_exist=must_exist, returning=returning
        )
        return self._io.run(flow)

    def find_by_unique(self, model: type[M], /, **values: Any) -> M | None:
        """Read the one item with this value of a unique attribute, or None. Two consistent reads.

        A constraint of several attributes takes all of them.

        Raises: ValidationError when the model has no such unique constraint.

        Example: ``db.find_by_unique(Payment, idempotency_key="k1")``
        """
        session = self._session
        flow = session.verbs.unique_flows.find(session, model, values)
        values = {}  # this frame runs on, and is shown with an error
        return self._io.run(flow)

    def repair_unique(
        self,
        model: type[Any],
        /,
        *,
        apply: bool = False,
        formerly: str | Iterable[str] = (),
        progress: Callable[[int], None] | None = None,
    ) -> UniqueReport:
        """Compare a whole table with the guards of its unique attributes, and with ``apply`` mend what is wrong.

        Needed only after something was written past the library. ``progress`` is called with the number of items and
        guards looked at so far. It reads every item, consistently. The table may be in use: what is mended is mended only
        while item and guard are as they were read. ``formerly`` names the class that declares the attribute as it was called
        before, once or several times: guards under such a name are orphaned, for nobody asks for them any more.

        Example: ``db.repair_unique(Payment).faults``
        """
        session = self._session
        repair = session.verbs.unique_repair.repair
        return self._io.run(repair(session, model, apply=apply, formerly=formerly, progress=progress))

    def explain(self, operation: Callable[[Self], Any], /, *, values: bool = False) -> Explain:
        """What an operation would send: the requests, why they go where they go, and the capacity they take.

        ``operation`` is given a view of this database on which everything is checked and built, and nothing is sent.
        It ends at its first request (a batch: at all requests that do not depend on an answer). Values are shown as
        ``"?"`` unless ``values`` is true. A query has `explain` of its own.

        Raises: whatever the operation raises before it sends something.

        Example: ``print(db.explain(lambda db: db.update(payment, Payment.amount.add(5))))``
        """
        view = self._face_view()
        view.check_operation(operation)
        recorder = view.Recorder(self._session, reading=False, values=values)
        with suppress(view.Planned):
            operation(view.face_on(self, recorder, through=True))
        return view.Explain(tuple(recorder.requests))

    def dry_run(self, *, values: bool = False) -> DryRun[Self]:
        """A dry run: on the view it gives, reads are real, and writes are checked and written down but not sent.

        A write returns None there, and leaves its object as it is; `DryRun.requests` has what would have been sent.

        Example: ``with db.dry_run() as dry: dry.delete(Payment, "p1")``
        """
        view = self._face_view()
        return view.DryRun(self, view.Recorder(self._session, reading=True, values=values))

    @staticmethod
    def _face_view() -> ModuleType:
        from .. import face_view  # only explain and dry runs need it

        return face_view

    def lease(
        self,
        model: type[Any],
        name: str | StoredKey,
        /,
        sort: str = "LOCK",
        *,
        duration: float | timedelta = 30.0,
        wait: float | timedelta = 0.0,
    ) -> Lease:
        """The right to do something alone for ``duration`` seconds, under a name. Nothing is sent before it is acquired.

        The item has the form of the Go library's leases, so both can compete for one. ``model`` has the mixin
        `dynamorm.leases.LeaseRecord`. A stored key in the place of the name stands for the whole key. Acquiring waits up
        to ``wait`` seconds for one that is held.

        Raises: ModelError for a model without the mixin; LeaseHeld (when acquired) while somebody else has it.

        Example: ``with db.lease(Lock, "settlement", duration=60, wait=5) as lease: settle(lease)``
        """
        claim = self._session.verbs.lease.Claim(self._session, model, name, sort, duration=duration, wait=wait)
        return blocking.lease.Lease(self._session, self._io.run, claim)

    @overload
    def increment(  # type: ignore[overload-overlap] # a model is an object too; the last one is by the parts of its key
        self,
        obj: object,
        field: Holds[N | None],
        /,
        *,
        by: int | Decimal = ...,
        minimum: int | Decimal | None = ...,
        maximum: int | Decimal | None = ...,
        upsert: bool = ...,
    ) -> N: ...
    @overload
    def increment(
        self,
        model: type[Any],
        key: Hashable,
        field: Holds[N | None],
        /,
        *,
        by: int | Decimal = ...,
        minimum: int | Decimal | None = ...,
        maximum: int | Decimal | None = ...,
        upsert: bool = ...,
    ) -> N: ...
    @overload
    def increment(
        self,
        model: type[Any],
        partition: Hashable,
        sort: Hashable,
        field: Holds[N | None],
        /,
        *,
        by: int | Decimal = ...,
        minimum: int | Decimal | None = ...,
        maximum: int | Decimal | None = ...,
        upsert: bool = ...,
    ) -> N: ...
    @overload
    def increment(
        self,
        model: type[Any],
        field: Holds[N | None],
        /,
        *,
        by: int | Decimal = ...,
        minimum: int | Decimal | None = ...,
        maximum: int | Decimal | None = ...,
        upsert: bool = ...,
        **parts: Any,
    ) -> N: ...
    def increment(
        self,
        subject: Any,
        /,
        *key_and_field: Any,
        by: int | Decimal = 1,
        minimum: int | Decimal | None = None,
        maximum: int | Decimal | None = None,
        upsert: bool = False,
        **parts: Any,
    ) -> Any:
        """Add to a number, exactly once, and return it as this increment left it: no two calls get the same one.

        The subject is a loaded object (its version is checked), or a model followed by the key; the attribute stands
        last. A missing attribute counts as 0; a missing item only with ``upsert``. By key it costs a consistent read and
        a transaction, and is tried again while others change the number: for a number that hundreds write each second and
        nobody reads back, use `update` with ``add``.

        Raises: OutOfBounds, when nothing was changed, for a result past ``minimum`` or ``maximum``; MissingItem;
        VersionConflict; TransactionConflict when others changed it for a whole ``operation_timeout``.

        Example: ``left = db.increment(Stock, "sku-1", Stock.left, by=-1, minimum=0)``
        """
        session = self._session
        flow = session.verbs.increment.increment(
            session, subject, key_and_field, parts, by=by, minimum=minimum, maximum=maximum, upsert=upsert
        )
        return self._io.run(flow)

    def close(self) -> None:
        """Close the connections. A call after that raises. Of a view it closes nothing: the connections are its database's.

        Example: ``db.close()``, or use the DB as a context manager.
        """
        session = self._own
        if session.scope:
            return
        self._session.is_closed = True
        try:
            if session.life is not None:
                self._io.run(session.life.closed())
        finally:
            for driver in self._connected():
                driver.close()

    def __enter__(self) -> Self:
        session = self._own
        if session.life is not None and not session.scope:
            self._io.run(session.life.opened())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    if not TYPE_CHECKING:
        __aenter__ = __aexit__ = wrong_block("DB")

    def __repr__(self) -> str:
        return f"<DB {self._session.endpoint.host_header}>"
