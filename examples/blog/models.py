"""What the blog stores."""

from __future__ import annotations

from datetime import datetime

from dynamorm import Attr, Model, attr, composite, created_at, gsi, partition_key, sort_key

SLUG = r"[a-z0-9]+(-[a-z0-9]+)*"
TAG = r"[a-z0-9-]{1,30}"


class Post(Model, table="blog-posts"):
    """A post. Its slug is its key, so that no two posts have one, also when both are written at once."""

    slug: Attr[str] = partition_key(pattern=SLUG, max_length=80)
    title: Attr[str] = attr(min_length=1, max_length=120)
    body: Attr[str] = attr(min_length=1, max_length=50_000)
    tags: Attr[set[str]] = attr(default_factory=set, max_length=8)
    views: Attr[int] = attr(default=0)
    comments: Attr[int] = attr(default=0)
    year: Attr[int]
    written_at: Attr[datetime]
    edition: Attr[int] = attr(default=1)
    by_time = gsi("by-time", partition="year", sort="written_at")


class Tagged(Model, table="blog-tagged"):
    """That a post has a tag, placed by time."""

    tag: Attr[str] = partition_key(pattern=TAG)
    place: Attr[str] = sort_key(composite("written_at", "slug"))
    written_at: Attr[datetime]
    slug: Attr[str]
    title: Attr[str]


class Tag(Model, table="blog-tags"):
    """How many posts have a tag."""

    name: Attr[str] = partition_key()
    posts: Attr[int] = attr(default=0, ge=0)


class Comment(Model, table="blog-comments"):
    """A comment. ``id`` is made with the form, so that a form which is sent twice is one comment."""

    slug: Attr[str] = partition_key()
    id: Attr[str] = sort_key(pattern=r"[0-9]{14}-[0-9a-f]{16}")
    name: Attr[str] = attr(min_length=1, max_length=40)
    text: Attr[str] = attr(min_length=1, max_length=2_000)
    created_at: Attr[datetime] = created_at()


MODELS: tuple[type[Model], ...] = (Post, Tagged, Tag, Comment)
