"""Every operation of the engine's KMS, and how a request of one is answered. It must not know how requests come."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from dynamorm.engine.answers import encode
from dynamorm.engine.core import Core
from dynamorm.engine.kms import TARGET, aliases, control, crypto
from dynamorm.engine.refusal import Refusal
from dynamorm.engine.shapes.requests import reader
from dynamorm.engine.shapes.strict import refuse_duplicates

OPERATIONS: Final[dict[str, Callable[[Core, dict[str, Any]], dict[str, Any]]]] = {
    "CancelKeyDeletion": control.cancel_deletion,
    "CreateAlias": aliases.create_alias,
    "CreateKey": control.create_key,
    "Decrypt": crypto.decrypt,
    "DeleteAlias": aliases.delete_alias,
    "DescribeKey": control.describe_key,
    "DisableKey": control.disable_key,
    "DisableKeyRotation": control.disable_rotation,
    "EnableKey": control.enable_key,
    "EnableKeyRotation": control.enable_rotation,
    "Encrypt": crypto.encrypt,
    "GenerateDataKey": crypto.generate_data_key,
    "GenerateDataKeyWithoutPlaintext": crypto.generate_data_key_without_plaintext,
    "GenerateRandom": crypto.generate_random,
    "GetKeyRotationStatus": control.rotation_status,
    "ListAliases": aliases.list_aliases,
    "ListKeyRotations": control.list_rotations,
    "ListKeys": control.list_keys,
    "ReEncrypt": crypto.reencrypt,
    "RotateKeyOnDemand": control.rotate,
    "ScheduleKeyDeletion": control.schedule_deletion,
    "UpdateAlias": aliases.update_alias,
}


def answered(core: Core, operation: str, body: bytes, *, strict: bool = False) -> tuple[int, bytes]:
    """The status and the body that answer a request. It never raises for one, however it is made.

    ``strict``: members that come twice are refused, too.
    """
    work = OPERATIONS.get(operation)
    try:
        if work is None:
            return 400, _error(Refusal("UnknownOperationException", f"this engine's KMS has no {operation[:64]}"))
        if strict:
            refuse_duplicates(body)
        return 200, encode(work(core, reader(TARGET + operation)(body)))
    except Refusal as refusal:
        return refusal.status, _error(refusal)


def _error(refusal: Refusal) -> bytes:
    return encode({"__type": refusal.name, "message": refusal.text})
