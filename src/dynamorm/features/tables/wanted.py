"""What the models say of their tables: keys, indexes, expiry and settings of all models of one table, as one.

Plain data made from plans. It must not know DynamoDB's requests.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from msgspec import Struct

from dynamorm.errors import InvalidUse, ModelError
from dynamorm.models.declare import did_you_mean
from dynamorm.models.schema.schema import SCHEMAS, Index, key_parts, with_subclasses
from dynamorm.models.schema.table_settings import TableSettings
from dynamorm.ops.requests import ModelRequests

# Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ServiceQuotas.html
MAX_LOCAL_INDEXES = 5
MAX_PROJECTED = 100


class WantedIndex(Struct, frozen=True, kw_only=True):
    """An index by stored names. ``projection`` is DynamoDB's word; ``projected`` what an INCLUDE names, keys left out."""

    name: str
    kind: str
    partition: tuple[str, ...]
    sort: tuple[str, ...]
    projection: str
    projected: tuple[str, ...] = ()


class WantedTable(Struct, frozen=True, kw_only=True):
    """A table as its models want it, by stored names. ``key_types`` has every attribute of a key, also of an index's."""

    name: str
    models: tuple[str, ...]
    partition: str
    sort: str | None
    key_types: dict[str, str]
    indexes: dict[str, WantedIndex]
    ttl: str | None
    settings: TableSettings

    @property
    def expires(self) -> str | None:
        """The attribute that shall expire items, unless the settings leave expiry off."""
        return None if self.settings.time_to_live is False else self.ttl


class Plans(Protocol):
    """Where the plans of models come from: a context, or an export that has none."""

    def plan(self, model: Any) -> ModelRequests:
        """The plan of a model."""
        ...


def wanted(context: Plans, models: Sequence[Any], settings: TableSettings | None = None) -> list[WantedTable]:
    """The tables of the models, in order of first mention. ``settings`` replaces those of the classes.

    A model with a discriminator stands for its whole family, base, siblings and subclasses, as far as they have been
    defined: they share the table, and so each other's indexes.

    Raises: ModelError when the models of one table contradict each other; InvalidUse without a model.
    """
    if not models:
        raise InvalidUse("name the model of the table: db.tables.ensure(Payment)")
    plans: dict[ModelRequests, None] = {}
    for model in models:
        plan = context.plan(model)
        plans[plan] = None
        if plan.codec.schema.discriminator is not None:
            plans.update(dict.fromkeys(context.plan(member) for member in _family(plan.codec.schema.model)))
    return merged(plans, settings)


def _family(model: type) -> Iterable[type]:
    table, tells = SCHEMAS[model].table, SCHEMAS[model].discriminator
    akin = [cls for cls in model.__mro__ if cls in SCHEMAS and SCHEMAS[cls].discriminator == tells]
    root = [cls for cls in akin if SCHEMAS[cls].table == table][-1]
    return (cls for cls in with_subclasses(root) if cls in SCHEMAS and SCHEMAS[cls].table == table)


def merged(plans: Iterable[ModelRequests], settings: TableSettings | None = None) -> list[WantedTable]:
    """The tables of several plans. Raises: ModelError when the models of one table contradict each other."""
    by_table: dict[str, list[ModelRequests]] = {}
    for plan in plans:
        by_table.setdefault(plan.table, []).append(plan)
    if settings is not None and not isinstance(settings, TableSettings):
        raise ModelError(f"settings is a TableSettings(...), not a {type(settings).__name__}")
    return [_table(name, group, settings) for name, group in by_table.items()]


def _table(name: str, plans: list[ModelRequests], settings: TableSettings | None) -> WantedTable:
    merge = _Merge(name)
    for plan in plans:
        merge.add(plan)
    table = merge.finish(settings)
    _check_limits(table)
    return table


