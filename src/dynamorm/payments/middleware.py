"""`IdempotencyMiddleware`: the header Idempotency-Key for any ASGI application, over an `AsyncDB`.

What a handler writes by ``op.transaction()`` is held back, and applied together with its answer before the first byte of that
is sent. A handler that writes in another way is run at least once.

Source: https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/
"""

from __future__ import annotations

import math
import re
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from hashlib import sha256
from typing import Any, Final, TypeAlias

from msgspec.json import encode

from dynamorm import AsyncDB
from dynamorm.arguments import check_choice, check_count
from dynamorm.errors import (
    ConditionFailed,
    ConfigError,
    DynamORMError,
    InProgress,
    KeyReused,
    LeaseLost,
    Outcome,
    StoredFailure,
    ValidationError,
    VersionConflict,
)
from dynamorm.errors.log import logger
from dynamorm.plugins.idempotency import CURRENT, AsyncIdempotentOperation

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

MAX_KEY: Final = 255
MAX_ANSWER: Final = 300 * 1024 - 32 * 1024
"""Bytes of an answer's body and headers: the stored form of bytes is a third longer, and is measured again."""

NEVER_KEPT: Final = frozenset({401, 403, 408, 409, 425, 429})
"""Answers below 500 that may be another one next time."""

_OF_CONNECTION: Final = frozenset(
    {
        b"connection", b"content-length", b"date", b"keep-alive", b"proxy-authenticate", b"proxy-connection", b"server",
        b"set-cookie", b"te", b"trailer", b"transfer-encoding", b"upgrade",
    }
)  # fmt: skip
"""Headers that belong to one answer, or to one connection."""

_TEXT: Final = r'"((?:[\x20-\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"'
_QUOTED: Final = re.compile(rf"{_TEXT}(?:; *[a-z*][a-z0-9_.*-]*(?:=(?:{_TEXT}|[!#-+\--:<-~]+))?)*")
"""A text with parameters, which say nothing that is known here. Source: RFC 9651, section 3.3"""
_BARE: Final = re.compile(r"[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]+")


def current_operation() -> Any:
    """The idempotent operation in whose block, or request, this is called; None outside of one.

    Example: ``with current_operation().transaction() as tx: tx.create(payment)``
    """
    return CURRENT.get()


