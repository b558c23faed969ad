"""The rules of a model by verb: the moments at which each draft passes by, in the order of the rules.

It must not know which rules there are: those of a model are found when it is used for the first time.
"""

from __future__ import annotations

from collections.abc import Iterable

from dynamorm.plugin import VERBS_WITH_DRAFTS, WriteRule


def by_verb(rules: Iterable[WriteRule]) -> dict[str, tuple[WriteRule, ...]]:
    """The rules that take part in each verb, in their order."""
    ordered = tuple(rules)
    return {verb: tuple(rule for rule in ordered if verb in rule.verbs) for verb in VERBS_WITH_DRAFTS}
