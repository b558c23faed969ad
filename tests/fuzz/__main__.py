"""Fuzzes every parser in turn: ``python -m tests.fuzz [--seconds 3600] [--only NAME] [--into build/fuzz]``.

Each target is run in a process of its own, which is ended when an input takes too long or too much memory. Where `atheris` is
installed, it chooses the inputs by what they reach in the code; else they are changed at random. What breaks the rule is
stored, the smallest input of each kind, and told at the end.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import subprocess
import sys
import time
from typing import Any

from tests.fuzz.targets import NAMES


def main() -> int:
    """Run everything; 1 where there are findings."""
    options = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    options.add_argument("--seconds", type=float, default=3_600, help="for all targets together")
    options.add_argument("--only", action="append", choices=NAMES, help="this target; may be repeated")
    options.add_argument("--into", type=pathlib.Path, default=pathlib.Path("build/fuzz"))
    options.add_argument("--seed", type=int, default=1)
    chosen = options.parse_args()
    names = chosen.only or list(NAMES)
    told = [_fuzz(name, chosen.seconds / len(names), chosen.into, chosen.seed) for name in names]
    print("\n| target | executions | documented errors | inputs kept | findings | seconds |\n|---|---|---|---|---|---|")
    for name, one in zip(names, told, strict=True):
        print(
            f"| {name} | {one['executions']:,} | {one['refused']:,} | {one['kept']:,} | {len(one['findings'])} "
            f"| {one['seconds']:.0f} |"
        )
    found = {
        f"{name}: {kind}": path for name, one in zip(names, told, strict=True) for kind, path in one["findings"].items()
    }
    print("".join(f"\n{kind}\n    {path}" for kind, path in found.items()))
    return 1 if found else 0


def _fuzz(name: str, seconds: float, into: pathlib.Path, seed: int) -> dict[str, Any]:
    folder = into / name
    folder.mkdir(parents=True, exist_ok=True)
    state = folder / "state.json"
    state.unlink(missing_ok=True)
    end, turn = time.monotonic() + seconds, 0
    while (left := end - time.monotonic()) > 0.5:
        command = [sys.executable, "-m", "tests.fuzz.child", name, str(folder), str(left), str(seed + turn)]
        child = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
        turn += 1
        if child.returncode and not state.exists():
            raise SystemExit(f"{name} could not begin: {child.stderr.decode(errors='replace')[-3_000:]}")
        if child.returncode:
            _note_ended(folder, state, child.returncode, child.stderr)
        one = json.loads(state.read_text())
        print(f"{name}: {one['executions']:,} executions, {len(one['findings'])} findings", flush=True)
    told: dict[str, Any] = json.loads(state.read_text())
    told["kept"] = max(told["kept"], len(list(folder.glob("corpus/*"))))
    return told


def _note_ended(folder: pathlib.Path, state: pathlib.Path, code: int, problem: bytes) -> None:
    """The child was ended from outside or ended itself: what it was trying is a finding."""
    current = folder / "current"
    told = json.loads(state.read_text())
    kind = f"process ended with {code}: {problem.decode(errors='replace').strip().splitlines()[-1:]}"[:200]
    path = folder / f"ended-{len(told['findings'])}"
    if current.exists():
        path.write_bytes(current.read_bytes())
    told["findings"][kind] = str(path)
    state.write_text(json.dumps(told))


if __name__ == "__main__":
    sys.exit(main())
