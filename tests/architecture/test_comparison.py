"""The comparison cannot lie about us: each feature that we claim is shown by a test that exists, and its sums are those of its rows."""

import re
from collections import Counter
from typing import Final, NamedTuple

from tests.architecture.tree import ROOT

PAGE: Final = (ROOT / "docs" / "comparison.md").read_text("utf-8")
PEERS: Final = 12


class Row(NamedTuple):
    feature: str
    ours: str
    shown: str
    peers: tuple[str, ...]


def rows():
    """The rows of the tables of features: those with a column for each peer."""
    cells = ([one.strip() for one in line.strip("|").split("|")] for line in PAGE.splitlines() if line.startswith("| "))
    return [
        Row(one[0], one[1], one[2], tuple(one[3:])) for one in cells if len(one) == PEERS + 3 and one[0] != "feature"
    ]


ROWS: Final = rows()


def test_each_claim_names_a_test_that_exists():
    wrong = []
    for row in ROWS:
        named = re.fullmatch(r"`([\w/]+\.py)::(test_\w+)`", row.shown)
        if row.ours == "no":
            assert not row.shown, row.feature
            continue
        file = ROOT / "tests" / named[1] if named else None
        if file is None or not file.exists() or not re.search(rf"def {named[2]}\(", file.read_text("utf-8")):
            wrong.append((row.feature, row.shown))
    assert wrong == []


def test_its_sums_are_those_of_its_rows():
    found = Counter(row.ours for row in ROWS)
    assert set(found) <= {"yes", "part", "no"}
    first = re.search(r"(\d+) features, .*: (\d+) yes, (\d+) in part, (\d+) no\.", PAGE)
    assert first is not None
    assert [int(one) for one in first.groups()] == [len(ROWS), found["yes"], found["part"], found["no"]]
    assert len(ROWS) == 193


def test_each_row_says_of_each_peer_what_is_known():
    assert {mark for row in ROWS for mark in row.peers} == {"●", "-", "?"}
    assert [row.feature for row in ROWS if len(row.peers) != PEERS] == []
    assert [feature for feature, count in Counter(row.feature for row in ROWS).items() if count > 1] == []
