"""What of payments is written once for both faces: a generator that yields what a database gives, plain or to be awaited.

``found = yield db.get(Payment, "p1")`` is the object on either face. It must not know what the generators do.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Coroutine, Generator
from functools import wraps
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, Protocol, TypeAlias, TypeVar, overload

from dynamorm import schema_of
from dynamorm.errors import DynamORMError, Outcome, TokenUsed
from dynamorm.plugins.idempotency.as_called import Called, as_called

if TYPE_CHECKING:
    from typing_extensions import TypeVar as Defaulted

    from dynamorm import DB, AsyncDB

    D_co = Defaulted("D_co", bound="DB | AsyncDB", default="DB", covariant=True)
else:
    D_co = TypeVar("D_co", covariant=True)

P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)

Steps: TypeAlias = Generator[Any, Any, R]
"""A function in steps: it yields what a database gives, and is sent the result of that."""


class OfDatabase(Generic[D_co]):
    """What belongs to a database ``db`` of either face: ``Ledger[DB]`` gives results, ``Ledger[AsyncDB]`` what is awaited for them."""

    def __init__(self, db: D_co) -> None:
        self.db: Any = db


class Method(Protocol[P, R_co]):
    """A method of what belongs to a database, as type checkers see it: what it gives depends on the face."""

    @overload
    def __get__(self, instance: OfDatabase[DB], owner: Any, /) -> Callable[P, R_co]: ...
    @overload
    def __get__(self, instance: OfDatabase[AsyncDB], owner: Any, /) -> Callable[P, Coroutine[Any, Any, R_co]]: ...
    @overload
    def __get__(self, instance: None, owner: Any, /) -> Callable[..., Any]: ...


class Function(Protocol[P, R_co]):
    """A function whose first argument is a database, as type checkers see it."""

    @overload
    def __call__(self, db: DB, /, *args: P.args, **named: P.kwargs) -> R_co: ...
    @overload
    def __call__(self, db: AsyncDB, /, *args: P.args, **named: P.kwargs) -> Coroutine[Any, Any, R_co]: ...


def is_async(db: Any) -> bool:
    """Whether a database is of the asyncio face."""
    found: bool = db.is_async
    return found


def on_both(function: Callable[Concatenate[Any, P], Steps[R]]) -> Function[P, R]:
    """Let a function in steps be called: with a `DB` first it gives its result, else that is awaited."""

    @wraps(function)
    def call(db: Any, *args: P.args, **named: P.kwargs) -> Any:
        return driven(db, function(db, *args, **named))

    made: Any = call
    return made  # type: ignore[no-any-return]  # what it gives stands in the declared type


def method_on_both(function: Callable[Concatenate[Any, P], Steps[R]]) -> Method[P, R]:
    """Let a method in steps be called, of an object whose ``db`` is of either face."""

    @wraps(function)
    def call(self: Any, /, *args: P.args, **named: P.kwargs) -> Any:
        return driven(self.db, function(self, *args, **named))

    made: Any = call
    return made  # type: ignore[no-any-return]  # what it gives stands in the declared type


def driven(db: Any, steps: Steps[Any]) -> Any:
    """The result of steps; of an `AsyncDB` what is to be awaited for it, in the scope of this call, wherever that is done."""
    return Called(lambda: db.scope).run(_awaited, steps) if is_async(db) else _done(steps)


def _done(steps: Steps[Any]) -> Any:
    value = None
    while True:
        try:
            value = steps.send(value)
        except StopIteration as end:
            return end.value


async def _awaited(steps: Steps[Any]) -> Any:
    value: Any = None
    failed: BaseException | None = None
    while True:
        try:
            given = steps.send(value) if failed is None else steps.throw(failed)
        except StopIteration as end:
            return end.value
        value, failed = None, None
        if not isawaitable(given):
            value = given
            continue
        try:
            value = await given
        except BaseException as error:  # noqa: BLE001 - also a cancellation: the steps decide what becomes of it
            failed = error


def within(db: Any, block: Any, work: Callable[[Any], Steps[R]]) -> Steps[R]:
    """What ``with block as inner: work(inner)`` is, on either face; what ``work`` gives."""
    enter, leave = (block.__aenter__, block.__aexit__) if is_async(db) else (block.__enter__, block.__exit__)
    inner: Any = yield enter()
    try:
        result = yield from work(inner)
    except BaseException as error:
        yield leave(type(error), error, error.__traceback__)
        raise
    yield leave(None, None, None)
    return result


def transacted(db: Any, fill: Callable[[Any], None], *, token: str | None = None) -> Steps[None]:
    """Apply what ``fill(tx)`` writes in one transaction."""

    def filled(tx: Any) -> Steps[None]:
        fill(tx)
        yield from ()

    yield from within(db, db.transaction(token=token), filled)


def shown_as(db: Any, function: Callable[..., Any], call: Callable[..., Any]) -> Callable[..., Any]:
    """``call`` under the name of ``function``: of an `AsyncDB` a coroutine function, which frameworks know by that."""
    if not is_async(db):
        return wraps(function)(call)

    @as_called(function, lambda: db.scope)
    async def awaited(called: Called, *args: Any, **named: Any) -> Any:
        return await called.run(call, *args, **named)

    return awaited


class Pages:
    """The pages of a query one after the other, of either face: no cursor is made, which needs a key in production."""

    def __init__(self, db: Any, query: Any) -> None:
        self._is_async = is_async(db)
        self._pages: Any = query.pages()

    def next(self) -> Steps[Any]:
        """The next page; None behind the last."""
        if not self._is_async:
            return next(self._pages, None)
        try:
            return (yield self._pages.__anext__())
        except StopAsyncIteration:
            return None

    def close(self) -> Steps[None]:
        """Read no further."""
        yield self._pages.aclose() if self._is_async else self._pages.close()


class OneToken:
    """The token of all tries of one piece of work, whose transactions differ: at most one of them is applied.

    DynamoDB remembers the token of what it has applied, and not that of what it has refused. A copy of a refused try may still
    be under way, and be applied once its conditions have come true. So who says that nothing was applied spends the token first.
    """

    def __init__(self, db: Any) -> None:
        self._db = db
        self._text = secrets.token_hex(16)
        self._is_sent = False

    def transacted(self, fill: Callable[[Any], None]) -> Steps[bool]:
        """Apply what ``fill(tx)`` writes in one transaction; False where an earlier try was applied, that had counted as refused."""
        self._is_sent = True
        for is_last in (False, True):
            try:
                yield from transacted(self._db, fill, token=self._text)
            except TokenUsed as used:
                if used.applied is None:
                    used.outcome = Outcome.UNKNOWN
                if used.applied:
                    return False
                if used.applied is None or is_last:
                    raise
                self._text = secrets.token_hex(16)  # the former one was spent, and can do nothing any more
            else:
                break
        return True

    def spent(self, error: DynamORMError, model: type[Any], *key: Any) -> Steps[bool]:
        """Let no try be applied any more; whether one was. Where that cannot be found out, the outcome of ``error`` is UNKNOWN.

        ``model`` and ``key`` are of any item, which is looked at and not changed.
        """
        if not self._is_sent or error.outcome is not Outcome.NOT_APPLIED:
            return False
        partition: Any = getattr(model, _partition_of(model))

        def look(tx: Any) -> None:
            tx.check(model, *key, condition=partition.exists() | partition.not_exists())

        try:
            yield from transacted(self._db, look, token=self._text)
        except TokenUsed as used:
            if used.applied is None:
                error.outcome = Outcome.UNKNOWN
            return used.applied is True
        except DynamORMError:
            error.outcome = Outcome.UNKNOWN
        return False


def _partition_of(model: type[Any]) -> str:
    key = schema_of(model).key
    assert key is not None  # of a model with a table
    return key.partition
