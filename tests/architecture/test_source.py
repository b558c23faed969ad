"""House rules that can be read off the source text."""

from __future__ import annotations

import ast
import re
from pathlib import Path

# The places that talk to a person.
TALKERS = (
    "dynamorm.cli",
    "dynamorm.plugins.cost.__main__",
    "dynamorm.plugins.dashboard.command",
    "dynamorm.plugins.dashboard.top",
)


def test_only_the_command_line_prints(modules):
    found = [
        module.at(node.lineno)
        for module in modules
        if not module.inside(*TALKERS)
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert not found, "\n".join(found)


def test_every_module_says_what_lives_in_it(modules):
    silent = [module.at(1) for module in modules if not ast.get_docstring(module.tree) and module.text.strip()]
    assert not silent, "\n".join(silent)


def test_nothing_is_left_unfinished(modules):
    # In pieces, so that a search for these words does not find the rule itself.
    unfinished = re.compile(r"\b(" + "|".join(["TO" + "DO", "FIX" + "ME", "XX" + "X"]) + r")\b")
    found = [
        module.at(number)
        for module in modules
        for number, line in enumerate(module.text.splitlines(), 1)
        if unfinished.search(line)
    ]
    assert not found, "\n".join(found)


def test_every_silenced_check_has_its_reason(modules):
    """``# noqa: S110 - why`` and ``# type: ignore[arg-type]  # why``: the reason stands on the same line."""
    silenced = re.compile(r"#\s*(noqa|type:\s*ignore|pyright:\s*ignore|pragma:\s*no cover)\b(?P<rest>.*)$")
    reason = re.compile(r"([-:#]\s+|\()\S.*[a-z]{3,}")
    found = [
        module.at(number)
        for module in modules
        for number, line in enumerate(module.text.splitlines(), 1)
        if (match := silenced.search(line)) and not reason.search(re.sub(r"^:\s*[A-Z0-9, ]+", "", match["rest"]))
    ]
    assert not found, "a silenced check without a reason beside it:\n" + "\n".join(found)


def test_the_page_of_the_architecture_names_files_that_exist():
    """Who looks up where a change goes finds the file: a path that is written with its folder is that of a file."""
    root = Path(__file__).parents[2]
    named = set(re.findall(r"`([\w/]+/\w+\.py)`", (root / "docs" / "architecture.md").read_text("utf-8")))
    assert len(named) > 50
    missing = [
        path for path in sorted(named) if not (root / path).exists() and not (root / "src/dynamorm" / path).exists()
    ]
    assert not missing, "\n".join(missing)
