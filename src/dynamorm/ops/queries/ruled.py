"""A request with what the rules of its model add, and whose mistake it is when no table or index answers that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

from msgspec.structs import replace

from dynamorm.errors import ValidationError

from .request import Request

if TYPE_CHECKING:
    from dynamorm.models.expressions.tree import Condition
    from dynamorm.ops.reads.read_rules import ReadDraft, ReadRules
    from dynamorm.ops.requests import ModelRequests

T_co = TypeVar("T_co", covariant=True)
T = TypeVar("T")


class Choose(Protocol[T_co]):
    """What chooses for a request; ``within`` are those of its conditions that must be a part of the partition key."""

    def __call__(self, plan: ModelRequests, request: Request, within: tuple[Condition, ...] = ..., /) -> T_co:
        """The choice. Raises: ValidationError."""
        ...


def ruled(plan: ModelRequests, rules: ReadRules, request: Request, choose: Choose[T]) -> T:
    """What is chosen for the request with all that the rules add. Raises: ValidationError, which tells a rule's mistake."""
    conditions = request.conditions + request.filters
    added = rules.contributed(conditions)
    try:
        return choose(plan, _with(plan, request, added), added.within)
    except ValidationError as error:
        if not (added.terms or added.filters):
            raise
        refusal = error
    choose(plan, request, ())  # what is wrong without the rules is told as the caller's own
    if added.refusal is not None:
        raise added.refusal() from refusal
    for name, draft in rules.contributed_by_each(conditions):
        try:
            choose(plan, _with(plan, request, draft), draft.within)
        except ValidationError:
            raise _blamed(plan, f"the rule {name} of {plan.codec.schema.name}", refusal) from refusal
    raise _blamed(plan, f"the rules of {plan.codec.schema.name} together", refusal) from refusal


def _with(plan: ModelRequests, request: Request, added: ReadDraft) -> Request:
    # What is hydrated is looked at by the rules as a whole, and an index may not hold what they filter by.
    filters = () if request.hydrate and plan.codec.keeps is not None else added.filters
    return replace(
        request,
        conditions=request.conditions + added.terms,
        filters=request.filters + filters,
    )


def _blamed(plan: ModelRequests, who: str, refusal: ValidationError) -> ValidationError:
    name = refusal.field
    keys = {*plan.key_names, *(key for index in plan.codec.schema.indexes.values() for key in index.fields)}
    remedy = (
        f"{name} is a part of the key that is queried, and a key takes no filter: let the rule say draft.where(...), which may"
        " become a condition of the key, or filter by an attribute that is in no key"
        if name in keys
        else "let the rule add what every table and index that is queried can answer"
    )
    return ValidationError(
        f"the query is right by itself, and is refused for what {who} adds to it by draft.filter or draft.where: {remedy}",
        field=name,
    )
