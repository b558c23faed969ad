"""What an answer says: error name to kind, error body to data, checksum to verdict. It must not know retries or I/O.

Whatever bytes come, these functions return: a proxy's HTML page is an answer too, just not DynamoDB's.
"""

from __future__ import annotations

from enum import Enum
from typing import Any, NamedTuple
from zlib import crc32

import msgspec

MAX_TEXT = 1_000
"""Characters kept of a code or message: an error page must not fill the logs."""


class Kind(Enum):
    """What an error answer means for the next step. See `classify`."""

    THROTTLE = "throttle"
    TRANSIENT = "transient"
    CONFLICT = "conflict"
    IN_PROGRESS = "in progress"
    CONDITION = "condition"
    CANCELLED = "cancelled"
    MISMATCH = "mismatch"
    EXPIRED_CREDENTIALS = "expired credentials"
    SKEW = "skew"
    ACCESS = "access"
    NOT_FOUND_TABLE = "not found table"
    VALIDATION = "validation"
    RESOURCE_IN_USE = "resource in use"
    MALFORMED = "malformed"
    OTHER = "other"


_KINDS = {
    # Refused because of too little throughput; nothing was applied.
    "ProvisionedThroughputExceededException": Kind.THROTTLE,
    "ProvisionedThroughputExceeded": Kind.THROTTLE,
    "ThrottlingException": Kind.THROTTLE,
    "Throttling": Kind.THROTTLE,
    "ThrottlingError": Kind.THROTTLE,
    "ThrottledException": Kind.THROTTLE,
    "RequestLimitExceeded": Kind.THROTTLE,
    "RequestThrottled": Kind.THROTTLE,
    "RequestThrottledException": Kind.THROTTLE,
    "TooManyRequestsException": Kind.THROTTLE,
    "SlowDown": Kind.THROTTLE,
    # Another transaction, or another Region of a strongly consistent global table, holds the item; nothing was applied.
    "TransactionConflictException": Kind.CONFLICT,
    "TransactionConflict": Kind.CONFLICT,
    "ReplicatedWriteConflictException": Kind.CONFLICT,
    # The same token is being worked on: unknown until asked again with it.
    "TransactionInProgressException": Kind.IN_PROGRESS,
    "ConditionalCheckFailedException": Kind.CONDITION,
    "ConditionalCheckFailed": Kind.CONDITION,
    "TransactionCanceledException": Kind.CANCELLED,
    "IdempotentParameterMismatchException": Kind.MISMATCH,
    "ExpiredTokenException": Kind.EXPIRED_CREDENTIALS,
    "ExpiredToken": Kind.EXPIRED_CREDENTIALS,
    "UnrecognizedClientException": Kind.EXPIRED_CREDENTIALS,
    "InvalidClientTokenId": Kind.EXPIRED_CREDENTIALS,
    "InvalidSignatureException": Kind.SKEW,
    "SignatureDoesNotMatch": Kind.SKEW,
    "RequestExpired": Kind.SKEW,
    "RequestTimeTooSkewed": Kind.SKEW,
    "RequestInTheFuture": Kind.SKEW,
    "AccessDeniedException": Kind.ACCESS,
    "AccessDenied": Kind.ACCESS,
    "MissingAuthenticationTokenException": Kind.ACCESS,
    "MissingAuthenticationToken": Kind.ACCESS,
    "IncompleteSignatureException": Kind.ACCESS,
    "IncompleteSignature": Kind.ACCESS,
    "NotAuthorized": Kind.ACCESS,
    "OptInRequired": Kind.ACCESS,
    "ResourceNotFoundException": Kind.NOT_FOUND_TABLE,
    "TableNotFoundException": Kind.NOT_FOUND_TABLE,
    "IndexNotFoundException": Kind.NOT_FOUND_TABLE,
    "GlobalTableNotFoundException": Kind.NOT_FOUND_TABLE,
    "ValidationException": Kind.VALIDATION,
    "ValidationError": Kind.VALIDATION,
    "SerializationException": Kind.VALIDATION,
    # Refused until another table operation ends: worth repeating for table operations only.
    "ResourceInUseException": Kind.RESOURCE_IN_USE,
    "LimitExceededException": Kind.RESOURCE_IN_USE,
    "TableInUseException": Kind.RESOURCE_IN_USE,
    # These mean 5xx whatever the status line says: the write may have been applied.
    "InternalServerError": Kind.TRANSIENT,
    "InternalServerErrorException": Kind.TRANSIENT,
    "InternalServerException": Kind.TRANSIENT,
    "InternalFailure": Kind.TRANSIENT,
    "InternalError": Kind.TRANSIENT,
    "ServiceUnavailable": Kind.TRANSIENT,
    "ServiceUnavailableException": Kind.TRANSIENT,
    "RequestTimeout": Kind.TRANSIENT,
    "RequestTimeoutException": Kind.TRANSIENT,
}


