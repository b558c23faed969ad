"""The page of the audit has each row of the threat model, and names tests that there are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODEL, AUDIT = ROOT / "docs/threat-model.md", ROOT / "docs/security-audit.md"


def rows(page):
    """By its attack, the cells of each row of the tables of attacks."""
    found = {}
    for line in page.read_text("utf-8").splitlines():
        cells = [cell.strip() for cell in line.removeprefix("|").removesuffix("|").split(" | ")]
        if line.startswith("| ") and not set(cells[0]) <= {"-"} and cells[0] not in HEADS:
            assert cells[0] not in found, cells[0]
            found[cells[0]] = cells
    return found


HEADS = {"attack", "attack or accident", "severity", "high", "medium", "low"}
KNOWN = rows(MODEL)
LOOKED_AT = rows(AUDIT)


def named(text):
    """The files and folders in a text."""
    return [one for one in re.findall(r"`([^`]+)`", text) if one.startswith(("tests/", ".github/", "pyproject"))]


@pytest.mark.parametrize("attack", KNOWN)
def test_each_row_of_the_threat_model_was_looked_at(attack):
    cells = LOOKED_AT[attack]
    assert len(cells) == 5
    assert all(cells[1:4])
    assert named(cells[3])
    assert set(named(KNOWN[attack][2])) <= set(named(cells[3])), "the tests of the threat model are those of the audit"


def test_nothing_else_was_looked_at():
    assert LOOKED_AT.keys() == KNOWN.keys()


@pytest.mark.parametrize("place", sorted({*named(MODEL.read_text("utf-8")), *named(AUDIT.read_text("utf-8"))}))
def test_what_a_page_names_is_there(place):
    assert list(ROOT.glob(place)), place


def test_the_findings_are_counted():
    text = AUDIT.read_text("utf-8")
    tables = text.partition("## Meaning of requests")[2]
    for severity, count in re.findall(r"^\| (medium|low) \| (\d+) \|", text, re.MULTILINE):
        assert len(re.findall(rf"\*\*{severity}\*\*", tables)) <= int(count)
    assert "not an outside one" in text
