"""What keys are for: data keys, encrypting, decrypting; each bound to its encryption context.

Source: https://docs.aws.amazon.com/kms/latest/developerguide/encrypt_context.html
"""

from __future__ import annotations

from secrets import token_bytes
from typing import Any, Final

from dynamorm.engine.core import Core
from dynamorm.engine.kms.keys import Record, arn_of, named, rotated, usable
from dynamorm.engine.kms.sealing import parts_of, seal, unseal
from dynamorm.engine.refusal import Refusal, invalid
from dynamorm.engine.values.measure import decoded, encoded

Answer = dict[str, Any]

MAX_PLAIN: Final = 4096
MAX_BLOB: Final = 6144
_SIZES: Final = {"AES_256": 32, "AES_128": 16}
_ALGORITHM: Final = "SYMMETRIC_DEFAULT"


def generate_data_key(core: Core, request: Answer) -> Answer:
    """GenerateDataKey."""
    record = usable(core, named(core, request["KeyId"]))
    plain = token_bytes(_size(request))
    _dry(request)
    return {
        "CiphertextBlob": _sealed(core, record, plain, request),
        "Plaintext": encoded(plain),
        "KeyId": arn_of(core, record["id"]),
    }


def generate_data_key_without_plaintext(core: Core, request: Answer) -> Answer:
    """GenerateDataKeyWithoutPlaintext."""
    found = generate_data_key(core, request)
    del found["Plaintext"]
    return found


def _size(request: Answer) -> int:
    spec, count = request.get("KeySpec"), request.get("NumberOfBytes")
    if (spec is None) is (count is None):
        raise invalid("Please specify either number of bytes or key spec.")
    if spec is not None:
        return _SIZES[spec]
    size: int = request["NumberOfBytes"]
    return size


def generate_random(core: Core, request: Answer) -> Answer:
    """GenerateRandom."""
    del core
    count = request.get("NumberOfBytes")
    if count is None:
        raise invalid("NumberOfBytes is required.")
    return {"Plaintext": encoded(token_bytes(count))}


def encrypt(core: Core, request: Answer) -> Answer:
    """Encrypt."""
    plain = _bounded(request["Plaintext"], "plaintext", MAX_PLAIN)
    record = usable(core, named(core, request["KeyId"]))
    _fitting(request.get("EncryptionAlgorithm"))
    _dry(request)
    return {
        "CiphertextBlob": _sealed(core, record, plain, request),
        "KeyId": arn_of(core, record["id"]),
        "EncryptionAlgorithm": _ALGORITHM,
    }


def decrypt(core: Core, request: Answer) -> Answer:
    """Decrypt."""
    if request.get("CiphertextBlob") is None:
        raise invalid("CiphertextBlob is required.")
    _fitting(request.get("EncryptionAlgorithm"))
    record, plain = _opened(core, request["CiphertextBlob"], request.get("EncryptionContext"), request.get("KeyId"))
    _dry(request)
    return {"Plaintext": encoded(plain), "KeyId": arn_of(core, record["id"]), "EncryptionAlgorithm": _ALGORITHM}


def reencrypt(core: Core, request: Answer) -> Answer:
    """ReEncrypt."""
    for member in ("SourceEncryptionAlgorithm", "DestinationEncryptionAlgorithm"):
        _fitting(request.get(member))
    if request.get("CiphertextBlob") is None:
        raise invalid("CiphertextBlob is required.")
    source, plain = _opened(
        core, request["CiphertextBlob"], request.get("SourceEncryptionContext"), request.get("SourceKeyId")
    )
    record = usable(core, named(core, request["DestinationKeyId"]))
    _dry(request)
    return {
        "CiphertextBlob": _sealed(
            core, record, plain, {"EncryptionContext": request.get("DestinationEncryptionContext")}
        ),
        "SourceKeyId": arn_of(core, source["id"]),
        "KeyId": arn_of(core, record["id"]),
        "SourceEncryptionAlgorithm": _ALGORITHM,
        "DestinationEncryptionAlgorithm": _ALGORITHM,
    }


def _opened(core: Core, blob: str, context: dict[str, str] | None, key_id: str | None) -> tuple[Record, bytes]:
    """The key of a ciphertext, and what it holds. Raises: Refusal."""
    sealed = parts_of(_bounded(blob, "ciphertextBlob", MAX_BLOB))
    wanted = None if key_id is None else named(core, key_id)
    if sealed is None:
        raise Refusal("InvalidCiphertextException", "")
    try:
        record = named(core, sealed.key_id, by_alias=False)
    except Refusal as error:
        if error.text.startswith("Invalid keyId"):
            raise Refusal("InvalidCiphertextException", "") from error
        raise
    if wanted is not None and wanted["id"] != record["id"]:
        raise Refusal(
            "IncorrectKeyException",
            "The key ID in the request does not identify a CMK that can perform this operation.",
        )
    usable(core, record)
    materials = record["materials"]
    secret = decoded(materials[sealed.material]["secret"]) if sealed.material < len(materials) else b""
    plain = unseal(sealed, secret, context or {}) if secret else None
    if plain is None:
        raise Refusal("InvalidCiphertextException", "")
    return record, plain


def _sealed(core: Core, record: Record, plain: bytes, request: Answer) -> str:
    rotated(core, record)
    number = len(record["materials"]) - 1
    secret = decoded(record["materials"][number]["secret"])
    return encoded(seal(record["id"], number, secret, plain, request.get("EncryptionContext") or {}))


def _bounded(text: str, member: str, most: int) -> bytes:
    raw = decoded(text)
    if not 1 <= len(raw) <= most:
        rule = "less than or equal to " + str(most) if raw else "greater than or equal to 1"
        raise invalid(
            f"1 validation error detected: Value at '{member}' failed to satisfy constraint: Member must have length {rule}"
        )
    return raw


def _fitting(algorithm: str | None) -> None:
    if algorithm not in (None, _ALGORITHM):
        raise Refusal("InvalidKeyUsageException", f"the keys of this engine are for {_ALGORITHM}, not for {algorithm}")


def _dry(request: Answer) -> None:
    if request.get("DryRun"):
        raise Refusal(
            "DryRunOperationException", "The request would have succeeded, but the DryRun option is set.", status=412
        )
