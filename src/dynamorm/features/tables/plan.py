"""The way from a live table to the one its models want, as data: steps, problems and notes that a person can read.

Planning changes nothing. It must not know how steps are made (`apply`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from dynamorm.codec.replies.table_description import TableDescription
from dynamorm.effects import Flow
from dynamorm.errors import TableNotFound
from dynamorm.models.schema.table_settings import TableSettings

from . import steps_of_indexes, steps_of_settings
from .aspects import EXISTENCE, aspects, shape
from .definition import create_request
from .fit import differences
from .look import EXTRAS, describe
from .steps import Findings, Step
from .wanted import WantedTable, wanted

if TYPE_CHECKING:
    from dynamorm.ops.context import Context


class TablePlan(Struct, frozen=True, kw_only=True):
    """What `db.tables.plan` found: ``print(plan)`` shows it, ``db.tables.apply(plan)`` makes it so.

    ``steps`` are made in order. ``problems`` are differences that no step can mend: with any, the plan is not applied.
    ``notes`` are differences that do no harm or cannot be seen. A plan is true when there is a step or a problem.

    Example::

        plan = db.tables.plan(Payment)
        print(plan)
        if plan.steps and not plan.problems:
            db.tables.apply(plan, progress=print)
    """

    tables: tuple[str, ...]
    steps: tuple[Step, ...] = ()
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    seen: dict[str, dict[str, Any]] = {}

    def __bool__(self) -> bool:
        return bool(self.steps or self.problems)

    def __str__(self) -> str:
        named = ", ".join(self.tables)
        if not self:
            lines = [f"{named}: as the models want it, nothing to do"]
        else:
            lines = [f"{len(self.steps)} step{'' if len(self.steps) == 1 else 's'} for {named}"]
        lines += [f"  {number}. {step}" for number, step in enumerate(self.steps, 1)]
        lines += [f"  cannot be done: {text}" for text in self.problems]
        lines += [f"  note: {text}" for text in self.notes]
        return "\n".join(lines)


def plan(
    context: Context, models: Sequence[Any], settings: TableSettings | None, *, allow_delete: bool
) -> Flow[TablePlan]:
    """Compare the models with the live tables."""
    besides = [model for model in context.tables_besides(models) if model not in models]
    tables = [*wanted(context, models, settings), *(wanted(context, besides, None) if besides else ())]
    findings = Findings(allow_delete=allow_delete)
    seen: dict[str, dict[str, Any]] = {}
    for table in tables:
        try:
            live: TableDescription = yield from describe(context, table.name, EXTRAS)
        except TableNotFound:
            _missing(table, findings)
            seen[table.name] = aspects(None)
        else:
            _existing(table, live, findings)
            seen[table.name] = aspects(live)
    _uniqueness(context, models, {name for name, found in seen.items() if found != aspects(None)}, findings)
    return TablePlan(
        tables=tuple(table.name for table in tables),
        steps=tuple(findings.steps),
        problems=tuple(findings.problems),
        notes=tuple(findings.notes),
        seen=seen,
    )


def _uniqueness(context: Context, models: Sequence[Any], live: set[str], findings: Findings) -> None:
    """Tell what the guards of unique values must be like, which no look at a table can show."""
    for model in models:
        requests = context.plan(model)
        for constraint in requests.uniques:
            if constraint.within is not None and requests.table in live:
                findings.note(
                    requests.table,
                    f"{constraint.name} of {requests.codec.schema.name} is unique within its {constraint.within.name}: guards from"
                    " before that was so are moved by repair_unique",
                )


def _missing(table: WantedTable, findings: Findings) -> None:
    """Everything of a table that is not there."""
    key = ", ".join(part for part in (table.partition, table.sort) if part)
    indexes = "".join(f"; index {name}" for name in table.indexes)
    findings.step(
        table.name,
        "create table",
        f"create table {table.name} with the key {key}{indexes}",
        EXISTENCE,
        None,
        shape(table),
        "CreateTable",
        create_request(table),
    )
    if table.expires:
        steps_of_settings.expiry(table, "", findings)
    if table.settings.point_in_time_recovery:
        steps_of_settings.recovery(table, (False, None), findings)


def _existing(table: WantedTable, live: TableDescription, findings: Findings) -> None:
    if live.status == "DELETING":
        findings.problem(table.name, "it is being deleted: plan again when it is gone")
        return
    for difference in differences(table, live):
        if difference.kind == "key":
            findings.problem(table.name, f"{difference.text}; the key of a table cannot be changed: make a new table")
        elif difference.kind == "type":
            findings.problem(
                table.name, f"{difference.text}; the type of a key attribute cannot be changed: make a new table"
            )
    for index in live.indexes.values():
        if index.status == "DELETING" and index.name in table.indexes:
            findings.problem(table.name, f"index {index.name} is being deleted: plan again when it is gone")
        elif index.status == "CREATING":
            findings.note(table.name, f"index {index.name} is still being made")
    # The billing comes first: it decides whether a new index needs units of its own.
    steps_of_settings.billing(table, live, findings)
    steps_of_indexes.indexes(table, live, findings)
    steps_of_settings.others(table, live, findings)
