"""The workflows of GitHub: actions are named by commit, jobs may do little, and each of them runs what is here."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.support.wheel import ROOT

pytestmark = pytest.mark.whole

FOLDER = ROOT / ".github" / "workflows"
FILES = sorted(FOLDER.glob("*.yml"))
PINNED = re.compile(r"[\w.-]+/[\w.-]+(/[\w./-]+)?@[0-9a-f]{40} # v\d+\.\d+\.\d+")
MAY_WRITE = {("release", "attest"): {"id-token", "attestations"}, ("release", "publish"): {"id-token"}}
"""The jobs that may write anything, and what."""

MAKEFILE = (ROOT / "Makefile").read_text("utf-8")
TARGETS = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))


def unpinned(text: str) -> list[str]:
    """The actions of a workflow that are not named by a whole commit with its version behind it."""
    used = re.findall(r"^\s*(?:- )?uses:\s*(.*?)\s*$", text, re.MULTILINE)
    return [one for one in used if not PINNED.fullmatch(one)]


def complaints(text: str) -> list[str]:
    """What is wrong with a workflow."""
    found = [f"{one} is not pinned" for one in unpinned(text)]
    workflow = yaml.safe_load(text)
    if workflow.get("permissions") != {}:
        found.append("without a word of a job it may do something")
    for name, job in workflow["jobs"].items():
        allowed = MAY_WRITE.get((workflow["name"], name), set())
        permissions = job.get("permissions")
        if not isinstance(permissions, dict):
            found.append(f"{name} does not say what it may do")
            permissions = {}
        found += [
            f"{name} may write {what}" for what, how in permissions.items() if how != "read" and what not in allowed
        ]
        if "timeout-minutes" not in job:
            found.append(f"{name} may run for ever")
        if not str(job["runs-on"]).startswith("ubuntu-2"):
            found.append(f"{name} runs on a machine that changes by itself")
        for step in job["steps"]:
            is_clone = step.get("uses", "").startswith("actions/checkout@")
            if is_clone and step.get("with", {}).get("persist-credentials") is not False:
                found.append(f"{name} leaves its credentials in the clone")
            if "${{" in step.get("run", ""):
                found.append(f"{name} runs text from outside: hand it over by env")
    return found


def test_there_are_workflows_for_tests_documentation_and_releases():
    assert [path.stem for path in FILES] == ["docs", "release", "test"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_workflow_is_in_order(path):
    assert complaints(path.read_text("utf-8")) == []


def test_an_action_has_one_version_everywhere():
    """And a version one commit."""
    used = {found for path in FILES for found in re.findall(r"uses: (\S+)@(\S+) # (\S+)", path.read_text("utf-8"))}
    assert len(used) >= 6
    assert len({name for name, _, _ in used}) == len(used)


GOOD = (FOLDER / "docs.yml").read_text("utf-8")
CHECKOUT = re.search(r"actions/checkout@\S+ # \S+", GOOD)[0]


@pytest.mark.parametrize(
    ("was", "becomes"),
    [
        (CHECKOUT, "actions/checkout@v7"),
        (CHECKOUT, CHECKOUT.partition(" ")[0]),
        (CHECKOUT, CHECKOUT.replace("@", "@0", 1)),
        (CHECKOUT, f"{CHECKOUT.partition(' ')[0]} # main"),
        ("permissions: {}", "permissions: read-all"),
        ("      contents: read", "      contents: write"),
        ("    permissions:\n      contents: read\n", ""),
        ("persist-credentials: false", "persist-credentials: true"),
        ("        with:\n          persist-credentials: false\n", ""),
        ("    timeout-minutes: 30\n", ""),
        ("ubuntu-24.04", "ubuntu-latest"),
        ("run: make docs", "run: make ${{ github.event.pull_request.title }}"),
    ],
)
def test_a_workflow_out_of_order_is_noticed(was, becomes):
    assert was in GOOD
    assert complaints(GOOD.replace(was, becomes, 1))


def test_the_targets_that_workflows_make_exist():
    called = {name for path in FILES for name in re.findall(r"\bmake ([a-z-]+)", path.read_text("utf-8"))}
    assert {"lint", "test", "test-local", "test-matrix", "docs", "release"} <= called
    assert called <= TARGETS


def test_the_matrix_has_every_version_that_the_package_names():
    matrix = yaml.safe_load((FOLDER / "test.yml").read_text("utf-8"))["jobs"]["matrix"]["strategy"]["matrix"]["python"]
    named = re.findall(r'"Programming Language :: Python :: (3\.\d+)"', (ROOT / "pyproject.toml").read_text("utf-8"))
    assert set(named) <= set(matrix)
    assert {one for one in matrix if one.endswith("t")} == {"3.13t", "3.14t"}


def test_a_release_is_published_without_a_password():
    text = (FOLDER / "release.yml").read_text("utf-8")
    assert "secrets." not in text
    publish = yaml.safe_load(text)["jobs"]["publish"]
    (action,) = [step for step in publish["steps"] if "pypi-publish" in step["uses"]]
    assert action["with"] == {
        "packages-dir": "release/packages",
        "attestations": True,
        "verify-metadata": True,
        "print-hash": True,
    }
    assert publish["environment"]["name"] == "pypi"
    assert all("run" not in step and "checkout" not in step["uses"] for step in publish["steps"])


@pytest.mark.once
def test_the_linter_of_workflows_finds_what_is_wrong(tmp_path):
    """`make lint` runs it over the workflows that are here, and finds nothing."""
    bad = tmp_path / ".github" / "workflows" / "bad.yml"
    bad.parent.mkdir(parents=True)
    bad.write_text(GOOD.replace("run: make docs", "run: make ${{ github.event.pull_request.title }}"))
    zizmor = [str(Path(sys.executable).with_name("zizmor")), "--offline", "--quiet", str(bad.parent)]
    done = subprocess.run(zizmor, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode != 0
    assert "template-injection" in done.stdout


def test_nothing_is_published_that_was_not_tested_or_is_not_on_the_main_branch():
    jobs = yaml.safe_load((ROOT / ".github/workflows/release.yml").read_text("utf-8"))["jobs"]
    assert {"make lint", "make test", "make test-local"} <= {step.get("run") for step in jobs["test"]["steps"]}
    assert jobs["build"]["needs"] == "test"
    assert {"build"} <= {*jobs["publish"]["needs"]}
    assert any("merge-base --is-ancestor" in step.get("run", "") for step in jobs["build"]["steps"])
