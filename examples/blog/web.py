"""The pages: each is made on the server, and works without scripts."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.templating import Jinja2Templates

from dynamorm import AsyncDB, Config
from dynamorm.errors import TamperedCursor, ValidationError

from .blog import Blog, BlogError, Edited

MOST = 100_000
"""Bytes of a form."""

HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'self' 'unsafe-inline'; form-action 'self'; base-uri 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
}
"""No page of the blog has a script, so none that somebody writes into a comment runs, were it to get there."""

templates = Jinja2Templates(directory=Path(__file__).parent / "templates")


class NoPage(Exception):
    """An answer that is not a page of the blog."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status


def make_app(config: Config, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> FastAPI:
    """The blog as an ASGI application. It opens the database when it starts, and closes it when it ends."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        async with AsyncDB(config) as db:
            app.state.blog = Blog(db)
            await app.state.blog.open()
            yield

    app = FastAPI(title="Blog", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    _pages(app, now)
    _failures(app)

    @app.middleware("http")
    async def with_headers(request: Request, answer: Callable[[Request], Any]) -> Response:
        response: Response = await answer(request)
        response.headers.update(HEADERS)
        return response

    return app


def _pages(app: FastAPI, now: Callable[[], datetime]) -> None:
    def blog() -> Blog:
        found: Blog = app.state.blog
        return found

    @app.get("/", response_class=HTMLResponse)
    async def home(request: Request, year: int | None = None, cursor: str | None = None) -> Response:
        shown = now().year if year is None else year
        page = await blog().newest(shown, cursor=cursor)
        return _page(request, "home.html", page=page, year=shown, tags=await blog().tags())

    @app.get("/post/{slug}", response_class=HTMLResponse)
    async def post(request: Request, slug: str, cursor: str | None = None) -> Response:
        return await _post(request, blog(), slug, cursor=cursor)

    @app.post("/post/{slug}/comments", response_class=HTMLResponse)
    async def comment(request: Request, slug: str) -> Response:
        form = await _form(request)
        try:
            await blog().comment(slug, form.get("id", ""), form.get("name", "").strip(), form.get("text", "").strip())
        except ValidationError as error:
            return await _post(request, blog(), slug, status=422, said=_said(error), form=form)
        return RedirectResponse(f"/post/{slug}#comments", status_code=303)

    @app.get("/write", response_class=HTMLResponse)
    async def write(request: Request) -> Response:
        return _page(request, "write.html", form={}, action="/write", said="")

    @app.post("/write", response_class=HTMLResponse)
    async def published(request: Request) -> Response:
        form = await _form(request)
        try:
            written = await blog().publish(
                form.get("title", "").strip(), form.get("body", "").strip(), form.get("tags", "").split(",")
            )
        except (ValidationError, BlogError) as error:
            return _page(request, "write.html", status=422, form=form, action="/write", said=_said(error))
        return RedirectResponse(f"/post/{written.slug}", status_code=303)

    @app.get("/post/{slug}/edit", response_class=HTMLResponse)
    async def edit(request: Request, slug: str) -> Response:
        found = await blog().look(slug)
        if found is None:
            raise NoPage(404, "there is no such post")
        form = {"title": found.title, "body": found.body, "edition": str(found.edition)}
        return _page(request, "write.html", form=form, action=f"/post/{slug}/edit", said="")

    @app.post("/post/{slug}/edit", response_class=HTMLResponse)
    async def edited(request: Request, slug: str) -> Response:
        form = await _form(request)
        edition = form.get("edition", "")
        try:
            if not (edition.isascii() and edition.isdigit() and len(edition) < 10):
                raise NoPage(422, "this form is not of the blog")
            await blog().edit(slug, int(edition), form.get("title", "").strip(), form.get("body", "").strip())
        except (ValidationError, Edited) as error:
            status = 409 if isinstance(error, Edited) else 422
            return _page(
                request, "write.html", status=status, form=form, action=f"/post/{slug}/edit", said=_said(error)
            )
        return RedirectResponse(f"/post/{slug}", status_code=303)

    @app.get("/tag/{tag}", response_class=HTMLResponse)
    async def tagged(request: Request, tag: str, cursor: str | None = None) -> Response:
        page = await blog().tagged(tag[:30], cursor=cursor)
        return _page(request, "tag.html", tag=tag[:30], page=page)


async def _post(
    request: Request,
    blog: Blog,
    slug: str,
    *,
    status: int = 200,
    cursor: str | None = None,
    said: str = "",
    form: Any = None,
) -> Response:
    found = await (blog.read(slug) if request.method == "GET" else blog.look(slug))
    if found is None:
        raise NoPage(404, "there is no such post")
    comments = await blog.comments(slug, cursor=cursor)
    form = form or {"id": blog.new_comment_id()}
    return _page(request, "post.html", status=status, post=found, comments=comments, form=form, said=said)


def _page(request: Request, name: str, *, status: int = 200, **values: Any) -> Response:
    return templates.TemplateResponse(request, name, values, status_code=status)


async def _form(request: Request) -> dict[str, str]:
    """The fields of a form that was sent from a page of the blog. Raises: NoPage."""
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise NoPage(403, "forms are sent from the blog alone")
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MOST:
            raise NoPage(413, f"a form has up to {MOST} bytes")
    try:
        return dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=20, strict_parsing=bool(body)))
    except ValueError:
        raise NoPage(400, "this is no form") from None


def _said(error: Exception) -> str:
    """What is told of a refusal. A ValidationError names the field and the limit, and never a value."""
    return str(error).partition(" (operation")[0]


def _failures(app: FastAPI) -> None:
    @app.exception_handler(NoPage)
    async def no_page(request: Request, error: NoPage) -> Response:
        return _page(request, "said.html", status=error.status, said=str(error))

    @app.exception_handler(BlogError)
    async def refused(request: Request, error: BlogError) -> Response:
        return _page(request, "said.html", status=409, said=str(error))

    @app.exception_handler(TamperedCursor)
    async def tampered(request: Request, _: TamperedCursor) -> Response:
        return _page(request, "said.html", status=400, said="this link is not of the blog, or of another page of it")

    @app.exception_handler(ValidationError)
    async def invalid(request: Request, _: ValidationError) -> Response:
        return _page(request, "said.html", status=404, said="there is no such page")