class _Merge:
    """Gathers what each model says, and every contradiction."""

    def __init__(self, table: str) -> None:
        self.table = table
        self.models: list[str] = []
        self.key: tuple[str, str | None] | None = None
        self.types: dict[str, tuple[str, str]] = {}
        self.indexes: dict[str, WantedIndex] = {}
        self.ttl: str | None = None
        self.settings: TableSettings | None = None
        self.wrong: list[str] = []

    def add(self, plan: ModelRequests) -> None:
        """Add a model."""
        schema = plan.codec.schema
        assert schema.key is not None  # a plan is made only for a model with a key
        self.models.append(schema.name)
        partition, sort = (_stored(plan, part) for part in key_parts(schema.key))
        key = (partition[0], sort[0] if sort else None)
        if self.key is None:
            self.key = key
        elif self.key != key:
            self._differ("has the key", plan, _shown(self.key), _shown(key))
        self._types(plan, schema.key.fields)
        for index in schema.indexes.values():
            self._types(plan, index.fields)
        for index in schema.indexes.values():
            self._index(plan, index)
        expires = schema.role("ttl")
        if expires is not None:
            if self.ttl not in (None, expires.stored):
                self._differ("expires by", plan, str(self.ttl), expires.stored)
            self.ttl = expires.stored
        if schema.settings is not None:
            if self.settings not in (None, schema.settings):
                self.wrong.append(f"{schema.name} has other settings than the models before it")
            self.settings = schema.settings

    def _differ(self, claim: str, plan: ModelRequests, mine: str, others: str) -> None:
        self.wrong.append(f"{self.models[0]} {claim} {mine}, {plan.codec.schema.name} {others}")

    def _types(self, plan: ModelRequests, names: Sequence[str]) -> None:
        for name in names:
            stored, kind = plan.codec.schema.fields[name].indexed_as, plan.key_type(name)
            earlier_kind, model = self.types.setdefault(stored, (kind, plan.codec.schema.name))
            if earlier_kind != kind:
                text = f"{stored} is of type {earlier_kind} in {model}, of type {kind} in {plan.codec.schema.name}"
                if text not in self.wrong:
                    self.wrong.append(text)

    def _index(self, plan: ModelRequests, index: Index) -> None:
        wanted_index = _wanted_index(plan, index, self.key)
        earlier = self.indexes.get(wanted_index.name)
        if earlier is None:
            self.indexes[wanted_index.name] = wanted_index
        elif (earlier.kind, earlier.partition, earlier.sort) != (
            wanted_index.kind,
            wanted_index.partition,
            wanted_index.sort,
        ):
            self._differ(
                f"has the index {wanted_index.name} on", plan, _shown_index(earlier), _shown_index(wanted_index)
            )
        else:
            self.indexes[wanted_index.name] = _wider(earlier, wanted_index)

    def finish(self, settings: TableSettings | None) -> WantedTable:
        """The table. Raises: ModelError for contradictions."""
        if self.wrong:
            raise ModelError(f"the models of table {self.table!r} contradict each other: {'; '.join(self.wrong)}")
        assert self.key is not None  # there is at least one model
        return WantedTable(
            name=self.table,
            models=tuple(self.models),
            partition=self.key[0],
            sort=self.key[1],
            key_types={name: kind for name, (kind, _) in self.types.items()},
            indexes=self.indexes,
            ttl=self.ttl,
            settings=settings or self.settings or TableSettings(),
        )


def _stored(plan: ModelRequests, names: Iterable[str]) -> tuple[str, ...]:
    return tuple(plan.codec.schema.fields[name].stored for name in names)


def _of_key(plan: ModelRequests, names: Iterable[str]) -> tuple[str, ...]:
    return tuple(plan.codec.schema.fields[name].indexed_as for name in names)


def _shown(key: tuple[str, str | None]) -> str:
    return ", ".join(part for part in key if part is not None)


def _shown_index(index: WantedIndex) -> str:
    return f"{', '.join(index.partition + index.sort)} ({index.kind})"


def _wanted_index(plan: ModelRequests, index: Index, key: tuple[str, str | None] | None) -> WantedIndex:
    partition, sort = (_of_key(plan, part) for part in key_parts(index))
    projected: tuple[str, ...] = ()
    projection = index.projection
    if isinstance(projection, tuple):
        # The keys of the table and of the index are in every index: naming them would only use up the limit.
        given = dict.fromkeys(_stored(plan, projection))
        projected = tuple(name for name in given if name not in {*partition, *sort, *(key or ())})
        projection = "INCLUDE" if projected else "KEYS_ONLY"
    return WantedIndex(
        name=index.name, kind=index.kind, partition=partition, sort=sort, projection=projection, projected=projected
    )


def _wider(first: WantedIndex, second: WantedIndex) -> WantedIndex:
    """The index that serves both: what either projects."""
    for candidate in (first, second):
        if candidate.projection == "ALL":
            return candidate
    projected = tuple(dict.fromkeys(first.projected + second.projected))
    return WantedIndex(
        name=first.name,
        kind=first.kind,
        partition=first.partition,
        sort=first.sort,
        projection="INCLUDE" if projected else "KEYS_ONLY",
        projected=projected,
    )


def _check_limits(table: WantedTable) -> None:
    local = [index.name for index in table.indexes.values() if index.kind == "LSI"]
    if len(local) > MAX_LOCAL_INDEXES:
        raise ModelError(f"table {table.name!r} would have {len(local)} local indexes; {MAX_LOCAL_INDEXES} are allowed")
    projected = sum(len(index.projected) for index in table.indexes.values())
    if projected > MAX_PROJECTED:
        raise ModelError(
            f"the indexes of table {table.name!r} name {projected} projected attributes; {MAX_PROJECTED} are allowed:"
            " use projection='ALL' for some"
        )
    global_names = [name for name, index in table.indexes.items() if index.kind == "GSI"]
    for name in table.settings.indexes:
        if name not in global_names:
            hint = did_you_mean(name, global_names) if global_names else ", which has none"
            raise ModelError(f"the settings name {name!r}, which is no global index of table {table.name!r}{hint}")
