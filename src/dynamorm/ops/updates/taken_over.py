"""What `.set(P.other)` takes over from another attribute must be readable where it is then stored.

The types are compared before anything is sent (`dynamorm.codec.values.updates`). None is told by the database alone: that there is
none becomes a condition. Used only by updates that take over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final

from msgspec import UNSET as U

from dynamorm.codec.strict import read_object
from dynamorm.codec.types.starts import null_at
from dynamorm.codec.values.document_paths import at_path
from dynamorm.errors import ConditionFailed, DynamORMError
from dynamorm.models.expressions.tree import Comparison, Condition, Location, Update, Wire
from dynamorm.ops.writes.write import Write, explain_refusal

if TYPE_CHECKING:
    from dynamorm.ops.requests import ModelRequests

_NULL: Final = Wire({"S": "NULL"})


def not_none(plan: ModelRequests, update: Update) -> Condition | None:
    """The condition that what is taken over is not None; None where None may be, or never is."""
    codec = plan.codec
    if null_at(codec, update.path.parts) is not U or null_at(codec, update.value.parts) is not None:
        return None
    return ~Comparison("attribute_type", (_NULL,), update.value)


def explain(write: Write, updates: Iterable[Update]) -> None:
    """Say of a write that was refused because an attribute is None which one it was."""
    plan = write.plan
    taken = [update for update in updates if isinstance(update.value, Location) and not_none(plan, update) is not None]
    if not taken:
        return

    def tell(raw: bytes | None, info: dict[str, Any], earlier: Callable[[], DynamORMError]) -> DynamORMError:
        error = earlier()
        if type(error) is not ConditionFailed or raw is None:  # it was changed: that comes first
            return error
        item = {"M": read_object(raw)}
        none = next((update for update in taken if "NULL" in (at_path(item, update.value.stored) or ())), None)
        if none is None:
            return error
        name, codec = plan.codec.schema.name, plan.codec
        return ConditionFailed(
            f"{name}.{none.path.name} cannot be None, and {name}.{none.value.name} is: allow None in its type, or look"
            " before at what is stored",
            old=lambda: codec.decode_shown(raw),
            **info,
        )

    explain_refusal(write, tell)
