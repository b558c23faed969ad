"""FastAPI: one database for the application, given to what asks for it, and answers for the errors of the library.

Example::

    from fastapi import FastAPI

    from dynamorm.adapters.fastapi import Database, install, lifespan

    app = FastAPI(lifespan=lifespan())
    install(app)


    @app.get("/payments/{id}")
    async def read(id: str, db: Database) -> Payment:
        return await db.require(Payment, id)  # NotFound becomes 404
"""

from __future__ import annotations

import inspect
import math
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Annotated, Any, Final, NamedTuple

from fastapi import Depends, FastAPI, Request
from fastapi.requests import HTTPConnection
from fastapi.responses import JSONResponse

from dynamorm import AsyncDB, Config
from dynamorm.errors import (
    ConditionFailed,
    DynamORMError,
    IdempotencyError,
    InvalidUse,
    KeyReused,
    NotFound,
    Outcome,
    StepUnknown,
    TamperedCursor,
    TenantError,
    TransactionCancelled,
    ValidationError,
)

__all__ = ["Database", "database", "install", "lifespan"]

_STATE: Final = "dynamorm"


def lifespan(
    open_db: Callable[[], AsyncDB] | Config | None = None,
) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    """What opens the database when the application starts, and closes it behind the last request.

    ``open_db`` is a `Config`, or a function that gives the `AsyncDB`, with its plugins; without it, it is the one of the environment. It is
    ``app.state.dynamorm``, too. An application that has a lifespan of its own enters it there: ``async with lifespan()(app): ...``.

    Example: ``app = FastAPI(lifespan=lifespan(Presets.production()))``
    """
    if isinstance(open_db, FastAPI):  # lifespan=lifespan
        raise InvalidUse("lifespan is to be called: FastAPI(lifespan=lifespan())")

    @asynccontextmanager
    async def opened(app: FastAPI) -> AsyncGenerator[None]:
        made = open_db() if callable(open_db) else AsyncDB(open_db)
        if not isinstance(made, AsyncDB):
            if inspect.iscoroutine(made):
                made.close()  # nobody awaits it
            raise InvalidUse(
                f"lifespan was given a function that gives {type(made).__name__}: give one that gives an AsyncDB, and is no"
                " coroutine function"
            )
        async with made as db:
            setattr(app.state, _STATE, db)
            try:
                yield
            finally:
                delattr(app.state, _STATE)

    return opened


def database(connection: HTTPConnection) -> AsyncDB:
    """The database that `lifespan` has opened; a dependency, for requests and web sockets.

    Raises: InvalidUse where it has not. Tests put their own in its place: ``app.dependency_overrides[database] = lambda: async_db``.

    Example: ``async def read(id: str, db: Annotated[AsyncDB, Depends(database)]): ...``
    """
    found: AsyncDB | None = getattr(connection.app.state, _STATE, None)
    if found is None:
        raise InvalidUse(
            "the application has no database: make it with FastAPI(lifespan=lifespan()) of dynamorm.adapters.fastapi, and enter"
            " its lifespan in tests (with TestClient(app) as client), or override the dependency database; the lifespan of a mounted"
            " application is not run: open the database in the outer one"
        )
    return found


Database = Annotated[AsyncDB, Depends(database)]
"""An argument of a path operation that is given the database. Example: ``async def read(id: str, db: Database): ...``"""


class _Answer(NamedTuple):
    """How an error is answered. Without ``words`` its own message is told, which has no value of an item in it."""

    status: int
    words: str | None = None


_UNKNOWN: Final = _Answer(504, "it is not known whether it was done")
_REFUSED: Final = _Answer(409, "what is stored refuses the request")
_LATER: Final = _Answer(503, "it cannot be served now: try again")
_ANSWERS: Final[dict[type[DynamORMError], _Answer]] = {
    TamperedCursor: _Answer(400, "the cursor is not valid: begin with the first page"),
    TenantError: _Answer(403, "not allowed"),
    NotFound: _Answer(404, "not found"),
    KeyReused: _Answer(422),
    StepUnknown: _UNKNOWN,
    IdempotencyError: _Answer(409),
    ConditionFailed: _REFUSED,
    ValidationError: _Answer(422),
}
"""The first kind that an error is of."""
_CONDITION: Final = "ConditionalCheckFailed"
_PASSING: Final = frozenset({"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"})
"""Reasons of a cancelled transaction that another try need not meet."""


def install(app: FastAPI) -> None:
    """Let an application answer the errors of the library, with ``{"detail": ..., "code": ...}`` and never a value of an item.

    | status | error |
    |---|---|
    | 400 | a cursor that is none of ours |
    | 403 | a tenant that is missing, or another one |
    | 404 | no item |
    | 409 | a condition, a version, a unique value (with its ``field``), an idempotency key that is in use |
    | 422 | a value that is refused before the wire, a key that was sent with another request |
    | 503 | throttled, or not reached, with ``Retry-After``: this write was not done; what the request has written before it, was |
    | 504 | it is not known whether a write was done; with its ``token`` |

    What is a fault of the program or of the service stays an exception, which FastAPI answers with 500: a stored item that cannot be
    read, an argument that is missing or unknown, a right, a setting. A handler that the application adds for one of these errors, or a
    kind of it, wins.

    Example: ``install(app)``
    """
    app.exception_handlers.setdefault(DynamORMError, _answer)  # that of a kind is looked for first


async def _answer(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, DynamORMError)  # it is the handler of these alone
    found = _found(error)
    if found is None:
        raise error
    told: dict[str, Any] = {"detail": found.words or error.safe.partition(": ")[2], "code": error.code}
    told |= {name: value for name in ("field", "token") if (value := getattr(error, name, None)) is not None}
    return JSONResponse(told, found.status, _headers(error, found.status))


def _found(error: DynamORMError) -> _Answer | None:
    """How an error is answered; None for a fault of the program, or of the service. What is not known is asked first."""
    if isinstance(error, TamperedCursor):
        return _ANSWERS[TamperedCursor]
    if error.outcome is Outcome.UNKNOWN:
        return _UNKNOWN
    if isinstance(error, IdempotencyError):  # some of them may be tried again, by the caller's word
        return _of_kind(error)
    if isinstance(error, ValidationError) and _is_of_program(error):
        return None
    if isinstance(error, TransactionCancelled):
        codes = {one.code for one in error.reasons if one is not None}
        return _REFUSED if codes <= {_CONDITION} else _LATER if codes <= {_CONDITION, *_PASSING} else None
    if error.retryable:  # an answer that could not be believed, a key that cannot be had now
        return _LATER
    return _of_kind(error)


def _of_kind(error: DynamORMError) -> _Answer | None:
    return next((answer for kind, answer in _ANSWERS.items() if isinstance(error, kind)), None)


def _is_of_program(error: ValidationError) -> bool:
    """Whether it is no value of the caller that was refused, but what the program asks, or what is stored."""
    if error.table is not None or isinstance(error, (InvalidUse, TypeError, AttributeError)):
        return True
    return type(error) is ValidationError and error.field is None


def _headers(error: DynamORMError, status: int) -> dict[str, str] | None:
    wait = getattr(error, "retry_after", None)
    if wait is None and status != _LATER.status:
        return None
    return {"Retry-After": str(max(1, math.ceil(wait or 0)))}
