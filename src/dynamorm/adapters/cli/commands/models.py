"""``models``: models of tables that others write, and what others make of models."""

from __future__ import annotations

from itertools import islice
from typing import Annotated, Any

import msgspec
import typer

from dynamorm.export import cloudformation_yaml, terraform
from dynamorm.models.annotations import Scope, resolve
from dynamorm.models.schema.schema import Schema, schema_of

from ..command import command
from ..ends import Code, Stop
from ..generating import generated
from ..settings import Settings, models_of
from .items import items_of

FORMATS = ("cloudformation", "terraform", "json-schema")


def add(app: typer.Typer) -> None:
    """Add the commands."""
    models = typer.Typer(help="Models: generate them of a table, export them.", rich_markup_mode=None)
    app.add_typer(models, name="models")
    command(models, "generate")(generate)
    command(models, "export")(export)


def generate(
    settings: Settings,
    *,
    table: Annotated[str, typer.Argument(metavar="TABLE", help="the name of a table", show_default=False)],
    sample: Annotated[int, typer.Option("--sample", min=1, max=1_000_000, help="look at so many items")] = 1_000,
    name: Annotated[str | None, typer.Option("--name", help="the name of the class", show_default=False)] = None,
) -> None:
    """Write a module with the model of a table to stdout, by its description and a sample of its items."""
    if name is not None and not (name.isascii() and name.isidentifier()):
        raise Stop(Code.USAGE, f"--name {name[:40]!r} is no name of a class")
    raw = settings.table(table)
    items = (msgspec.json.decode(item) for item in islice(items_of(raw, "Scan", {}, sample), sample))
    text = generated(raw.shape, table, items, name)
    if settings.out.json:
        settings.out.row(table=raw.name, module=text)
    else:
        settings.out.line(text.rstrip("\n"))
    settings.out.note("look at it: a sample does not show what other items hold")


def export(
    settings: Settings,
    *,
    models: Annotated[
        list[str], typer.Argument(metavar="MODULE:MODEL...", help="models, or modules", show_default=False)
    ],
    format: Annotated[str, typer.Option("--format", metavar="|".join(FORMATS))] = "cloudformation",
) -> None:
    """Write what others make of models to stdout: their tables for CloudFormation or Terraform, or JSON Schema."""
    found = models_of(models)
    prefix = settings.options.prefix or ""
    if format == "json-schema":
        for model in found:
            settings.out.raw(msgspec.json.encode(_schema(schema_of(model))))
        return
    if format not in FORMATS:
        raise Stop(Code.USAGE, f"--format {format[:40]!r} is none of {', '.join(FORMATS)}")
    text = (cloudformation_yaml if format == "cloudformation" else terraform)(found, table_prefix=prefix)
    if settings.out.json:
        settings.out.row(format=format, text=text)
    else:
        settings.out.line(text.rstrip("\n"))


def _schema(schema: Schema) -> dict[str, Any]:
    """The JSON Schema of a model, by the names of its fields. A type of the program's own may be anything."""
    scope = Scope({}, schema.model.__module__, dict(schema.namespace))
    properties: dict[str, Any] = {}
    definitions: dict[str, Any] = {}
    for field in schema.fields.values():
        kind = resolve(field.annotation, scope) if isinstance(field.annotation, str) else field.annotation
        try:
            (properties[field.name],), more = msgspec.json.schema_components([kind], ref_template="#/$defs/{name}")
        except (TypeError, ValueError):
            properties[field.name], more = {}, {}
        definitions |= more
    required = [field.name for field in schema.fields.values() if field.required]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": schema.name,
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
        **({"$defs": definitions} if definitions else {}),
    }
