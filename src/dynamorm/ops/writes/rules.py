"""The rules of a model by verb: the moments at which each draft passes by, in the order of the rules.

It must not know which rules there are: those of a model are found when it is used for the first time.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from dynamorm.errors import ConfigError

if TYPE_CHECKING:
    from dynamorm.plugin import WriteRule

VERBS: Final = ("create", "put", "save", "update", "delete", "check")
"""The verbs that make drafts: an upsert is an update, and so is an increment; a transaction holds any of them."""


def by_verb(rules: Iterable[WriteRule]) -> dict[str, tuple[WriteRule, ...]]:
    """The rules that take part in each verb, in their order."""
    ordered = tuple(rules)
    return {verb: tuple(rule for rule in ordered if verb in rule.verbs) for verb in VERBS}


def check_rules(rules: Iterable[Any]) -> None:
    """Refuse what a plugin gave as a rule and would never be asked. Raises: ConfigError."""
    from inspect import iscoroutinefunction, isgeneratorfunction  # only where plugins have rules

    from dynamorm.plugin import WriteRule  # likewise

    for rule in rules:
        if isinstance(rule, type):
            raise ConfigError(f"write_rule gave the class {rule.__name__}: give an object of it, {rule.__name__}(...)")
        name = type(rule).__name__
        if not isinstance(rule, WriteRule):
            raise ConfigError(f"write_rule gave {name}: give an object of a subclass of dynamorm.plugin.WriteRule")
        verbs: Any = rule.verbs
        if isinstance(verbs, str) or not set(verbs) <= set(VERBS):
            raise ConfigError(
                f"the verbs of {name} are a tuple of {', '.join(VERBS)}, not {rule.verbs!r}: an upsert and an increment are"
                " updates"
            )
        for moment in ("transform", "contribute"):
            if isgeneratorfunction(getattr(rule, moment)):
                raise ConfigError(f"{moment} of {name} has a yield, and nobody runs it: use draft.fetch and draft.read")
            if iscoroutinefunction(getattr(rule, moment)):
                raise ConfigError(
                    f"{moment} of {name} is a coroutine, and a rule waits for nothing: make it a function"
                )
