"""One version everywhere: in pyproject.toml, at the top of the changelog, and in the pages that name it."""

from __future__ import annotations

import datetime as dt
import itertools
import re
import tomllib

import pytest
from packaging.version import InvalidVersion, Version

from tests.support.wheel import ROOT

pytestmark = pytest.mark.whole

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
CHANGELOG = (ROOT / "CHANGELOG.md").read_text("utf-8")
HEADING = re.compile(r"^## (?P<text>.*)$", re.MULTILINE)
RELEASED = re.compile(r"\[(?P<version>[^\]]+)\] - (?P<date>\d{4}-\d{2}-\d{2})")
UNRELEASED = "[Unreleased]"
SECTIONS = ("Added", "Changed", "Deprecated", "Removed", "Fixed", "Security")


def complaints(changelog: str, version: str) -> list[str]:
    """What is wrong with the headings of a changelog of a package with this version."""
    found: list[str] = []
    headings = HEADING.findall(changelog)
    if not headings:
        return ["it has no version"]
    if headings[0] not in (UNRELEASED, *(one for one in headings[:1] if one.startswith(f"[{version}] - "))):
        found.append(f"the newest heading is {headings[0]!r}, the version of the package {version}")
    dated: list[tuple[Version, dt.date]] = []
    for heading in headings[headings[0] == UNRELEASED :]:
        match = RELEASED.fullmatch(heading)
        try:
            assert match is not None
            dated.append((Version(match["version"]), dt.date.fromisoformat(match["date"])))
        except (AssertionError, InvalidVersion, ValueError):
            found.append(f"{heading!r} is no version with a date")
    found += [
        f"{later[0]} stands over {earlier[0]}, which is newer"
        for later, earlier in itertools.pairwise(dated)
        if later[0] <= earlier[0] or later[1] < earlier[1]
    ]
    if dated and headings[0] == UNRELEASED and Version(version) != dated[0][0]:
        found.append(f"the newest released version is {dated[0][0]}, the version of the package {version}")
    found += [
        f"{name!r} is no kind of change"
        for name in re.findall(r"^### (.*)$", changelog, re.MULTILINE)
        if name not in SECTIONS
    ]
    return found


def test_the_changelog_begins_with_the_version_of_the_package():
    assert complaints(CHANGELOG, PROJECT["version"]) == []


@pytest.mark.parametrize(
    ("headings", "version"),
    [
        ([], "1.0.0"),
        (["[1.0.1] - 2027-02-01", "[1.0.0] - 2027-01-01"], "1.0.0"),
        (["[1.0.0] - 2027-01-01"], "1.0.1"),
        (["[1.0.0]"], "1.0.0"),
        (["[1.0.0] - 2027-13-01"], "1.0.0"),
        (["[1.0.0] - soon"], "1.0.0"),
        (["[one] - 2027-01-01"], "one"),
        ([UNRELEASED, "[1.0.0]"], "1.0.0"),
        ([UNRELEASED, "[1.0.0] - 2027-01-01"], "1.1.0"),
        (["[1.0.0] - 2027-01-01", UNRELEASED], "1.0.0"),
        (["[1.0.0] - 2027-01-01", "[1.0.0] - 2027-01-01"], "1.0.0"),
        (["[1.0.0] - 2027-01-01", "[1.0.0rc1] - 2027-02-01"], "1.0.0"),
        (["[1.0.0rc1] - 2027-01-01", "[1.0.0] - 2027-01-01"], "1.0.0rc1"),
    ],
)
def test_a_changelog_out_of_order_is_noticed(headings, version):
    assert complaints("".join(f"## {heading}\n\n### Added\n\n- x\n" for heading in headings), version)


@pytest.mark.parametrize(
    ("headings", "version"),
    [
        ([UNRELEASED], "1.0.0rc1"),
        (["[1.0.0rc1] - 2027-01-01"], "1.0.0rc1"),
        ([UNRELEASED, "[1.0.0] - 2027-01-02", "[1.0.0rc1] - 2027-01-02"], "1.0.0"),
        (["[1.1.0] - 2027-03-01", "[1.0.1] - 2027-03-01", "[1.0.0] - 2027-01-02"], "1.1.0"),
    ],
)
def test_a_changelog_in_order_is_accepted(headings, version):
    assert complaints("".join(f"## {heading}\n" for heading in headings), version) == []


def test_an_unknown_kind_of_change_is_noticed():
    assert complaints("## [Unreleased]\n\n### Improved\n", "1.0.0") == ["'Improved' is no kind of change"]


def test_the_pages_name_the_version_of_the_package():
    version = PROJECT["version"]
    for page in ("README.md", "SECURITY.md", "docs/releases.md"):
        text = (ROOT / page).read_text("utf-8")
        assert version in text or f"`{Version(version).base_version}`" in text, page
        assert "dev0" not in text


def test_the_classifiers_fit_the_version():
    """A candidate is a beta; the versions of Python begin with the oldest that may install it."""
    named = [one.rpartition(" :: ")[2] for one in PROJECT["classifiers"] if re.search(r"Python :: 3\.\d+$", one)]
    assert [f">={named[0]}", named] == [PROJECT["requires-python"], sorted(named, key=Version)]
    stage = "4 - Beta" if Version(PROJECT["version"]).is_prerelease else "5 - Production/Stable"
    assert f"Development Status :: {stage}" in PROJECT["classifiers"]


def test_the_policy_says_what_is_promised_of_each_kind():
    text = (ROOT / "docs" / "releases.md").read_text("utf-8")
    for word in ("Stored forms", "Public names", "Error codes", "Exit codes", "Settings", "Outcomes"):
        assert re.search(rf"^\| \*\*{word}\*\*", text, re.MULTILINE), word
    assert "1.0.0+paytheory" in text
