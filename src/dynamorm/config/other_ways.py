"""What boto3, PynamoDB and HTTP clients call a setting: the error for the name that was tried says what it is here."""

from __future__ import annotations

from typing import Final

_TIMEOUT: Final = (
    "operation_timeout=..., in seconds, for a verb with all its retries, or performance=HighThroughput("
    "request_timeout=..., connection_timeout=...) for one request"
)
_KEYS: Final = "credentials=Credentials(key_id=..., secret=..., token=...)"

INSTEAD: Final[dict[str, str]] = {
    "timeout": _TIMEOUT,
    "request_timeout": _TIMEOUT,
    "read_timeout": _TIMEOUT,
    "connect_timeout": _TIMEOUT,
    "read_timeout_seconds": _TIMEOUT,
    "connect_timeout_seconds": _TIMEOUT,
    "retries": "max_attempts=..., which counts the first attempt too",
    "max_retries": "max_attempts=..., which counts the first attempt too",
    "max_retry_attempts": "max_attempts=..., which counts the first attempt too",
    "aws_access_key_id": _KEYS,
    "aws_secret_access_key": _KEYS,
    "aws_session_token": _KEYS,
    "access_key": _KEYS,
    "secret_key": _KEYS,
    "endpoint_url": 'endpoint="http://localhost:8000", a URL with its scheme',
    "host": 'endpoint="http://localhost:8000", a URL with its scheme',
    "url": 'endpoint="http://localhost:8000", a URL with its scheme',
    "max_pool_connections": "performance=HighThroughput(max_connections=...)",
    "prefix": "table_prefix=...",
}
"""By the name that was tried: what does it here."""
