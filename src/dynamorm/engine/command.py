"""``python -m dynamorm.engine``: an engine over HTTP, until it is stopped. It must not know requests."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Mapping, Sequence

from dynamorm.engine.engine import Engine
from dynamorm.errors import ConfigError
from dynamorm.errors.usage import OneLine

_CTRL_C = 130
_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")


def main(arguments: Sequence[str] | None = None, environ: Mapping[str, str] = os.environ) -> int:
    """Serve until SIGINT, which is Ctrl-C, or SIGTERM. Returns the exit status: 1 where it cannot begin, 130 for Ctrl-C."""
    given = _parser().parse_args(arguments)
    try:
        keys = _keys(environ) if given.verify else None
        with Engine(given.file, durability=given.durability) as engine:
            server = engine.serve(given.port, given.host, verify=given.verify, keys=keys)
            where = "in memory" if given.file is None else given.file
            until = _Until()  # before somebody is told that it has begun
            sys.stdout.write(f"DynamoDB at {server.endpoint}, {where}; Ctrl-C ends it\n")
            sys.stdout.flush()
            return until.told()
    except ConfigError as error:
        sys.stderr.write(f"dynamorm.engine: {error}\n")
        return 1


def _parser() -> OneLine:
    parser = OneLine(
        prog="python -m dynamorm.engine", description="DynamoDB on this machine, for development and tests."
    )
    parser.add_argument("--port", type=int, default=8000, help="0 takes one that is free (default: %(default)s)")
    parser.add_argument("--host", default="127.0.0.1", help="who reaches it may do everything (default: %(default)s)")
    parser.add_argument("--file", metavar="PATH", help="keep everything in this file; without it in memory")
    parser.add_argument(
        "--durability",
        choices=("process", "power"),
        default="process",
        help="what a file survives: the end of the process, or of the machine (default: %(default)s)",
    )
    parser.add_argument(
        "--verify", action="store_true", help=f"check signatures, with the key in {' and '.join(_KEYS)}"
    )
    return parser


def _keys(environ: Mapping[str, str]) -> dict[str, str]:
    key_id, secret = (environ.get(name, "") for name in _KEYS)
    if not key_id or not secret:
        raise ConfigError(f"--verify checks signatures with the key in {' and '.join(_KEYS)}: set both")
    return {key_id: secret}


class _Until:
    """Waits for a signal that ends the command."""

    def __init__(self) -> None:
        self._told = threading.Event()
        self._statuses: list[int] = []
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._stop)

    def _stop(self, number: int, _: object) -> None:
        self._statuses.append(_CTRL_C if number == signal.SIGINT else 0)
        self._told.set()

    def told(self) -> int:
        """Wait. Returns the exit status that the signal makes."""
        self._told.wait()
        return self._statuses[0]
