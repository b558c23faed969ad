"""``python -m dynamorm top``: the figures of a dashboard in the terminal, drawn anew every two seconds.

The URL, which has the token, is taken from the environment or from the input: others on the machine see the arguments of
a command. It may be an argument, too.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from http.client import HTTPException
from typing import TYPE_CHECKING, Any, Final
from urllib.error import HTTPError, URLError
from urllib.parse import SplitResult, parse_qs, urlsplit, urlunsplit
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPSHandler,
    OpenerDirector,
    Request,
)

import msgspec

from dynamorm.errors import ConfigError
from dynamorm.errors.usage import OneLine

from .output import speaking

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

_PATIENCE: Final = 5.0
VARIABLE: Final = "DYNAMORM_DASHBOARD_URL"
_LARGEST: Final = 4 * 1024 * 1024
_PARTS: Final = frozenset(
    ("at", "broken", "breaker", "cost", "gauges", "history", "hot_keys", "last", "metrics", "slowest")
)


class _NoAnswer(Exception):
    """The dashboard does not answer, or not like one: the message says why."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. Returns its exit status: 1 where the dashboard does not answer, 2 where rich is missing, 130 for Ctrl-C."""
    parser = OneLine(prog="python -m dynamorm top", description=__doc__)
    parser.add_argument(
        "url",
        nargs="?",
        help=f"what dashboard.url tells, with its token; - reads it from the input, and without it {VARIABLE} is taken: others"
        " on this machine see the arguments of a command",
    )
    parser.add_argument("--once", action="store_true", help="print one frame, and end")
    parser.add_argument("--every", type=_interval, default=2.0, metavar="SECONDS", help="0.2 to 60 (default: 2)")
    given = parser.parse_args(arguments)
    return speaking(lambda: _run(given))


def _run(given: argparse.Namespace) -> int:
    try:
        return show(reader(_url(given.url)), every=given.every, once=given.once)
    except ConfigError as error:
        print(f"refused: {error.message}", file=sys.stderr)
        return 2
    except _NoAnswer as error:
        print(f"{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _url(given: str | None) -> str:
    """The URL as it is given. Raises: ConfigError where there is none."""
    found = os.environ.get(VARIABLE, "") if given is None else sys.stdin.readline(4096) if given == "-" else given
    if given is None and not found:
        raise ConfigError(
            f"top needs the URL of a dashboard: set {VARIABLE} to what dashboard.url tells, or write it to top -"
        )
    return found.strip()


def _interval(text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = 0.0
    if not 0.2 <= found <= 60:
        raise argparse.ArgumentTypeError("seconds from 0.2 to 60")
    return found


def reader(url: str) -> Callable[[], dict[str, Any]]:
    """A function that asks the dashboard for its figures. Raises: ConfigError for what is no URL of one."""
    parts = _parts_of(url)
    if parts is None:
        raise ConfigError("the URL of a dashboard is http://127.0.0.1:PORT/.../?token=..., as dashboard.url tells it")
    token = parse_qs(parts.query).get("token", [""])[0]
    where = urlunsplit((parts.scheme, parts.netloc, f"{parts.path.rstrip('/')}/figures.json", "", ""))
    shown = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
    opener = _opener()

    def read() -> dict[str, Any]:
        request = Request(where, headers={"Authorization": f"Bearer {token}"})  # noqa: S310 - see above
        try:
            with opener.open(request, timeout=_PATIENCE) as answer:
                found = msgspec.json.decode(answer.read(_LARGEST))
        except HTTPError as error:
            hint = ": the URL needs the token, take the whole of dashboard.url" if error.code == 401 else ""
            raise _NoAnswer(f"{shown} answers {error.code}{hint}") from error
        except (URLError, OSError, HTTPException, ValueError, RecursionError) as error:
            why = error.reason if isinstance(error, URLError) else type(error).__name__
            raise _NoAnswer(f"{shown} does not answer as a dashboard: {why}") from error
        if not isinstance(found, dict) or not found.keys() >= _PARTS:
            raise _NoAnswer(f"{shown} is no dashboard of this version of DynamORM")
        return found

    return read


def _parts_of(url: str) -> SplitResult | None:
    """The parts of a URL; None for what is none, and has no host that can be asked."""
    if not url.isascii() or not url.isprintable() or " " in url:
        return None
    try:
        parts = urlsplit(url)
        asked = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a host, or a port, that none can be
        return None
    return parts if asked else None


def _opener() -> OpenerDirector:
    """What asks the address itself: no proxy, and nowhere else, for the token is for the dashboard alone."""
    opener = OpenerDirector()
    for handler in (HTTPHandler(), HTTPSHandler(), HTTPDefaultErrorHandler(), HTTPErrorProcessor()):
        opener.add_handler(handler)
    return opener


def show(read: Callable[[], dict[str, Any]], *, every: float, once: bool) -> int:
    """Draw frame after frame, or one. Raises: ConfigError without rich."""
    console = _console()
    from .screen import frame  # needs rich, which was looked for

    if once:
        console.print(_drawn(frame, read))
        return 0
    from rich.live import Live  # as above

    drawn: RenderableType = _drawn(frame, read)
    with Live(drawn, console=console, screen=console.is_terminal, auto_refresh=False) as live:
        while True:
            time.sleep(every)
            try:
                drawn = _drawn(frame, read)
                live.update(drawn, refresh=True)
            except _NoAnswer as error:
                live.update(f"{error} (asking again every {every:g} s; Ctrl-C ends)", refresh=True)


def _drawn(frame: Callable[[dict[str, Any]], RenderableType], read: Callable[[], dict[str, Any]]) -> RenderableType:
    told = read()
    try:
        return frame(told)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise _NoAnswer("what is answered there is not of a dashboard of this version of DynamORM") from error


def _console() -> Console:
    try:
        from rich.console import Console  # the extra `top`
    except ImportError as missing:
        raise ConfigError('top needs rich: pip install "dynamorm-py[top]"') from missing
    return Console()
