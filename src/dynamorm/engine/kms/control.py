"""What is done with keys: created, described, disabled, rotated, deleted.

Source: https://docs.aws.amazon.com/kms/latest/APIReference/API_Operations.html
"""

from __future__ import annotations

from typing import Any, Final
from uuid import uuid4

from dynamorm.engine.core import Core
from dynamorm.engine.kms.keys import (
    DAY,
    PERIOD,
    Record,
    arn_of,
    ids,
    keep,
    named,
    new_material,
    not_pending,
    page_of,
    rotated,
    usable,
)
from dynamorm.engine.refusal import Refusal, invalid

Answer = dict[str, Any]

ON_DEMAND: Final = 25
"""Rotations on demand that one key may have."""
_WINDOW: Final = range(7, 31)


def create_key(core: Core, request: Answer) -> Answer:
    """CreateKey: a symmetric one, with material of KMS's own."""
    usage = request.get("KeyUsage") or "ENCRYPT_DECRYPT"
    spec = request.get("KeySpec") or request.get("CustomerMasterKeySpec") or "SYMMETRIC_DEFAULT"
    origin = request.get("Origin") or "AWS_KMS"
    if (usage, spec, origin) != ("ENCRYPT_DECRYPT", "SYMMETRIC_DEFAULT", "AWS_KMS"):
        raise Refusal("UnsupportedOperationException", "this engine has symmetric keys of KMS's own material alone")
    regions = bool(request.get("MultiRegion"))
    now = core.now()
    record: Record = {
        "id": f"mrk-{uuid4().hex}" if regions else str(uuid4()),
        "created": now,
        "description": request.get("Description") or "",
        "state": "Enabled",
        "deletion": None,
        "regions": regions,
        "period": PERIOD,
        "next": None,
        "materials": [new_material(now, "CREATED")],
    }
    keep(core, record)
    return {"KeyMetadata": _metadata(core, record)}


def _metadata(core: Core, record: Record) -> Answer:
    found: Answer = {
        "AWSAccountId": core.settings.account,
        "KeyId": record["id"],
        "Arn": arn_of(core, record["id"]),
        "CreationDate": record["created"],
        "Enabled": record["state"] == "Enabled",
        "Description": record["description"],
        "KeyUsage": "ENCRYPT_DECRYPT",
        "KeyState": record["state"],
        "Origin": "AWS_KMS",
        "KeyManager": "CUSTOMER",
        "CustomerMasterKeySpec": "SYMMETRIC_DEFAULT",
        "KeySpec": "SYMMETRIC_DEFAULT",
        "EncryptionAlgorithms": ["SYMMETRIC_DEFAULT"],
        "MultiRegion": record["regions"],
    }
    if record["deletion"] is not None:
        found["DeletionDate"] = record["deletion"]
    if record["regions"]:
        found["MultiRegionConfiguration"] = {
            "MultiRegionKeyType": "PRIMARY",
            "PrimaryKey": {"Arn": found["Arn"], "Region": core.settings.region},
            "ReplicaKeys": [],
        }
    return found


def describe_key(core: Core, request: Answer) -> Answer:
    """DescribeKey."""
    return {"KeyMetadata": _metadata(core, named(core, request["KeyId"]))}


def list_keys(core: Core, request: Answer) -> Answer:
    """ListKeys."""
    found, more = page_of(ids(core), request)
    return {"Keys": [{"KeyId": one, "KeyArn": arn_of(core, one)} for one in found], **more}


def enable_key(core: Core, request: Answer) -> Answer:
    """EnableKey."""
    return _switched(core, request, "Enabled")


def disable_key(core: Core, request: Answer) -> Answer:
    """DisableKey."""
    return _switched(core, request, "Disabled")


def _switched(core: Core, request: Answer, state: str) -> Answer:
    record = not_pending(core, named(core, request["KeyId"], by_alias=False))
    record["state"] = state
    keep(core, record)
    return {}


def schedule_deletion(core: Core, request: Answer) -> Answer:
    """ScheduleKeyDeletion."""
    record = not_pending(core, named(core, request["KeyId"], by_alias=False))
    days = request.get("PendingWindowInDays")
    days = 30 if days is None else days
    if days not in _WINDOW:
        raise invalid("PendingWindowInDays is 7 to 30")
    record["state"], record["deletion"] = "PendingDeletion", core.now() + days * DAY
    keep(core, record)
    return {
        "KeyId": arn_of(core, record["id"]),
        "DeletionDate": record["deletion"],
        "KeyState": record["state"],
        "PendingWindowInDays": days,
    }


def cancel_deletion(core: Core, request: Answer) -> Answer:
    """CancelKeyDeletion: the key is disabled then."""
    record = named(core, request["KeyId"], by_alias=False)
    arn = arn_of(core, record["id"])
    if record["state"] != "PendingDeletion":
        raise Refusal("KMSInvalidStateException", f"{arn} is not pending deletion.")
    record["state"], record["deletion"] = "Disabled", None
    keep(core, record)
    return {"KeyId": arn}


def enable_rotation(core: Core, request: Answer) -> Answer:
    """EnableKeyRotation."""
    record = usable(core, named(core, request["KeyId"], by_alias=False))
    rotated(core, record)
    record["period"] = request.get("RotationPeriodInDays") or PERIOD
    record["next"] = core.now() + record["period"] * DAY
    keep(core, record)
    return {}


def disable_rotation(core: Core, request: Answer) -> Answer:
    """DisableKeyRotation."""
    record = usable(core, named(core, request["KeyId"], by_alias=False))
    rotated(core, record)
    record["next"] = None
    keep(core, record)
    return {}


def rotation_status(core: Core, request: Answer) -> Answer:
    """GetKeyRotationStatus."""
    record = rotated(core, named(core, request["KeyId"], by_alias=False))
    found: Answer = {"KeyRotationEnabled": record["next"] is not None, "KeyId": arn_of(core, record["id"])}
    if record["next"] is not None:
        found |= {"RotationPeriodInDays": record["period"], "NextRotationDate": record["next"]}
    return found


def rotate(core: Core, request: Answer) -> Answer:
    """RotateKeyOnDemand."""
    record = rotated(core, usable(core, named(core, request["KeyId"], by_alias=False)))
    if sum(one["kind"] == "ON_DEMAND" for one in record["materials"]) >= ON_DEMAND:
        raise Refusal("LimitExceededException", f"a key is rotated on demand {ON_DEMAND} times at most")
    record["materials"].append(new_material(core.now(), "ON_DEMAND"))
    keep(core, record)
    return {"KeyId": arn_of(core, record["id"])}


def list_rotations(core: Core, request: Answer) -> Answer:
    """ListKeyRotations: of the whole key, in one page."""
    record = rotated(core, named(core, request["KeyId"], by_alias=False))
    arn = arn_of(core, record["id"])
    return {
        "Rotations": [
            {"KeyId": arn, "RotationDate": one["at"], "RotationType": one["kind"]} for one in record["materials"][1:]
        ],
        "Truncated": False,
    }
