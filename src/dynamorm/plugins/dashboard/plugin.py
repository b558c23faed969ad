"""`Dashboard`: the plugin that looks at a database, and serves what it and other plugins have seen."""

from __future__ import annotations

import threading
import weakref
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from dynamorm.arguments import check_count, check_text
from dynamorm.errors import ConfigError, InvalidUse
from dynamorm.errors.log import logger
from dynamorm.plugin import OfOneProcess

from .figures import SAMPLED, History, figures_of
from .guard import Guard, checked_token, is_loopback, path_of
from .seen import Seen
from .timeline import Timelines

if TYPE_CHECKING:
    from dynamorm.effects import Reply
    from dynamorm.plugin import Call, Operation

    from .server import Server


class Dashboard(OfOneProcess):
    """A page with the figures of one database, served by a thread of its own: `url` tells where.

    It shows rates, latencies and outcomes (`db.metrics`, which it switches on), connections, and the slowest and the last
    verbs; also breaker, costs and hot keys, where the database has these plugins. Keys and values are nowhere in it; scopes
    are, as costs are told by them. It ends with its database, and a child process serves nothing.

    With ``audit=True`` it has a second page, ``/audit``, which shows the history of an item of a model whose changes are tracked,
    and whether its records hold: there keys are asked for, and values of tracked fields shown that are neither secret nor redacted.

    ``port`` 0 takes a free one. ``token`` is what one must know to look: 16 or more letters and digits; left out, each
    dashboard makes its own. Another ``host`` than one of this machine (loopback) needs a token and ``allow_remote=True``: it is
    plain HTTP, so let a proxy with TLS stand before it, or reach it through ``ssh -L``.

    Raises: ConfigError for arguments that are none, without the extra ``dashboard``, and, when it is registered, for a port
    that is taken.

    Example::

        db.use(dashboard := Dashboard())
        print(dashboard.url)
    """

    name = "dashboard"

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        token: str | None = None,
        *,
        allow_remote: bool = False,
        audit: bool = False,
    ) -> None:
        _check_extra()
        check_text("host", host, 255, subject="host of Dashboard", error=ConfigError)
        if not is_loopback(host) and (token is None or allow_remote is not True):
            raise ConfigError(
                f"host {host[:64]!r} of Dashboard can be reached from other machines: stay on 127.0.0.1 and use ssh -L, or write"
                " Dashboard(host=..., token=secrets.token_urlsafe(32), allow_remote=True) behind a proxy with TLS"
            )
        self._host = host
        self._asked = self._port = check_count("port", port, 0, 65_535, subject="port of Dashboard", error=ConfigError)
        self._token = checked_token(token)
        self._seen = Seen()
        self._history = History()
        self._db: weakref.ref[Any] | None = None
        self._server: Server | None = None
        self._counts = False
        self._turn = threading.RLock()
        self._timelines: Timelines | None = Timelines() if check_flag(audit) else None

    # The moments

    def joined(self, db: Any) -> None:
        """Begin to serve. Raises: ConfigError for a port that is taken, and for a second database."""
        begun = False
        try:
            with self._turn:
                self._check_free()
                begun = True
                self._begin(db)
        except BaseException:  # whoever is not registered serves nothing
            if begun:
                self._end()
            raise

    def _check_free(self) -> None:
        if self._server is not None and self._server.serves:
            raise ConfigError("a Dashboard shows one database: give each of them its own")

    def _begin(self, db: Any) -> None:
        from . import serving  # needs the extra: the terminal reads a dashboard without it

        sock = serving.listening(self._host, self._asked)
        try:
            self._port = sock.getsockname()[1]
            guard = Guard(
                serving.application(self._shown, None if self._timelines is None else self._timeline),
                self._token,
                port=self._port,
                any_name=not is_loopback(self._host),
                has_form=self._timelines is not None,
            )
            server = serving.Server(sock, guard, self._sample, SAMPLED)
        except BaseException:
            sock.close()
            raise
        self._seen.start()  # nothing of a database before this one
        self._history.clear()
        self._counts = False
        self._db = weakref.ref(db)
        self._server = server
        weakref.finalize(db, server.ask_to_stop).atexit = False  # of a database that nobody closes
        server.start()

    def _end(self) -> None:
        if self._server is not None:
            self._server.stop()

    def opened(self, db: Any) -> None:
        """Have the verbs of the database counted."""
        self._count(db)

    def closed(self, db: Any) -> None:
        """End with the database, or with a registration that was refused: then it may be registered again."""
        del db
        self._end()
        if self._timelines is not None:
            self._timelines.close()

    def forked(self) -> None:
        """A child process serves nothing, and what was seen is its parent's."""
        self._turn = threading.RLock()  # another thread may have held it
        if self._server is not None:
            self._server.forked()
        self._seen.start()
        self._history.clear()

    def observed(self, call: Call, reply: Reply | None, error: BaseException | None) -> None:
        """Count an attempt."""
        del reply, error
        self._seen.attempted(call)

    def ended(self, operation: Operation, error: BaseException | None) -> None:
        """Note a verb."""
        self._seen.ended(operation, error)

    # For programs

    @property
    def url(self) -> str:
        """Where the page is, with the token: a browser changes it for a cookie. Whoever has it may look.

        Raises: InvalidUse before a database has the dashboard, after that is closed, and in a child process.

        Example: ``print(dashboard.url)``
        """
        if self._server is None:
            raise InvalidUse("nothing is served yet: db.use(dashboard) begins it")
        db = self._database()
        if db is None or not self._server.serves:
            raise InvalidUse("the dashboard serves in the process that made it, and until its database is closed")
        self._count(db)
        return f"{self._address}{path_of(self._token)}/?token={self._token}"

    def figures(self) -> dict[str, Any] | None:
        """All that the page shows, as plain data; None where the database is gone.

        Example: ``dashboard.figures()["metrics"]["window"]["p99"]``
        """
        db = None if self._db is None else self._db()
        return None if db is None else figures_of(db, self._seen, self._history)

    def _shown(self) -> dict[str, Any] | None:
        """The figures for the page: a database that has not taken the dashboard shows nothing."""
        return None if self._database() is None else self.figures()

    def _timeline(self, asked: dict[str, list[str]]) -> dict[str, Any] | None:
        """What the audit trail tells of an item; None where the database is gone."""
        db = self._database()
        return None if db is None or self._timelines is None else self._timelines.of(db, asked)

    def _database(self) -> Any:
        """The database, where it has taken the dashboard."""
        db = None if self._db is None else self._db()
        return db if db is not None and any(one is self for one in db.plugins) else None

    @property
    def _address(self) -> str:
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self._host, self._host)  # noqa: S104 - what was asked for is told
        return f"http://{f'[{host}]' if ':' in host else host}:{self._port}"

    def _count(self, db: Any) -> None:
        """Switch on the figures of the database."""
        if self._counts:
            return
        self._counts = True
        try:
            db.metrics()
        except ConfigError as error:  # a plugin of another kind has the name
            logger.warning("the dashboard is without figures of verbs: %s", error)

    def _sample(self) -> None:
        """Note what is drawn over time."""
        db = None if self._db is None else self._db()
        if db is None:
            return
        self._seen.forget()
        try:
            self._history.sample(db)
        except Exception as error:  # noqa: BLE001 - as in the panels: the page says it
            logger.debug("the dashboard could not read the figures (%s)", type(error).__name__)

    def __repr__(self) -> str:
        serves = self._server is not None and self._server.serves
        return f"<Dashboard {self._address if serves else 'that does not serve'}>"


def check_flag(audit: Any) -> bool:
    """Refuse what is neither True nor False. Raises: ConfigError."""
    if audit.__class__ is not bool:
        raise ConfigError(f"audit of Dashboard is True or False, not {type(audit).__name__}")
    return bool(audit)


def _check_extra() -> None:
    if find_spec("starlette") is None or find_spec("uvicorn") is None:
        raise ConfigError('Dashboard needs Starlette and uvicorn: pip install "dynamorm-py[dashboard]"')
