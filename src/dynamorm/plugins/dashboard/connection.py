"""`Connection`: one connection to the dashboard. Uvicorn speaks HTTP on it; what strangers may cost is bounded here.

Uvicorn writes nothing into the log of the program: anybody on this machine could have it write, and at its lowest level it
writes what was asked for, with the token.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any, Final

from uvicorn import Config
from uvicorn.protocols.http.h11_impl import H11Protocol

from .guard import HEADERS, KNOWN

if TYPE_CHECKING:
    from uvicorn.server import ServerState

    from .guard import Application

REQUEST: Final = 5.0
"""Seconds for a whole request, from the connection or the last answer on."""
ANSWER: Final = 10.0
"""Seconds for an answer, also for who reads it slowly."""
_LARGEST: Final = 16 * 1024
"""Bytes of a request's head."""
_NOWHERE: Final = logging.Logger("dynamorm.dashboard.nowhere", logging.CRITICAL + 1)  # noqa: LOG001 - of no program's tree
_NOWHERE.disabled = True
_BAD: Final = b"This is no HTTP request.\n"


def settings(application: Application) -> Config:
    """What uvicorn is told, without a word of the environment. It is loaded already: loading looks at levels of logging."""
    made = Config(
        application, http=Connection, ws="none", lifespan="off", log_config=None, proxy_headers=False, server_header=False,
        date_header=False, workers=1, forwarded_allow_ips="127.0.0.1", h11_max_incomplete_event_size=_LARGEST, interface="asgi3",
    )  # fmt: skip
    made.loaded, made.loaded_app, made.ws_protocol_class = True, application, None
    return made


class Connection(H11Protocol):
    """Ends by itself where no request comes in time, or its answer is not taken.

    ``is_known``: the guard has let a request of it pass. ``since``: when it was made.
    """

    def __init__(self, config: Config, server_state: ServerState) -> None:
        super().__init__(config=config, server_state=server_state, app_state={KNOWN: self._know})
        self.logger: logging.Logger = _NOWHERE
        self.access_logger: logging.Logger = _NOWHERE
        self.access_log = False
        self.is_known: bool = False
        self.since: float = time.monotonic()
        self._watched: Any = None
        self._limit: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as in uvicorn
        """Begin to count."""
        super().connection_made(transport)
        self._wait(REQUEST)

    def connection_lost(self, exc: Exception | None) -> None:
        """Count no more."""
        super().connection_lost(exc)
        if self._limit is not None:
            self._limit.cancel()

    def data_received(self, data: bytes) -> None:
        """Look whether a request has begun."""
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        super().on_response_complete()
        self._watch()

    def drop(self) -> None:
        """Close it at once, whatever is under way."""
        self.transport.abort()

    def shutdown(self) -> None:
        """End with the dashboard: a request that is under way is answered, to one who reads what was answered before."""
        if self.flow.write_paused:
            self.drop()
        else:
            super().shutdown()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP, as the guard answers what is no good request."""
        del msg
        if self._under_way() is not None:  # the request before it
            self.drop()
            return
        fields = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % len(_BAD)), *HEADERS]
        head = b"".join(b"%s: %s\r\n" % field for field in fields)
        self.transport.write(b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n" + head + b"\r\n" + _BAD)
        self.transport.close()

    def _know(self) -> None:
        self.is_known = True

    def _watch(self) -> None:
        """Begin to count anew where a request has begun, or has ended."""
        under_way = self._under_way()
        if under_way is not self._watched:
            self._watched = under_way
            self._wait(REQUEST if under_way is None else ANSWER)

    def _under_way(self) -> Any:
        """The request that is being answered."""
        cycle: Any = self.cycle  # None before the first one, whatever uvicorn declares
        return None if cycle is None or cycle.response_complete else cycle

    def _wait(self, limit: float) -> None:
        if self._limit is not None:
            self._limit.cancel()
        self._limit = self.loop.call_later(limit, self.drop)
