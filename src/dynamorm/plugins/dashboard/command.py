"""``python -m dynamorm.dashboard``: opens a database, tells the URL of its page, and serves it until Ctrl-C.

A page shows what its own process does. So a program has its dashboard by ``db.use(Dashboard())``; this command is to see
whether the settings of the environment reach DynamoDB (it asks for the names of the tables every few seconds), or, with
``--demo``, what a page looks like: on an engine inside the process, which needs no AWS.
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib import import_module
from typing import Any, Final

from dynamorm import DB, CircuitBreakerConfig, Config, DynamORMError
from dynamorm.errors import ConfigError
from dynamorm.errors.usage import OneLine
from dynamorm.plugins import CostPlugin, HotKeys

from .output import speaking
from .plugin import Dashboard
from .top import VARIABLE

_CTRL_C: Final = 130
_ASKED: Final = 5.0
"""Seconds between two questions for the tables."""


def main(arguments: Sequence[str] | None = None, ended: threading.Event | None = None) -> int:
    """Run the command until ``ended`` is set, or it is interrupted. Returns its exit status: 130 for Ctrl-C."""
    parser = OneLine(
        prog="python -m dynamorm.dashboard", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--demo", action="store_true", help="requests of a made-up shop on an engine inside the process"
    )
    parser.add_argument("--port", type=int, default=0, help="the port on 127.0.0.1 (default: a free one)")
    given = parser.parse_args(arguments)
    status: list[int] = []
    until = _until_stopped(status) if ended is None else ended
    return speaking(lambda: _run(given, until)) or next(iter(status), 0)


def _run(given: argparse.Namespace, ended: threading.Event) -> int:
    try:
        dashboard = Dashboard(port=given.port)
        config = _of_its_own() if given.demo else Config.from_env()
        config = config.replace(circuit_breaker=config.circuit_breaker or CircuitBreakerConfig())
        with DB(config, extensions=(CostPlugin(), HotKeys(every=1), dashboard)) as db:
            _serve(db, dashboard, _shop if given.demo else _look, ended)
    except DynamORMError as error:
        hint = " (--demo needs no settings)" if isinstance(error, ConfigError) and not given.demo else ""
        print(f"refused: {error.message}{hint}", file=sys.stderr)
        return 2
    return 0


def _of_its_own() -> Config:
    """Settings of an engine of this command's own: a demo writes, so it looks at nothing of the environment."""
    return Config(engine=import_module("dynamorm.engine").Engine())  # by name: it is loaded for the demo alone


def _serve(db: DB, dashboard: Dashboard, work: Callable[[DB, threading.Event], None], ended: threading.Event) -> None:
    print(f"the dashboard is at {dashboard.url}", flush=True)
    print(f"in the terminal: {VARIABLE}='{dashboard.url}' python -m dynamorm top", flush=True)
    print("Ctrl-C ends it. In a program: db.use(Dashboard())", flush=True)
    work(db, ended)


def _look(db: DB, ended: threading.Event) -> None:
    """Ask whether DynamoDB answers, every few seconds: the page shows what comes of it."""
    while True:
        with suppress(DynamORMError):  # it is on the page
            db.tables.names()
        if ended.wait(_ASKED):
            return


def _shop(db: DB, ended: threading.Event) -> None:
    from .shop import run  # only for the demo

    run(db, ended)


def _until_stopped(status: list[int]) -> threading.Event:
    """An event that is set by Ctrl-C, and when the process is asked to end; and the exit status that it makes."""
    ended = threading.Event()

    def stop(number: int, _: Any) -> None:
        status.append(_CTRL_C if number == signal.SIGINT else 0)
        ended.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    return ended
