"""What an idempotent operation is asked for with: checked when it begins, before anything is sent."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from datetime import timedelta
from hashlib import sha256
from typing import Any, Final

from msgspec import Struct

from dynamorm.arguments import check_seconds
from dynamorm.errors import ValidationError
from dynamorm.plugin import system_part, tenant_prefix

from .marks import Secrets
from .values import canonical

MAX_KEY: Final = 255
MAX_SCOPE: Final = 64
MAX_LEASE: Final = 3_600.0
MAX_RETENTION: Final = 366 * 86_400.0
MAX_WAIT: Final = 86_400.0

RETENTION: Final = 86_400.0
WEBHOOK: Final = "webhook"
WEBHOOK_RETENTION: Final = 30 * 86_400.0
WEBHOOK_LEAST: Final = 4 * 86_400.0
"""Senders of webhooks repeat one for days: Stripe for 3, Standard Webhooks for 75 hours and a half.

Sources: https://docs.stripe.com/webhooks, https://github.com/standard-webhooks/standard-webhooks
"""


class Options(Struct, frozen=True):
    """An operation: whose, and how long what lasts. ``payload`` is in its one form. ``marks`` holds the secrets that payloads are marked by."""

    key: str
    scope: str
    tenant: str
    payload: bytes
    record_key: str
    lease_ms: int
    retention_ms: int
    wait: float
    max_run: float
    final: tuple[type[Exception], ...]
    marks: Secrets | None = None

    def __repr__(self) -> str:
        return f"<Options of {self.scope}>"  # a key and a payload are values


def checked(
    tenant: str,
    key: Any,
    *,
    payload: Any,
    scope: Any,
    lease: float | timedelta,
    retention: float | timedelta,
    wait: float | timedelta,
    final: Any,
    max_run: float | timedelta,
    marks: Secrets | None = None,
) -> Options:
    """The options; ``marks`` holds the secrets that payloads are marked by. Raises: ValidationError."""
    _check_text("key", key, MAX_KEY)
    _check_text("scope", scope, MAX_SCOPE)
    lease_s = check_seconds("lease", lease, 1.0, MAX_LEASE)
    return Options(
        key=key,
        scope=scope,
        tenant=tenant,
        payload=canonical(payload),
        record_key=record_key(tenant, scope, key),
        lease_ms=int(lease_s * 1000),
        retention_ms=int(_retention(scope, retention) * 1000),
        wait=check_seconds("wait", wait, 0.0, MAX_WAIT),
        max_run=check_seconds("max_run", max_run, 0.0, 86_400.0),
        final=_final(final),
        marks=marks,
    )


def record_key(tenant: str, scope: str, key: str) -> str:
    """The key of a record: it begins with the tenant, as a policy of IAM wants it, and shows no key of a client."""
    head = tenant_prefix(tenant) if tenant else ""
    digest = urlsafe_b64encode(sha256(key.encode()).digest()).decode().rstrip("=")
    return f"{head}~I#{system_part(scope)}#{digest}"


def _check_text(name: str, value: Any, most: int) -> None:
    if not isinstance(value, str):
        raise ValidationError(
            f"the {name} of an idempotent operation is a text of 1 to {most} characters, not {type(value).__name__}",
            field=name,
        )
    if not 1 <= len(value) <= most:
        raise ValidationError(
            f"the {name} of an idempotent operation is a text of 1 to {most} characters, not of {len(value)}",
            field=name,
        )
    if any(ord(sign) < 32 or 127 <= ord(sign) < 160 or 0xD800 <= ord(sign) < 0xE000 for sign in value):
        raise ValidationError(f"the {name} of an idempotent operation holds a control character", field=name)


def _retention(scope: str, given: float | timedelta) -> float:
    seconds = check_seconds("retention", given, 1.0, MAX_RETENTION)
    if scope != WEBHOOK and not scope.startswith(f"{WEBHOOK}:"):
        return seconds
    if seconds == RETENTION:  # what is there where nothing was said
        return WEBHOOK_RETENTION
    return webhook_retention(seconds)


def webhook_retention(given: float | timedelta = WEBHOOK_RETENTION) -> float:
    """For how many seconds a webhook is remembered: 30 days where nothing is said. Raises: ValidationError below 4 days.

    Example: ``webhook_retention(timedelta(days=7))``
    """
    seconds = check_seconds("retention", given, 1.0, MAX_RETENTION)
    if seconds < WEBHOOK_LEAST:
        raise ValidationError(
            f"retention of a webhook is {WEBHOOK_LEAST:.0f} or more seconds (4 days), for senders repeat one as long; left out"
            " it is 30 days",
            field="retention",
        )
    return seconds


def _final(given: Any) -> tuple[type[Exception], ...]:
    kinds = given if isinstance(given, tuple) else (given,)
    for kind in kinds:
        if not (isinstance(kind, type) and issubclass(kind, Exception)):
            raise ValidationError(
                "final are the exceptions after which the operation has failed for good: final=(CardDeclined,)",
                field="final",
            )
    return kinds
