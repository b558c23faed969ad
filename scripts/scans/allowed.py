"""The list of what scanners find and what is all the same in order: one line each, with the reason.

    PATH  RULE  WHICH  REASON

``RULE`` is one of bandit, such as B608, or a kind of secret, such as Secret_Keyword. ``WHICH`` is how many of them there are in the file, or,
for a secret, the beginning of the SHA-1 of the text, as detect-secrets has it in its baselines. ``*`` means any number, and a ``*`` in the path
any name.

What bandit says of a line whose ``noqa`` names the same rule for ruff (S608 is B608), with its reason, is in order as well: one reason is enough.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

LIST = Path(__file__).with_name("allowed.txt")
HASH = 12
"""So many digits of a digest tell it."""


class Found(NamedTuple):
    """Something that a scanner found."""

    path: str
    line: int
    rule: str
    told: str
    digest: str = ""

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.rule} {self.told}{self.digest and f' (SHA-1 {self.digest[:HASH]})'}"


class Allowed(NamedTuple):
    """A line of the list."""

    path: str
    rule: str
    which: str
    reason: str

    def covers(self, found: Found) -> bool:
        """Whether it is of this finding."""
        if not fnmatchcase(found.path, self.path) or self.rule != found.rule:
            return False
        return self.which == "*" or self.counts or (bool(found.digest) and found.digest.startswith(self.which))

    @property
    def counts(self) -> bool:
        """Whether it says how many there are."""
        return re.fullmatch(r"\d{1,3}", self.which) is not None


def read(text: str) -> list[Allowed]:
    """The lines of a list. Raises: ValueError for one without a reason, and for one that comes twice."""
    lines: list[Allowed] = []
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        parts = line.split(maxsplit=3)
        if len(parts) < 4 or len(parts[3]) < 10 or not re.fullmatch(rf"\*|\d{{1,3}}|[0-9a-f]{{{HASH}}}", parts[2]):
            raise ValueError(f"an exception needs path, rule, which and a reason: {line!r}")
        lines.append(Allowed(*parts))
    if twice := [key for key, count in Counter(one[:3] for one in lines).items() if count > 1]:
        raise ValueError(f"the list names twice: {twice}")
    return lines


def judge(found: Iterable[Found], allowed: list[Allowed]) -> list[str]:
    """What is found and not allowed, and what is allowed and not found any more."""
    faults: list[str] = []
    used: Counter[Allowed] = Counter()
    for one in found:
        # What names it by its digest comes before what names all of a kind.
        line = next((line for line in sorted(allowed, key=lambda it: it.which == "*") if line.covers(one)), None)
        if line is None:
            faults.append(str(one))
            continue
        used[line] += 1
        if line.counts and used[line] > int(line.which):
            faults.append(f"{one}; the list allows {line.which} of these in {line.path}")
    for line in allowed:
        if not used[line]:
            faults.append(f"{line.path}: the list allows {line.rule} {line.which}, which is not there")
        elif line.counts and used[line] < int(line.which):
            faults.append(f"{line.path}: the list allows {line.which} of {line.rule}, there are {used[line]}")
    return faults
