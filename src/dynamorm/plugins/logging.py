"""`LoggingPlugin`: one record for each verb, over the standard library's logging or structlog. Never a value of an item."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

from dynamorm.arguments import check_seconds, check_secret
from dynamorm.errors import ConfigError, DynamORMError
from dynamorm.errors.log import interrupts
from dynamorm.errors.log import logger as own_logger
from dynamorm.errors.outcomes import outcome_of
from dynamorm.plugin import attempt_class, without_values

if TYPE_CHECKING:
    from dynamorm.effects import Reply
    from dynamorm.plugin import Call, Operation

SHORTEST_SECRET: Final = 16
"""Bytes of a secret for hashes of keys: with fewer, whoever has the log can find the keys by trying."""

_LEVELS: Final = {
    "ok": logging.DEBUG,
    "cancelled": logging.INFO,
    "rejected": logging.WARNING,
    "throttled": logging.WARNING,
    "unavailable": logging.WARNING,
    "denied": logging.WARNING,
    "unknown": logging.ERROR,
}
_METHODS: Final = {
    logging.DEBUG: "debug",
    logging.INFO: "info",
    logging.WARNING: "warning",
    logging.ERROR: "error",
}
_CONTROL: Final = dict.fromkeys((*range(32), 127, 133, 8232, 8233), " ")
"""What would begin another line in a log."""

Emit = Callable[[int, str, dict[str, Any]], None]


class LoggingPlugin:
    """Writes one record for each verb, and with ``echo`` one for each request.

    ``logger`` is one of the standard library's, or of structlog. Levels: DEBUG for what went well, WARNING for what took ``slow`` seconds
    (a number or a timedelta; None: nothing is slow), WARNING for what the service refused or did not answer, ERROR for a
    write of which nobody knows whether it was applied; INFO for what was cancelled, and for what was refused before
    anything was sent.

    A record holds the verb, the model, the table, the outcome, the seconds, and of an error its class, code, request id and
    attempts, and its text without values. Keys are values: with ``key_secret``, 16 or more bytes, their keyed hash is added,
    by which records about one item are found.

    ``echo=True`` is for development: each request as JSON, with ``"?"`` in the place of each value, at INFO.

    What the logger or its handlers raise reaches nobody. With stdlib the fields are in ``record.dynamorm``, a dict; with
    structlog they are the event's.

    Raises: ConfigError for what is no logger, no time and no secret.

    Example: ``db.use(LoggingPlugin(logging.getLogger("shop.db"), slow=0.5))``
    """

    name: str = "logging"

    def __init__(
        self,
        logger: Any,
        slow: float | timedelta | None = 1.0,
        echo: bool = False,  # noqa: FBT001, FBT002 - the order of the arguments is fixed
        *,
        key_secret: bytes | None = None,
    ) -> None:
        if not isinstance(echo, bool):
            raise ConfigError(f"echo of a LoggingPlugin is True or False, not {type(echo).__name__}")
        self._slow = float("inf") if slow is None else _checked_slow(slow)
        self._secret = _checked_secret(key_secret)
        self._emit, self._is_enabled = _outlet(logger)
        self._failed = False
        if echo:
            self.observed: Callable[..., None] = self._echo

    @classmethod
    def of_requests(cls) -> LoggingPlugin:
        """The one of ``Config(log_requests=True)``: each request, and what went wrong, to the logger ``dynamorm.requests``.

        It is called ``log_requests``, so that the program may have another one. Where the program has set nothing up for logging,
        records go to stderr.
        """
        logger = logging.getLogger("dynamorm.requests")
        if logger.level == logging.NOTSET and not logger.isEnabledFor(logging.INFO):
            logger.setLevel(logging.INFO)
        if not logger.hasHandlers():
            handler = logging.StreamHandler()
            handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
            logger.addHandler(handler)
        made = cls(logger, echo=True)
        made.name = "log_requests"
        return made

    def ended(self, operation: Operation, error: BaseException | None) -> None:
        """Write of a verb: see `dynamorm.plugin.EndHook`."""
        took: float = operation.took  # type: ignore[assignment] # it has ended
        if error is None and took < self._slow and not self._is_enabled(logging.DEBUG):
            return
        self._write(lambda: self._of_verb(operation, error, took))

    def _echo(self, call: Call, reply: Reply | None, error: BaseException | None) -> None:
        """Write of a request: see `dynamorm.plugin.AttemptHook`."""
        self._write(lambda: self._of_request(call, attempt_class(reply, error)))

    def _write(self, make: Callable[[], tuple[int, str, dict[str, Any]]]) -> None:
        try:
            level, text, fields = make()
            if self._is_enabled(level):
                self._emit(level, text, fields)
        except BaseException as error:  # the verb has ended, and a log is no reason to fail it
            if interrupts(error):
                raise
            if not self._failed:
                self._failed = True  # said once: the logger may fail each time
                own_logger.warning("the logger of the LoggingPlugin failed: %s", type(error).__name__)

    def _of_verb(
        self, operation: Operation, error: BaseException | None, took: float
    ) -> tuple[int, str, dict[str, Any]]:
        outcome = outcome_of(error)
        model = "" if operation.model is None else operation.model.__name__
        fields: dict[str, Any] = {
            "verb": operation.verb,
            "model": model,
            "table": operation.table or "",
            "outcome": outcome,
            "seconds": round(took, 6),
        }
        level, slow = _LEVELS[outcome], took >= self._slow
        if slow:
            fields["slow"], level = True, max(level, logging.WARNING)
        if self._secret is not None and operation.key is not None:
            fields["key_hash"] = blake2b(repr(operation.key).encode(), key=self._secret, digest_size=16).hexdigest()
        text = f"{operation.verb} {model or operation.table or ''}".rstrip() + f": {outcome} in {took * 1000:.1f} ms"
        if error is not None:
            fields |= _of_error(error)
            if outcome == "rejected" and not fields.get("attempts") and not slow:
                level = logging.INFO  # by the library itself: nothing was sent
            text += f" ({fields['error']})"
        return level, text + (", slow" if slow else ""), fields

    @staticmethod
    def _of_request(call: Call, kind: str) -> tuple[int, str, dict[str, Any]]:
        request = without_values(call)
        fields = {"operation": call.name, "table": call.table, "class": kind, "request": request}
        return logging.INFO, f"{call.name} {call.table}: {kind} {request}", fields


def _of_error(error: BaseException) -> dict[str, Any]:
    """What is written of an error: its text only where it is known to hold no value."""
    fields: dict[str, Any] = {"error": type(error).__name__}
    if isinstance(error, DynamORMError):
        fields |= {"code": error.code, "attempts": error.attempts, "message": error.safe.translate(_CONTROL)}
        fields |= {"operation": error.operation} if error.operation else {}
        fields |= {"request_id": error.request_id.translate(_CONTROL)} if error.request_id else {}
    return fields


def _outlet(logger: Any) -> tuple[Emit, Callable[[int], bool]]:
    """How a record is written, and how it is asked whether one of a level is. Raises: ConfigError."""
    if isinstance(logger, (logging.Logger, logging.LoggerAdapter)):
        log = logger.log

        def to_stdlib(level: int, text: str, fields: dict[str, Any]) -> None:
            log(level, "%s", text, extra={"dynamorm": fields})

        return to_stdlib, logger.isEnabledFor
    if isinstance(logger, (type, str)) or not all(callable(getattr(logger, name, None)) for name in _METHODS.values()):
        raise ConfigError(
            'a LoggingPlugin takes a logger, logging.getLogger("shop.db") or structlog.get_logger(), not'
            f" {logger.__name__ if isinstance(logger, type) else type(logger).__name__}"
        )

    def to_structlog(level: int, text: str, fields: dict[str, Any]) -> None:
        getattr(logger, _METHODS[level])(f"dynamorm {text}", **fields)

    def is_enabled(level: int) -> bool:
        """One that cannot be asked decides for itself, when it gets the record. It may be configured later than now."""
        try:
            asked = getattr(logger, "is_enabled_for", None) or getattr(logger, "isEnabledFor", None)
            return asked is None or bool(asked(level))
        except Exception:  # noqa: BLE001 - it wraps something that has no levels
            return True

    return to_structlog, is_enabled


def _checked_slow(slow: Any) -> float:
    return check_seconds("slow", slow, positive=True, subject="slow of a LoggingPlugin", error=ConfigError)


def _checked_secret(secret: Any) -> bytes | None:
    if secret is None:
        return None
    return check_secret(
        "key_secret",
        secret,
        SHORTEST_SECRET,
        blake2b.MAX_KEY_SIZE,
        subject="key_secret of a LoggingPlugin",
        error=ConfigError,
    )
