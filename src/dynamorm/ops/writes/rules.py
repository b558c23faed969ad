"""The rules of a model by verb: the moments at which each draft passes by, in the order of the rules.

It must not know which rules there are: those of a model are found when it is used for the first time.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from dynamorm.plugin import WriteRule

VERBS: Final = ("create", "put", "save", "update", "delete", "check")
"""The verbs that make drafts: an upsert is an update, and so is an increment; a transaction holds any of them."""


def by_verb(rules: Iterable[WriteRule]) -> dict[str, tuple[WriteRule, ...]]:
    """The rules that take part in each verb, in their order."""
    ordered = tuple(rules)
    return {verb: tuple(rule for rule in ordered if verb in rule.verbs) for verb in VERBS}
