"""What belongs into the wheel and into the source distribution, and nothing else."""

from __future__ import annotations

import email
import tarfile
import tomllib
import zipfile
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from .steps import ROOT, run

INFORMATION = ("METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/COMMERCIAL.md", "licenses/LICENSE")
"""The files beside the package, in its ``.dist-info``."""

DATA = frozenset(
    {
        "dynamorm/ASSISTANTS.md",
        "dynamorm/py.typed",
        "dynamorm/adapters/cli/starter/makefile.txt",
        "dynamorm/engine/shapes/shapes.json",
        "dynamorm/plugins/cost/prices.json",
        "dynamorm/plugins/dashboard/dashboard.css",
        "dynamorm/plugins/dashboard/dashboard.js",
    }
)
"""Files of the package that are no Python. A new one is named here, so that nothing comes into the wheel unseen."""

STARTER = "dynamorm/adapters/cli/starter/"
FOREIGN = frozenset({"tests", "examples", "benchmarks", "docs", "scripts", "demo", "__pycache__"})
"""Names of folders that no wheel has."""

IN_SDIST = (
    *("src/dynamorm/__init__.py", "tests/conftest.py", "docs/index.md", "scripts/find_python.sh", "Makefile"),
    *(
        "LICENSE",
        "COMMERCIAL.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "README.md",
        "SECURITY.md",
        "pyproject.toml",
        "PKG-INFO",
    ),
)


def version(root: Path = ROOT) -> str:
    """The version that pyproject.toml says."""
    said: str = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    return said


def tracked(root: Path = ROOT) -> set[str]:
    """The files of the package that are committed, by their paths in the wheel."""
    listed = run("git", "ls-files", "-z", "--", "src/dynamorm", cwd=root).split("\0")
    return {path.removeprefix("src/") for path in listed if path}


def judge(names: Iterable[str], expected: set[str], told: str) -> list[str]:
    """What is wrong with the names in a wheel, where the package is ``expected`` and its version ``told``."""
    there = set(names)
    beside = {f"dynamorm_py-{told}.dist-info/{name}" for name in INFORMATION}
    faults = [f"{name} is missing" for name in sorted((expected | beside) - there)]
    faults += [f"{name} does not belong there" for name in sorted(there - expected - beside)]
    for name in sorted(there):
        parts = PurePosixPath(name).parts
        if parts[0] == "dynamorm" and FOREIGN.intersection(parts[:-1]):
            faults.append(f"{name} is no part of the library")
        if parts[0] == "dynamorm" and not (name.endswith(".py") or name in DATA or _of_starter(name)):
            faults.append(f"{name} is no Python, and not named in {__name__}.DATA")
    return faults + [f"{name} is missing" for name in sorted(DATA - there)]


def _of_starter(name: str) -> bool:
    return name.startswith(STARTER) and name.endswith(".txt")


def faults_of_wheel(wheel: Path, root: Path = ROOT) -> list[str]:
    """What is wrong with a wheel: its files, and what its metadata say."""
    told = version(root)
    with zipfile.ZipFile(wheel) as archive:
        faults = judge(archive.namelist(), tracked(root), told)
        metadata = email.message_from_bytes(archive.read(f"dynamorm_py-{told}.dist-info/METADATA"))
        whole = archive.read(f"dynamorm_py-{told}.dist-info/licenses/LICENSE") == (root / "LICENSE").read_bytes()
    said = {
        name: metadata.get_all(name) for name in ("Version", "License-Expression", "License-File", "Requires-Python")
    }
    wanted = {
        "Version": [told],
        "License-Expression": ["Apache-2.0"],
        "License-File": ["COMMERCIAL.md", "LICENSE"],
        "Requires-Python": [">=3.11"],
    }
    faults += [
        f"{name} is {said[name]}, not {value}" for name, value in wanted.items() if sorted(said[name] or []) != value
    ]
    if not whole:
        faults.append("the licence in the wheel is not that of the repository")
    if not wheel.name.endswith("-py3-none-any.whl"):
        faults.append(f"{wheel.name} is not for every platform")
    return faults


def faults_of_sdist(sdist: Path, root: Path = ROOT) -> list[str]:
    """What a source distribution lacks, and what it has of links, folders of tools and other secrets of one machine."""
    top = f"dynamorm_py-{version(root)}"
    with tarfile.open(sdist) as archive:
        members = archive.getmembers()
    names = {member.name for member in members}
    faults = [f"{name} is missing" for name in IN_SDIST if f"{top}/{name}" not in names]
    faults += [f"{name} is missing" for name in sorted(tracked(root)) if f"{top}/src/{name}" not in names]
    for member in members:
        parts = PurePosixPath(member.name).parts
        if parts[0] != top or not (member.isfile() or member.isdir()):
            faults.append(f"{member.name} does not belong there")
        if any(part in {".git", ".venv", ".cache", "__pycache__", ".env"} for part in parts):
            faults.append(f"{member.name} is of one machine")
    return faults
