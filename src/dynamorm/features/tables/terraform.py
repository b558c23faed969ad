"""Tables as Terraform resources of type ``aws_dynamodb_table``.

Source: https://registry.terraform.io/providers/hashicorp/aws/latest/docs/resources/dynamodb_table
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from dynamorm.errors import ModelError
from dynamorm.models.schema.table_settings import IndexSettings, TableSettings, Throughput

from .definition import index_units
from .templates import identifiers, tables_of
from .wanted import WantedIndex, WantedTable


def terraform(
    models: Any,
    *,
    settings: TableSettings | None = None,
    table_prefix: str = "",
    extensions: tuple[Any, ...] = (),
    retain: bool = True,
) -> str:
    """The tables of models as Terraform text, formatted as ``terraform fmt`` would.

    The arguments are those of `cloudformation`; with ``retain`` Terraform refuses to destroy a table. An index whose key
    has several attributes is written with ``key_schema`` blocks, which the provider hashicorp/aws has since 6.29.

    Raises: ModelError when models of one table contradict each other, or an encryption key is not named by its ARN.

    Example: ``Path("tables.tf").write_text(terraform([Payment, Order], table_prefix="prod-"))``
    """
    tables = tables_of(models, settings, table_prefix, extensions)
    names = identifiers(tables, "snake")
    return "\n".join(_resource(names[table.name], table, retain=retain).text() for table in tables)


class _Block:
    """A block of HCL: arguments first, aligned, then inner blocks."""

    def __init__(self, head: str) -> None:
        self.head = head
        self.arguments: list[tuple[str, str]] = []
        self.blocks: list[_Block] = []

    def set(self, name: str, value: Any) -> None:
        """Add an argument unless it is None."""
        if value is not None:
            self.arguments.append((name, _value(value)))

    def block(self, head: str, **arguments: Any) -> _Block:
        """Add an inner block."""
        inner = _Block(head)
        for name, value in arguments.items():
            inner.set(name, value)
        self.blocks.append(inner)
        return inner

    def lines(self, indent: str = "") -> Iterable[str]:
        """The text, line by line."""
        yield f"{indent}{self.head} {{"
        width = max((len(name) for name, _ in self.arguments), default=0)
        for name, value in self.arguments:
            yield f"{indent}  {name:<{width}} = {value}"
        for number, inner in enumerate(self.blocks):
            if number or self.arguments:
                yield ""
            yield from inner.lines(indent + "  ")
        yield f"{indent}}}"

    def text(self) -> str:
        """The whole block."""
        return "\n".join(self.lines()) + "\n"


def _value(value: Any) -> str:
    """A literal; ``${`` and ``%{`` would begin a template in HCL, so they are doubled."""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("${", "$${").replace("%{", "%%{")
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(_value(element) for element in value)}]"
    return json.dumps(value)


def _resource(name: str, table: WantedTable, *, retain: bool) -> _Block:
    settings = table.settings
    resource = _Block(f'resource "aws_dynamodb_table" "{name}"')
    resource.set("name", table.name)
    resource.set("billing_mode", "PROVISIONED" if settings.provisioned else "PAY_PER_REQUEST")
    _units(resource, settings.throughput)
    resource.set("hash_key", table.partition)
    resource.set("range_key", table.sort)
    resource.set("table_class", settings.table_class)
    resource.set("deletion_protection_enabled", settings.deletion_protection)
    if settings.stream is not None:
        resource.set("stream_enabled", bool(settings.stream))
        resource.set("stream_view_type", settings.stream or None)
    for attribute, kind in table.key_types.items():
        resource.block("attribute", name=attribute, type=kind)
    for index in table.indexes.values():
        _index(resource, table, index)
    _throughputs(resource, settings.max_throughput, settings.warm_throughput)
    _features(resource, table)
    if settings.tags:
        tags = _Block("tags =")
        for tag in sorted(settings.tags):
            tags.set(_value(tag), settings.tags[tag])
        resource.blocks.append(tags)
    if retain:
        resource.block("lifecycle", prevent_destroy=True)
    return resource


def _index(resource: _Block, table: WantedTable, index: WantedIndex) -> None:
    is_global = index.kind == "GSI"
    block = resource.block("global_secondary_index" if is_global else "local_secondary_index", name=index.name)
    several = max(len(index.partition), len(index.sort)) > 1
    if not several:
        block.set("hash_key", index.partition[0] if is_global else None)
        block.set("range_key", index.sort[0] if index.sort else None)
    block.set("projection_type", index.projection)
    block.set("non_key_attributes", list(index.projected) or None)
    if several:
        for kind, names in (("HASH", index.partition), ("RANGE", index.sort)):
            for name in names:
                block.block("key_schema", attribute_name=name, key_type=kind)
    if is_global:
        own = table.settings.indexes.get(index.name, IndexSettings())
        if table.settings.provisioned:
            _units(block, index_units(table.settings, index.name))
        _throughputs(block, own.max_throughput, own.warm_throughput)


def _units(block: _Block, units: Throughput | None) -> None:
    if units is not None:
        block.set("read_capacity", units.read)
        block.set("write_capacity", units.write)


def _throughputs(block: _Block, most: Throughput | None, warm: Throughput | None) -> None:
    if most is not None:
        block.block("on_demand_throughput", max_read_request_units=most.read, max_write_request_units=most.write)
    if warm is not None:
        block.block("warm_throughput", read_units_per_second=warm.read, write_units_per_second=warm.write)


def _features(resource: _Block, table: WantedTable) -> None:
    settings = table.settings
    if table.expires is not None:
        resource.block("ttl", attribute_name=table.expires, enabled=True)
    recovery = settings.point_in_time_recovery
    if recovery is not None:
        days = settings.recovery_days
        resource.block("point_in_time_recovery", enabled=recovery is not False, recovery_period_in_days=days)
    key = settings.encryption
    if key == "AWS_MANAGED":
        resource.block("server_side_encryption", enabled=True)
    elif key not in (None, "AWS_OWNED"):
        if not key.startswith("arn:"):
            raise ModelError(f"table {table.name!r}: Terraform wants the ARN of a KMS key, not its id or alias")
        resource.block("server_side_encryption", enabled=True, kms_key_arn=key)
