"""Libraries that need a newer Python than the oldest we support: measured there, beside DynamORM on the same one.

Their environment is made on demand, of a Python that the machine has, in the project's cache.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import machine, measure
from benchmarks.libraries import NEWER
from benchmarks.measure import ROOT
from benchmarks.work import Work
from dynamorm.errors import ConfigError

PYTHON = "3.12"
FOLDER = ROOT / ".cache" / "benchmarks" / f"venv-{PYTHON}"
BESIDE = ("dynamorm", "dynamorm-async")
INSTALL_TIMEOUT = 600


def interpreter() -> Path:
    """The Python of the environment, which is made if it is not there yet.

    Raises ConfigError when the machine has no such Python, or the packages cannot be installed.
    """
    python, ready = FOLDER / "bin" / "python", FOLDER / ".ready"
    wanted = [name for entry in NEWER for name in entry.distributions]
    needed = [name for name in machine.NEEDS if name != "botocore"]  # the credentials are given
    if not ready.exists() or ready.read_text().split() != wanted:
        base = _told([str(ROOT / "scripts" / "find_python.sh"), PYTHON])
        _told([base, "-m", "venv", "--clear", str(FOLDER)])
        _told([str(python), "-m", "pip", "--quiet", "--disable-pip-version-check", "install", *wanted, *needed])
        ready.write_text("\n".join(wanted))
    return python


def _told(command: list[str]) -> str:
    """What a command prints. Raises ConfigError with the end of what it complains of."""
    ran = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_TIMEOUT, check=False)
    if ran.returncode:
        raise ConfigError((ran.stderr.strip().splitlines() or [f"{command[0]} failed"])[-1])
    return ran.stdout.strip()


def run(
    endpoint: str, libraries: list[str], works: list[Work], *, rounds: int, seconds: float, tell: Callable[[str], None]
) -> dict[str, Any]:
    """The works with the libraries that need the newer Python, and with DynamORM on it. Raises ConfigError."""
    python = interpreter()
    names = [*(name for name in BESIDE if name in libraries), *(entry.name for entry in NEWER)]
    tell(f"on CPython {PYTHON}")
    ask = (
        "import sys; from importlib.metadata import version as v; print(sys.version.split()[0], *map(v, sys.argv[1:]))"
    )
    version, *found = _told([str(python), "-c", ask, *(entry.distributions[0] for entry in NEWER)]).split()
    return {
        "python": version,
        "versions": {entry.title: one for entry, one in zip(NEWER, found, strict=True)},
        "works": measure.operations(
            endpoint, names, works, rounds=rounds, seconds=seconds, tell=tell, interpreter=python
        ),
    }
