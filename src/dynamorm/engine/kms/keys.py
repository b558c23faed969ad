"""The keys of the engine's KMS: how they are kept, found by a name, and in which states they may be used.

Source: https://docs.aws.amazon.com/kms/latest/developerguide/key-state.html and .../concepts.html#key-id
"""

from __future__ import annotations

import re
from secrets import token_bytes
from typing import Any, Final

from dynamorm.engine.answers import encode, read_item
from dynamorm.engine.core import Core
from dynamorm.engine.refusal import Refusal
from dynamorm.engine.values.measure import encoded

KEYS: Final = b"\0kms/"
ALIASES: Final = b"\0kms@"
"""How keys and aliases are named among the tokens, where nothing else begins so."""

KEPT: Final = 2**60
"""The moment until which a row stays there."""

DAY: Final = 86_400.0
PERIOD: Final = 365

Record = dict[str, Any]

_id = re.compile(r"(?:mrk-)?[0-9a-f-]{32,36}\Z").match


def arn_of(core: Core, key_id: str) -> str:
    """The ARN of a key."""
    return f"{_prefix(core)}key/{key_id}"


def alias_arn(core: Core, name: str) -> str:
    """The ARN of an alias."""
    return f"{_prefix(core)}{name}"


def _prefix(core: Core) -> str:
    return f"arn:aws:kms:{core.settings.region}:{core.settings.account}:"


def keep(core: Core, record: Record) -> None:
    """Store a key."""
    _store(core, KEYS + record["id"].encode(), record)


def keep_alias(core: Core, name: str, record: Record | None) -> None:
    """Store an alias, or remove it."""
    _store(core, ALIASES + name.encode(), record)


def _store(core: Core, place: bytes, record: Record | None) -> None:
    row = None if record is None else (KEPT, encode(record))
    core.store.apply([(core.tokens, place, core.tokens.get(place), row)])


def aliases(core: Core) -> dict[str, Record]:
    """Every alias by its name, in order."""
    rows = core.tokens.range(ALIASES, ALIASES[:-1] + b"A")
    return {key[len(ALIASES) :].decode(): read_item(data) for key, _, data in rows}


def ids(core: Core) -> list[str]:
    """The ids of all keys, in order."""
    found = [key[len(KEYS) :].decode() for key, _, _ in core.tokens.range(KEYS, KEYS[:-1] + b"0")]
    return [key_id for key_id in found if _record(core, key_id) is not None]


def alias(core: Core, name: str) -> Record | None:
    """What an alias stands for."""
    row = core.tokens.get(ALIASES + name.encode())
    return None if row is None else read_item(row[1])


def named(core: Core, name: str, *, by_alias: bool = True) -> Record:
    """The key of an id, an ARN or, where the operation takes one, an alias. Raises: Refusal."""
    given, prefix = name, _prefix(core)
    if name.startswith("arn:"):
        if name.count(":") != 5:
            raise Refusal("InvalidArnException", "the ARN of a key has six parts")
        if not name.startswith(prefix):
            raise _missing(f"Key '{given}' does not exist")
        name = name.removeprefix(prefix)
        name = name.removeprefix("key/")
    if name.startswith("alias/"):
        target = alias(core, name) if by_alias else None
        if target is None:
            said = f"Alias {alias_arn(core, name)} is not found." if by_alias else f"Invalid keyId '{given}'"
            raise _missing(said)
        name = target["key"]
    elif not _id(name):
        raise _missing(f"Invalid keyId '{given}'")
    record = _record(core, name)
    if record is None:
        raise _missing(f"Key '{arn_of(core, name)}' does not exist")
    return record


def _record(core: Core, key_id: str) -> Record | None:
    """What is kept of a key, None for one that never was, or whose deletion came due."""
    row = core.tokens.get(KEYS + key_id.encode())
    if row is None:
        return None
    record = read_item(row[1])
    if record["deletion"] is not None and record["deletion"] <= core.now():
        return None
    return record


def _missing(text: str) -> Refusal:
    return Refusal("NotFoundException", text)


def usable(core: Core, record: Record) -> Record:
    """The key, which is enabled. Raises: Refusal."""
    arn = arn_of(core, record["id"])
    if record["state"] == "PendingDeletion":
        raise Refusal("KMSInvalidStateException", f"{arn} is pending deletion.")
    if record["state"] == "Disabled":
        raise Refusal("DisabledException", f"{arn} is disabled.")
    return record


def not_pending(core: Core, record: Record) -> Record:
    """The key, which is not about to be deleted. Raises: Refusal."""
    if record["state"] == "PendingDeletion":
        raise Refusal("KMSInvalidStateException", f"{arn_of(core, record['id'])} is pending deletion.")
    return record


def new_material(moment: float, kind: str) -> Record:
    """Fresh key material: its secret, when it was made, and whether by the calendar or on demand."""
    return {"at": moment, "kind": kind, "secret": encoded(token_bytes(32))}


def rotated(core: Core, record: Record) -> Record:
    """The key with the material that its rotation has made until now."""
    now, due = core.now(), record["next"]
    changed = False
    while due is not None and due <= now:
        record["materials"].append(new_material(due, "AUTOMATIC"))
        due, changed = due + record["period"] * DAY, True
    if changed:
        record["next"] = due
        keep(core, record)
    return record


def page_of(names: list[str], request: Record) -> tuple[list[str], Record]:
    """The names of one page, and what an answer says of further ones."""
    marker, limit = request.get("Marker"), request.get("Limit") or 100
    left = [name for name in names if marker is None or name > marker]
    if len(left) <= limit:
        return left, {"Truncated": False}
    return left[:limit], {"Truncated": True, "NextMarker": left[limit - 1]}
