"""``python -m examples.blog``: the blog on this machine, on an engine inside the process, with some posts in it."""

from __future__ import annotations

import argparse
import asyncio
import secrets
import sys
from collections.abc import Sequence

try:
    import uvicorn

    from dynamorm import AsyncDB, Config, Presets

    from .blog import Blog
    from .web import make_app
except ModuleNotFoundError as missing:
    sys.exit(f"the blog needs {missing.name}: pip install 'dynamorm-py[blog]'")

POSTS = (
    (
        "Keys first",
        "In DynamoDB a table is made for the questions that it is to answer.\n\nWrite them down before the first class.",
        ["dynamodb", "design"],
    ),
    (
        "What a lost reply means",
        "A write was sent, and no answer came. Was it applied?\n\nAsk before you send it again.",
        ["dynamodb", "networks"],
    ),
    ("Counters", "Adding one is not the same as writing the sum.", ["design"]),
    ("Cursors", "A page number skips or repeats what is written meanwhile. A cursor does not.", ["design", "http"]),
    ("Slugs", "Two posts with one title need two addresses.", ["http"]),
    ("Comments", "A form that is sent twice is one comment, if its id was made with the form.", ["http", "networks"]),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until Ctrl-C. Example: ``main(["--port", "8000"])``."""
    parser = argparse.ArgumentParser(prog="python -m examples.blog", description=__doc__)
    parser.add_argument("--port", type=int, default=8000, help="where it listens, on 127.0.0.1 (default: 8000)")
    parser.add_argument("--empty", action="store_true", help="no posts to begin with")
    options = parser.parse_args(arguments)
    config = Presets.local_development(cursor_key=secrets.token_bytes(32))
    if not options.empty:
        asyncio.run(_filled(config))
    print(f"Blog: http://127.0.0.1:{options.port}  (Ctrl-C ends it)", flush=True)
    uvicorn.run(make_app(config), host="127.0.0.1", port=options.port, log_level="warning", access_log=False)
    return 0


async def _filled(config: Config) -> None:
    async with AsyncDB(config) as db:
        blog = Blog(db)
        await blog.open()
        for title, body, tags in POSTS:
            post = await blog.publish(title, body, tags)
            await blog.comment(post.slug, blog.new_comment_id(), "Ada", "Thank you, that was of help.")


if __name__ == "__main__":
    sys.exit(main())
