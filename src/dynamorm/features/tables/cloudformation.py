"""Tables as a CloudFormation template.

Source: https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-dynamodb-table.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from dynamorm.models.schema.table_settings import UNLIMITED, TableSettings

from .definition import create_request, recovery_specification
from .templates import identifiers, tables_of
from .wanted import WantedTable


def cloudformation(
    models: Any,
    *,
    settings: TableSettings | None = None,
    table_prefix: str = "",
    extensions: tuple[Any, ...] = (),
    retain: bool = True,
) -> dict[str, Any]:
    """The tables of models as a CloudFormation template.

    Args:
        models: a model, or several; those that name one table make one resource.
        settings: replaces the settings of the classes.
        table_prefix: put before every table name, as `Config` does.
        extensions: those of the DB, for models with options of plugins.
        retain: keep a table, with its items, when it is taken out of the stack.

    Tables with indexes are made one after the other, as AWS asks for.

    Raises: ModelError when models of one table contradict each other.

    Example: ``json.dumps(cloudformation([Payment, Order], table_prefix="prod-"))``
    """
    tables = tables_of(models, settings, table_prefix, extensions)
    names = identifiers(tables, "camel")
    resources: dict[str, Any] = {}
    before: str | None = None
    for table in tables:
        resource: dict[str, Any] = {"Type": "AWS::DynamoDB::Table"}
        if retain:
            resource |= {"DeletionPolicy": "Retain", "UpdateReplacePolicy": "Retain"}
        if table.indexes:
            if before is not None:
                resource["DependsOn"] = before
            before = names[table.name]
        resource["Properties"] = _properties(table)
        resources[names[table.name]] = resource
    return {"AWSTemplateFormatVersion": "2010-09-09", "Resources": resources}


def cloudformation_json(models: Any, **options: Any) -> str:
    """The template of `cloudformation` as JSON text. Takes what that takes.

    Example: ``Path("tables.json").write_text(cloudformation_json(Payment))``
    """
    return json.dumps(cloudformation(models, **options), indent=2, ensure_ascii=False) + "\n"


def cloudformation_yaml(models: Any, **options: Any) -> str:
    """The template of `cloudformation` as YAML text. Takes what that takes.

    Example: ``Path("tables.yaml").write_text(cloudformation_yaml(Payment, retain=False))``
    """
    return "\n".join(_yaml(cloudformation(models, **options), "")) + "\n"


def _properties(table: WantedTable) -> dict[str, Any]:
    """The CreateTable request in CloudFormation's names, with the settings that need other calls of DynamoDB."""
    properties = create_request(table)
    settings = table.settings
    for part in (properties, *properties.get("GlobalSecondaryIndexes", ())):
        _drop_unlimited(part)
    if settings.stream:
        properties["StreamSpecification"] = {"StreamViewType": settings.stream}
    if "SSESpecification" in properties:
        asked = properties["SSESpecification"]
        properties["SSESpecification"] = {"SSEEnabled": asked.pop("Enabled"), **asked}
    recovery = settings.point_in_time_recovery
    if recovery is not None:
        properties["PointInTimeRecoverySpecification"] = recovery_specification(recovery)
    if table.expires is not None:
        properties["TimeToLiveSpecification"] = {"AttributeName": table.expires, "Enabled": True}
    if settings.deletion_protection is not None:
        properties["DeletionProtectionEnabled"] = settings.deletion_protection
    if settings.tags:
        properties["Tags"] = properties.pop("Tags")  # last, where people look for them
    return properties


def _drop_unlimited(part: dict[str, Any]) -> None:
    """A template says that there is no maximum by not naming one."""
    limits = {name: value for name, value in part.pop("OnDemandThroughput", {}).items() if value != UNLIMITED}
    if limits:
        part["OnDemandThroughput"] = limits


def _yaml(value: Any, indent: str) -> Iterator[str]:
    """YAML of nested dicts and lists, block by block."""
    for name, inner in value.items():
        if isinstance(inner, dict):
            yield f"{indent}{name}:"
            yield from _yaml(inner, indent + "  ")
        elif isinstance(inner, list):
            yield f"{indent}{name}:"
            for element in inner:
                yield from _element(element, indent + "  ")
        else:
            yield f"{indent}{name}: {_scalar(inner)}"


def _element(value: Any, indent: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{indent}- {_scalar(value)}"
        return
    first, *lines = _yaml(value, indent + "  ")
    yield f"{indent}- {first.strip()}"
    yield from lines


_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_.:/-]*")
_RESERVED = {"true", "false", "yes", "no", "on", "off", "null", "y", "n"}


def _scalar(value: Any) -> str:
    """Text is quoted as in JSON, which YAML reads, unless it cannot be taken for anything else."""
    if (
        isinstance(value, str)
        and _PLAIN.fullmatch(value)
        and value.lower() not in _RESERVED
        and not value.endswith(":")
    ):
        return value
    return json.dumps(value, ensure_ascii=False)
