"""Who writes what is audited, and the rules that stand around those of audited models."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

from dynamorm.errors import ActorRequired, AuditChainBroken, ConditionFailed, DynamORMError, ValidationError
from dynamorm.plugin import Actor, WriteRule, current_actor

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dynamorm.ops.writes.draft import WriteDraft

LOOKED: Final[ContextVar[bool]] = ContextVar("dynamorm audit looked", default=False)
"""Whether the record that is added now follows one that was read, and not one that the item names."""


def actor_of(label: str, *, required: bool) -> Actor:
    """Who writes. Raises: ActorRequired."""
    who = current_actor()
    if who is not None:
        return who
    if required:
        raise ActorRequired(
            f'a {label} is audited, and this write says not who does it: with dynamorm.actor("user:42"): ...'
        )
    return Actor("-")


def no_batch(label: str) -> ValidationError:
    """The error for a batch of what is audited."""
    return ValidationError(
        f"a {label} is audited: who writes it, and what changes, is kept with each write, and a batch has no conditions and reads"
        " nothing: use db.put and db.delete, a transaction, or a batcher, which writes each item by itself"
    )


def explain_race(draft: WriteDraft, label: str) -> None:
    """Let a write that loses the race for its item say so, where the caller has given no condition that could be meant."""

    def tell(_: bytes | None, __: dict[str, Any], earlier: Callable[[], DynamORMError]) -> DynamORMError:
        error = earlier()
        if type(error) is ConditionFailed:
            error.message = (
                f"the {label} was changed by somebody else meanwhile, so that what is kept of this write would be wrong: load it"
                " again, and write once more"
            )
            error.args = (error.message,)
        return error

    if draft.condition is None:
        draft.say_why(tell)


class OnlyOnce(WriteRule):
    """The rule of the records: one whose number is taken tells that the item was put back to what it had been before.

    Behind a record that was read it tells that somebody else was faster.
    """

    verbs: tuple[str, ...] = ("create",)

    def contribute(self, draft: WriteDraft) -> None:
        """Let the refused record say what it means."""
        draft.explain.append(_explained_late if LOOKED.get() else _explained)


def _explained(write: Any) -> None:
    write.refused_as = _broken


def _explained_late(write: Any) -> None:
    write.refused_as = _overtaken


def _overtaken(_: bytes | None, info: dict[str, Any]) -> ConditionFailed:
    return ConditionFailed(
        "others have written the item meanwhile, each time that this was tried: nothing was written; try again later",
        **info,
    )


def _broken(_: bytes | None, info: dict[str, Any]) -> AuditChainBroken:
    return AuditChainBroken(
        "the item says that fewer records are kept of it than there are: it was put back to what it had been before;"
        " db.audit.verify(...) tells more, and db.audit.restore(...) goes on behind the last record",
        reason="head",
        **info,
    )


class Both(WriteRule):
    """Two rules of one model, one after the other."""

    verbs: tuple[str, ...] = ("create", "put", "save", "update", "delete")
    needs_stored = True
    last = True

    def __init__(self, first: WriteRule, second: WriteRule) -> None:
        self._rules = first, second
        self.stamps: tuple[str, ...] = (*first.stamps, *second.stamps)

    def check_batch(self, plan: Any) -> None:
        """Refuse a batch. Raises: ValidationError."""
        raise no_batch(plan.codec.schema.name)

    def rewritten(self, plan: Any, before: Mapping[str, Any], after: Mapping[str, Any]) -> Mapping[str, Any]:
        """Ask both."""
        return {name: wire for rule in self._rules for name, wire in rule.rewritten(plan, before, after).items()}

    def contribute(self, draft: WriteDraft) -> None:
        """Ask both."""
        for rule in self._rules:
            rule.contribute(draft)
