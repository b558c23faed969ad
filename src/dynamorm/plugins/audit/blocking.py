"""`AuditTrail`, the audit trail of a blocking database."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from .days import checkpoint, verify_checkpoint
from .exporting import export
from .restoring import restore

if TYPE_CHECKING:
    from .chain import AuditVerdict
    from .checkpoints import SignedHead
    from .history import AuditRecord, AuditSnapshot
    from .restoring import Restored
    from .trail import Trail


M = TypeVar("M")


class AuditTrail:
    """Reads what change tracking has recorded, checks it, and goes back. Made by `DB.audit`.

    The key of an item is given as to `DB.get`. Records are checked as they are read.
    """

    __slots__ = ("_run", "_trail")

    is_async: ClassVar[bool] = False

    def __init__(self, trail: Trail, run: Callable[[Any], Any]) -> None:
        self._trail = trail
        self._run = run

    def history(
        self, model: type[Any], /, *key: Any, verify: bool = True, reveal: bool = False, **parts: Any
    ) -> list[AuditRecord]:
        """Every record of an item, the oldest first; also of one that was deleted.

        With ``verify=False`` also of a chain that does not hold: what can be read of it. A value of a protected field is a `Sealed`;
        ``reveal=True`` opens those that can be opened, which is recorded before (`reveals`), so somebody must act.

        Raises: AuditChainBroken; KeyUnavailable; ConfigError for a model that is not tracked; ActorRequired.

        Example: ``[(record.by, record.at) for record in db.audit.history(Payment, "p1")]``
        """
        flow = self._trail.history(model, key, parts, verify=verify, reveal=reveal)
        records: list[AuditRecord] = self._run(flow)
        return records

    def reveals(self, model: type[Any], /, *key: Any, **parts: Any) -> list[AuditRecord]:
        """Who has looked at protected values in the records of an item, when, and at which fields.

        Raises: AuditChainBroken; KeyUnavailable; ConfigError for a model that is not tracked.

        Example: ``[(record.by, record.revealed) for record in db.audit.reveals(Payment, "p1")]``
        """
        records: list[AuditRecord] = self._run(self._trail.reveals(model, key, parts))
        return records

    def verify(self, model: type[Any], /, *key: Any, head: SignedHead | None = None, **parts: Any) -> AuditVerdict:
        """Whether the records of an item hold, each of them, and whether the item is as they say.

        ``head`` is the signed head of a day, kept elsewhere: without one nobody can tell a chain that was cut off together with
        an item that was put back.

        Raises: KeyUnavailable where a key is missing, for then there is no verdict.

        Example: ``assert db.audit.verify(Payment, "p1").ok``
        """
        verdict: AuditVerdict = self._run(self._trail.verify(model, key, parts, head))
        return verdict

    def as_of(self, model: type[Any], /, *key_and_when: Any, **parts: Any) -> AuditSnapshot | None:
        """What the tracked fields were at a time, which stands behind the key; None where there was no item, or no record of it.

        Raises: as `history`; ValidationError for what is no datetime.

        Example: ``db.audit.as_of(Payment, "p1", when).values["amount"]``
        """
        key, when = _split(key_and_when, parts)
        snapshot: AuditSnapshot | None = self._run(self._trail.as_of(model, key, parts, when))
        return snapshot

    def restore(self, model: type[M], /, *key: Any, version: int, **parts: Any) -> Restored[M]:
        """Write the tracked fields as record ``version`` left them. It is recorded as any change, with ``restored_from``.

        A value that no record shows is left as it is, and named in ``left_out``. Parts of the key stay, of course. An item that is
        gone is made again where its records and its key tell all of its fields. An item that was put back to what it had been before goes on behind its last record.

        Raises: AuditChainBroken; ValidationError for a number that no record has, or one at which the item was gone.

        Example: ``db.audit.restore(Payment, "p1", version=3)``
        """
        restored: Restored[M] = self._run(restore(self._trail, model, key, parts, version))
        return restored

    def export(self, path: str | os.PathLike[str], model: type[Any] | None = None, /, *key: Any, **parts: Any) -> int:
        """Write records to a new file as lines of JSON; all of them, those of a model's store, or those of one item.

        They are written as they are stored, and not checked. Returns how many; a file that is not complete is left under no name.

        Raises: FileExistsError where there is a file of this name, also at the end, where another export was the first.

        Example: ``db.audit.export("records.jsonl")``
        """
        count: int = self._run(export(self._trail, path, model, key, parts))
        return count

    def checkpoint(
        self, tenant: str | None, day: date, /, *, model: type[Any] | None = None, prev: SignedHead | None = None
    ) -> SignedHead:
        """Sign the records of a day (in UTC): keep the head where nobody of this account can change it.

        A day is closed 15 minutes behind midnight. ``model`` names one of the models of the store, where there are several
        stores; ``prev`` is the head before, to which this one is linked.

        Raises: ConfigError without a `Signer`; ValidationError for a day that is not closed; AuditChainBroken for records that are not there.

        Example: ``head = db.audit.checkpoint(None, date(2026, 1, 31))``
        """
        head: SignedHead = self._run(checkpoint(self._trail, tenant, day, model, prev))
        return head

    def verify_checkpoint(
        self, head: SignedHead, /, *, since: SignedHead | None = None, model: type[Any] | None = None
    ) -> bool:
        """Whether the records of the head's day are those that were signed, and whether it is linked to the head ``since``.

        Example: ``assert db.audit.verify_checkpoint(head, since=yesterday)``
        """
        return bool(self._run(verify_checkpoint(self._trail, head, since, model)))


def _split(key_and_when: tuple[Any, ...], parts: dict[str, Any]) -> tuple[tuple[Any, ...], datetime]:
    if "when" in parts:
        return key_and_when, parts.pop("when")
    return key_and_when[:-1], key_and_when[-1] if key_and_when else None  # type: ignore[return-value] # it is checked
