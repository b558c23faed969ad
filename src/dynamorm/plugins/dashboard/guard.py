"""Who may see the page: `Guard` stands around the application, and looks at each request before anything else does.

Only GET; only under a name of this machine, so that no page of the web can have a name of its own lead here (DNS
rebinding); only with the token, which a browser changes for a cookie that no script and no other site can use. A browser
sends the cookies of a host to each port of it: so ours is bound to a path that nobody can guess.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64encode
from collections.abc import Awaitable, Callable, MutableMapping
from hashlib import blake2b
from ipaddress import ip_address
from secrets import compare_digest, token_urlsafe
from typing import Any, Final, TypeAlias
from urllib.parse import parse_qs

from dynamorm.errors import ConfigError
from dynamorm.errors.log import FailureLog

from .markup import document, element, joined

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

SHORTEST, LONGEST = 16, 256
KNOWN: Final = "dynamorm.known"
"""The name in the state of a request of what is called where the guard lets it pass."""
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


def path_of(token: str) -> str:
    """The path of the page: nobody guesses it, and it is the same for the same token."""
    return f"/{urlsafe_b64encode(blake2b(token.encode(), digest_size=18, person=b'dashboard path').digest()).decode()}"


class Guard:
    """Lets a request pass to ``application``, or answers it. A stranger is answered once on a connection.

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
        self._path = path_of(token)
        self._any_name = any_name
        self._cookie = f"dynamorm_{port}"
        self._pass = token_urlsafe(32)
        self._failed = FailureLog("dashboard", "the page")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":  # there is nothing else to answer
            return
        try:
            await self._request(scope, receive, send)
        except Exception as error:  # noqa: BLE001 - else the server would tell, in its own way
            self._failed(error)
            await _answer(send, 500, "The figures could not be shown.\n")

    async def _request(self, scope: Scope, receive: Receive, send: Send) -> None:
        fields: list[tuple[bytes, bytes]] = scope["headers"]
        below = self._below(scope["path"])
        if not self._names_us([value for name, value in fields if name == b"host"]):
            await _answer(send, 403, "This name does not belong to the dashboard: open it as 127.0.0.1 or localhost.\n")
        elif scope["method"] != "GET":
            await _answer(send, 405, "Only GET: the dashboard changes nothing.\n", (b"allow", b"GET"))
        elif below == "/" and (given := parse_qs(scope["query_string"].decode("latin-1")).get("token")):
            await self._enter(send, given)
        elif below is not None and self._is_known(fields):
            scope.get("state", {}).get(KNOWN, _nothing)()
            inside = {**scope, "path": below, "raw_path": below.encode()}
            await self._application(inside, receive, _with_headers(send, self._headers))
        else:
            await _answer(send, 401, "Open the URL that the program tells (dashboard.url): it has the token.\n")

    def _below(self, path: str) -> str | None:
        """What a path is below ours; None for another one."""
        first, rest = path[: len(self._path)], path[len(self._path) :]
        return rest if compare_digest(first.encode(), self._path.encode()) and rest[:1] == "/" else None

    def _names_us(self, hosts: list[bytes]) -> bool:
        if len(hosts) != 1:
            return False
        return self._any_name or _LOOPBACK.fullmatch(hosts[0].decode("latin-1")) is not None

    async def _enter(self, send: Send, given: list[str]) -> None:
        """Change the token for the cookie, and have it leave the address line.

        By a page that goes on by itself: where a link on another site leads here, a redirect belongs to that site, so that a
        browser would keep the cookie back.
        """
        if len(given) != 1 or not compare_digest(given[0].encode(), self._token):
            await _answer(send, 401, "This token is not that of the dashboard.\n")
            return
        cookie = f"{self._cookie}={self._pass}; HttpOnly; SameSite=Strict; Path={self._path}/"
        await _answer(send, 200, _DOOR, (b"set-cookie", cookie.encode()), kind=b"text/html")

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


async def _answer(send: Send, status: int, text: str, *more: tuple[bytes, bytes], kind: bytes = b"text/plain") -> None:
    body = text.encode()
    fields = [
        (b"content-type", kind + b"; charset=utf-8"), (b"content-length", b"%d" % len(body)), (b"connection", b"close"),
        *more, *HEADERS,
    ]  # fmt: skip
    await send({"type": "http.response.start", "status": status, "headers": fields})
    await send({"type": "http.response.body", "body": body})


def _nothing() -> None:
    """Of a request that nobody counts."""


_DOOR: Final = document(
    joined(
        element("meta", charset="utf-8"),
        element("meta", http_equiv="refresh", content="0; url=./"),
        element("meta", name="color-scheme", content="light dark"),
        element("link", rel="icon", href="data:,"),
        element("title", "DynamORM"),
    ),
    element("p", element("a", "To the dashboard", href="./")),
)
"""The page that the token leads to."""
