"""``dynamorm`` and ``python -m dynamorm``: the command line, `dynamorm.adapters.cli`.

``top``, ``dashboard``, ``license`` and ``local`` need no more than what they use themselves; everything else needs the extra ``cli``.
"""

import signal
import sys
from importlib import import_module
from importlib.util import find_spec

COMMANDS = {
    "dashboard": "dynamorm.plugins.dashboard.command",
    "license": "dynamorm.config.licence.command",
    "local": "dynamorm.engine.command",
    "top": "dynamorm.plugins.dashboard.top",
}
MISSING = "the command line needs typer and rich: pip install 'dynamorm-py[cli]'"


def main(arguments: list[str] | None = None) -> int:
    """Run the command that is named. Returns its exit code."""
    try:
        return _run(arguments)
    except KeyboardInterrupt:  # before the command has begun, which tells the same
        sys.stderr.write("dynamorm: interrupted\n")
        return 130


def _run(arguments: list[str] | None) -> int:
    given = sys.argv[1:] if arguments is None else arguments
    if given and given[0] in COMMANDS:
        status: int = import_module(COMMANDS[given[0]]).main(given[1:])
        return status
    if find_spec("typer") is None or find_spec("rich") is None:
        sys.stderr.write(f"dynamorm: {MISSING}; without it there are: {', '.join(COMMANDS)}\n")
        return 0 if given in (["-h"], ["--help"]) else 2
    code: int = import_module("dynamorm.adapters.cli.app").main(given)
    return code


def run() -> int:
    """Run the command line of this process. Once it has ended, Ctrl-C no longer changes how: the exit code is told."""
    code = main()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return code


if __name__ == "__main__":
    raise SystemExit(run())
