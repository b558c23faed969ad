"""The steps that change the settings of a live table; a setting that is not given is left as it is."""

from __future__ import annotations

from typing import Any

from dynamorm.codec.replies.table_description import TableDescription
from dynamorm.models.schema.table_settings import UNLIMITED, Throughput

from .aspects import WARM, pair, reached
from .definition import (
    index_units,
    recovery_specification,
    sse_specification,
    stream_specification,
    tag_list,
    throughputs,
)
from .steps import Findings
from .wanted import WantedTable


def mode_after(table: WantedTable, live: TableDescription) -> str:
    """How the table is billed once the plan is made."""
    settings = table.settings
    return "PROVISIONED" if settings.provisioned else settings.billing_mode or live.billing_mode


def billing(table: WantedTable, live: TableDescription, findings: Findings) -> None:
    """The billing mode, and the units of a provisioned table."""
    settings = table.settings
    mode = mode_after(table, live)
    before = (live.billing_mode, *pair(live.throughput))
    after = (mode, *(pair(settings.throughput) if settings.throughput is not None else pair(live.throughput)))
    if mode == "PAY_PER_REQUEST":
        after = (mode, None, None)
    if before == after:
        return
    request: dict[str, Any] = throughputs(settings.throughput, None, None)
    if mode != live.billing_mode:
        request["BillingMode"] = mode
    if mode == "PROVISIONED" and live.billing_mode != mode:
        updates = [
            {"Update": {"IndexName": index.name, **throughputs(index_units(settings, index.name), None, None)}}
            for index in live.indexes.values()
            if index.kind == "GSI"
        ]
        request |= {"GlobalSecondaryIndexUpdates": updates} if updates else {}
    text = f"bill by {mode}" if mode != live.billing_mode else "set the units of the table"
    units = f": {settings.throughput}" if settings.throughput is not None else ""
    findings.update(table.name, "billing", f"{text}{units}", "billing", before, after, **request)


def others(table: WantedTable, live: TableDescription, findings: Findings) -> None:
    """Every setting but the billing."""
    _throughput(table, live, findings)
    _stream(table, live, findings)
    _encryption(table, live, findings)
    _plain(table, live, findings)
    expiry(table, live.ttl, findings)
    recovery(table, (live.point_in_time_recovery, live.recovery_days), findings)
    _tags(table, live, findings)


def most_after(wanted: Throughput, live: Throughput | None) -> tuple[int | None, int | None]:
    """The maximum once the plan is made: a part that is not given stays, -1 takes it away."""
    has = pair(live)
    read, write = (
        has[i] if value is None else None if value == UNLIMITED else value for i, value in enumerate(pair(wanted))
    )
    return read, write


def _throughput(table: WantedTable, live: TableDescription, findings: Findings) -> None:
    most, warm = table.settings.max_throughput, table.settings.warm_throughput
    if most is not None and mode_after(table, live) != "PAY_PER_REQUEST":
        findings.problem(table.name, "max_throughput is for on-demand tables: say billing_mode='PAY_PER_REQUEST' too")
    elif most is not None and pair(live.max_throughput) != (goal := most_after(most, live.max_throughput)):
        before = pair(live.max_throughput)
        request = throughputs(None, most, None)
        text = f"limit the table to {most} units per second"
        findings.update(table.name, "throughput", text, "maximum throughput", before, goal, **request)
    if warm is not None and not reached(WARM, before := pair(live.warm_throughput), pair(warm)):
        text = f"warm the table up to {warm} units per second"
        findings.update(table.name, "throughput", text, WARM, before, pair(warm), **throughputs(None, None, warm))


def _stream(table: WantedTable, live: TableDescription, findings: Findings) -> None:
    if table.settings.stream is None or (wanted := table.settings.stream or None) == live.stream:
        return
    if live.stream is not None:
        text = f"switch the stream of {live.stream} off; its records stay readable for 24 hours"
        off = stream_specification(None)
        findings.update(table.name, "stream", text, "stream", live.stream, None, StreamSpecification=off)
    if wanted is not None:
        on = stream_specification(wanted)
        text = f"switch a stream of {wanted} on"
        findings.update(table.name, "stream", text, "stream", None, wanted, StreamSpecification=on)


