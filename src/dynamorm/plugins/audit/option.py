"""`Audit`, the field option, and `Change`, one change of one field."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Final, Literal, TypeAlias

from dynamorm.errors import ModelError

Kind: TypeAlias = Literal["created_by", "updated_by", "updated_ip", "changelog"]

KINDS: Final = ("created_by", "updated_by", "updated_ip", "changelog")
"""What an attribute may keep of who writes."""


class Audit:
    """Field option: the library fills the attribute in with each write, from `dynamorm.actor`; nobody else may.

    ``"created_by"`` is who made the item, and stays; ``"updated_by"`` and ``"updated_ip"`` are of the last write; ``"changelog"``
    is the list of the last changes, each a `Change`: at most 20 of them and 8 KB, the oldest are dropped and counted. What it
    shows of a value of over 256 bytes, and of a field that is ``secret`` or redacted, is None.

    The constructor need not be given it. Raises: ModelError for another kind.

    Example: ``created_by: Attr[str | None] = attr(Audit("created_by"))``
    """

    __slots__ = ("kind",)

    filled_in: ClassVar[bool] = True
    claimed_by: ClassVar[str] = "db.enable_audit_log()"

    def __init__(self, kind: Kind) -> None:
        given: object = kind
        if given not in KINDS:
            shown = repr(given) if isinstance(given, str) else type(given).__name__
            raise ModelError(f"Audit keeps {', '.join(KINDS)}, not {shown}")
        self.kind: Kind = kind

    @property
    def initial(self) -> Callable[[], Any] | None:
        """What the field is made with before the first write; None for a field that is None then."""
        return list if self.kind == "changelog" else None

    def __repr__(self) -> str:
        return f"Audit({self.kind!r})"


@dataclass(frozen=True, kw_only=True)
class Change:
    """One change of one field: from ``old`` to ``new``, None where there was, or is, nothing.

    Of a ``change_log``: ``at`` and ``by`` tell when and by whom, and ``dropped`` how many older changes were dropped before it.
    Values are as they are stored: a number is an int or a Decimal, a time is a text. In an `AuditRecord` they are those of the model.

    Example: ``[change.field for change in payment.change_log]``
    """

    field: str
    old: Any = None
    new: Any = None
    at: datetime | None = None
    by: str | None = None
    dropped: int = 0

    def __repr__(self) -> str:
        return f"<Change of {self.field}>"  # the values are somebody's own
