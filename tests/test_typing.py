"""The typing contract: everything in good.py is accepted and exactly the marked lines of bad.py are refused."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.wheel import clean, environment, pip, wheel

pytestmark = pytest.mark.typing

HERE = Path(__file__).parent / "typing"


Found = list[tuple[str, int, str]]
"""What a checker complains about: file, line and text."""
NAMES = ("good.py", "bad.py")


def _mypy() -> Found:
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--no-incremental", *NAMES],
        cwd=HERE, capture_output=True, text=True, check=False, timeout=110,
    )  # fmt: skip
    # An empty stdout must mean "nothing found", not "did not run".
    assert done.returncode in (0, 1), done.stdout + done.stderr
    assert not done.stderr, done.stderr
    found = re.findall(r"^(\w+\.py):(\d+): error: (.*)$", done.stdout, re.MULTILINE)
    return [(name, int(line), text) for name, line, text in found]


def _pyright() -> Found:
    done = subprocess.run(
        [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable, *NAMES],
        cwd=HERE, capture_output=True, text=True, check=False, timeout=110,
    )  # fmt: skip
    report = json.loads(done.stdout)
    return [
        (Path(one["file"]).name, one["range"]["start"]["line"] + 1, one["message"])
        for one in report["generalDiagnostics"]
        if one["severity"] == "error"
    ]


@pytest.mark.parametrize("checker", [_mypy, _pyright])
def test_everything_good_is_accepted_and_exactly_the_marked_lines_are_refused(checker: Callable[[], Found]) -> None:
    """Both programs are checked in one run: a checker takes longest to read what they import."""
    lines = (HERE / "bad.py").read_text().splitlines()
    marked = {at for at, line in enumerate(lines, 1) if "  # E" in line}
    assert len(marked) >= 30
    found = checker()
    assert [one for one in found if one[0] == "good.py"] == []
    assert marked == {line for name, line, _ in found if name == "bad.py"}, found


@pytest.mark.once  # the wheel is the same for every version
def test_every_public_symbol_of_the_installed_package_has_a_known_type(tmp_path: Path) -> None:
    """What a user's editor knows of the library, and what a strict checker says of code that uses it."""
    python, site = environment(tmp_path / "venv")
    pip("--python", str(python), "install", "--no-deps", "--no-compile", str(wheel(tmp_path)))
    assert (site / "dynamorm" / "py.typed").exists()
    (site / "others.pth").write_text(sysconfig.get_path("purelib"))
    done = subprocess.run(
        [sys.executable, "-m", "pyright", "--outputjson", "--ignoreexternal", "--verifytypes", "dynamorm"],
        cwd=tmp_path, env=clean() | {"PATH": f"{python.parent}:{os.environ['PATH']}"},
        capture_output=True, text=True, check=False, timeout=110,
    )  # fmt: skip
    report = json.loads(done.stdout)["typeCompleteness"]
    assert Path(report["packageRootDirectory"]) == site / "dynamorm"
    told = [
        f"{symbol['name']}: {one['message']}"
        for symbol in report["symbols"]
        if symbol["isExported"] and (symbol["isTypeAmbiguous"] or not symbol["isTypeKnown"])
        for one in symbol["diagnostics"]
    ]
    assert not told, "\n".join(told)
    assert report["completenessScore"] == 1
    assert report["exportedSymbolCounts"]["withKnownType"] > 3000


PROGRAMS = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)


@pytest.mark.once
def test_the_tutorial_and_the_page_for_assistants_are_accepted(tmp_path: Path) -> None:
    """Their blocks are one program each; with the settings of the project, whose mypy is strict and knows the library already."""
    root = HERE.parents[1]
    pages = [*sorted((root / "docs" / "tutorial").glob("[1-9]-*.md")), root / "src" / "dynamorm" / "ASSISTANTS.md"]
    assert len(pages) == 8
    for page in pages:
        program = tmp_path / f"page_{page.stem.lower().replace('-', '_')}.py"
        program.write_text("\n".join(PROGRAMS.findall(page.read_text("utf-8"))))
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", *map(str, sorted(tmp_path.glob("*.py")))],
        cwd=root, capture_output=True, text=True, check=False, timeout=110,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr
