"""The rules of a model by verb: the moments at which each draft passes by, in the order of the rules.

It must not know which rules there are: those of a model are found when it is used for the first time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from dynamorm.errors import ConfigError, ValidationError
from dynamorm.models.schema.overriding import own
from dynamorm.models.schema.rules import WriteRule

if TYPE_CHECKING:
    from types import ModuleType

VERBS: Final = ("create", "put", "save", "update", "delete", "check")
"""The verbs that make drafts: an upsert is an update, and so is an increment; a transaction holds any of them."""


def by_verb(rules: Iterable[WriteRule]) -> dict[str, tuple[WriteRule, ...]]:
    """The rules that take part in each verb, in their order."""
    ordered = tuple(rules)
    return {verb: tuple(rule for rule in ordered if verb in rule.verbs) for verb in VERBS}


def asked_at(moment: str, rules: Mapping[str, Iterable[WriteRule]]) -> dict[str, tuple[WriteRule, ...]]:
    """Those of the rules of each verb that have something to say at a moment; the others are not asked."""
    return {
        verb: tuple(rule for rule in some if own(rule, moment, WriteRule) is not None) for verb, some in rules.items()
    }


def _looking() -> ModuleType:
    """What looks at what plugins give."""
    from dynamorm.ops import moment_checks  # only where they have rules

    return moment_checks


_MOMENTS: Final = {
    "transform": ("draft",),
    "contribute": ("draft",),
    "check_batch": ("plan",),
    "relies_on": ("plan", "raw"),
    "allows_statement": ("text", "values"),
    "rewritten": ("plan", "before", "after"),
}


def check_rules(rules: Iterable[Any]) -> None:
    """Refuse what a plugin gave as a rule and would never be asked. Raises: ConfigError."""
    from inspect import isgeneratorfunction  # only where plugins have rules

    looking = _looking()
    given, kind_of = looking.given, looking.kind_of
    for rule in rules:
        if isinstance(rule, type):
            raise ConfigError(f"write_rule gave the class {rule.__name__}: give an object of it, {rule.__name__}(...)")
        name = type(rule).__name__
        if not isinstance(rule, WriteRule):
            raise ConfigError(
                f"write_rule gave {given(rule)}: give an object of a subclass of dynamorm.plugin.WriteRule"
            )
        looking.check_names(rule, _MOMENTS, f"the rule {name}")
        verbs: Any = rule.verbs
        if not isinstance(verbs, (tuple, list, set, frozenset)) or not set(verbs) <= set(VERBS):
            raise ConfigError(
                f"the verbs of {name} are a tuple of {', '.join(VERBS)}, not {rule.verbs!r}: an upsert and an increment are"
                " updates"
            )
        for flag in ("needs_stored", "last", "in_batches", "passive", "absent_is_deleted"):
            if getattr(rule, flag).__class__ is not bool:
                raise ConfigError(f"{flag} of {name} is True or False, not {given(getattr(rule, flag))}")
        looks_at: Any = rule.looks_at
        if looks_at is not None and (
            not isinstance(looks_at, (tuple, list, set, frozenset)) or not all(isinstance(one, str) for one in looks_at)
        ):
            raise ConfigError(
                f"looks_at of {name} are the names of fields, a tuple of texts, or None: {given(looks_at)}"
            )
        for moment in _MOMENTS:
            function = getattr(rule, moment)
            if isgeneratorfunction(function):
                raise ConfigError(f"{moment} of {name} has a yield, and nobody runs it: use draft.fetch and draft.read")
            if kind_of(function):
                raise ConfigError(
                    f"{moment} of {name} is a coroutine, and a rule waits for nothing: make it a function"
                )
            looking.check_moment(function, _MOMENTS[moment], f"{moment} of the rule {name}")


class AsksHooks(ValidationError):
    """A batch has an object with hooks, which it cannot ask where it stands: they are asked of lists, before all of it."""


def gave(rule: WriteRule, moment: str, result: Any) -> ConfigError:
    """The error for a rule that returned what its moment does not."""
    what = _looking().given(result)
    if moment == "transform":
        return ConfigError(
            f"transform of {type(rule).__name__} returns None, or the write to send in the place of this one, `return"
            f" draft.instead(...)`, not {what}"
        )
    if moment == "check_batch":
        return ConfigError(
            f"check_batch of {type(rule).__name__} gave {what}, which nobody takes: it returns nothing where a batch keeps the"
            " rule, and raises an error to refuse the batch"
        )
    return ConfigError(
        f"contribute of {type(rule).__name__} gave {what}, which nobody takes: it returns nothing, and adds by"
        " draft.require(condition), draft.set(name, value) and draft.add(verb, ...); another write in the place of this one is"
        " returned by transform"
    )
