"""Items whose time to live is over: the service deletes them within days, and until then they are read as any others.

They are left out on request: of a query by its own word, of all reads of a model by its setting.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from dynamorm.errors import ValidationError
from dynamorm.models.expressions.path import Path
from dynamorm.models.expressions.tree import Condition, Wire
from dynamorm.models.schema.overriding import override
from dynamorm.models.schema.rules import ReadRule

if TYPE_CHECKING:
    from dynamorm.codec.replies.checked import StoredItem
    from dynamorm.models.schema.schema import Field, Schema

    from .read_rules import ReadDraft


class Unexpired(ReadRule):
    """The rule of the library's own for a model with ``hide_expired``.

    The service filters; but of an index that is sorted by the time to live no filter may name it, so then the items tell.
    """

    def __init__(self, schema: Schema, field: Field, now: Callable[[], datetime]) -> None:
        self.field = field
        self.attributes: tuple[str, ...] | None = (field.stored,)
        keys = set(schema.index_fields)
        self.filters_all: bool = field.name not in keys
        self._now = now

    @override
    def contribute(self, draft: ReadDraft) -> object:
        if self.filters_all:
            draft.filter(unexpired(self.field, self._now()))
        return None

    @override
    def check(self, item: StoredItem, scope: Mapping[str, str]) -> bool:
        return not is_expired(item.get(self.field.stored), self._now())


def field_of(schema: Schema) -> Field:
    """The field of the time to live. Raises: ValidationError for a model that has none."""
    field = schema.role("ttl")
    if field is None:
        raise ValidationError(
            f"without_expired(): {schema.name} has no time to live: declare a field such as"
            " expires: Attr[datetime | None] = ttl(default=None)",
            field="without_expired",
        )
    return field


def unexpired(field: Field, now: datetime, *, is_key: bool = False) -> Condition:
    """What is true of items whose time is not over, and of those without one; of a key, which always is there, a range."""
    path: Any = Path(field)
    seconds = Wire({"N": str(int(now.timestamp()))})
    condition: Condition = path > seconds if is_key else ~(path <= seconds)
    return condition


def is_expired(value: dict[str, Any] | None, now: datetime) -> bool:
    """Whether a stored time to live is over. What is no number of seconds never is, for the service too."""
    number = None if value is None else value.get("N")
    return isinstance(number, str) and Decimal(number) <= int(now.timestamp())
