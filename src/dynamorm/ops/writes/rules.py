"""What a rule of a model may do to its writes: the moments at which each draft passes by, in the order of the rules.

It must not know which rules there are: those of a model are found when it is used for the first time.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from dynamorm.ops.requests import ModelRequests

    from .draft import WriteDraft


VERBS: Final = ("create", "put", "save", "update", "delete", "check")
"""What makes drafts: an upsert is an update, and so is an increment; a batch puts and deletes."""


class WriteRule:
    """A rule of one model. Subclass it, and override the moments that matter.

    ``verbs`` are those in which it takes part. ``needs_stored``: writes by key must know what is stored; they read it, and
    begin anew when it has changed.
    """

    verbs: tuple[str, ...] = VERBS
    needs_stored: bool = False

    def transform(self, draft: WriteDraft) -> None:
        """Change what is to be written, or refuse it, before the key and the version are settled."""

    def contribute(self, draft: WriteDraft) -> None:
        """Add attributes, conditions or other writes; the key and the version are settled."""

    def check_batch(self, plan: ModelRequests) -> None:
        """Refuse a batch of puts, which has no conditions and no other writes. Raises: ValidationError."""

    def relies_on(self, plan: ModelRequests, raw: bytes | None) -> Any:
        """What the rule takes from a stored item (None: there is none): a write is built anew when that has changed."""
        del plan
        return raw


def by_verb(rules: Iterable[WriteRule]) -> dict[str, tuple[WriteRule, ...]]:
    """The rules that take part in each verb, in their order."""
    ordered = tuple(rules)
    return {verb: tuple(rule for rule in ordered if verb in rule.verbs) for verb in VERBS}
