"""The page, made on the server: the payments of a merchant, and the life of one of them. Its script sends forms to the API."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import parse_qs

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import FileResponse, HTMLResponse, RedirectResponse

from ..access import COOKIE, Caller, caller_of
from ..bodies import whole
from ..charges import payment_of
from ..life import life_of
from ..models import Payment
from ..problems import Problem
from ..service import Serving
from .screens import life_page, list_page, login_page

router = APIRouter(include_in_schema=False)
FILES: Final = Path(__file__).parent
POLICY: Final = {
    "content-security-policy": "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:;"
    " form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


async def signed_in(request: Request, service: Serving) -> Caller:
    """Who has opened the page. Raises: Problem."""
    found = await caller_of(request.scope, service.db)
    if found is None:
        raise Problem(401, "key", "sign in with an API key")
    return found


Visiting = Annotated[Caller, Depends(signed_in)]


@router.get("/")
async def payments(request: Request, service: Serving) -> Response:
    """The newest payments, and a form for a new one; for a stranger the place for a key."""
    asking = await caller_of(request.scope, service.db)
    if asking is None:
        return HTMLResponse(login_page(service.settings.demo_keys if service.settings.is_local else {}), headers=POLICY)
    newest = await asking.view.model(Payment).order_by("created_at", "desc").limit(20).all()
    return HTMLResponse(list_page(asking.tenant, newest, plays=service.settings.is_local), headers=POLICY)


@router.get("/pay/{id}")
async def payment(id: str, asking: Visiting, service: Serving) -> Response:
    """The life of a payment."""
    life = await life_of(asking, service, await payment_of(asking.view, id))
    return HTMLResponse(life_page(asking.tenant, life, plays=service.settings.is_local), headers=POLICY)


@router.post("/session")
async def sign_in(request: Request, service: Serving) -> Response:
    """Take an API key, and keep it in a cookie that no script sees and no other site sends."""
    given = parse_qs((await whole(request)).decode("latin-1")).get("key", [""])[0]
    if not re.fullmatch(r"[!-~]{0,256}", given):  # no header may have anything else in it
        raise Problem(400, "key", "an API key has letters, digits and signs of ASCII alone")
    answer = RedirectResponse("/", 303, headers=POLICY)
    if given:
        secure = not service.settings.is_local
        answer.set_cookie(COOKIE, given, httponly=True, samesite="strict", secure=secure, max_age=8 * 3600)
    else:
        answer.delete_cookie(COOKIE)
    return answer


@router.get("/page.css")
async def style() -> Response:
    """How it looks."""
    return FileResponse(FILES / "page.css", media_type="text/css")


@router.get("/page.js")
async def script() -> Response:
    """What it does."""
    return FileResponse(FILES / "page.js", media_type="text/javascript")
