"""What DynamoDB takes as one transaction, checked before anything is sent. It must not know how it is sent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from dynamorm.codec.strict import dumps, read_object
from dynamorm.engine.sizes import item_size, value_size
from dynamorm.errors import ValidationError
from dynamorm.ops.calls.op import MAX_OPERATIONS

from .cancellation import named

if TYPE_CHECKING:
    from dynamorm.ops.requests import ModelRequests

    from .cancellation import Parts
    from .write import Write

MAX_BYTES: Final = 4 * 1024 * 1024
MAX_TOKEN: Final = 36
"""Limits of TransactWriteItems: operations, bytes of their items together, characters of a client request token.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html
"""


def check_token(token: Any) -> str | None:
    """The caller's token. Raises: ValidationError."""
    if token is None:
        return None
    fits = isinstance(token, str) and 1 <= len(token) <= MAX_TOKEN and token.isascii() and token.isprintable()
    if not fits:
        got = f"{len(token)} characters" if isinstance(token, str) else type(token).__name__
        raise ValidationError(
            f"the token of a transaction is a text of 1 to {MAX_TOKEN} printable ASCII characters, got {got};"
            " a UUID fits: str(uuid4())",
            field="token",
        )
    return str(token)


def token_in_view(token: str, plans: Collection[ModelRequests]) -> str:
    """The token that is sent for one: in a view whose scope gives values to the models that are written, one of that view alone.

    So the tokens of one tenant are not those of another one. It is the same for every transaction of the same view.
    """
    (plan, *others) = plans
    end = b"" if others else plan.given_list
    if not end:
        values = {str(value) for plan in plans for value in plan.given.values()}
        end = b"," + dumps(sorted(values))[1:]
        if not others:
            plan.given_list = end
    return sha256(_TOKENS + dumps(token) + end).hexdigest()[:32]


_TOKENS: Final = b'["dynamorm/token/1",'


def check_parts(operations: tuple[Write | None, ...], parts: Parts) -> None:
    """Refuse what DynamoDB would refuse as a whole. Raises: ValidationError."""
    if len(parts) > MAX_OPERATIONS:
        asked = {id(write) for write in operations}
        added = Counter(write.added_by or "guards of unique attributes" for _, write in parts if id(write) not in asked)
        counts = ", ".join(f"{who}: {count}" for who, count in added.items())
        come = f", {added.total()} of which come with others ({counts})" if added else ""
        raise ValidationError(
            f"a transaction takes at most {MAX_OPERATIONS} operations and this one has {len(parts)}{come}; it is never"
            " split: use several transactions; for writes that need not be applied together db.batch_write, which takes only models"
            " whose writes bring no others along",
            codes=("ErrInvalidOperator",),
        )
    seen: dict[tuple[str, bytes], tuple[int, Write]] = {}
    for position, write in parts:
        earlier = seen.setdefault((write.plan.table, write.key), (position, write))
        if earlier[1] is not write:
            raise _twice(operations, earlier, (position, write))
    if sum(len(write.body) for _, write in parts) > MAX_BYTES:  # JSON is never shorter than what it stands for
        size = sum(_size(write) for _, write in parts)
        if size > MAX_BYTES:
            raise ValidationError(
                f"a transaction takes at most {MAX_BYTES} bytes of items and this one has {size}: use several"
                " transactions, or keep large values elsewhere"
            )


def _twice(
    operations: tuple[Write | None, ...], first: tuple[int, Write], second: tuple[int, Write]
) -> ValidationError:
    first_name, second_name = named(operations, first[0]), named(operations, second[0])
    if "ConditionCheck" in {first[1].kind, second[1].kind}:
        fix = "give the write the condition of the check"
    elif first[1] is operations[first[0]] and second[1] is operations[second[0]]:
        fix = "make one operation of them"
    else:
        by = " and ".join(sorted({who for who in (first[1].added_by, second[1].added_by) if who}))
        fix = (
            f"one of them was added by {by}; a rule goes on from what another one of the transaction writes where it reads the item (draft.read) and saves"
            " the object that it was given, else use two transactions"
            if by
            else "it is one that must be applied with them, like the guard of a unique attribute: use two transactions"
        )
    return ValidationError(
        f"two operations of a transaction cannot be on one item, and {first_name} and {second_name} are (table"
        f" {first[1].plan.table!r}): {fix}"
    )


def _size(write: Write) -> int:
    """The bytes of what is sent for one write: its item, or its key and values."""
    body = read_object(write.body)
    values: dict[str, Any] = body.get("ExpressionAttributeValues", {})
    return (
        item_size(body["Item"])
        if write.kind == "Put"
        else item_size(body["Key"]) + sum(map(value_size, values.values()))
    )
