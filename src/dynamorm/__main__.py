"""``python -m dynamorm COMMAND``: ``top`` shows a dashboard in the terminal, ``dashboard`` serves one, ``license`` shows a licence."""

import sys
from importlib import import_module

COMMANDS = {
    "dashboard": "dynamorm.plugins.dashboard.command",
    "license": "dynamorm.config.licence.command",
    "top": "dynamorm.plugins.dashboard.top",
}


def main(arguments: list[str] | None = None) -> int:
    """Run the command that is named first. Returns its exit status."""
    given = sys.argv[1:] if arguments is None else arguments
    if not given or given[0] not in COMMANDS:
        sys.stderr.write(f"usage: python -m dynamorm {{{','.join(COMMANDS)}}} ...\n")
        return 0 if given in (["-h"], ["--help"]) else 2
    status: int = import_module(COMMANDS[given[0]]).main(given[1:])
    return status


if __name__ == "__main__":
    raise SystemExit(main())
