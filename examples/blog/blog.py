"""What can be done in the blog. It knows nothing of pages."""

from __future__ import annotations

import re
import secrets
import unicodedata
from collections.abc import Iterable
from datetime import UTC, datetime

from dynamorm import AsyncDB, Page, TransactionCancelled
from dynamorm.errors import AlreadyExists, ConditionFailed, MissingItem

from .models import MODELS, TAG, Comment, Post, Tag, Tagged


class BlogError(Exception):
    """What whoever writes can be told."""


class Edited(BlogError):
    """Somebody else has edited the post meanwhile."""


class Blog:
    """The blog on a database.

    Example: ``await Blog(db).publish("A title", "Some text", ["python"])``
    """

    def __init__(self, db: AsyncDB) -> None:
        self._db = db

    async def open(self) -> None:
        """Make the tables, or find them as they should be."""
        for model in MODELS:
            await self._db.tables.ensure(model)

    # ------------------------------------------------------------------------------------------------------------ posts

    async def publish(self, title: str, body: str, tags: Iterable[str] = (), *, at: datetime | None = None) -> Post:
        """Write a post, with its tags and their counters, in one transaction.

        Raises: BlogError for tags that cannot be; ValidationError for a title or a text that is too long, or empty.
        """
        known = tags_of(tags)
        now = at or datetime.now(UTC)
        base = slug_of(title)
        for number in range(1, 100):
            slug = base if number == 1 else f"{base}-{number}"
            post = Post(slug=slug, title=title, body=body, tags=known, year=now.year, written_at=now)
            try:
                async with self._db.transaction() as tx:
                    tx.create(post)
                    for tag in sorted(known):
                        tx.put(Tagged(tag=tag, written_at=now, slug=slug, title=title))
                        tx.update(Tag, tag, Tag.posts.add(1), upsert=True)
            except TransactionCancelled as error:
                first = error.reasons[0]
                if first is None or not isinstance(first.error, AlreadyExists):
                    raise
                continue  # the slug is taken: the next one
            return post
        raise BlogError("too many posts have this title")

    async def edit(self, slug: str, edition: int, title: str, body: str) -> None:
        """Change a post of which this edition was read, and its title where its tags name it.

        Raises: Edited when it is not the last one any more; BlogError for a post that is not there; ValidationError.
        """
        post = await self.look(slug)
        if post is None:
            raise BlogError("this post is not there any more")
        try:
            async with self._db.transaction() as tx:
                changes = (Post.title.set(title), Post.body.set(body), Post.edition.add(1))
                tx.update(Post, slug, *changes, condition=Post.edition == edition)
                for tag in sorted(post.tags):
                    tx.update(Tagged, Tagged.title.set(title), tag=tag, written_at=post.written_at, slug=slug)
        except TransactionCancelled as error:
            first = error.reasons[0]
            if first is None or not isinstance(first.error, ConditionFailed):
                raise
            raise Edited("somebody else has edited this post: look at it again") from None

    async def read(self, slug: str) -> Post | None:
        """A post, whose view is counted."""
        try:
            post: Post = await self._db.update(Post, slug, Post.views.add(1))
        except MissingItem:
            return None
        return post

    async def look(self, slug: str) -> Post | None:
        """A post, whose view is not counted."""
        return await self._db.get(Post, slug, consistent=True)

    async def newest(self, year: int, *, size: int = 5, cursor: str | None = None) -> Page[Post]:
        """A page of the posts of a year, the newest first. Raises: TamperedCursor."""
        query = self._db.model(Post).where(Post.year == year).order_by(Post.written_at, "desc").limit(size)
        return await (query if cursor is None else query.cursor(cursor)).page()

    # ------------------------------------------------------------------------------------------------------------- tags

    async def tagged(self, tag: str, *, size: int = 20, cursor: str | None = None) -> Page[Tagged]:
        """A page of the posts with a tag, the newest first. Raises: TamperedCursor."""
        query = self._db.model(Tagged).where(Tagged.tag == tag).order_by(Tagged.place, "desc").limit(size)
        return await (query if cursor is None else query.cursor(cursor)).page()

    async def tags(self) -> list[Tag]:
        """All tags, the most frequent first. There are few, so they are scanned."""
        found = await self._db.model(Tag).allow_scan().all()
        return sorted(found, key=lambda tag: (-tag.posts, tag.name))

    # --------------------------------------------------------------------------------------------------------- comments

    @staticmethod
    def new_comment_id() -> str:
        """The id of a comment that is to be written: it goes into the form. Ids are in the order of their time."""
        return f"{datetime.now(UTC):%Y%m%d%H%M%S}-{secrets.token_hex(8)}"

    async def comment(self, slug: str, id: str, name: str, text: str) -> None:
        """Write a comment and count it, in one transaction. The same id is the same comment, and is counted once.

        Raises: BlogError for a post that is not there; ValidationError.
        """
        try:
            async with self._db.transaction() as tx:
                tx.create(Comment(slug=slug, id=id, name=name, text=text))
                tx.update(Post, slug, Post.comments.add(1))
        except TransactionCancelled as error:
            first, second = error.reasons
            if first is not None and isinstance(first.error, AlreadyExists):
                return  # the form was sent twice
            if second is not None and isinstance(second.error, MissingItem):
                raise BlogError("this post is not there any more") from None
            raise

    async def comments(self, slug: str, *, size: int = 10, cursor: str | None = None) -> Page[Comment]:
        """A page of the comments of a post, in order. Raises: TamperedCursor."""
        query = self._db.model(Comment).where(Comment.slug == slug).limit(size)
        return await (query if cursor is None else query.cursor(cursor)).page()


def slug_of(title: str) -> str:
    """The slug of a title: small ASCII letters and digits, joined by ``-``. ``post`` where nothing is left of it."""
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:70].strip("-") or "post"


def tags_of(tags: Iterable[str]) -> set[str]:
    """Tags as they are stored. Raises: BlogError for one that cannot be, and for more than eight."""
    known = {tag.strip().lower() for tag in tags if tag.strip()}
    for tag in sorted(known):
        if re.fullmatch(TAG, tag) is None:
            raise BlogError(f"a tag has up to 30 of a-z, 0-9 and '-': {tag!r} has not")
    if len(known) > 8:
        raise BlogError(f"a post has up to 8 tags, not {len(known)}")
    return known
