"""Libraries that need a newer Python than the oldest we support: they are measured there, beside DynamORM on the same one.

Their environment is made on demand, of a Python that the machine has, in the project's cache.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.child import ROOT, environment
from benchmarks.libraries import BY_NAME, NEWER
from dynamorm.errors import ConfigError

PYTHON = "3.12"
FOLDER = ROOT / ".cache" / "benchmarks" / f"venv-{PYTHON}"
BESIDE = ("dynamorm", "dynamorm-async")
INSTALL_TIMEOUT = 600
_ASK = (
    "import json, sys; from benchmarks import machine; asked = json.loads(sys.argv[1]); "
    "print(json.dumps({'python': sys.version.split()[0], "
    "'versions': {name: machine.version(some[0]) for name, some in asked.items()}, "
    "'sizes': {name: machine.installed_size(some) for name, some in asked.items()}}))"
)


def interpreter() -> Path:
    """The Python of the environment, which is made if it is not there yet.

    Raises ConfigError when the machine has no such Python, or the packages cannot be installed.
    """
    python, ready = FOLDER / "bin" / "python", FOLDER / ".ready"
    # botocore is left to those who need it: the credentials are given. Its size is known from our own environment.
    wanted = [name for entry in NEWER for name in entry.distributions]
    needed = [name for name in machine.NEEDS if name != "botocore"]
    if not ready.exists() or ready.read_text().split() != wanted:
        base = _told([str(ROOT / "scripts" / "find_python.sh"), PYTHON])
        _told([base, "-m", "venv", "--clear", str(FOLDER)])
        _told([str(python), "-m", "pip", "--quiet", "--disable-pip-version-check", "install", *wanted, *needed])
        ready.write_text("\n".join(wanted))
    return python


def _told(command: list[str]) -> str:
    """What a command prints. Raises ConfigError with the end of what it complains of."""
    ran = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=INSTALL_TIMEOUT,
        check=False,
        cwd=ROOT,
        env=environment(ROOT / "src"),
    )
    if ran.returncode:
        raise ConfigError((ran.stderr.strip().splitlines() or [f"{command[0]} failed"])[-1])
    return ran.stdout.strip()


def names(libraries: list[str]) -> list[str]:
    """What is measured there: DynamORM's faces, if they are asked for, and the libraries that need it."""
    return [*(name for name in BESIDE if name in libraries), *(entry.name for entry in NEWER)]


def described(python: Path, libraries: list[str]) -> dict[str, Any]:
    """The version of Python, and the versions and installed sizes of the libraries there. Raises ConfigError."""
    asked = {name: BY_NAME[name].distributions for name in libraries}
    told = json.loads(_told([str(python), "-c", _ASK, json.dumps(asked)]))
    return {
        "python": told["python"],
        "libraries": {name: {"title": BY_NAME[name].title, "version": told["versions"][name]} for name in libraries},
        # DynamORM's own size hardly depends on the Python, and its environment there lacks botocore.
        "size": {name: size for name, size in told["sizes"].items() if name not in BESIDE},
    }
