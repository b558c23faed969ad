"""Reading some attributes of one item. Returns a flow."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from dynamorm.codec.partial import reader as partials
from dynamorm.effects import Flow
from dynamorm.errors import ValidationError
from dynamorm.models.expressions.compile import Placeholders, projection_text
from dynamorm.models.expressions.tree import Location
from dynamorm.ops.calls.op import Op
from dynamorm.ops.requests import ModelRequests, finish, names

from .textual import place

if TYPE_CHECKING:
    from dynamorm.ops.context import Context


def get_selected(
    context: Context, plan: ModelRequests, key: bytes, select: Sequence[str | Location], *, consistent: bool
) -> Flow[Any]:
    """Some attributes of the object stored under the key, or None."""
    reader, parameters = selection(plan, select)
    if consistent and not plan.is_consistent:
        parameters["ConsistentRead"] = True
    op = Op("GetItem", plan.table, finish(plan.read_head, key, parameters), reader.read_item)
    op.prepare = plan.prepare
    return context.call(op)


def selection(plan: ModelRequests, select: Any) -> tuple[partials.PartialReader, dict[str, Any]]:
    """The reader of a selection, and what a request says of it. Raises: ValidationError."""
    named = (select,) if isinstance(select, (str, Location)) else select
    if not isinstance(named, Iterable):
        raise ValidationError(
            f"select takes a list of attributes or of their names, got {type(named).__name__}", field="select"
        )
    plans = plan.codec.plans
    reader = partials.reader(
        plan.codec,
        [
            place(plan, attribute) if isinstance(attribute, str) and attribute not in plans else attribute
            for attribute in named
        ],
    )
    placeholders = Placeholders()
    parameters: dict[str, Any] = {
        "ProjectionExpression": projection_text(reader.projection, placeholders),
        **names(placeholders),
    }
    return reader, parameters
