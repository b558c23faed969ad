"""``tables``: what is there, what the models want, and the way from one to the other."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import typer

from dynamorm.features.tables import look

from ..command import command
from ..ends import Code, Stop
from ..settings import Settings, models_of
from .models import export as export_models

MODELS = Annotated[
    list[str],
    typer.Argument(metavar="MODULE:MODEL...", help="models, or modules for all of theirs", show_default=False),
]
DELETE = Annotated[bool, typer.Option("--allow-delete", help="plan to delete indexes that no model has, too")]


def add(app: typer.Typer) -> None:
    """Add the commands."""
    tables = typer.Typer(help="Tables: list, describe, plan, apply, check, export.", rich_markup_mode=None)
    app.add_typer(tables, name="tables")
    command(tables, "list")(list_names)
    command(tables, "describe")(describe)
    command(tables, "plan")(plan)
    command(tables, "apply")(apply)
    command(tables, "check")(check)
    command(tables, "export")(export)


def list_names(settings: Settings) -> None:
    """Show the names of all tables that begin with the prefix, without it."""
    prefix = len(settings.db.config.table_prefix)
    for name in settings.db.tables.names():
        if settings.out.json:
            settings.out.row(table=name[prefix:])
        else:
            settings.out.line(name[prefix:])


def describe(
    settings: Settings, *, table: Annotated[str, typer.Argument(metavar="TABLE", help="the name", show_default=False)]
) -> None:
    """Show a table: key, indexes, billing, expiry, stream, recovery, encryption, tags."""
    raw = settings.table(table)
    live = raw.run(look.describe(raw.db._session, raw.name))  # noqa: SLF001 - it belongs to the library
    if settings.out.json:
        settings.out.raw(msgspec.json.encode(live))
        return
    settings.out.line(_described(live))


def _described(live: Any) -> str:
    rows = [
        ("table", f"{live.name}, {live.status}"),
        ("key", _key(live)),
        ("items", f"{live.item_count:,}, {live.size_bytes:,} bytes (up to six hours old)"),
        ("billing", live.billing_mode),
        ("class", live.table_class),
        ("expiry", live.ttl or ("off" if live.ttl == "" else "not told")),
        ("stream", live.stream or "off"),
        ("recovery", {True: "on", False: "off", None: "not told"}[live.point_in_time_recovery]),
        ("protection", "on" if live.deletion_protection else "off"),
        ("encryption", live.encryption),
    ]
    rows += [("tag", f"{name}={value}") for name, value in sorted((live.tags or {}).items())]
    for index in live.indexes.values():
        parts = ", ".join((*index.partition, *index.sort))
        state = f", {index.status}" if index.status else ""
        rows.append(("index", f"{index.name} ({index.kind}) on {parts}, projects {index.projection}{state}"))
    return "\n".join(f"{name:<11}{text}" for name, text in rows)


def _key(live: Any) -> str:
    names = [live.partition, *([live.sort] if live.sort else [])]
    return ", ".join(f"{name} ({live.key_types.get(name, '?')})" for name in names)


def plan(settings: Settings, *, models: MODELS, allow_delete: DELETE = False) -> None:
    """Show what would have to be done so that the tables are as the models want them. Nothing is changed.

    Exit code 1 where something cannot be done.
    """
    found = settings.tables_db.tables.plan(*models_of(models), allow_delete=allow_delete)
    if settings.out.json:
        for step in found.steps:
            settings.out.row(step=step.kind, table=step.table, text=step.text, call=step.call, request=step.request)
        for kind, texts in (("problem", found.problems), ("note", found.notes)):
            for text in texts:
                settings.out.row(**{kind: text})
    else:
        settings.out.line(str(found))
    if found.problems:
        raise Stop(Code.REFUSED, f"{len(found.problems)} differences cannot be mended; see what is said of them")


def apply(
    settings: Settings,
    *,
    models: MODELS,
    allow_delete: DELETE = False,
    yes: Annotated[bool, typer.Option("--yes", help="do it without asking")] = False,
    skip_unavailable: Annotated[
        bool, typer.Option("--skip-unavailable", help="pass over what a local engine lacks")
    ] = False,
) -> None:
    """Make the tables as the models want them, step by step. It may be interrupted, and run again."""
    found = settings.tables_db.tables.plan(*models_of(models), allow_delete=allow_delete)
    if found.steps and not yes:
        settings.out.note(str(found).replace("\n", "; "))
        raise Stop(Code.USAGE, "give --yes to do this; `dynamorm tables plan` shows it")
    made = settings.tables_db.tables.apply(
        found, progress=lambda progress: settings.out.note(str(progress)), skip_unavailable=skip_unavailable
    )
    for step in made:
        if settings.out.json:
            settings.out.row(made=step.text, table=step.table)
        else:
            settings.out.line(step.text)
    if not made:
        settings.out.note("nothing to do")


def check(settings: Settings, *, models: MODELS) -> None:
    """Look whether the tables fit the models. Exit code 1 where they do not."""
    notes = settings.tables_db.tables.check(*models_of(models))
    for note in notes:
        if settings.out.json:
            settings.out.row(note=note)
        else:
            settings.out.line(note)
    settings.out.note("the tables fit the models")


def export(
    settings: Settings,
    *,
    models: MODELS,
    format: Annotated[str, typer.Option("--format", metavar="cloudformation|terraform")] = "cloudformation",
) -> None:
    """Write the tables of models for CloudFormation or Terraform to stdout."""
    if format not in {"cloudformation", "terraform"}:
        raise Stop(Code.USAGE, f"--format {format[:40]!r} is neither cloudformation nor terraform")
    export_models(settings, models=models, format=format)
