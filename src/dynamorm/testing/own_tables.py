"""The tables of a test database: each is made with the first request for its items. It must not know which engine there is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from dynamorm.effects import Flow
from dynamorm.errors import ClientError, ModelError, TableNotFound
from dynamorm.features.tables import lifecycle, look
from dynamorm.models.schema.schema import SCHEMAS, Schema
from dynamorm.ops.calls.op import ITEM_OPERATIONS, Op
from dynamorm.session import Session

PURPOSE: Final = "testing"
"""The purpose of the requests that make these tables: a `Recorder` leaves them out."""

_PATIENCE: Final = 60.0
"""Seconds for a table to become ready: a local engine takes less than one."""


class OwnTables:
    """A plugin of a test database. ``given`` are models whose tables get the indexes of all of them, as far as they share one.

    A table that the test has deleted, or has made itself, is its own affair.

    Example: ``DB(config, extensions=(OwnTables((Payment,)),))``
    """

    name = "the tables of a test database"

    def __init__(self, given: Iterable[type] = ()) -> None:
        self._given = tuple(given)
        self._looked_at: set[str] = set()
        self._session: Session | None = None

    def joined(self, db: Any) -> None:
        """Make the tables of this database."""
        self._session = db._own  # noqa: SLF001 - as the database itself makes them

    def around(self, call: Callable[[Op], Flow[Any]]) -> Callable[[Op], Flow[Any]]:
        """Make what is missing before a request for items."""

        def making(op: Op) -> Flow[Any]:
            if op.table not in self._looked_at and op.purpose != PURPOSE:
                yield from self._make(op)
            return (yield from call(op))

        return making

    def _make(self, op: Op) -> Flow[None]:
        session = self._session
        if session is None:  # another plugin asks something while it joins
            return
        names = {table for table, _ in session.models} if op.table == "-" else set(op.table.split(", "))
        if op.name in ITEM_OPERATIONS:
            for name in sorted(names - self._looked_at):
                schemas = [schema for table, schema in _used(session) if table == name]
                if schemas:
                    yield from _present(session, name, self._sharing(schemas[0]))
                    self._looked_at.add(name)
        elif op.name == "CreateTable":
            self._looked_at |= names

    def _sharing(self, first: Schema) -> list[type]:
        """The models that are in one table with this one: those given, and those of its own module."""
        home = first.model.__module__
        known = {schema.name: schema for schema in SCHEMAS.values() if schema.model.__module__ == home}
        others = [SCHEMAS[model] for model in self._given if model in SCHEMAS] + list(known.values())
        same = [schema.model for schema in others if schema.table == first.table and schema.key is not None]
        return list(dict.fromkeys((first.model, *same)))


def _used(session: Session) -> Iterator[tuple[str, Schema]]:
    return ((table, SCHEMAS[model]) for table, model in session.models)


def _present(session: Session, name: str, models: list[type]) -> Flow[None]:
    """Make a table that is not there."""
    quiet = session.unbound().view(_quietly(session.call))  # a table is nobody's: no scope has to be said
    try:
        yield from look.look(quiet, name)
    except TableNotFound:
        yield from _made(quiet, name, models)


def _made(quiet: Session, name: str, models: list[type]) -> Flow[None]:
    try:
        yield from lifecycle.create(quiet, models, None, _PATIENCE, skip_unavailable=True)
    except ModelError:  # classes of one module may contradict each other, as those of several tests do
        if len(models) == 1:
            raise
        yield from lifecycle.create(quiet, models[:1], None, _PATIENCE, skip_unavailable=True)
    except ClientError as error:
        if error.code != "ResourceInUseException":
            raise
        yield from look.wait_active(quiet, name, look.Patience(quiet, _PATIENCE))  # made by another thread


def _quietly(call: Callable[[Op], Flow[Any]]) -> Callable[[Op], Flow[Any]]:
    """The same call for requests of this module alone."""

    def quiet(op: Op) -> Flow[Any]:
        op.purpose = PURPOSE
        return call(op)

    return quiet
