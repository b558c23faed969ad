"""What the credentials may do with a table: each action is asked by a call that changes nothing, whoever has stored what.

Reads ask for one item at most. Writes of one item have a condition that nothing can meet, and a batch of writes names a key of a
wrong type, so that none of them can be done; where they are allowed, that is what they are refused for.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from dynamorm.codec.strict import read_object
from dynamorm.errors import (
    AccessDenied,
    ClientError,
    ConditionFailed,
    DynamORMError,
    TransactionCancelled,
    ValidationError,
)
from dynamorm.ops.calls.op import Op, Safety
from dynamorm.ops.requests import encode

from .ends import Code, end_of, one_line
from .settings import Table

_DENIED: Final = re.compile(
    r"(?:User: (\S+) )?is not authorized to perform: ([\w:-]+)(?: on resource: (\S+))?(.*)", re.DOTALL
)
_ANY_KEY: Final = {"S": "dynamorm-doctor", "N": "0", "B": "AA=="}
_WRONG: Final = {"S": {"N": "0"}, "N": {"S": "dynamorm-doctor"}, "B": {"N": "0"}}
_NEVER: Final = "attribute_exists(#p) AND attribute_not_exists(#p)"
"""A condition that no item meets, and no absent one either."""


class Denial(NamedTuple):
    """What IAM says of a request that it refuses."""

    who: str
    action: str
    resource: str
    reason: str

    @property
    def explicit(self) -> bool:
        """Whether a policy says no, so that none that says yes would help."""
        return "explicit deny" in self.reason

    def __str__(self) -> str:
        of = f" to {self.who}" if self.who else ""
        remedy = "take away the Deny, beside which no Allow counts" if self.explicit else "allow it"
        reason = one_line(self.reason.strip(" ,.;")) or "no policy allows it"
        return f"{self.action} on {self.resource} is denied{of}: {reason}; {remedy}"


def denial_of(error: DynamORMError, action: str, resource: str) -> Denial | None:
    """What IAM refused; None for an error of another kind. Its words name actions and resources, and no values."""
    if not isinstance(error, AccessDenied):
        return None
    found = _DENIED.search(error.message)
    if found is None:
        return None
    who, said, on, reason = found.groups()
    return Denial(who or "", said or f"dynamodb:{action}", on or resource, reason or "")


class Asked(NamedTuple):
    """One action: what it is called, the operation that asks for it, its request, and the end of its resource's name."""

    step: str
    operation: str
    request: dict[str, Any]
    below: str = ""


def asked(table: Table, leading: dict[str, Any] | None) -> Iterator[Asked]:
    """The calls, one for each action. ``leading`` is the value of the partition key that they name."""
    live, name = table.shape, table.name
    key: dict[str, Any] = {part: {(kind := live.key_types[part]): _ANY_KEY[kind]} for part in table.keys}
    if leading is not None:
        key[live.partition] = leading
    wrong = key | {live.partition: _WRONG[live.key_types[live.partition]]}
    never = {"ConditionExpression": _NEVER, "ExpressionAttributeNames": {"#p": live.partition}}
    one = {"TableName": name, "Key": key}
    yield Asked("GetItem", "GetItem", one)
    yield Asked("BatchGetItem", "BatchGetItem", {"RequestItems": {name: {"Keys": [key]}}})
    yield Asked("Query", "Query", _query(name, {live.partition: key[live.partition]}))
    for index in live.indexes.values():
        values = {part: {(kind := live.key_types[part]): _ANY_KEY[kind]} for part in index.partition}
        values |= {part: value for part, value in key.items() if part in values}
        request = _query(name, values) | {"IndexName": index.name}
        yield Asked(f"Query {index.name}", "Query", request, f"/index/{index.name}")
    yield Asked("Scan", "Scan", {"TableName": name, "Limit": 1})
    yield Asked("PutItem", "PutItem", {"TableName": name, "Item": key, **never})
    yield Asked("UpdateItem", "UpdateItem", {**one, **never})
    yield Asked("DeleteItem", "DeleteItem", {**one, **never})
    yield Asked("ConditionCheckItem", "TransactWriteItems", {"TransactItems": [{"ConditionCheck": {**one, **never}}]})
    yield Asked("BatchWriteItem", "BatchWriteItem", {"RequestItems": {name: [{"DeleteRequest": {"Key": wrong}}]}})


def _query(table: str, values: dict[str, Any]) -> dict[str, Any]:
    names = {f"#k{at}": name for at, name in enumerate(values)}
    return {
        "TableName": table,
        "KeyConditionExpression": " AND ".join(f"#k{at} = :k{at}" for at in range(len(values))),
        "ExpressionAttributeNames": names,
        "ExpressionAttributeValues": {f":k{at}": value for at, value in enumerate(values.values())},
        "Limit": 1,
    }


def ask(table: Table, one: Asked, arn: str) -> tuple[Code, str, Denial | None]:
    """What became of one call: a code, what is said of it, and what was denied."""
    op = Op(
        one.operation,
        table.name,
        encode(one.request),
        read_object,
        Safety.RESEND,
        parts=int("TransactItems" in one.request),
    )
    try:
        table.run(table.db._session.call(op))  # noqa: SLF001 - it belongs to the library
    except (ConditionFailed, TransactionCancelled):
        return Code.DONE, "allowed", None
    except (ValidationError, ClientError) as error:
        if one.operation == "BatchWriteItem":
            return Code.DONE, "allowed", None
        return end_of(error).code, end_of(error).message, None
    except DynamORMError as error:
        denial = denial_of(error, one.step.partition(" ")[0], f"{arn}{one.below}")
        end = end_of(error)
        return end.code, end.message if denial is None else str(denial), denial
    return Code.DONE, "allowed", None


def statements(denials: list[Denial]) -> list[str]:
    """The lines of a policy that allow what was denied, one for each resource; nothing for what is denied explicitly."""
    actions: dict[str, list[str]] = {}
    for denial in denials:
        if not denial.explicit:
            actions.setdefault(denial.resource, []).append(denial.action)
    return [
        json.dumps({"Effect": "Allow", "Action": sorted(set(some)), "Resource": resource})
        for resource, some in actions.items()
    ]
