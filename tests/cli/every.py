"""Every command of the command line, with arguments that are right but for what they name."""

from __future__ import annotations

from typing import Any

import typer

from dynamorm.adapters.cli.app import app

DB = ("--db", "tests.cli.vault:open_db")
PAYMENT, CARD = "tests.cli.vault:Payment", "tests.cli.vault:Card"
FUNCTION = "tests.cli.backfills:nothing"
COMMANDS: dict[str, tuple[str, ...]] = {
    "init": ("shop",),
    "put": ("nowhere", '{"id": "p1"}'),
    "get": ("nowhere", "p1"),
    "delete": ("nowhere", "p1", "--yes"),
    "query": ("nowhere", "p1"),
    "scan": ("nowhere",),
    "tables list": (),
    "tables describe": ("nowhere",),
    "tables plan": ("tests.spread.shop",),
    "tables apply": ("tests.spread.shop", "--yes"),
    "tables check": ("tests.spread.shop",),
    "tables export": ("tests.spread.shop",),
    "export": ("nowhere", "items.jsonl"),
    "import": ("nowhere", "lines.jsonl", "--yes"),
    "copy": ("nowhere", "elsewhere", "--yes"),
    "backfill": ("nowhere", FUNCTION),
    "cost": ("nowhere",),
    "doctor": ("nowhere",),
    "models generate": ("nowhere",),
    "models export": ("tests.spread.shop",),
    "audit history": (PAYMENT, "p1", *DB),
    "audit verify": (PAYMENT, *DB),
    "audit export": (PAYMENT, "records.jsonl", *DB),
    "keys rotate": ("pci", CARD, *DB, "--yes"),
    "keys reencrypt": (CARD, *DB, "--yes"),
    "local": ("--port", "0"),
    "top": ("--once",),
    "dashboard": (),
    "license": (),
}
OWN = {"local", "top", "dashboard", "license"}
"""Those that read their arguments themselves."""
OFFLINE = {"init", "tables export", "models export", *OWN}
"""Those that ask no DynamoDB."""


def commands() -> dict[str, Any]:
    """Every command by its name, as typer has it: what is offered is tested."""
    found: dict[str, Any] = {}

    def look(group: Any, before: str) -> None:
        for name, one in group.commands.items():
            if hasattr(one, "commands"):
                look(one, f"{before}{name} ")
            else:
                found[before + name] = one

    look(typer.main.get_command(app), "")
    return found


def numbers(one: Any) -> dict[str, Any]:
    """The options of a command that take a number, and the least one."""
    named = [(param.opts[0], param) for param in one.params if param.param_type_name == "option"]
    least = {name: getattr(param, "min", getattr(getattr(param, "type", None), "min", None)) for name, param in named}
    return {name: one for name, one in least.items() if one is not None}
