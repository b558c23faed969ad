"""A dependency of FastAPI that gives a database for the tenant of the request. Imported by who has FastAPI.

It gives a view, and sets no context variable: what a plain dependency sets is lost, for it runs in a thread of its own.

Example::

    def merchant(authorization: Annotated[str, Header()]) -> str:
        return tenant_of_token(authorization)


    Ledger = Annotated[AsyncDB, Depends(tenant_db(db, merchant))]


    @app.get("/transactions/{number}")
    async def read(number: str, db: Ledger):
        return await db.get(Transaction, transaction_id=number)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from fastapi import Depends

if TYPE_CHECKING:
    from dynamorm import DB, AsyncDB

D = TypeVar("D", bound="DB | AsyncDB")

__all__ = ["tenant_db"]


def tenant_db(db: D | Callable[[], D], get_tenant: Callable[..., Any]) -> Callable[..., D]:
    """A dependency that gives the view of ``db`` for the tenant that ``get_tenant``, a dependency too, finds in the request.

    ``db`` is a database, or a function that gives it, where it is opened later than the application is made. The tenant must come
    from what the caller cannot choose: a token that was verified, never a header or a part of the path as it is.

    Raises (with the request): InvalidTenant for what is no tenant, None included.

    Example: ``Ledger = Annotated[AsyncDB, Depends(tenant_db(db, merchant))]``
    """

    def view_of_tenant(tenant: Any = Depends(get_tenant)) -> D:  # noqa: B008 - that is how FastAPI is told
        found: Any = db() if callable(db) else db
        view: D = found.with_tenant(tenant)
        return view

    return view_of_tenant
