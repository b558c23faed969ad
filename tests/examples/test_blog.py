"""The blog of examples/blog, through its pages: slugs are unique, counters right, and what is sent twice is there once."""

import asyncio
import html
import re

import httpx
import pytest

pytest.importorskip("fastapi")
pytest.importorskip("jinja2")

from dynamorm.testing import AsyncTestDB
from examples.blog.blog import slug_of
from examples.blog.models import MODELS, Comment, Post, Tag, Tagged
from examples.blog.web import make_app

pytestmark = [pytest.mark.engine, pytest.mark.whole]


def browse(program):
    """Run a program of a client of the blog and its database."""

    async def whole():
        async with AsyncTestDB(models=MODELS) as db:
            app = make_app(db.config)
            async with app.router.lifespan_context(app):
                transport = httpx.ASGITransport(app)
                async with httpx.AsyncClient(
                    transport=transport, base_url="http://blog", follow_redirects=True
                ) as client:
                    return await program(client, db)

    return asyncio.run(whole())


async def write(client, title="A title", body="Some text", tags="design, http"):
    return await client.post("/write", data={"title": title, "body": body, "tags": tags})


def field(page, name):
    return html.unescape(re.search(rf'name="{name}" (?:required maxlength="\d+" )?value="([^"]*)"', page.text)[1])


def test_a_post_is_written_listed_and_read():
    async def program(client, db):
        answer = await write(client)
        assert (answer.status_code, answer.url.path) == (200, "/post/a-title")
        assert "Some text" in answer.text
        home = await client.get("/")
        assert "/post/a-title" in home.text
        assert "/tag/design" in home.text
        assert "a-title" in (await client.get("/tag/http")).text
        assert (await client.get("/post/a-title")).text.count("3 views") == 0
        assert (await db.require(Post, "a-title")).views == 2

    browse(program)


def test_posts_of_one_title_at_once_have_slugs_of_their_own():
    async def program(client, db):
        answers = await asyncio.gather(*(write(client, tags="x") for _ in range(6)))
        paths = {answer.url.path for answer in answers if answer.status_code == 200}
        assert len(paths) == 6
        assert await db.model(Post).allow_scan().count() == 6
        assert (await db.require(Tag, "x")).posts == 6

    browse(program)


def test_a_comment_that_is_sent_twice_is_there_once_and_counted_once():
    async def program(client, db):
        await write(client)
        page = await client.get("/post/a-title")
        data = {"id": field(page, "id"), "name": "Ada", "text": "Thank you"}
        for _ in range(3):
            assert (await client.post("/post/a-title/comments", data=data)).status_code == 200
        assert (await db.require(Post, "a-title")).comments == 1
        assert await db.model(Comment).where(Comment.slug == "a-title").count() == 1

    browse(program)


def test_pages_follow_each_other_and_show_everything_once():
    async def program(client, db):
        for number in range(12):
            await write(client, title=f"Post {number}", tags="many")
        seen, page = [], await client.get("/")
        while True:
            seen += re.findall(r'<h2><a href="/post/([^"]+)"', page.text)
            if not (older := re.search(r'id="older" href="([^"]+)"', page.text)):
                break
            page = await client.get(html.unescape(older[1]))
        assert sorted(seen) == sorted(f"post-{number}" for number in range(12))
        cursor = html.unescape(re.search(r'id="older" href="([^"]+)"', (await client.get("/")).text)[1])
        assert (await client.get(cursor.replace("/?", "/tag/many?"))).status_code == 400  # of another page
        assert (await client.get("/?cursor=made-up")).status_code == 400

    browse(program)


def test_of_two_who_edit_the_second_is_told_and_keeps_the_text():
    async def program(client, db):
        await write(client)
        form = await client.get("/post/a-title/edit")
        edition = field(form, "edition")
        first = await client.post("/post/a-title/edit", data={"edition": edition, "title": "Better", "body": "First"})
        assert "First" in first.text
        assert "Better" in (await client.get("/tag/design")).text
        second = await client.post(
            "/post/a-title/edit", data={"edition": edition, "title": "Worse", "body": "My words"}
        )
        assert second.status_code == 409
        assert "somebody else has edited" in second.text
        assert "My words" in second.text
        assert (await db.require(Post, "a-title")).body == "First"

    browse(program)


def test_what_somebody_writes_is_text_and_nothing_else():
    async def program(client, db):
        evil = "<script>alert(1)</script><img src=x onerror=alert(1)>"
        page = await write(client, title=f"A {evil}"[:120], body=evil)
        comment = {"id": field(page, "id"), "name": evil[:40], "text": evil}
        page = await client.post(f"{page.url.path}/comments", data=comment)
        for shown in (page, await client.get("/"), await client.get("/tag/design")):
            assert "<script" not in shown.text
            assert "<img" not in shown.text
            assert "default-src 'none'" in shown.headers["content-security-policy"]

    browse(program)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ({"title": "", "body": "x"}, "title"),
        ({"title": "x" * 121, "body": "x"}, "title"),
        ({"title": "x", "body": ""}, "body"),
        ({"title": "x", "body": "x", "tags": "No Blanks"}, "a tag has up to 30"),
        ({"title": "x", "body": "x", "tags": ",".join("abcdefghi")}, "up to 8 tags"),
        ({}, "title"),
    ],
)
def test_what_cannot_be_published_is_told_in_the_form(data, told):
    async def program(client, db):
        answer = await client.post("/write", data=data)
        assert answer.status_code == 422
        assert told in re.search(r'role="alert">([^<]+)', answer.text)[1]
        assert await db.model(Post).allow_scan().count() == 0
        assert await db.model(Tagged).allow_scan().count() == 0

    browse(program)


def test_other_refusals():
    async def program(client, db):
        assert (await client.get("/post/gone")).status_code == 404
        assert (await client.get("/post/gone/edit")).status_code == 404
        assert (await client.get("/post/No%20Slug")).status_code == 404
        id = "20240101000000-0123456789abcdef"
        gone = await client.post("/post/gone/comments", data={"id": id, "name": "a", "text": "b"})
        assert (gone.status_code, "not there any more" in gone.text) == (409, True)
        await write(client)
        for data in ({"id": "mine", "name": "a", "text": "b"}, {"id": id, "name": "", "text": "b"}, {}):
            assert (await client.post("/post/a-title/comments", data=data)).status_code == 422
        assert (await client.post("/post/a-title/edit", data={"edition": "x"})).status_code == 422
        assert (await client.post("/write", content=b"x" * 200_000)).status_code == 413
        assert (await client.post("/write", content=b"\xff")).status_code == 400
        foreign = {"sec-fetch-site": "cross-site"}
        assert (await client.post("/write", data={"title": "x", "body": "x"}, headers=foreign)).status_code == 403
        assert await db.model(Post).allow_scan().count() == 1

    browse(program)


@pytest.mark.parametrize(
    ("title", "slug"),
    [
        ("A title!", "a-title"),
        ("Überraschung", "uberraschung"),
        ("日本", "post"),
        ("--", "post"),
        ("x" * 200, "x" * 70),
    ],
)
def test_slugs(title, slug):
    assert slug_of(title) == slug
