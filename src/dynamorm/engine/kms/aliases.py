"""Aliases of keys: created, moved, deleted, listed.

Source: https://docs.aws.amazon.com/kms/latest/developerguide/alias-about.html
"""

from __future__ import annotations

import re
from typing import Any

from dynamorm.engine.core import Core
from dynamorm.engine.kms.keys import (
    Record,
    alias,
    alias_arn,
    aliases,
    keep_alias,
    named,
    not_pending,
    page_of,
)
from dynamorm.engine.refusal import Refusal

Answer = dict[str, Any]

_alias = re.compile(r"alias/[a-zA-Z0-9/_-]+\Z").match


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
    found, more = page_of(list(known), request)
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
