"""Who may see the page: `Guard` stands around the application, and looks at each request before anything else does.

Only GET; only under a name of this machine, so that no page of the web can have a name of its own lead here (DNS
rebinding); only with the token, which a browser changes for a cookie that no script and no other site can use.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, MutableMapping
from ipaddress import ip_address
from secrets import compare_digest, token_urlsafe
from typing import Any, Final, TypeAlias
from urllib.parse import parse_qs

from dynamorm.errors import ConfigError

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

SHORTEST, LONGEST = 16, 256
_TOKEN: Final = re.compile(r"[A-Za-z0-9_.~-]+", re.ASCII)
_LOOPBACK: Final = re.compile(r"(localhost|127(\.[0-9]{1,3}){3}|\[::1\])(:[0-9]{1,5})?", re.ASCII | re.IGNORECASE)

_POLICY: Final = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:;"
    b" base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_POLICY_WITH_FORM: Final = _POLICY.replace(b"form-action 'none'", b"form-action 'self'")
HEADERS: Final = (
    (b"content-security-policy", _POLICY),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)
"""Sent with each answer."""


def is_loopback(host: str) -> bool:
    """Whether a host to listen on is this machine alone."""
    if host.lower() == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def checked_token(token: Any) -> str:
    """A token as it is given, or a new one for None. Raises: ConfigError, which does not show it."""
    if token is None:
        return token_urlsafe(32)
    if not isinstance(token, str):
        raise ConfigError(f"token of Dashboard is a text, not {type(token).__name__}: secrets.token_urlsafe(32)")
    if not SHORTEST <= len(token) <= LONGEST or not _TOKEN.fullmatch(token):
        raise ConfigError(
            f"token of Dashboard is a text of {SHORTEST} to {LONGEST} letters, digits and -._~, and this is one of"
            f" {len(token)} characters: secrets.token_urlsafe(32)"
        )
    return token


class Guard:
    """Lets a request pass to ``application``, or answers it.

    ``any_name``: it listens on more than this machine, which may be called by any name. ``has_form``: a page has a form, which
    asks the same server.
    """

    def __init__(
        self, application: Application, token: str, *, port: int, any_name: bool, has_form: bool = False
    ) -> None:
        policy = _POLICY_WITH_FORM if has_form else _POLICY
        self._headers = ((HEADERS[0][0], policy), *HEADERS[1:])
        self._application = application
        self._token = token.encode()
        self._any_name = any_name
        self._cookie = f"dynamorm_{port}"  # a browser sends a cookie to all ports of a host
        self._pass = token_urlsafe(32)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":  # there is nothing else to answer
            return
        fields: list[tuple[bytes, bytes]] = scope["headers"]
        if not self._names_us([value for name, value in fields if name == b"host"]):
            await _answer(send, 403, "This name does not belong to the dashboard: open it as 127.0.0.1 or localhost.\n")
        elif scope["method"] != "GET":
            await _answer(send, 405, "Only GET: the dashboard changes nothing.\n", (b"allow", b"GET"))
        elif scope["path"] == "/" and (given := parse_qs(scope["query_string"].decode("latin-1")).get("token")):
            await self._enter(send, given)
        elif self._is_known(fields):
            await self._application(scope, receive, _with_headers(send, self._headers))
        else:
            await _answer(send, 401, "Open the URL that the program tells (dashboard.url): it has the token.\n")

    def _names_us(self, hosts: list[bytes]) -> bool:
        if len(hosts) != 1:
            return False
        return self._any_name or _LOOPBACK.fullmatch(hosts[0].decode("latin-1")) is not None

    async def _enter(self, send: Send, given: list[str]) -> None:
        """Change the token for the cookie, and have it leave the address line."""
        if len(given) != 1 or not compare_digest(given[0].encode(), self._token):
            await _answer(send, 401, "This token is not that of the dashboard.\n")
            return
        cookie = f"{self._cookie}={self._pass}; HttpOnly; SameSite=Strict; Path=/"
        await _answer(send, 303, "", (b"location", b"./"), (b"set-cookie", cookie.encode()))

    def _is_known(self, fields: list[tuple[bytes, bytes]]) -> bool:
        """Whether a request has the cookie, or the token as a bearer's."""
        for name, value in fields:
            if name == b"authorization" and compare_digest(value, b"Bearer " + self._token):
                return True
            if name == b"cookie" and self._has_pass(value.decode("latin-1")):
                return True
        return False

    def _has_pass(self, text: str) -> bool:
        """Whether ours is among the cookies; those of other programs on this host may look like anything."""
        pairs = (piece.strip().partition("=") for piece in text.split(";"))
        return any(
            name == self._cookie and compare_digest(value.encode(), self._pass.encode()) for name, _, value in pairs
        )


def _with_headers(send: Send, headers: tuple[tuple[bytes, bytes], ...]) -> Send:
    """Adds the headers of each answer to one of the application."""

    async def sending(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), *headers]
        await send(message)

    return sending


async def _answer(send: Send, status: int, text: str, *more: tuple[bytes, bytes]) -> None:
    body = text.encode()
    fields = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % len(body)), *more, *HEADERS]
    await send({"type": "http.response.start", "status": status, "headers": fields})
    await send({"type": "http.response.body", "body": body})
