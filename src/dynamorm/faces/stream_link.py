"""What both faces share of a stream's reader: its checked options, and the way to the endpoint of DynamoDB Streams.

It must not know how a face iterates.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from inspect import isawaitable
from typing import Any

from dynamorm.codec.replies.stream_record import refuse_awaitable
from dynamorm.codec.replies.stream_records import check_on_unknown
from dynamorm.features.streams.checkpoint import check_checkpoint
from dynamorm.features.streams.consumer import ROUNDED, Consumer, Options
from dynamorm.ops.calls.op import Op

from ..arguments import check_choice, check_count, check_seconds, check_text
from ..effects import Call, Flow
from ..errors import ValidationError
from ..session import Session
from .opening import driver_options

__all__ = ["StreamLink", "await_result", "consumer_of", "refuse_awaitable"]

_DAY = 86_400.0


class StreamLink:
    """The session over DynamoDB Streams and, where that is another host, the driver to it. Made once per face."""

    def __init__(self, session: Session, driver: Callable[..., Any]) -> None:
        self.session: Session = session.streams()
        self._driver: Any = None
        if self.session.endpoint == session.endpoint:
            return
        self._driver = driver(self.session.endpoint, **driver_options(self.session))
        self.session.go(partial(partial, _elsewhere, self._driver.run))

    @property
    def elsewhere(self) -> bool:
        """Whether it has a driver of its own, which must be closed."""
        return self._driver is not None

    def close(self) -> Any:
        """Close the driver; an awaitable on the asyncio face, None when there is none."""
        return None if self._driver is None else self._driver.close()


async def await_result(result: Any) -> None:
    """Wait for what a handler has returned, when it is a coroutine. What a blocking face does instead is refuse it."""
    if isawaitable(result):
        await result


def _elsewhere(run: Callable[[Flow[Any]], Any], call: Callable[[Op], Flow[Any]], op: Op) -> Flow[Any]:
    """One call on the other driver, as a step of a flow on this one."""

    def perform() -> Any:
        return run(call(op))

    return (yield Call(perform, perform))


def consumer_of(
    session: Session,
    link: StreamLink,
    model: Any,
    *,
    checkpoint: Any,
    start: Any,
    consumer: str | None,
    worker: str | None,
    arn: str | None,
    poll_interval: Any,
    idle_timeout: Any,
    page_size: int,
    save_every: int,
    lease: Any,
    on_data_loss: Any,
    on_unknown: Any,
) -> Consumer:
    """A consumer with checked options. Raises: ValidationError, ModelError."""
    plan = session.plan(model)
    if checkpoint is not None:
        check_checkpoint(checkpoint)
    for name, given in (("consumer", consumer), ("worker", worker), ("arn", arn)):
        if given is not None:
            check_text(name, given, 256)
    check_choice("on_data_loss", on_data_loss, ("raise", "continue"))
    check_on_unknown(on_unknown)
    options = Options(
        consumer=consumer or _named(plan.table, session.scope),
        worker=worker or uuid.uuid4().hex,
        checkpoint=checkpoint,
        start=_start(start),
        arn=arn,
        poll_interval=check_seconds("poll_interval", poll_interval, 0.0, 60.0),
        idle_timeout=None if idle_timeout is None else check_seconds("idle_timeout", idle_timeout, 0.0, 366 * _DAY),
        page_size=check_count("page_size", page_size, 1, 1000),
        save_every=check_count("save_every", save_every, 1, 1_000_000),
        lease=check_seconds("lease", lease, 2.0, _DAY),
        on_data_loss=on_data_loss,
        on_unknown=on_unknown,
    )
    return Consumer(session, link.session, model, options)


def _start(start: Any) -> Any:
    if isinstance(start, datetime) and start.tzinfo is not None:
        return start.timestamp() // ROUNDED * ROUNDED
    if start not in ("earliest", "latest"):
        raise ValidationError("start must be 'earliest', 'latest', or a datetime with a time zone", field="start")
    return start


def _named(table: str, scope: Mapping[str, str]) -> str:
    """The name of a consumer that was given none: two views pass over each other's records, so they share no checkpoint."""
    return "?".join((table, *(f"{name}={value}" for name, value in sorted(scope.items()))))