class IdempotencyMiddleware:
    """Runs requests with an Idempotency-Key once. ``scope["state"]["idempotency"]`` is the operation, as is `current_operation`.

    ``db`` is an `AsyncDB`, or a function of the ASGI scope that gives one, such as the view of a tenant. ``methods`` (POST, PATCH)
    are those that are looked at; with ``required`` they must have a key. ``principal`` is a function of the scope that tells who
    asks, a text; left out it is the header Authorization. A caller whose token changes, or who is known by a cookie or an address,
    needs it. Nobody is given the answer of somebody else: a request with a key of whom nobody knows who asks is refused. Keys of
    two callers, methods or paths are two keys; the payload is query and body, of up to ``max_body`` bytes.

    400: no key, or none that can be one; or nobody knows who asks. 409 with Retry-After: it runs at this moment; 409: another process went on with it, or what is
    stored refuses its writes, now and again. 422: another payload. 503: the database does not answer, or others wrote at the same time: the request is to be sent again.
    500: the record was forgotten meanwhile, so that nobody knows; or the writes are refused for a fault of the server. 2xx, 3xx and 4xx are kept, but for 401, 403,
    408, 409, 425 and 429; a replay has ``Idempotency-Replayed: true``. An answer that is too large to be kept is a 500, and with
    ``on_large="pass"`` it is sent and not kept.

    Raises: ConfigError for what is no AsyncDB.

    Example: ``app = IdempotencyMiddleware(app, db=async_db, principal=lambda scope: scope["session"]["user"])``
    """

    def __init__(
        self,
        app: App,
        *,
        db: Any,
        methods: Collection[str] = ("POST", "PATCH"),
        principal: Callable[[Scope], str | None] | None = None,
        required: bool = False,
        scope: str = "http",
        lease: float = 30.0,
        retention: float = 86_400.0,
        max_body: int = 1024 * 1024,
        on_large: str = "refuse",
    ) -> None:
        self._app = app
        if not (isinstance(db, AsyncDB) or callable(db)):
            raise ConfigError(
                f"IdempotencyMiddleware takes an AsyncDB, or a function of the ASGI scope that gives one, not {type(db).__name__}"
            )
        self._db: Callable[[Scope], Any] = (lambda _: db) if isinstance(db, AsyncDB) else db
        self._methods = frozenset(method.upper() for method in methods)
        self._principal = _authorization if principal is None else principal
        self._required = required
        self._options: dict[str, Any] = {"scope": scope, "lease": lease, "retention": retention}
        self._max_body = check_count("max_body", max_body, 0, 64 * 1024 * 1024, error=ConfigError)
        self._passes_large = check_choice("on_large", on_large, ("refuse", "pass"), error=ConfigError) == "pass"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or scope["method"] not in self._methods:
            await self._app(scope, receive, send)
            return
        given = [value for name, value in scope["headers"] if name.lower() == b"idempotency-key"]
        if not given and not self._required:
            await self._app(scope, receive, send)
            return
        key = key_of(given)
        if key is None:
            await _problem(send, 400, "key", _KEY)
            return
        caller = self._caller(scope)
        if caller is None:
            await _problem(send, 400, "caller", _CALLER)
            return
        try:
            body = await _body(receive, self._max_body)
        except _CutOffError:
            return  # nobody is there any more, and what has come is not what was meant: nothing is run, nothing is kept
        if body is None:
            await _problem(
                send, 413, "body", f"a request with an Idempotency-Key has a body of at most {self._max_body} bytes"
            )
            return
        await self._operate(scope, body, receive, send, _record_key(caller, scope, key))

    def _caller(self, scope: Scope) -> str | None:
        """Who asks; None where nobody knows. Raises: ValidationError."""
        found: Any = self._principal(scope)
        if found is not None and not isinstance(found, str):
            raise ValidationError(f"principal of IdempotencyMiddleware gives a text, not {type(found).__name__}")
        return found or None

    async def _operate(self, scope: Scope, body: bytes, receive: Receive, send: Send, key: str) -> None:
        asked = self._db(scope).idempotent(
            key,
            payload=[scope.get("query_string", b""), body],
            **self._options,
        )
        try:
            operation = await asked.__aenter__()
        except DynamORMError as error:
            await _refused(send, error)
            return
        if operation.replayed:
            await _again(send, operation.response)
            return
        await self._run(scope, body, receive, send, operation)

    async def _run(
        self, scope: Scope, body: bytes, receive: Receive, send: Send, operation: AsyncIdempotentOperation
    ) -> None:
        """Let the application answer; its answer is held back until it is complete."""
        scope = {**scope, "state": {**(scope.get("state") or {}), "idempotency": operation}}
        answer = _Answer(send, passes=self._passes_large, operation=operation)
        try:
            await self._app(scope, _replaying(body, receive), answer)
        except BaseException as error:
            await operation.end(error)
            raise
        if answer.is_passed:
            return
        if answer.is_large:
            await operation.end(_NotKeptError())
            logger.error(
                "an answer to a request with an Idempotency-Key was too large to be kept: on_large='pass' sends it"
            )
            await _problem(send, 500, "answer", f"an answer that is kept has at most {MAX_ANSWER} bytes")
            return
        await self._end(send, operation, answer)

    @staticmethod
    async def _end(send: Send, operation: AsyncIdempotentOperation, answer: _Answer) -> None:
        try:
            if answer.is_kept:
                operation.respond(answer.stored())
                await operation.end()
            else:
                await operation.end(_NotKeptError())
        except DynamORMError as error:
            await operation.end(error)  # of an answer that could not be kept; else it has ended
            logger.warning("the writes of a request with an Idempotency-Key were not applied: %s", error.safe)
            await _refused(send, error)
            return
        await answer.sent()


_KEY: Final = f"Idempotency-Key is one key of 1 to {MAX_KEY} printable ASCII characters, in quotes or without"
_CALLER: Final = "nobody knows who asks: send Authorization, for an answer that is kept is given to nobody else"


class _NotKeptError(Exception):
    """Ends an operation whose answer is not kept: nothing of it is applied, and the key is given back."""


class _Answer:
    """What an application answers, held back."""

    def __init__(self, send: Send, *, passes: bool, operation: AsyncIdempotentOperation) -> None:
        self._send = send
        self._passes = passes
        self._operation = operation
        self._messages: list[Message] = []
        self._size = 0
        self.is_complete = self.is_large = self.is_passed = False

    async def __call__(self, message: Message) -> None:
        """Take one message of the application."""
        if self.is_passed:
            await self._send(message)
            return
        if message["type"] not in ("http.response.start", "http.response.body"):
            return
        if not self._messages and not self.is_large and message["type"] != "http.response.start":
            raise RuntimeError(
                "the application sent the body of an answer before its status: it is no ASGI application"
            )
        self._size += len(message.get("body", b"")) + sum(len(a) + len(b) for a, b in message.get("headers", ()))
        self.is_complete |= message["type"] == "http.response.body" and not message.get("more_body")
        if not self.is_large:
            self._messages.append(message)
        if self._size > MAX_ANSWER * 3 // 4 and not self.is_large:
            if self._passes and not self._operation.has_writes:
                self.is_passed = True
                await self._operation.end(_NotKeptError())
                await self.sent()
            else:
                self.is_large = True
                self._messages.clear()

    @property
    def is_kept(self) -> bool:
        """Whether the answer is one that is given again."""
        if not self.is_complete:
            return False
        status = self._messages[0]["status"]
        return 200 <= status < 500 and status not in NEVER_KEPT

    def stored(self) -> dict[str, Any]:
        """What is kept of it."""
        start = self._messages[0]
        headers = [[bytes(name), bytes(value)] for name, value in start.get("headers", ())]
        return {
            "status": start["status"],
            "headers": [[name, value] for name, value in headers if name.lower() not in _OF_CONNECTION],
            "body": b"".join(message.get("body", b"") for message in self._messages[1:]),
        }

    async def sent(self) -> None:
        """Send what was held back."""
        for message in self._messages:
            await self._send(message)


