"""What the figures were measured on, without the name of any machine, person or folder; and what is installed."""

from __future__ import annotations

import os
import platform
import re
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).parent.parent / "src"
OURS = "dynamorm-py"
NEEDS = ["msgspec", "httptools", "botocore"]
"""What ours needs at run time; botocore, by far the largest, only for credentials beyond static ones."""


def machine(server: str) -> dict[str, Any]:
    """The processor, the system and the interpreter."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # only Linux has it
        cores = os.cpu_count() or 0
    return {
        "processor": _processor(),
        "cores": cores,
        "system": f"{platform.system()} {platform.machine()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "server": server,
        "load": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*:\s*(.+)", info.read_text()) if info.exists() else None
    return found[1].strip() if found else platform.processor() or platform.machine()


def version(distribution: str) -> str | None:
    """The installed version, None when it is not installed."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        # Our own may be run from the source tree.
        return "source tree" if distribution == OURS and find_spec("dynamorm") is not None else None


def installed_size(distributions: tuple[str, ...]) -> int:
    """Bytes that these and all they need take on the disk, without what extras would add."""
    seen: set[str] = set()
    waiting = list(distributions)
    total = 0
    while waiting:
        name = re.sub(r"[-_.]+", "-", waiting.pop()).lower()
        if name in seen:
            continue
        seen.add(name)
        if name == OURS:
            total += sum(one.stat().st_size for one in (SOURCE / "dynamorm").rglob("*.py"))
            waiting += NEEDS
            continue
        try:
            found = metadata.distribution(name)
        except metadata.PackageNotFoundError:  # a requirement of another platform
            continue
        total += _files(found)
        waiting += [
            re.split(r"[ ;<>=!~\[(]", one, maxsplit=1)[0] for one in found.requires or () if "extra ==" not in one
        ]
    return total


def _files(found: metadata.Distribution) -> int:
    files = [Path(str(found.locate_file(one))) for one in found.files or () if not str(one).endswith(".pyc")]
    return sum(one.stat().st_size for one in files if one.is_file())
