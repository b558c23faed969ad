"""What became of a batch of writes: plain data. It must not know models or verbs."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from dynamorm.errors import DynamORMError


class BatchFailure(Struct, frozen=True, eq=False):
    """One item of a batch that was not surely written: the object (or key tuple) as it was given, and why.

    Example: ``for failure in result.failed: log.warning("%s: %s", failure.item.id, failure.error.safe)``
    """

    item: Any
    error: DynamORMError


class BatchResult(Struct, kw_only=True, eq=False):
    """What became of each item of `DB.batch_write`, or of a batcher; every one is in just one of the lists, in the order given.

    Attributes:
        written: the objects that are stored, and what was deleted. Left empty with ``keep=False``.
        failed: what was certainly not written, each with its error.
        unknown: what was sent and never answered: it may or may not have been written.
        count: how many were written, also when ``written`` was not kept.
        superseded: what a batcher has found in its spool after a crash, and somebody else may have written since: it was
            left as it is, with a `Superseded`. Empty for anything else.
        kept: what a batcher has not written, for a reason that may pass, and keeps in its spool, with a `Spooled`: the next
            batcher of the directory writes it. Empty for anything else.
        unread: True when ``puts`` was an iterator that was not read to its end, because the service refused everything.

    It is true when everything was written.

    Example::

        result = db.batch_write(puts=payments)
        if not result.ok:
            retry_later([failure.item for failure in result.failed])
    """

    written: list[Any] = []
    failed: list[BatchFailure] = []
    unknown: list[BatchFailure] = []
    count: int = 0
    unread: bool = False
    superseded: list[BatchFailure] = []
    kept: list[BatchFailure] = []

    @property
    def ok(self) -> bool:
        """Whether everything was written.

        Example: ``assert db.batch_write(puts=payments).ok``
        """
        return not (self.failed or self.unknown or self.unread or self.superseded or self.kept)

    def __bool__(self) -> bool:
        return self.ok

    def __repr__(self) -> str:
        rest = f", {len(self.superseded)} superseded" if self.superseded else ""
        rest += f", {len(self.kept)} kept in the spool" if self.kept else ""
        rest += ", not read to the end" if self.unread else ""
        return f"<BatchResult {self.count} written, {len(self.failed)} failed, {len(self.unknown)} unknown{rest}>"
