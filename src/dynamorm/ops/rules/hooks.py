"""The hooks of a model as a rule: it puts a write that begins with them in the place of each write of an object.

What that does is in `dynamorm.ops.verbs.hooked`, for it begins the verb again; the rule gives the model's requests without it.
"""

from __future__ import annotations

from copy import copy
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, NoReturn

from dynamorm.errors import ValidationError
from dynamorm.models.schema.overriding import override
from dynamorm.ops.writes.rules import AsksHooks
from dynamorm.plugin import WriteRule

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from dynamorm.effects import Flow
    from dynamorm.models.schema.schema import Schema
    from dynamorm.ops.context import Context
    from dynamorm.ops.requests import ModelRequests
    from dynamorm.ops.writes.draft import WriteDraft
    from dynamorm.ops.writes.write import Write

_OF: Final = {
    "create": ("before_create", "before_save", "after_create", "after_save"),
    "put": ("before_save", "after_save"),
    "save": ("before_save", "after_save"),
    "delete": ("before_delete", "after_delete"),
}
"""The moments of each verb."""


def _nothing(key: bytes, seen: bytes | None, changed: Collection[str]) -> Flow[bool]:
    """Stands for what is foreseen: such a write is begun again before."""
    del key, seen, changed
    return False
    yield


class HooksRule(WriteRule):
    """The hooks of a model: which a verb has, and the requests of the model without them."""

    asks_hooks: bool = True

    def __init__(self, schema: Schema) -> None:
        self._hooks = schema.hooks
        self.verbs: tuple[str, ...] = tuple(
            verb for verb, moments in _OF.items() if not self._hooks.keys().isdisjoint(moments)
        )
        self._bare: dict[
            int, tuple[ModelRequests, ModelRequests]
        ] = {}  # with what is named by the id, so that it lives as long
        self._late: dict[int, tuple[ModelRequests, ModelRequests]] = {}

    def of(self, verb: str, when: str) -> tuple[Callable[[Any], Any], ...]:
        """The functions of a verb that are called ``"before"`` or ``"after"`` it."""
        moments = [moment for moment in _OF[verb] if moment.startswith(when)]
        return tuple(function for moment in moments for function in self._hooks.get(moment, ()))

    def context(self, context: Context) -> Context:
        """The same context, in which no hooks are asked: of what a rule writes, nobody has asked for them."""
        bare: Context = import_module("dynamorm.ops.verbs.hooked").without_hooks(context)
        return bare

    def without(self, plan: ModelRequests) -> ModelRequests:
        """The requests of the model without its hooks: of a write that is begun again behind them."""
        found = self._bare.get(id(plan))
        if found is None:
            bare = copy(plan)
            bare.rules = {verb: tuple(rule for rule in rules if rule is not self) for verb, rules in plan.rules.items()}
            bare.transforms = {
                verb: tuple(rule for rule in rules if rule is not self) for verb, rules in plan.transforms.items()
            }
            found = self._bare[id(plan)] = (plan, bare)
        return found[1]

    def late_plan(self, plan: ModelRequests) -> ModelRequests:
        """The requests that a write shows which begins with hooks: something is to be done before it is sent."""
        found = self._late.get(id(plan))
        if found is None:
            shown = copy(plan)
            shown.foresee = _nothing
            found = self._late[id(plan)] = (plan, shown)
        return found[1]

    def refuse_key(self, name: str) -> NoReturn:
        """Raise the ValidationError for a delete by key, of which there is no object."""
        raise ValidationError(
            f"a {name} has hooks for its deletes, which are asked of an object: load the object and delete that, not its key",
            field="key",
        )

    @override
    def transform(self, draft: WriteDraft) -> Write | None:
        if draft.obj is None:
            self.refuse_key(draft.plan.codec.schema.name)
        # By name: rules know no verb.
        write: Write = import_module("dynamorm.ops.verbs.hooked").late(draft, self)
        return write

    @override
    def check_batch(self, plan: ModelRequests) -> None:
        raise AsksHooks(
            f"a {plan.codec.schema.name} has hooks, which are asked of objects before they are sent: give batch_write lists of"
            " objects, and no iterator or keys"
        )
