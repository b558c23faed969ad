"""`KMSProvider`: data keys from the AWS Key Management Service."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any, Final, Literal

from dynamorm.effects import Flow
from dynamorm.errors import ClientError, ConfigError, DynamORMError, KeyDisabled, KeyUnavailable
from dynamorm.plugin import OfOneProcess

DISABLED: Final = frozenset(
    {
        "DisabledException",
        "KMSInvalidStateException",
        "NotFoundException",
        "InvalidCiphertextException",
        "IncorrectKeyException",
        "InvalidKeyUsageException",
    }
)
"""The refusals that say something of the key itself: it is disabled, pending deletion, gone, or not the one that has wrapped.

Source: https://docs.aws.amazon.com/kms/latest/APIReference/API_Decrypt.html
"""
GRACE: Final = 900.0
"""The longest time for which a key is used while the service does not answer, in seconds."""


class KMSProvider(OfOneProcess):
    """Makes data keys by a key of KMS, and lets KMS open them: one call for each ring and tenant, and ``ttl`` seconds.

    Args:
        key_id: an ARN, an id or an alias of a symmetric key. An alias is resolved once, and what answers later must be that key.
            Or a function that gives one for each tenant (empty: of none), so that a tenant's can be deleted.
        cache: False keeps an opened key for a second only.
        ttl: the seconds for which an opened key is kept, 1 to 3600.
        max_keys: how many opened keys are kept.
        grace: the seconds for which a key is used beyond ``ttl`` while KMS does not answer, up to 900.
        endpoint: the URL of KMS; else ``AWS_ENDPOINT_URL_KMS``, or that of the Region. The rules for that of the database hold.
        region: the Region of the key; else that of its ARN, or of the database.
        keyring_table: the table in which the records of keys are kept, with the keys ``pk`` and ``sk``, both texts.
        create: False makes no key for a ring that has none: it is `KeyUnavailable`.
        context_tenant: ``"hash"`` lets KMS, and so CloudTrail, see SHA-256 of a tenant in the place of its name.

    Raises: ConfigError.

    Example: ``db.set_encryption_provider(KMSProvider(key_id="alias/payment-data", cache=True))``
    """

    is_for_production: bool = True

    def __init__(
        self,
        key_id: str | Callable[[str], str],
        *,
        cache: bool = True,
        ttl: float = 300.0,
        max_keys: int = 1000,
        grace: float = 0.0,
        endpoint: str | None = None,
        region: str | None = None,
        keyring_table: str | None = None,
        create: bool = True,
        context_tenant: Literal["plain", "hash"] = "plain",
    ) -> None:
        if not callable(key_id):
            _check(key_id)
        if not 1 <= ttl <= 3600 or not 0 <= grace <= GRACE or not max_keys >= 1:
            raise ConfigError(f"ttl is 1 to 3600 s, grace 0 to {GRACE:g} s, max_keys at least 1")
        if context_tenant not in {"plain", "hash"}:
            raise ConfigError('context_tenant is "plain" or "hash"')
        self.ttl: float = ttl if cache else 1.0
        self.max_keys: int = max_keys
        self.grace: float = grace
        self.keyring_table: str | None = keyring_table
        self.create: bool = create
        self.has_keys_of_tenants: bool = callable(key_id)
        """Whether a tenant's key can be deleted in KMS."""
        self._key_id: str | Callable[[str], str] = key_id
        self._arns: dict[str, str] = {}
        self._endpoint = endpoint
        self._region = region or (None if callable(key_id) else _region_of(key_id))
        self._hashes = context_tenant == "hash"
        self._service: Any = None

    def joined(self, db: Any) -> None:
        """Take the way to KMS from a database. Raises: ConfigError."""
        self._service = db.service("kms", target="TrentService", endpoint=self._endpoint, region=self._region)

    def closed(self) -> None:
        """Close the connections."""
        if self._service is not None:
            self._service.close()

    def generate(self, context: Mapping[str, str]) -> Flow[tuple[bytes, bytes]]:
        """See `KeyProvider`."""
        answer = yield from self._ask(
            "GenerateDataKey", context, {"KeySpec": "AES_256", "EncryptionContext": self._context(context)}
        )
        return _bytes(answer, "Plaintext"), _bytes(answer, "CiphertextBlob")

    def unwrap(self, wrapped: bytes, context: Mapping[str, str]) -> Flow[bytes]:
        """See `KeyProvider`."""
        blob = b64encode(wrapped).decode()
        answer = yield from self._ask(
            "Decrypt", context, {"CiphertextBlob": blob, "EncryptionContext": self._context(context)}
        )
        return _bytes(answer, "Plaintext")

    def _context(self, context: Mapping[str, str]) -> dict[str, str]:
        tenant = context.get("dynamorm-tenant")
        if tenant is None or not self._hashes:
            return dict(context)
        return {**context, "dynamorm-tenant": sha256(tenant.encode()).hexdigest()}

    def _key_of(self, context: Mapping[str, str]) -> str:
        """The key for a tenant. Raises: ConfigError for what is none."""
        if isinstance(self._key_id, str):
            return self._key_id
        found = self._key_id(context.get("dynamorm-tenant", ""))
        _check(found)
        return found

    def _ask(self, operation: str, context: Mapping[str, str], request: dict[str, Any]) -> Flow[dict[str, Any]]:
        if self._service is None:
            raise KeyUnavailable("this KMSProvider belongs to no database: db.set_encryption_provider(provider)")
        key_id = self._key_of(context)
        failed: Callable[[], DynamORMError]
        try:
            answer: dict[str, Any] = yield from self._service.call(
                operation, {"KeyId": self._arns.get(key_id, key_id), **request}
            )
        except DynamORMError as error:
            code, text = error.code, error.message
            if isinstance(error, ClientError) and code in DISABLED:
                failed = lambda: KeyDisabled(f"KMS refused {operation}: {code}")  # noqa: E731 - raised without the first one in sight
            else:  # of the key it says nothing: it may be had again once the way, the credentials or the policy are right
                failed = lambda: KeyUnavailable(f"KMS gave no key by {operation}: {text}")  # noqa: E731 - as above
        else:
            self._pin(key_id, answer)
            return answer
        raise failed()

    def _pin(self, key_id: str, answer: dict[str, Any]) -> None:
        """Note which key has answered first, and refuse another one. Raises: KeyDisabled; KeyUnavailable where none is named."""
        arn = answer.get("KeyId")
        if not isinstance(arn, str) or not arn.startswith("arn:") or ":key/" not in arn:
            raise KeyUnavailable(
                "the answer of KMS does not name its key by an ARN (KeyId), so that nobody knows whose it is"
            )
        if arn != self._arns.get(key_id, arn) or not _may_be(key_id, arn):
            raise KeyDisabled("another key of KMS has answered than the one that this provider was made with")
        self._arns[key_id] = arn

    def __repr__(self) -> str:
        return f"KMSProvider({self._key_id!r})" if isinstance(self._key_id, str) else "KMSProvider(<of each tenant>)"


def _may_be(key_id: str, arn: str) -> bool:
    """Whether the key with this ARN may be the one that is meant: an alias does not tell more than its Region and account."""
    if key_id.startswith("arn:"):
        whose, _, name = key_id.rpartition(":")
        return arn == key_id if name.startswith("key/") else arn.rpartition(":")[0] == whose
    return key_id.startswith("alias/") or arn.endswith(f":key/{key_id}")


def _check(key_id: Any) -> None:
    if not isinstance(key_id, str) or not key_id or len(key_id) > 2048:
        raise ConfigError('key_id is the ARN, the id or the alias of a key: "alias/payment-data"')


def _region_of(key_id: str) -> str | None:
    return key_id.split(":")[3] if key_id.startswith("arn:") and key_id.count(":") >= 5 else None


def _bytes(answer: dict[str, Any], name: str) -> bytes:
    try:
        return b64decode(answer[name], validate=True)
    except (KeyError, ValueError, TypeError):
        pass
    raise KeyUnavailable(f"the answer of KMS holds no {name}")
