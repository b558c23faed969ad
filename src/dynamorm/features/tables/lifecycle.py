"""Creating, ensuring, checking and deleting tables. Returns flows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from dynamorm.codec.replies.table_description import TableDescription
from dynamorm.effects import Flow
from dynamorm.errors import ClientError, ModelError, TableNotFound
from dynamorm.models.schema.table_settings import TableSettings

from . import look
from .changes import change, check_tags, remove, switch
from .definition import create_request, recovery_specification
from .fit import check_fit, differences, misfit
from .look import Patience
from .wanted import WantedTable, wanted

if TYPE_CHECKING:
    from dynamorm.ops.context import Context


def create(
    context: Context,
    models: Sequence[Any],
    settings: TableSettings | None,
    timeout: float | timedelta,
    *,
    skip_unavailable: bool,
) -> Flow[list[TableDescription]]:
    """Create the tables of the models and wait until they and their indexes are ready."""
    patience = Patience(context, timeout)
    descriptions = []
    for table in wanted(context, models, settings):
        live = yield from _create(context, table, patience, skip_unavailable=skip_unavailable)
        descriptions.append((yield from _switch_on(context, table, live, patience, skip_unavailable=skip_unavailable)))
    return descriptions


def _create(
    context: Context, table: WantedTable, patience: Patience, *, skip_unavailable: bool
) -> Flow[TableDescription]:
    yield from send_create(context, table.name, create_request(table), patience)
    live = yield from look.wait_active(context, table.name, patience)
    if table.settings.tags and not skip_unavailable:
        yield from check_tags(context, live)
    return live


def send_create(context: Context, name: str, request: dict[str, Any], patience: Patience) -> Flow[None]:
    """Ask for a table; after a lost reply it counts as made when it is there."""

    def made() -> Flow[bool]:
        try:
            yield from look.look(context, name)
        except TableNotFound:
            return False
        return True

    yield from change(context, "CreateTable", name, request, made, patience, mine=True)


def ensure(
    context: Context,
    models: Sequence[Any],
    settings: TableSettings | None,
    timeout: float | timedelta,
    *,
    skip_unavailable: bool,
) -> Flow[list[TableDescription]]:
    """Create what is missing; check that a live table fits; switch on the expiry and recovery that are not on yet."""
    patience = Patience(context, timeout)
    besides = context.tables_besides(models)
    if besides:  # their settings are not the caller's, who cannot leave out what a local engine lacks
        yield from _ensured(context, wanted(context, besides, None), patience, skip_unavailable=True)
    return (
        yield from _ensured(context, wanted(context, models, settings), patience, skip_unavailable=skip_unavailable)
    )


def _ensured(
    context: Context, tables: Sequence[WantedTable], patience: Patience, *, skip_unavailable: bool
) -> Flow[list[TableDescription]]:
    descriptions = []
    for table in tables:
        live = yield from _present(context, table, patience, skip_unavailable=skip_unavailable)
        live = yield from look.with_extras(context, live, _needed(table))
        check_fit(table, live)
        descriptions.append((yield from _switch_on(context, table, live, patience, skip_unavailable=skip_unavailable)))
    return descriptions


def _present(
    context: Context, table: WantedTable, patience: Patience, *, skip_unavailable: bool
) -> Flow[TableDescription]:
    """The table, made if it was not there."""
    try:
        live: TableDescription = yield from look.look(context, table.name)
    except TableNotFound:
        try:
            return (yield from _create(context, table, patience, skip_unavailable=skip_unavailable))
        except ClientError as error:
            if error.code != "ResourceInUseException":
                raise
            # Another process made it meanwhile.
    else:
        if live.ready:
            return live
    return (yield from look.wait_active(context, table.name, patience))


def _needed(table: WantedTable) -> tuple[str, ...]:
    """What has to be asked for besides the description; nothing for a table without expiry and recovery."""
    ttl = ("ttl",) if table.expires is not None else ()
    return (*ttl, "recovery") if table.settings.point_in_time_recovery else ttl


def _switch_on(
    context: Context, table: WantedTable, live: TableDescription, patience: Patience, *, skip_unavailable: bool
) -> Flow[TableDescription]:
    """Expiry and recovery, each unless it is on. DynamoDB refuses a second change of the expiry within an hour."""
    changed: tuple[str, ...] = ()
    attribute, recovery = table.expires, table.settings.point_in_time_recovery
    if attribute is not None and live.ttl != attribute:
        yield from switch_ttl(context, table.name, attribute, patience, on=True, skip_unavailable=skip_unavailable)
        changed += ("ttl",)
    if recovery and not _recovers(live, recovery):
        yield from switch_recovery(context, table.name, recovery, patience, skip_unavailable=skip_unavailable)
        changed += ("recovery",)
    return (yield from look.with_extras(context, live, changed)) if changed else live


def _recovers(live: TableDescription, wanted_days: bool | int) -> bool:
    """Whether point-in-time recovery is on, for as many days as wanted; an engine that tells no days counts as right."""
    if not live.point_in_time_recovery:
        return False
    return isinstance(wanted_days, bool) or live.recovery_days in (None, wanted_days)


def switch_ttl(
    context: Context, table: str, attribute: str, patience: Patience, *, on: bool, skip_unavailable: bool = False
) -> Flow[bool]:
    """Switch the expiry of items by an attribute on or off; False when the engine has none and that is accepted."""

    def done() -> Flow[bool]:
        live = yield from look.describe(context, table, ("ttl",))
        return live.ttl == attribute if on else live.ttl == ""

    request = {"TableName": table, "TimeToLiveSpecification": {"Enabled": on, "AttributeName": attribute}}
    return switch(context, "UpdateTimeToLive", table, request, done, patience, skip_unavailable=skip_unavailable)


def switch_recovery(
    context: Context, table: str, wanted_days: bool | int, patience: Patience, *, skip_unavailable: bool = False
) -> Flow[bool]:
    """Switch point-in-time recovery on or off; False when the engine has none and that is accepted."""

    def done() -> Flow[bool]:
        live = yield from look.describe(context, table, ("recovery",))
        return _recovers(live, wanted_days) if wanted_days else live.point_in_time_recovery is False

    request = {"TableName": table, "PointInTimeRecoverySpecification": recovery_specification(wanted_days)}
    return switch(context, "UpdateContinuousBackups", table, request, done, patience, skip_unavailable=skip_unavailable)


def describe(context: Context, model: Any) -> Flow[TableDescription]:
    """The live table of a model, in full. Raises: TableNotFound."""
    return look.describe(context, context.plan(model).table)


def wait(context: Context, models: Sequence[Any], timeout: float | timedelta) -> Flow[None]:
    """Wait until the tables of the models and their global indexes are ACTIVE."""
    patience = Patience(context, timeout)
    for table in wanted(context, models):
        yield from look.wait_active(context, table.name, patience)


def check(context: Context, models: Sequence[Any]) -> Flow[tuple[str, ...]]:
    """Look whether the live tables fit, changing nothing. Returns what is different and does no harm.

    Raises: ModelError with everything that does not fit, in all tables.
    """
    wrong: list[str] = []
    notes: list[str] = []
    for table in wanted(context, models):
        try:
            live = yield from look.describe(context, table.name, ("ttl",) if table.expires else ())
        except TableNotFound:
            wrong.append(f"table {table.name!r} does not exist")
            continue
        bad = [difference.text for difference in differences(table, live) if not difference.serves]
        bad += [*_not_ready(table, live), *_expiry(table, live)]
        notes += [
            f"table {table.name!r}: {difference.text}" for difference in differences(table, live) if difference.serves
        ]
        if bad:
            wrong.append(misfit(table, bad).message)
    if wrong:
        raise ModelError("; ".join(wrong))
    return tuple(notes)


def _not_ready(table: WantedTable, live: TableDescription) -> list[str]:
    reasons = [] if live.status in ("ACTIVE", "UPDATING") else [f"it is {live.status}"]
    for name in table.indexes:
        index = live.indexes.get(name)
        if index is not None and index.status not in (None, "ACTIVE", "UPDATING"):
            reasons.append(f"index {name} is still {index.status}")
    return reasons


def _expiry(table: WantedTable, live: TableDescription) -> list[str]:
    if table.expires is None or live.ttl is None or live.ttl == table.expires:
        return []
    return [f"it expires items by {live.ttl or 'nothing'}, not by {table.expires}"]


def delete(context: Context, models: Sequence[Any], timeout: float | timedelta, *, force: bool) -> Flow[None]:
    """Delete the tables with all their items and wait until they are gone. Nothing happens where there is none."""
    patience = Patience(context, timeout)
    for table in wanted(context, models):
        if (yield from remove(context, table.name, patience, force=force)):
            yield from _gone(context, table.name, patience)


def _gone(context: Context, table: str, patience: Patience) -> Flow[None]:
    for seconds in look.polls():
        try:
            live = yield from look.look(context, table)
        except TableNotFound:
            return
        yield from patience.pause(seconds, f"table {table!r} is still {live.status}")
