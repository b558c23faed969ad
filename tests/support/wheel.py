"""The package as a user gets it: built into a wheel, and installed into an environment without anything else."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def pip(*arguments: str) -> None:
    """Call pip; what it says is shown when it fails."""
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=200, env=clean())
    assert done.returncode == 0, done.stdout + done.stderr


def clean() -> dict[str, str]:
    """The environment of a process that knows neither this source tree nor a database, that of its parent included."""
    hidden = ("PYTHONPATH", "AWS_", "DYNAMO", "_DYNAMO")
    return {name: value for name, value in os.environ.items() if not name.startswith(hidden)}


def wheel(into: Path) -> Path:
    """Build the package. Returns the path of the wheel."""
    pip("wheel", "--no-deps", "--wheel-dir", str(into), str(ROOT))
    (made,) = into.glob("*.whl")
    return made


def environment(path: Path) -> tuple[Path, Path]:
    """Make a bare environment, without pip, which takes longest. Returns its Python and its ``site-packages``."""
    venv.EnvBuilder(symlinks=True, with_pip=False).create(path)
    (site,) = path.glob("lib/python*/site-packages")
    return path / "bin" / "python", site
