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

import math
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Annotated, Any, Final

from fastapi import Depends, FastAPI, Request
from fastapi.requests import HTTPConnection
from fastapi.responses import JSONResponse

from dynamorm import AsyncDB, Config
from dynamorm.errors import (
    ConditionFailed,
    DeadlineExceeded,
    DynamORMError,
    IdempotencyError,
    InvalidUse,
    KeyReused,
    NotFound,
    OutcomeUnknown,
    Retryable,
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

    @asynccontextmanager
    async def opened(app: FastAPI) -> AsyncGenerator[None]:
        async with open_db() if callable(open_db) else AsyncDB(open_db) as db:
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
            " its lifespan in tests (with TestClient(app) as client), or override the dependency database"
        )
    return found


Database = Annotated[AsyncDB, Depends(database)]
"""An argument of a path operation that is given the database. Example: ``async def read(id: str, db: Database): ...``"""

_STATUS: Final[dict[type[DynamORMError], int]] = {
    NotFound: 404,
    ConditionFailed: 409,
    TransactionCancelled: 409,
    IdempotencyError: 409,
    KeyReused: 422,
    ValidationError: 422,
    TamperedCursor: 400,
    TenantError: 403,
    Retryable: 503,
    DeadlineExceeded: 503,
    OutcomeUnknown: 504,
    StepUnknown: 504,
}


def install(app: FastAPI) -> None:
    """Let an application answer the errors of the library, with ``{"detail": ..., "code": ...}`` and never a value of an item.

    | status | error |
    |---|---|
    | 400 | a cursor that is none of ours |
    | 403 | a tenant that is missing, or another one |
    | 404 | no item |
    | 409 | a condition, a version, a unique value (with its ``field``), an idempotency key that is in use |
    | 422 | what the caller has sent is refused before the wire, or a key was sent with another request |
    | 503 | throttled or not reached: nothing was done; with ``Retry-After`` |
    | 504 | it is not known whether it was done; with the ``token`` of the write |

    A stored item that cannot be read, a missing right, a wrong setting are the service's own fault: they stay exceptions, which FastAPI
    answers with 500. A handler that the application adds for one of these errors, or a kind of it, wins.

    Example: ``install(app)``
    """
    for kind, status in _STATUS.items():
        app.exception_handlers.setdefault(kind, _answering(status))


def _answering(status: int) -> Callable[[Request, Any], Any]:
    async def answer(_: Request, error: DynamORMError) -> JSONResponse:
        if isinstance(error, InvalidUse) or (isinstance(error, ValidationError) and error.table is not None):
            raise error  # a fault of the program, of what is stored, or of the service
        told: dict[str, Any] = {"detail": _words(error), "code": error.code}
        field = getattr(error, "field", None)
        if field is not None:
            told["field"] = field
        token = getattr(error, "token", None)
        if token is not None:
            told["token"] = token
        return JSONResponse(told, status, _headers(error, status))

    return answer


def _words(error: DynamORMError) -> str:
    """What is said to the caller: of what the caller did, the message; of what happened inside, only its kind."""
    if isinstance(error, (ValidationError, IdempotencyError)):
        return error.safe.partition(": ")[2]
    for kind, words in _SHORT.items():
        if isinstance(error, kind):
            return words
    return "it was refused"


_SHORT: Final[dict[type[DynamORMError], str]] = {
    NotFound: "not found",
    ConditionFailed: "it is not as the request expects",
    TransactionCancelled: "it is not as the request expects",
    TamperedCursor: "the cursor is not valid: begin with the first page",
    TenantError: "not allowed",
    Retryable: "nothing was done: try again",
    DeadlineExceeded: "nothing was done: try again",
    OutcomeUnknown: "it is not known whether it was done",
}


def _headers(error: DynamORMError, status: int) -> dict[str, str] | None:
    wait = getattr(error, "retry_after", None)
    if wait is None and status != 503:
        return None
    return {"Retry-After": str(max(1, math.ceil(wait or 0)))}
