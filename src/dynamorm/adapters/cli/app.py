"""The application: all commands, and what becomes of a command line that is none."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Annotated, Any, Final

import typer

from dynamorm import __version__

from .command import BEFORE, DEBUG, ENDPOINT, JSON, MODELS, PREFIX, PROFILE, REGION, told
from .ends import Code, Stop, one_line
from .out import leave_pipe
from .settings import Options

app: Final = typer.Typer(
    name="dynamorm",
    help="DynamoDB from the command line: tables, items, exports and imports.",
    no_args_is_help=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)

_MODULES: Final = ("start", "items", "tables", "transfers", "upkeep", "models", "protection", "beside")
for _name in _MODULES:
    import_module(f"dynamorm.adapters.cli.commands.{_name}").add(app)


@app.callback(invoke_without_command=True)
def _root(
    ctx: typer.Context,
    *,
    endpoint: ENDPOINT = None,
    region: REGION = None,
    profile: PROFILE = None,
    prefix: PREFIX = None,
    models: MODELS = None,
    json: JSON = False,
    debug: DEBUG = False,
    version: Annotated[bool, typer.Option("--version", help="show the version", show_default=False)] = False,
) -> None:
    """DynamoDB from the command line. Options of where and how may stand in front of a command, or behind it.

    Exit codes: 0 done, 1 refused, 2 wrong usage, 3 not found, 4 nothing to reach, 5 stopped half-way and resumable, 130 Ctrl-C.
    """
    if version:
        typer.echo(f"dynamorm {__version__}")
        raise typer.Exit
    ctx.obj = Options(endpoint, region, profile, prefix, models, json, debug)
    if ctx.invoked_subcommand is None:
        typer.echo(ctx.get_help())
        raise typer.Exit(int(Code.USAGE))


def main(arguments: Sequence[str]) -> int:
    """Run a command line. Returns its exit code."""
    completing = any(name.endswith("DYNAMORM_COMPLETE") for name in os.environ)
    try:
        found = app(list(arguments), prog_name="dynamorm", standalone_mode=completing)
    except KeyboardInterrupt:
        return told(Stop(Code.INTERRUPTED, "interrupted"))
    except BrokenPipeError:
        leave_pipe(sys.stdout)
        return Code.DONE
    except Exception as error:  # noqa: BLE001 - those of typer; any other is raised again
        return _refused(error)
    return found if isinstance(found, int) else Code.DONE


def _refused(error: Exception) -> int:
    """What was typed is no command. The exceptions of typer are told by what they offer: their places differ with its version."""
    if type(error).__name__ == "Abort":
        return told(Stop(Code.INTERRUPTED, "interrupted"))
    said: Any = getattr(error, "format_message", None)
    if said is None:
        raise error
    context = getattr(error, "ctx", None)
    where = "dynamorm" if context is None else context.command_path
    text = one_line(said()).rstrip(".")
    if type(error).__name__ == "NoSuchOption" and context is not None:
        text += _instead(context.command)
    return told(Stop(Code.USAGE, f"{text}; see `{where} --help`"))


def _instead(given: Any) -> str:
    """What there is in place of an option that there is not."""
    own = [one.opts[0] for one in given.params if one.param_type_name == "option" and not one.name.startswith(BEFORE)]
    has = f": there is {', '.join(own)}" if own else ""
    return f"{has}; a key or value that begins with - stands behind a --, which ends the options"
