"""What makes a command of a function: the options that all have, its settings, and how it ends."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from functools import wraps
from inspect import Parameter, signature
from typing import Annotated, Any, Final, get_type_hints

import typer

from .ends import Code, Stop, end_of
from .out import leave_pipe, visible, write
from .settings import Options, Settings

ENDPOINT = Annotated[
    str | None,
    typer.Option("--endpoint", metavar="URL", help="where DynamoDB is (DYNAMODB_ENDPOINT)", show_default=False),
]
REGION = Annotated[str | None, typer.Option("--region", help="the Region (AWS_REGION)", show_default=False)]
PROFILE = Annotated[str | None, typer.Option("--profile", help="the profile in ~/.aws/config", show_default=False)]
PREFIX = Annotated[str | None, typer.Option("--prefix", help="what the names of tables begin with", show_default=False)]
MODELS = Annotated[
    str | None, typer.Option("--models", metavar="MODULE", help="use the models of this module", show_default=False)
]
JSON = Annotated[bool, typer.Option("--json", help="one JSON object per line on stdout", show_default=False)]
DEBUG = Annotated[bool, typer.Option("--debug", help="show where an error comes from", show_default=False)]

_COMMON: Final[dict[str, Any]] = {
    "endpoint": ENDPOINT,
    "region": REGION,
    "profile": PROFILE,
    "prefix": PREFIX,
    "models": MODELS,
    "json": JSON,
    "debug": DEBUG,
}

_DEFAULTS: Final = Options()._asdict()
BEFORE: Final = "common_"  # a command may have an argument of that name


def command(app: typer.Typer, name: str, **settings: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add a function to the application: its first argument is the `Settings`, the others are those of the command line."""

    def add(function: Callable[..., Any]) -> Callable[..., Any]:
        app.command(name, **settings)(_with_settings(function))
        return function

    return add


def _with_settings(function: Callable[..., Any]) -> Callable[..., Any]:
    own = list(signature(function).parameters.values())[1:]
    hints = get_type_hints(function, include_extras=True)

    @wraps(function)
    def run(ctx: typer.Context, **arguments: Any) -> None:
        options = Options(**{name: arguments.pop(f"{BEFORE}{name}") for name in _COMMON})
        if isinstance(ctx.obj, Options):
            options = options.over(ctx.obj)
        code = ended(options, lambda settings: function(settings, **arguments))
        raise typer.Exit(int(code))

    del run.__wrapped__  # typer would read the arguments of the function
    parameters = [Parameter("ctx", Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)]
    parameters += [
        Parameter(one.name, Parameter.KEYWORD_ONLY, default=one.default, annotation=hints[one.name]) for one in own
    ]
    parameters += [
        Parameter(f"{BEFORE}{name}", Parameter.KEYWORD_ONLY, default=_DEFAULTS[name], annotation=kind)
        for name, kind in _COMMON.items()
    ]
    run.__signature__ = signature(run).replace(parameters=parameters, return_annotation=None)  # type: ignore[attr-defined] # typer reads it
    run.__annotations__ = {one.name: one.annotation for one in parameters}
    return run


def ended(options: Options, work: Callable[[Settings], Any]) -> Code:
    """Do the work of a command. Returns its exit code, after what there is to say was said."""
    settings = Settings(options)
    try:
        try:
            found = work(settings)
        finally:
            settings.close()
    except BrokenPipeError:
        leave_pipe(sys.stdout)
        return Code.DONE
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - each is told on one line
        if options.debug:
            trace = "".join(traceback.format_exception(error))
            write(sys.stderr, "\n".join(map(visible, trace.split("\n"))))
        return told(end_of(error))
    return found if isinstance(found, Code) else Code.DONE


def told(stop: Stop) -> Code:
    """Say why a command ends, on one line. Returns its exit code."""
    if stop.message:
        write(sys.stderr, f"dynamorm: {visible(stop.message)}\n")
    return stop.code
