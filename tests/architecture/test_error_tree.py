"""The tree of errors that the documentation shows is that of the classes."""

from __future__ import annotations

import re

from dynamorm import errors


def shown() -> set[tuple[str, str]]:
    """(class, base) of every error in the tree of the module's docstring."""
    assert errors.__doc__ is not None
    tree = errors.__doc__.split("::\n\n", 1)[1].split("\n\n", 1)[0]
    lines: list[tuple[int, str]] = []
    for line in tree.splitlines():
        text = re.sub(r"^[ │├└─]*", "", line)
        if lines and not re.search(r"[├└]", line):  # the line before goes on
            lines[-1] = lines[-1][0], f"{lines[-1][1]} {text}"
        else:
            lines.append((len(line) - len(text), text))
    found: set[tuple[str, str]] = set()
    above: dict[int, str] = {}
    for depth, text in lines:
        parent = above.get(depth - 4, "")
        base = name = ""
        for part in re.findall(r"\w+|[()]|\s{2,}", text):
            if part.isspace():
                break  # what is said of it
            if part == "(":
                base = name
            elif part == ")":
                base = ""
            else:
                name = part
                found.add((name, base or parent))
                if not base:
                    above[depth] = name
    return found


def real() -> set[tuple[str, str]]:
    """The same of the classes themselves."""
    found = [getattr(errors, name) for name in dir(errors)]  # also those that are loaded when they are asked for
    kinds = [one for one in found if isinstance(one, type) and issubclass(one, errors.DynamORMError)]
    return {
        (kind.__name__, base.__name__ if issubclass(base, errors.DynamORMError) else "")
        for kind in kinds
        for base in kind.__bases__
        if kind is errors.DynamORMError or issubclass(base, errors.DynamORMError)
    }


def test_the_tree_in_the_documentation_is_that_of_the_classes() -> None:
    assert shown() == real()