def key_of(given: list[bytes]) -> str | None:
    """The key in the values of the header; None for none, several, and what is no key. Quotes are no part of it."""
    if len(given) != 1:
        return None
    text = given[0].decode("latin-1").strip(" \t")
    quoted, key = _QUOTED.fullmatch(text), ""
    if quoted is not None:
        key = re.sub(r"\\(.)", r"\1", quoted[1])
    elif _BARE.fullmatch(text):
        key = text
    return key if 0 < len(key) <= MAX_KEY else None


def _record_key(caller: str, scope: Scope, key: str) -> str:
    """The key of the record: that of the client, for one caller, method and path."""
    path = f"{scope.get('root_path', '')}{scope['path']}"
    parts = [part.encode("utf-8", "surrogatepass") for part in (caller, scope["method"], path, key)]
    return sha256(b"".join(len(part).to_bytes(4, "big") + part for part in parts)).hexdigest()


def _authorization(scope: Scope) -> str | None:
    """Who asks, by the header Authorization; None where there is none."""
    values = [value for name, value in scope["headers"] if name.lower() == b"authorization"]
    return sha256(b"\0".join(values)).hexdigest() if any(values) else None


class _CutOffError(Exception):
    """The client has gone before its whole request had come."""


async def _body(receive: Receive, most: int) -> bytes | None:
    """The whole body; None where it is longer. Raises: _CutOffError."""
    parts, size = [], 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise _CutOffError
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > most:
            return None
        if not message.get("more_body"):
            break
    return b"".join(parts)


def _replaying(body: bytes, receive: Receive) -> Receive:
    """What gives an application the body that was read, and then what else comes."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replayed() -> Message:
        return messages.pop() if messages else await receive()

    return replayed


async def _again(send: Send, stored: Any) -> None:
    """Give a kept answer again."""
    headers = [(name, value) for name, value in stored["headers"]]
    if stored["status"] not in (204, 304):  # these have no body, and RFC 9110, section 8.6, forbids the header
        headers.append((b"content-length", str(len(stored["body"])).encode()))
    headers.append((b"idempotency-replayed", b"true"))
    await send({"type": "http.response.start", "status": stored["status"], "headers": headers})
    await send({"type": "http.response.body", "body": stored["body"]})


async def _refused(send: Send, error: DynamORMError) -> None:
    """Say why an operation was not run, or not applied."""
    if isinstance(error, InProgress):
        wait = str(max(1, math.ceil(error.retry_after))).encode()
        await _problem(send, 409, "in-progress", "a request with this key is being served", [(b"retry-after", wait)])
    elif isinstance(error, KeyReused):
        await _problem(send, 422, "key-reused", "this key was used before, for another request")
    elif isinstance(error, StoredFailure):
        await _problem(send, 409, "failed", "the request with this key has failed for good")
    elif isinstance(error, LeaseLost) and error.outcome is Outcome.UNKNOWN:
        await _problem(
            send, 500, "unknown", "nobody knows whether the request was served: find out before it is sent again"
        )
    elif isinstance(error, LeaseLost):
        await _problem(send, 409, "lost", "another process went on with this request: ask again for its answer")
    elif error.outcome is Outcome.UNKNOWN:
        await _problem(
            send,
            503,
            "unavailable",
            "it is not known yet whether the request was served: send it again with the same key",
        )
    elif error.retryable or _is_met_once(error):
        await _problem(send, 503, "unavailable", "the request was not served: send it again with the same key")
    elif _conditions(error):
        await _problem(
            send, 409, "refused", "what is stored refuses the writes of this request: sent again, it is refused again"
        )
    else:
        await _problem(send, 500, "fault", "the request was not served, for a fault of the server")


_PASSING: Final = frozenset({"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"})
"""Reasons of a cancelled transaction that another try need not meet."""


def _conditions(error: DynamORMError) -> list[DynamORMError | None]:
    """The conditions that refused a write, alone or in a transaction; None for one that says no more."""
    if isinstance(error, ConditionFailed):
        return [error]
    refused = (one for one in getattr(error, "reasons", ()) if one is not None)
    return [one.error for one in refused if one.code == "ConditionalCheckFailed"]


def _is_met_once(error: DynamORMError) -> bool:
    """Whether the request may be served when it is sent again, and reads again: others wrote meanwhile, and no more is wrong."""
    conditions = _conditions(error)
    if conditions:
        return all(isinstance(one, VersionConflict) for one in conditions)
    codes = {one.code for one in getattr(error, "reasons", ()) if one is not None}
    return bool(codes) and codes <= _PASSING


async def _problem(
    send: Send, status: int, kind: str, detail: str, headers: Collection[tuple[bytes, bytes]] = ()
) -> None:
    """An answer as RFC 9457 has it."""
    body = encode({"type": f"urn:dynamorm:idempotency:{kind}", "status": status, "detail": detail})
    about = [(b"content-type", b"application/problem+json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": [*about, *headers]})
    await send({"type": "http.response.body", "body": body})