def classify(code: str, status: int) -> Kind:
    """The kind of an error answer.

    Any 5xx is TRANSIENT, whatever its code: only a refusal with 4xx promises that nothing was applied. An answer
    without a code that is not 5xx is MALFORMED: DynamoDB did not write it, so it promises nothing either.
    Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html

    Example: ``classify("TransactionConflictException", 400) is Kind.CONFLICT``
    """
    if status >= 500:
        return Kind.TRANSIENT
    if not code or status < 400:
        return Kind.MALFORMED
    return _KINDS.get(code, Kind.OTHER)


class ThrottlingReason(NamedTuple):
    """Which limit was hit (``"TableWriteKeyRangeThroughputExceeded"``), and the ARN of the table or index."""

    reason: str
    resource: str | None


class CancellationReason(NamedTuple):
    """Why one operation of a transaction failed; ``code`` is None if it did not fail. ``item`` is undecoded JSON."""

    code: str | None
    message: str
    item: bytes | None


class ServiceFault(msgspec.Struct, frozen=True):
    """An error answer as data.

    ``code`` is AWS's bare name for the error, empty when the body is not an error of DynamoDB's. ``fields`` holds,
    when the answer has them: ``"Item"`` (bytes, the stored item as undecoded JSON), ``"ThrottlingReasons"`` (tuple of
    `ThrottlingReason`) and ``"CancellationReasons"`` (tuple of `CancellationReason`, in the order of the request).
    It is not shown in full by ``repr``, because it can hold an item.
    """

    code: str
    message: str
    fields: dict[str, Any]
    status: int = 400

    @property
    def kind(self) -> Kind:
        """What it means for the next step."""
        return classify(self.code, self.status)

    @property
    def item(self) -> bytes | None:
        """The stored item as undecoded JSON, or None."""
        item: bytes | None = self.fields.get("Item")
        return item

    @property
    def throttling(self) -> tuple[ThrottlingReason, ...]:
        """Which limits were hit, if any."""
        reasons: tuple[ThrottlingReason, ...] = self.fields.get("ThrottlingReasons", ())
        return reasons

    @property
    def cancellation(self) -> tuple[CancellationReason, ...]:
        """Why a transaction failed, one entry for each of its operations."""
        reasons: tuple[CancellationReason, ...] = self.fields.get("CancellationReasons", ())
        return reasons

    def __repr__(self) -> str:
        return f"ServiceFault(status={self.status}, code={self.code!r}, fields={sorted(self.fields)})"

    def __rich_repr__(self) -> Any:
        yield "status", self.status
        yield "code", self.code
        yield "fields", sorted(self.fields)


