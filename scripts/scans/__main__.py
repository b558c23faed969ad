"""Scan the repository: ``python -m scripts.scans``. What is found and not in the list of exceptions ends it with 1."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from . import allowed
from .secrets import committed, secrets
from .weaknesses import started, weaknesses

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = ".github/workflows"


def main() -> int:
    """Run all scanners side by side, and print what each of them found."""
    begun = time.monotonic()
    bandit = started(ROOT)
    workflows = [
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for command in _of_workflows()
    ]
    paths = committed(ROOT)
    found = secrets(ROOT, paths)
    told = len(found)
    found += weaknesses(bandit, ROOT)
    faults = allowed.judge(found, allowed.read(allowed.LIST.read_text("utf-8")))
    for child in workflows:
        said, _ = child.communicate()
        if child.returncode:
            faults.append(said)
    for fault in faults:
        print(fault)
    if faults:
        print(
            "mend it; or, where it is in order, let scripts/scans/allowed.txt say why: PATH  RULE  SHA-1 or count  REASON"
        )
    print(
        f"{len(paths)} files scanned for secrets ({told} look like one), {len(found) - told} remarks of bandit, "
        f"{len(faults)} of all that is not allowed; {time.monotonic() - begun:.1f} s"
    )
    return int(bool(faults))


def _of_workflows() -> list[list[str]]:
    """The commands that look at the workflows: their safety, and their form."""
    tools = Path(sys.executable).parent
    files = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / WORKFLOWS).glob("*.yml"))
    return [
        [str(tools / "zizmor"), "--offline", "--quiet", "--persona", "pedantic", WORKFLOWS],
        [str(tools / "check-jsonschema"), "--builtin-schema", "vendor.github-workflows", *files],
    ]


if __name__ == "__main__":
    sys.exit(main())
