"""Signed webhooks, by the rules of Standard Webhooks: making the headers, and checking them. It must not know who sends.

Source: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import hashlib
import hmac
import math
import re
import time
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping
from typing import Any, Final

from dynamorm.errors import ConfigError, InvalidSignature, ValidationError

SHORTEST, LONGEST = 24, 64
"""Bytes of a shared secret."""
TOLERANCE: Final = 300
"""Seconds by which the time of a webhook may differ from now, in both directions."""
MOST_SIGNATURES: Final = 20

_DIGITS: Final = re.compile(r"[0-9]{1,12}", re.ASCII)
_ID: Final = re.compile(r"[!-\-/-~]{1,255}", re.ASCII)
_FORM: Final = (
    "a secret is 'whsec_' and the base64 text of 24 to 64 random bytes ('whsk_' and 'whpk_' are Ed25519 keys)"
)


def sign_webhook(
    secret: str | Iterable[str], *, id: str, body: bytes | str, timestamp: float | None = None
) -> dict[str, str]:
    """The headers of a webhook: ``webhook-id``, ``webhook-timestamp`` and ``webhook-signature``.

    ``secret`` is one, or several while they are rotated: the webhook is signed with each. ``whsec_...`` makes signatures ``v1``
    (HMAC-SHA256), ``whsk_...`` ``v1a`` (Ed25519). ``body`` are the bytes that are sent, and no others; ``timestamp`` is now if left out.

    Raises: ValidationError.

    Example: ``headers = sign_webhook(secret, id=event.id, body=event.body)``
    """
    if _ID.fullmatch(str(id)) is None:
        raise ValidationError("the id of a webhook is ASCII of 1 to 255 characters, without a point", field="id")
    seconds = int(_finite(time.time() if timestamp is None else timestamp, "timestamp"))
    signed = _signed(id, str(seconds), _raw(body))
    signatures = [_signature(one, signed) for one in _several(secret)]
    return {"webhook-id": id, "webhook-timestamp": str(seconds), "webhook-signature": " ".join(signatures)}


def verify_webhook(
    secrets: str | Iterable[str],
    headers: Mapping[str, Any],
    body: bytes | str,
    *,
    tolerance: float = TOLERANCE,
    now: float | None = None,
) -> str:
    """Check a webhook that came in, and give its id: one that was seen before is the same webhook again.

    ``secrets`` are all that count now; ``body`` are the bytes as they came, before anything read them. ``tolerance`` is in seconds and
    counts both ways; 0 demands this very second, and switches nothing off.

    Raises: InvalidSignature, which says what is wrong; ValidationError for what is no secret.

    Example: ``id = verify_webhook([secret], request.headers, await request.body())``
    """
    allowed = _finite(tolerance, "tolerance")
    moment = time.time() if now is None else _finite(now, "now")
    if allowed < 0:
        raise ValidationError("tolerance is 0 or more seconds", field="tolerance")
    known = list(_several(secrets))
    id, stamp, given = (_header(headers, name) for name in ("webhook-id", "webhook-timestamp", "webhook-signature"))
    if not (id.isascii() and given.isascii()):
        raise InvalidSignature("webhook-id and webhook-signature are ASCII")
    if "." in id:  # what is signed is split at points
        raise InvalidSignature("webhook-id has a point, so that another id could be meant")
    if _DIGITS.fullmatch(stamp) is None:
        raise InvalidSignature("webhook-timestamp is no number of seconds")
    age = int(moment) - int(stamp)
    if abs(age) > allowed:
        raise InvalidSignature(
            f"the webhook is too {'old' if age > 0 else 'new'}: the clocks differ, or it was sent again"
        )
    signatures = given.split(" ")
    if len(signatures) > MOST_SIGNATURES:
        raise InvalidSignature(f"the webhook has more than {MOST_SIGNATURES} signatures")
    signed = _signed(id, stamp, _raw(body))
    found = False
    for secret in known:
        for signature in signatures:  # all are looked at, so that the time tells nothing
            found |= _matches(secret, signature, signed)
    if not found:
        raise InvalidSignature("no signature of the webhook is by one of the secrets: it was altered, or is not for us")
    return id


def _signed(id: str, stamp: str, body: bytes) -> bytes:
    return f"{id}.{stamp}.".encode() + body


def _signature(secret: str, signed: bytes) -> str:
    kind, key = _key(secret)
    if kind == "whsec":
        return f"v1,{b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()}"
    if kind == "whpk":
        raise ValidationError("a public key signs nothing: give the private one, 'whsk_...'", field="secret")
    return f"v1a,{b64encode(_ed25519().Ed25519PrivateKey.from_private_bytes(key).sign(signed)).decode()}"


def _matches(secret: str, signature: str, signed: bytes) -> bool:
    kind, key = _key(secret)
    version, _, text = signature.partition(",")
    if kind == "whsec":
        return version == "v1" and hmac.compare_digest(_signature(secret, signed).encode(), signature.encode())
    if version != "v1a":
        return False
    keys = _ed25519()
    public = (
        keys.Ed25519PublicKey.from_public_bytes(key)
        if kind == "whpk"
        else (keys.Ed25519PrivateKey.from_private_bytes(key).public_key())
    )
    raw = _decoded(text)
    if raw is None or len(raw) != 64:
        return False
    try:
        public.verify(raw, signed)
    except _invalid():
        return False
    return True


def _ed25519() -> Any:
    try:
        from cryptography.hazmat.primitives.asymmetric import ed25519  # an optional dependency, for v1a alone
    except ImportError as error:
        raise ConfigError("signatures v1a need the package cryptography: pip install 'dynamorm-py[secure]'") from error
    return ed25519


def _invalid() -> type[Exception]:
    from cryptography.exceptions import InvalidSignature as Invalid  # as above

    return Invalid


def _key(secret: str) -> tuple[str, bytes]:
    """The kind of a secret and its bytes. Raises: ValidationError, which never shows it."""
    kind, _, text = secret.partition("_")
    raw = _decoded(text)
    if raw is not None:
        if kind == "whsec" and SHORTEST <= len(raw) <= LONGEST:
            return kind, raw
        if kind in ("whsk", "whpk") and len(raw) in (32, 64):
            return kind, raw[:32]
    raise ValidationError(_FORM, field="secret")


def _decoded(text: str) -> bytes | None:
    """The bytes of base64 in its one spelling, None for anything else."""
    try:
        raw = b64decode(text.encode("ascii"), validate=True)
    except ValueError:
        return None
    return raw if b64encode(raw).decode() == text else None


def _several(secrets: Any) -> Iterable[str]:
    given = [secrets] if isinstance(secrets, str) else list(secrets) if isinstance(secrets, Iterable) else []
    if not given or not all(isinstance(one, str) for one in given):
        raise ValidationError(_FORM, field="secret")
    for one in given:
        _key(one)
    return given


def _header(headers: Mapping[str, Any], name: str) -> str:
    """The one value of a header, whatever its case. Raises: InvalidSignature."""
    values = [value for key, value in headers.items() if str(key).lower() == name]
    value = values[0] if len(values) == 1 else None
    if isinstance(value, bytes):
        value = value.decode("latin-1")
    if not isinstance(value, str) or not value:
        raise InvalidSignature(f"the webhook has no {name}" if not values else f"the webhook has no one {name}")
    return value


def _raw(body: Any) -> bytes:
    if isinstance(body, str) and not any(0xD800 <= ord(sign) < 0xE000 for sign in body):
        return body.encode()
    if isinstance(body, (bytes, bytearray, memoryview)):
        return bytes(body)
    raise ValidationError("body are the bytes that are sent, not what was read of them", field="body")


def _finite(value: Any, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValidationError(f"{name} is a number of seconds", field=name)
    return value
