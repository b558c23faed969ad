"""The reference of errors: what the code knows of each kind is put into the page that says cause and remedy."""

from __future__ import annotations

import re

from dynamorm import errors

from .api import errors_of
from .pages import DOCS

PLACE = "reference/errors.md"
HEADING = re.compile(r"^### (Err\w+)$", re.MULTILINE)


def kinds() -> dict[str, list[type[errors.DynamORMError]]]:
    """The classes of each code."""
    found: dict[str, list[type[errors.DynamORMError]]] = {}
    for name in errors_of():
        kind = getattr(errors, name)
        if issubclass(kind, errors.DynamORMError) and (kind is errors.DynamORMError or kind.code != "ErrDynamORM"):
            found.setdefault(kind.code, []).append(kind)
    return found


def pages() -> dict[str, str]:
    """The page by its place."""
    known = kinds()

    def with_facts(heading: re.Match[str]) -> str:
        return "\n".join([heading[0], *(_facts(kind) for kind in known.get(heading[1], []))])

    return {PLACE: HEADING.sub(with_facts, (DOCS / PLACE).read_text("utf-8"))}


def _facts(kind: type[errors.DynamORMError]) -> str:
    """One line: the class, its bases, and what it says unless one error says otherwise."""
    link = "{py:class}`~dynamorm.errors." + kind.__name__ + "`"
    bases = ", ".join(f"`{base.__name__}`" for base in kind.__bases__)
    again = "try again" if kind.retryable else "do not repeat"
    return f"\n{link} ({bases}) · outcome `{kind.outcome.name}` · {again}"
