"""Looking at live tables, and waiting until they are ready. Returns flows that change nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from dynamorm.arguments import check_seconds
from dynamorm.codec.replies.table_description import TableDescription, read_recovery, read_table, read_ttl
from dynamorm.codec.strict import read_object
from dynamorm.effects import Flow, Sleep
from dynamorm.errors import AccessDenied, ClientError, DeadlineExceeded, Outcome, TableNotFound
from dynamorm.ops.calls.op import Op
from dynamorm.ops.requests import encode

if TYPE_CHECKING:
    from dynamorm.ops.context import Context

POLL = 0.05
"""Seconds between the first two looks at a table that is changing; doubled each time up to `POLL_MOST`."""
POLL_MOST = 5.0

UNSEEN = 60.0
"""Seconds for which a change may fail to show on a table that is ready; the service shows it within a few."""

EXTRAS = ("ttl", "recovery", "tags")
"""What DescribeTable does not tell: each costs a call of its own."""
UNAVAILABLE = "UnknownOperationException"
"""The code by which an engine says that it has no such feature."""


def look(context: Context, table: str) -> Flow[TableDescription]:
    """The live table, as far as DescribeTable tells. Raises: TableNotFound."""
    return context.call(Op("DescribeTable", table, encode({"TableName": table}), read_table))


def describe(context: Context, table: str, extras: tuple[str, ...] = EXTRAS) -> Flow[TableDescription]:
    """The live table with what costs calls of its own. Raises: TableNotFound."""
    live: TableDescription = yield from look(context, table)
    return (yield from with_extras(context, live, extras))


def with_extras(context: Context, live: TableDescription, extras: tuple[str, ...]) -> Flow[TableDescription]:
    """Fill in what the description of a table does not hold; None where the engine or the permissions do not tell."""
    more: dict[str, Any] = {}
    if "ttl" in extras:
        told = yield from _ask(context, "DescribeTimeToLive", {"TableName": live.name}, read_ttl)
        more["ttl"], more["ttl_status"] = told or (None, None)
    if "recovery" in extras:
        told = yield from _ask(context, "DescribeContinuousBackups", {"TableName": live.name}, read_recovery)
        more["point_in_time_recovery"], more["recovery_days"] = told or (None, None)
    if "tags" in extras and live.arn is not None:
        more["tags"] = yield from _tags(context, live.arn)
    return replace(live, **more)


def _ask(context: Context, name: str, request: dict[str, Any], read: Callable[[bytes], Any]) -> Flow[Any]:
    try:
        return (yield from context.call(Op(name, str(request.get("TableName", "-")), encode(request), read)))
    except AccessDenied:
        return None
    except ClientError as error:
        if error.code != UNAVAILABLE:
            raise
        return None


def _tags(context: Context, arn: str) -> Flow[dict[str, str] | None]:
    tags: dict[str, str] = {}
    request = {"ResourceArn": arn}
    while True:
        reply = yield from _ask(context, "ListTagsOfResource", request, read_object)
        if reply is None:
            return None
        tags |= {tag["Key"]: tag["Value"] for tag in reply.get("Tags") or ()}
        if not reply.get("NextToken"):
            return tags
        request = {"ResourceArn": arn, "NextToken": reply["NextToken"]}


def names(context: Context) -> Flow[list[str]]:
    """The names of all tables that begin with the context's prefix."""
    prefix = context.config.table_prefix
    table_names: list[str] = []
    request: dict[str, Any] = {}
    while True:
        reply = yield from context.call(Op("ListTables", prefix or "-", encode(request), read_object))
        table_names += [name for name in reply.get("TableNames") or () if name.startswith(prefix)]
        if not reply.get("LastEvaluatedTableName"):
            return table_names
        request["ExclusiveStartTableName"] = reply["LastEvaluatedTableName"]


class Patience:
    """How long to wait for tables: ``Patience(context, timeout)`` is spent by `pause`."""

    __slots__ = ("_clock", "_end", "_quiet", "changed")

    def __init__(self, context: Context, timeout: Any) -> None:
        seconds = check_seconds("timeout", timeout)
        self._clock = context.channel.clock
        self._end = self._clock.monotonic() + seconds
        self._quiet: float | None = None
        self.changed: bool = False
        """Whether a change was asked for: running out of time then does not mean that nothing happened."""

    def unseen(self, change: str, *, ready: bool) -> None:
        """Note that a change does not show. Raises: DeadlineExceeded when it has not, for long, on a table that is ready."""
        now = self._clock.monotonic()
        if not ready:
            self._quiet = None
        elif self._quiet is None:
            self._quiet = now
        elif now - self._quiet > UNSEEN:
            raise DeadlineExceeded(
                f"{change} was accepted and does not show after {UNSEEN:.0f} seconds: this engine may not have it",
                outcome=Outcome.UNKNOWN,
            )

    def pause(self, seconds: float, why: str) -> Flow[None]:
        """Wait a little. Raises: DeadlineExceeded, saying why, when that would be too long."""
        if self._clock.monotonic() + seconds > self._end:
            outcome = Outcome.APPLIED if self.changed else Outcome.NOT_APPLIED
            raise DeadlineExceeded(f"{why}; waited as long as timeout allows", outcome=outcome)
        yield Sleep(seconds)


def polls() -> Iterator[float]:
    """The pauses between looks."""
    seconds = POLL
    while True:
        yield seconds
        seconds = min(seconds * 2, POLL_MOST)


def wait_until(
    context: Context,
    table: str,
    patience: Patience,
    good: Callable[[TableDescription], bool],
    watch: Callable[[str], None] | None = None,
) -> Flow[TableDescription]:
    """Wait until the table is there, ACTIVE with its global indexes, and ``good``. ``watch`` is told what it waits for."""
    for seconds in polls():
        try:
            live: TableDescription = yield from look(context, table)
            if live.ready and good(live):
                return live
            patience.unseen(f"the change of table {table!r}", ready=live.ready)
            why = _waits_for(live)
        except TableNotFound:
            why = f"table {table!r} has not appeared"
        if watch is not None:
            watch(why)
        yield from patience.pause(seconds, why)
    raise AssertionError("polling has no end of its own")


def wait_active(context: Context, table: str, patience: Patience) -> Flow[TableDescription]:
    """Wait until the table and its global indexes are ACTIVE."""
    return wait_until(context, table, patience, lambda _: True)


def _waits_for(live: TableDescription) -> str:
    if live.status in ("ACTIVE", "UPDATING"):  # an index under way says more than the table does
        for index in live.indexes.values():
            if index.kind == "GSI" and index.status != "ACTIVE":
                filling = ", items are being copied into it" if index.backfilling else ""
                return f"index {index.name!r} of table {live.name!r} is still {index.status}{filling}"
    if live.status != "ACTIVE":
        return f"table {live.name!r} is still {live.status}"
    return f"the change of table {live.name!r} does not show yet"
