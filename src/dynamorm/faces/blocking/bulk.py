"""`Many`, the part of the blocking face that works on many items at once: batches, transactions, streams, PartiQL.

One line per method, each runs a flow; `DB` inherits them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from .. import blocking  # its modules are loaded with their first use
from ..face import Face

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime, timedelta

    from dynamorm.models.access_patterns import Asked
    from dynamorm.models.expressions.path import Path

    from ...ops.verbs.batch_result import BatchResult
    from .query import Query
    from .stream import StreamReader
    from .transaction import Transaction

M = TypeVar("M")


class Many(Face):
    """What `DB` does with many items at once."""

    def query(self, asked: Asked[M], /) -> Query[M]:
        """Start a query by an access pattern that a model declares. It can be filtered, limited and paged as any other.

        Raises: InvalidUse for what is no pattern with its arguments.

        Example: ``db.query(Order.open_orders("c1")).limit(20).page()``
        """
        return blocking.query.Query.by_pattern(self._session, self._io.run, asked)

    def transaction(self, *, token: str | None = None) -> Transaction:
        """A block whose writes are applied together at its end, or not at all: one TransactWriteItems, exactly once.

        Nothing is sent when the block raises, or holds no operation. Objects are brought up to date after the commit.
        ``token`` (1 to 36 characters) is for work that may be started twice: a second transaction with the same token,
        within ten minutes, is never applied; otherwise each transaction has a token of its own.

        Raises (at the end of the block): TransactionCancelled, with a reason for each operation that was refused;
        ValidationError, before anything is sent, for more than 100 operations, 4 MB, or two operations on one item;
        TransactionConflict, Throttled; OutcomeUnknown when the outcome could not be settled.

        Example::

            with db.transaction() as tx:
                tx.update(Account, "a1", Account.balance.add(-5), condition=Account.balance >= 5, label="debit")
                tx.update(Account, "a2", Account.balance.add(5), label="credit")
        """
        return blocking.transaction.Transaction(self._session, self._io.run, token)

    def transact_get(
        self,
        requests: Iterable[tuple[type[M], *tuple[Any, ...]]],
        /,
        *,
        select: Sequence[str | Path[Any]] | Mapping[type[Any], Sequence[str | Path[Any]]] | None = None,
    ) -> list[M | None]:
        """Read up to 100 items of any models as they were at one moment. Returns them in order, None where missing.

        Each request is a model followed by its key, or by a dict of its key fields. Costs twice what `get` costs with
        ``consistent=True``. ``select`` names the attributes to fetch, as `get` has it, or a mapping of models to such lists, where
        the items are of several models: one that is not in it is read whole.

        Raises: ValidationError for more than 100 items or a key that does not fit its model; TransactionConflict when
        other transactions kept an item busy.

        Example: ``db.transact_get([(Payment, "p1"), (Order, "c1", 7), (Order, {"customer": "c1", "number": 8})])``
        """
        session = self._session
        return self._io.run(session.verbs.transact_get.get(session, requests, select))

    def batch_get(
        self,
        model: type[M],
        keys: Iterable[Any],
        /,
        *,
        consistent: bool = False,
        concurrency: int = 4,
        select: Sequence[str | Path[Any]] | None = None,
        on_misfit: Literal["raise", "skip"] = "raise",
    ) -> list[M | None]:
        """Read any number of items. Returns them in the order of ``keys``, None where there is none.

        A key is a value, a tuple, or a dict by field names. A key that is given twice is asked for once, and each place
        gets an object of its own. Up to 100 keys make one request; ``concurrency`` requests are under way at once. Each
        item is read for itself: use `transact_get` for a picture of one moment. ``select`` names the attributes to fetch: the
        objects are then partial ones, as of `get`. With ``on_misfit="skip"`` there is None for an item that does not fit the
        model, too; without it the first one raises.

        Raises: ValidationError, before anything is sent, for a key that does not fit the model; Throttled when keys were
        left unread for a whole ``operation_timeout``: a missing answer is never taken for a missing item.

        Example: ``db.batch_get(Payment, ["p1", "p2"])`` or ``db.batch_get(Order, [("c1", 7), {"customer": "c1", "number": 8}])``
        """
        session = self._session
        get = session.verbs.batch.get
        return self._io.run(
            get(
                session, model, keys, consistent=consistent, concurrency=concurrency, select=select, on_misfit=on_misfit
            )
        )

    def batch_write(
        self,
        puts: Iterable[Any] = (),
        deletes: Iterable[Any] = (),
        *,
        concurrency: int = 4,
        keep: bool = True,
        progress: Callable[[int], Any] | None = None,
    ) -> BatchResult:
        """Store and delete any number of items of any models, and say what became of each.

        ``puts`` are objects, stored as by `put`; ``deletes`` are objects, or tuples of a model and its key. No versions
        are checked. Of two objects with one key the last wins, and both share its fate. Up to 25 items make one request,
        ``concurrency`` requests are under way at once. A delete by key of a class with siblings in its table is a request
        of its own, on condition that the item is of the class; a sibling's item is in ``failed``, with `MissingItem`.
        ``progress`` is called with the number of items dealt with so far.

        A list is checked as a whole before anything is sent. An iterator may be endless, for it is read as items are
        written; an object in it that cannot be stored is in ``failed``. ``keep=False`` only counts what was written, so
        that memory stays bounded.

        Raises: ValidationError, before anything is sent, for what cannot be stored, naming its place in the list, and for
        a key in both lists. What the service refuses, or leaves open, is in the result.

        Example: ``result = db.batch_write(puts=payments, deletes=[old, (Payment, "p1")]); assert result.ok``
        """
        session = self._session
        flow = session.verbs.batch.write(session, puts, deletes, concurrency=concurrency, keep=keep, progress=progress)
        return self._io.run(flow)

    def stream(
        self,
        model: type[M],
        /,
        *,
        checkpoint: type[Any] | None = None,
        start: Literal["earliest", "latest"] | datetime = "earliest",
        consumer: str | None = None,
        worker: str | None = None,
        arn: str | None = None,
        poll_interval: float | timedelta = 1.0,
        idle_timeout: float | timedelta | None = None,
        page_size: int = 1000,
        save_every: int = 100,
        lease: float | timedelta = 60.0,
        on_data_loss: Literal["raise", "continue"] = "raise",
        on_unknown: Literal["raise", "skip"] = "raise",
    ) -> StreamReader[M]:
        """Read the table's stream: every change of every item, in order for each item, at least once.

        Iterate over the reader, or give it a handler (`StreamReader.run`). A record counts as worked off when the next
        one is asked for; ``checkpoint``, a model with the fields of `dynamorm.streams.StreamCheckpoint`, remembers that
        in a table: after each page, every ``save_every`` records, and when the reader is closed. What was handed out and
        not remembered comes again. Without it every run begins at ``start``: ``"earliest"`` (up to 24 hours ago),
        ``"latest"``, or a datetime (taken to the minute). With it only the first run does.

        Workers of one ``consumer`` (default: the table's name) share a stream's shards: each shard is leased to one for
        ``lease`` seconds at a time. A ``worker`` that is named, and named anew after a crash, has its shards back at
        once. ``arn`` is for an older stream of the table (default: the latest). ``poll_interval`` is the wait when
        nothing came, ``idle_timeout`` ends reading when nothing came for so long (default: never). ``page_size`` is the
        number of records in memory, at most 1,000. Times are seconds or timedeltas.

        Of a class with a discriminator come the records of its own items and its subclasses'. A kind that no class of
        this program has is an error when ``old`` or ``new`` is asked for; ``on_unknown="skip"`` passes it over.

        Raises: StreamNotFound when the table has no stream; StreamDataLost when records were removed before they were
        read (``on_data_loss="continue"`` logs it and goes on); ValidationError, before anything is sent, for an option.

        Example::

            with db.stream(Payment, checkpoint=Checkpoint) as stream:
                for kind, old, new in stream:
                    ...
        """
        from ..stream_link import consumer_of  # only streams need it

        # One link per face; of two threads that come at once, one link is dropped before it was used.
        link = self.__dict__.get("_streams") or self.__dict__.setdefault(
            "_streams", blocking.stream.link_of(self._session)
        )
        made = consumer_of(
            self._session, link, model, checkpoint=checkpoint, start=start, consumer=consumer, worker=worker, arn=arn,
            poll_interval=poll_interval, idle_timeout=idle_timeout, page_size=page_size, save_every=save_every,
            lease=lease, on_data_loss=on_data_loss, on_unknown=on_unknown,
        )  # fmt: skip
        return blocking.stream.StreamReader(self._io.run, made)

    @overload
    def partiql(
        self,
        statement: str,
        /,
        *parameters: Any,
        model: type[M],
        consistent: bool = ...,
        limit: int | None = ...,
    ) -> list[M]: ...
    @overload
    def partiql(
        self,
        statement: str,
        /,
        *parameters: Any,
        model: None = ...,
        consistent: bool = ...,
        limit: int | None = ...,
    ) -> list[dict[str, Any]]: ...
    def partiql(
        self,
        statement: str,
        /,
        *parameters: Any,
        model: type[Any] | None = None,
        consistent: bool = False,
        limit: int | None = None,
    ) -> list[Any]:
        """Run a PartiQL statement. Returns all that a SELECT finds, as objects of ``model`` or as dicts; else nothing.

        Each ``?`` takes a parameter: values are bound by their type and are never part of the text. ``{table}`` stands for
        the table of ``model``. Pages are followed to the end, or to ``limit`` items; without a key in its WHERE a SELECT
        reads the whole table. INSERT, UPDATE and DELETE are applied exactly once, as a transaction of one statement; they
        check no versions and keep no library-owned attributes.

        Raises: ValidationError for a statement that cannot be, or ``model`` with anything but whole items;
        AlreadyExists, ConditionFailed, OutcomeUnknown.

        Example: ``db.partiql("SELECT * FROM {table} WHERE id = ?", "p1", model=Payment)``
        """
        session = self._session
        flow = session.verbs.partiql.execute(
            session, statement, parameters, model=model, consistent=consistent, limit=limit
        )
        return self._io.run(flow)

    def partiql_transaction(self, statements: Iterable[Any], /, *, token: str | None = None) -> list[Any]:
        """Run up to 100 PartiQL statements together, all or nothing, exactly once.

        Each is a tuple of a statement and its parameters. They either all write or all read: one item each, None where
        there is none. ``token`` is as in `transaction`.

        Raises: TransactionCancelled, ConditionFailed, ValidationError, OutcomeUnknown.

        Example: ``db.partiql_transaction([('DELETE FROM "payments" WHERE id = ?', "p1")])``
        """
        session = self._session
        return self._io.run(session.verbs.partiql.transaction(session, statements, token=token))
