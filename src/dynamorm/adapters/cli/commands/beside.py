"""``local``, ``top``, ``dashboard`` and ``license``: commands of their own, which read their arguments themselves."""

from __future__ import annotations

from importlib import import_module
from typing import Final

import typer

from ..command import told
from ..ends import Code, Stop
from ..settings import Options

COMMANDS: Final = {
    "local": ("dynamorm.engine.command", "Serve DynamoDB on this machine: --port N --file PATH."),
    "top": ("dynamorm.plugins.dashboard.top", "Show the figures of a program's dashboard in the terminal."),
    "dashboard": ("dynamorm.plugins.dashboard.command", "Serve a page with figures."),
    "license": ("dynamorm.config.licence.command", "Show what a licence says."),
}


def add(app: typer.Typer) -> None:
    """Add the commands."""
    for name, (module, text) in COMMANDS.items():
        _add(app, name, module, text)


def _add(app: typer.Typer, name: str, module: str, text: str) -> None:
    settings = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}

    @app.command(name, help=text, context_settings=settings, add_help_option=False)
    def run(ctx: typer.Context) -> None:
        given = [f"--{option}" for option, value in (ctx.obj or Options())._asdict().items() if value]
        if given:
            said = f"{name} takes no {', '.join(given)}; see `dynamorm {name} --help`"
            raise typer.Exit(int(told(Stop(Code.USAGE, said))))
        raise typer.Exit(int(import_module(module).main(list(ctx.args))))
