"""What docstrings are written with that reStructuredText does not know."""

from __future__ import annotations

import re
from collections.abc import Iterable

BAR = re.compile(r"(?<!\\)\|")
RULE = frozenset("|-: ")


def tables_as_lists(lines: Iterable[str]) -> list[str]:
    """The lines with each table of bars as a ``list-table``; the first row of a table is its heading."""
    made: list[str] = []
    inside = False
    for line in lines:
        if not line.startswith("|"):
            inside = False
            made.append(line)
        elif not RULE.issuperset(line):
            if not inside:
                made += [".. list-table::", "   :header-rows: 1", ""]
            inside = True
            first, *others = (cell.strip().replace("\\|", "|") for cell in BAR.split(line)[1:-1])
            made += [f"   * - {first}", *(f"     - {cell}" for cell in others)]
    return made
