"""`Service`: another service of AWS, asked over the wire, with the credentials and the settings of a database.

For plugins that need one, such as the keys of KMS. It knows the JSON protocol alone, and nothing of what is asked.
"""

from __future__ import annotations

import os
from typing import Any, Final

import msgspec

from dynamorm.config.partitions import partition_of

from ...effects import Call, Flow, Reply, Send, Sleep, TransportError
from ...errors import AccessDenied, ClientError, DynamORMError, MalformedResponse, Unavailable
from ...session import Session
from ...wire.endpoint import Endpoint
from ...wire.reply import parse_error
from ...wire.sigv4 import Signer, Unsigned
from ..opening import driver_options

CONTENT_TYPE: Final = "application/x-amz-json-1.1"
ATTEMPTS: Final = 3
LIMIT: Final = 10.0
"""Seconds that all attempts of a request may take."""
_LARGEST: Final = 1024 * 1024
_PASSING: Final = frozenset(
    {"ThrottlingException", "RequestLimitExceeded", "TooManyRequestsException", "LimitExceededException"}
)


class Service:
    """A service that speaks JSON and is asked by ``X-Amz-Target``: `call` gives what it answers.

    Example: ``answer = yield from db.service("kms", target="TrentService").call("Decrypt", {"CiphertextBlob": "..."})``
    """

    def __init__(
        self, session: Session, driver: Any, name: str, target: str, endpoint: str | None, region: str | None
    ) -> None:
        settings = session.config
        region = region or settings.resolve_region()
        url = endpoint or os.environ.get(f"AWS_ENDPOINT_URL_{name.upper()}") or os.environ.get("AWS_ENDPOINT_URL")
        if url is None and session.endpoint.is_loopback:  # an emulator, which has all services under one address
            url = settings.resolve_endpoint()
        if url is None:
            url = f"https://{name}.{region}.{partition_of(region).suffix}"
        self._session = session
        engine = settings.engine
        self._engine: Any = engine if engine is not None and url == engine.address else None
        # As of the database's own endpoint: no plain http, and no host that nobody has allowed.
        self._checked: Any = settings.replace(endpoint=url, region=region, streams_endpoint=None, engine=self._engine)
        self._endpoint: Endpoint = Endpoint.parse(url)
        host = self._endpoint.host_header
        self._signer: Any = (
            Signer(region, host, name, target_prefix=target, content_type=CONTENT_TYPE)
            if settings.sign_requests and self._engine is None
            else Unsigned(host, target_prefix=target, content_type=CONTENT_TYPE)
        )
        self._make_driver = driver
        self._driver: Any = None
        self.name: str = name

    def call(self, operation: str, request: dict[str, Any], *, timeout: float = LIMIT) -> Flow[dict[str, Any]]:
        """The answer to a request, as a flow on either face. What may be sent again is, within ``timeout`` seconds.

        Raises: Unavailable where no answer comes; AccessDenied; ClientError with the service's own name as its ``code``.
        """
        if self._driver is None:  # the face may not be complete when it is made
            kind = self._make_driver()
            if self._engine is None:  # a database on an engine in this process may have its keys elsewhere
                kind = getattr(kind, "over_the_wire", kind)
            self._driver = kind(self._endpoint, **driver_options(self._session))
            if self._engine is not None:
                self._driver.engine = self._engine
        run, body = self._driver.run, msgspec.json.encode(request)

        def perform() -> Any:
            return run(self._exchanged(operation, body, timeout))

        answer: dict[str, Any] = yield Call(perform, perform)
        return answer

    def close(self) -> None:
        """Close the connections."""
        if self._driver is not None:
            self._driver.pool.close()
            self._driver.pool.closed = True

    def _exchanged(self, operation: str, body: bytes, timeout: float) -> Flow[dict[str, Any]]:
        channel = self._session.channel
        end = channel.clock.monotonic() + timeout
        failed: DynamORMError
        attempt = 0
        while True:
            left = end - channel.clock.monotonic()
            try:
                reply = yield Send(
                    (yield from self._signed(operation, body, left)), max(min(left, 3.0), 0.001), _LARGEST
                )
                answer = self._read(operation, reply)
            except TransportError as error:
                failed = Unavailable(f"{self.name} gave no answer to {operation} ({error.stage})")
                failed.__cause__ = error
            else:
                if isinstance(answer, dict):
                    return answer
                failed = answer
            attempt += 1
            delay = 0.1 * 2**attempt * channel.random()
            if attempt >= ATTEMPTS or end - channel.clock.monotonic() <= delay:
                raise failed
            yield Sleep(delay)

    def _signed(self, operation: str, body: bytes, left: float) -> Flow[bytes]:
        channel = self._session.channel
        now = channel.clock.time() + channel.skew.skew
        keys = channel.credentials.current(now)
        if keys is None:
            keys = yield channel.credentials.fetch(left)
        data: bytes = self._signer.request(operation, body, keys, now)
        return data

    def _read(self, operation: str, reply: Reply) -> dict[str, Any] | DynamORMError:
        """What the service answered, or the error of what may pass. Raises: AccessDenied, ClientError, MalformedResponse."""
        if reply.status == 200:
            try:
                return msgspec.json.decode(reply.body, type=dict[str, Any])
            except msgspec.MsgspecError:
                return MalformedResponse(f"the answer of {self.name} to {operation} is no JSON object")
        fault = parse_error(reply.status, reply.body)
        if reply.status >= 500 or fault.code in _PASSING or not fault.code:
            return Unavailable(f"{self.name} could not answer {operation}: {fault.code or f'HTTP {reply.status}'}")
        kind = AccessDenied if fault.code == "AccessDeniedException" else ClientError
        raise kind(f"{self.name} refused {operation}: {fault.code}", code=fault.code, operation=operation)
