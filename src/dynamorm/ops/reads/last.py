"""The last item of a partition, as rules ask for it: what there is of a chain, a log or a count. One consistent Query."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from dynamorm.codec.address import another
from dynamorm.codec.strict import dumps, raw_page, read_object
from dynamorm.errors import ValidationError
from dynamorm.ops.calls.op import Op

if TYPE_CHECKING:
    from dynamorm.ops.requests import ModelRequests


class LastKey(bytes):
    """The JSON of a partition key, which stands for the last item under it."""


def last_key(plan: ModelRequests, partition: Any) -> LastKey:
    """What stands for the last item of a partition. Raises: ValidationError for a model without a sort key, and for no key."""
    schema = plan.codec.schema
    if plan.sort is None:
        raise ValidationError(f"{schema.name} has no sort key, so that there is no last item: use draft.read")
    return LastKey(dumps({plan.key_names[0]: plan.codec.encode_key_field(plan.partition.name, partition)}))


def read_last(plan: ModelRequests, key: LastKey) -> Op:
    """The call that reads the last item of a partition."""
    ((name, wire),) = read_object(key).items()
    request = {
        "TableName": plan.table,
        "KeyConditionExpression": "#p = :p",
        "ExpressionAttributeNames": {"#p": name},
        "ExpressionAttributeValues": {":p": wire},
        "ScanIndexForward": False,
        "Limit": 1,
        "ConsistentRead": True,
    }
    op = Op("Query", plan.table, dumps(request), partial(_only, name, wire))
    op.prepare = plan.prepare
    op.purpose = "guard"
    return op


def _only(name: str, wire: dict[str, Any], body: bytes) -> bytes | None:
    """The JSON of the one item of an answer. Raises: MalformedResponse for an item of another partition."""
    page = raw_page(body)
    if not page.raws:
        return None
    if len(page.raws) > 1 or page.items[0].get(name) != wire:
        raise another()
    return page.raws[0]
