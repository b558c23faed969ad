"""Sending a change of a table so that it is made once, whatever becomes of the replies. Returns flows.

A request of the control plane has no token. So a change whose reply was lost, and one that was refused, is looked for:
when the table is as it was to become, the change is made, by whomever.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from dynamorm.codec.strict import read_object
from dynamorm.effects import Flow
from dynamorm.errors import (
    AccessDenied,
    ClientError,
    DeadlineExceeded,
    OutcomeUnknown,
    Rejected,
    TableNotFound,
    ValidationError,
)
from dynamorm.ops.calls.op import Op, Safety
from dynamorm.ops.requests import encode

from .look import UNAVAILABLE, Patience, look, polls, wait_active

if TYPE_CHECKING:
    from dynamorm.codec.replies.table_description import TableDescription
    from dynamorm.ops.context import Context

_BUSY = frozenset(
    {
        "BackupInUseException",
        "ContinuousBackupsUnavailableException",
        "LimitExceededException",
        "ResourceInUseException",
        "TableInUseException",
    }
)
"""Refused because of what else is going on: worth another try. The last one is said of a table that was just made."""


def change(
    context: Context,
    name: str,
    table: str,
    request: dict[str, Any],
    done: Callable[[], Flow[bool]],
    patience: Patience,
    *,
    mine: bool = False,
) -> Flow[None]:
    """Send a change of ``table`` unless it is seen to be made; every change here may be sent twice.

    ``mine``: only what this call has sent counts as made, not what was there before.

    Raises: what the service refused it with; OutcomeUnknown when it cannot be told in time.
    """
    body = encode(request)
    lost: OutcomeUnknown | None = None
    for seconds in polls():
        refusal: Rejected | None = None
        patience.changed = True
        try:
            yield from context.call(Op(name, table, body, read_object, Safety.ONCE))
        except OutcomeUnknown as error:
            lost = error
        except Rejected as error:
            refusal = error
            patience.changed = lost is not None
        else:
            return
        if (lost is not None or not mine) and (yield from done()):
            patience.changed = True
            return
        if refusal is not None and (refusal.code not in _BUSY or (mine and refusal.code == "ResourceInUseException")):
            raise lost or refusal
        try:
            yield from patience.pause(seconds, "the change could not be made yet")
        except DeadlineExceeded:
            raise lost or refusal or AssertionError from refusal
        if lost is not None and (yield from done()):
            return
    raise AssertionError("polling has no end of its own")


def switch(
    context: Context,
    name: str,
    table: str,
    request: dict[str, Any],
    done: Callable[[], Flow[bool]],
    patience: Patience,
    *,
    skip_unavailable: bool,
) -> Flow[bool]:
    """`change` for a feature that an engine may lack: False when it does and that shall be passed over.

    Raises: ClientError with code ``UnknownOperationException``, saying what to do, when it shall not.
    """
    try:
        yield from change(context, name, table, request, done, patience)
    except ClientError as error:
        if error.code != UNAVAILABLE:
            raise
        if skip_unavailable:
            return False
        raise _lacking(name, table) from error
    return True


def check_tags(context: Context, live: TableDescription) -> Flow[None]:
    """Refuse an engine that took the tags of a new table and has none: DynamoDB Local answers as if all were well.

    Raises: ClientError, as `switch`. Whoever may not look at tags is not told.
    """
    if live.arn is None:
        return
    body = encode({"ResourceArn": live.arn})
    try:
        yield from context.call(Op("ListTagsOfResource", live.name, body, read_object))
    except AccessDenied:
        pass
    except ClientError as error:
        if error.code == UNAVAILABLE:
            raise _lacking("TagResource", live.name) from error
        raise


def _lacking(name: str, table: str) -> ClientError:
    return ClientError(
        f"the engine behind this endpoint has no {name}: leave the setting out, or say skip_unavailable=True",
        code=UNAVAILABLE,
        operation=name,
        table=table,
    )


def remove(context: Context, table: str, patience: Patience, *, force: bool) -> Flow[bool]:
    """Ask for the end of a table; True when there was one. ``force`` lifts its deletion protection.

    Raises: ValidationError with code ``ErrDeletionProtected``.
    """
    try:
        try:
            yield from _delete(context, table, patience)
        except ValidationError as error:
            # The reason is looked up: every engine words it in its own way.
            if not (yield from look(context, table)).deletion_protection:
                raise
            if not force:
                raise ValidationError(
                    f"table {table!r} is protected against deletion: db.tables.delete(Model, force=True) lifts that",
                    code="ErrDeletionProtected",
                    operation="DeleteTable",
                    table=table,
                ) from error
            yield from unprotect(context, table, patience)
            yield from wait_active(context, table, patience)
            yield from _delete(context, table, patience)
    except TableNotFound:
        return False
    return True


def _delete(context: Context, table: str, patience: Patience) -> Flow[None]:
    def gone() -> Flow[bool]:
        try:
            live = yield from look(context, table)
        except TableNotFound:
            return True
        return live.status == "DELETING"

    yield from change(context, "DeleteTable", table, {"TableName": table}, gone, patience)


def unprotect(context: Context, table: str, patience: Patience) -> Flow[None]:
    """Lift the deletion protection of a table."""

    def lifted() -> Flow[bool]:
        return not (yield from look(context, table)).deletion_protection

    request = {"TableName": table, "DeletionProtectionEnabled": False}
    yield from change(context, "UpdateTable", table, request, lifted, patience)
