"""The wheel in bare environments of every CPython that the machine has, and the documentation run from it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from .steps import ROOT, Failed, run

VERSIONS = ("3.11", "3.12", "3.13", "3.14", "3.13t", "3.14t")
"""Those with a ``t`` are the free-threaded builds."""

PAGES = ("README.md", "docs/guide/getting-started.md")
BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)

FOR_PROGRAMS = frozenset(
    {
        *("cli", "dashboard", "encryption", "fastapi", "ion", "local", "logging", "metrics", "parquet", "pydantic"),
        *("redis", "secure", "spool", "testing", "top", "tracing", "zstd"),
    }
)
"""Extras that programs ask for: the second list of components is of them."""

OF_THE_REPOSITORY = frozenset(
    {"bench", "blog", "demo", "dev", "docs", "fuzz", "iot", "lint", "release", "service", "test"}
)
"""Extras for who works on the repository, and for its examples."""


def python_of(version: str) -> Path | None:
    """The interpreter of a version; None where the machine has none."""
    found = subprocess.run([ROOT / "scripts" / "find_python.sh", version], capture_output=True, text=True, check=False)
    return Path(found.stdout.strip()) if found.returncode == 0 else None


def environment(python: Path, into: Path, wheel: Path, extras: list[str] | None = None) -> Path:
    """A bare environment with a wheel, and with nothing of this tree. Returns its Python."""
    run(python, "-m", "venv", "--without-pip", into)
    inside = into / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "--python", inside)
    run(*pip, "install", "--no-compile", f"{wheel}[{','.join(extras)}]" if extras else wheel, cwd=into)
    run(*pip, "check", cwd=into)
    return inside


def program_of(page: str) -> str:
    """All blocks of a page, as one program: pasted into a file, they run."""
    blocks = BLOCK.findall((ROOT / page).read_text("utf-8"))
    if not blocks:
        raise Failed(f"{page} shows no code")
    return "\n\n".join(blocks)


def try_out(python: Path, folder: Path, version: str) -> str:
    """Run the pages from the wheel. Returns what was run. Raises: Failed."""
    folder.mkdir()
    told = run(
        python, "-I", "-c", "import dynamorm; print(dynamorm.__version__, dynamorm.__file__)", cwd=folder
    ).split()
    if told[0] != version or not Path(told[1]).is_relative_to(python.parents[1]):
        raise Failed(f"{python} imports {' of '.join(told)}, not {version} of its own environment")
    for page in PAGES:
        file = folder / f"{Path(page).stem.replace('-', '_').lower()}.py"
        file.write_text(program_of(page), "utf-8")
        run(python, "-W", "error", file.name, cwd=folder)
    return ", ".join(PAGES)
