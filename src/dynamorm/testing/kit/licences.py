"""`licence`: licences for tests, signed with a key that everybody has, and that counts for engines on this machine alone."""

from __future__ import annotations

import hashlib
import json
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterable
from typing import Any

from dynamorm.config.licence.keys import TESTING_KID
from dynamorm.config.licence.token import SIGNED


def licence(features: Iterable[str] = ("encryption", "audit_log", "multi_tenancy"), **claims: Any) -> str:
    """A licence for tests: set it as ``DYNAMORM_LICENSE``. It is valid for an hour, unless ``claims`` say otherwise.

    ``claims`` are put in as they are, also such as no licence may have: ``lid``, ``sub``, ``iat``, ``nbf``, ``exp``,
    ``grace`` (times in seconds since 1970, ``grace`` in seconds).

    Example: ``monkeypatch.setenv("DYNAMORM_LICENSE", licence(["encryption"], exp=int(time.time()) - 86400))``
    """
    now = int(time.time())
    said: dict[str, Any] = {
        "kid": TESTING_KID,
        "lid": "test-licence",
        "sub": "tests",
        "feat": list(features),
        "iat": now,
        "nbf": now,
        "exp": now + 3600,
        "grace": 0,
        **claims,
    }
    return signed(json.dumps(said).encode())


def signed(payload: bytes) -> str:
    """A licence of these very bytes, with the signature of the key for tests. Example: ``signed(b"{}")`` is refused."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # an optional dependency

    key = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"dynamorm.testing.licence").digest())
    parts = (payload, key.sign(SIGNED + payload))
    return ".".join(["DLIC1", *(urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)])
