"""A backup of a table as data, read from DynamoDB's descriptions. It must not know models."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from dynamorm.codec.strict import malformed


class Backup(Struct, frozen=True, kw_only=True):
    """A backup of a table: what `db.tables.create_backup` made, or `list_backups` found.

    ``arn`` names it, ``name`` is yours, and need not be its own alone; ``table`` is the name of its table in DynamoDB. ``created`` and ``expires`` are seconds since
    1970 (UTC); only backups that DynamoDB has made itself expire. ``kind`` is ``"USER"``, ``"SYSTEM"`` or ``"AWS_BACKUP"``.

    Example: ``backup.ready``
    """

    arn: str
    name: str
    table: str
    status: str
    kind: str = "USER"
    size_bytes: int | None = None
    created: float = 0.0
    expires: float | None = None

    @property
    def ready(self) -> bool:
        """Whether a table can be made of it.

        Example: ``[backup for backup in db.tables.list_backups(Payment) if backup.ready]``
        """
        return self.status == "AVAILABLE"


def backup_of(details: dict[str, Any], table: str) -> Backup:
    """A backup from its BackupDetails, or its summary. Raises: MalformedResponse."""
    try:
        return Backup(
            arn=details["BackupArn"],
            name=details["BackupName"],
            table=table,
            status=details["BackupStatus"],
            kind=details.get("BackupType", "USER"),
            size_bytes=details.get("BackupSizeBytes"),
            created=details["BackupCreationDateTime"],
            expires=details.get("BackupExpiryDateTime"),
        )
    except (KeyError, TypeError, AttributeError):
        raise malformed("the description of a backup lacks a member") from None
