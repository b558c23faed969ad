"""``models``: models of tables that others write, and what others make of models."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from dynamorm.export import cloudformation_yaml, terraform
from dynamorm.features.tables import look

from ..command import command
from ..ends import Code, Stop
from ..exports.dms import dms
from ..exports.json_schema import json_schema
from ..generate.checks import check
from ..generate.declared import declared
from ..generate.documents import read
from ..generate.names import is_class_name
from ..generate.sampled import Sample, generated
from ..settings import OfTables, Settings, models_of
from .items import items_of

FORMATS = ("cloudformation", "terraform", "json-schema", "dms")


def add(app: typer.Typer) -> None:
    """Add the commands."""
    models = typer.Typer(help="Models: generate them of a table, export them.", rich_markup_mode=None)
    app.add_typer(models, name="models")
    command(models, "generate")(generate)
    command(models, "export")(export)


def generate(
    settings: Settings,
    *,
    table: Annotated[
        str | None, typer.Argument(metavar="[TABLE]", help="the name of a table", show_default=False)
    ] = None,
    sample: Annotated[int, typer.Option("--sample", min=1, max=1_000_000, help="look at so many items")] = 1_000,
    name: Annotated[str | None, typer.Option("--name", help="the name of the class", show_default=False)] = None,
    from_dms: Annotated[
        Path | None,
        typer.Option("--from-dms", metavar="FILE", help="write the models of a DMS document, in YAML or JSON"),
    ] = None,
) -> None:
    """Write a module with the model of a table to stdout, by its description and a sample of its items.

    With --from-dms it has the models of a document that libraries of other languages share.
    """
    if (table is None) == (from_dms is None):
        raise Stop(Code.USAGE, "give the name of a table, or --from-dms FILE")
    if name is not None and (table is None or not is_class_name(name)):
        raise Stop(
            Code.USAGE, f"--name {name[:40]!r} is no name of a class" if table else "--name is for the model of a table"
        )
    if from_dms is not None:
        document, source = read(from_dms)
        check(document, source)
        _say(settings, declared(document, from_dms.name), file=str(from_dms))
        return
    raw = settings.table(str(table))
    live = raw.run(look.describe(raw.db._session, raw.name, ("ttl",)))  # noqa: SLF001 - it belongs to the library
    items = (msgspec.json.decode(item) for item in items_of(raw, "Scan", {}, sample + 1))
    found = Sample(items, sample)
    _say(settings, generated(live, str(table), found, name), table=raw.name)
    settings.out.note(
        f"all {found.total} items were looked at"
        if found.whole
        else f"the first {found.total} items were looked at; what others hold may not fit: --sample looks at more"
    )


def _say(settings: Settings, text: str, **of: Any) -> None:
    if settings.out.json:
        settings.out.row(**of, module=text)
    else:
        settings.out.line(text.rstrip("\n"))


def export(
    settings: Settings,
    *,
    models: Annotated[
        list[str], typer.Argument(metavar="MODULE:MODEL...", help="models, or modules", show_default=False)
    ],
    format: Annotated[str, typer.Option("--format", metavar="|".join(FORMATS))] = "cloudformation",
) -> None:
    """Write what others make of models to stdout: tables for CloudFormation or Terraform, JSON Schema, or a DMS document."""
    if format not in FORMATS:
        raise Stop(Code.USAGE, f"--format {format[:40]!r} is none of {', '.join(FORMATS)}")
    found = models_of(models)
    prefix = settings.options.prefix or ""
    if format == "json-schema":
        for model in found:
            settings.out.raw(msgspec.json.encode(json_schema(model)))
        return
    if format == "dms":
        text = dms(found)
    else:
        text = (cloudformation_yaml if format == "cloudformation" else terraform)(
            found, table_prefix=prefix, extensions=(OfTables(),)
        )
    if settings.out.json:
        settings.out.row(format=format, text=text)
    else:
        settings.out.line(text.rstrip("\n"))
