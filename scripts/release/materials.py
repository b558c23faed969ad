"""What is published beside the packages: lists of components, and checksums."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

from .steps import ROOT, Failed, run


def components(python: Path, into: Path, time: int) -> list[str]:
    """Write the CycloneDX list of an environment, which must name the package itself. Returns the names in it."""
    # Without a serial number and a time stamp, which would make each list another file.
    command = (sys.executable, "-m", "cyclonedx_py", "environment", "--output-reproducible", "--validate")
    known = (
        "--spec-version",
        "1.6",
        "--output-format",
        "JSON",
        "--mc-type",
        "library",
        "--pyproject",
        ROOT / "pyproject.toml",
    )
    run(*command, *known, "--output-file", into, python, env={"SOURCE_DATE_EPOCH": str(time)})
    listed = json.loads(into.read_text("utf-8"))
    main = listed["metadata"]["component"]["name"]
    names = sorted(f"{one['name']} {one.get('version', '')}".strip() for one in listed.get("components", []))
    if main != "dynamorm-py" or not {"msgspec", "httptools", "botocore"} <= {name.split()[0] for name in names}:
        raise Failed(f"{into.name} does not name what it is of: {main}, {names}")
    return names


def checksums(folder: Path) -> int:
    """Write SHA256SUMS over all files under a folder, as ``sha256sum --check`` reads it. Returns how many there are."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "SHA256SUMS")
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(folder).as_posix()}\n" for path in files
    ]
    (folder / "SHA256SUMS").write_text("".join(lines), "utf-8")
    return len(files)
