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
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Annotated, Final

from fastapi import Depends, FastAPI, Request
from fastapi.requests import HTTPConnection
from fastapi.responses import JSONResponse

from dynamorm import AsyncDB, Config
from dynamorm.adapters.web import answer_of
from dynamorm.errors import DynamORMError, InvalidUse

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
    found = answer_of(error)
    if found is None:
        raise error
    return JSONResponse(found.body, found.status, found.headers)
