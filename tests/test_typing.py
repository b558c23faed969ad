"""The typing contract: everything in good.py is accepted and exactly the marked lines of bad.py are refused."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.support.wheel import clean, environment, pip, wheel

pytestmark = pytest.mark.typing

HERE = Path(__file__).parent / "typing"


def _mypy(name: str) -> list[tuple[int, str]]:
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--no-incremental", name],
        cwd=HERE, capture_output=True, text=True, check=False, timeout=110,
    )  # fmt: skip
    # An empty stdout must mean "nothing found", not "did not run".
    assert done.returncode in (0, 1), done.stdout + done.stderr
    assert not done.stderr, done.stderr
    found = re.findall(rf"^{name}:(\d+): error: (.*)$", done.stdout, re.MULTILINE)
    return [(int(line), text) for line, text in found]


def _pyright(name: str) -> list[tuple[int, str]]:
    done = subprocess.run(
        [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable, name],
        cwd=HERE, capture_output=True, text=True, check=False, timeout=110,
    )  # fmt: skip
    report = json.loads(done.stdout)
    return [
        (one["range"]["start"]["line"] + 1, one["message"])
        for one in report["generalDiagnostics"]
        if one["severity"] == "error"
    ]


CHECKERS = {"mypy": _mypy, "pyright": _pyright}


@pytest.mark.parametrize("checker", CHECKERS)
def test_everything_good_is_accepted(checker: str) -> None:
    assert CHECKERS[checker]("good.py") == []


@pytest.mark.parametrize("checker", CHECKERS)
def test_exactly_the_marked_lines_are_refused(checker: str) -> None:
    lines = (HERE / "bad.py").read_text().splitlines()
    marked = {at for at, line in enumerate(lines, 1) if "  # E" in line}
    found = CHECKERS[checker]("bad.py")
    assert marked == {line for line, _ in found}, found
    assert len(marked) >= 30


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
