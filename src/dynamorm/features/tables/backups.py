"""Backups on demand, and tables that are made of them. Returns flows.

A request for a backup has no token. So the backups of that name are listed before, and after a lost reply one that was not among them is
the one that was asked for.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/backuprestore_HowItWorks.html
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from dynamorm.arguments import check_text
from dynamorm.codec.replies.backups import Backup, backup_of
from dynamorm.codec.replies.table_description import TableDescription
from dynamorm.codec.strict import read_object
from dynamorm.effects import Flow
from dynamorm.errors import ClientError, TableNotFound, ValidationError
from dynamorm.ops.calls.op import Op
from dynamorm.ops.requests import encode

from .changes import change
from .look import UNAVAILABLE, Patience, look, polls, wait_active

if TYPE_CHECKING:
    from dynamorm.ops.context import Context

_GONE = "BackupNotFoundException"
_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-")


def create(context: Context, model: Any, name: Any, timeout: float | timedelta) -> Flow[Backup]:
    """Make a backup of a model's table and wait until a table can be made of it."""
    _check_name(name)
    patience = Patience(context, timeout)
    table = context.plan(model).table
    before = {one.arn for one in (yield from _listed(context, table)) if one.name == name}
    request = {"TableName": table, "BackupName": name}

    def new() -> Flow[list[Backup]]:
        return [one for one in (yield from _listed(context, table)) if one.name == name and one.arn not in before]

    def made() -> Flow[bool]:
        return bool((yield from new()))

    yield from change(context, "CreateBackup", table, request, made, patience, mine=True)
    for seconds in polls():
        found = yield from new()
        if found and (last := max(found, key=lambda one: one.created)).ready:
            return last
        yield from patience.pause(seconds, f"the backup of table {table!r} is not ready")
    raise AssertionError("polling has no end of its own")


def every(context: Context, model: Any) -> Flow[list[Backup]]:
    """The backups of a model's table; without a model those of all tables that begin with the context's prefix."""
    if model is not None:
        return (yield from _listed(context, context.plan(model).table))
    prefix = context.config.table_prefix
    return [one for one in (yield from _listed(context, None)) if one.table.startswith(prefix)]


def delete(context: Context, backup: Any, timeout: float | timedelta) -> Flow[None]:
    """Delete a backup, and wait until it is gone. Nothing happens where there is none."""
    arn = _arn_of(backup)
    patience = Patience(context, timeout)

    def gone() -> Flow[bool]:
        return (yield from _described(context, arn)) is None

    try:
        yield from change(context, "DeleteBackup", _table_of(arn), {"BackupArn": arn}, gone, patience)
    except ClientError as error:
        if error.code == _GONE:
            return
        raise _lacking(error, "DeleteBackup") from error
    for seconds in polls():
        if (yield from gone()):
            return
        yield from patience.pause(seconds, "the backup is still being deleted")


def restore(context: Context, backup: Any, model: Any, timeout: float | timedelta) -> Flow[TableDescription]:
    """Make the table of a model, which must not be there, of a backup, and wait until it is ready."""
    arn = _arn_of(backup)
    patience = Patience(context, timeout)
    table = context.plan(model).table

    def made() -> Flow[bool]:
        try:
            yield from look(context, table)
        except TableNotFound:
            return False
        return True

    request = {"TargetTableName": table, "BackupArn": arn}
    try:
        yield from change(context, "RestoreTableFromBackup", table, request, made, patience, mine=True)
    except ClientError as error:
        if error.code == "TableAlreadyExistsException":
            raise ClientError(
                f"the table {table} is there already, and DynamoDB restores into a new one alone: restore with a database that has another"
                " table_prefix, or delete the table first",
                code=error.code,
                operation="RestoreTableFromBackup",
            ) from error
        raise _lacking(error, "RestoreTableFromBackup") from error
    return (yield from wait_active(context, table, patience))


def _listed(context: Context, table: str | None) -> Flow[list[Backup]]:
    found: list[Backup] = []
    request: dict[str, Any] = {} if table is None else {"TableName": table}
    while True:
        try:
            reply = yield from context.call(Op("ListBackups", table or "-", encode(request), read_object))
        except ClientError as error:
            raise _lacking(error, "ListBackups") from error
        found += [backup_of(one, str(one.get("TableName"))) for one in reply.get("BackupSummaries") or ()]
        last = reply.get("LastEvaluatedBackupArn")
        if not last:
            return found
        request["ExclusiveStartBackupArn"] = last


def _described(context: Context, arn: str) -> Flow[Backup | None]:
    """The backup as it is now; None where it is gone, or going."""
    table = _table_of(arn)
    try:
        reply = yield from context.call(Op("DescribeBackup", table, encode({"BackupArn": arn}), read_object))
    except ClientError as error:
        if error.code == _GONE:
            return None
        raise
    found = backup_of((reply.get("BackupDescription") or {}).get("BackupDetails") or {}, table)
    return None if found.status == "DELETED" else found


def _lacking(error: ClientError, name: str) -> ClientError:
    if error.code != UNAVAILABLE:
        return error
    return ClientError(
        f"the engine behind this endpoint has no {name}: backups are of DynamoDB itself, and of dynamorm.engine",
        code=UNAVAILABLE,
        operation=name,
    )


def _check_name(name: Any) -> None:
    check_text("name", name, 255)
    if len(name) < 3:
        raise ValidationError("name of a backup has 3 to 255 characters", field="name")
    if not _LETTERS.issuperset(name):
        raise ValidationError("name of a backup has letters, digits, and of other signs _ . - alone", field="name")


def _arn_of(backup: Any) -> str:
    arn: Any = backup.arn if isinstance(backup, Backup) else backup
    if not isinstance(arn, str) or ":table/" not in arn or "/backup/" not in arn:
        raise ValidationError(
            f"a backup is what list_backups gives, or its ARN, not {type(backup).__name__}"
            if not isinstance(arn, str)
            else "this text is no ARN of a backup: arn:aws:dynamodb:<region>:<account>:table/<name>/backup/<id>",
            field="backup",
        )
    return arn


def _table_of(arn: str) -> str:
    return arn.partition(":table/")[2].partition("/")[0]
