"""The steps that add, delete and replace global indexes, and change their throughput."""

from __future__ import annotations

from dynamorm.codec.replies.table_description import IndexDescription, TableDescription
from dynamorm.models.schema.table_settings import IndexSettings

from .aspects import WARM, index_shape, of_index, pair, reached
from .definition import attribute_definitions, index_definition, throughputs
from .fit import Difference, differences
from .steps import Findings
from .steps_of_settings import mode_after, most_after
from .wanted import WantedIndex, WantedTable


def indexes(table: WantedTable, live: TableDescription, findings: Findings) -> None:
    """All steps for indexes. One index is added or deleted at a time, as DynamoDB demands."""
    for difference in differences(table, live):
        if difference.index is None:
            continue
        if difference.kind == "missing":
            _missing(table, live, difference, findings)
        elif difference.kind == "extra":
            _extra(table, live.indexes[difference.index], findings)
        else:
            _different(table, live, difference, findings)
    for index in table.indexes.values():
        there = live.indexes.get(index.name)
        if there is not None and there.kind == index.kind == "GSI":
            _throughput(table, live, there, findings)


def _missing(table: WantedTable, live: TableDescription, difference: Difference, findings: Findings) -> None:
    index = table.indexes[str(difference.index)]
    if index.kind == "LSI":
        findings.problem(table.name, f"{difference.text}; a local index is made with its table only: make a new table")
    else:
        _add(table, live, index, findings)


def _add(table: WantedTable, live: TableDescription, index: WantedIndex, findings: Findings) -> None:
    key = ", ".join(index.partition + index.sort)
    projects = f" {', '.join(index.projected)}" if index.projected else ""
    copied = f"; about {live.item_count} items are copied into it" if live.item_count else ""
    provisioned = mode_after(table, live) == "PROVISIONED"
    definition = index_definition(table, index, provisioned=provisioned, default=live.throughput)
    findings.update(
        table.name,
        "add index",
        f"add index {index.name} on {key}, projecting {index.projection}{projects}{copied}",
        of_index(index.name),
        None,
        index_shape(index),
        AttributeDefinitions=attribute_definitions(table, index.partition + index.sort),
        GlobalSecondaryIndexUpdates=[{"Create": definition}],
    )


def _extra(table: WantedTable, there: IndexDescription, findings: Findings) -> None:
    if there.kind == "LSI":
        findings.note(table.name, f"local index {there.name} belongs to none of the models; it cannot be deleted")
    elif findings.allow_delete:
        _delete(table, there, findings, "which belongs to none of the models")
    else:
        findings.note(
            table.name,
            f"index {there.name} belongs to none of the models; plan(..., allow_delete=True) would delete it",
        )


def _delete(table: WantedTable, there: IndexDescription, findings: Findings, why: str) -> None:
    findings.update(
        table.name,
        "delete index",
        f"delete index {there.name}, {why}",
        of_index(there.name),
        index_shape(there),
        None,
        GlobalSecondaryIndexUpdates=[{"Delete": {"IndexName": there.name}}],
    )


def _different(table: WantedTable, live: TableDescription, difference: Difference, findings: Findings) -> None:
    index, there = table.indexes[str(difference.index)], live.indexes[str(difference.index)]
    if "LSI" in (index.kind, there.kind):
        if difference.serves:
            findings.note(table.name, difference.text)
        else:
            findings.problem(table.name, f"{difference.text}; a local index cannot be changed: make a new table")
    elif findings.allow_delete:
        _delete(table, there, findings, f"to make it anew ({difference.text}): queries on it fail until that is done")
        _add(table, live, index, findings)
    elif difference.serves:
        findings.note(table.name, difference.text)
    else:
        findings.problem(
            table.name,
            f"{difference.text}; an index is changed by deleting and making it again, which plan(..., allow_delete=True) plans",
        )


def _throughput(table: WantedTable, live: TableDescription, there: IndexDescription, findings: Findings) -> None:
    """The throughput of an index that stays."""
    own = table.settings.indexes.get(there.name, IndexSettings())
    provisioned = mode_after(table, live) == "PROVISIONED"
    # A change of the billing mode brings the units of all indexes with it.
    if provisioned and live.billing_mode == "PROVISIONED" and own.throughput is not None:
        _change(table, there.name, "units", pair(there.throughput), pair(own.throughput), findings)
    if provisioned and own.max_throughput is not None:
        findings.problem(table.name, f"max_throughput of index {there.name} is for on-demand tables")
    elif own.max_throughput is not None:
        goal = most_after(own.max_throughput, there.max_throughput)
        _change(table, there.name, "maximum throughput", pair(there.max_throughput), goal, findings, own)
    if own.warm_throughput is not None:
        _change(table, there.name, WARM, pair(there.warm_throughput), pair(own.warm_throughput), findings, own)


def _change(
    table: WantedTable,
    index: str,
    aspect: str,
    before: tuple[int | None, int | None],
    after: tuple[int | None, int | None],
    findings: Findings,
    own: IndexSettings | None = None,
) -> None:
    if reached(aspect, before, after):
        return
    own = own or table.settings.indexes[index]
    said = {
        "units": throughputs(own.throughput, None, None),
        "maximum throughput": throughputs(None, own.max_throughput, None),
        WARM: throughputs(None, None, own.warm_throughput),
    }[aspect]
    given = {"units": own.throughput, "maximum throughput": own.max_throughput, WARM: own.warm_throughput}[aspect]
    findings.update(
        table.name,
        "index throughput",
        f"set the {aspect} of index {index} to {given}",
        of_index(index, aspect),
        before,
        after,
        GlobalSecondaryIndexUpdates=[{"Update": {"IndexName": index, **said}}],
    )