_parts = msgspec.json.Decoder(dict[str, msgspec.Raw])
_list = msgspec.json.Decoder(list[msgspec.Raw])
_text = msgspec.json.Decoder(str)
_FAILURES = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def parse_error(status: int, body: bytes) -> ServiceFault:
    """Read the body of an answer that is not a 200. Never raises: what is not a DynamoDB error has an empty code.

    Example::

        parse_error(400, b'{"__type":"com.amazonaws.dynamodb.v20120810#ValidationException","message":"..."}')
    """
    parts = _object(body)
    if parts is None:
        return ServiceFault("", f"HTTP {status} with a body that is not JSON, {len(body)} bytes", {}, status)
    name = _string(parts.get("__type")) or _string(parts.get("code"))
    code = name.rpartition("#")[2].partition(":")[0].strip()[:MAX_TEXT]
    if not (code.isascii() and code.isprintable()):
        code = ""
    message = _said(parts.get("message")) or _said(parts.get("Message"))
    fields: dict[str, Any] = {}
    item = parts.get("Item")
    if item is not None and bytes(item) != b"null":
        fields["Item"] = bytes(item)
    throttling = tuple(map(_throttling, _array(parts.get("ThrottlingReasons") or parts.get("throttlingReasons"))))
    if throttling:
        fields["ThrottlingReasons"] = throttling
    cancellation = tuple(map(_cancellation, _array(parts.get("CancellationReasons"))))
    if cancellation:
        fields["CancellationReasons"] = cancellation
    return ServiceFault(code, message or f"HTTP {status} without a message", fields, status)


def cancellation_kind(reasons: tuple[CancellationReason, ...]) -> Kind:
    """Whether a cancelled transaction may be sent again: THROTTLE or CONFLICT when nothing else is to blame.

    CANCELLED when any operation failed for a lasting reason, or when no reason is given.

    Example: ``cancellation_kind((CancellationReason("TransactionConflict", "", None),)) is Kind.CONFLICT``
    """
    kinds = {_KINDS.get(reason.code, Kind.OTHER) for reason in reasons if reason.code is not None}
    if not kinds or not kinds <= {Kind.CONFLICT, Kind.THROTTLE}:
        return Kind.CANCELLED
    return Kind.THROTTLE if Kind.THROTTLE in kinds else Kind.CONFLICT


def verify_crc(body: bytes, header: bytes | None, policy: str, aws_host: bool) -> str | None:  # noqa: FBT001  (called by position, once per reply)
    """Compare a body with its ``x-amz-crc32`` header. None when the body is accepted, else the reason why not.

    ``policy`` is `Config.crc`: a missing header is accepted with ``"auto"`` from hosts that are not AWS's, and with
    ``"off"`` nothing is looked at. Two headers joined by a comma match nothing.

    Example: ``verify_crc(b"{}", b"2745614147", "require", True) is None``
    """
    if policy == "off":
        return None
    if header is None:
        return "it has no checksum" if aws_host or policy == "require" else None
    actual = crc32(body)
    if b"%d" % actual == header:
        return None
    if not header.isdigit() or len(header) > 10 or int(header) > 0xFFFF_FFFF:
        return "its checksum is not a 32-bit number"
    if int(header) == actual:  # leading zeros
        return None
    return f"its checksum is {int(header)}, that of the {len(body)} bytes received {actual}"


def _object(raw: bytes | msgspec.Raw) -> dict[str, msgspec.Raw] | None:
    try:
        return _parts.decode(raw)
    except _FAILURES:
        return None


def _array(raw: msgspec.Raw | None) -> list[msgspec.Raw]:
    if raw is None:
        return []
    try:
        return _list.decode(raw)
    except _FAILURES:
        return []


def _string(raw: msgspec.Raw | None) -> str:
    if raw is None:
        return ""
    try:
        return _text.decode(raw)
    except _FAILURES:
        return ""


def _said(raw: msgspec.Raw | None) -> str:
    """A text for people, with escapes for what ends a line or acts on a terminal: it may repeat what users have given, and is logged."""
    text = _string(raw)[:MAX_TEXT]
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)[:MAX_TEXT]


def _throttling(raw: msgspec.Raw) -> ThrottlingReason:
    parts = _object(raw) or {}
    return ThrottlingReason(_said(parts.get("reason")), _said(parts.get("resource")) or None)


def _cancellation(raw: msgspec.Raw) -> CancellationReason:
    """One reason; one that cannot be read must neither count as no failure, nor shift the ones after it."""
    parts = _object(raw)
    code = "" if parts is None else _string(parts.get("Code"))[:MAX_TEXT]
    if parts is None or not code:
        return CancellationReason("Unreadable", "", None)
    item = parts.get("Item")
    raw_item = None if item is None or bytes(item) == b"null" else bytes(item)
    return CancellationReason(None if code == "None" else code, _said(parts.get("Message")), raw_item)
