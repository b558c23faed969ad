"""The application: what is answered under which path. Who may ask is not its business, see `guard`."""

from __future__ import annotations

from asyncio import to_thread
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

from msgspec.json import encode
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from dynamorm.errors.log import FailureLog

from . import page
from . import timeline as timelines

_FILES: Final = {"dashboard.css": "text/css", "dashboard.js": "text/javascript"}


def application(
    figures: Callable[[], dict[str, Any] | None],
    timeline: Callable[[dict[str, list[str]]], dict[str, Any] | None] | None = None,
) -> Starlette:
    """The application that shows ``figures``; these are None where the database is gone. So is ``timeline`` of what is asked."""
    failed = FailureLog("dashboard", "the page")

    def answering(show: Callable[[dict[str, Any]], Response]) -> Callable[[Request], Awaitable[Response]]:
        async def answer(
            request: Request,
        ) -> Response:  # on the loop of the dashboard's own thread, where it may take its time
            del request
            try:
                told = figures()
                return (
                    PlainTextResponse("The database is closed, or has not taken the dashboard.\n", 503)
                    if told is None
                    else show(told)
                )
            except BaseException as error:  # noqa: BLE001 - an answer never holds what an error says: it may be a value
                failed(error)
                return PlainTextResponse("The figures could not be shown.\n", 500)

        return answer

    async def told_of(request: Request) -> Response:
        assert timeline is not None  # else there is no such route
        asked = {name: request.query_params.getlist(name) for name in ("model", "key", "tenant")}
        try:
            told = await to_thread(timeline, asked)  # it asks DynamoDB
            if told is None:
                return PlainTextResponse("The database is closed.\n", 503)
            return HTMLResponse(timelines.page(told))
        except Exception as error:  # noqa: BLE001 - as above
            failed(error)
            return PlainTextResponse("The timeline could not be shown.\n", 500)

    made = Starlette(
        routes=[
            *([Route("/audit", told_of)] if timeline is not None else ()),
            Route("/", answering(lambda told: HTMLResponse(page.page(told, audit=timeline is not None)))),
            Route("/panels", answering(lambda told: HTMLResponse(page.figures(told)))),
            Route("/figures.json", answering(lambda told: Response(encode(told), media_type="application/json"))),
            *(Route(f"/{name}", _file(name, kind)) for name, kind in _FILES.items()),
        ]
    )
    made.router.redirect_slashes = False  # a redirect would name the host, and leave the path of the dashboard
    return made


def _file(name: str, kind: str) -> Callable[[Request], Awaitable[Response]]:
    content = Path(__file__).with_name(name).read_bytes()

    async def answer(request: Request) -> Response:
        del request
        return Response(content, media_type=kind)

    return answer
