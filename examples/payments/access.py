"""Who asks: an API key becomes the view of its tenant, which is handed on with the request. No context variable says whose it is."""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Annotated, Any, NamedTuple, TypeAlias

from fastapi import Depends, Request

import dynamorm
from dynamorm import AsyncDB

from .database import digest_of
from .models import ApiKey
from .problems import problem

Scope: TypeAlias = MutableMapping[str, Any]
App: TypeAlias = Callable[[Scope, Any, Any], Awaitable[None]]

COOKIE = "payments-key"
"""The page has the key in a cookie that no script sees."""


class Caller(NamedTuple):
    """Who asks: the tenant, the id of the key (which is no secret), and the view of the database for that tenant."""

    tenant: str
    key_id: str
    view: AsyncDB


async def caller_of(scope: Scope, db: AsyncDB) -> Caller | None:
    """Who asks, by the header ``Authorization: Bearer KEY`` or by the cookie of the page; None where nobody knows."""
    key = _key(scope)
    if key is None:
        return None
    found = await db.get(ApiKey, digest_of(key))
    return None if found is None else Caller(found.tenant, found.id, db.with_tenant(found.tenant))


class Access:
    """ASGI: lets those in who have a key. ``scope["state"]["caller"]`` says who it is, also in the records of the audit."""

    def __init__(self, app: App, db: Callable[[], AsyncDB]) -> None:
        self._app = app
        self._db = db

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        caller = await caller_of(scope, self._db())
        if caller is None:
            await problem(401, "key", "send Authorization: Bearer, and an API key")(scope, receive, send)
            return
        scope["state"] = {**(scope.get("state") or {}), "caller": caller}
        async with dynamorm.actor(f"key:{caller.key_id}", ip=_address(scope)):
            await self._app(scope, receive, send)


async def _caller(request: Request) -> Caller:
    found: Caller = request.state.caller
    return found


Asking = Annotated[Caller, Depends(_caller)]
"""Who asks, for a route behind `Access`."""


def _key(scope: Scope) -> str | None:
    headers: dict[bytes, str] = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
    kind, _, key = headers.get(b"authorization", "").partition(" ")
    if kind.lower() == "bearer" and key:
        return key.strip()
    try:
        cookie = SimpleCookie(headers.get(b"cookie", "")).get(COOKIE)
    except CookieError:
        return None
    return None if cookie is None else str(cookie.value) or None


def _address(scope: Scope) -> str | None:
    """The address of who asks; of one behind a proxy the server is to say which."""
    try:
        return str(ipaddress.ip_address((scope.get("client") or ("",))[0]))
    except ValueError:
        return None
