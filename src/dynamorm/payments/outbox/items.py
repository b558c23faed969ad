"""What an outbox stores: events, and for each key the queue of their ids, in the order in which their transactions came."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from contextvars import ContextVar
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from zlib import crc32

from dynamorm import Attr, Model, attr, created_at, gsi, partition_key, version

from ..homes import home_of_key, tenant_of
from ..webhooks import sign_webhook

if TYPE_CHECKING:
    from dynamorm.models.schema.schema import Index

SCHEDULE: Final = (5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400)
"""Seconds before each repetition of a delivery, as Standard Webhooks advises; after the last one the event is a dead letter."""
STOPPED: Final = "stopped"
NEVER: Final = 2**53
"""When a stopped queue is due."""
SHARDS: Final = 4
"""Partitions of the index of what is to be done, of each tenant."""

AHEAD: Final[ContextVar[float]] = ContextVar("dynamorm_outbox_ahead", default=0.0)
"""Seconds by which DynamoDB's clock is ahead of this machine's, while an event is delivered: webhooks are signed with its time."""


class OutboxEvent(Model, table="dynamorm-outbox"):
    """An event that is to be delivered. ``body`` are the bytes that are sent, the same with each attempt.

    ``pk`` is its `id`, behind what the keys of a tenant begin with, where it is a tenant's. ``dead`` marks a dead letter. ``seq`` is the event's place in its key, known once it is delivered for the first time.
    """

    pk: Attr[str] = partition_key(name="id")
    key: Attr[str]
    topic: Attr[str]
    body: Attr[bytes]
    attempts: Attr[int] = attr(default=0)
    seq: Attr[int | None] = attr(default=None)
    dead: Attr[str | None] = attr(default=None)
    created_at: Attr[datetime] = created_at()
    version: Attr[int] = version()
    by_dead: Index = gsi("by-dead", partition="dead", sort="created_at")

    @property
    def id(self) -> str:
        """The id of the event, which is that of its webhook: the same with each attempt.

        Example: ``event.id``
        """
        return self.pk.removeprefix(home_of_key(self.pk).prefix)

    @property
    def tenant(self) -> str | None:
        """The tenant whose event it is, None for one of none.

        Example: ``url = urls[event.tenant]``
        """
        return tenant_of(self.pk)

    def headers(self, secret: Any, *, timestamp: float | None = None) -> dict[str, str]:
        """The headers of a webhook with this event: see `sign_webhook`. New with each attempt, but for the id.

        Example: ``client.post(url, content=event.body, headers=event.headers(secret))``
        """
        at = time.time() + AHEAD.get() if timestamp is None else timestamp
        return {"content-type": "application/json", **sign_webhook(secret, id=self.id, body=self.body, timestamp=at)}


class OutboxQueue(Model, table="dynamorm-outbox-queues"):
    """The events of one key, in order: ``pending`` are their ids, ``delivered`` how many came before.

    ``pk`` is the key, behind what the keys of a tenant begin with, where it is a tenant's; so is ``waiting``, which puts it into the
    index of what is to be done, from ``due`` on (milliseconds since 1970; 0: at once); it is "stopped" behind a dead letter, and
    gone while nothing is pending. ``owner`` and ``until`` are the lease of who delivers, which ``lasts``
    so many milliseconds.
    """

    pk: Attr[str] = partition_key(name="key")
    pending: Attr[list[str]] = attr(default_factory=list)
    delivered: Attr[int] = attr(default=0)
    waiting: Attr[str | None] = attr(default=None)
    due: Attr[int | None] = attr(default=None)
    owner: Attr[str | None] = attr(default=None)
    until: Attr[int] = attr(default=0)
    lasts: Attr[int] = attr(default=0)
    version: Attr[int] = version()
    by_due: Index = gsi("by-due", partition="waiting", sort="due")


class Delivered(NamedTuple):
    """What a run of an outbox did: events ``delivered``, attempts that ``failed``, and events that are ``dead`` letters now."""

    delivered: int = 0
    failed: int = 0
    dead: int = 0


class Answer(NamedTuple):
    """What a delivery came to: ``ok``, for good (``gone``), or to be tried again, in so many seconds where the receiver says so."""

    ok: bool
    gone: bool = False
    retry_after: float | None = None


def shard_of(key: str) -> str:
    """Where a queue waits, by its key."""
    home = home_of_key(key)
    return home.key(f"w{crc32(home.name(key).encode()) % SHARDS}")


def answer_of(given: Any, now: float) -> Answer:
    """What the result of a ``deliver`` means: None, True, a status, (status, headers), or a response with the two."""
    if given is None or given is True:
        return Answer(ok=True)
    if given is False:
        return Answer(ok=False)
    status: Any = given
    headers: Any = {}
    if isinstance(given, tuple) and len(given) == 2:
        status, headers = given
    elif not isinstance(given, int):
        status = getattr(given, "status_code", getattr(given, "status", None))
        headers = getattr(given, "headers", {})
    if not isinstance(status, int) or isinstance(status, bool):
        raise TypeError("deliver gives None, a status such as 200, (status, headers), or a response")
    wait = _retry_after(headers, now) if status in (429, 503) else None
    return Answer(ok=200 <= status < 300, gone=status == 410, retry_after=wait)


def _retry_after(headers: Mapping[str, Any], now: float) -> float | None:
    """The seconds of a Retry-After, at most a day. Source: RFC 9110, section 10.2.3."""
    text = next((str(value) for name, value in headers.items() if str(name).lower() == "retry-after"), "")
    if re.fullmatch(r"[0-9]{1,9}", text, re.ASCII):
        return min(float(text), 86400.0)
    try:
        return min(max(0.0, parsedate_to_datetime(text).timestamp() - now), 86400.0)
    except (TypeError, ValueError):
        return None