def _encryption(table: WantedTable, live: TableDescription, findings: Findings) -> None:
    wanted, has = table.settings.encryption, live.encryption
    if wanted is None:
        return
    if reached("encryption", has, wanted):
        if has != wanted and not has.endswith(f"/{wanted}"):
            findings.note(table.name, f"it is encrypted with {has}; whether that is {wanted} cannot be seen")
        return
    text = f"encrypt with the key {wanted}" if wanted != "AWS_OWNED" else "encrypt with a key that AWS owns"
    findings.update(
        table.name, "encryption", text, "encryption", has, wanted, SSESpecification=sse_specification(wanted)
    )


def _plain(table: WantedTable, live: TableDescription, findings: Findings) -> None:
    protect, kind = table.settings.deletion_protection, table.settings.table_class
    if protect is not None and protect != live.deletion_protection:
        text = "protect the table against deletion" if protect else "lift the protection against deletion"
        findings.update(
            table.name,
            "deletion protection",
            text,
            "deletion protection",
            live.deletion_protection,
            protect,
            DeletionProtectionEnabled=protect,
        )
    if kind is not None and kind != live.table_class:
        text = f"change the table class to {kind}"
        findings.update(table.name, "table class", text, "table class", live.table_class, kind, TableClass=kind)


def expiry(table: WantedTable, live: str | None, findings: Findings) -> None:
    """The attribute that expires items. ``live`` is empty when expiry is off, None when that cannot be seen."""
    wanted = table.expires
    if wanted is None and table.settings.time_to_live is not False:
        if live:
            findings.note(table.name, f"items expire by {live}, which is the ttl() field of none of the models")
        return
    if live is None:
        if wanted:
            findings.problem(
                table.name, f"whether items expire by {wanted} cannot be seen: DescribeTimeToLive is not allowed"
            )
    elif live and live != wanted:
        _expire(table, f"stop expiring items by {live}", live, "", findings)
        if wanted:
            findings.note(
                table.name,
                f"DynamoDB accepts one change of the expiry per hour: plan again in an hour to expire by {wanted}",
            )
    elif wanted and live != wanted:
        _expire(table, f"expire items by {wanted}", "", wanted, findings)


def _expire(table: WantedTable, text: str, before: str, after: str, findings: Findings) -> None:
    specification = {"Enabled": bool(after), "AttributeName": after or before}
    request = {"TableName": table.name, "TimeToLiveSpecification": specification}
    findings.step(table.name, "expiry", text, "expiry", before, after, "UpdateTimeToLive", request)


def recovery(table: WantedTable, live: tuple[bool | None, int | None], findings: Findings) -> None:
    """Point-in-time recovery. ``live`` is whether it is on (None: cannot be seen) and for how many days."""
    wanted = table.settings.point_in_time_recovery
    if wanted is None:
        return
    if live[0] is None:
        findings.problem(
            table.name,
            "point-in-time recovery cannot be seen: this engine has none, or DescribeContinuousBackups is not allowed",
        )
        return
    goal = (wanted is not False, table.settings.recovery_days)
    if reached("recovery", live, goal):
        return
    days = f" for {goal[1]} days" if goal[1] else ""
    text = f"switch point-in-time recovery {'on' if goal[0] else 'off'}{days}"
    request = {"TableName": table.name, "PointInTimeRecoverySpecification": recovery_specification(wanted)}
    findings.step(table.name, "recovery", text, "recovery", live, goal, "UpdateContinuousBackups", request)


def _tags(table: WantedTable, live: TableDescription, findings: Findings) -> None:
    wanted = table.settings.tags
    if not wanted:
        return
    if live.tags is None or live.arn is None:
        findings.problem(table.name, "tags cannot be seen: this engine has none, or ListTagsOfResource is not allowed")
    elif not reached("tags", live.tags, wanted):
        new = {name: value for name, value in wanted.items() if live.tags.get(name) != value}
        request = {"ResourceArn": live.arn, "Tags": tag_list(new)}
        text = f"tag it with {', '.join(sorted(new))}"
        findings.step(table.name, "tags", text, "tags", live.tags, wanted, "TagResource", request)
