"""What is done with keys and aliases: created, described, disabled, rotated, deleted.

Source: https://docs.aws.amazon.com/kms/latest/APIReference/API_Operations.html
"""

from __future__ import annotations

import re
from typing import Any, Final
from uuid import uuid4

from dynamorm.engine.core import Core
from dynamorm.engine.kms.keys import (
    DAY,
    PERIOD,
    Record,
    alias,
    alias_arn,
    aliases,
    arn_of,
    ids,
    keep,
    keep_alias,
    named,
    new_material,
    not_pending,
    rotated,
    usable,
)
from dynamorm.engine.refusal import Refusal, invalid

Answer = dict[str, Any]

ON_DEMAND: Final = 25
"""Rotations on demand that one key may have."""
_WINDOW: Final = range(7, 31)
_alias = re.compile(r"alias/[a-zA-Z0-9/_-]+\Z").match


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
    found, more = _page(ids(core), request)
    return {"Keys": [{"KeyId": one, "KeyArn": arn_of(core, one)} for one in found], **more}


def _page(names: list[str], request: Answer) -> tuple[list[str], Answer]:
    """The names of one page, and what an answer says of further ones."""
    marker, limit = request.get("Marker"), request.get("Limit") or 100
    left = [name for name in names if marker is None or name > marker]
    if len(left) <= limit:
        return left, {"Truncated": False}
    return left[:limit], {"Truncated": True, "NextMarker": left[limit - 1]}


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


def create_alias(core: Core, request: Answer) -> Answer:
    """CreateAlias."""
    name = _checked(request["AliasName"])
    record = not_pending(core, named(core, request["TargetKeyId"], by_alias=False))
    if alias(core, name) is not None:
        raise Refusal("AlreadyExistsException", f"An alias with the name {alias_arn(core, name)} already exists")
    keep_alias(core, name, {"key": record["id"], "created": core.now(), "updated": core.now()})
    return {}


def update_alias(core: Core, request: Answer) -> Answer:
    """UpdateAlias."""
    name = _checked(request["AliasName"])
    known = _known(core, name)
    record = not_pending(core, named(core, request["TargetKeyId"], by_alias=False))
    keep_alias(core, name, {**known, "key": record["id"], "updated": core.now()})
    return {}


def delete_alias(core: Core, request: Answer) -> Answer:
    """DeleteAlias."""
    name = _checked(request["AliasName"])
    _known(core, name)
    keep_alias(core, name, None)
    return {}


def _known(core: Core, name: str) -> Record:
    known = alias(core, name)
    if known is None:
        raise Refusal("NotFoundException", f"Alias {alias_arn(core, name)} is not found.")
    return known


def _checked(name: str) -> str:
    """The name of an alias. Raises: Refusal."""
    if not _alias(name):
        raise Refusal("InvalidAliasNameException", "an alias begins with alias/, and has letters, digits, /, _ and -")
    if name.startswith("alias/aws/"):
        raise Refusal("NotAuthorizedException", "names that begin with alias/aws/ are AWS's own")
    return name


def list_aliases(core: Core, request: Answer) -> Answer:
    """ListAliases: all of them, or those of one key."""
    known = aliases(core)
    wanted = request.get("KeyId")
    if wanted is not None:
        key = named(core, wanted, by_alias=False)["id"]
        known = {name: one for name, one in known.items() if one["key"] == key}
    found, more = _page(list(known), request)
    return {
        "Aliases": [
            {
                "AliasName": name,
                "AliasArn": alias_arn(core, name),
                "TargetKeyId": known[name]["key"],
                "CreationDate": known[name]["created"],
                "LastUpdatedDate": known[name]["updated"],
            }
            for name in found
        ],
        **more,
    }
