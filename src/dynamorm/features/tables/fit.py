"""Whether a live table is what its models want: the differences in keys and indexes, as data."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from dynamorm.codec.replies.table_description import IndexDescription, TableDescription
from dynamorm.errors import ModelError

from .wanted import WantedIndex, WantedTable


class Difference(Struct, frozen=True, kw_only=True):
    """One difference. ``index`` names the index that has it; ``serves`` says that the models work all the same."""

    kind: str
    text: str
    index: str | None = None
    serves: bool = False


def differences(table: WantedTable, live: TableDescription) -> list[Difference]:
    """All differences in the key, the types of key attributes, and the indexes."""
    return [*_key(table, live), *_indexes(table, live)]


def _key(table: WantedTable, live: TableDescription) -> Iterator[Difference]:
    if (live.partition, live.sort) != (table.partition, table.sort):
        yield Difference(kind="key", text=f"its key is {live.partition}" + (f", {live.sort}" if live.sort else ""))
    for name, kind in table.key_types.items():
        there = live.key_types.get(name)
        if there is not None and there != kind:
            yield Difference(kind="type", text=f"{name} is of type {there}, not {kind}")


def _indexes(table: WantedTable, live: TableDescription) -> Iterator[Difference]:
    for index in table.indexes.values():
        there = live.indexes.get(index.name)
        if there is None:
            yield Difference(kind="missing", index=index.name, text=f"it has no index {index.name}")
        else:
            yield from _index(table, index, there)
    for name in live.indexes:
        if name not in table.indexes:
            text = f"index {name} belongs to none of the models"
            yield Difference(kind="extra", index=name, text=text, serves=True)


def _index(table: WantedTable, index: WantedIndex, there: IndexDescription) -> Iterator[Difference]:
    name = index.name
    if there.kind != index.kind:
        text = f"index {name} is a {there.kind}, not a {index.kind}"
        yield Difference(kind="index kind", index=name, text=text)
    elif (there.partition, there.sort) != (index.partition, index.sort):
        text = f"the key of index {name} is {', '.join(there.partition + there.sort)}"
        yield Difference(kind="index key", index=name, text=text)
    else:
        lacks, more = _projections(table, index, there)
        if lacks:
            yield Difference(kind="projection", index=name, text=f"index {name} does not project {lacks}")
        elif more:
            yield Difference(
                kind="projection", index=name, text=f"index {name} projects {more}, which is not needed", serves=True
            )


def _projections(table: WantedTable, index: WantedIndex, there: IndexDescription) -> tuple[str, str]:
    """What the live index lacks, and what it has besides; in words, empty for nothing."""
    if there.projection == "ALL":
        return "", "" if index.projection == "ALL" else "every attribute"
    has = {*there.projected, *there.partition, *there.sort, table.partition, *([table.sort] if table.sort else [])}
    if index.projection == "ALL":
        return "every attribute", ""
    lacks = [name for name in index.projected if name not in has]
    more = [name for name in there.projected if name not in index.projected]
    return ", ".join(lacks), ", ".join(more)


def misfit(table: WantedTable, wrong: list[str]) -> ModelError:
    """The error that says in what a live table does not fit."""
    models = ", ".join(table.models)
    return ModelError(
        f"table {table.name!r} does not fit {models}: {'; '.join(wrong)}; print(db.tables.plan({models})) shows what"
        " would have to be done, db.tables.apply(plan) does it",
        table=table.name,
    )


def check_fit(table: WantedTable, live: TableDescription) -> None:
    """Raise ModelError when the live table's keys or indexes are not what the models need."""
    wrong = [difference.text for difference in differences(table, live) if not difference.serves]
    if live.ttl and table.expires and live.ttl != table.expires:
        wrong.append(f"it expires items by {live.ttl}, not by {table.expires}")
    if wrong:
        raise misfit(table, wrong)
