"""Tags of tables.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Tagging.html
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from dynamorm.engine.answers import EMPTY, encode
from dynamorm.engine.catalog.table import Table
from dynamorm.engine.core import Core
from dynamorm.engine.refusal import Refusal, invalid

MAX_TAGS: Final = 50


def checked_tags(tags: dict[str, str], given: Iterable[dict[str, str]]) -> dict[str, str]:
    """The tags with some more. Raises: Refusal."""
    found = dict(tags)
    seen: set[str] = set()
    for one in given:
        key = one["Key"]
        if key in seen:
            raise invalid(f"Invalid tags: a key comes twice: {key}")
        if key.lower().startswith("aws:"):
            raise invalid("Invalid tags: keys that begin with aws: are the service's own")
        seen.add(key)
        found[key] = one["Value"]
    if len(found) > MAX_TAGS:
        raise Refusal("LimitExceededException", f"a table has {MAX_TAGS} tags at most")
    return found


def _of(core: Core, request: dict[str, Any]) -> Table:
    arn = request["ResourceArn"]
    if not arn.startswith("arn:") or ":table/" not in arn:
        raise invalid("Invalid TableArn: an ARN of a table is expected")
    try:
        return core.table(arn)
    except Refusal as error:
        raise _elsewhere(arn) from error


def _elsewhere(arn: str) -> Refusal:
    """What is not there: of another account nobody is told whether it is (Parity Suite, tags)."""
    return Refusal("AccessDeniedException", f"User is not authorized to perform this on resource: {arn}")


def tag_resource(core: Core, request: dict[str, Any]) -> bytes:
    """TagResource."""
    table = _of(core, request)
    tags = checked_tags(table.record["tags"], request["Tags"])
    core.keep(table.record | {"tags": tags})
    return EMPTY


def untag_resource(core: Core, request: dict[str, Any]) -> bytes:
    """UntagResource."""
    table = _of(core, request)
    gone = set(request["TagKeys"])
    core.keep(table.record | {"tags": {key: value for key, value in table.record["tags"].items() if key not in gone}})
    return EMPTY


def list_tags(core: Core, request: dict[str, Any]) -> bytes:
    """ListTagsOfResource."""
    tags = _of(core, request).record["tags"]
    return encode({"Tags": [{"Key": key, "Value": value} for key, value in tags.items()]})
