"""Policies of IAM: whether one allows an action on a resource. It must not know requests.

An action is allowed where a statement allows it and none denies it. What is not understood allows nothing, and where it stands in a
denial, denies.

Sources: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements.html and
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-single-vs-multi-valued-context-keys.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, Final, NamedTuple

from msgspec import json

_SIGNS: Final = re.compile(r"\$\{([*?$])\}|(\*)|(\?)|([^*?])", re.DOTALL)
_VARIABLE: Final = re.compile(r"\$\{(?![*?$]\})")
_ELEMENTS: Final = frozenset({"Sid", "Effect", "Action", "NotAction", "Resource", "NotResource", "Condition"})


class Ask(NamedTuple):
    """One thing that a request asks for. ``context`` are the keys of conditions that it has, each with its values."""

    action: str
    resource: str
    context: dict[str, list[str]]


class Unclear(Exception):
    """A part of a statement that is not understood."""


def refused(policy: str, ask: Ask) -> str | None:
    """Why a policy of a session does not allow something; None where it does."""
    allowed = False
    for statement in _statements(policy):
        allows = statement.get("Effect") == "Allow"
        try:
            meets = _meets(statement, ask)
        except Unclear:
            meets = not allows
        if meets and not allows:
            return f"with an explicit deny in a session policy for the {ask.action} action"
        allowed = allowed or meets
    return None if allowed else f"because no session policy allows the {ask.action} action"


@lru_cache(256)
def _statements(policy: str) -> tuple[dict[str, Any], ...]:
    found: Any = json.decode(policy)["Statement"]
    return tuple(one for one in _listed(found) if isinstance(one, dict))


def _meets(statement: dict[str, Any], ask: Ask) -> bool:
    """Whether a statement is about this. Raises: Unclear."""
    if not statement.keys() <= _ELEMENTS:
        raise Unclear
    action = ask.action.lower()
    if not _named(statement, "Action", lambda one: _like(one.lower(), action)):
        return False
    if not _named(statement, "Resource", lambda one: _like(one, ask.resource)):
        return False
    conditions = statement.get("Condition") or {}
    if not isinstance(conditions, dict):
        raise Unclear
    return all(
        _holds(operator, _listed(values), ask.context.get(key.lower()))
        for operator, keys in conditions.items()
        for key, values in _known(keys, ask).items()
    )


def _named(statement: dict[str, Any], element: str, fits: Callable[[str], bool]) -> bool:
    """Whether an element, or the one that says the contrary, names something. Raises: Unclear where neither is there."""
    given, other = statement.get(element), statement.get(f"Not{element}")
    if (given is None) == (other is None):
        raise Unclear
    found = any(fits(_text(one)) for one in _listed(other if given is None else given))
    return found is (given is not None)


def _known(keys: Any, ask: Ask) -> dict[str, Any]:
    """The keys of a condition. Raises: Unclear for one that requests of this engine never tell."""
    if not isinstance(keys, dict) or any(key.lower() not in TOLD and key.lower() not in ask.context for key in keys):
        raise Unclear
    return keys


TOLD: Final = frozenset({"dynamodb:leadingkeys", "dynamodb:select", "dynamodb:returnvalues"})
"""The keys of conditions that are understood; a request has those that are in it."""


def _holds(operator: str, patterns: list[Any], values: list[str] | None) -> bool:
    """Whether a condition holds. Raises: Unclear for an operator that is not known."""
    sort, _, name = operator.rpartition(":")
    texts = [_text(one) for one in patterns]
    if operator == "Null":
        wanted = {text.lower() for text in texts}
        if not wanted <= {"true", "false"}:
            raise Unclear
        return ("true" if values is None else "false") in wanted
    if_exists = name.endswith("IfExists")
    test = _TESTS.get(name.removesuffix("IfExists"))
    if test is None or sort not in ("", "ForAllValues", "ForAnyValue"):
        raise Unclear
    if values is None:
        return if_exists or sort == "ForAllValues" or (not sort and test.contrary)
    found = [any(test.fits(text, value) for text in texts) is not test.contrary for value in values]
    return any(found) if sort == "ForAnyValue" else all(found)


class _Test(NamedTuple):
    fits: Callable[[str, str], bool]
    contrary: bool


def _like(pattern: str, value: str) -> bool:
    """Whether a text is as a pattern says. Raises: Unclear for a variable."""
    return _pattern(pattern)(value) is not None


@lru_cache(4096)
def _pattern(pattern: str) -> Callable[[str], Any]:
    if _VARIABLE.search(pattern):
        raise Unclear
    pieces = [""]
    for as_it_is, many, one, plain in _SIGNS.findall(pattern):
        if many:
            pieces.append("")
        else:
            pieces[-1] += "." if one else re.escape(as_it_is or plain)
    start, *rest = pieces
    if not rest:
        return re.compile(start, re.DOTALL).fullmatch
    # What lies between two stars is looked for once, at its first place: so no pattern makes it slow.
    inner = "".join(f"(?>.*?{piece})" for piece in rest[:-1])
    return re.compile(f"{start}{inner}.*{rest[-1]}", re.DOTALL).fullmatch


def _equal(pattern: str, value: str) -> bool:
    if _VARIABLE.search(pattern):
        raise Unclear
    return re.sub(r"\$\{([*?$])\}", r"\1", pattern) == value


_TESTS: Final = {
    "StringLike": _Test(_like, contrary=False),
    "StringNotLike": _Test(_like, contrary=True),
    "StringEquals": _Test(_equal, contrary=False),
    "StringNotEquals": _Test(_equal, contrary=True),
}


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _text(value: Any) -> str:
    """A text, or a truth as text. Raises: Unclear."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str):
        raise Unclear
    return value


def first_refused(policy: str, asks: Iterable[Ask]) -> tuple[Ask, str] | None:
    """The first thing that a policy does not allow, and why; None where all are allowed."""
    for ask in asks:
        why = refused(policy, ask)
        if why is not None:
            return ask, why
    return None
